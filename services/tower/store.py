"""The tower's tables, and the reads behind its pages: none of them scans the orders."""

import base64
import binascii
from datetime import datetime
from typing import Any

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
    Table,
    Text,
    cast,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.stream.tables import Tables
from services.tower import domain

PAGE_LIMIT_ROWS = 200
TIMELINE_LIMIT_ENTRIES = 1_000
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
    Column("order_id", Text, primary_key=True),
    Column("entry_no", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
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
    """The key of a page's last row; `since` only where the page is of one stage."""

    order_id: str
    since: datetime | None = None


def _cursor_of(key: _After) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def _key_of(cursor: str, *, of_stage: bool) -> _After:
    try:
        key = msgspec.json.decode(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True), type=_After)
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as error:
        raise BadCursor("no such cursor") from error
    plausible = key.since is None or (key.since.tzinfo is not None and 2000 < key.since.year < 3000)
    if "\x00" in key.order_id or (key.since is not None) != of_stage or not plausible:
        raise BadCursor("no such cursor, or not of this list")
    return key


async def order(connection: AsyncConnection, order_id: str) -> dict[str, Any] | None:
    """Return an order's row."""
    row = (await connection.execute(select(order_view).where(order_view.c.order_id == order_id))).mappings().first()
    return None if row is None else dict(row)


async def timeline(
    connection: AsyncConnection, order_id: str, *, limit: int, after: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Return an order's entries after number `after` as the tower saw them, and the number to go on from."""
    found = timeline_entry.c
    query = (
        select(found.entry_no, found.at, found.type, found.payload)
        .where(found.order_id == order_id, found.entry_no > after)
        .order_by(found.entry_no)
        .limit(limit + 1)
    )
    rows = [_entry(*row) for row in await connection.execute(query)]
    return rows[:limit], rows[limit - 1]["entry_no"] if len(rows) > limit else None


def _entry(entry_no: int, at: datetime, kind: str, payload: bytes) -> dict[str, Any]:
    topic, why_zh, why_en = domain.told(kind, payload)
    event = msgspec.json.decode(payload)
    named = {"entry_no": entry_no, "at": at, "topic": topic, "type": kind}
    return {**named, "why_zh": why_zh, "why_en": why_en, "payload": event}


async def orders(
    connection: AsyncConnection, *, stage: str | None, warehouse: str | None, limit: int, cursor: str | None
) -> Page:
    """Return one page of orders: those of one stage, the longest waiting first, or all in the order of their ids."""
    found = order_view.c
    query = select(order_view).limit(limit + 1)
    after = None if cursor is None else _key_of(cursor, of_stage=stage is not None)
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
    return items, _cursor_of(_After(last["order_id"], None if stage is None else last["stage_since"]))


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
    """Return how many messages of each topic were ever set aside."""
    query = select(parked_count).order_by(parked_count.c.origin_topic)
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
