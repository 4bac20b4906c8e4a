"""A worker without its publisher would decide and never say: when a part of it ends, the whole of it ends."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from libs.stream.log import Outgoing
from libs.stream.memory import MemoryCluster, MemoryJournal, MemoryLog, Stored
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
