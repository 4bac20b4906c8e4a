"""The journal on a real Postgres: whoever was superseded is told so, whatever else the database refuses it first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from libs.decide import Reply, State
from libs.runtime.settings import sqlalchemy_url
from libs.stream.journal import Answered, Changes, Fenced, Head, Unsaveable
from libs.stream.log import Outgoing
from libs.stream.postgres import PostgresJournal
from libs.stream.tables import STREAM
from libs.testkit.tally import METADATA, TABLES

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 11, 11, tzinfo=UTC)
LEASE_MS = 60_000
PLACE = ("ordo.risk.v1", 0)


@asynccontextmanager
async def journal_of(dsn: str) -> AsyncIterator[PostgresJournal]:
    found = PostgresJournal(dsn, "public", TABLES)
    try:
        yield found
    finally:
        await found.close()


@pytest.fixture
async def dsn(database: str) -> str:
    engine = create_async_engine(sqlalchemy_url(database))
    async with engine.begin() as connection:
        await connection.run_sync(STREAM.create_all)
        await connection.run_sync(METADATA.create_all)
    await engine.dispose()
    return database


def changes(batch_no: int, *, outbox: bool = False, command: str = "") -> Changes:
    found = Changes(batch_no=batch_no, decided_at=NOW, state=State())
    if outbox:
        found.heads[PLACE] = Head(2, 0)
        found.outbox.append((Outgoing(*PLACE, 1, 0, b"o1", b"{}", ()), "OrderCleared", "cause"))
    if command:
        found.answered.append(Answered(command, "Add", b"f", b"", Reply(status=200, body={})))
    return found


@pytest.mark.parametrize(
    "what",
    [
        pytest.param({}, id="the same batch number"),
        pytest.param({"outbox": True}, id="the same sequence number"),
        pytest.param({"command": "key"}, id="the same command"),
    ],
)
async def test_a_zombie_whose_rows_meet_its_successors_is_fenced(dsn: str, what: dict) -> None:
    async with journal_of(dsn) as zombie, journal_of(dsn) as successor:
        assert await zombie.acquire("zombie", 0) is not None
        await zombie.begin()
        assert await successor.acquire("successor", LEASE_MS) is not None
        await successor.begin()
        await successor.commit(changes(1, **what), LEASE_MS)
        with pytest.raises(Fenced):
            await zombie.commit(changes(1, **what), LEASE_MS)
        await successor.begin()
        await successor.commit(changes(2), LEASE_MS)


async def test_what_the_database_refuses_its_owner_is_unsaveable(dsn: str) -> None:
    async with journal_of(dsn) as owner:
        assert await owner.acquire("owner", LEASE_MS) is not None
        await owner.begin()
        await owner.commit(changes(1, command="key"), LEASE_MS)
        await owner.begin()
        with pytest.raises(Unsaveable):
            await owner.commit(changes(2, command="key"), LEASE_MS)
        await owner.begin()
        await owner.commit(changes(2, command="another"), LEASE_MS)
