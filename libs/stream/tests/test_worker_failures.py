"""What the simulator found: who waits is answered whatever fails in between, and a call has one outcome."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from libs.decide import Delivered, Reply
from libs.stream.desk import NotServing, answer_if_waiting
from libs.stream.journal import Fenced, JournalAway
from libs.stream.memory import MemoryCluster, MemoryJournal, MemoryLog, Stored
from libs.stream.worker import Worker
from libs.testkit.tally import HANDLERS, LIMITS, Add, Tally
from libs.testkit.waiting import until


def clock() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def running(journal: MemoryJournal) -> AsyncIterator[Worker]:
    worker = Worker(HANDLERS, journal, MemoryLog(MemoryCluster()), owner="a", clock=clock, limits=LIMITS)
    task = asyncio.create_task(worker.run())
    try:
        await until(lambda: worker._serving, 5)
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(5):
            await task


async def test_a_command_survives_a_database_that_fails_when_asked_for_timers() -> None:
    class Failing(MemoryJournal):
        failures = 0

        async def due(self, now, limit):
            if self.failures < 2:
                self.failures += 1
                raise JournalAway("not now")
            return await super().due(now, limit)

    stored = Stored()
    journal = Failing(stored, clock)
    async with running(journal) as worker:
        worker._resume.next_due = clock() - timedelta(seconds=1)
        stored.timers[("later", "x")] = clock() - timedelta(seconds=1)
        stored.rows[Tally] = {("x",): b"\x84\xa8order_id\xa1x\xa5count\x00\xa5woken\x00\xa4told\xa0"}

        async def answer() -> Reply | None:
            try:
                return await worker.submit(Add(order_id="x", amount=1), "k")
            except NotServing:
                return None

        reply = await until(answer, 3)
    assert reply.body == {"count": 1}
    assert journal.failures == 2


async def test_redrives_are_answered_although_the_lease_is_lost() -> None:
    class Losing(MemoryJournal):
        async def parked(self, key):
            raise Fenced("somebody else has it")

    async with running(Losing(Stored(), clock)) as worker:
        async with asyncio.timeout(2):
            found = await asyncio.gather(worker.redrive("a"), worker.redrive("b"), return_exceptions=True)
        assert [type(answer) for answer in found] == [NotServing, NotServing]


async def test_who_asked_for_a_redrive_and_left_stops_nobody() -> None:
    asked_for, goes_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryJournal):
        async def parked(self, key):
            asked_for.set()
            await goes_on.wait()
            return await super().parked(key)

    async with running(Slow(Stored(), clock)) as worker:
        asked = asyncio.create_task(worker.redrive("a"))
        async with asyncio.timeout(5):
            await asked_for.wait()
            asked.cancel()
            await asyncio.wait({asked})
            goes_on.set()
            assert (await worker.redrive("b")).status == 404


async def test_results_of_calls_do_not_outlive_the_lease() -> None:
    stored = Stored()
    async with running(MemoryJournal(stored, clock)) as worker:
        worker._desk._deliveries.append(
            (Delivered(destination="out", send_id="s", key="x", ok=True), asyncio.get_running_loop().create_future())
        )
        worker._desk.drop_deliveries()
        assert worker._desk.take_deliveries() == []


async def test_an_answer_is_given_once() -> None:
    answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    answer_if_waiting(answer, Reply(body={"n": 1}))
    answer_if_waiting(answer, NotServing("too late"))
    assert answer.result().body == {"n": 1}
