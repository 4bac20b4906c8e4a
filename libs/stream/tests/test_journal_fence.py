"""The journal on a real Postgres: whoever was superseded is told so, whatever else the database refuses it first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from libs.decide import Delivered, Reply, Send, State
from libs.runtime.settings import sqlalchemy_url
from libs.stream.journal import Answered, Changes, Fenced, Head, Parked, Unsaveable
from libs.stream.log import Outgoing
from libs.stream.postgres import PostgresJournal
from libs.stream.postgres_save import COPY_FROM_ROWS
from libs.stream.tables import STREAM
from libs.testkit.tally import METADATA, TABLES

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 11, 11, tzinfo=UTC)
SOON = NOW + timedelta(seconds=1)
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


def changes(batch_no: int, *, outbox: int = 0, command: str = "") -> Changes:
    found = Changes(batch_no=batch_no, decided_at=NOW, state=State())
    if outbox:
        found.heads[PLACE] = Head(outbox + 1, 0)
    for seq in range(1, outbox + 1):
        found.outbox.append((Outgoing(*PLACE, seq, 0, b"o1", b"{}", ()), "OrderCleared", "cause"))
    if command:
        found.answered.append(Answered(command, "Add", b"f", b"", Reply(status=200, body={})))
    return found


@pytest.mark.parametrize(
    "what",
    [
        pytest.param({}, id="the same batch number"),
        pytest.param({"outbox": 1}, id="the same sequence number"),
        pytest.param({"outbox": COPY_FROM_ROWS}, id="as many as are copied"),
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


async def test_a_batch_whose_positions_moved_leaves_nothing(dsn: str) -> None:
    for records in (1, COPY_FROM_ROWS):
        async with journal_of(dsn) as owner:
            assert await owner.acquire("owner", LEASE_MS) is not None
            await owner.start_offsets({PLACE: 0})
            moved = changes(1, outbox=records, command="key")
            moved.offsets[PLACE] = (5, 6)
            await owner.begin()
            with pytest.raises(Fenced):
                await owner.commit(moved, LEASE_MS)
            await owner.rollback()
            assert await owner.answers(["key"]) == {}
            resume = await owner.acquire("owner", LEASE_MS)
            assert resume is not None
            assert (resume.batch_no, resume.offsets, resume.heads) == (0, {PLACE: 0}, {})


async def test_a_batch_that_waited_for_the_lease_meanwhile_taken_leaves_nothing(dsn: str) -> None:
    for records in (1, COPY_FROM_ROWS):
        async with journal_of(dsn) as owner:
            resume = await owner.acquire("owner", LEASE_MS)
            assert resume is not None
            swapping = await asyncpg.connect(dsn)
            try:
                async with swapping.transaction():
                    await swapping.execute("SELECT * FROM stream_lease WHERE shard = 0 FOR UPDATE")
                    await owner.begin()
                    saving = asyncio.create_task(owner.commit(changes(1, outbox=records, command="key"), LEASE_MS))
                    await asyncio.wait([saving], timeout=0.2)
                    assert not saving.done()
                    await swapping.execute("UPDATE stream_lease SET epoch = epoch + 1")
                with pytest.raises(Fenced):
                    await saving
                await owner.rollback()
                assert await swapping.fetchval("SELECT count(*) FROM outbox") == 0
                assert await owner.answers(["key"]) == {}
            finally:
                await swapping.close()


async def test_everything_a_batch_can_say_is_saved_by_one_statement(dsn: str) -> None:
    async with journal_of(dsn) as owner:
        assert await owner.acquire("owner", LEASE_MS) is not None
        await owner.start_offsets({PLACE: 0})
        said = changes(1, outbox=2, command="key")
        said.offsets[PLACE] = (0, 3)
        said.seqs[(*PLACE, "ingestion/0")] = 3
        said.timers_set[("wake", "a")] = said.timers_set[("wake", "b")] = NOW
        said.sends += [Send(destination="shop", send_id=n, key="o1", body={"n": n}) for n in ("1", "2")]
        said.parked += [_parked("o1"), _parked("o2")]
        await owner.begin()
        await owner.commit(said, LEASE_MS)
        assert [p.n for key in ("o1", "o2") for p in await owner.parked(key)] == [1, 2]
        then = changes(2)
        then.timers_gone[("wake", "a")] = None
        then.timers_set[("wake", "b")] = NOW + timedelta(hours=1)
        then.delivered.append(Delivered(destination="shop", send_id="1", key="o1", ok=True, detail="ok", attempts=1))
        then.unparked.append(("o1", 1))
        then.parked.append(_parked("o3"))
        await owner.begin()
        await owner.commit(then, LEASE_MS)
        assert await owner.due(NOW, 10) == ([], NOW + timedelta(hours=1)), "set again is not gone"
        late = changes(3)
        late.timers_gone[("wake", "b")] = NOW
        await owner.begin()
        await owner.commit(late, LEASE_MS)
        assert await owner.due(NOW, 10) == ([], NOW + timedelta(hours=1)), "what came was the timer before it"
        assert [send.send_id for send, _ in await owner.waiting_sends(SOON, ["shop"], 10)] == ["2"]
        assert await owner.parked("o1") == []
        assert [p.n for p in await owner.parked("o3")] == [3]
        resume = await owner.acquire("owner", LEASE_MS)
        assert resume is not None
        assert resume.offsets == {PLACE: 3}
        assert resume.seqs == {(*PLACE, "ingestion/0"): 3}
        assert resume.parked_keys == {"o2", "o3"}
        assert [len(rows) async for rows in owner.unsent(resume.heads, 10)] == [2]


async def test_calls_of_a_key_are_found_in_the_order_they_were_written_in(dsn: str) -> None:
    async with journal_of(dsn) as owner:
        assert await owner.acquire("owner", LEASE_MS) is not None
        said = changes(1)
        said.sends += [Send(destination="shop", send_id=n, key="o1", body={}) for n in ("c", "a", "b")]
        said.sends.append(Send(destination="elsewhere", send_id="d", key="o1", body={}))
        await owner.begin()
        await owner.commit(said, LEASE_MS)
        [(first, _)] = await owner.waiting_sends(SOON, ["shop"], 1)
        assert first.send_id == "c"
        assert [send.send_id for send, _ in await owner.waiting_sends(SOON, ["shop"], 10)] == ["c", "a", "b"]
        assert await owner.delayed_sends(["shop", "elsewhere"]) == [], "neither tried nor put off"
        late = NOW + timedelta(hours=1)
        await owner.note_attempt(first, 1, late, "HTTP 503")
        after = Send(destination="shop", send_id="a", key="o1", body={})
        await owner.note_attempt(after, 0, NOW + timedelta(minutes=1), "waits for c")
        assert [(send_id, due) for _, _, send_id, due in await owner.delayed_sends(["shop"])] == [
            ("c", late),
            ("a", NOW + timedelta(minutes=1)),
        ], "as they were written, whenever they are due"
        assert [(send.send_id, n) for send, n in await owner.waiting_sends(SOON, ["shop"], 10)] == [("b", 0)]


def _parked(key: str) -> Parked:
    return Parked(key, PLACE[0], PLACE[1], 7, "ingestion/0", 8, "OrderPlaced", b"{}", "why")
