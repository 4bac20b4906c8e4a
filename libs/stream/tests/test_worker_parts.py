"""A worker without its publisher would decide and never say: when a part of it ends, the whole of it ends."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from libs.stream.log import Outgoing
from libs.stream.memory import MemoryCluster, MemoryJournal, MemoryLog, Stored
from libs.stream.pace import Pace
from libs.stream.worker import Worker
from libs.testkit.tally import HANDLERS, LIMITS, cancels


class BrokenLog(MemoryLog):
    """Fails in a way that nobody foresaw."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        raise self.failure

    failure: BaseException = ValueError("who would have thought")


class CancellingLog(BrokenLog):
    """Cancels whoever waits: what a client library may do with the futures of a producer it closes."""

    failure = asyncio.CancelledError()


@pytest.mark.parametrize("log", [BrokenLog, CancellingLog])
async def test_the_worker_ends_with_its_publisher(log: type[BrokenLog]) -> None:
    cluster, stored = MemoryCluster(4), Stored()
    worker = Worker(
        HANDLERS,
        MemoryJournal(stored, lambda: datetime.now(UTC)),
        log(cluster),
        owner="a",
        clock=lambda: datetime.now(UTC),
        limits=LIMITS,
    )
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(5):
        for record in cancels({}, cluster.partitions, ("o1", "")):
            cluster.append(record)
        with pytest.raises(RuntimeError, match="a part of the worker ended"):
            await task


def test_a_busy_worker_rests_in_proportion_and_an_idle_one_does_not() -> None:
    pace = Pace(rests=4.0, limit_ms=250)
    assert pace.rest_s(100.0) == 0
    pace.note(100.0, 100.02, full=False)
    assert pace.rest_s(100.02) == pytest.approx(0.06), "batches begin four durations apart"
    assert pace.rest_s(100.5) == 0, "it was idle meanwhile"
    pace.note(200.0, 201.0, full=False)
    assert pace.rest_s(200.1) == pytest.approx(0.15), "within the limit"
    pace.note(300.0, 300.02, full=True)
    assert pace.rest_s(300.02) == 0, "more waits already"
