"""A row comes back from a real Postgres as it was saved, and what Postgres cannot hold is refused whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import asyncpg
import msgspec
import pytest
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import create_async_engine

from libs.decide import Entry, Key, Row, State
from libs.runtime.settings import sqlalchemy_url
from libs.stream.journal import Changes, Unsaveable
from libs.stream.postgres import PostgresJournal
from libs.stream.rows import RowCodec, kept
from libs.stream.tables import STREAM, Tables

AT = datetime(2026, 11, 11, 0, 0, 9, 123456, tzinfo=UTC)


class Line(msgspec.Struct, frozen=True):
    sku: str
    quantity: int
    note: str | None = None


class Thing(Row, kw_only=True):
    """One column of each kind, and each of them once more as optional."""

    row_key: ClassVar[tuple[str, ...]] = ("text", "whole")
    text: str
    whole: int
    yes: bool = False
    real: float = 0.0
    at: datetime = AT
    raw: bytes = b""
    maybe_text: str | None = None
    maybe_whole: int | None = None
    maybe_yes: bool | None = None
    maybe_real: float | None = None
    maybe_at: datetime | None = None
    maybe_raw: bytes | None = None
    lines: list[Line] = []
    counts: dict[str, int] = {}
    one: Line | None = None
    either: int | str = 0


class Note(Entry, frozen=True, kw_only=True):
    """An entry of an append-only table."""

    thing: str
    at: datetime
    why: dict[str, str] = {}


METADATA = MetaData()
THING = Table(
    "thing",
    METADATA,
    Column("text", Text, primary_key=True),
    Column("whole", BigInteger, primary_key=True, autoincrement=False),
    Column("yes", Boolean, nullable=False),
    Column("real", Float(53), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("maybe_text", Text),
    Column("maybe_whole", BigInteger),
    Column("maybe_yes", Boolean),
    Column("maybe_real", Float(53)),
    Column("maybe_at", DateTime(timezone=True)),
    Column("maybe_raw", LargeBinary),
    Column("lines", JSONB, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("one", JSONB, nullable=False),
    Column("either", JSONB, nullable=False),
)
NOTE = Table(
    "note",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("thing", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("why", JSONB, nullable=False),
)
TABLES = Tables(METADATA, {Thing: THING, Note: NOTE})

FULL = Thing(
    text="订单 '\"\\ \t\n $1 %s 🚚",
    whole=2**63 - 1,
    yes=True,
    real=-1.5e300,
    at=AT,
    raw=bytes(range(256)),
    maybe_text="",
    maybe_whole=-(2**63),
    maybe_yes=False,
    maybe_real=0.1,
    maybe_at=datetime(2, 1, 1, tzinfo=UTC),
    maybe_raw=b"",
    lines=[Line("A", 1), Line("B", 2**60, "驿站"), Line("\\u0000 spelt out", 3)],
    counts={"": 0, "键": -1, "a.b": 10**18},
    one=Line("C", 0),
    either="text",
)
EMPTY = Thing(text="", whole=0)


def test_the_kind_of_a_column_follows_from_its_annotation() -> None:
    codec = RowCodec(Thing, THING)
    plain = ("text", "int8", "bool", "float8", "timestamptz", "bytea")
    assert codec.types == (*plain, *plain, "jsonb", "jsonb", "jsonb", "jsonb")
    assert (codec.columns, codec.key) == (Thing.__struct_fields__, ("text", "whole"))


@pytest.mark.parametrize("row", [FULL, EMPTY])
def test_what_is_encoded_is_decoded(row: Thing) -> None:
    codec = RowCodec(Thing, THING)
    assert codec.row(codec.values(row)) == row


def test_a_table_that_lacks_a_column_is_refused_at_the_start() -> None:
    table = Table("short", MetaData(), Column("text", Text, primary_key=True))
    with pytest.raises(ValueError, match=r"short lacks columns \['whole'"):
        Tables(MetaData(), {Thing: table})


# -- on a real Postgres ----------------------------------------------------------------------------------------------


class Store:
    """A journal and what batches of it look like from outside."""

    def __init__(self, journal: PostgresJournal) -> None:
        self.journal = journal
        self.batch_no = 0

    async def load(self, table: type[Row], *keys: Key) -> list[Any]:
        await self.journal.begin()
        try:
            return list((await self.journal.load({table: keys}))[table])
        finally:
            await self.journal.rollback()

    async def save(self, state: State) -> None:
        """Commit a state as one batch; what fails is rolled back."""
        await self.journal.begin()
        try:
            await self.journal.commit(Changes(self.batch_no + 1, AT, state), 60_000)
        except Unsaveable:
            await self.journal.rollback()
            raise
        self.batch_no += 1

    async def put(self, *rows: Row) -> None:
        """Save rows as a batch that loaded what there was of them before."""
        state = State()
        for row in rows:
            key = tuple(getattr(row, name) for name in row.row_key)
            state.fill(type(row), [key], await self.load(type(row), key))
        for row in rows:
            state.put(row)
        await self.save(state)


@asynccontextmanager
async def opened(dsn: str, *, lock_rows: bool = False) -> AsyncIterator[Store]:
    engine = create_async_engine(sqlalchemy_url(dsn))
    async with engine.begin() as connection:
        await connection.run_sync(STREAM.create_all)
        await connection.run_sync(METADATA.create_all)
    await engine.dispose()
    journal = PostgresJournal(dsn, "public", TABLES, lock_rows=lock_rows)
    try:
        assert await journal.acquire("test", 60_000) is not None
        yield Store(journal)
    finally:
        await journal.close()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with opened(database) as found:
        yield found


def key_of(row: Thing) -> Key:
    return (row.text, row.whole)


@pytest.mark.postgres
async def test_a_row_in_memory_has_its_objects_in_the_order_of_postgres(store: Store) -> None:
    counts = {name: number for number, name in enumerate(("键", "SH", "BJ-2", "", "b", "a", "仓", "CD", "Z-9"))}
    await store.put(Thing(text="order", whole=1, counts=counts))
    [there] = await store.load(Thing, ("order", 1))
    here = msgspec.msgpack.decode(kept(Thing(text="order", whole=1, counts=counts)), type=Thing)
    assert list(here.counts) == list(there.counts) != list(counts)
    assert msgspec.msgpack.decode(kept(FULL), type=Thing) == FULL


@pytest.mark.postgres
async def test_rows_of_every_type_come_back_new_changed_and_gone(store: Store) -> None:
    await store.put(FULL, EMPTY)
    assert {key_of(row): row for row in await store.load(Thing, key_of(FULL), key_of(EMPTY), ("no", 1))} == {
        key_of(FULL): FULL,
        key_of(EMPTY): EMPTY,
    }
    swapped = msgspec.structs.replace(EMPTY, text=FULL.text, whole=FULL.whole)
    filled = msgspec.structs.replace(FULL, text="", whole=0)
    await store.put(swapped, filled)
    assert await store.load(Thing, key_of(FULL)) == [swapped], "every column is emptied"
    assert await store.load(Thing, key_of(EMPTY)) == [filled], "and filled"
    state = State()
    state.fill(Thing, [key_of(filled)], [filled])
    state.delete(filled)
    await store.save(state)
    assert await store.load(Thing, key_of(FULL), key_of(EMPTY)) == [swapped]


@pytest.mark.postgres
async def test_locked_rows_are_the_same_rows(database: str) -> None:
    async with opened(database, lock_rows=True) as store:
        await store.put(FULL)
        assert await store.load(Thing, key_of(FULL), ("no", 1)) == [FULL]


@pytest.mark.postgres
async def test_a_time_of_another_zone_is_the_same_moment(store: Store) -> None:
    there = AT.astimezone(timezone(timedelta(hours=8)))
    await store.put(Thing(text="zone", whole=1, at=there, maybe_at=there))
    (row,) = await store.load(Thing, ("zone", 1))
    assert (row.at, row.maybe_at) == (AT, AT)
    assert row.at.tzinfo is not None


@pytest.mark.postgres
async def test_many_rows_in_one_batch(store: Store) -> None:
    rows = [Thing(text=f"t{n}", whole=n, counts={"n": n}) for n in range(2_000)]
    state = State()
    state.fill(Thing, [key_of(row) for row in rows], [])
    for row in rows:
        state.put(row)
    await store.save(state)
    assert sorted(await store.load(Thing, *[key_of(row) for row in rows]), key=lambda row: row.whole) == rows


@pytest.mark.postgres
async def test_entries_are_added_in_order(store: Store, database: str) -> None:
    state = State()
    notes = [Note(thing=f"t{n}", at=AT, why={"en": f"为什么 {n}"}) for n in range(5)]
    for note in notes:
        state.append(note)
    await store.save(state)
    connection = await asyncpg.connect(database)
    found = await connection.fetch("SELECT thing, at, why FROM note ORDER BY id")
    await connection.close()
    assert [(r["thing"], r["at"], msgspec.json.decode(r["why"])) for r in found] == [
        (n.thing, n.at, n.why) for n in notes
    ]


@pytest.mark.postgres
@pytest.mark.parametrize(
    "bad",
    [
        Thing(text="nul\x00", whole=1),
        Thing(text="x", whole=1, maybe_text="\x00"),
        Thing(text="x", whole=1, lines=[Line("\x00", 1)]),
        Thing(text="x", whole=1, counts={"\x00": 1}),
        Thing(text="x", whole=1, maybe_text="\ud800"),
        Thing(text="x", whole=2**63),
        Thing(text="x", whole=1, maybe_whole=-(2**63) - 1),
        Thing(text="x", whole=1, yes=None),  # type: ignore[arg-type]
        Thing(text="x", whole=1, at=None),  # type: ignore[arg-type]
    ],
)
async def test_what_the_database_cannot_hold_is_unsaveable_and_leaves_nothing(store: Store, bad: Thing) -> None:
    good = Thing(text="good", whole=1)
    state = State()
    state.fill(Thing, [key_of(good), key_of(bad)], [])
    state.put(good)
    state.put(bad)
    with pytest.raises(Unsaveable) as caught:
        await store.save(state)
    assert "good" not in str(caught.value), "no row is quoted"
    assert await store.load(Thing, key_of(good)) == []
    await store.put(good)
    assert await store.load(Thing, key_of(good)) == [good], "the journal goes on"


@pytest.mark.postgres
@pytest.mark.parametrize("key", [("\x00", 1), ("x", 2**63), ("\ud800", 1), ("x", "1")])
async def test_a_key_the_database_cannot_compare_is_unsaveable_too(store: Store, key: Key) -> None:
    with pytest.raises(Unsaveable):
        await store.load(Thing, key)
    await store.put(EMPTY)
    assert await store.load(Thing, key_of(EMPTY)) == [EMPTY]
