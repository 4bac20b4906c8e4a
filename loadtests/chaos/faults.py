"""How each thing goes wrong on real processes, sockets and disks; a fault counts only if it was seen to bite."""

import asyncio
import http.client
import math
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from loadtests.chaos.rig import SERVERS, Copy, Member, Rig
from loadtests.chaos.schedule import CLOCK, DISK, KILL, LEASE_S, RESET, STOP, TWINS, Fault

PRESENT_LIMIT_S = 20.0
GONE_LIMIT_S = 5.0
COPY_START_LIMIT_S = 45.0
COPY_SERVES_LIMIT_S = 30.0
ANSWER_LIMIT_S = 1.0
FULL_AT_LEAST_S, FULL_AT_MOST_S = 2.0, 12.0
NO_SPACE = b"No space left on device"
RESET_ROUNDS_LIMIT, RESET_PAUSE_S = 4, 0.3
RESET_LIMIT_S = 10.0
# Beyond five minutes signatures count as stale, beyond fifteen claims expire, beyond an hour Kafka minds by default.
JUMP_LEAST_S, JUMP_MOST_S = 1.0, 10_800.0


async def inflict(rig: Rig, fault: Fault) -> bool:
    """Make it happen, let it last, end it; returns whether it was seen to bite."""
    if fault.kind == KILL:
        return await _kill(rig, fault.target)
    if fault.kind == STOP:
        return await _stop(rig, fault)
    if fault.kind == RESET:
        return await _reset(rig, fault)
    if fault.kind == TWINS:
        return await _twins(rig, fault)
    if fault.kind == CLOCK:
        return await _clock(rig, fault)
    assert fault.kind.startswith(DISK), fault.kind
    return await _fill(rig, fault)


async def until(true: Callable[[], bool], limit_s: float, every_s: float = 0.1) -> bool:
    """Wait until something is so, in a thread of its own, but not for ever; tell whether it is."""
    give_up_at_s = time.monotonic() + limit_s
    while not await asyncio.to_thread(true):
        if time.monotonic() > give_up_at_s:
            return False
        await asyncio.sleep(every_s)
    return True


async def _present(rig: Rig, name: str) -> list[Member]:
    """Return the target's processes, waiting for the supervisor if it has just died of something else."""
    await until(lambda: rig.member(name) is not None, PRESENT_LIMIT_S)
    return rig.family(name)


async def _kill(rig: Rig, target: str) -> bool:
    family = await _present(rig, target)
    for member in family:
        member.send(signal.SIGKILL)
    return bool(family) and await until(lambda: not family[0].alive, GONE_LIMIT_S)


async def _stop(rig: Rig, fault: Fault) -> bool:
    family = await _present(rig, fault.target)
    stopped: list[Member] = []
    try:
        for member in family:
            if member.send(signal.SIGSTOP):
                stopped.append(member)
        await asyncio.sleep(fault.hold_s)
        return bool(stopped) and _state(stopped[0].pid) == "T" and stopped[0].alive
    finally:
        for member in stopped:
            member.send(signal.SIGCONT)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


async def _reset(rig: Rig, fault: Fault) -> bool:
    """Abort live connections inside the kernel: either side gets a reset, whatever is still in its buffers is gone."""
    closed = 0
    for _ in range(1 + math.floor(fault.chance * RESET_ROUNDS_LIMIT)):
        closed += await asyncio.to_thread(_reset_once, rig, fault.target)
        await asyncio.sleep(RESET_PAUSE_S)
    return closed > 0


def _reset_once(rig: Rig, target: str) -> int:
    if target in SERVERS:
        port = rig.port_of(target)
        return _abort(f"sport = :{port} or dport = :{port}")
    pairs = rig.connections(target)
    return _abort(" or ".join(f"( sport = :{own} and dport = :{other} )" for own, other in pairs)) if pairs else 0


def _abort(which: str) -> int:
    done = subprocess.run(
        ["ss", "-K", "-H", "-t", "-n", "state", "established", f"( {which} )"],
        capture_output=True, text=True, timeout=RESET_LIMIT_S, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return len(done.stdout.splitlines())


async def _clock(rig: Rig, fault: Fault) -> bool:
    offset = rig.clocks[fault.target]
    size_s = JUMP_LEAST_S * (JUMP_MOST_S / JUMP_LEAST_S) ** (2 * fault.chance % 1.0)
    seconds = size_s if fault.chance < 0.5 else -size_s
    try:
        offset.asked_s = seconds
        await asyncio.sleep(fault.hold_s)
        return await until(lambda: offset.seen_s == seconds, PRESENT_LIMIT_S)
    finally:
        offset.asked_s = 0.0


async def _fill(rig: Rig, fault: Fault) -> bool:
    """Fill the server's disk until it has noticed: it says so in its log, or it dies of it."""
    family = await _present(rig, fault.target)
    log = rig.layout.log_of(fault.target)
    before = _size(log)
    disk = rig.disks[fault.target]
    try:
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(FULL_AT_LEAST_S)
        return await until(lambda: _noticed(log, before, family), FULL_AT_MOST_S, every_s=0.5)
    finally:
        await asyncio.to_thread(disk.free)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _noticed(log: Path, before: int, family: list[Member]) -> bool:
    if family and not family[0].alive:
        return True
    with log.open("rb") as file:
        # A log that was turned over meanwhile is shorter than it was: then all of it is new.
        file.seek(before if before <= _size(log) else 0)
        return NO_SPACE in file.read()


async def _twins(rig: Rig, fault: Fault) -> bool:
    """Two or three processes of one service at once: one joins and inherits, one replaces a sleeper, or all race."""
    leader = await _present(rig, fault.target)
    copies = [rig.spawn_copy(fault.target)]
    urls = [rig.ports.url_of(fault.target), copies[0].url]
    try:
        if fault.chance < 0.66:
            beside = await until(lambda: _answers(copies[0].url, "/healthz"), COPY_START_LIMIT_S)
            await (_inherit if fault.chance < 0.33 else _outsleep)(leader, copies[0])
        else:
            # They start together, and the supervisor's new process is a third one in the race.
            copies.append(rig.spawn_copy(fault.target))
            urls.append(copies[1].url)
            await _inherit(leader, copies[0])
            beside = await until(lambda: all(_answers(copy.url, "/healthz") for copy in copies), COPY_START_LIMIT_S)
        served = await until(lambda: any(_answers(url, "/readyz") for url in urls), COPY_SERVES_LIMIT_S)
        await asyncio.sleep(fault.hold_s)
        return beside and served
    finally:
        for number, copy in enumerate(copies):
            await asyncio.to_thread(copy.end, gently=(number + int(fault.chance * 100)) % 2 == 0)


async def _inherit(leader: list[Member], _copy: Copy) -> None:
    """The leader dies: whoever is first takes its lease."""
    for member in leader:
        member.send(signal.SIGKILL)


async def _outsleep(leader: list[Member], copy: Copy) -> None:
    """The leader sleeps through its lease, the copy takes over, and the leader wakes up and knows nothing of it."""
    try:
        for member in leader:
            member.send(signal.SIGSTOP)
        await until(lambda: _answers(copy.url, "/readyz"), 2 * LEASE_S)
    finally:
        for member in leader:
            member.send(signal.SIGCONT)


def _answers(url: str, path: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_LIMIT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
