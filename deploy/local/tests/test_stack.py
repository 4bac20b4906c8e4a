"""Up and down with real, small programs: in order, restarted after kill -9, none left behind, no stranger hit."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.local import stack
from deploy.local.record import ProcessRecord, StackRecord, write_record
from deploy.local.status import take_status
from libs.testkit.embedded.processes import start_mark
from libs.testkit.embedded.server import port_is_free
from libs.testkit.waiting import until_now

WAIT_LIMIT_S = 15.0


def test_up_starts_in_order_and_down_stops_in_order(toys: Any) -> None:
    migrate = toys.program("migrate", "print('migrated')", kind="task", after=("server",))
    toys.up(
        toys.toy("service", after=("migrate",)),
        migrate,
        toys.toy("server", stop_stage=2),
        toys.toy("broker", after=("server",), stop_stage=1),
    )
    assert sorted(toys.living()) == ["broker", "server", "service", "supervisor"]
    assert toys.record("migrate").state == "done"
    assert toys.layout.env_file.stat().st_mode & 0o777 == 0o600
    toys.down()
    assert toys.living() == []
    log = toys.layout.log_of("supervisor").read_text()
    assert log.index("server started") < log.index("migrate started") < log.index("ended with code 0: done")
    assert log.index("ended with code 0: done") < log.index("service started")
    assert toys.notes.read_text().splitlines()[-3:] == ["end service", "end broker", "end server"]


def test_who_reads_along_gives_way(toys: Any) -> None:
    toys.up(toys.toy("a"), dataclasses.replace(toys.toy("reader"), niceness=10))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, toys.record("a").pid) == own
    assert os.getpriority(os.PRIO_PROCESS, toys.record("reader").pid) == max(own, 10)


@pytest.mark.parametrize("probe", ["kafka", "postgres"])
def test_nothing_starts_before_the_server_it_needs_answers(toys: Any, probe: str) -> None:
    server = dataclasses.replace(toys.toy("server"), probe=probe)
    with pytest.raises(stack.StackProblem, match=r"not ready within 1 s: .*a \(not started\)"):
        toys.up(server, toys.toy("a", after=("server",)), ready_limit_s=1.0)
    assert "a started" not in toys.layout.log_of("supervisor").read_text()
    assert toys.living() == []


def test_what_is_killed_comes_back(toys: Any) -> None:
    toys.up(toys.toy("a"), toys.toy("b"))
    before, other = toys.record("a").pid, toys.record("b").pid
    os.kill(before, signal.SIGKILL)
    until_now(lambda: toys.record("a").pid != before and toys.record("a").state == "running", WAIT_LIMIT_S)
    assert toys.record("a").restarts == 1
    assert toys.record("a").last_exit == -signal.SIGKILL
    assert toys.record("b").pid == other
    until_now(lambda: take_status(toys.layout, 0.05).all_ready, WAIT_LIMIT_S)
    toys.down()
    assert toys.living() == []


def test_what_is_forked_is_a_process_like_any_other(toys: Any) -> None:
    toys.up(toys.toy("server"), toys.forked("a"), dataclasses.replace(toys.forked("reader"), niceness=10))
    before = toys.record("a").pid
    assert Path(f"/proc/{before}/cmdline").read_bytes() == Path(f"/proc/{toys.supervisor()[0]}/cmdline").read_bytes()
    assert os.getsid(before) == before
    assert os.getpriority(os.PRIO_PROCESS, before) == os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, toys.record("reader").pid) >= 10
    assert toys.layout.log_of("a").read_text() == "a serves\n"
    os.kill(before, signal.SIGKILL)
    until_now(lambda: toys.record("a").pid != before and toys.record("a").state == "running", WAIT_LIMIT_S)
    assert toys.record("a").last_exit == -signal.SIGKILL
    until_now(lambda: take_status(toys.layout, 0.05).all_ready, WAIT_LIMIT_S)
    toys.down()
    assert toys.living() == []
    assert {"end a", "end reader"} <= set(toys.notes.read_text().splitlines())


def test_a_forked_child_holds_nothing_of_a_supervisor_that_died(toys: Any) -> None:
    toys.up(toys.toy("server"), toys.forked("a"))
    os.kill(toys.supervisor()[0], signal.SIGKILL)
    until_now(lambda: toys.living() == ["server", "a"], WAIT_LIMIT_S)
    assert not stack.supervisor_is_alive(toys.layout)
    toys.down()
    assert toys.living() == []


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no such thing')", 1, "no such thing\n"),
        ("raise KeyError('x')", 1, "KeyError: 'x'\n"),
    ],
)
def test_what_a_forked_child_ends_with_is_told(toys: Any, code: str, exit_code: int, said: str) -> None:
    child = toys.forked("a")
    main = toys.notes.parent / "modules" / "a" / "__main__.py"
    main.write_text(f"if __name__ == '__main__':\n    {code}\n")
    with pytest.raises(stack.StackProblem):
        toys.up(toys.toy("server"), child, ready_limit_s=5.0)
    assert f"ended with code {exit_code}:" in toys.layout.log_of("supervisor").read_text()
    assert toys.layout.log_of("a").read_text().endswith(said)


def test_code_that_cannot_be_loaded_is_run_by_itself_and_tells(toys: Any) -> None:
    child = toys.forked("a")
    (toys.notes.parent / "modules" / "a" / "__main__.py").write_text("import no_such_module\n")
    with pytest.raises(stack.StackProblem):
        toys.up(toys.toy("server"), child, ready_limit_s=5.0)
    assert "could not be loaded" in toys.layout.log_of("supervisor").read_text()
    assert "No module named 'no_such_module'" in toys.layout.log_of("a").read_text()


def test_a_second_up_changes_nothing(toys: Any) -> None:
    child = toys.toy("a")
    toys.up(child)
    before = toys.supervisor()
    toys.up(child)
    assert toys.supervisor() == before
    assert "the stack is running already" in toys.said


@pytest.mark.parametrize("then", ["down", "up"])
def test_orphans_of_a_killed_supervisor_are_ended(toys: Any, then: str) -> None:
    child = toys.toy("a")
    toys.up(child)
    orphan = toys.record("a")
    pid, _ = toys.supervisor()
    os.kill(pid, signal.SIGKILL)
    until_now(lambda: not stack.supervisor_is_alive(toys.layout), WAIT_LIMIT_S)
    assert toys.living() == ["a"]
    if then == "down":
        toys.down()
        assert toys.living() == []
        assert port_is_free(child.port)
    else:
        toys.up(child)
        assert toys.record("a").pid != orphan.pid
        assert sorted(toys.living()) == ["a", "supervisor"]
    assert start_mark(orphan.pid) != orphan.mark
    assert toys.notes.read_text().count("end a") == 1


def test_a_stale_record_hits_no_stranger(toys: Any) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        record = StackRecord(phase="running", pid=stranger.pid, mark="another boot:1")
        record.children.append(ProcessRecord("a", "running", stranger.pid, "another boot:1"))
        write_record(toys.layout, record)
        toys.down()
        assert stranger.poll() is None
        toys.up(toys.toy("a"))
        toys.down()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_half_a_record_after_a_crash_of_the_machine_is_no_obstacle(toys: Any) -> None:
    toys.layout.record_file.write_text('{"phase": "run')
    toys.up(toys.toy("a"))
    assert sorted(toys.living()) == ["a", "supervisor"]


def test_a_taken_port_is_named(toys: Any) -> None:
    first = toys.toy("a")
    toys.up(first)
    other = type(toys)(toys.layout.state.parent / "other")
    with pytest.raises(stack.StackProblem, match=rf"port {first.port} \(for a\).*ORDO_PORT_BASE"):
        other.up(first)
    assert other.living() == []
    assert sorted(toys.living()) == ["a", "supervisor"]


def test_two_stacks_side_by_side(make_stack: Callable[[str], Any]) -> None:
    one, two = make_stack("one"), make_stack("two")
    one.up(one.toy("a"))
    two.up(two.toy("a"))
    one.down()
    assert one.living() == []
    assert sorted(two.living()) == ["a", "supervisor"]


def test_a_failing_task_takes_everything_down_and_shows_its_log(toys: Any) -> None:
    migrate = toys.program("migrate", "print('column is missing'); raise SystemExit(4)", kind="task", after=("server",))
    with pytest.raises(stack.StackProblem, match=r"(?s)migrate does not stay up.*code 4.*column is missing"):
        toys.up(toys.toy("server"), migrate, toys.toy("a", after=("migrate",)))
    assert toys.living() == []
    assert "start a" not in toys.notes.read_text()


def test_a_service_that_keeps_dying_fails_the_start(toys: Any) -> None:
    broken = toys.program("broken", "raise SystemExit('no setting')", health={"broken": "http://127.0.0.1:1"})
    with pytest.raises(stack.StackProblem, match=r"(?s)broken does not stay up.*no setting"):
        toys.up(toys.toy("a"), broken)
    assert toys.living() == []


def test_a_program_that_does_not_exist_fails_the_start(toys: Any) -> None:
    missing = type(toys.toy("x"))("missing", ("/no/such/program",))
    with pytest.raises(stack.StackProblem, match="missing does not stay up"):
        toys.up(missing)
    assert "No such file" in toys.layout.log_of("supervisor").read_text()
    assert toys.living() == []


def test_a_service_that_is_never_ready_is_named(toys: Any) -> None:
    mute = toys.program("mute", "import time; time.sleep(60)", health={"mute": "http://127.0.0.1:1"})
    with pytest.raises(stack.StackProblem, match=r"not ready within 1 s: mute \(no answer"):
        toys.up(mute, ready_limit_s=1.0)
    assert toys.living() == []


def test_a_deaf_program_is_killed_after_its_grace(toys: Any) -> None:
    toys.up(toys.toy("deaf", stop_grace_s=0.3), toys.toy("a"))
    toys.down()
    assert toys.living() == []
    assert "deaf did not end within" in toys.layout.log_of("supervisor").read_text()


def test_status_shows_cost_health_and_lag(toys: Any) -> None:
    toys.up(toys.toy("a"), toys.program("task", "", kind="task"))
    status = take_status(toys.layout, 0.1)
    assert status.all_ready
    row = next(row for row in status.rows if row.record.name == "a")
    assert row.answers["a"].lag_records == 7
    assert row.answers["a"].lag_ms == 1500
    assert 1 < row.cost.memory_mib < 200
    assert status.total.memory_mib > row.cost.memory_mib
    toys.down()
    assert not take_status(toys.layout, 0.01).all_ready


def test_the_command_line_without_a_stack(tmp_path: Any) -> None:
    def run(action: str, **more: str) -> "subprocess.CompletedProcess[str]":
        env = {**os.environ, "ORDO_STATE": str(tmp_path / "none"), **more}
        argv = [sys.executable, "-m", "deploy.local", action]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)

    assert run("down").returncode == 0
    assert run("status").returncode == 1
    refused = run("up", ORDO_PORT_BASE="99999")
    assert refused.returncode == 1
    assert "ORDO_PORT_BASE='99999'" in refused.stderr
    assert not (tmp_path / "none").exists()
