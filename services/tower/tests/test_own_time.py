"""Figures and timelines follow the events' own times, however late and in whatever batches the tower reads them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.envelope import Event
from contracts.parked import MessageParked
from libs.stream.memory import MemoryJournal, MemoryLog, Stored
from libs.stream.replay import RecordedBatch, Replay
from libs.stream.worker import Worker
from libs.testkit.waiting import until
from services.tower.domain import OrderView, ParkedCount, PickLatency, StageCount, TimelineEntry
from services.tower.handlers import handlers
from services.tower.tests.stack import Topics
from services.tower.tests.stories import (
    AMENDED,
    BLOCKED,
    CHANGED,
    CLEARED,
    HELD,
    NOW,
    ORDER,
    PLACED,
    PLANNED,
    RESERVED,
    SHORT,
    assigned,
    created,
)

READ_AT = NOW + timedelta(hours=3)
WAIT_LIMIT_S = 10


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def read_by(stored: Stored, topics: Topics) -> bool:
    return stored.batch_no > 0 and sum(stored.offsets.values()) == topics.count()


@asynccontextmanager
async def reading(topics: Topics, stored: Stored, now: datetime = READ_AT) -> AsyncIterator[Worker]:
    journal = MemoryJournal(stored, lambda: now)
    worker = Worker(handlers(), journal, MemoryLog(topics.cluster), owner="a", clock=lambda: now)
    task = asyncio.create_task(worker.run())
    try:
        await until(lambda: worker._serving and read_by(stored, topics), WAIT_LIMIT_S)
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(WAIT_LIMIT_S):
            await task


async def read(topics: Topics) -> Stored:
    stored = Stored()
    async with reading(topics, stored):
        return stored


async def told(*events: tuple[Event, float]) -> Stored:
    topics = Topics()
    for event, seconds in events:
        topics.say(event, at=at(seconds))
    return await read(topics)


def timeline(stored: Stored) -> list[TimelineEntry]:
    return [entry for entry in stored.entries[TimelineEntry] if isinstance(entry, TimelineEntry)]


async def test_an_order_whose_events_meet_in_one_batch_took_as_long_as_it_took() -> None:
    way: Sequence[Event] = [PLACED, CLEARED, RESERVED, PLANNED, assigned("p"), created("p")]
    stored = await told(*[(event, n / 10) for n, event in enumerate(way)])
    assert len(stored.batches) == 1
    [latency] = stored.entries[PickLatency]
    assert isinstance(latency, PickLatency)
    assert (latency.accepted_at, latency.pick_task_at) == (NOW, at(0.5))
    assert {entry.type: entry.at for entry in timeline(stored)} == {
        type(event).__name__: at(n / 10) for n, event in enumerate(way)
    }
    view = stored.row(OrderView, ORDER)
    assert (view.accepted_at, view.stage, view.stage_since) == (NOW, "assigned", at(0.4))


@pytest.mark.parametrize(
    ("events", "stage", "since_s"),
    [
        ([(PLACED, 0), (CLEARED, 1), (RESERVED, 2), (BLOCKED, 3), (CHANGED, 4)], "blocked", 3),
        ([(PLACED, 0), (SHORT, 2), (HELD, 3), (CLEARED, 10)], "short", 10),
        ([(PLACED, 0), (AMENDED, 60)], "received", 0),
    ],
)
async def test_a_stage_lasts_since_the_event_that_began_it(events: Any, stage: str, since_s: int) -> None:
    view = (await told(*events)).row(OrderView, ORDER)
    assert (view.stage, view.stage_since) == (stage, at(since_s))


async def test_a_record_without_a_time_counts_as_of_when_it_is_read() -> None:
    topics = Topics()
    topics.say(PLACED, at=at(0), timestamp_ms=-1)
    topics.say(CLEARED, at=at(1), timestamp_ms=2**62)
    stored = await read(topics)
    assert [entry.at for entry in timeline(stored)] == [READ_AT, READ_AT]


def parked(by: str) -> MessageParked:
    return MessageParked(
        message_key=ORDER,
        service=by,
        origin_topic="ordo.orders.v1",
        origin_partition=0,
        origin_offset=1,
        origin_source="ingestion/0/1",
        origin_seq=2,
        message_type="OrderAmended",
        error="DecodeError: x",
    )


async def test_what_others_parked_does_not_wait_behind_what_the_tower_parked_itself() -> None:
    topics = Topics()
    topics.say(PLACED, at=at(0))
    topics.say(AMENDED, at=at(1), value=b'{"order_id": ')
    topics.say(parked("risk"), writer="risk", at=at(2))
    stored = Stored()
    async with reading(topics, stored):
        # Whether it is parked in the same batch or has been for long.
        topics.say(parked("routing"), writer="routing", at=at(3))
        topics.say(CLEARED, at=at(4))
        await until(lambda: read_by(stored, topics), WAIT_LIMIT_S)
    [count] = stored.all_rows(ParkedCount)
    assert (count.messages, count.behind, count.last_at) == (2, 0, at(3))
    assert [(entry.type, entry.at) for entry in timeline(stored)] == [
        ("OrderPlaced", NOW),
        ("MessageParked", at(2)),
        ("MessageParked", at(3)),
    ]
    assert [(each.type, each.behind) for each in stored.parked] == [("OrderAmended", False), ("OrderCleared", True)]


async def test_what_is_redriven_counts_as_of_when_it_was_parked_and_a_replay_gives_all_of_it_again() -> None:
    topics = Topics()
    topics.say(PLACED, at=at(0))
    topics.say(created("p"), at=at(1))
    stored = Stored()
    # As if a mistake of an earlier version, mended since, had parked the order's first word.
    stored.check = lambda row: "not now" if isinstance(row, OrderView) else None
    async with reading(topics, stored):
        assert len(stored.parked) == 2
    stored.check = lambda row: None
    async with reading(topics, stored, READ_AT + timedelta(days=1)) as worker:
        assert (await worker.redrive(ORDER)).status == 200
        topics.say(CLEARED, at=at(5))
        await until(lambda: read_by(stored, topics), WAIT_LIMIT_S)
    assert [entry.at for entry in timeline(stored)] == [READ_AT, READ_AT, at(5)]
    again = Stored()
    journal = MemoryJournal(again, lambda: READ_AT + timedelta(days=1))
    replay = Replay(handlers(), journal, MemoryLog(topics.cluster), topics.cluster.partitions)
    await replay.start(dict.fromkeys(stored.offsets, 0))
    for batch_no, decided_at, inputs in stored.batches:
        await replay.decide(RecordedBatch(batch_no, decided_at, inputs))
    assert (again.entries, again.rows) == (stored.entries, stored.rows)


async def test_stages_still_count_every_order_once() -> None:
    stored = await told((PLACED, 0), (HELD, 1), (CLEARED, 2), (SHORT, 3), (RESERVED, 4))
    assert {row.stage: row.orders for row in stored.all_rows(StageCount) if row.orders} == {"received": 1}
    assert stored.row(OrderView, ORDER).stage_since.astimezone(UTC) == at(4)
