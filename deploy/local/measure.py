"""What a running stack costs: memory counted once however many share it, and CPU over a short sample."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Cost:
    """Memory in MiB, CPU in per cent of one core."""

    memory_mib: float
    cpu_percent: float


def measure(pids: Iterable[int], alone: Iterable[int], sample_s: float) -> dict[int, Cost]:
    """The cost of each process with its descendants (Postgres' sessions count as Postgres), and of some alone."""
    families = {**{pid: _family(pid) for pid in pids}, **{pid: _family(pid)[:1] for pid in alone}}
    before = {pid: {member.pid: _cpu_s(member) for member in family} for pid, family in families.items()}
    began_s = time.monotonic()
    time.sleep(sample_s)
    costs = {}
    for pid, family in families.items():
        # A member that ended in between cannot be read again and counts for nothing.
        spent_s = sum(max(0.0, _cpu_s(member) - before[pid][member.pid]) for member in family)
        memory_bytes = sum(_memory_bytes(member) for member in family)
        costs[pid] = Cost(memory_bytes / MEBIBYTE, 100.0 * spent_s / (time.monotonic() - began_s))
    return costs


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _memory_bytes(process: psutil.Process) -> int:
    """Its proportional share where the system tells it, else its resident set (which counts shared pages again)."""
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
