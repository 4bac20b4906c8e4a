"""The tables of shops on platforms and of what they told, and the reads the API and the companions make of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Table,
    Text,
    and_,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.decide import Entry, Row
from services.ingestion import domain
from services.ingestion.store.pages import METADATA, PAGE_LIMIT_ROWS, BadCursor, cursor_of, key_after

WAITING_SHOWN_LIMIT = 20
_MOMENT = DateTime(timezone=True)

connection = Table(
    "connection",
    METADATA,
    Column("shop_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("seller_id", Text, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("sign_in", Text, nullable=False),
    Column("push_url", Text, nullable=False),
    Column("access_digest", Text, nullable=False),
    Column("access_wrapped", Text, nullable=False),
    Column("token_wrapped", Text),
    Column("token_version", BigInteger, nullable=False),
    Column("token_expires_at", _MOMENT),
    Column("refresh_expires_at", _MOMENT),
    Column("scopes", JSONB, nullable=False),
    Column("token_refused_at", _MOMENT),
    Column("asks", Text),
    Column("asks_since", _MOMENT),
    Column("changed_at", _MOMENT, nullable=False),
    Column("carriers", JSONB, nullable=False),
)
sign_in = Table(
    "sign_in",
    METADATA,
    Column("state_hash", Text, primary_key=True),
    Column("shop_id", Text, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("used_at", _MOMENT),
)
subject = Table(
    "subject",
    METADATA,
    Column("shop_id", Text, primary_key=True),
    Column("about", Text, primary_key=True),
    Column("subject_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("modified_at", _MOMENT),
    Column("read_at", _MOMENT),
    Column("listed_at", _MOMENT),
    Column("known_at", _MOMENT),
    Column("pending", Boolean, nullable=False),
    Column("pending_since", _MOMENT),
    Column("again", Boolean, nullable=False),
    Column("fetch_no", BigInteger, nullable=False),
    Column("open_step", BigInteger),
    Column("waits", BigInteger, nullable=False),
    Column("parked", Boolean, nullable=False),
    Column("message_ids", JSONB, nullable=False),
    Column("change_at", _MOMENT),
    Index("subject_open", "shop_id", "open_step", postgresql_where=text("open_step IS NOT NULL")),
    postgresql_with={"fillfactor": "70"},
)
parked_document = Table(
    "parked_document",
    METADATA,
    Column("shop_id", Text, primary_key=True),
    Column("about", Text, primary_key=True),
    Column("subject_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raw_sealed", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("parked_at", _MOMENT, nullable=False),
)
platform_refund = Table(
    "platform_refund",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("refund_id", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("after_shipping", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("changed_at", _MOMENT, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
)
progress = Table(
    "progress",
    METADATA,
    Column("shop_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("since", _MOMENT, nullable=False),
    Column("covered_until", _MOMENT, nullable=False),
    Column("complete_until", _MOMENT),
    Column("step_number", BigInteger, nullable=False),
    Column("steps", JSONB, nullable=False),
    Column("open", JSONB, nullable=False),
    Column("days", JSONB, nullable=False),
    Column("gaps", JSONB, nullable=False),
    Column("late_orders", BigInteger, nullable=False),
    Column("trouble", Text),
    Column("trouble_since", _MOMENT),
    Column("told_at", _MOMENT),
    Column("waived", JSONB, nullable=False),
    postgresql_with={"fillfactor": "50"},
)
push = Table(
    "push",
    METADATA,
    Column("push_id", Text, primary_key=True),
    Column("shop_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("hints", BigInteger, nullable=False),
    Column("received_at", _MOMENT, nullable=False),
    Column("raw_sealed", Text, nullable=False),
)

BY_TYPE: dict[type[Row] | type[Entry], Table] = {
    domain.Connection: connection,
    domain.SignIn: sign_in,
    domain.Subject: subject,
    domain.ParkedDocument: parked_document,
    domain.PlatformRefund: platform_refund,
    domain.Progress: progress,
    domain.Push: push,
}


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """A shop on a platform as stored, secrets still wrapped."""

    shop_id: str
    channel: str
    seller_id: str
    paused: bool
    gateway: str
    sign_in: str
    push_url: str
    carriers: dict[str, str]
    access_digest: str
    access_wrapped: str
    token_wrapped: str | None
    token_version: int
    token_expires_at: datetime | None
    refresh_expires_at: datetime | None
    scopes: list[str]
    token_refused_at: datetime | None
    asks: str | None
    asks_since: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """A shop on a platform beside its watermark, how many of its documents are parked, and some that are awaited."""

    shop: ConnectionRecord
    progress: domain.Progress
    parked: int


async def connection_by_id(reads: AsyncConnection, shop_id: str) -> ConnectionRecord | None:
    """Return one shop on a platform."""
    row = (await reads.execute(select(connection).where(connection.c.shop_id == shop_id))).one_or_none()
    return None if row is None else ConnectionRecord(**row._mapping)


async def all_connections(reads: AsyncConnection, limit: int) -> list[ConnectionRecord]:
    """Return the shops on platforms, by id."""
    query = select(connection).order_by(connection.c.shop_id).limit(limit)
    return [ConnectionRecord(**row._mapping) for row in await reads.execute(query)]


async def progress_of(reads: AsyncConnection, shop_id: str) -> domain.Progress | None:
    """Return how far one shop's orders are known."""
    row = (await reads.execute(select(progress).where(progress.c.shop_id == shop_id))).one_or_none()
    return None if row is None else _progress(dict(row._mapping))


