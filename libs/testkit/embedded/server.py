"""What the embedded servers share: how one is launched, waited for with a limit, stopped, and how its log is quoted."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

Progress = Callable[[str], None]

LOOPBACK = "127.0.0.1"
LOG_TAIL_LINES = 30
LOG_TAIL_BYTES = 16 * 1024
LOG_LIMIT_BYTES = 16 * 1024 * 1024
POLL_INTERVAL_S = 0.03
FIRST_FREE_PORT, LAST_FREE_PORT = 15_000, 30_000
PORT_TRIES_LIMIT = 500


def silent(_message: str) -> None:
    """Progress that nobody wants to see."""


class ServerDidNotStart(RuntimeError):
    """A server died or stayed silent while it was started; the message carries the end of its log."""


@dataclass(frozen=True)
class Command:
    """One program to run, with its whole environment and, when we are root, the account it drops to."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    uid: int | None = None
    gid: int | None = None

    def spawn(self, log_path: Path) -> "subprocess.Popen[bytes]":
        """Starts the program in a session of its own, so a Ctrl-C at the terminal does not reach it first."""
        if log_path.exists() and log_path.stat().st_size > LOG_LIMIT_BYTES:
            log_path.replace(log_path.with_suffix(log_path.suffix + ".1"))
        with log_path.open("ab") as log:
            return subprocess.Popen(
                self.argv,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )

    def replace_this_process(self) -> NoReturn:
        """Becomes the program: the process id stays, so whoever supervises us supervises the server itself."""
        if self.uid is not None and self.gid is not None:
            os.setgroups([])
            os.setgid(self.gid)
            os.setuid(self.uid)
        os.execve(self.argv[0], list(self.argv), dict(self.env))  # noqa: S606 - becoming the program is the point


@dataclass
class RunningServer:
    """A started server process; ends with `stop` (gently, then by force) or `kill` (as a crash would)."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int
    log_path: Path
    stop_signal: signal.Signals = signal.SIGTERM
    cleanups: list[Callable[[], None]] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def stop(self, grace_s: float = 30.0) -> None:
        """Asks the server to end, waits for the grace period, then kills it; harmless when it has already ended."""
        if self.is_running:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.kill()
        while self.cleanups:
            self.cleanups.pop()()

    def kill(self) -> None:
        """Ends the server as a crash would: SIGKILL, nothing flushed."""
        if self.is_running:
            self.process.kill()
        self.process.wait(10.0)


def log_tail(log_path: Path, lines_limit: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log, or a sentence saying that there are none."""
    try:
        with log_path.open("rb") as log:
            size_bytes = log.seek(0, os.SEEK_END)
            log.seek(max(0, size_bytes - LOG_TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return f"(no log at {log_path})"
    return "\n".join(text.splitlines()[-lines_limit:]) or f"(the log {log_path} is empty)"


def wait_until_ready(server: RunningServer, probe: Callable[[], bool], start_limit_s: float) -> None:
    """Returns when the probe says yes; raises with the log's end when the process dies or the limit passes."""
    deadline = time.monotonic() + start_limit_s
    while time.monotonic() < deadline:
        code = server.process.poll()
        if code is not None:
            raise ServerDidNotStart(
                f"{server.name} on port {server.port} ended with code {code} while starting. "
                f"End of its log {server.log_path}:\n{log_tail(server.log_path)}"
            )
        if probe():
            return
        time.sleep(POLL_INTERVAL_S)
    raise ServerDidNotStart(
        f"{server.name} on port {server.port} did not answer within {start_limit_s:.0f} s. "
        f"End of its log {server.log_path}:\n{log_tail(server.log_path)}"
    )


def port_is_free(port: int) -> bool:
    """True when a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports nobody listens on, below the range that outgoing connections take theirs from."""
    found: list[int] = []
    for _ in range(PORT_TRIES_LIMIT):
        if len(found) == count:
            return found
        port = random.SystemRandom().randrange(FIRST_FREE_PORT, LAST_FREE_PORT)
        if port not in found and port_is_free(port):
            found.append(port)
    raise RuntimeError(f"no {count} free ports between {FIRST_FREE_PORT} and {LAST_FREE_PORT}")


@contextlib.contextmanager
def data_folder(given: Path | None, prefix: str, remove: Callable[[Path], None]) -> Iterator[Path]:
    """The given folder, kept afterwards; or a temporary one that is removed."""
    if given is not None:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    # Other accounts may pass through (not look around): as root, Postgres runs as one of them.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        remove(folder)
        shutil.rmtree(folder, ignore_errors=True)


def run_tool(argv: Sequence[str], env: Mapping[str, str], time_limit_s: float, what: str) -> str:
    """Runs a short tool to its end and returns what it printed; raises with that output when it fails."""
    try:
        done = subprocess.run(
            argv, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=time_limit_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise ServerDidNotStart(f"{what} took longer than {time_limit_s:.0f} s") from late
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        raise ServerDidNotStart(f"{what} failed with code {done.returncode}:\n{output.strip()}")
    return output
