"""The worker on a real Postgres and a real Kafka: what the memory double promises, they keep."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.topics import ORDERS, RISK
from libs.runtime.settings import sqlalchemy_url
from libs.stream.journal import Fenced, Head
from libs.stream.kafka import KafkaLog
from libs.stream.log import Place
from libs.stream.postgres import PostgresJournal
from libs.stream.tables import STREAM
from libs.stream.worker import Worker
from libs.testkit.tally import HANDLERS, LIMITS, METADATA, TABLES, Add, Out, cancels
from libs.testkit.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
WAIT_LIMIT_S = 20.0
POLL_S = 0.05


def clock() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def dsn(database: str) -> str:
    engine = create_async_engine(sqlalchemy_url(database))
    async with engine.begin() as connection:
        await connection.run_sync(STREAM.create_all)
        await connection.run_sync(METADATA.create_all)
    await engine.dispose()
    return database


@asynccontextmanager
async def running(dsn: str, bootstrap: str, owner: str) -> AsyncIterator[Worker]:
    journal, log = PostgresJournal(dsn, "public", TABLES), KafkaLog(bootstrap, owner)
    senders = {"out": Out()}
    worker = Worker(HANDLERS, journal, log, owner=owner, clock=clock, senders=senders, limits=LIMITS)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 10)
        await log.close()
        await journal.close()


async def published(bootstrap: str, topic: str) -> list[dict]:
    log = KafkaLog(bootstrap, "check")
    places = [(topic, part) for part in range(await log.partitions(topic))]
    ends = await log.ends(places)
    await log.read_from(dict.fromkeys(places, 0))
    found = []
    while len(found) < sum(ends.values()):
        found += await log.fetch(1000, 500)
    await log.close()
    return [msgspec.json.decode(record.value) for record in found]


async def test_one_way_through_real_servers(dsn: str, fresh_topics: str) -> None:
    heads: dict[Place, Head] = {}
    feeder = KafkaLog(fresh_topics, "feeder")
    check = await asyncpg.connect(dsn)

    async def decided() -> int:
        return await check.fetchval("SELECT coalesce(sum(count), 0)::int FROM tally")

    async with running(dsn, fresh_topics, "a") as worker:
        first = cancels(heads, 4, *[(f"o{i % 50}", "") for i in range(600)], ("bad", "poison"), ("bad", ""))
        await feeder.publish(first)
        await feeder.publish(first)  # the whole batch again: a writer that lost its acknowledgement

        async def done() -> bool:
            return await decided() == 600

        await until(done, WAIT_LIMIT_S, POLL_S)
        answers = await asyncio.gather(*[worker.submit(Add(order_id="o1", amount=1), f"k{i}") for i in range(100)])
        assert sorted(answer.body["count"] for answer in answers) == list(range(13, 113))
        assert (await worker.submit(Add(order_id="o1", amount=5_000), "too much")).status == 500

        async def told() -> bool:
            return await check.fetchval("SELECT count(*) FROM tally WHERE told = 'ok' AND woken > 0") == 50

        await until(told, WAIT_LIMIT_S, POLL_S)
        readiness = await worker.readiness()
        assert readiness.ready, readiness
    await feeder.publish(cancels(heads, 4, *[(f"o{i}", "") for i in range(50)]))
    await feeder.close()
    async with running(dsn, fresh_topics, "b") as worker:

        async def more() -> bool:
            return await decided() == 750

        await until(more, WAIT_LIMIT_S, POLL_S)
        assert (await worker.submit(Add(order_id="o1", amount=1), "k7")).body["count"] == answers[7].body["count"]
    assert await check.fetchval("SELECT count(*) FROM parked WHERE key = 'bad'") == 2
    assert await check.fetchval("SELECT bool_and(cursor_seq = next_seq - 1) FROM outbox_head")
    assert len(await published(fresh_topics, RISK.name)) == 650
    assert await check.fetchval("SELECT count(*) FROM outbox WHERE topic = $1", RISK.name) == 650
    assert await check.fetchval("SELECT max(batch_no) = count(*) FROM batch_log")
    assert (
        await check.fetchval("SELECT sum(next_offset)::int FROM consumer_offset WHERE topic = $1", ORDERS.name) == 1254
    )
    await check.close()


async def test_a_lost_database_connection_loses_nothing(dsn: str, fresh_topics: str) -> None:
    heads: dict[Place, Head] = {}
    feeder = KafkaLog(fresh_topics, "feeder")
    check = await asyncpg.connect(dsn)

    async def decided() -> int:
        return await check.fetchval("SELECT coalesce(sum(count), 0)::int FROM tally")

    async def all_decided() -> bool:
        return await decided() == 1600

    async with running(dsn, fresh_topics, "a"):
        for round_no in range(8):
            before = await decided()
            await feeder.publish(cancels(heads, 4, *[(f"o{i}", "") for i in range(200)]))
            # The connection is lost at once, when a first batch is through, and when several are.
            wanted = before + (0, 1, 100)[round_no % 3]

            async def so_far(wanted: int = wanted) -> bool:
                return await decided() >= wanted

            await until(so_far, WAIT_LIMIT_S)
            await check.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ordo public'"
            )
        await until(all_decided, WAIT_LIMIT_S, POLL_S)
    assert await check.fetchval("SELECT count(*) FROM outbox WHERE topic = $1", RISK.name) == 1600
    await feeder.close()
    await check.close()


async def test_a_journal_whose_epoch_is_over_saves_nothing(dsn: str) -> None:
    old, new = PostgresJournal(dsn, "public", TABLES), PostgresJournal(dsn, "public", TABLES)
    assert await old.acquire("old", 60_000) is not None
    assert await new.acquire("new", 60_000) is None, "the lease is held"
    await old.release()
    assert await new.acquire("new", 60_000) is not None
    with pytest.raises(Fenced):
        await old.renew(60_000, {})
    await old.close()
    await new.close()
