"""The tower's tables, and the reads behind its pages: none of them scans the orders; a warehouse's scan one backlog."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    cast,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.stream.tables import Tables
from libs.stream.tables import parked as own_parked
from services.tower import domain

PAGE_LIMIT_ROWS = 200
TIMELINE_LIMIT_ENTRIES = 1_000
PARKED_LIMIT_ROWS = 100
METADATA = MetaData()

order_view = Table(
    "order_view",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("shop_id", Text, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=True),
    Column("total", BigInteger, nullable=True),
    Column("version", BigInteger, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("risk", Text, nullable=False),
    Column("stock", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("assigned", JSONB, nullable=False),
    Column("tasks", JSONB, nullable=False),
    Column("warehouses", JSONB, nullable=False),
    Column("stage", Text, nullable=False),
    Column("stage_since", DateTime(timezone=True), nullable=False),
    Column("accepted_at", DateTime(timezone=True), nullable=True),
    Column("pick_task_at", DateTime(timezone=True), nullable=True),
    # The one index that a stage costs: it answers "the oldest in this stage" and pages through a stage.
    Index("order_view_stage", "stage", "stage_since"),
    postgresql_with={"fillfactor": "70"},
)
stage_count = Table(
    "stage_count",
    METADATA,
    Column("stage", Text, primary_key=True),
    Column("orders", BigInteger, nullable=False),
    CheckConstraint("orders >= 0", name="stage_count_orders"),
    postgresql_with={"fillfactor": "10"},
)
parked_count = Table(
    "parked_count",
    METADATA,
    Column("origin_topic", Text, primary_key=True),
    Column("messages", BigInteger, nullable=False),
    Column("behind", BigInteger, nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=True),
    postgresql_with={"fillfactor": "10"},
)
timeline_entry = Table(
    "timeline_entry",
    METADATA,
    Column("order_id", Text, nullable=False),
    Column("entry_no", BigInteger, Identity(), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    # Entries are told in the order of what happened; those of one millisecond as they were read.
    PrimaryKeyConstraint("order_id", "at", "entry_no"),
)
pick_latency = Table(
    "pick_latency",
    METADATA,
    Column("entry_no", BigInteger, Identity(), primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("accepted_at", DateTime(timezone=True), nullable=False),
    Column("pick_task_at", DateTime(timezone=True), nullable=False),
)
TABLES = Tables(
    METADATA,
    {
        domain.OrderView: order_view,
        domain.StageCount: stage_count,
        domain.ParkedCount: parked_count,
        domain.TimelineEntry: timeline_entry,
        domain.PickLatency: pick_latency,
    },
)
Page = tuple[list[dict[str, Any]], str | None]


class BadCursor(ValueError):
    """A cursor that no page of ours ever gave out."""


class _After(msgspec.Struct, frozen=True):
    """The key of a page's last order, and the list it is of; `since` only where that is one stage's."""

    order_id: str
    stage: str | None = None
    warehouse: str | None = None
    since: datetime | None = None


class _AfterEntry(msgspec.Struct, frozen=True):
    """The key of a page's last entry, whose order is the list it is of."""

    order_id: str
    at: datetime
    entry_no: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


C = TypeVar("C", _After, _AfterEntry)


def _cursor_of(key: _After | _AfterEntry) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def _key_of(cursor: str, kind: type[C]) -> C:
    try:
        return msgspec.json.decode(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True), type=kind)
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as error:
        raise BadCursor("no such cursor") from error


def _plausible(at: datetime) -> bool:
    return at.tzinfo is not None and 1970 <= at.year < 3000


def _place_after(cursor: str, stage: str | None, warehouse: str | None) -> _After:
    """Return where a page goes on; raises BadCursor for the cursor of another list."""
    key = _key_of(cursor, _After)
    timed = key.since is None if stage is None else key.since is not None and _plausible(key.since)
    if (key.stage, key.warehouse) != (stage, warehouse) or not timed or "\x00" in key.order_id:
        raise BadCursor("the cursor is not of this list")
    return key


async def order(connection: AsyncConnection, order_id: str) -> dict[str, Any] | None:
    """Return an order's row."""
    row = (await connection.execute(select(order_view).where(order_view.c.order_id == order_id))).mappings().first()
    return None if row is None else dict(row)


async def timeline(
    connection: AsyncConnection, order_id: str, *, limit: int, after: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return an order's entries after a cursor in the order in which they happened, and the cursor to go on from."""
    found = timeline_entry.c
    query = (
        select(found.entry_no, found.at, found.type, found.payload)
        .where(found.order_id == order_id)
        .order_by(found.at, found.entry_no)
        .limit(limit + 1)
    )
    if after is not None:
        key = _key_of(after, _AfterEntry)
        if key.order_id != order_id or not _plausible(key.at):
            raise BadCursor("the cursor is not of this order")
        place = tuple_(literal(key.at, DateTime(timezone=True)), literal(key.entry_no, BigInteger))
        query = query.where(tuple_(found.at, found.entry_no) > place)
    rows = [_entry(*row) for row in await connection.execute(query)]
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], _cursor_of(_AfterEntry(order_id, last["at"], last["entry_no"]))


