"""Fulfillment's tables, and the reads its HTTP answers are made of."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    MetaData,
    RowMapping,
    Table,
    Text,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.decide import Row
from libs.stream.tables import Tables
from services.fulfillment import domain

R = TypeVar("R", bound=Row)
METADATA = MetaData()
# Rows that change several times in their life keep room on their page, so that an update touches no index.
_CHANGING = {"fillfactor": "60"}
PAGE_LIMIT_ROWS = 200

order_file = Table(
    "order_file",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("assigned_version", BigInteger, nullable=False),
    Column("cleared_version", BigInteger, nullable=False),
    Column("cleared_requirements", JSONB, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("tasks", JSONB, nullable=False),
    Column("request_id", Text),
    Column("request_reason", Text, nullable=False),
    Column("amended_version", BigInteger, nullable=False),
    Column("amended_goods", JSONB, nullable=False),
    Column("too_late", JSONB, nullable=False),
    CheckConstraint("state IN ('waiting', 'assigned', 'cancelled', 'closed')", name="order_file_state"),
    postgresql_with=_CHANGING,
)
pick_task = Table(
    "pick_task",
    METADATA,
    Column("task_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("warehouse", Text, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("requirements", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("picker", Text),
    Column("claim_until", DateTime(timezone=True)),
    Column("expected_weight_grams", BigInteger),
    Column("weight_grams", BigInteger),
    Column("carrier", Text),
    Column("waybill", Text),
    Column("services", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "state IN ('open', 'claimed', 'picked', 'packed', 'weighed', 'recheck', 'shipped', 'cancelled')",
        name="pick_task_state",
    ),
    CheckConstraint("(state = 'shipped') = (waybill IS NOT NULL)", name="pick_task_shipped_with_waybill"),
    CheckConstraint("(state = 'claimed') = (claim_until IS NOT NULL)", name="pick_task_claim_has_an_end"),
    Index("pick_task_by_warehouse", "warehouse", "state", "created_at", "task_id"),
    Index("pick_task_by_age", "created_at", "task_id"),
    postgresql_with=_CHANGING,
)
item = Table(
    "item",
    METADATA,
    Column("sku", Text, primary_key=True),
    Column("barcode", Text, nullable=False),
    Column("weight_grams", BigInteger),
)
device = Table(
    "device",
    METADATA,
    Column("device_id", Text, primary_key=True),
    Column("warehouse", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("revoked", Boolean, nullable=False),
)
waybill = Table(
    "waybill",
    METADATA,
    Column("carrier", Text, primary_key=True),
    Column("waybill", Text, primary_key=True),
    Column("task_id", Text, nullable=False),
)
wms_refusal = Table(
    "wms_refusal",
    METADATA,
    Column("task_id", Text, primary_key=True),
    Column("call", Text, nullable=False),
    Column("word", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("rounds", BigInteger, nullable=False),
    Column("telling", Boolean, nullable=False),
    Column("refused_at", DateTime(timezone=True), nullable=False),
)

TABLES = Tables(
    METADATA,
    {
        domain.OrderFile: order_file,
        domain.PickTask: pick_task,
        domain.Item: item,
        domain.Device: device,
        domain.Waybill: waybill,
        domain.WmsRefusal: wms_refusal,
    },
)


class BadCursor(ValueError):
    """The cursor was not made here."""


def _cursor(created_at: datetime, task_id: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([created_at, task_id])).decode()


def _after(cursor: str) -> tuple[datetime, str]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode("ascii")), type=tuple[datetime, str])
    except ValueError as error:
        raise BadCursor(cursor) from error


def _row(row: RowMapping, struct: type[R]) -> R:
    return msgspec.convert({name: row[name] for name in struct.__struct_fields__}, struct)


async def tasks(
    connection: AsyncConnection,
    *,
    warehouse: str | None = None,
    states: Sequence[str] = (),
    wms_refused: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[domain.PickTask], str | None]:
    """Return a page of tasks, oldest first, and the cursor of the next page; raises BadCursor."""
    assert 0 < limit <= PAGE_LIMIT_ROWS
    query = select(pick_task).order_by(pick_task.c.created_at, pick_task.c.task_id).limit(limit + 1)
    if warehouse is not None:
        query = query.where(pick_task.c.warehouse == warehouse)
    if states:
        query = query.where(pick_task.c.state.in_(states))
    if wms_refused:
        query = query.where(pick_task.c.task_id.in_(select(wms_refusal.c.task_id)))
    if cursor is not None:
        created_at, task_id = _after(cursor)
        query = query.where(tuple_(pick_task.c.created_at, pick_task.c.task_id) > tuple_(created_at, task_id))
    found = [_row(row, domain.PickTask) for row in (await connection.execute(query)).mappings()]
    page = found[:limit]
    return page, _cursor(page[-1].created_at, page[-1].task_id) if len(found) > limit else None


async def task(connection: AsyncConnection, task_id: str) -> domain.PickTask | None:
    """Return one task."""
    row = (await connection.execute(select(pick_task).where(pick_task.c.task_id == task_id))).mappings().first()
    return None if row is None else _row(row, domain.PickTask)


async def tasks_of_order(connection: AsyncConnection, order_id: str) -> list[domain.PickTask]:
    """Return an order's tasks; one that was cancelled before it was made is not among them."""
    file = await order(connection, order_id)
    ids = [ref.task_id for ref in file.tasks] if file else []
    query = select(pick_task).where(pick_task.c.task_id.in_(ids)).order_by(pick_task.c.task_id)
    return [_row(row, domain.PickTask) for row in (await connection.execute(query)).mappings()] if ids else []


