"""A small drained system as facts: four orders and everything the seven services would hold of them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from contracts import catalog, notices, orders, risk, routes, shipments, stock, stock_levels
from contracts.envelope import Event
from contracts.topics import SERVICES, TOPICS, topics_read_by
from libs.stream.batch import Writer
from libs.stream.log import Place, Record
from libs.testkit.invariants import load, rows
from libs.testkit.invariants.facts import Facts, Protocol
from libs.testkit.invariants.findings import Seen
from libs.testkit.invariants.ledger import LedgerFold
from libs.testkit.invariants.run import reader
from libs.testkit.invariants.sequences import BatchFold, OutboxFold, Sequences
from libs.testkit.invariants.stock import LEDGER_KEY

START = datetime(2026, 11, 11, tzinfo=UTC)
PLACE = orders.Destination(resolved=True, region="华中")
PICKING = ("claimed", "picked", "packed", "weighed", "shipped")


def line(quantity: int, sku: str = "a") -> stock.StockLine:
    """One order line."""
    return stock.StockLine(line_id="1", sku=sku, quantity=quantity)


@dataclass
class Said:
    """An event, who said it, and the event or command it follows from."""

    service: str
    event: Event
    cause: "Said | str"
    record: Record | None = None


@dataclass
class World:
    """Change the lists, then ask for the facts."""

    said: list[Said] = field(default_factory=list)
    ledger: list[list[Any]] = field(default_factory=list)
    documents: list[tuple[str, Any]] = field(default_factory=list)
    rows: dict[Any, list[list[Any]]] = field(default_factory=dict)
    records: list[Record] | None = None
    outbox: dict[str, list[list[Any]]] = field(default_factory=dict)
    heads: dict[str, dict[Any, Any]] = field(default_factory=dict)
    batches: dict[str, list[tuple[int, list[Any]]]] = field(default_factory=dict)
    drained: bool = True

    def say(self, service: str, event: Event, cause: "Said | str" = "command:1") -> Said:
        """Publish an event."""
        found = Said(service, event, cause)
        self.said.append(found)
        return found

    def find(self, kind: type[Event], order_id: str = "own.demo.1") -> Said:
        """Return an order's event."""
        return next(said for said in self.said if type(said.event) is kind and said.event.key == order_id)

    def change(self, kind: type[Event], order_id: str = "own.demo.1", **fields: Any) -> None:
        """Publish something else instead."""
        said = self.find(kind, order_id)
        said.event = msgspec.structs.replace(said.event, **fields)

    def row(self, take: Any, key: str) -> list[Any]:
        """Return a service's row."""
        return next(row for row in self.rows[take] if row[0] == key)

    def publish(self) -> None:
        """Turn what was said into records and outbox rows."""
        offsets: dict[Place, int] = {}
        self.records = []
        writers = {service: Writer(service, 0, 1, 1, {}) for service in SERVICES}
        heads: dict[str, Any] = {service: {} for service in SERVICES}
        for said in self.said:
            cause = said.cause if isinstance(said.cause, str) else cause_of(said.cause.record)
            out, kind, cause = writers[said.service].event(said.event, cause, 0, heads[said.service])
            place = (out.topic, out.partition)
            offset = offsets[place] = offsets.get(place, -1) + 1
            said.record = Record(out.topic, out.partition, offset, 0, out.key, out.value, out.headers)
            self.records.append(said.record)
            row = [0, out.topic, out.partition, out.seq, out.key, kind, cause, out.value]
            self.outbox.setdefault(said.service, []).append(row)
        for service, places in heads.items():
            self.heads[service] = {(0, *place): (head.next_seq, head.next_seq - 1) for place, head in places.items()}
            self.outbox.setdefault(service, []).sort(key=lambda row: row[:4])

    def protocol(self, service: str, ends: dict[Place, int]) -> Protocol:
        """Return a service that has read everything."""
        found = Protocol(service, heads=self.heads[service], batch_nos={0: 2})
        read = []
        for topic in topics_read_by(service):
            place = (topic.name, 0)
            found.offsets[place] = ends[place]
            if ends[place]:
                found.seqs[(topic.name, 0, f"{topic.writer}/0/1")] = ends[place]
                read.append((topic.name, 0, 0, ends[place] - 1))
        self.batches.setdefault(service, [(1, read), (2, [])])
        return found

    def facts(self) -> Facts:
        """Load the world as the database and the topics would be loaded."""
        if self.records is None:
            self.publish()
        assert self.records is not None
        ends = {(topic.name, 0): 0 for topic in TOPICS}
        for record in self.records:
            ends[(record.topic, 0)] = record.offset + 1
        seen = Seen()
        protocols = {service: self.protocol(service, ends) for service in SERVICES}
        positions = {service: protocol.offsets for service, protocol in protocols.items()}
        sequences = Sequences(dict.fromkeys([topic.name for topic in TOPICS], 1), {}, positions, seen)
        facts = Facts(sequences, drained=self.drained, seen=seen, protocols=protocols, ends=ends)
        take = reader(facts, None)
        for record in self.records:
            take(record)
        sequences.finish()
        for take_row, found in self.rows.items():
            for row in found:
                take_row(facts, *row)
        self._beside(facts)
        return facts

    def _beside(self, facts: Facts) -> None:
        documents = facts.stock.documents
        for n, (kind, asked) in enumerate(self.documents):
            load.take_document(documents, kind, load._Asked(**asked), START + timedelta(seconds=n))
        facts.stock.ledger_key = LEDGER_KEY
        facts.ledger = LedgerFold(facts.stories, documents, facts.seen)
        for entry in self.ledger:
            facts.ledger.take(*entry, START + timedelta(hours=1))
        for service, protocol in facts.protocols.items():
            outbox = OutboxFold(service, facts.sequences, facts.seen)
            for row in self.outbox[service]:
                outbox.take(*row)
            outbox.finish(protocol.heads)
            batches = BatchFold(service, facts.seen)
            for number, read in self.batches[service]:
                batches.take(0, number, read)
            batches.finish(protocol.batch_nos, protocol.offsets)
            facts.outboxes.append(outbox)
            facts.batches.append(batches)
        copied = facts.copied
        copied.inventory_skus = {"a": ("ba", 100, 500)}
        copied.items, copied.costs = {"a": ("ba", 100)}, {"a": 500}
        for story in facts.stories.values():
            story.copies.recipient = bool(story.placed)
        copied.stage_counts = dict(copied.stage_rows)


