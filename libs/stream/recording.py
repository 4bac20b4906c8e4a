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
    columns = ", ".join(f't."{name}"' for name in codec.columns)
    row = await connection.fetchrow(
        f"SELECT count(*), coalesce(sum(hashtextextended(ROW({columns})::text, 0)::numeric), 0)::text "
        f'FROM "{schema}"."{codec.table}" t'
    )
    return row[0], int(row[1])


async def differing(connection: Any, live: str, made: str, codec: RowCodec) -> list[tuple[str, str]]:
    """Return rows that differ between two schemas: as they are here and there."""
    columns = ", ".join(f'"{name}"' for name in codec.columns)
    keys = codec.key or codec.columns
    names = ", ".join(f'"{name}"' for name in keys)
    one = f'SELECT ROW({columns})::text AS whole, {names} FROM "{live}"."{codec.table}"'
    two = f'SELECT ROW({columns})::text AS whole, {names} FROM "{made}"."{codec.table}"'
    rows = await connection.fetch(
        f"SELECT a.whole AS here, b.whole AS there FROM ({one}) a FULL JOIN ({two}) b USING ({names}) "
        f"WHERE a.whole IS DISTINCT FROM b.whole LIMIT {DIFFERENCES_SHOWN}"
    )
    return [(row["here"] or "no row", row["there"] or "no row") for row in rows]
