"""Plays many seeds, in a few processes, and adds up what they found; every fifth seed is a whole system."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from libs.testkit.simulation.chain import Chain
from libs.testkit.simulation.faults import ALL_POINTS
from libs.testkit.simulation.run import Outcome, Scenario, play
from libs.testkit.simulation.world import Parts, World
from simulation.whole import Whole

WHOLE_EVERY = 5
SEEDS_PER_TASK = 20
FAILURES_LIMIT = 10
# With fewer seeds it is no wonder that some point was never reached.
POINTS_LIMIT_SEEDS = 300


def scenario_of(seed: int) -> tuple[str, Callable[[World], Scenario]]:
    """Return what a seed plays."""
    return ("whole", Whole) if seed % WHOLE_EVERY == 0 else ("chain", Chain)


def play_seed(seed: int, parts: Parts | None = None) -> Outcome:
    """Play one seed."""
    name, make = scenario_of(seed)
    return play(name, make, seed, parts)


@dataclass
class Summary:
    """What many seeds found."""

    seeds: int = 0
    detected: int = 0
    events: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    took_s: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take in one seed."""
        self.seeds += 1
        self.detected += bool(outcome.detected)
        self.events += outcome.events
        self.steps += outcome.steps
        self.virtual_s += outcome.virtual_s
        self.hits.update(outcome.hits)
        if outcome.failures:
            self.failed.append(outcome)

    @property
    def never(self) -> list[str]:
        """Return the points that no seed reached: what they stand for was not tested."""
        return [point for point in ALL_POINTS if not self.hits[point]]

    @property
    def ok(self) -> bool:
        """Tell whether nothing failed and, with seeds enough, every point was reached."""
        return not self.failed and not (self.never and self.seeds >= POINTS_LIMIT_SEEDS)


def play_seeds(seeds: range, processes: int = 1, shown: Callable[[Summary], Any] | None = None) -> Summary:
    """Play seeds until they are done or too many failed."""
    summary, began_s = Summary(), time.monotonic()
    for outcomes in _played(_cut(seeds), processes):
        for outcome in outcomes:
            summary.add(outcome)
        summary.took_s = time.monotonic() - began_s
        if shown is not None:
            shown(summary)
        if len(summary.failed) >= FAILURES_LIMIT:
            break
    return summary


def _cut(seeds: range) -> list[range]:
    return [seeds[start : start + SEEDS_PER_TASK] for start in range(0, len(seeds), SEEDS_PER_TASK)]


def _played(tasks: Iterable[range], processes: int) -> Iterator[list[Outcome]]:
    if processes == 1:
        yield from map(_task, tasks)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_task, tasks)


def _task(seeds: range) -> list[Outcome]:
    logging.disable(logging.CRITICAL)  # asyncio reports slow callbacks and lost tasks; the trace has all that counts
    try:
        outcomes = [play_seed(seed) for seed in seeds]
    finally:
        logging.disable(logging.NOTSET)
    for outcome in outcomes:
        if not outcome.failures:
            outcome.tail = []
    return outcomes
