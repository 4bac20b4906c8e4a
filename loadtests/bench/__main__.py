"""`python -m loadtests.bench`: what an order costs and how fast orders go, all on this machine, in one run."""

import argparse
import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.local.layout import ROOT, SERVICES
from loadtests.bench import floor, report, scenarios
from loadtests.bench.bare import bare, both
from loadtests.bench.growth import growth
from loadtests.bench.orders import goods
from loadtests.bench.playing import define, play
from loadtests.bench.pulled import pulled
from loadtests.bench.rig import Rig, commit_and_machine

BUILD = ROOT / "build"
KEPT = Path(__file__).parent / "kept.json"


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


async def rebuild(rig: Rig) -> dict[str, Any]:
    """Rebuild all schemas beside the live ones, as many at once as there are cores; returns events a second in all."""
    gate = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(service: str) -> tuple[int, float]:
        async with gate:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services", "rebuild", service,
                stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=rig.env,
            )  # fmt: skip
            out, _ = await process.communicate()
        found = re.search(r"([\d,]+) inputs? in ([\d.]+) s", out.decode())
        if process.returncode or found is None:
            raise RuntimeError(f"the rebuild of {service} failed: {out.decode()[-400:]}")
        return int(found[1].replace(",", "")), float(found[2])

    began = time.monotonic()
    each = await asyncio.gather(*[one(service) for service in SERVICES])
    seconds = time.monotonic() - began
    rates = {service: round(count / took) if took else 0 for service, (count, took) in zip(SERVICES, each, strict=True)}
    return {"events_per_s": round(sum(count for count, _ in each) / seconds), "by_service": rates}


async def bench(rig: Rig, sizes: scenarios.Sizes, found: dict[str, Any]) -> None:
    """Take every figure."""
    chosen = goods()
    await define(rig, chosen.skus)
    say("warming up")
    before = await floor.written(rig.env)
    await play(rig, "warm", sizes.warm_up_orders)
    found["idle"] = await scenarios.idle(rig)
    say("the bare chain")
    shapes = await floor.shapes(rig.env, before, sizes.warm_up_orders)
    first = await bare(rig, shapes, sizes.end_to_end_orders, 1)
    say("end to end")
    before = await floor.written(rig.env)
    found["end_to_end"] = await scenarios.end_to_end(rig, sizes)
    say("the bare chain again")
    shapes = await floor.shapes(rig.env, before, sizes.end_to_end_orders)
    last = await bare(rig, shapes, sizes.end_to_end_orders, 2)
    found["floor"] = both(first, last)
    real, least = found["end_to_end"], found["floor"]
    found["ratio"] = {
        "cpu": round(real["cpu_ms_per_order"]["stack"] / least["cpu_ms_per_order"]["stack"], 3),
        "orders_per_s": round(real["orders_per_s"] / least["orders_per_s"], 3),
        "best_peer": round(real["orders_per_s"] / report.PEER_ORDERS_PER_S, 1),
    }
    say("orders through a connector")
    found["pulled"] = await pulled(rig, sizes.pulled_orders)
    found["pulled"]["against_batches"] = round(found["pulled"]["orders_per_s"] / real["orders_per_s"], 3)
    say("single signed webhooks")
    found["webhook"] = await scenarios.webhook(rig, sizes, say)
    say("one hot SKU")
    found["hot_sku"] = await scenarios.hot_sku(rig, sizes)
    if sizes.burst:
        say("a burst")
        found["burst"] = await scenarios.burst(rig)
    say("rebuild")
    found["rebuild"] = await rebuild(rig)


def everything(sizes: scenarios.Sizes, found: dict[str, Any]) -> None:
    """Take every figure but growth on a stack of its own."""
    rig = Rig.make()
    try:
        found["start"] = {"cold_s": round(rig.up(say), 1)}
        rig.down(say)
        found["start"]["warm_s"] = round(rig.up(say), 1)
        asyncio.run(bench(rig, sizes, found))
    finally:
        rig.remove(say)


def grown(sizes: list[int], found: dict[str, Any]) -> None:
    """Take growth on another stack: its database becomes large."""
    rig = Rig.make()
    try:
        found["growth"] = {**commit_and_machine(), **growth(rig, sizes, say)}
    finally:
        rig.remove(say)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about three minutes instead of ten")
    parser.add_argument("--json", type=Path, default=BUILD / "bench.json")
    parser.add_argument("--guard", action="store_true", help="fail if an order became dearer than in the kept run")
    parser.add_argument(
        "--growth", type=lambda text: [int(size) for size in text.split(",")], default=[],
        help="take growth as well, with so many stored orders each time: 100000,1000000",
    )  # fmt: skip
    parser.add_argument("--alone", action="store_true", help="nothing but growth, beside the last run's other figures")
    asked = parser.parse_args()
    if asked.alone and not asked.growth:
        parser.error("--alone leaves only growth, and --growth is not given")
    return asked


def main() -> int:
    """Run the bench; returns the exit code."""
    asked = parse()
    found: dict[str, Any] = {"taken": time.strftime("%Y-%m-%d"), "machine": commit_and_machine()}
    if asked.alone and asked.json.exists():
        found = json.loads(asked.json.read_text("utf-8"))
    try:
        if not asked.alone:
            everything(scenarios.QUICK if asked.quick else scenarios.FULL, found)
        if asked.growth:
            grown(asked.growth, found)
    finally:
        report.write(found, asked.json)
    report.show(found, Console())
    if asked.guard and KEPT.exists():
        complaint = report.worse(found, json.loads(KEPT.read_text("utf-8")))
        if complaint:
            say(complaint)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
