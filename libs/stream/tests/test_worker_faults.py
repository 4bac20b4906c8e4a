"""What goes wrong beside a message stays beside it: timers, redrives, publishing, writing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from contracts.orders import OrderCancelRequested
from libs.decide import Due, Handlers, On, Output, Reply, State, Wake
from libs.stream.desk import Desk, NotServing
from libs.stream.limits import Limits
from libs.stream.log import Outgoing, PublishFailed
from libs.stream.memory import MemoryCluster, MemoryJournal, MemoryLog, Stored
from libs.stream.replay import RecordedBatch, Replay
from libs.stream.tests.batches import rejected
from libs.stream.tests.test_worker_memory import clock, feed
from libs.stream.worker import Worker
from libs.testkit.tally import HANDLERS, LIMITS, Add, Out, Tally
from libs.testkit.waiting import until

FULL = Limits(lease_ms=600, fetch_timeout_ms=50, retry_first_ms=10, unsent_records=10)
LATER = ("later", "o1")


def extend(command: Add, state: State, now: object) -> list[Output]:
    """Set the order's timer anew, as a picker who works on keeps a claim."""
    return [Wake(kind="later", key=command.order_id, at=clock() + timedelta(hours=1)), Reply(body={})]


def come(due: Due, state: State, now: object) -> list[Output]:
    """Decide nothing: the timer that came was not the last word."""
    return []


EXTENDING = replace(
    HANDLERS,
    on={**HANDLERS.on, Add: On(extend, needs=lambda _: {})},
    timers={"later": On(come, needs=lambda _: {})},
)


@asynccontextmanager
async def running(handlers: Handlers, log: MemoryLog, stored: Stored, limits: Limits = LIMITS) -> AsyncIterator[Worker]:
    worker = Worker(
        handlers,
        MemoryJournal(stored, clock),
        log,
        owner="a",
        clock=clock,
        senders={"out": Out()},
        limits=limits,
    )
    task = asyncio.create_task(worker.run())
    try:
        await until(lambda: worker._serving, 5)
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(5):
            with suppress(RuntimeError):
                await task


async def test_a_halved_batch_keeps_the_timer_that_its_first_half_set() -> None:
    stored, cluster = Stored(), MemoryCluster(partitions=1)
    stored.check = lambda row: "no" if isinstance(row, Tally) and row.order_id == "bad" else None
    past = clock() - timedelta(seconds=1)
    stored.timers = {LATER: past, ("later", "o2"): past}
    log = MemoryLog(cluster)
    worker = Worker(EXTENDING, MemoryJournal(stored, clock), log, owner="a", clock=clock, limits=LIMITS)
    resume = await worker._journal.acquire("a", 60_000)
    assert resume is not None
    worker._resume = resume
    await worker._take_positions()
    feed(cluster, ("bad", ""))
    asked = asyncio.create_task(worker._desk.submit(Add(order_id="o1", amount=1), "k"))
    await until(lambda: worker._desk.waiting, 5)
    assert await worker._round(await log.fetch(10, 0))
    await asked
    assert len(stored.batches) > 1, "what the database refused halved the batch"
    assert [parked.key for parked in stored.parked] == ["bad"]
    assert list(stored.timers) == [LATER]
    assert stored.timers[LATER] > clock()


async def test_a_timer_decided_again_takes_no_newer_one_away_and_is_replayed_once() -> None:
    stored, cluster, well = Stored(), MemoryCluster(partitions=1), False

    def wake(due: Due, state: State, now: object) -> list[Output]:
        if not well:
            raise ValueError("not yet")
        tally = state.get(Tally, due.key)
        assert tally is not None
        tally.woken += 1
        state.put(tally)
        return []

    handlers = replace(HANDLERS, timers={"later": On(wake, needs=lambda due: {Tally: [(due.key,)]})})
    feed(cluster, ("o1", ""))
    async with running(handlers, MemoryLog(cluster), stored) as worker:
        await until(lambda: stored.parked and stored.row(Tally, "o1").told == "ok", 5)
        well = True
        stored.timers[LATER] = clock() + timedelta(hours=1)
        assert (await worker.redrive("o1")).status == 200
    assert stored.row(Tally, "o1").woken == 1
    assert LATER in stored.timers
    again = Stored()
    replay = Replay(handlers, MemoryJournal(again, clock), MemoryLog(cluster), 1)
    await replay.start(dict.fromkeys(stored.offsets, 0))
    for number, at, inputs in stored.batches:
        await replay.decide(RecordedBatch(number, at, msgspec.json.decode(msgspec.json.encode(inputs))))
    assert again.row(Tally, "o1").woken == 1


