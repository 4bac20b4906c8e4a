"""Takes the services' rows into facts, one at a time, as the queries give them."""

from collections.abc import Mapping
from sys import intern
from typing import Any

import msgspec

from contracts.stock import StockLine
from libs.testkit.invariants.facts import Facts, PoolRow
from libs.testkit.invariants.stories import OPEN, goods_of, skus_of


class _Parcel(msgspec.Struct, gc=False):
    """A parcel in a reservation's row."""

    parcel_id: str
    warehouse: str
    lines: list[StockLine]
    state: str


class _Wait(msgspec.Struct, gc=False):
    """Where an order says that it waits."""

    sku: str
    warehouse: str
    ticket: int


class _TaskRef(msgspec.Struct, gc=False):
    """A task in an order's file."""

    task_id: str
    state: str = OPEN


_lines = msgspec.json.Decoder(list[StockLine]).decode
_parcels = msgspec.json.Decoder(list[_Parcel]).decode
_wait = msgspec.json.Decoder(_Wait | None).decode
_tasks = msgspec.json.Decoder(list[_TaskRef]).decode
_pool = msgspec.json.Decoder(Mapping[str, Any]).decode


def take_platform(facts: Facts, order_id: str, state: str, version: int, placed: int, amended: int) -> None:
    """Ingestion's row of an order, with the deliveries that changed it."""
    copies = facts.stories.of(order_id).copies
    copies.platform, copies.platform_version = intern(state), version
    copies.placed_intakes, copies.amended_intakes = placed, amended


def take_risk(facts: Facts, order_id: str, state: str, version: int) -> None:
    """Risk's row of an order."""
    copies = facts.stories.of(order_id).copies
    copies.risk, copies.risk_version = intern(state), version


def take_reservation(facts: Facts, order_id: str, state: str, lines: str, parcels: str, wait: str) -> None:
    """Inventory's row of an order: what it still holds, by SKU and by warehouse."""
    story, stock = facts.stories.of(order_id), facts.stock
    copies = story.copies
    copies.reservation = intern(state)
    stock.reservations += 1
    held: list[StockLine] = []
    if state == "reserved":
        held = _lines(lines)
    for parcel in _parcels(parcels):
        story.parcel(parcel.parcel_id).reservation_row = intern(parcel.state)
        if state == "assigned" and parcel.state == OPEN:
            held.extend(parcel.lines)
            for line in parcel.lines:
                place = (line.sku, parcel.warehouse)
                stock.owed_units[place] = stock.owed_units.get(place, 0) + line.quantity
    copies.reservation_goods, copies.reservation_skus = goods_of(held), skus_of(held)
    for line in held:
        stock.open_units[line.sku] = stock.open_units.get(line.sku, 0) + line.quantity
    found = _wait(wait)
    if found is not None:
        copies.waits = True
        stock.tickets[order_id] = (found.sku, found.warehouse, found.ticket)


def take_waiting(facts: Facts, sku: str, warehouse: str, ticket: int, order_id: str) -> None:
    """One place in one of inventory's lines; reservations come first."""
    stock = facts.stock
    stock.places[(sku, warehouse)] = stock.places.get((sku, warehouse), 0) + 1
    facts.stories.of(order_id).copies.in_line = True
    if stock.tickets.get(order_id) != (sku, warehouse, ticket):
        facts.seen["I-18"].add(f"{order_id} stands in the line of {sku} {warehouse}, but does not know its ticket")


def take_pool(facts: Facts, *row: Any) -> None:
    """Inventory's row of a SKU."""
    fields = dict(zip(PoolRow.__struct_fields__, row, strict=True))
    for name in ("warehouses", "waiting"):
        fields[name] = _pool(fields[name])
    facts.stock.pools[fields["sku"]] = msgspec.convert(fields, PoolRow)


def take_route(facts: Facts, order_id: str, state: str, version: int, timer: bool) -> None:
    """Routing's row of an order."""
    copies = facts.stories.of(order_id).copies
    copies.route, copies.route_version, copies.route_timer = intern(state), version, timer


def take_file(facts: Facts, order_id: str, state: str, version: int, tasks: str) -> None:
    """Fulfillment's file of an order."""
    story = facts.stories.of(order_id)
    story.copies.file, story.copies.file_version = intern(state), version
    for task in _tasks(tasks):
        story.parcel(task.task_id).file_row = intern(task.state)


def take_task(facts: Facts, task_id: str, order_id: str, warehouse: str, state: str, lines: str) -> None:
    """Fulfillment's row of a parcel."""
    parcel = facts.stories.of(order_id).parcel(task_id)
    parcel.task_row, parcel.task_row_warehouse = intern(state), intern(warehouse)
    parcel.task_row_goods = goods_of(_lines(lines))


def take_notice(facts: Facts, order_id: str, notice_id: str, state: str) -> None:
    """Notification's row of a message."""
    facts.copied.notice_rows[hash((order_id, notice_id))] = intern(state)
    if notice_id.startswith("shipped:") and order_id in facts.stories:
        facts.stories[order_id].parcel(notice_id.removeprefix("shipped:")).notice_row = intern(state)


def take_view(facts: Facts, order_id: str, stage: str, version: int) -> None:
    """The tower's row of an order."""
    copies = facts.stories.of(order_id).copies
    copies.stage, copies.view_version = intern(stage), version
    counts = facts.copied.stage_rows
    counts[stage] = counts.get(stage, 0) + 1