async def known_subjects(
    reads: AsyncConnection, shop_id: str, about: str, changes: Mapping[str, datetime], *, bounds: bool
) -> set[str]:
    """Return which of these orders or refunds were read as of their change already; what is known stays known."""
    of_page = and_(subject.c.shop_id == shop_id, subject.c.about == about, subject.c.subject_id.in_(changes))
    found = [domain.Subject(**row) for row in (await reads.execute(select(subject).where(of_page))).mappings()]
    return {each.subject_id for each in found if domain.is_known(each, changes[each.subject_id], bounds)}


async def watched(reads: AsyncConnection, limit: int, cursor: str | None = None) -> list[Watched]:
    """Return shops on platforms after the cursor, with their watermarks; at most one more than `limit`."""
    counts = (
        select(parked_document.c.shop_id, func.count().label("parked")).group_by(parked_document.c.shop_id).subquery()
    )
    query = (
        select(connection, *[each.label(f"progress_{each.name}") for each in progress.c], counts.c.parked)
        .join(progress, progress.c.shop_id == connection.c.shop_id)
        .outerjoin(counts, counts.c.shop_id == connection.c.shop_id)
        .order_by(connection.c.shop_id)
        .limit(limit + 1)
    )
    if cursor is not None:
        query = query.where(connection.c.shop_id > key_after(cursor))
    found = []
    for row in await reads.execute(query):
        fields = dict(row._mapping)
        record = ConnectionRecord(**{name: fields[name] for name in ConnectionRecord.__slots__})
        state = _progress({each.name: fields[f"progress_{each.name}"] for each in progress.c})
        found.append(Watched(record, state, fields["parked"] or 0))
    return found


async def waiting(reads: AsyncConnection, shop_id: str) -> list[dict[str, Any]]:
    """Return some of the documents that a shop's watermark waits for, the oldest first."""
    columns = (subject.c.about, subject.c.subject_id, subject.c.pending_since, subject.c.listed_at)
    query = (
        select(*columns)
        .where(and_(subject.c.shop_id == shop_id, subject.c.open_step.is_not(None)))
        .order_by(subject.c.open_step)
        .limit(WAITING_SHOWN_LIMIT)
    )
    return [dict(row._mapping) for row in await reads.execute(query)]


async def parked_documents(
    reads: AsyncConnection, shop_id: str | None, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of parked documents, without what they say."""
    limit = min(limit, PAGE_LIMIT_ROWS)
    table = parked_document.c
    key = (table.shop_id, table.about, table.subject_id)
    columns = [each for each in parked_document.c if each.name != "raw_sealed"]
    query = select(*columns).order_by(*key).limit(limit + 1)
    if shop_id is not None:
        query = query.where(table.shop_id == shop_id)
    if cursor is not None:
        after = key_after(cursor).split("|", 2)
        if len(after) != 3:
            raise BadCursor("not a cursor that a page gave out")
        query = query.where(tuple_(*key) > tuple_(*after))
    found = [dict(row._mapping) for row in await reads.execute(query)]
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return page, cursor_of(f"{last['shop_id']}|{last['about']}|{last['subject_id']}") if last else None


def _progress(fields: dict[str, Any]) -> domain.Progress:
    steps = msgspec.convert(fields.pop("steps"), list[domain.Step])
    waived = msgspec.convert(fields.pop("waived"), list[domain.Waived])
    return domain.Progress(steps=steps, waived=waived, **fields)
