"""Wires the tower, and prints one order's story for whoever sits at a terminal."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from libs.runtime.main import read_settings
from libs.runtime.service import Service
from libs.runtime.settings import sqlalchemy_url
from services.tower import api, handlers, store
from services.tower.settings import Settings

PAYLOAD_LIMIT_CHARACTERS = 160


def build(settings: Settings) -> Service:
    """Return the service, ready to be served."""
    return Service(
        name="tower",
        settings=settings,
        handlers=handlers.handlers(),
        tables=store.TABLES,
        routers=api.routers,
        title="Ordo tower 控制塔",
    )


def explain(arguments: Sequence[str]) -> int:
    """Print an order's timeline; the command line's `explain ORDER_ID`."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m services.tower explain ORDER_ID\n")
        return 2
    order_id = arguments[0]
    try:
        order_id.encode()
    except UnicodeEncodeError:
        sys.stderr.write("explain: an order's id is UTF-8 text, this one is not\n")
        return 2
    try:
        lines = asyncio.run(story_of(read_settings(Settings).postgres, order_id))
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        sys.stderr.write(f"explain: Postgres does not tell: {_first_line(error)}\n")
        return 1
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if len(lines) > 1 else 1


def _first_line(error: BaseException) -> str:
    """Return what the database said, without the statement that SQLAlchemy adds to it."""
    said = str(getattr(error, "orig", None) or error)
    return said.splitlines()[0] if said else type(error).__name__


async def story_of(dsn: str, order_id: str) -> list[str]:
    """Return an order's story, read from the tower's own tables."""
    engine = create_async_engine(
        sqlalchemy_url(dsn),
        isolation_level="AUTOCOMMIT",
        connect_args={"timeout": 5, "server_settings": {"search_path": "tower"}},
    )
    try:
        async with engine.connect() as connection:
            view = await store.order(connection, order_id)
            parked = await store.parked_of(connection, order_id)
            entries, following = await store.timeline(connection, order_id, limit=store.TIMELINE_LIMIT_ENTRIES)
    finally:
        await engine.dispose()
    return story(order_id, view, entries, parked, more=following is not None)


def story(
    order_id: str,
    view: Mapping[str, Any] | None,
    entries: Sequence[Mapping[str, Any]],
    parked: Sequence[Mapping[str, Any]] = (),
    *,
    more: bool = False,
) -> list[str]:
    """Return an order's timeline as lines to read: when, what, why in both languages, and the event behind it.

    First comes what the tower could not read itself: the rest may lack it.
    """
    if view is None and not entries and not parked:
        return [f"{order_id}: no event was ever seen 从未见过"]
    stage = "" if view is None else f"  {view['stage']} since {view['stage_since']:%Y-%m-%d %H:%M:%S}Z"
    lines = [f"{order_id}{stage}"]
    for each in parked:
        lines.append(f"{each['parked_at']:%Y-%m-%d %H:%M:%S.%f}Z  {each['type']:<22} {each['topic']}")
        lines.append(f"    未能读入，待人工处理 parked in the tower: {each['error']}")
    for entry in entries:
        lines.append(f"{entry['at']:%Y-%m-%d %H:%M:%S.%f}Z  {entry['type']:<22} {entry['topic']}")
        lines.extend(f"    {why}" for why in dict.fromkeys((entry["why_zh"], entry["why_en"])) if why)
        payload = {name: value for name, value in entry["payload"].items() if name != "order_id"}
        text = msgspec.json.encode(payload).decode()
        shortened = text if len(text) <= PAYLOAD_LIMIT_CHARACTERS else text[: PAYLOAD_LIMIT_CHARACTERS - 1] + "…"
        lines.append(f"    {shortened}")
    if more:
        lines.append(f"(the first {len(entries)} entries)")
    return lines
