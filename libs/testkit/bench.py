"""A service's decisions on a workbench: the real handlers over rows in memory, one message at a time."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from contracts.envelope import Event
from libs.decide import Command, Delivered, Due, Entry, Handlers, Needs, Output, Row, State, Unwake, Wake, key_of
from libs.stream.rows import kept

R = TypeVar("R", bound=Row)


class Bench:
    """Holds a service's rows, entries and timers; `handle` decides one message as the stream would.

    Rows are copied in and out, so a change without `state.put` is lost here exactly as it would be in Postgres, and
    their objects come back in the order of keys that jsonb gives them.
    """

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.rows: dict[type[Row], dict[tuple[Any, ...], bytes]] = {}
        self.entries: list[Entry] = []
        self.timers: dict[tuple[str, str], datetime] = {}

    def handle(self, message: Event | Command | Due | Delivered, now: datetime) -> list[Output]:
        """Decide one message (through the wire format), save its changes, return its outputs and those of `settle`."""
        return self.batch([message], now)

    def batch(self, messages: Iterable[Event | Command | Due | Delivered], now: datetime) -> list[Output]:
        """Decide several messages as one batch."""
        state = State()
        outputs: list[Output] = []
        found = []
        for message in messages:
            wire = msgspec.json.decode(msgspec.json.encode(message), type=type(message))
            on = self.handlers.find(wire)
            if on is not None:
                found.append((wire, on))
                self._load(state, on.needs(wire))
        for wire, on in found:
            if on.then is not None:
                self._load(state, on.then(wire, state))
        for wire, on in found:
            outputs.extend(on.decide(wire, state, now))
        if self.handlers.settle is not None:
            outputs.extend(self.handlers.settle(state, now))
        self._save(state, outputs)
        return outputs

    def tick(self, now: datetime) -> list[Output]:
        """Decide every timer that has come by `now`, in order of time."""
        outputs: list[Output] = []
        due = sorted((at, kind, key) for (kind, key), at in self.timers.items() if at <= now)
        for at, kind, key in due:
            del self.timers[(kind, key)]
            outputs.extend(self.handle(Due(kind=kind, key=key, at=at), now))
        return outputs

    def row(self, table: type[R], *key: Any) -> R | None:
        """Return a saved row."""
        raw = self.rows.get(table, {}).get(key)
        return None if raw is None else msgspec.msgpack.decode(raw, type=table)

    def all_rows(self, table: type[R]) -> list[R]:
        """Return every saved row of a table, sorted by key."""
        return [msgspec.msgpack.decode(raw, type=table) for _, raw in sorted(self.rows.get(table, {}).items())]

    def put(self, row: Row) -> None:
        """Place a row, as a test's starting point."""
        self.rows.setdefault(type(row), {})[key_of(row)] = kept(row)

    def _load(self, state: State, needs: Needs) -> None:
        for table, keys in state.missing(needs).items():
            if table not in self.handlers.rows:
                raise LookupError(f"{table.__name__} is not among the rows of {self.handlers.service}")
            stored = self.rows.get(table, {})
            state.fill(
                table, keys, [msgspec.msgpack.decode(stored[k], type=table) for k in sorted(keys) if k in stored]
            )

    def _save(self, state: State, outputs: list[Output]) -> None:
        for batch in (state.inserts(), state.updates()):
            for _, rows in batch:
                for row in rows:
                    self.put(row)
        for table, keys in state.deletes():
            for key in keys:
                del self.rows[table][key]
        for _, entries in state.appended():
            self.entries.extend(entries)
        for output in outputs:
            if isinstance(output, Wake):
                self.timers[(output.kind, output.key)] = output.at
            elif isinstance(output, Unwake):
                self.timers.pop((output.kind, output.key), None)
