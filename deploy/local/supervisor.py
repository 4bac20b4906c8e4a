"""Keeps a stack's programs running: starts them in order, restarts what dies, stops them in order, leaves nothing."""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from deploy.local import nursery
from deploy.local.layout import HOST, Layout
from deploy.local.plan import Child, Plan, plan_from_json
from deploy.local.precedence import Sessions, give_way
from deploy.local.record import Phase, ProcessRecord, StackRecord, write_record
from libs.testkit.embedded.probes import broker_is_ready, postgres_accepts
from libs.testkit.embedded.processes import start_mark

RESTART_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_AFTER_S = 30.0
TASK_ATTEMPTS_LIMIT = 3
PROBE_INTERVAL_S = 0.05
PROBE_ANSWER_LIMIT_S = 0.5
LOG_CHECK_INTERVAL_S = 5.0
PRECEDENCE_INTERVAL_S, PRECEDENCE_AGAIN_S = 1.0, 0.2
LOG_LIMIT_BYTES = 10 * 1024 * 1024
LOG_FILES_LIMIT = 3
KILL_WAIT_LIMIT_S = 10.0
LOCK_LIMIT_S = 2.0
CANNOT_START_CODE = 127
POSTGRES_NAME = "ordo"


class Supervised:
    """One child with its process: knows when it may start, whether it answers, and when to try again."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.record = ProcessRecord(
            child.name,
            stop_signal=child.stop_signal,
            stop_stage=child.stop_stage,
            stop_grace_s=child.stop_grace_s,
        )
        self.process: subprocess.Popen[bytes] | nursery.Forked | None = None
        self.has_been_ready = False
        self.failures_in_a_row = 0
        self.next_start_s = 0.0
        self.started_s = 0.0

    def start(self, layout: Layout, folder: str, *, loaded: bool) -> None:
        log_file = layout.log_of(self.child.name)
        if loaded and self.child.forks:
            self.process = nursery.fork(*self.child.module, self.child.env, folder, log_file)
        else:
            with log_file.open("ab") as log:
                self.process = subprocess.Popen(
                    self.child.argv,
                    env={**os.environ, **self.child.env},
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        give_way(self.process.pid, self.child.niceness)
        self.started_s = time.monotonic()
        self.record.pid = self.process.pid
        self.record.mark = start_mark(self.process.pid) or ""
        self.record.started_at_s = time.time()
        self.record.state = "starting"

    def answers(self) -> bool:
        if self.child.probe == "kafka":
            return broker_is_ready(HOST, self.child.port, PROBE_ANSWER_LIMIT_S)
        if self.child.probe == "postgres":
            return postgres_accepts(HOST, self.child.port, POSTGRES_NAME, POSTGRES_NAME, PROBE_ANSWER_LIMIT_S)
        return True

    def note_exit(self, code: int) -> None:
        """Decides what follows from an end: a task that succeeded is done, everything else is tried again."""
        self.process = None
        self.record.last_exit = code
        if self.child.kind == "task" and code == 0:
            self.record.state = "done"
            self.has_been_ready = True
            return
        if time.monotonic() - self.started_s > STEADY_AFTER_S:
            self.failures_in_a_row = 0
        delay_s = RESTART_DELAYS_S[min(self.failures_in_a_row, len(RESTART_DELAYS_S) - 1)]
        self.failures_in_a_row += 1
        if self.child.kind == "task" and self.failures_in_a_row >= TASK_ATTEMPTS_LIMIT:
            self.record.state = "failed"
            return
        self.record.restarts += 1
        self.record.state = "backoff"
        self.next_start_s = time.monotonic() + delay_s


class Supervisor:
    """The loop around all children; every wait in it has a limit."""

    def __init__(self, plan: Plan, layout: Layout, log: TextIO) -> None:
        self.plan = plan
        self.layout = layout
        self.log = log
        self.children = [Supervised(child) for child in plan.children]
        self.by_name = {each.child.name: each for each in self.children}
        own_pid = os.getpid()
        self.record = StackRecord(
            pid=own_pid,
            mark=start_mark(own_pid) or "",
            started_at_s=time.time(),
            children=[each.record for each in self.children],
        )
        self.stop_asked = False
        self.loaded = False
        self.next_log_check_s = 0.0
        self.sessions = Sessions()
        self.next_precedence_s = 0.0

    def run(self, wakeup: int) -> int:
        last_phase: Phase = "failed"
        try:
            self._save()
            self._turn()
            self._load()
            while not self.stop_asked and self.record.phase != "failed":
                # What has changed may allow the next thing at once: no wait in between.
                if not self._turn():
                    _sleep(wakeup, self._next_turn_s())
            last_phase = "failed" if self.record.phase == "failed" else "stopped"
        finally:
            # Whatever ended the loop, no child outlives it.
            self._stop_all(wakeup, last_phase)
        return 1 if last_phase == "failed" else 0

    def _load(self) -> None:
        """Load the services' code once for all of them, while the servers they need come up."""
        wrong = nursery.load([each.child.module[0] for each in self.children if each.child.forks])
        self.loaded = not wrong
        if wrong:
            self._say(f"the services' code could not be loaded, each is started by itself: {wrong}")

    def ask_to_stop(self) -> None:
        self.stop_asked = True

    def _turn(self) -> bool:
        changed = self._reap()
        changed |= self._start_due()
        changed |= self._probe_starting()
        if self.record.phase == "starting" and all(each.has_been_ready for each in self.children):
            self.record.phase = "running"
            changed = True
        if changed:
            self._save()
        self._rotate_logs()
        self._keep_precedence()
        return changed

    def _reap(self) -> bool:
        changed = False
        for each in self.children:
            code = each.process.poll() if each.process is not None else None
            if code is None:
                continue
            changed = True
            each.note_exit(code)
            self._say(f"{each.child.name} (pid {each.record.pid}) ended with code {code}: {each.record.state}")
            if each.record.state == "failed":
                self.record.phase = "failed"
                self.record.problem = f"{each.child.name} failed {TASK_ATTEMPTS_LIMIT} times, last with code {code}"
        return changed

    def _start_due(self) -> bool:
        changed = False
        now_s = time.monotonic()
        for each in self.children:
            state = each.record.state
            may_start = state == "waiting" and all(self.by_name[name].has_been_ready for name in each.child.after)
            if may_start or (state == "backoff" and now_s >= each.next_start_s):
                self._start(each)
                # At once, so that a crash of ours leaves no child that nobody knows of.
                self._save()
                changed = True
        return changed

    def _start(self, each: Supervised) -> None:
        try:
            each.start(self.layout, self.plan.folder, loaded=self.loaded)
        except OSError as refused:
            each.note_exit(CANNOT_START_CODE)
            self._say(f"{each.child.name} could not be started: {refused}")
        else:
            self._say(f"{each.child.name} started as pid {each.record.pid}")

    def _probe_starting(self) -> bool:
        changed = False
        for each in self.children:
            if each.record.state == "starting" and each.child.kind == "server" and each.answers():
                each.record.state = "running"
                each.has_been_ready = True
                changed = True
        return changed

    def _next_turn_s(self) -> float:
        now_s = time.monotonic()
        turns = [self.next_log_check_s - now_s, self.next_precedence_s - now_s]
        for each in self.children:
            if each.record.state == "starting" and each.child.probe != "none":
                turns.append(PROBE_INTERVAL_S)
            if each.record.state == "backoff":
                turns.append(each.next_start_s - now_s)
        return max(0.0, min(turns))

    def _stop_all(self, wakeup: int, last_phase: Phase) -> None:
        self.record.phase = "stopping"
        self._save()
        for stage in sorted({each.child.stop_stage for each in self.children}):
            members = [each for each in self.children if each.child.stop_stage == stage and each.process is not None]
            self._stop(members, wakeup)
        for each in self.children:
            if _has_ended(each) and each.record.state not in {"done", "failed"}:
                each.record.state = "stopped"
        self.record.phase = last_phase
        self._save()
        self._say(f"everything has ended: {last_phase}")

    def _stop(self, members: list[Supervised], wakeup: int) -> None:
        asked_s = time.monotonic()
        for each in members:
            if each.process is not None:
                each.process.send_signal(each.child.stop_signal)
        killed = False
        while waiting := [each for each in members if not _has_ended(each)]:
            waited_s = time.monotonic() - asked_s
            late = [each for each in waiting if waited_s > each.child.stop_grace_s]
            for each in late:
                if not killed:
                    self._say(f"{each.child.name} did not end within {each.child.stop_grace_s:.0f} s: killed")
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(each.record.pid, signal.SIGKILL)
            killed = killed or bool(late)
            if waited_s > max(each.child.stop_grace_s for each in waiting) + KILL_WAIT_LIMIT_S:
                self._say(f"gave up on {[each.child.name for each in waiting]}")
                return
            _sleep(wakeup, 0.2)
        self._save()

    def _rotate_logs(self) -> None:
        if time.monotonic() < self.next_log_check_s:
            return
        self.next_log_check_s = time.monotonic() + LOG_CHECK_INTERVAL_S
        for name in ("supervisor", *self.by_name):
            rotate_log(self.layout.log_of(name))

    def _keep_precedence(self) -> None:
        """Sessions come and go with their connections, and not everything may be set at once."""
        if time.monotonic() < self.next_precedence_s:
            return
        later = [each for each in self.children if each.child.niceness and not _has_ended(each)]
        niceness = {each.record.pid: each.child.niceness for each in later}
        done = all(give_way(pid, wanted) for pid, wanted in niceness.items())
        postgres = self.by_name.get("postgres")
        if postgres is not None and postgres.process is not None:
            done &= self.sessions.give_way(postgres.process.pid, postgres.child.port, niceness)
        self.next_precedence_s = time.monotonic() + (PRECEDENCE_INTERVAL_S if done else PRECEDENCE_AGAIN_S)

    def _save(self) -> None:
        # A full disk must not end the stack: the record is then a little old.
        try:
            write_record(self.layout, self.record)
        except OSError as refused:
            self._say(f"the record could not be written: {refused}")

    def _say(self, message: str) -> None:
        with contextlib.suppress(OSError):
            self.log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {message}\n")
            self.log.flush()


