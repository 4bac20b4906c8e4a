"""Brings a stack up until every service is ready, and down until no process of it is left."""

import contextlib
import fcntl
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.health import ask_ready
from deploy.local.layout import HOST, Layout, Ports, make_folders, write_private
from deploy.local.plan import Plan, plan_from_json
from deploy.local.record import ProcessRecord, StackRecord, read_record, write_record
from libs.testkit.embedded.processes import is_same_process, signal_if_same
from libs.testkit.embedded.server import log_tail, port_is_free

Say = Callable[[str], None]

READY_LIMIT_S = 180.0
READY_POLL_S = 0.1
COMMAND_LOCK_LIMIT_S = 240.0
SUPERVISOR_STOP_LIMIT_S = 120.0
ORPHAN_KILL_LIMIT_S = 10.0
EARLY_RESTARTS_LIMIT = 4
TAIL_LINES = 25


class StackProblem(RuntimeError):
    """The stack cannot be brought up or down; the message says why and what to do."""


@dataclass(frozen=True)
class Launch:
    """What `up` starts: the programs, the environment they get, and what local.env tells the tools."""

    plan: Plan
    environment: Mapping[str, str]
    env_file_text: str
    ports: Ports
    ports_in_use: Mapping[str, int]


@contextlib.contextmanager
def one_command_at_a_time(layout: Layout) -> Iterator[None]:
    """Keeps two `up` or `down` commands on one stack from mixing."""
    make_folders(layout)
    deadline = time.monotonic() + COMMAND_LOCK_LIMIT_S
    with layout.command_lock.open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as held:
                if time.monotonic() > deadline:
                    raise StackProblem("another command has been at work on this stack for too long") from held
                time.sleep(0.2)
        yield


def supervisor_is_alive(layout: Layout) -> bool:
    """True while a supervisor holds its lock: a dead one, however it died, holds none."""
    try:
        with layout.supervisor_lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def clean_orphans(layout: Layout, say: Say) -> None:
    """Ends what a killed supervisor left behind: the recorded processes, while they are still the very same."""
    record = read_record(layout.record_file)
    if record is None:
        return
    orphans = [child for child in record.children if child.pid and is_same_process(child.pid, child.mark)]
    for stage in sorted({child.stop_stage for child in orphans}):
        _end([child for child in orphans if child.stop_stage == stage], say)
    record.phase = "stopped"
    for child in record.children:
        if child.state not in {"done", "failed"}:
            child.state = "stopped"
    write_record(layout, record)


def _end(orphans: list[ProcessRecord], say: Say) -> None:
    for child in orphans:
        say(f"ending {child.name} (pid {child.pid}), left by a supervisor that was killed")
        signal_if_same(child.pid, child.mark, child.stop_signal)
    asked_s = time.monotonic()
    while waiting := [child for child in orphans if is_same_process(child.pid, child.mark)]:
        waited_s = time.monotonic() - asked_s
        for child in waiting:
            if waited_s > child.stop_grace_s:
                signal_if_same(child.pid, child.mark, signal.SIGKILL)
        if waited_s > max(child.stop_grace_s for child in waiting) + ORPHAN_KILL_LIMIT_S:
            raise StackProblem(f"process {waiting[0].pid} ({waiting[0].name}) does not end")
        time.sleep(0.05)


def check_ports(ports_in_use: Mapping[str, int], ports: Ports) -> None:
    """Says which port is taken and how to choose others, before anything is started."""
    for name, port in ports_in_use.items():
        if not port_is_free(port):
            raise StackProblem(
                f"port {port} (for {name}) on {HOST} is taken by another program. "
                f"Set ORDO_PORT_BASE to a free range; it is {ports.base}, and {ports.base + 1} to "
                f"{ports.base + 12} are used."
            )


def up(layout: Layout, prepare: Callable[[], Launch], say: Say, ready_limit_s: float = READY_LIMIT_S) -> None:
    """Starts the stack unless it runs, and returns when every service is ready; what fails to start is taken down."""
    with one_command_at_a_time(layout):
        started_s = time.monotonic()
        supervisor: subprocess.Popen[bytes] | None = None
        if supervisor_is_alive(layout):
            say("the stack is running already")
        else:
            clean_orphans(layout, say)
            launch = prepare()
            check_ports(launch.ports_in_use, launch.ports)
            write_private(layout.plan_file, launch.plan.to_json())
            write_private(layout.env_file, launch.env_file_text)
            supervisor = _start_supervisor(layout, launch)
        try:
            wait_until_ready(layout, supervisor, say, ready_limit_s)
        except BaseException:
            if supervisor is not None:
                _down(layout, say)
            raise
        if supervisor is not None:
            # It outlives this command on purpose; nobody here will wait for it.
            supervisor.returncode = 0
        say(f"ready after {time.monotonic() - started_s:.1f} s")