def cause_of(record: Record | None) -> str:
    """Return how an event names a record as its cause."""
    assert record is not None, "a cause is published before its effect"
    headers = dict(record.headers)
    return f"{headers['ce_source'].decode()}#{record.topic}/{record.partition}/{headers['ce_id'].decode()}"


def content(number: int, quantity: int, sku: str = "a", version: int = 1, **more: Any) -> dict[str, Any]:
    """Return the fields of an order's content."""
    discounts = [orders.Discount(funder="merchant", amount=50)]
    found = orders.OrderLine(line_id="1", sku=sku, quantity=quantity, unit_price=100, discounts=discounts)
    fields = {
        "order_id": f"own.demo.{number}",
        "version": version,
        "channel": "own",
        "shop_id": "demo",
        "platform_order_id": str(number),
        "placed_at": START,
        "currency": "CNY",
        "destination": PLACE,
        "lines": [found],
        "shipping_fee": 10,
        "total": quantity * 100 - 50 + 10,
    }
    return fields | more


def good() -> World:
    """Order 1 left, order 2 was cancelled in time, order 3 is short, order 4 is being picked."""
    world = World()
    world.say("inventory", catalog.SkuDefined(sku="a", barcode="ba", weight_grams=100, cost=500))
    world.documents += [
        ("ReceiveStock", {"command_id": "r1", "items": [stock.SkuQuantity(sku="a", quantity=10)]}),
        ("SendTransfer", {"transfer_id": "t1"}),
        ("CountStock", {"command_id": "k1"}),
    ]
    world.ledger += [
        ["receipt/r1", "a", "GZ", "on_hand", 10],
        ["transfer/t1/sent", "a", "GZ", "on_hand", -4],
        ["transfer/t1/sent", "a", "CD", "inbound", 4],
        ["transfer/t1/received", "a", "CD", "inbound", -4],
        ["transfer/t1/received", "a", "CD", "on_hand", 4],
        ["count/k1", "a", "CD", "on_hand", 1],
    ]
    for number, quantity in ((1, 2), (2, 3), (3, 50), (4, 1)):
        _order(world, number, quantity)
    world.ledger += [
        ["own.demo.2@1/released", "a", "", "reserved", -3],
        ["own.demo.1/1/shipped", "a", "CD", "on_hand", -2],
        ["own.demo.1/1/shipped", "a", "CD", "assigned", -2],
        ["own.demo.1/1/shipped", "a", "", "reserved", -2],
    ]
    level = stock_levels.StockLevelChanged(sku="a", on_hand=9, reserved=1, inbound=0, atp=8, sellable=8)
    world.say("inventory", level, "settle")
    levels = b'{"GZ": {"on_hand": 6, "assigned": 0}, "CD": {"on_hand": 3, "assigned": 1}}'
    waiting = b'{"": {"first": 1, "next": 2, "length": 1}}'
    world.rows[rows.take_pool] = [["a", True, 9, 1, 0, 0, 0, levels, waiting]]
    world.rows[rows.take_waiting] = [["a", "", 1, "own.demo.3"]]
    return world


