"""Publishes committed records in order, and knows the end of the contiguous acknowledged prefix."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from libs.stream.log import Log, Outgoing, Place, PublishFailed

RETRY_FIRST_MS = 50
RETRY_LAST_MS = 2_000
RECORDS_PER_PUBLISH = 2_000


class Publisher:
    """One publish at a time; after a failure the same records again, in the same order, from a fresh producer.

    Never skips: `acked` only moves over records the log acknowledged, so the cursor is always a contiguous prefix.
    A record published twice is harmless: readers accept a sequence number once.
    """

    def __init__(self, log: Log, acked: Callable[[Place, int], None], failed: Callable[[PublishFailed], None]) -> None:
        self._log = log
        self._acked = acked
        self._failed = failed
        self._waiting: deque[Sequence[Outgoing]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.unsent_records = 0

    def offer(self, records: Sequence[Outgoing]) -> None:
        """Queue committed records, in sequence order."""
        if records:
            self._waiting.append(records)
            self.unsent_records += len(records)
            self._news.set()

    async def room(self, unsent_limit_records: int, wait_limit_s: float) -> bool:
        """Wait until fewer than `unsent_limit_records` are queued: the bound on what a sick log may cost in memory.

        Returns whether that is so; one less is everything acknowledged.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_limit_s):
                while self.unsent_records >= unsent_limit_records:
                    self._room.clear()
                    await self._room.wait()
        return self.unsent_records < unsent_limit_records

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._publish_some()

    async def _publish_some(self) -> None:
        batches = 0
        records: list[Outgoing] = []
        for waiting in self._waiting:
            if records and len(records) + len(waiting) > RECORDS_PER_PUBLISH:
                break
            records.extend(waiting)
            batches += 1
        retry_ms = RETRY_FIRST_MS
        while True:
            try:
                await self._log.publish(records)
                break
            except PublishFailed as error:
                self._failed(error)
                await self._log.reset_publishing()
                await asyncio.sleep(retry_ms / 1000)
                retry_ms = min(retry_ms * 2, RETRY_LAST_MS)
        for _ in range(batches):
            self._waiting.popleft()
        for record in records:
            self._acked((record.topic, record.partition), record.seq)
        self.unsent_records -= len(records)
        self._room.set()


def must_run(helpers: Sequence["asyncio.Task[None]"]) -> None:
    """Raise if a task beside the loop has ended: without it everything would be decided and nothing would leave."""
    for helper in helpers:
        if helper.done():
            raise RuntimeError("a part of the worker ended") from (None if helper.cancelled() else helper.exception())
