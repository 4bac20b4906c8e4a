"""Risk's tables and the only SQL it runs besides the stream's: reads for people, paged by key."""

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, MetaData, Row, Table, Text, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.stream.tables import Tables
from services.risk import domain

METADATA = MetaData()
PAGE_LIMIT_ITEMS = 200

order_risk = Table(
    "order_risk",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("rule_version", BigInteger, nullable=False),
    Column("nth_of_day", BigInteger, nullable=False),
    Column("held_at", DateTime(timezone=True)),
    Column("reasons", JSONB, nullable=False),
    Column("requirements", JSONB, nullable=False),
    Column("released", JSONB, nullable=False),
    Column("unjudged", JSONB, nullable=False),
    CheckConstraint("state IN ('held', 'cleared', 'rejected', 'closed')", name="order_risk_state"),
    CheckConstraint("(state = 'held') = (held_at IS NOT NULL)", name="order_risk_held_at"),
    CheckConstraint("(state = 'held') = (jsonb_array_length(reasons) > 0)", name="order_risk_reasons"),
    # Only held orders are in it, so an order that is cleared at once never touches it.
    Index("order_risk_queue", "held_at", "order_id", postgresql_where="held_at IS NOT NULL"),
    postgresql_with={"fillfactor": "80"},
)
buyer_day = Table(
    "buyer_day",
    METADATA,
    Column("buyer_key", Text, primary_key=True),
    Column("local_day", Text, primary_key=True),
    Column("orders", BigInteger, nullable=False),
    CheckConstraint("orders > 0", name="buyer_day_orders"),
    postgresql_with={"fillfactor": "80"},
)
sku_cost = Table(
    "sku_cost",
    METADATA,
    Column("sku", Text, primary_key=True),
    Column("cost", BigInteger),
)
allowed_buyer = Table(
    "allowed_buyer",
    METADATA,
    Column("buyer_key", Text, primary_key=True),
    Column("allowed_by", Text, nullable=False),
    Column("allowed_at", DateTime(timezone=True), nullable=False),
    Column("why", Text, nullable=False),
)
rule_graph = Table(
    "rule_graph",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
)
rule_version = Table(
    "rule_version",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("content_hash", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("why", Text, nullable=False),
)

TABLES = Tables(
    METADATA,
    {
        domain.OrderRisk: order_risk,
        domain.BuyerDay: buyer_day,
        domain.SkuCost: sku_cost,
        domain.AllowedBuyer: allowed_buyer,
        domain.RuleGraph: rule_graph,
        domain.RuleVersion: rule_version,
    },
)


class BadCursor(ValueError):
    """The cursor was not given out by this list."""


async def holds(connection: AsyncConnection, rule: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return held orders, the longest held first; with `rule`, those that this rule holds."""
    columns = ("order_id", "version", "held_at", "rule_version", "reasons", "requirements")
    wanted = (
        select(*[order_risk.c[name] for name in columns])
        .where(order_risk.c.held_at.is_not(None))
        .order_by(order_risk.c.held_at, order_risk.c.order_id)
        .limit(limit + 1)
    )
    if rule is not None:
        wanted = wanted.where(order_risk.c.reasons.contains([{"rule": rule}]))
    if cursor is not None:
        at, order_id = _opened(cursor, tuple[datetime, str])
        wanted = wanted.where(tuple_(order_risk.c.held_at, order_risk.c.order_id) > tuple_(at, order_id))
    rows = (await connection.execute(wanted)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return _page(rows[:limit], None if last is None else [last.held_at, last.order_id])


async def order(connection: AsyncConnection, order_id: str) -> dict[str, Any] | None:
    """Return what risk knows of an order; None if its content never came."""
    wanted = select(order_risk).where(order_risk.c.order_id == order_id, order_risk.c.version > 0)
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else _plain(row)


async def rules(connection: AsyncConnection) -> dict[str, Any] | None:
    """Return the rules in force; None before the first decision or change."""
    wanted = select(rule_graph).where(rule_graph.c.name == domain.RULES_NAME)
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else _plain(row)


async def rule_versions(connection: AsyncConnection, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return the versions that were in force, newest first, with their content."""
    wanted = (
        select(rule_version)
        .where(rule_version.c.name == domain.RULES_NAME)
        .order_by(rule_version.c.version.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        wanted = wanted.where(rule_version.c.version < _opened(cursor, tuple[int])[0])
    rows = (await connection.execute(wanted)).all()
    return _page(rows[:limit], [rows[limit - 1].version] if len(rows) > limit else None)


async def allowed_buyers(connection: AsyncConnection, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return the allow list, by buyer key."""
    wanted = select(allowed_buyer).order_by(allowed_buyer.c.buyer_key).limit(limit + 1)
    if cursor is not None:
        wanted = wanted.where(allowed_buyer.c.buyer_key > _opened(cursor, tuple[str])[0])
    rows = (await connection.execute(wanted)).all()
    return _page(rows[:limit], [rows[limit - 1].buyer_key] if len(rows) > limit else None)


def _page(rows: Any, last_key: list[Any] | None) -> dict[str, Any]:
    return {
        "items": [_plain(row) for row in rows],
        "next_cursor": None if last_key is None else _sealed(last_key),
    }


def _plain(row: Row[Any]) -> dict[str, Any]:
    # Times become RFC 3339 texts here, so that every answer writes them alike.
    found: dict[str, Any] = msgspec.to_builtins(dict(row._mapping))
    return found


def _sealed(key: list[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def _opened(cursor: str, shape: Any) -> Any:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=shape)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise BadCursor("the cursor was not given out by this list") from error
