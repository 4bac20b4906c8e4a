"""`python -m loadtests.chaos`: hurts a whole stack under load for some minutes, then checks that nothing came of it."""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import asyncpg
from rich.console import Console

from deploy.local.layout import ROOT
from libs.stream.log import FetchFailed, PositionLost
from libs.testkit.invariants.cut import SchemaMissing
from loadtests.chaos.asking import Clients
from loadtests.chaos.disks import CannotMount
from loadtests.chaos.driver import Damage, Driver
from loadtests.chaos.goods import assortment
from loadtests.chaos.health import Health, NotHealthy
from loadtests.chaos.load import Load
from loadtests.chaos.people import People
from loadtests.chaos.report import Run, show, write_json
from loadtests.chaos.rig import Rig
from loadtests.chaos.schedule import KINDS, KINDS_MINUTES, faults, missing, points
from loadtests.chaos.told import Notebook, NotebookTaken
from loadtests.chaos.verdict import Verdict, reach_verdict

BUILD = ROOT / "build"
ORDERS_PER_SECOND = 12.0
FINISH_LIMIT_S = 120.0
WELL_AT_START_LIMIT_S = 60.0
WELL_AT_END_LIMIT_S = 120.0
DRAIN_LIMIT_S = 180.0
FAILED, CANNOT = 1, 2
KEPT_SETTINGS = frozenset({"ORDO_CACHE"})


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--orders-per-second", type=float, default=ORDERS_PER_SECOND)
    parser.add_argument("--only", action="append", choices=KINDS, help="only these kinds of faults; may be repeated")
    parser.add_argument("--json", type=Path, default=BUILD / "chaos.json")
    chosen = parser.parse_args(arguments)
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(1_000_000)
    chosen.only = tuple(chosen.only or KINDS)
    return chosen


async def play(rig: Rig, chosen: argparse.Namespace, notebook: Notebook) -> Run:
    """Load, hurt, heal, drain, check."""
    prefix, seconds = f"c{chosen.seed}", chosen.minutes * 60
    clients = Clients(rig.env, notebook, random.Random(chosen.seed))
    goods = assortment()
    expected = int(seconds * chosen.orders_per_second)
    dice = random.Random(chosen.seed + 1)
    load = Load(clients, goods, chosen.orders_per_second, expected, prefix, dice)
    people = People(clients, random.Random(chosen.seed + 2))
    health = Health(clients, prefix)
    schedule = faults(chosen.seed, chosen.only)
    full = chosen.minutes >= KINDS_MINUTES
    driver = Driver(rig, health, schedule, len(points(chosen.only)) if full else len(chosen.only), say)
    took: dict[str, float] = {}
    began_s = time.monotonic()
    try:
        await load.define()
        await health.wait(WELL_AT_START_LIMIT_S)
        took["define"] = time.monotonic() - began_s
        say(f"{len(goods.demand_units)} SKUs, {len(goods.orders)} real orders in turn, {chosen.orders_per_second:g}/s")
        await _hurt(driver, load, people, clients, seconds)
        took["faults and finish"] = time.monotonic() - began_s - took["define"]
        await _heal(rig, health, driver.damage)
        notebook.close()
        say("every process is healed: draining and checking")
        checked_s = time.monotonic()
        verdict = await _judged(rig, notebook, clients, driver.damage)
        took["drain and check"] = time.monotonic() - checked_s
    finally:
        await clients.close()
    counts = {**load.counts, **people.counts, "requests": clients.requests, "repeats": clients.repeats}
    return _run(chosen, driver.damage, verdict, counts | clients.refused, took)


async def _judged(rig: Rig, notebook: Notebook, clients: Clients, damage: Damage) -> Verdict:
    """Return the verdict; a system so broken that it cannot be looked at fails the run in words."""
    try:
        return await reach_verdict(rig.env, notebook.path, clients.unanswered, DRAIN_LIMIT_S)
    except (FetchFailed, PositionLost, SchemaMissing, asyncpg.PostgresError, OSError) as error:
        damage.unwell.append(f"nothing could be compared: {error!r}")
        return Verdict()


def _run(
    chosen: argparse.Namespace, damage: Damage, verdict: Verdict, counts: dict[str, int], took: dict[str, float]
) -> Run:
    lacking = missing(damage.hits, chosen.minutes, chosen.only)
    return Run(chosen.minutes, chosen.seed, chosen.only, damage, verdict, lacking, counts, took)


async def _hurt(driver: Driver, load: Load, people: People, clients: Clients, seconds: float) -> None:
    """Run load, people and faults; then let everybody finish what was begun."""
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        group.create_task(people.run())
        try:
            await driver.run(seconds)
        except NotHealthy as error:
            # The damage keeps it for the report: the run has failed, and is judged all the same.
            say(str(error))
        finally:
            driver.rig.heal()
            load.stop()
            people.stop()
            clients.give_up_at_s = time.monotonic() + FINISH_LIMIT_S


async def _heal(rig: Rig, health: Health, damage: Damage) -> None:
    rig.heal()
    try:
        await health.wait(WELL_AT_END_LIMIT_S)
    except NotHealthy as error:
        damage.unwell.append(f"at the end: {error}")


def main(arguments: list[str]) -> int:
    """Run, report, and return the exit code."""
    chosen = parse(arguments)
    for name in [name for name in os.environ if name.startswith("ORDO_") and name not in KEPT_SETTINGS]:
        # A stack of ours must not be led to somebody's Kafka, Postgres or secrets.
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(FAILED))
    try:
        notebook = Notebook(BUILD / "chaos-told.jsonl")
    except NotebookTaken as taken:
        say(f"{taken}: wait for it, or run in another folder")
        return CANNOT
    rig = Rig.make()
    say(f"seed {chosen.seed}, {chosen.minutes:g} minutes; the stack lives in {rig.layout.state}")
    try:
        rig.start(say)
        run = asyncio.run(play(rig, chosen, notebook))
    except CannotMount as refused:
        say(f"small disks cannot be mounted here (root and `mount` are needed): {refused}")
        return CANNOT
    finally:
        rig.heal()
        rig.remove(BUILD / "chaos-logs", say)
    write_json(chosen.json, run)
    show(run, Console() if sys.stdout.isatty() else Console(width=160))
    return 0 if run.passed else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
