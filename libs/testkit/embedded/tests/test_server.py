"""What the servers share: processes told apart, ports that are free, logs quoted, waits that end."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from libs.testkit.embedded.probes import broker_is_ready, postgres_accepts
from libs.testkit.embedded.processes import command_line, is_same_process, signal_if_same, start_mark
from libs.testkit.embedded.server import (
    Command,
    RunningServer,
    ServerDidNotStart,
    free_ports,
    log_tail,
    port_is_free,
    wait_until_ready,
)
from libs.testkit.waiting import until_now


def test_a_process_is_told_from_any_other_with_its_id() -> None:
    process = subprocess.Popen(["sleep", "60"])
    mark = start_mark(process.pid)
    assert mark is not None
    assert is_same_process(process.pid, mark)
    # While a process is between fork and exec it has no command line.
    assert until_now(lambda: command_line(process.pid), 5) == "sleep 60"
    assert not signal_if_same(process.pid, mark + "0", signal.SIGKILL)
    assert process.poll() is None
    assert signal_if_same(process.pid, mark, signal.SIGKILL)
    # Ended but not yet waited for: a zombie is no living process.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert start_mark(process.pid) is None
    process.wait()
    assert not is_same_process(process.pid, mark)


def test_free_ports_are_free_and_distinct() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    with socket.create_server(("127.0.0.1", ports[0])):
        assert not port_is_free(ports[0])
    assert port_is_free(ports[1])


def test_a_log_is_quoted_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert "no log" in log_tail(log)
    log.write_text("")
    assert "is empty" in log_tail(log)
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert log_tail(log, 2) == "line 9998\nline 9999"


def started(tmp_path: Path, code: str) -> RunningServer:
    command = Command((sys.executable, "-S", "-c", code), {})
    return RunningServer("Toy", command.spawn(tmp_path / "toy.log"), 1, tmp_path / "toy.log")


def test_a_server_that_dies_or_stays_silent_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ServerDidNotStart, match=r"(?s)Toy on port 1 ended with code 3.*went wrong"):
        wait_until_ready(started(tmp_path, "print('it went wrong'); raise SystemExit(3)"), lambda: False, 10.0)
    silent = started(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(ServerDidNotStart, match="did not answer within 0 s"):
        wait_until_ready(silent, lambda: False, 0.1)
    silent.kill()


def test_a_server_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    server = started(tmp_path, code)
    wait_until_ready(server, lambda: "deaf" in log_tail(server.log_path), 10.0)
    server.stop(grace_s=0.1)
    assert server.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x08\0\0\0\x01\0\0\0\0", b"E..."])
def test_a_stranger_on_the_port_is_not_taken_for_a_server(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1024)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert not broker_is_ready("127.0.0.1", port)
        assert not postgres_accepts("127.0.0.1", port, "ordo", "ordo")
        thread.join(5.0)
