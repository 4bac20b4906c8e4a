"""How a decided batch is written: what is long by COPY, and all the rest, with the guards, as one statement."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import make_url

from libs.decide import Entry, Row
from libs.stream import tables
from libs.stream.journal import Changes
from libs.stream.postgres_sql import (
    ADVANCE,
    DELETE_PARKED,
    DELETE_TIMERS,
    END_EGRESS,
    FENCE,
    INSERT_EGRESS,
    INSERT_PARKED,
    MAKE_FENCE,
    UPSERT_TIMERS,
)
from libs.stream.rows import RowCodec, insert_rows, row_type
from libs.stream.turns import TICK

COPY_FROM_ROWS = 40
_PLACEHOLDER = re.compile(r"\$(\d+)")
_encode = msgspec.json.Encoder().encode

_POSTGRES = make_url("postgresql+asyncpg://").get_dialect()()
# The stream's own tables that batches add rows to.
_OWN = {
    table.name: {column.name: column.type.compile(_POSTGRES) for column in table.columns}
    for table in (tables.outbox, tables.command_log, tables.parked)
}


def session_setup(codecs: Mapping[type[Row] | type[Entry], RowCodec]) -> str:
    """Return what a session needs before it can save: a type for each table's rows, and the fence."""
    types = [codec.row_type() for codec in codecs.values()]
    types += [row_type(table, columns) for table, columns in _OWN.items()]
    return ";".join([*types, MAKE_FENCE])


@dataclass
class Copy:
    """New rows of one table that are worth a COPY of their own."""

    table: str
    columns: Sequence[str]
    records: list[tuple[Any, ...]]


@dataclass
class Save:
    """A batch as it is written: `copies`, then one statement made of `parts`, each of them a name and its SQL.

    A statement is a transaction, so without copies nothing needs to be opened or closed: a small batch costs one round
    trip where it would cost a dozen. A long COPY costs half of what the same rows cost in the statement, both here and
    in the server.
    """

    arguments: list[Any]
    copies: list[Copy] = field(default_factory=list)
    parts: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, sql: str, *arguments: Any) -> None:
        """Add a part, whose `$1` is the first of its own arguments."""
        self.parts.append((name, sql))
        self.arguments.extend(arguments)

    def new(self, table: str, columns: Sequence[str], records: list[tuple[Any, ...]]) -> None:
        """Add new rows of a table, in a copy or a part."""
        if len(records) >= COPY_FROM_ROWS:
            self.copies.append(Copy(table, columns, records))
        else:
            self.add(f"new {table}", insert_rows(table, columns), records)

    def statement(self) -> str:
        """Return the one statement; which parts there are decides its text, and there are few combinations."""
        names = tuple(name for name, _ in self.parts)
        known = _statements.get(names)
        if known is None:
            known = _statements[names] = self._joined()
        return known

    def _joined(self) -> str:
        texts = [ADVANCE]
        before = _arguments_of(ADVANCE)
        for name, sql in self.parts:
            texts.append(f'"{name}" AS ({_shifted(sql, before)})')
            before += _arguments_of(sql)
        return f"WITH {', '.join(texts)} {FENCE}"


def _arguments_of(sql: str) -> int:
    return max(int(number) for number in _PLACEHOLDER.findall(sql))


def _shifted(sql: str, by: int) -> str:
    return _PLACEHOLDER.sub(lambda found: f"${int(found[1]) + by}", sql)


