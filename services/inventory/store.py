"""Inventory's tables, with the constraints that stand behind its decisions, and the reads its operators ask for."""

import base64
import binascii
from collections.abc import Mapping
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
    MetaData,
    Table,
    Text,
    bindparam,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.stream.tables import Tables
from services.inventory import domain

PAGE_LIMIT_ITEMS = 200
INCOMING_LIMIT_ITEMS = 200
METADATA = MetaData()
# Rows that change with every order leave room on their page, so that an update touches no index.
_HOT = {"fillfactor": "60", "autovacuum_vacuum_scale_factor": "0.02", "autovacuum_vacuum_threshold": "1000"}

pool = Table(
    "pool",
    METADATA,
    Column("sku", Text, primary_key=True),
    Column("defined", Boolean, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("deficit", BigInteger, nullable=False),
    Column("inbound", BigInteger, nullable=False),
    Column("inbound_points", BigInteger, nullable=False),
    Column("in_transit", BigInteger, nullable=False),
    Column("sellable_inbound_percent", BigInteger, nullable=False),
    Column("allowance", BigInteger, nullable=False),
    Column("safety_percent", BigInteger),
    Column("crossed", Boolean, nullable=False),
    Column("sales_since_day", BigInteger, nullable=False),
    Column("sales_day", BigInteger, nullable=False),
    Column("sales", JSONB, nullable=False),
    Column("warehouses", JSONB, nullable=False),
    Column("waiting", JSONB, nullable=False),
    Column("published", Text, nullable=False),
    CheckConstraint(
        "on_hand >= 0 AND reserved >= 0 AND deficit >= 0 AND inbound >= 0 AND inbound_points >= 0 "
        "AND in_transit >= 0 AND allowance >= 0 AND sellable_inbound_percent BETWEEN 0 AND 100",
        name="pool_not_negative",
    ),
    CheckConstraint(
        "reserved <= on_hand + in_transit + allowance + inbound_points * sellable_inbound_percent / 10000 + deficit",
        name="pool_not_oversold",
    ),
    CheckConstraint(
        "NOT jsonb_path_exists(warehouses, '$.* ? (@.on_hand < 0 || @.assigned < 0 || @.deficit < 0 "
        "|| @.assigned > @.on_hand + @.deficit)')",
        name="pool_warehouses_not_overassigned",
    ),
    postgresql_with=_HOT,
)
telling = Table(
    "telling",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("told_at", DateTime(timezone=True)),
    Column("skus", JSONB, nullable=False),
    postgresql_with={"fillfactor": "50"},
)
reservation = Table(
    "reservation",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("plan", BigInteger, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("shippable", JSONB, nullable=False),
    Column("parcels", JSONB, nullable=False),
    Column("requirements", JSONB, nullable=False),
    Column("wait", JSONB, nullable=False),
    CheckConstraint("state IN ('reserved', 'short', 'assigned', 'released', 'closed')", name="reservation_state"),
    postgresql_with={"fillfactor": "40"},
)
waiting = Table(
    "waiting",
    METADATA,
    Column("sku", Text, primary_key=True),
    Column("warehouse", Text, primary_key=True),
    Column("ticket", BigInteger, primary_key=True, autoincrement=False),
    Column("order_id", Text, nullable=False),
    Column("skus", JSONB, nullable=False),
)
sku = Table(
    "sku",
    METADATA,
    Column("sku", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("barcode", Text, nullable=False),
    Column("cost", BigInteger),
    Column("weight_grams", BigInteger),
)
warehouse = Table(
    "warehouse",
    METADATA,
    Column("warehouse", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("province_code", Text, nullable=False),
)
inbound = Table(
    "inbound",
    METADATA,
    Column("inbound_id", Text, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("warehouse", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("yield_percent", BigInteger, nullable=False),
    Column("eta", DateTime(timezone=True), nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    CheckConstraint("received BETWEEN 0 AND quantity", name="inbound_received"),
    Index("inbound_open", "sku", "eta", postgresql_where=text("state = 'open'")),
)
transfer = Table(
    "transfer",
    METADATA,
    Column("transfer_id", Text, primary_key=True),
    Column("from_warehouse", Text, nullable=False),
    Column("to_warehouse", Text, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("received", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("eta", DateTime(timezone=True)),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True)),
    Index(
        "transfer_in_transit",
        text("items jsonb_path_ops"),
        postgresql_using="gin",
        postgresql_where=text("state = 'in_transit'"),
    ),
)
# The key says it: one cause changes one figure of one place once. `n` keeps the order in which changes were written.
ledger = Table(
    "ledger",
    METADATA,
    Column("cause", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("warehouse", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("delta", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("n", BigInteger, Identity(always=True), nullable=False),
    CheckConstraint("kind IN ('on_hand', 'reserved', 'assigned', 'inbound')", name="ledger_kind"),
)

TABLES = Tables(
    METADATA,
    {
        domain.Pool: pool,
        domain.Telling: telling,
        domain.Reservation: reservation,
        domain.Waiting: waiting,
        domain.Sku: sku,
        domain.Warehouse: warehouse,
        domain.Inbound: inbound,
        domain.Transfer: transfer,
        domain.LedgerEntry: ledger,
    },
)


class BadCursor(ValueError):
    """The cursor was not given out by this list."""


async def pool_of(connection: AsyncConnection, sku_code: str) -> domain.Pool | None:
    """Return a SKU's pool as the decisions see it; None if it was never defined."""
    found = (await connection.execute(select(pool).where(pool.c.sku == sku_code))).mappings().one_or_none()
    if found is None or not found["defined"]:
        return None
    return msgspec.convert({str(name): value for name, value in found.items()}, domain.Pool)


async def incoming(connection: AsyncConnection, sku_code: str) -> list[dict[str, Any]]:
    """Return what is on its way of a SKU, the earliest first: announced shipments, then transfers."""
    bought = select(inbound).where(inbound.c.sku == sku_code, inbound.c.state == "open")
    moved = select(transfer).where(
        transfer.c.state == "in_transit", transfer.c["items"].contains(bindparam("held", type_=JSONB))
    )
    rows = await connection.execute(bought.order_by(inbound.c.eta, inbound.c.inbound_id).limit(INCOMING_LIMIT_ITEMS))
    terms = [
        _term("purchase", row["inbound_id"], row, row["quantity"] - row["received"], row["yield_percent"])
        for row in rows.mappings()
    ]
    rows = await connection.execute(
        moved.order_by(transfer.c.sent_at, transfer.c.transfer_id).limit(INCOMING_LIMIT_ITEMS),
        {"held": [{"sku": sku_code}]},
    )
    for row in rows.mappings():
        units = sum([item["quantity"] for item in row["items"] if item["sku"] == sku_code])
        terms.append(_term("transfer", row["transfer_id"], {**row, "warehouse": row["to_warehouse"]}, units, 100))
    return terms


async def skus(connection: AsyncConnection, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of the catalogue with each SKU's figures, by SKU."""
    figures = [pool.c.on_hand, pool.c.reserved, pool.c.inbound, pool.c.in_transit]
    wanted = select(sku, *figures).join(pool, pool.c.sku == sku.c.sku).order_by(sku.c.sku)
    if cursor is not None:
        wanted = wanted.where(sku.c.sku > _opened(cursor))
    return await _page(connection, wanted.limit(limit + 1), limit, "sku")


async def warehouses(connection: AsyncConnection, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of warehouses, by code."""
    wanted = select(warehouse).order_by(warehouse.c.warehouse)
    if cursor is not None:
        wanted = wanted.where(warehouse.c.warehouse > _opened(cursor))
    return await _page(connection, wanted.limit(limit + 1), limit, "warehouse")


async def reservation_of(connection: AsyncConnection, order_id: str) -> dict[str, Any] | None:
    """Return what an order was promised and what became of it."""
    return await _one(connection, select(reservation).where(reservation.c.order_id == order_id))


async def transfer_of(connection: AsyncConnection, transfer_id: str) -> dict[str, Any] | None:
    """Return a transfer."""
    return await _one(connection, select(transfer).where(transfer.c.transfer_id == transfer_id))


async def inbound_of(connection: AsyncConnection, inbound_id: str) -> dict[str, Any] | None:
    """Return an announced shipment."""
    return await _one(connection, select(inbound).where(inbound.c.inbound_id == inbound_id))


def _term(kind: str, name: str, row: Mapping[Any, Any], units: int, yield_percent: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": name,
        "warehouse": row["warehouse"],
        "quantity": units,
        "yield_percent": yield_percent,
        "effective_units": units * yield_percent / 100,
        "eta": msgspec.to_builtins(row["eta"]),
    }


async def _one(connection: AsyncConnection, wanted: Any) -> dict[str, Any] | None:
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else msgspec.to_builtins(dict(row))


async def _page(connection: AsyncConnection, wanted: Any, limit: int, key: str) -> dict[str, Any]:
    rows = (await connection.execute(wanted)).mappings().all()
    items = [msgspec.to_builtins(dict(row)) for row in rows[:limit]]
    return {"items": items, "next_cursor": _sealed(items[-1][key]) if len(rows) > limit else None}


def _sealed(key: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([key])).decode().rstrip("=")


def _opened(cursor: str) -> str:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        key: str = msgspec.json.decode(raw, type=tuple[str])[0]
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise BadCursor("the cursor was not given out by this list") from error
    if "\x00" in key:
        raise BadCursor("the cursor was not given out by this list")
    return key
