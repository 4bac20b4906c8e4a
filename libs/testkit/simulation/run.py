"""Plays one seed of a scenario to its end and says what it found."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from libs.testkit.simulation.checks import check_protocol, check_replay
from libs.testkit.simulation.cluster import stream_of
from libs.testkit.simulation.loop import Endless, Stalled, VirtualLoop
from libs.testkit.simulation.world import Parts, World

REST_POLL_S = 0.25
LOST_TAIL_LIMIT_S = 20.0
GAP_ALARM = "records out of sequence or not ours"


class Scenario(Protocol):
    """What runs in a world: its services, its clients, and what must be true at the end."""

    fault_seconds: tuple[float, float]
    heal_limit_s: float

    def begin(self) -> None:
        """Start the services."""
        ...

    async def work(self) -> None:
        """Do what clients do; returns when they are done."""
        ...

    async def heal(self) -> None:
        """Do what operators do once the faults are over, until cancelled."""
        ...

    def rests(self) -> bool:
        """Tell whether, for all that the services decide, nothing is left to do."""
        ...

    def check(self) -> None:
        """Report whatever is wrong at the end."""
        ...


@dataclass
class Outcome:
    """What became of one seed. `detected`: something was lost for good, as it must be, with an alarm."""

    scenario: str
    seed: int
    failures: list[str] = field(default_factory=list)
    detected: str = ""
    hits: Counter[str] = field(default_factory=Counter)
    digest: int = 0
    events: int = 0
    virtual_s: float = 0.0
    steps: int = 0
    tail: list[str] = field(default_factory=list)


def play(name: str, make: Callable[[World], Scenario], seed: int, parts: Parts | None = None) -> Outcome:
    """Play one seed. Everything random comes from it: the same seed gives the same run, event for event."""
    outcome = Outcome(name, seed)
    before, logging = random.getstate(), structlog.get_config()
    random.seed(seed)
    loop = VirtualLoop()
    worlds: list[World] = []
    try:
        loop.set_exception_handler(lambda _, context: _unhandled(worlds, context))
        loop.run_until_complete(_run(make, seed, parts, outcome, worlds))
    except (Stalled, Endless, TimeoutError) as error:
        outcome.failures.append(f"the run never ended: {error!r}")
    finally:
        outcome.virtual_s, outcome.steps = loop.time(), loop.steps
        _abandon(loop)
        random.setstate(before)
        structlog.configure(**logging)
    if worlds:
        world = worlds[0]
        outcome.failures[:0] = world.failures
        outcome.hits, outcome.digest, outcome.events = world.faults.hits, world.trace.digest, world.trace.count
        outcome.tail = world.trace.tail()
    return outcome


def _abandon(loop: VirtualLoop) -> None:
    """Cancel what a failed run left behind, so that nothing is reported of it later."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.set_exception_handler(lambda *_: None)
        with suppress(Stalled, Endless):
            loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
    loop.close()


def _unhandled(worlds: list[World], context: Mapping[str, Any]) -> None:
    error = context.get("exception")
    if worlds and type(error).__name__ != "Dead":
        worlds[0].fail(f"nobody looked at: {context.get('message')} {error!r}")


async def _run(
    make: Callable[[World], Scenario], seed: int, parts: Parts | None, outcome: Outcome, worlds: list[World]
) -> None:
    world = World(seed, parts)
    worlds.append(world)
    _listen(world)
    scenario = make(world)
    scenario.begin()
    trouble = world.spawn(world.trouble())
    working = world.spawn(scenario.work())
    least_s, most_s = scenario.fault_seconds
    await asyncio.wait({working}, timeout=world.dice.uniform(least_s, most_s))
    trouble.cancel()
    world.heal()
    rested = await _come_to_rest(world, scenario, working)
    if not world.failures and rested:
        await world.stop()
        await _judge(world, scenario, outcome)
    elif world.cluster.lost and not world.failures:
        outcome.detected = _detection(world)
        if not outcome.detected:
            world.fail("a broker lost its tail, the system stands, and nobody said why")
    world.note("the end")


async def _come_to_rest(world: World, scenario: Scenario, working: "asyncio.Task[Any]") -> bool:
    """Wait until clients and services have nothing left to do; what a broker lost may keep them from it for good."""
    limit_s, began_s = scenario.heal_limit_s, world.loop.time()
    world.spawn(scenario.heal())
    while not world.failures:
        if working.done() and scenario.rests() and not world.unrest():
            return True
        waited_s = world.loop.time() - began_s
        if waited_s > LOST_TAIL_LIMIT_S and world.cluster.lost and _detection(world):
            return False
        if waited_s > limit_s:
            if not world.cluster.lost:
                left = "; ".join(world.unrest()[:3]) or ("orders" if working.done() else "clients")
                world.fail(f"not at rest {limit_s:.0f} s after the last fault: {left}")
            return False
        await asyncio.sleep(REST_POLL_S)
    return False


async def _judge(world: World, scenario: Scenario, outcome: Outcome) -> None:
    """Check everything; where the broker lost records, an alarm is what is asked for, and without one all must fit."""
    if world.cluster.lost:
        outcome.detected = _detection(world)
        if outcome.detected:
            return
    else:
        check_protocol(world)
        await check_replay(world)
    if not world.failures:
        scenario.check()


def _detection(world: World) -> str:
    """Return how people learn that the broker lost records, nothing if nobody was told although a reader saw a gap.

    A reader says so as soon as anything comes after what it misses. What no reader misses, or what nothing came after,
    only a comparison of outbox, log and positions can tell, which is what the invariants do on a real system.
    """
    for alarm in world.alarms:
        return alarm
    if world.cluster.gap_shown:
        return ""
    for place in sorted(world.cluster.lost):
        for record in world.cluster.at(place):
            (source, topic, part), seq = stream_of(record)
            for name, shard in world.shards.items():
                stored = shard.database.stored
                if place in stored.offsets and stored.seqs.get((topic, part, source), 0) < seq:
                    return f"positions and log differ: {name} passed over number {seq} of {source} in {topic}/{part}"
    for text in world.unrest():
        if "readers get" in text:
            return f"outbox and log differ: {text}"
    return ""


def _listen(world: World) -> None:
    """Take the production code's own words into the trace; its alarms count as detection."""

    def take(_: Any, method: str, line: MutableMapping[str, Any]) -> Any:
        event = str(line.get("event"))
        if event == GAP_ALARM or line.get("kind") == "position lost":
            world.alarms.append(f"{line.get('service')}: {event} {line.get('error', '')}")
        world.note(f"{line.get('service')}: {event} {line.get('error', '')}")
        raise structlog.DropEvent

    structlog.configure(
        processors=[take],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=False,
    )
