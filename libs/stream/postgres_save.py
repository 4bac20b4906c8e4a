"""How a decided batch is written: COPY for what is new, one array for what changed, in the caller's transaction."""

from collections.abc import Mapping
from typing import Any

import msgspec

from libs.decide import Entry, Row
from libs.stream.journal import Changes
from libs.stream.postgres_sql import UPSERT_EGRESS_DONE
from libs.stream.rows import RowCodec

_encode = msgspec.json.Encoder().encode


async def save_rows(connection: Any, changes: Changes, codecs: Mapping[type[Row] | type[Entry], RowCodec]) -> None:
    """Write the rows and entries the decisions changed: deletes, updates, then new ones by COPY."""
    state = changes.state
    for row_type, keys in state.deletes():
        columns = list(zip(*keys, strict=True))
        await connection.execute(codecs[row_type].delete(), *map(list, columns))
    for row_type, rows in state.updates():
        codec = codecs[row_type]
        await connection.execute(codec.update(), [codec.values(row) for row in rows])
    for row_type, rows in state.inserts():
        codec = codecs[row_type]
        records = [codec.values(row) for row in rows]
        await connection.copy_records_to_table(codec.table, records=records, columns=codec.columns)
    for entry_type, entries in state.appended():
        codec = codecs[entry_type]
        records = [codec.values(entry) for entry in entries]
        await connection.copy_records_to_table(codec.table, records=records, columns=codec.columns)


async def save_outputs(connection: Any, changes: Changes, stream: int) -> None:
    """Write what the decisions said: outbox, answers, timers, outward calls, parked messages."""
    if changes.outbox:
        records = [
            (
                stream,
                o.topic,
                o.partition,
                o.seq,
                changes.batch_no,
                o.timestamp_ms,
                o.key,
                kind,
                cause,
                o.value,
            )
            for o, kind, cause in changes.outbox
        ]
        columns = ["stream", "topic", "part", "seq", "batch_no", "at_ms", "key", "type", "cause", "value"]
        await connection.copy_records_to_table("outbox", records=records, columns=columns)
    if changes.answered:
        answered = [
            (
                a.idempotency_key,
                changes.batch_no,
                n,
                a.kind,
                a.fingerprint,
                a.body,
                a.reply.status,
                _encode(a.reply.body),
            )
            for n, a in enumerate(changes.answered)
        ]
        columns = ["idempotency_key", "batch_no", "place", "kind", "fingerprint", "body", "status", "reply"]
        await connection.copy_records_to_table("command_log", records=answered, columns=columns)
    await _save_timers(connection, changes)
    await _save_egress(connection, changes)
    await _save_parked(connection, changes)


async def _save_timers(connection: Any, changes: Changes) -> None:
    if changes.timers_gone:
        gone = sorted(changes.timers_gone)
        sql = "DELETE FROM timer USING unnest($1::text[], $2::text[]) AS u(k, key_) WHERE kind = u.k AND key = u.key_"
        await connection.execute(sql, [kind for kind, _ in gone], [key for _, key in gone])
    if changes.timers_set:
        rows = sorted((kind, key, at) for (kind, key), at in changes.timers_set.items())
        await connection.execute(
            "INSERT INTO timer (kind, key, due_at) SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[]) "
            "ON CONFLICT (kind, key) DO UPDATE SET due_at = excluded.due_at",
            *map(list, zip(*rows, strict=True)),
        )


async def _save_egress(connection: Any, changes: Changes) -> None:
    if changes.sends:
        rows = [
            (
                s.destination,
                s.send_id,
                s.key,
                _encode(s.body),
                changes.decided_at,
                s.not_before or changes.decided_at,
            )
            for s in changes.sends
        ]
        await connection.executemany(
            "INSERT INTO egress (destination, send_id, key, body, written_at, attempts, next_try_at, outcome) "
            "VALUES ($1, $2, $3, $4, $5, 0, $6, 'waiting') ON CONFLICT DO NOTHING",
            rows,
        )
    if changes.delivered:
        await connection.executemany(
            UPSERT_EGRESS_DONE,
            [
                (d.destination, d.send_id, d.attempts, ("sent: " if d.ok else "refused: ") + d.detail)
                for d in changes.delivered
            ],
        )


async def _save_parked(connection: Any, changes: Changes) -> None:
    if changes.unparked:
        await connection.executemany("DELETE FROM parked WHERE key = $1 AND n = $2", changes.unparked)
    if changes.parked:
        base = await connection.fetchval("SELECT coalesce(max(n), 0) FROM parked")
        records = [
            (
                p.key,
                base + i,
                p.topic,
                p.partition,
                p.offset,
                p.source,
                p.seq,
                p.type,
                p.value,
                p.error,
                p.behind,
                0,
                changes.decided_at,
            )
            for i, p in enumerate(changes.parked, 1)
        ]
        await connection.copy_records_to_table("parked", records=records)
