"""Routing and inventory as one, on their benches: what a blocked order waits for reaches it, wherever it comes."""

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.envelope import Event
from contracts.orders import Destination, OrderLine, OrderPlaced
from contracts.risk import OrderCleared
from contracts.routes import RouteBlocked
from contracts.stock import SkuQuantity
from libs.decide import Command, Reply
from libs.rules.defaults import read
from libs.testkit.bench import Bench
from services.inventory.domain import DefineSku, DefineWarehouse, Policy, ReceiveStock, Reservation
from services.inventory.handlers import handlers as inventory_handlers
from services.routing.domain import Knobs, OrderRoute, OverrideRoute, ReplaceRules
from services.routing.handlers import handlers as routing_handlers

NOW = datetime(2026, 11, 11, 4, 0, tzinfo=UTC)
ORDER = "own.demo.1"
EXCHANGES_LIMIT = 200


class Hub:
    """Inventory and routing with the topics between them; every exchange comes to rest before the next begins."""

    def __init__(self, *warehouses: str, rules: dict[str, Any] | None = None) -> None:
        self.inventory = Bench(inventory_handlers(Policy()))
        self.routing = Bench(routing_handlers(Knobs(shipped=rules or read("routing"))))
        self.now = NOW
        self.receipts = 0
        self.said: list[Event] = []
        for code in warehouses or ("CD", "GZ"):
            self.ask(self.inventory, DefineWarehouse(warehouse=code, name=code))
        for sku in "AB":
            self.ask(self.inventory, DefineSku(sku=sku, title=sku))

    def ask(self, bench: Bench, command: Command) -> Reply:
        [reply] = [output for output in self.hear({bench: [command]}) if isinstance(output, Reply)]
        return reply

    def hear(self, waiting: dict[Bench, list[Any]]) -> list[Any]:
        """Let both decide what is said until nothing is, and return all of it."""
        found: list[Any] = []
        queues = {self.inventory: [], self.routing: [], **waiting}
        for _ in range(EXCHANGES_LIMIT):
            for bench, other in ((self.inventory, self.routing), (self.routing, self.inventory)):
                messages, queues[bench] = queues[bench], []
                outputs = bench.batch(messages, self.now)
                found += outputs
                queues[other] += [output for output in outputs if isinstance(output, Event)]
            if not any(queues.values()):
                self.said += [output for output in found if isinstance(output, Event)]
                return found
        raise AssertionError(f"they never end: {found[-4:]}")

    def later(self, seconds: int, step_seconds: int = 10) -> None:
        """Let time pass, and every timer come."""
        for _ in range(seconds // step_seconds):
            self.now += timedelta(seconds=step_seconds)
            for bench, other in ((self.inventory, self.routing), (self.routing, self.inventory)):
                outputs = bench.tick(self.now)
                self.hear({other: [output for output in outputs if isinstance(output, Event)]})

    def receive(self, warehouse: str, **units: int) -> None:
        self.receipts += 1
        items = [SkuQuantity(sku=sku, quantity=quantity) for sku, quantity in units.items()]
        self.ask(self.inventory, ReceiveStock(command_id=f"r{self.receipts}", warehouse=warehouse, items=items))
        self.later(30)

    def place(self, order_id: str = ORDER, **units: int) -> None:
        """Place an order from the southwest, which the shipped rules send from CD."""
        placed = OrderPlaced(
            order_id=order_id,
            version=1,
            channel="own",
            shop_id="demo",
            platform_order_id=order_id,
            placed_at=NOW,
            currency="CNY",
            destination=Destination(resolved=True, region="西南"),
            lines=[OrderLine(line_id=sku, sku=sku, quantity=q, unit_price=100) for sku, q in units.items()],
            total=1,
        )
        cleared = OrderCleared(order_id=order_id, version=1, rule_version=1)
        self.hear({self.inventory: [placed], self.routing: [placed, cleared]})

    def override(self, order_id: str = ORDER, **chosen: Any) -> Reply:
        return self.ask(self.routing, OverrideRoute(order_id=order_id, by="op", **chosen))

    def replace_rules(self, content: dict[str, Any], base_version: int) -> Reply:
        return self.ask(self.routing, ReplaceRules(content=content, base_version=base_version, by="op"))

    def state(self, order_id: str = ORDER) -> str:
        route = self.routing.row(OrderRoute, order_id)
        assert route is not None
        return route.state

    def advice(self) -> set[tuple[str, str, int]]:
        """Return the transfers that the newest block names."""
        blocked = [event for event in self.said if isinstance(event, RouteBlocked)][-1]
        return {(move.from_warehouse, move.sku, move.quantity) for move in blocked.transfers}

    def parcels(self, order_id: str = ORDER) -> list[str]:
        """Return the warehouses that owe the order."""
        row = self.inventory.row(Reservation, order_id)
        assert row is not None
        return [parcel.warehouse for parcel in row.parcels]


def without_an_answer() -> dict[str, Any]:
    """Rules that name no warehouse for more than three units of what is nowhere."""
    content = copy.deepcopy(read("routing"))
    for row in content["jdm"]["nodes"][1]["content"]["rules"]:
        row["warehouse"] = 'order.units > 3 ? stock.complete[0] : "CD"'
    for example in content["examples"]:
        example["expect"] = {"warehouse": "CD"}
    return content


def test_an_override_finds_goods_that_came_where_the_order_does_not_wait():
    hub = Hub()
    hub.receive("GZ", A=2)
    hub.receive("CD", A=3)
    hub.place(A=5)
    hub.receive("GZ", A=10)
    assert hub.state() == "blocked", "it waits for CD"
    reply = hub.override(warehouse="GZ")
    assert (reply.status, reply.body["waits_for"]) == (202, "it waits for A x 3 at warehouse GZ")
    assert (hub.state(), hub.parcels()) == ("assigned", ["GZ"])


def test_a_split_finds_goods_that_came_where_the_order_does_not_wait():
    hub = Hub("CD", "GZ", "BJ")
    hub.ask(hub.inventory, DefineSku(sku="A", title="A", allowance=3))
    hub.receive("GZ", A=2)
    hub.place(A=5)
    hub.receive("BJ", A=3)
    assert hub.override(split=True).status == 200
    assert (hub.state(), sorted(hub.parcels())) == ("assigned", ["BJ", "GZ"])


@pytest.mark.parametrize(("wanted", "sku", "units"), [({"A": 5}, "A", 3), ({"A": 2, "B": 1}, "B", 1)])
def test_what_no_transfer_covers_is_planned_with_wherever_it_comes(wanted, sku, units):
    hub = Hub("CD", "GZ", "BJ")
    hub.ask(hub.inventory, DefineSku(sku=sku, title=sku, allowance=units))
    hub.receive("GZ", A=2)
    hub.place(**wanted)
    assert hub.advice() == {("GZ", "A", 2)}
    hub.receive("BJ", **{sku: units})
    assert hub.advice() == {("GZ", "A", 2), ("BJ", sku, units)}


def test_an_override_finds_goods_although_the_rules_failed():
    hub = Hub(rules=without_an_answer())
    hub.ask(hub.inventory, DefineSku(sku="A", title="A", allowance=9))
    hub.place(A=5)
    hub.receive("GZ", A=20)
    assert hub.state() == "blocked"
    assert hub.override(warehouse="GZ").status == 202
    assert (hub.state(), hub.parcels()) == ("assigned", ["GZ"])


def test_an_override_where_nothing_is_waits_there_and_ships_when_goods_come():
    hub = Hub()
    hub.receive("CD", A=3)
    hub.receive("GZ", A=2)
    hub.place(A=5)
    assert hub.override(warehouse="GZ").status == 202
    hub.receive("CD", A=9)
    assert hub.state() == "blocked", "what an operator chose holds"
    hub.receive("GZ", A=3)
    assert (hub.state(), hub.parcels()) == ("assigned", ["GZ"])


def by_stock() -> dict[str, Any]:
    """Rules that choose the first of the warehouses that can ship everything, else CD."""
    content = copy.deepcopy(read("routing"))
    for row in content["jdm"]["nodes"][1]["content"]["rules"]:
        row["warehouse"] = 'len(stock.complete) > 0 ? stock.complete[0] : "CD"'
    for example in content["examples"]:
        example["expect"] = {"warehouse": "CD"}
    return content


def test_rules_that_choose_by_stock_hear_of_another_warehouse_that_came_to_hold_all():
    hub = Hub(rules=by_stock())
    hub.receive("CD", A=3)
    hub.receive("GZ", A=3)
    hub.place(A=5)
    assert hub.state() == "blocked"
    hub.receive("GZ", A=20)
    hub.later(330)
    assert (hub.state(), hub.parcels()) == ("assigned", ["GZ"])


def test_they_hear_of_it_too_when_what_came_is_not_what_the_order_stands_in_line_for():
    hub = Hub(rules=by_stock())
    hub.receive("CD", A=5)
    hub.receive("GZ", B=5, A=1)
    hub.place(A=5, B=5)
    row = hub.inventory.row(Reservation, ORDER)
    assert row is not None
    assert row.wait is not None
    assert (row.wait.sku, row.wait.warehouse) == ("B", "CD")
    hub.receive("GZ", A=4)
    hub.later(330)
    assert (hub.state(), hub.parcels()) == ("assigned", ["GZ"])


def test_orders_that_wrong_rules_sent_nowhere_are_freed_with_the_rules():
    hub = Hub()
    hub.receive("CD", A=9)
    wrong = json.loads(json.dumps(read("routing")).replace('\\"CD\\"', '\\"CDX\\"').replace(': "CD"', ': "CDX"'))
    assert hub.replace_rules(wrong, 1).status == 200
    hub.place(A=5)
    assert hub.replace_rules(read("routing"), 2).status == 200
    assert hub.state() == "blocked", "nobody looks for new rules all the time"
    hub.later(330)
    assert (hub.state(), hub.parcels()) == ("assigned", ["CD"])