class Stuck(MemoryLog):
    """Takes no record, until it is well."""

    well = False

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Refuse, or append."""
        if not self.well:
            raise PublishFailed("not enough replicas")
        await super().publish(records)


async def test_a_worker_that_cannot_publish_says_so_keeps_its_lease_and_stops_when_told() -> None:
    stored, cluster = Stored(), MemoryCluster(partitions=1)
    log = Stuck(cluster)
    async with running(HANDLERS, log, stored, FULL) as worker:
        feed(cluster, *[(f"o{n}", "") for n in range(30)])
        await until(lambda: worker._publisher.unsent_records >= 30, 5)
        told = await worker.readiness()
        assert (told.ready, told.reasons) == (False, ["30 events wait to be published"])
        kept = stored.expires_at
        await until(lambda: stored.expires_at > kept, 5)
        log.well = True

        async def ready() -> bool:
            return (await worker.readiness()).ready

        await until(ready, 5)
        log.well = False
        feed(cluster, *[(f"p{n}", "") for n in range(30)])
        await until(lambda: worker._publisher.unsent_records >= 30, 5)


async def test_a_publisher_that_ended_is_noticed_while_its_room_is_waited_for() -> None:
    class Ending(MemoryLog):
        async def publish(self, records: Sequence[Outgoing]) -> None:
            await asyncio.wait_for(full.wait(), 5)
            raise AssertionError("something in the client")

    stored, cluster, full = Stored(), MemoryCluster(partitions=1), asyncio.Event()
    async with running(HANDLERS, Ending(cluster), stored, FULL) as worker:
        feed(cluster, *[(f"o{n}", "") for n in range(30)])
        await until(lambda: worker._publisher.unsent_records >= 30, 5)
        full.set()
        await until(lambda: not worker._serving, 5)


async def test_an_event_that_cannot_be_written_is_its_messages_fault_alone() -> None:
    def say(event: OrderCancelRequested, state: State, now: object) -> list[Output]:
        return [rejected(event.order_id, object() if event.order_id == "bad" else 1)]  # type: ignore[arg-type]

    stored, cluster = Stored(), MemoryCluster(partitions=1)
    handlers = replace(HANDLERS, on={**HANDLERS.on, OrderCancelRequested: On(say, needs=lambda _: {})})
    feed(cluster, ("a", ""), ("bad", ""), ("b", ""))
    async with running(handlers, MemoryLog(cluster), stored):
        await until(lambda: sum(stored.offsets.values()) == 3, 5)
    assert [parked.key for parked in stored.parked] == ["bad"]
    assert "OrderRejected" in stored.parked[0].error


async def test_what_cannot_be_settled_is_found_by_halving() -> None:
    def settle(state: State, now: object) -> list[Output]:
        if any(tally.order_id == "bad" for tally in state.changed(Tally)):
            raise ValueError("this does not add up")
        return []

    stored, cluster = Stored(), MemoryCluster(partitions=1)
    feed(cluster, ("a", ""), ("bad", ""), ("b", ""))
    async with running(replace(HANDLERS, settle=settle), MemoryLog(cluster), stored):
        await until(lambda: sum(stored.offsets.values()) == 3, 5)
    assert [parked.key for parked in stored.parked] == ["bad"]
    assert "settle" in stored.parked[0].error


async def test_who_asks_for_a_redrive_waits_no_longer_than_for_anything_else() -> None:
    desk = Desk("risk", 10, answer_timeout_ms=20)
    with pytest.raises(NotServing):
        await desk.redrive("o1")
    assert desk.take_redrives() == [], "nobody waits for it any more"
