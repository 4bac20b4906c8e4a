"""Notification's tables, and the only SQL it runs."""

import base64
import binascii
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.stream.tables import Tables
from services.notification import domain

PAGE_LIMIT_ROWS = 200
METADATA = MetaData()
_HOT = {"fillfactor": "80"}

recipient = Table(
    "recipient",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("known", Boolean, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("buyer_key", Text, nullable=False),
    Column("waiting", JSONB, nullable=False),
    postgresql_with=_HOT,
)
notice = Table(
    "notice",
    METADATA,
    Column("order_id", Text, primary_key=True),
    Column("notice_id", Text, primary_key=True),
    Column("audience", Text, nullable=False),
    Column("medium", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("template_version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("detail", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    CheckConstraint("state IN ('sending', 'sent', 'failed', 'opted_out')", name="notice_state"),
    postgresql_with=_HOT,
)
digest = Table(
    "digest",
    METADATA,
    Column("channel", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("in_flight", Boolean, nullable=False),
    Column("waking", Boolean, nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=True),
    Column("pending", JSONB, nullable=False),
    postgresql_with=_HOT,
)
template = Table(
    "template",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("provider_code", Text, nullable=False),
)
template_version = Table(
    "template_version",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("provider_code", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)
opt_out = Table(
    "opt_out",
    METADATA,
    Column("buyer_key", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", Text, nullable=False),
)
TABLES = Tables(
    METADATA,
    {
        domain.Recipient: recipient,
        domain.Notice: notice,
        domain.Digest: digest,
        domain.Template: template,
        domain.TemplateVersion: template_version,
        domain.OptOut: opt_out,
    },
)


class BadCursor(ValueError):
    """A cursor that no page of ours ever gave out."""


def cursor_of(key: list[str]) -> str:
    """Return the opaque text that names a page's last key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def key_of_cursor(cursor: str) -> list[str]:
    """Return the key a cursor names."""
    try:
        key = msgspec.json.decode(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True), type=list[str])
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as error:
        raise BadCursor("no such cursor") from error
    if len(key) != 2 or any("\x00" in part for part in key):
        raise BadCursor("no such cursor")
    return key


async def notices(
    connection: AsyncConnection, *, order_id: str | None, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of notices, of one order or of all, in the order of their ids, and where the next begins."""
    query = select(notice).order_by(notice.c.order_id, notice.c.notice_id).limit(limit + 1)
    if order_id is not None:
        query = query.where(notice.c.order_id == order_id)
    if cursor is not None:
        query = query.where(tuple_(notice.c.order_id, notice.c.notice_id) > tuple_(*key_of_cursor(cursor)))
    rows = [dict(row) for row in (await connection.execute(query)).mappings()]
    more = len(rows) > limit
    items = rows[:limit]
    return items, cursor_of([items[-1]["order_id"], items[-1]["notice_id"]]) if more else None


async def templates(connection: AsyncConnection) -> dict[str, dict[str, Any]]:
    """Return the wordings that operators put in force, by name."""
    rows = (await connection.execute(select(template))).mappings()
    return {row["name"]: dict(row) for row in rows}