async def order(connection: AsyncConnection, order_id: str) -> domain.OrderFile | None:
    """Return an order's file, with the recipient still sealed."""
    row = (await connection.execute(select(order_file).where(order_file.c.order_id == order_id))).mappings().first()
    return None if row is None else _row(row, domain.OrderFile)


async def barcodes(connection: AsyncConnection, found: Sequence[domain.PickTask]) -> dict[str, str]:
    """Return the barcodes of all SKUs in these tasks."""
    skus = sorted({line.sku for one in found for line in one.lines})
    if not skus:
        return {}
    query = select(item.c.sku, item.c.barcode).where(item.c.sku.in_(skus))
    return {row.sku: row.barcode for row in await connection.execute(query)}


async def wms_refusals(connection: AsyncConnection, found: Sequence[domain.PickTask]) -> dict[str, domain.WmsRefusal]:
    """Return what the WMS refused of these tasks."""
    query = select(wms_refusal).where(wms_refusal.c.task_id.in_([one.task_id for one in found]))
    rows = (await connection.execute(query)).mappings() if found else ()
    return {row["task_id"]: _row(row, domain.WmsRefusal) for row in rows}


async def known_device(connection: AsyncConnection, device_id: str) -> domain.Device | None:
    """Return a device known by name."""
    row = (await connection.execute(select(device).where(device.c.device_id == device_id))).mappings().first()
    return None if row is None else _row(row, domain.Device)


async def devices(
    connection: AsyncConnection, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[domain.Device], str | None]:
    """Return a page of the devices known by name, and the cursor of the next page; raises BadCursor."""
    assert 0 < limit <= PAGE_LIMIT_ROWS
    query = select(device).order_by(device.c.device_id).limit(limit + 1)
    if cursor is not None:
        query = query.where(device.c.device_id > _after_device(cursor))
    found = [_row(row, domain.Device) for row in (await connection.execute(query)).mappings()]
    page = found[:limit]
    return page, base64.urlsafe_b64encode(page[-1].device_id.encode()).decode() if len(found) > limit else None


def _after_device(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor.encode("ascii")).decode()
    except ValueError as error:
        raise BadCursor(cursor) from error
