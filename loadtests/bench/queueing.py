"""A small queueing model fed with measured service times: what the same code does on more cores, and what limits it.

Work is conserved: an order costs C ms of CPU in all, c_i of it in program i. On n cores the rate is at most
`efficiency * n * 1000 / C`; one worker process runs on one core at a time, so program i with w_i workers does at most
`1000 * w_i / c_i`. A hop's time is its service time stretched by 1 / (1 - utilisation) (M/G/1 with processor sharing),
plus half of the rest that a busy worker takes between batches.
"""

import argparse
import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from deploy.local.layout import SERVICES
from loadtests.bench.orders import goods
from loadtests.bench.playing import define, play
from loadtests.bench.rig import PROGRAMS, Rig, family_cpu_ms

CHAIN = ("ingestion", "inventory", "risk", "routing", "inventory", "fulfillment")
CORES = (2, 4, 8, 16, 32, 64)
WITHIN = 0.20
# For the time on the way: a small batch's duration on an idle machine, how busy workers rest, and a rate.
BATCH_MS, RESTS, PER_SECOND = 4.0, 3.0, 500
MEASURED_ORDERS = 8_000


@dataclass(frozen=True)
class Measured:
    """CPU of an order by program, ms (the load's generator among them), and the share of the cores that was used."""

    cpu_ms: Mapping[str, float]
    efficiency: float

    @property
    def whole_ms(self) -> float:
        """All of it."""
        return sum(self.cpu_ms.values())


@dataclass(frozen=True)
class Predicted:
    """Orders a second, what limits them, and how many workers each service has."""

    orders_per_s: float
    limit: str
    workers: Mapping[str, int]


def measured(found: Mapping[str, Any], cores: int) -> Measured:
    """Read a bench's figures."""
    end_to_end = found["end_to_end"]
    cpu = {name: ms for name, ms in end_to_end["cpu_ms_per_order"].items() if name != "stack"}
    return Measured(cpu, min(1.0, end_to_end["orders_per_s"] * sum(cpu.values()) / 1000 / cores))


def predict(at: Measured, cores: int, workers: Mapping[str, int] | None = None) -> Predicted:
    """Return the rate on so many cores; without `workers` each service gets as many as it takes."""
    everything = at.efficiency * cores * 1000 / at.whole_ms
    if workers is None:
        workers = {name: max(1, -(-int(everything * at.cpu_ms[name]) // 900)) for name in SERVICES if name in at.cpu_ms}
    alone = {name: 1000 * count / at.cpu_ms[name] for name, count in workers.items()}
    narrow = min(alone, key=lambda name: alone[name])
    if alone[narrow] < everything:
        return Predicted(alone[narrow], narrow, workers)
    return Predicted(everything, "all cores are busy", workers)


def time_ms(at: Measured, cores: int, per_second: float, batch_ms: float, rests: float) -> float:
    """Return the mean time from an order's acceptance to its pick task at this rate; infinite when it is too much."""
    busy = per_second * at.whole_ms / 1000 / cores
    if busy >= 1:
        return float("inf")
    hop = batch_ms / (1 - busy)
    return len(CHAIN) * (hop + hop * rests / 2)


async def on_cores(cores: int) -> tuple[float, float]:
    """Run a stack of its own pinned to so many cores; returns orders a second and CPU ms of an order."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    whole = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed)  # what is started from here inherits it
    rig = Rig.make()
    try:
        await asyncio.to_thread(rig.up, lambda text: None)
        for program in PROGRAMS:
            for process in (psutil.Process(rig.pid(program)), *psutil.Process(rig.pid(program)).children(True)):
                process.cpu_affinity(allowed)
        chosen = goods()
        await define(rig, chosen.skus)
        await play(rig, "warm", 1_000)
        before = {program: family_cpu_ms(rig.pid(program)) for program in PROGRAMS}
        played = await play(rig, "pin", MEASURED_ORDERS)
        used = sum(family_cpu_ms(rig.pid(program)) - ms for program, ms in before.items())
        return MEASURED_ORDERS / played.seconds, (used + played.said["cpu_ms"]) / MEASURED_ORDERS
    finally:
        await asyncio.to_thread(rig.remove, lambda text: None)
        os.sched_setaffinity(0, whole)


def show(at: Measured, console: Console) -> None:
    """Print the prediction for 2 to 64 cores."""
    table = Table(title=f"predicted from {at.whole_ms:.2f} ms of CPU an order, {at.efficiency:.0%} of the cores used")
    way = f"ms to the pick task at {PER_SECOND}/s"
    for column in ("cores", "orders/s, one worker each", "limited by", "orders/s, workers as needed", "workers", way):
        table.add_column(column, justify="left" if column in ("limited by", "workers") else "right")
    for cores in CORES:
        one = predict(at, cores, dict.fromkeys([name for name in SERVICES if name in at.cpu_ms], 1))
        many = predict(at, cores)
        wanted = ", ".join(f"{name} {count}" for name, count in many.workers.items() if count > 1) or "one each"
        takes = time_ms(at, cores, PER_SECOND, BATCH_MS, RESTS)
        row = (f"{one.orders_per_s:,.0f}", one.limit, f"{many.orders_per_s:,.0f}", wanted, f"{takes:,.0f}")
        table.add_row(str(cores), *row)
    console.print(table)


def main() -> int:
    """Predict from a bench's figures; with --measure check the model on one and on two cores."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench.queueing", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--measure", action="store_true")
    asked = parser.parse_args()
    if not asked.measure:
        found = json.loads(asked.json.read_text("utf-8"))
        show(measured(found, int(found["machine"]["cores"])), Console())
        return 0
    two, cost_two = asyncio.run(on_cores(2))
    one, cost_one = asyncio.run(on_cores(1))
    model = Measured({"everything": cost_two}, min(1.0, two * cost_two / 2000))
    predicted = model.efficiency * 1000 / model.whole_ms
    wrong = predicted / one - 1
    print(f"two cores: {two:.0f}/s at {cost_two:.2f} ms; one core: {one:.0f}/s at {cost_one:.2f} ms")
    print(f"predicted for one core from two: {predicted:.0f}/s, {wrong:+.0%}")
    return 0 if abs(wrong) <= WITHIN else 1


if __name__ == "__main__":
    raise SystemExit(main())
