"""Folds the topics anew through the tower's own handlers, for a sample of orders, and compares with its table."""

from datetime import datetime
from importlib import import_module
from typing import Any
from zlib import crc32

import msgspec

from contracts.envelope import Event
from contracts.topics import topics_read_by
from libs.decide import Handlers, Key, Row, State, key_of
from libs.stream.rows import RowCodec
from libs.testkit.invariants.facts import Facts

SAMPLE_ORDERS = 5_000
BATCH_EVENTS = 500
COMPARE_ORDERS = 1_000
# The fold here is given events without the times that their records carry.
TIMES = ("accepted_at", "pick_task_at", "stage_since")
_READ = frozenset(topic.name for topic in topics_read_by("tower"))


class TowerFold:
    """A memory copy of the tower's rows, filled by its real handlers in whatever order the topics are read."""

    def __init__(self, handlers: Handlers, rows: type[Row], expected_orders: int, now: datetime) -> None:
        self._handlers = handlers
        self._view = rows
        self._every = max(1, -(-expected_orders // SAMPLE_ORDERS))
        self._now = now
        self._waiting: list[Event] = []
        self._rows: dict[type[Row], dict[Key, Row]] = {}

    def samples(self, order_id: str) -> bool:
        """Tell whether an order is in the sample."""
        return self._every == 1 or crc32(order_id.encode()) % self._every == 0

    def take(self, topic: str, event: Event) -> None:
        """Take in an event, the first time it is read."""
        if topic in _READ and type(event) in self._handlers.on and self.samples(event.key):
            self._waiting.append(event)
            if len(self._waiting) >= BATCH_EVENTS:
                self.flush()

    def flush(self) -> None:
        """Decide what waits as one batch."""
        events, self._waiting = self._waiting, []
        state = State()
        for event in events:
            wanted = state.missing(self._handlers.on[type(event)].needs(event))
            for table, keys in wanted.items():
                kept = self._rows.get(table, {})
                state.fill(table, keys, [kept[key] for key in keys if key in kept])
        for event in events:
            self._handlers.on[type(event)].decide(event, state, self._now)
        if self._handlers.settle is not None:
            self._handlers.settle(state, self._now)
        for changes in (state.inserts(), state.updates()):
            for table, rows in changes:
                self._rows.setdefault(table, {}).update({key_of(row): row for row in rows})

    @property
    def orders(self) -> dict[str, Row]:
        """The rebuilt rows by order."""
        return {str(key[0]): row for key, row in self._rows.get(self._view, {}).items()}


def compare(rebuilt: Row | None, stored: Row | None) -> str:
    """Return what differs between a rebuilt row and the stored one; nothing if they are the same."""
    if rebuilt is None or stored is None:
        return "is not there" if stored is None else "is there, but no event made it"
    differing = [
        f"{name} is {getattr(stored, name)!r}, the topics make it {getattr(rebuilt, name)!r}"
        for name in stored.__struct_fields__
        if name not in TIMES and getattr(stored, name) != getattr(rebuilt, name)
    ]
    return ", ".join(differing)


def tower_fold(expected_orders: int, now: datetime) -> TowerFold:
    """Return a fold through the tower's own handlers. Libraries know no service, so it is found by its name."""
    domain = import_module("services.tower.domain")
    return TowerFold(import_module("services.tower.handlers").handlers(), domain.OrderView, expected_orders, now)


async def compare_with_table(connection: Any, fold: TowerFold, facts: Facts) -> None:
    """Compare every sampled order with its row in the tower's schema."""
    fold.flush()
    view: type[Row] = import_module("services.tower.domain").OrderView
    tables: dict[Any, Any] = import_module("services.tower.store").TABLES.by_type
    codec = RowCodec(view, tables[view])
    columns = ", ".join(f'"{name}"' for name in codec.columns)
    sql = f"SELECT {columns} FROM tower.order_view WHERE order_id = ANY($1)"
    orders = fold.orders
    ids = sorted(orders.keys() | {name for name, s in facts.stories.items() if s.copies.stage and fold.samples(name)})
    for start in range(0, len(ids), COMPARE_ORDERS):
        some = ids[start : start + COMPARE_ORDERS]
        stored = {row["order_id"]: codec.row(tuple(row)) for row in await connection.fetch(sql, some)}
        for order_id in some:
            difference = compare(orders.get(order_id), _plain(stored.get(order_id)))
            if difference:
                facts.seen["I-19"].add(f"{order_id} in the tower: {difference}")
    facts.copied.folded_orders = len(ids)


def _plain(row: Row | None) -> Row | None:
    """Return a row with times in the zone that events carry them in."""
    return None if row is None else msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=type(row))
