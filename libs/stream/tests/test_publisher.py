"""Published in order, again from the same record after a failure, and acknowledged only as a contiguous prefix."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from libs.stream import publisher as module
from libs.stream.log import Outgoing, Place, PublishFailed
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.stream.publisher import Publisher
from libs.testkit.waiting import until

WAIT_LIMIT_S = 5.0


class Sick(MemoryLog):
    """A log that fails as often as told, each time after taking some of the records; `gate` holds it up."""

    def __init__(self, takes: Sequence[int | None]) -> None:
        super().__init__(MemoryCluster(partitions=2))
        self.takes = list(takes)
        self.asked: list[list[int]] = []
        self.begun = self.resets = 0
        self.broken = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, records: Sequence[Outgoing]) -> None:
        assert not self.broken, "a producer that failed is thrown away first"
        self.begun += 1
        await self.gate.wait()
        self.asked.append([record.seq for record in records])
        takes = self.takes.pop(0) if self.takes else None
        await super().publish(records if takes is None else records[:takes])
        if takes is not None:
            self.broken = True
            raise PublishFailed("no acknowledgement")

    async def reset_publishing(self) -> None:
        self.resets += 1
        self.broken = False


class Acked:
    """What was acknowledged, and that it only ever grows by one."""

    def __init__(self) -> None:
        self.upto: dict[Place, int] = {}
        self.failures = 0

    def note(self, place: Place, seq: int) -> None:
        assert seq == self.upto.get(place, 0) + 1, "a contiguous prefix"
        self.upto[place] = seq

    def failed(self, error: PublishFailed) -> None:
        self.failures += 1


def out(first: int, last: int, partition: int = 0) -> list[Outgoing]:
    return [Outgoing("t", partition, seq, 0, b"k", b"v", ()) for seq in range(first, last + 1)]


@asynccontextmanager
async def publishing(log: Sick) -> AsyncIterator[tuple[Publisher, Acked]]:
    acked = Acked()
    publisher = Publisher(log, acked.note, acked.failed)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher, acked
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def idle(publisher: Publisher) -> None:
    assert await publisher.room(1, WAIT_LIMIT_S)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Back-off without waiting; what would have been waited is kept."""
    waits: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            waits.append(seconds)
        await real(0)

    # Only the publisher's own sleep: others on this loop go on sleeping as they like.
    names = {name: getattr(asyncio, name) for name in dir(asyncio)}
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**names | {"sleep": sleep}))
    return waits


async def test_everything_offered_is_published_in_order() -> None:
    log = Sick([])
    async with publishing(log) as (publisher, acked):
        for first in range(1, 100, 3):
            publisher.offer(out(first, first + 2))
        publisher.offer([])
        publisher.offer(out(1, 5, partition=1))
        await idle(publisher)
    assert acked.upto == {("t", 0): 99, ("t", 1): 5}
    assert (publisher.unsent_records, acked.failures, log.resets) == (0, 0, 0)


@pytest.mark.parametrize("takes", [[0], [3], [5], [0, 2, 4, 5, 0]])
async def test_after_a_failure_the_same_records_come_again_in_the_same_order(takes: list[int]) -> None:
    log = Sick(takes)
    async with publishing(log) as (publisher, acked):
        publisher.offer(out(1, 5))
        await until(lambda: acked.failures > 0, WAIT_LIMIT_S, 0)
        publisher.offer(out(6, 7))
        await idle(publisher)
    assert log.asked == [[1, 2, 3, 4, 5]] * (len(takes) + 1) + [[6, 7]]
    assert (acked.upto, acked.failures, log.resets) == ({("t", 0): 7}, len(takes), len(takes))
    held = len(log.cluster.at(("t", 0)))
    assert held == 7 + sum(takes), "what was taken before a failure is there twice, and readers count it once"


async def test_nothing_is_acknowledged_while_a_publish_is_under_way() -> None:
    log = Sick([2])
    log.gate.clear()
    async with publishing(log) as (publisher, acked):
        publisher.offer(out(1, 3))
        await until(lambda: log.begun == 1, WAIT_LIMIT_S, 0)
        assert (acked.upto, publisher.unsent_records) == ({}, 3)
        log.gate.set()
        await until(lambda: acked.failures == 1, WAIT_LIMIT_S, 0)
        assert acked.upto == {}, "two of the three may be in the log, and nobody can tell"
        await idle(publisher)
        assert acked.upto == {("t", 0): 3}


async def test_back_off_doubles_to_its_limit_and_starts_anew(quick: list[float]) -> None:
    log = Sick([0] * 9)
    async with publishing(log) as (publisher, _):
        publisher.offer(out(1, 1))
        await idle(publisher)
        log.takes = [0]
        publisher.offer(out(2, 2))
        await idle(publisher)
    assert quick == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 0.05]


async def test_a_publish_is_bounded_and_never_tears_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORDS_PER_PUBLISH", 10)
    log = Sick([])
    log.gate.clear()
    async with publishing(log) as (publisher, _):
        for first, last in ((1, 4), (5, 8), (9, 12), (13, 40), (41, 42)):
            publisher.offer(out(first, last))
        log.gate.set()
        await idle(publisher)
    assert [(asked[0], asked[-1]) for asked in log.asked] == [(1, 8), (9, 12), (13, 40), (41, 42)]


async def test_a_sick_log_costs_bounded_memory() -> None:
    log = Sick([])
    log.gate.clear()
    async with publishing(log) as (publisher, _):
        publisher.offer(out(1, 10))
        assert await publisher.room(11, 0)
        assert not await publisher.room(10, 0.05)
        log.gate.set()
        assert await publisher.room(10, WAIT_LIMIT_S)
        assert publisher.unsent_records == 0


async def test_a_failure_nobody_foresaw_ends_the_publisher_loudly() -> None:
    log = Sick([])
    log.broken = True
    acked = Acked()
    publisher = Publisher(log, acked.note, acked.failed)
    task = asyncio.create_task(publisher.run())
    publisher.offer(out(1, 1))
    with pytest.raises(AssertionError):
        async with asyncio.timeout(WAIT_LIMIT_S):
            await task
    assert acked.upto == {}
