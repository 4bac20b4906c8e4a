"""Routing's tables and the only SQL it runs besides the stream's: reads for operators, paged by key."""

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
    Index,
    MetaData,
    Row,
    Table,
    Text,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.stream.tables import Tables
from services.routing import domain

METADATA = MetaData()
PAGE_LIMIT_ITEMS = 200

# No index covers a column that changes on an order's ordinary way, so those updates stay within their page.
order_route = Table(
    "order_route",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("cleared_version", BigInteger, nullable=False),
    Column("reserved_version", BigInteger, nullable=False),
    Column("reserved", Boolean, nullable=False),
    Column("plan", BigInteger, nullable=False),
    Column("plan_version", BigInteger, nullable=False),
    Column("replans", BigInteger, nullable=False),
    Column("region", Text),
    Column("province_code", Text),
    Column("city_code", Text),
    Column("district_code", Text),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("requirements", JSONB, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("shippable", JSONB, nullable=False),
    Column("override_warehouse", Text),
    Column("override_split", Boolean, nullable=False),
    Column("override_by", Text, nullable=False),
    Column("blocked_by", Text),
    Column("blocked_at", DateTime(timezone=True)),
    Column("blocked_rule_version", BigInteger, nullable=False),
    Column("ended", Text, nullable=False),
    CheckConstraint("state IN ('waiting', 'planned', 'assigned', 'blocked', 'closed')", name="order_route_state"),
    CheckConstraint("(state = 'blocked') = (blocked_at IS NOT NULL)", name="order_route_blocked_at"),
    Index("order_route_blocked", "blocked_at", "order_id", postgresql_where="blocked_at IS NOT NULL"),
    postgresql_with={"fillfactor": "60"},
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
route_decision = Table(
    "route_decision",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("plan", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("warehouse", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("rule_version", BigInteger, nullable=False),
    Column("why_zh", Text, nullable=False),
    Column("why_en", Text, nullable=False),
    Column("parcels", JSONB, nullable=False),
    Column("missing", JSONB, nullable=False),
    Column("transfers", JSONB, nullable=False),
    Column("decided_by", Text, nullable=False),
)

TABLES = Tables(
    METADATA,
    {
        domain.OrderRoute: order_route,
        domain.RuleGraph: rule_graph,
        domain.RuleVersion: rule_version,
        domain.RouteDecision: route_decision,
    },
)

_LATEST = (
    route_decision.c.outcome,
    route_decision.c.warehouse,
    route_decision.c.rule,
    route_decision.c.rule_version,
    route_decision.c.why_zh,
    route_decision.c.why_en,
    route_decision.c.missing,
    route_decision.c.transfers,
)


class BadCursor(ValueError):
    """The cursor was not given out by this list."""


async def order(connection: AsyncConnection, order_id: str, decisions_limit: int) -> dict[str, Any] | None:
    """Return an order's row with its newest decisions, newest first; None if routing never heard of it."""
    found = await connection.execute(select(order_route).where(order_route.c.order_id == order_id))
    row = found.one_or_none()
    if row is None:
        return None
    decisions = await connection.execute(
        select(*[column for column in route_decision.c if column.name != "order_id"])
        .where(route_decision.c.order_id == order_id)
        .order_by(route_decision.c.plan.desc())
        .limit(decisions_limit)
    )
    return {**_plain(row), "decisions": [_plain(decision) for decision in decisions]}


async def blocked(connection: AsyncConnection, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return blocked orders, the longest blocked first, each with its last decision."""
    wanted = (
        select(order_route.c.order_id, order_route.c.version, order_route.c.plan, order_route.c.region)
        .add_columns(order_route.c.blocked_at, *_LATEST)
        .join(
            route_decision,
            (route_decision.c.order_id == order_route.c.order_id) & (route_decision.c.plan == order_route.c.plan),
        )
        .where(order_route.c.blocked_at.is_not(None))
        .order_by(order_route.c.blocked_at, order_route.c.order_id)
        .limit(limit + 1)
    )
    if cursor is not None:
        at, order_id = _opened(cursor, tuple[datetime, str])
        wanted = wanted.where(tuple_(order_route.c.blocked_at, order_route.c.order_id) > tuple_(at, order_id))
    rows = (await connection.execute(wanted)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [_plain(row) for row in rows[:limit]],
        "next_cursor": None if last is None else _sealed([last.blocked_at, last.order_id]),
    }


async def rules(connection: AsyncConnection) -> dict[str, Any] | None:
    """Return the rules in force; None before the first decision or change."""
    row = (await connection.execute(select(rule_graph).where(rule_graph.c.name == domain.GRAPH))).one_or_none()
    return None if row is None else _plain(row)


async def rule_versions(connection: AsyncConnection, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return the versions that were in force, newest first, with their content."""
    wanted = select(*[column for column in rule_version.c if column.name != "name"])
    wanted = wanted.where(rule_version.c.name == domain.GRAPH).order_by(rule_version.c.version.desc()).limit(limit + 1)
    if cursor is not None:
        wanted = wanted.where(rule_version.c.version < _opened(cursor, tuple[int])[0])
    rows = (await connection.execute(wanted)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [_plain(row) for row in rows[:limit]],
        "next_cursor": None if last is None else _sealed([last.version]),
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
