"""The tables of what goes back to platforms, and the reads the API makes of them."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Table, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.decide import Entry, Row
from services.ingestion.domain.acceptance import STATES as ACCEPTANCE_STATES
from services.ingestion.domain.acceptance import Acceptance
from services.ingestion.domain.ledger import Exposure, SoldOrder
from services.ingestion.domain.uploads import STATES, ShipBack
from services.ingestion.store.pages import METADATA, PAGE_LIMIT_ROWS, cursor_of, key_after

_TEXTS = ARRAY(Text)

ship_back = Table(
    "ship_back",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("shop_id", Text, nullable=False),
    Column("platform_order_id", Text, nullable=False),
    Column("worst_state", Text, nullable=False),
    Column("reports", JSONB, nullable=False),
    Column("respent", JSONB, nullable=False),
    Column("shipped_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"worst_state IN ({', '.join(repr(state) for state in STATES)})", name="ship_back_state"),
    Index("ship_back_by_state", "worst_state", "order_id"),
    postgresql_with={"fillfactor": "80"},
)
exposure = Table(
    "exposure",
    METADATA,
    Column("sku", Text, primary_key=True),
    Column("budget", BigInteger, nullable=False),
    Column("atp", BigInteger),
    Column("sellable", BigInteger, nullable=False),
    Column("figures_no", BigInteger, nullable=False),
    Column("figures_ms", BigInteger, nullable=False),
    Column("wake_ms", BigInteger, nullable=False),
    Column("listings", JSONB, nullable=False),
    CheckConstraint("budget >= 0", name="exposure_budget"),
    postgresql_with={"fillfactor": "60"},
)

sold_order = Table(
    "sold_order",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("shop_id", Text, nullable=False),
    Column("units", JSONB, nullable=False),
)

acceptance = Table(
    "acceptance",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("shop_id", Text, nullable=False),
    Column("platform_order_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("word", Text, nullable=False),
    Column("accept_by", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"state IN ({', '.join(repr(state) for state in ACCEPTANCE_STATES)})", name="acceptance_state"),
    Index("acceptance_by_state", "state", "order_id"),
    postgresql_with={"fillfactor": "80"},
)

BY_TYPE: dict[type[Row] | type[Entry], Table] = {
    ShipBack: ship_back,
    Exposure: exposure,
    SoldOrder: sold_order,
    Acceptance: acceptance,
}


R = TypeVar("R", bound=Row)


def _row(kind: type[R], record: Any) -> R:
    return msgspec.convert({name: record._mapping[name] for name in kind.__struct_fields__}, kind)


async def ship_backs(
    connection: AsyncConnection, state: str | None, limit: int, cursor: str | None
) -> tuple[list[ShipBack], str | None]:
    """Return a page of orders that have a parcel in this state, and the cursor of the next page if there is one."""
    limit = min(limit, PAGE_LIMIT_ROWS)
    query = select(ship_back).order_by(ship_back.c.order_id).limit(limit + 1)
    if state is not None:
        worse = STATES[: STATES.index(state) + 1]
        query = query.where(ship_back.c.worst_state.in_(worse), ship_back.c.reports.contains([{"state": state}]))
    if cursor is not None:
        query = query.where(ship_back.c.order_id > key_after(cursor))
    found = [_row(ShipBack, row) for row in await connection.execute(query)]
    page = found[:limit]
    return page, cursor_of(page[-1].order_id) if len(found) > limit else None


async def acceptances(
    connection: AsyncConnection, state: str | None, limit: int, cursor: str | None
) -> tuple[list[Acceptance], str | None]:
    """Return a page of orders whose acceptance stands so, and the cursor of the next page if there is one."""
    limit = min(limit, PAGE_LIMIT_ROWS)
    query = select(acceptance).order_by(acceptance.c.order_id).limit(limit + 1)
    if state is not None:
        query = query.where(acceptance.c.state == state)
    if cursor is not None:
        query = query.where(acceptance.c.order_id > key_after(cursor))
    found = [_row(Acceptance, row) for row in await connection.execute(query)]
    page = found[:limit]
    return page, cursor_of(page[-1].order_id) if len(found) > limit else None


async def calls(connection: AsyncConnection, sends: Sequence[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Return what egress knows of calls, by send id: attempts, the last word, when the next attempt is due."""
    if not sends:
        return {}
    sql = text(
        "SELECT e.send_id, e.attempts, e.outcome, e.next_try_at FROM egress e "
        "JOIN unnest(:destinations, :send_ids) AS w(destination, send_id) "
        "ON e.destination = w.destination AND e.send_id = w.send_id"
    ).bindparams(
        bindparam("destinations", [each[0] for each in sends], type_=_TEXTS),
        bindparam("send_ids", [each[1] for each in sends], type_=_TEXTS),
    )
    return {row.send_id: dict(row._mapping) for row in await connection.execute(sql)}


async def exposure_of(connection: AsyncConnection, sku: str) -> Exposure | None:
    """Return the ledger of one SKU."""
    row = (await connection.execute(select(exposure).where(exposure.c.sku == sku))).one_or_none()
    return None if row is None else _row(Exposure, row)
