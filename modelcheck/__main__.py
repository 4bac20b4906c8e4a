"""`python -m modelcheck`: visits every state that one order can bring the system into, and says what it found."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from modelcheck.scenarios import Scenario, full, quick
from modelcheck.search import STATES_LIMIT, LimitReached, check
from modelcheck.telling import story_of
from modelcheck.town import Town

PROCESSES_LIMIT = 8
# What a process remembers of decisions is dropped after so many: they are made again faster than memory grows.
REMEMBERED_DECISIONS_LIMIT = 400_000


class Line(NamedTuple):
    """What is printed of one scenario."""

    name: str
    states: int
    transitions: int
    tower_states: int
    decisions: int
    batches: int
    redelivered: int
    deepest: int
    seconds: float
    ends: str
    story: list[str]


_town: list[Town] = []


def search(job: tuple[Scenario, int]) -> Line:
    """Check one scenario in this process, with what it already knows of the services."""
    scenario, states_limit = job
    if not _town or _town[0].counts.decisions > REMEMBERED_DECISIONS_LIMIT:
        _town[:] = [Town()]
    counts = _town[0].counts
    decisions, batches, redelivered = counts.decisions, counts.batches, counts.redelivered
    try:
        found = check(scenario, _town[0], states_limit=states_limit)
    except LimitReached as reached:
        return Line(scenario.name, 0, 0, 0, 0, 0, 0, 0, 0.0, "", [f"  {reached}"])
    return Line(
        scenario.name,
        found.states,
        found.transitions,
        found.tower_states,
        counts.decisions - decisions,
        counts.batches - batches,
        counts.redelivered - redelivered,
        found.deepest,
        found.seconds,
        ", ".join(f"{stage} {number}" for stage, number in sorted(found.ends.items())),
        story_of(found) if found.broken else [],
    )


def lines(jobs: list[tuple[Scenario, int]], processes: int) -> Iterator[Line]:
    """Check scenarios, several at a time."""
    if processes == 1:
        yield from map(search, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(search, jobs)


def main() -> int:
    """Run what was asked for; 1 if a law does not hold anywhere."""
    parser = argparse.ArgumentParser(prog="python -m modelcheck", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the slice that the tests run")
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios whose name contains TEXT")
    parser.add_argument(
        "--states-limit", type=int, default=STATES_LIMIT, help="give up a scenario beyond (%(default)s)"
    )
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, PROCESSES_LIMIT))
    parser.add_argument("--list", action="store_true", help="only list the scenarios")
    asked = parser.parse_args()
    scenarios = [scenario for scenario in (quick() if asked.quick else full()) if asked.only in scenario.name]
    if asked.list:
        print("\n".join(scenario.name for scenario in scenarios))
        return 0
    began = time.perf_counter()
    seen: list[Line] = []
    print(f"{'states':>9} {'transitions':>11} {'deepest':>7} {'seconds':>7}  scenario -> how its runs end")
    for line in lines([(scenario, asked.states_limit) for scenario in scenarios], asked.processes):
        seen.append(line)
        head = f"{line.states:9} {line.transitions:11} {line.deepest:7} {line.seconds:7.1f}"
        print(f"{head}  {line.name} -> {line.ends}", flush=True)
        if line.story:
            print("\n".join(line.story), flush=True)
    broken = [line for line in seen if line.story]
    print(
        f"\n{len(seen)} scenarios: {sum(line.states for line in seen)} states, "
        f"{sum(line.transitions for line in seen)} transitions, "
        f"{sum(line.tower_states for line in seen)} states of the tower, "
        f"in {time.perf_counter() - began:.0f} s"
    )
    print(
        f"behind them: {sum(line.decisions for line in seen)} decisions made twice (a lost commit), "
        f"{sum(line.redelivered for line in seen)} records offered twice (a redelivery), "
        f"{sum(line.batches for line in seen)} batches compared with their messages one by one"
    )
    print("every law holds" if not broken else f"{len(broken)} scenarios break a law")
    return 1 if broken or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