def _has_ended(each: Supervised) -> bool:
    return each.process is None or each.process.poll() is not None


def rotate_log(path: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Copies a log that has grown too long aside and empties it; its writer appends, and so never notices."""
    try:
        if path.stat().st_size <= limit_bytes:
            return
    except FileNotFoundError:
        return
    for number in range(LOG_FILES_LIMIT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    with path.open("r+b") as full, path.with_name(f"{path.name}.1").open("wb") as aside:
        while chunk := full.read(1024 * 1024):
            aside.write(chunk)
        full.truncate(0)


def _sleep(wakeup: int, limit_s: float) -> None:
    """Waits for a signal, at most so long."""
    readable, _, _ = select.select([wakeup], [], [], limit_s)
    if readable:
        with contextlib.suppress(BlockingIOError):
            os.read(wakeup, 4096)


@contextlib.contextmanager
def _signals(supervisor: Supervisor) -> Iterator[int]:
    """A file descriptor that becomes readable on any signal; SIGTERM and SIGINT ask for the stop."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: supervisor.ask_to_stop())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield reader


def _take(lock: BinaryIO) -> bool:
    """Holds the lock for our lifetime: the kernel lets go of it when we die, however, so it is never stale."""
    deadline = time.monotonic() + LOCK_LIMIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Whoever merely looks whether it is held holds it for an instant.
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def main(state: str) -> int:
    layout = Layout(Path(state))
    with layout.supervisor_lock.open("ab") as lock, layout.log_of("supervisor").open("a", encoding="utf-8") as log:
        if not _take(lock):
            log.write("another supervisor is at work here\n")
            return 2
        supervisor = Supervisor(plan_from_json(layout.plan_file.read_text("utf-8")), layout, log)
        with _signals(supervisor) as wakeup:
            return supervisor.run(wakeup)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
