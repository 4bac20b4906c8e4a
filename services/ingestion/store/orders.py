"""The tables of orders, deliveries and shops of the own channel, and the reads the API makes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.decide import Entry, Row
from services.ingestion import domain
from services.ingestion.store.pages import METADATA, PAGE_LIMIT_ROWS, cursor_of, key_after

platform_order = Table(
    "platform_order",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("fingerprints", JSONB, nullable=False),
    Column("cancel_request_id", Text),
    Column("cancel_requested_at", DateTime(timezone=True)),
    Column("cancel_reason", Text),
    Column("line_ids", JSONB, nullable=False),
    Column("part_refund_id", Text),
    Column("refunded", Boolean, nullable=False),
    CheckConstraint("state IN ('awaited', 'placed', 'cancelled', 'left')", name="platform_order_state"),
    CheckConstraint("(state IN ('awaited', 'left')) = (version = 0)", name="platform_order_version"),
    CheckConstraint(
        "state = 'left' OR (state = 'placed') = (cancel_request_id IS NULL)", name="platform_order_cancellation"
    ),
    postgresql_with={"fillfactor": "80"},
)
shop = Table(
    "shop",
    METADATA,
    Column("shop_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("secret_id", Text, nullable=False),
    Column("secret_wrapped", Text, nullable=False),
    Column("previous_wrapped", Text),
    Column("previous_until", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)
intake = Table(
    "intake",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("change", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("raw_sealed", Text, nullable=False),
)

BY_TYPE: dict[type[Row] | type[Entry], Table] = {
    domain.PlatformOrder: platform_order,
    domain.Shop: shop,
    domain.Intake: intake,
}


@dataclass(frozen=True, slots=True)
class ShopRecord:
    """A shop as stored, secrets still wrapped."""

    shop_id: str
    channel: str
    paused: bool
    secret_id: str
    secret_wrapped: str
    previous_wrapped: str | None
    previous_until: datetime | None
    changed_at: datetime


async def shop_by_id(connection: AsyncConnection, shop_id: str) -> ShopRecord | None:
    """Return one shop."""
    row = (await connection.execute(select(shop).where(shop.c.shop_id == shop_id))).one_or_none()
    return None if row is None else ShopRecord(**row._mapping)


async def shops(connection: AsyncConnection, limit: int, cursor: str | None) -> tuple[list[ShopRecord], str | None]:
    """Return a page of shops by id, and the cursor of the next page if there is one."""
    limit = min(limit, PAGE_LIMIT_ROWS)
    query = select(shop).order_by(shop.c.shop_id).limit(limit + 1)
    if cursor is not None:
        query = query.where(shop.c.shop_id > key_after(cursor))
    found = [ShopRecord(**row._mapping) for row in await connection.execute(query)]
    page = found[:limit]
    return page, cursor_of(page[-1].shop_id) if len(found) > limit else None