def _order(world: World, number: int, quantity: int) -> None:
    order_id = f"own.demo.{number}"
    placed = world.say("ingestion", orders.OrderPlaced(**content(number, quantity)))
    cleared = world.say("risk", risk.OrderCleared(order_id=order_id, version=1, rule_version=1), placed)
    kept = {
        rows.take_platform: ["placed", 1, 1, 0],
        rows.take_risk: ["cleared", 1],
        rows.take_file: ["waiting", 1, "[]"],
    }
    if number == 3:
        missing = [stock.Shortage(sku="a", wanted=quantity, sellable=3)]
        world.say("inventory", stock.StockShort(order_id=order_id, version=1, missing=missing), placed)
        wait = '{"sku": "a", "warehouse": "", "ticket": 1}'
        lines = msgspec.json.encode([line(quantity)])
        kept |= {rows.take_reservation: ["short", lines, "[]", wait], rows.take_route: ["waiting", 1, False]}
        kept[rows.take_view] = ["short", 1]
    else:
        reserved = stock.StockReserved(order_id=order_id, version=1, lines=[line(quantity)], shippable=[])
        promised = world.say("inventory", reserved, placed)
        world.ledger.append([f"{order_id}@1/reserved", "a", "", "reserved", quantity])
        kept |= _cancelled(world, order_id) if number == 2 else _picked(world, order_id, quantity, (cleared, promised))
    for take, values in kept.items():
        world.rows.setdefault(take, []).append([order_id, *values])


def _cancelled(world: World, order_id: str) -> dict[Any, list[Any]]:
    asked = orders.OrderCancelRequested(order_id=order_id, request_id="c", requested_at=START)
    request = world.say("ingestion", asked)
    released = stock.StockReleased(order_id=order_id, version=1, reason="cancelled", lines=[line(3)])
    world.say("inventory", released, request)
    return {
        rows.take_platform: ["cancelled", 1, 1, 0],
        rows.take_risk: ["closed", 1],
        rows.take_reservation: ["released", "[]", "[]", "null"],
        rows.take_route: ["closed", 1, False],
        rows.take_file: ["closed", 1, "[]"],
        rows.take_view: ["cancelled", 1],
    }


def _picked(world: World, order_id: str, quantity: int, causes: tuple[Said, Said]) -> dict[Any, list[Any]]:
    parcel_id = f"{order_id}/1"
    lines = [line(quantity)]
    plan = stock.ParcelPlan(parcel_id=parcel_id, warehouse="CD", lines=lines)
    why = {"rule": "r", "rule_version": 1, "why_zh": "", "why_en": ""}
    planned = world.say(
        "routing", routes.RoutePlanned(order_id=order_id, version=1, plan=1, parcels=[plan], **why), causes[1]
    )
    assigned = world.say(
        "inventory", stock.StockAssigned(order_id=order_id, version=1, plan=1, parcels=[plan]), planned
    )
    world.ledger.append([f"{parcel_id}/assigned", "a", "CD", "assigned", quantity])
    task = {"order_id": order_id, "task_id": parcel_id, "warehouse": "CD"}
    world.say("fulfillment", shipments.PickTaskCreated(**task, lines=lines), assigned)
    world.say("fulfillment", shipments.PickTaskClaimed(**task, picker="p"))
    left = order_id == "own.demo.1"
    if left:
        world.say("fulfillment", shipments.ItemsPicked(**task, picker="p"))
        world.say("fulfillment", shipments.ParcelPacked(**task, picker="p"))
        world.say("fulfillment", shipments.ParcelWeighed(**task, weight_grams=1))
        gone = shipments.ParcelShipped(**task, lines=lines, carrier="SF", waybill="w")
        shipped = world.say("fulfillment", gone)
        consumed = stock.StockShipped(order_id=order_id, parcel_id=parcel_id, warehouse="CD", lines=lines)
        world.say("inventory", consumed, shipped)
        notice_id = f"shipped:{parcel_id}"
        told = {"order_id": order_id, "notice_id": notice_id, "audience": "buyer", "medium": "sms", "template": "t"}
        world.say("notification", notices.NoticeSent(**told), f"sent:sms/{notice_id}")
        world.rows[rows.take_notice] = [[order_id, notice_id, "sent"]]
    state = "shipped" if left else "open"
    encoded = msgspec.json.encode
    parcel = {"parcel_id": parcel_id, "warehouse": "CD", "lines": lines, "state": state}
    task_state = "shipped" if left else "claimed"
    world.rows.setdefault(rows.take_task, []).append([parcel_id, order_id, "CD", task_state, encoded(lines)])
    return {
        rows.take_reservation: ["closed" if left else "assigned", encoded(lines), encoded([parcel]), "null"],
        rows.take_route: ["assigned", 1, False],
        rows.take_file: ["assigned", 1, encoded([{"task_id": parcel_id, "state": state}])],
        rows.take_view: ["shipped" if left else "picking", 1],
    }
