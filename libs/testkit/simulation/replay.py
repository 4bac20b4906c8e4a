"""Decides a recorded run again, batch by batch from the log of batches: the same bytes must come out."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from libs.decide import Command, Due, Handlers, Key, Needs, Row, State, key_of
from libs.stream.batch import Acceptance, Input, Writer, accept, changes_of, decide, more_needs_of, needs_of
from libs.stream.journal import Answered, Changes
from libs.stream.memory import MemoryCluster, Stored

Rows = dict[type[Row], dict[Key, bytes]]


def replay(handlers: Handlers, stored: Stored, cluster: MemoryCluster) -> list[str]:
    """Return what differs from what was recorded; nothing if the run repeats exactly."""
    if any("redriven" in inputs for _, _, inputs in stored.batches) or stored.parked:
        return []  # what was parked is judged by the row it met then, which the log of batches does not keep
    rows: Rows = {}
    seqs: dict[tuple[str, int, str], int] = {}
    writer = Writer(handlers.service, 0, 1, cluster.partitions, {})
    commands = iter(stored.commands.values())
    published = iter(stored.outbox)
    for batch_no, now, inputs in stored.batches:
        again = _inputs(handlers, inputs, cluster, seqs, commands)
        changes = _decide(handlers, again, rows, writer, batch_no, now)
        for new in changes.outbox:
            old = next(published, None)
            if old != new:
                was = "nothing" if old is None else f"{old[1]} {old[0].value.decode()}"
                return [f"{handlers.service}: replay of batch {batch_no} says {new[1]} {new[0].value.decode()}: {was}"]
        for answered in changes.answered:
            if stored.commands[answered.idempotency_key].reply != answered.reply:
                return [f"{handlers.service}: replay answers {answered.idempotency_key} otherwise"]
        _save(changes.state, rows)
    missing = next(published, None)
    if missing is not None:
        return [f"{handlers.service}: replay never says {missing[1]} {missing[0].value.decode()}"]
    for table, kept in stored.rows.items():
        if rows.get(table, {}) != kept:
            return [f"{handlers.service}: replay makes other rows of {table.__name__}"]
    return []


def _inputs(
    handlers: Handlers,
    recorded: dict[str, Any],
    cluster: MemoryCluster,
    seqs: dict[tuple[str, int, str], int],
    commands: Iterator[Answered],
) -> list[Input]:
    records = [
        record
        for topic, part, first, last in recorded.get("read", ())
        for record in cluster.at((topic, part))[first : last + 1]
    ]
    inputs = accept(handlers, records, seqs, lambda _: 0, Acceptance())
    kinds: dict[str, type[Any]] = {kind.__name__: kind for kind in handlers.on if issubclass(kind, Command)}
    for _ in range(recorded.get("commands", 0)):
        asked = next(commands)
        command = msgspec.json.decode(asked.body, type=kinds[asked.kind])
        cause = f"command:{asked.idempotency_key}"
        inputs.append(Input(command.key, cause, command, type=asked.kind, idempotency_key=asked.idempotency_key))
    for kind, key, at in recorded.get("timers", ()):
        inputs.append(Input(key, f"timer:{kind}/{key}", Due(kind=kind, key=key, at=at), type="Due"))
    for done in recorded.get("delivered", ()):
        inputs.append(Input(done.key, f"sent:{done.destination}/{done.send_id}", done, type="Delivered"))
    return inputs


def _decide(
    handlers: Handlers, inputs: list[Input], rows: Rows, writer: Writer, batch_no: int, now: datetime
) -> Changes:
    state = State()
    _load(state, needs_of(handlers, inputs), rows)
    _load(state, more_needs_of(handlers, inputs, state), rows)
    changes = changes_of(inputs, decide(handlers, inputs, state, now), state, writer, batch_no, now)
    writer.heads.update(changes.heads)
    return changes


def _load(state: State, needs: Needs, rows: Rows) -> None:
    for table, keys in state.missing(needs).items():
        kept = rows.get(table, {})
        state.fill(table, keys, [msgspec.msgpack.decode(kept[key], type=table) for key in sorted(keys) if key in kept])


def _save(state: State, rows: Rows) -> None:
    for changes in (state.inserts(), state.updates()):
        for table, changed in changes:
            rows.setdefault(table, {}).update({key_of(row): msgspec.msgpack.encode(row) for row in changed})
    for table, keys in state.deletes():
        for key in keys:
            del rows[table][key]