def _start_supervisor(layout: Layout, launch: Launch) -> "subprocess.Popen[bytes]":
    layout.record_file.unlink(missing_ok=True)
    with layout.log_of("supervisor").open("ab") as log:
        return subprocess.Popen(
            (sys.executable, "-m", "deploy.local.supervisor", str(layout.state)),
            env=dict(launch.environment),
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_until_ready(
    layout: Layout, supervisor: "subprocess.Popen[bytes] | None", say: Say, ready_limit_s: float
) -> None:
    """Returns when every program runs and every service answers /readyz with 200; explains itself when not."""
    plan = plan_from_json(layout.plan_file.read_text("utf-8"))
    health = {service: url for child in plan.children for service, url in child.health.items()}
    waiting = dict(health)
    reasons: dict[str, str] = {}
    told = {child.name for child in plan.children if child.health}
    deadline = time.monotonic() + ready_limit_s
    while time.monotonic() < deadline:
        record = read_record(layout.record_file)
        if record is not None:
            _tell_progress(record, told, say)
            _fail_early(layout, record)
        elif supervisor is not None and supervisor.poll() is not None:
            raise _supervisor_ended(layout, f"code {supervisor.returncode}")
        for service, url in list(waiting.items()) if record is not None and record.phase == "running" else []:
            answer = ask_ready(url)
            if answer.ready:
                del waiting[service]
                say(f"{service} is ready")
            else:
                reasons[service] = answer.reason
        if record is not None and not waiting and _all_run(record):
            return
        time.sleep(READY_POLL_S)
    blame = ", ".join(f"{service} ({reasons.get(service, 'not started')})" for service in waiting) or "the supervisor"
    tails = "".join(f"\n--- {name}\n{log_tail(layout.log_of(name), TAIL_LINES)}" for name in list(waiting)[:2])
    raise StackProblem(f"not ready within {ready_limit_s:.0f} s: {blame}{tails}")


def _all_run(record: StackRecord) -> bool:
    return record.phase == "running" and all(child.state in {"running", "done"} for child in record.children)


def _tell_progress(record: StackRecord, told: set[str], say: Say) -> None:
    for child in record.children:
        event = {"done": "done", "running": "up"}.get(child.state)
        if event and child.name not in told:
            told.add(child.name)
            say(f"{child.name} {event}")


def _fail_early(layout: Layout, record: StackRecord) -> None:
    failing = next((child for child in record.children if child.state == "failed"), None)
    failing = failing or next((child for child in record.children if _keeps_dying(child)), None)
    if failing is not None:
        log = layout.log_of(failing.name)
        raise StackProblem(
            f"{failing.name} does not stay up (ended {failing.restarts + 1} times, last with code "
            f"{failing.last_exit}). End of {log}:\n{log_tail(log, TAIL_LINES)}"
        )
    if record.phase in {"stopping", "stopped", "failed"} or not is_same_process(record.pid, record.mark):
        raise _supervisor_ended(layout, record.phase)


def _supervisor_ended(layout: Layout, how: str) -> StackProblem:
    log = layout.log_of("supervisor")
    return StackProblem(f"the supervisor ended ({how}). End of {log}:\n{log_tail(log, TAIL_LINES)}")


def _keeps_dying(child: ProcessRecord) -> bool:
    return child.state == "backoff" and child.restarts >= EARLY_RESTARTS_LIMIT


def down(layout: Layout, say: Say) -> None:
    """Stops the stack and returns when none of its processes is left; data, secrets and logs stay."""
    with one_command_at_a_time(layout):
        _down(layout, say)


def _down(layout: Layout, say: Say) -> None:
    if supervisor_is_alive(layout):
        record = _record_of_living_supervisor(layout)
        say("stopping services, then Kafka, then Postgres")
        signal_if_same(record.pid, record.mark, signal.SIGTERM)
    _wait_for_supervisors_end(layout)
    clean_orphans(layout, say)
    say("down")


def _wait_for_supervisors_end(layout: Layout) -> None:
    # Its lock goes a moment before its process does, and down means that no process is left.
    record = read_record(layout.record_file)
    if record is None:
        return
    deadline = time.monotonic() + SUPERVISOR_STOP_LIMIT_S
    while is_same_process(record.pid, record.mark):
        if time.monotonic() > deadline + ORPHAN_KILL_LIMIT_S:
            raise StackProblem(f"the supervisor (process {record.pid}) does not end")
        if time.monotonic() > deadline:
            signal_if_same(record.pid, record.mark, signal.SIGKILL)
        time.sleep(0.05)


def _record_of_living_supervisor(layout: Layout) -> StackRecord:
    # Right after its start the supervisor has its lock but has not written its record yet.
    deadline = time.monotonic() + ORPHAN_KILL_LIMIT_S
    while time.monotonic() < deadline:
        record = read_record(layout.record_file)
        if record is not None and is_same_process(record.pid, record.mark):
            return record
        time.sleep(0.05)
    raise StackProblem(f"a supervisor is alive but {layout.record_file} does not name it")


def reset(layout: Layout, remove_data: Callable[[Path], None], say: Say) -> None:
    """Stops the stack and removes its data, secrets and logs."""
    down(layout, say)
    remove_data(layout.postgres_data)
    shutil.rmtree(layout.state)
    say(f"removed {layout.state}")
