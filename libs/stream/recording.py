"""What a service's journal recorded: its batches in order with their commands, and the events they published."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from libs.stream.log import Place
from libs.stream.replay import RecordedBatch, RecordedCommand
from libs.stream.rows import RowCodec

CHUNK_BATCHES = 200
DIFFERENCES_SHOWN = 20
PREFETCH_ROWS = 2_000


async def recorded_batches(connection: Any, upto: int, after: int = 0) -> AsyncIterator[RecordedBatch]:
    """Yield the batches after `after` up to and including `upto`."""
    while after < upto:
        rows = await connection.fetch(
            "SELECT batch_no, decided_at, inputs FROM batch_log WHERE batch_no > $1 AND batch_no <= $2 "
            "ORDER BY batch_no LIMIT $3",
            after,
            upto,
            CHUNK_BATCHES,
        )
        if not rows:
            return
        commands: dict[int, list[RecordedCommand]] = {}
        found = await connection.fetch(
            "SELECT batch_no, idempotency_key, kind, fingerprint, body FROM command_log "
            "WHERE batch_no BETWEEN $1 AND $2 ORDER BY batch_no, place",
            rows[0]["batch_no"],
            rows[-1]["batch_no"],
        )
        for batch_no, key, kind, fingerprint, body in found:
            commands.setdefault(batch_no, []).append(RecordedCommand(key, kind, fingerprint, body))
        for batch_no, decided_at, inputs in rows:
            yield RecordedBatch(batch_no, decided_at, msgspec.json.decode(inputs), commands.get(batch_no, ()))
        after = rows[-1]["batch_no"]


async def first_offsets(connection: Any) -> dict[Place, int]:
    """Return the offset at which the service began to read each place; places never read begin where they stand."""
    firsts = {(topic, part): offset for topic, part, offset in await connection.fetch(
        "SELECT topic, part, next_offset FROM consumer_offset"
    )}  # fmt: skip
    rows = await connection.fetch(
        "SELECT r->>0 AS topic, (r->>1)::int AS part, min((r->>2)::bigint) AS first FROM batch_log, "
        "jsonb_array_elements(inputs->'read') AS r GROUP BY 1, 2"
    )
    firsts.update({(topic, part): first for topic, part, first in rows})
    return firsts


async def published(connection: Any, first: int, last: int) -> AsyncGenerator[tuple[int, list[tuple[Any, ...]]], None]:
    """Yield, for each batch that published, its number and its outbox rows (topic to value)."""
    batch_no, rows = 0, list[tuple[Any, ...]]()
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(
            "SELECT batch_no, topic, part, seq, at_ms, key, type, cause, value FROM outbox "
            "WHERE batch_no BETWEEN $1 AND $2 ORDER BY batch_no, topic, part, seq",
            first,
            last,
            prefetch=PREFETCH_ROWS,
        ):
            if row[0] != batch_no and rows:
                yield batch_no, rows
                rows = []
            batch_no = row[0]
            rows.append(tuple(row)[1:])
    if rows:
        yield batch_no, rows


async def checksum(connection: Any, schema: str, codec: RowCodec) -> tuple[int, int]:
    """Return the number of rows of a table and a sum over all their contents, whatever their order."""
    row = await connection.fetchrow(
        f"SELECT count(*), coalesce(sum(hashtextextended({_whole(codec)}, 0)::numeric), 0)::text "
        f'FROM "{schema}"."{codec.table}" t'
    )
    return row[0], int(row[1])


async def differing(here: Any, live: str, there: Any, made: str, codec: RowCodec) -> list[tuple[str, str]]:
    """Return rows that only one of two schemas holds, as ("here" or "there", row): both are read in one order."""
    found: list[tuple[str, str]] = []
    async with here.transaction(readonly=True), there.transaction(readonly=True):
        one, two = _rows(here, live, codec), _rows(there, made, codec)
        a, b = await anext(one, None), await anext(two, None)
        while (a is not None or b is not None) and len(found) < DIFFERENCES_SHOWN:
            if a == b:
                a, b = await anext(one, None), await anext(two, None)
            elif b is None or (a is not None and a < b):
                found.append(("here", a or ""))
                a = await anext(one, None)
            else:
                found.append(("there", b))
                b = await anext(two, None)
        await one.aclose()
        await two.aclose()
    return found


async def _rows(connection: Any, schema: str, codec: RowCodec) -> AsyncGenerator[str, None]:
    sql = f'SELECT {_whole(codec)} COLLATE "C" AS whole FROM "{schema}"."{codec.table}" t ORDER BY 1'
    async for row in connection.cursor(sql, prefetch=PREFETCH_ROWS):
        yield row["whole"]


def _whole(codec: RowCodec) -> str:
    return "ROW(" + ", ".join(f't."{name}"' for name in codec.columns) + ")::text"