def _entry(entry_no: int, at: datetime, kind: str, payload: bytes) -> dict[str, Any]:
    topic, why_zh, why_en = domain.told(kind, payload)
    event = msgspec.json.decode(payload)
    named = {"entry_no": entry_no, "at": at, "topic": topic, "type": kind}
    return {**named, "why_zh": why_zh, "why_en": why_en, "payload": event}


async def orders(
    connection: AsyncConnection, *, stage: str | None, warehouse: str | None, limit: int, cursor: str | None
) -> Page:
    """Return one page of orders: those of one stage, the longest waiting first, or all in the order of their ids.

    No index knows warehouses: an order's list changes with its parcels, and one warehouse may have half of all orders.
    """
    found = order_view.c
    query = select(order_view).limit(limit + 1)
    after = None if cursor is None else _place_after(cursor, stage, warehouse)
    if stage is None:
        query = query.order_by(found.order_id)
        if after is not None:
            query = query.where(found.order_id > after.order_id)
    else:
        query = query.where(found.stage == stage).order_by(found.stage_since, found.order_id)
        if after is not None:
            place = tuple_(literal(after.since, DateTime(timezone=True)), literal(after.order_id, Text))
            # The first condition repeats the second's lower bound in the form that the index can use.
            query = query.where(found.stage_since >= after.since, tuple_(found.stage_since, found.order_id) > place)
    if warehouse is not None:
        query = query.where(found.warehouses.contains(cast(literal([warehouse], JSONB), JSONB)))
    rows = [dict(row) for row in (await connection.execute(query)).mappings()]
    items = rows[:limit]
    if len(rows) <= limit:
        return items, None
    last = items[-1]
    return items, _cursor_of(_After(last["order_id"], stage, warehouse, None if stage is None else last["stage_since"]))


async def stages(connection: AsyncConnection) -> dict[str, dict[str, Any]]:
    """Return, for each stage that ever held an order, how many stand there and since when the oldest does."""
    oldest = (
        select(order_view.c.stage_since)
        .where(order_view.c.stage == stage_count.c.stage)
        .order_by(order_view.c.stage_since)
        .limit(1)
        .scalar_subquery()
    )
    query = select(stage_count.c.stage, stage_count.c.orders, oldest.label("oldest_since"))
    return {row["stage"]: dict(row) for row in (await connection.execute(query)).mappings()}


async def parked(connection: AsyncConnection) -> list[dict[str, Any]]:
    """Return how many messages of each topic the other services ever set aside, and with them what waits here.

    The tower cannot read of what it set aside itself: it would have to set that aside too.
    """
    told, own = parked_count.c, own_parked.c
    waiting = func.count()
    both = union_all(
        select(told.origin_topic, told.messages, told.behind, told.last_at, literal(0).label("in_tower")),
        select(own.topic, waiting, waiting.filter(own.behind), func.max(own.parked_at), waiting).group_by(own.topic),
    ).subquery()
    query = (
        select(
            both.c.origin_topic,
            *[cast(func.sum(both.c[name]), BigInteger).label(name) for name in ("messages", "behind", "in_tower")],
            func.max(both.c.last_at).label("last_at"),
        )
        .group_by(both.c.origin_topic)
        .order_by(both.c.origin_topic)
    )
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def parked_of(connection: AsyncConnection, order_id: str) -> list[dict[str, Any]]:
    """Return what the tower itself could not read of an order, oldest first: its row and timeline lack that."""
    own = own_parked.c
    query = (
        select(own.topic, own.at_offset, own.type, own.error, own.behind, own.attempts, own.parked_at)
        .where(own.key == order_id)
        .order_by(own.n)
        .limit(PARKED_LIMIT_ROWS)
    )
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def latency(connection: AsyncConnection, window_orders: int) -> dict[str, Any]:
    """Return the median and the 99th percentile, in milliseconds, over the newest orders that got a pick task."""
    seconds = func.extract("epoch", pick_latency.c.pick_task_at - pick_latency.c.accepted_at)
    newest = (
        select(func.greatest(seconds * 1000, 0).label("ms"))
        .order_by(pick_latency.c.entry_no.desc())
        .limit(window_orders)
        .subquery()
    )
    query = select(
        func.count().label("orders"),
        func.percentile_cont(0.5).within_group(newest.c.ms).label("p50_ms"),
        func.percentile_cont(0.99).within_group(newest.c.ms).label("p99_ms"),
    ).select_from(newest)
    row = (await connection.execute(query)).mappings().one()
    return {
        "orders": row["orders"],
        "p50_ms": None if row["p50_ms"] is None else round(row["p50_ms"]),
        "p99_ms": None if row["p99_ms"] is None else round(row["p99_ms"]),
    }