def _sends(changes: Changes) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of outward calls; those of one key are written a moment after one another: that is their order."""
    at = changes.decided_at
    earlier: dict[tuple[str, str], int] = {}
    for s in changes.sends:
        n = earlier.get((s.destination, s.key), 0)
        earlier[s.destination, s.key] = n + 1
        written_at = at + TICK * n if n else at
        yield s.destination, s.send_id, s.key, _encode(s.body), written_at, s.not_before or written_at


def _columns(rows: Sequence[tuple[Any, ...]]) -> Iterator[list[Any]]:
    """Yield what a statement takes as one array a column."""
    return map(list, zip(*rows, strict=True))


_statements: dict[tuple[str, ...], str] = {}


def save_of(
    changes: Changes,
    codecs: Mapping[type[Row] | type[Entry], RowCodec],
    *,
    shard: int,
    epoch: int,
    lease_ms: int,
) -> Save:
    """Return how a batch is saved; nothing is saved unless `epoch` holds the shard and no position has moved."""
    save = Save(list(_advance(changes, shard, epoch, lease_ms)))
    _add_rows(save, changes, codecs)
    _add_outputs(save, changes, shard)
    _add_timers(save, changes)
    _add_egress(save, changes)
    return save


def _advance(changes: Changes, shard: int, epoch: int, lease_ms: int) -> Iterator[Any]:
    offsets = sorted(changes.offsets.items())
    seqs = sorted(changes.seqs.items())
    heads = sorted(changes.heads.items())
    yield from (shard, epoch, lease_ms, changes.batch_no, changes.decided_at, _encode(changes.inputs))
    yield [topic for (topic, _), _ in offsets]
    yield [part for (_, part), _ in offsets]
    yield [old for _, (old, _) in offsets]
    yield [new for _, (_, new) in offsets]
    yield [topic for (topic, _, _), _ in seqs]
    yield [part for (_, part, _), _ in seqs]
    yield [src for (_, _, src), _ in seqs]
    yield [seq for _, seq in seqs]
    yield [topic for (topic, _), _ in heads]
    yield [part for (_, part), _ in heads]
    yield [head.next_seq for _, head in heads]
    yield [head.cursor for _, head in heads]


def _add_rows(save: Save, changes: Changes, codecs: Mapping[type[Row] | type[Entry], RowCodec]) -> None:
    state = changes.state
    for row_type_, keys in state.deletes():
        codec = codecs[row_type_]
        save.add(f"gone {codec.table}", codec.delete(), *_columns(keys))
    for row_type_, rows in state.updates():
        codec = codecs[row_type_]
        save.add(f"changed {codec.table}", codec.update(), [codec.values(row) for row in rows])
    for some in (state.inserts(), state.appended()):
        for type_, new in some:
            codec = codecs[type_]
            save.new(codec.table, codec.columns, [codec.values(each) for each in new])


def _add_outputs(save: Save, changes: Changes, shard: int) -> None:
    batch_no = changes.batch_no
    if changes.outbox:
        records = [
            (shard, o.topic, o.partition, o.seq, batch_no, o.timestamp_ms, o.key, kind, cause, o.value)
            for o, kind, cause in changes.outbox
        ]
        save.new("outbox", tuple(_OWN["outbox"]), records)
    if changes.answered:
        answered = [
            (a.idempotency_key, batch_no, n, a.kind, a.fingerprint, a.body, a.reply.status, _encode(a.reply.body))
            for n, a in enumerate(changes.answered)
        ]
        save.new("command_log", tuple(_OWN["command_log"]), answered)
    if changes.unparked:
        save.add("gone parked", DELETE_PARKED, *_columns(changes.unparked))
    if changes.parked:
        at = changes.decided_at
        parked = [
            (p.key, n, p.topic, p.partition, p.offset, p.source, p.seq, p.type, p.value, p.error, p.behind, 0, at)
            for n, p in enumerate(changes.parked, 1)
        ]
        save.add("new parked", INSERT_PARKED, parked)


def _add_timers(save: Save, changes: Changes) -> None:
    if changes.timers_gone:
        gone = sorted((kind, key, at) for (kind, key), at in changes.timers_gone.items())
        save.add("gone timer", DELETE_TIMERS, *_columns(gone))
    if changes.timers_set:
        rows = sorted((kind, key, at) for (kind, key), at in changes.timers_set.items())
        save.add("set timer", UPSERT_TIMERS, *_columns(rows))


def _add_egress(save: Save, changes: Changes) -> None:
    if changes.sends:
        save.add("new egress", INSERT_EGRESS, *_columns(list(_sends(changes))))
    if changes.delivered:
        said = {
            (d.destination, d.send_id): (d.attempts, ("sent: " if d.ok else "refused: ") + d.detail)
            for d in changes.delivered
        }
        save.add("ended egress", END_EGRESS, *_columns([(*key, *how) for key, how in said.items()]))
