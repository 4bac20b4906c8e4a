"""Forks services from a process that has their code loaded: seven of them start in little more than the time of one."""

import contextlib
import gc
import importlib
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

FIRST_OTHER_DESCRIPTOR = 3
FAILED_CODE = 1
SHOWN_NAME_LIMIT_CHARACTERS = 15


class Forked:
    """A child made by fork, with as much of `subprocess.Popen` as the supervisor uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the child has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def load(modules: Iterable[str]) -> str:
    """Import what these modules run; returns what was wrong with them, nothing if all can be forked from here.

    Nothing runs yet: no thread, no connection, no event loop. What was made is kept out of later collections, so that
    the children share its pages.
    """
    try:
        for module in modules:
            importlib.import_module(f"{module}.__main__")
    except Exception as error:  # noqa: BLE001 - whatever it is, a process of its own will fail of it and tell
        return f"{type(error).__name__}: {error}"
    gc.collect()
    gc.freeze()
    return ""


def fork(module: str, arguments: Sequence[str], env: Mapping[str, str], folder: str, log: Path) -> Forked:
    """Start `python -m module` as a child; it leads a session of its own and writes to `log` when this returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as other_end:
        try:
            with log.open("ab") as file:
                pid = os.fork()
                if not pid:
                    _become(module, arguments, env, folder, file.fileno())
        finally:
            os.close(writer)
        other_end.read(1)  # ends as soon as the child has closed what is not its own
    return Forked(pid)


def _become(module: str, arguments: Sequence[str], env: Mapping[str, str], folder: str, log: int) -> NoReturn:
    """Take on the child's session, files, signals and words, run it, and never come back."""
    code = FAILED_CODE
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        # The supervisor's lock and pipes are its own: held here, they would outlive it.
        os.closerange(FIRST_OTHER_DESCRIPTOR, os.sysconf("SC_OPEN_MAX"))
        sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115 - open as long as we are
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        os.environ.update(env)
        os.chdir(folder)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(module[-SHOWN_NAME_LIMIT_CHARACTERS:], "ascii")
        sys.argv = [module, *arguments]
        sys.modules.pop(f"{module}.__main__", None)  # run as the main program, it is another module
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as asked:
        code = _exit_code(asked)
    except BaseException:  # noqa: BLE001 - told and turned into an exit code, as the interpreter does
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)  # a full disk, too, must not let a child go on as a second supervisor


def _exit_code(asked: SystemExit) -> int:
    """Return what the interpreter would exit with."""
    if asked.code is None:
        return 0
    if isinstance(asked.code, int):
        return asked.code & 0xFF
    print(asked.code, file=sys.stderr)
    return FAILED_CODE
