"""Builders that every test of routing uses."""

from datetime import UTC, datetime

import pytest

from contracts.orders import Destination, OrderAmended, OrderCancelRequested, OrderLine, OrderPlaced
from contracts.risk import OrderCleared
from contracts.stock import (
    AssignmentRefused,
    ShippableChanged,
    SkuQuantity,
    StockAssigned,
    StockLine,
    StockReleased,
    StockReserved,
    WarehouseShippable,
)
from libs.rules.defaults import read
from libs.testkit.bench import Bench
from services.routing.domain import RULES_TIMER, Knobs, OrderRoute, OverrideRoute, ReplaceRules
from services.routing.handlers import handlers

NOW = datetime(2026, 11, 11, tzinfo=UTC)
FULL = {"A": 3, "B": 1}
ID = "own.demo.1"


class Make:
    """Messages about one order, `own.demo.1` unless said otherwise."""

    now = NOW
    order_id = "own.demo.1"

    def content(self, kind=OrderPlaced, version=1, region="华中", lines=(("A", 3), ("B", 1)), order_id=None):
        order_id = order_id or self.order_id
        return kind(
            order_id=order_id,
            version=version,
            channel="own",
            shop_id="demo",
            platform_order_id=order_id.split(".")[-1],
            placed_at=NOW,
            currency="CNY",
            destination=Destination(
                resolved=region is not None,
                region=region,
                province_code="420000",
                city_code="420100",
                district_code="420111",
            ),
            lines=[
                OrderLine(line_id=str(i), sku=sku, quantity=quantity, unit_price=100)
                for i, (sku, quantity) in enumerate(lines, start=1)
            ],
            total=100 * sum(quantity for _, quantity in lines),
        )

    def placed(self, **given):
        return self.content(**given)

    def amended(self, version=2, **given):
        return self.content(OrderAmended, version=version, **given)

    def cleared(self, version=1, requirements=(), order_id=None):
        return OrderCleared(
            order_id=order_id or self.order_id, version=version, requirements=list(requirements), rule_version=1
        )

    def lines(self, lines=(("A", 3), ("B", 1))):
        return [
            StockLine(line_id=str(i), sku=sku, quantity=quantity) for i, (sku, quantity) in enumerate(lines, start=1)
        ]

    def figures(self, **warehouses):
        return [
            WarehouseShippable(
                warehouse=warehouse, items=[SkuQuantity(sku=sku, quantity=q) for sku, q in sorted(items.items())]
            )
            for warehouse, items in sorted(warehouses.items())
        ]

    def reserved(self, version=1, lines=(("A", 3), ("B", 1)), order_id=None, **warehouses):
        return StockReserved(
            order_id=order_id or self.order_id,
            version=version,
            lines=self.lines(lines),
            shippable=self.figures(**(warehouses or {"CD": {"A": 3, "B": 1}, "GZ": {"A": 3, "B": 1}})),
        )


class Flow:
    """Feeds messages to the bench and keeps what came out."""

    def __init__(self, bench, make):
        self.bench, self.make, self.now = bench, make, make.now

    def __call__(self, *messages):
        outputs = [output for message in messages for output in self.bench.handle(message, self.now)]
        # Whatever waits for goods looks for new rules now and then: tests of that look at the timers themselves.
        return [output for output in outputs if getattr(output, "kind", "") != RULES_TIMER]

    @property
    def row(self):
        return self.bench.row(OrderRoute, ID)

    def ready(self, region="华中", **warehouses):
        return self(
            self.make.placed(region=region), self.make.cleared(requirements=["x"]), self.make.reserved(**warehouses)
        )

    def changed(self, version=1, **warehouses):
        return self(
            ShippableChanged(order_id=ID, version=version, shippable=self.make.figures(**warehouses), cause="receipt")
        )

    def refused(self, plan, version=1, **warehouses):
        figures = self.make.figures(**warehouses)
        return self(AssignmentRefused(order_id=ID, version=version, plan=plan, shippable=figures, reason="gone"))

    def assigned(self, plan=1, version=1):
        return self(StockAssigned(order_id=ID, version=version, plan=plan, parcels=[]))

    def released(self, **more):
        return self(StockReleased(order_id=ID, version=1, lines=[], **{"reason": "cancelled", **more}))

    def cancel(self):
        return self(OrderCancelRequested(order_id=ID, request_id="r", requested_at=self.now))

    def override(self, **more):
        return self(OverrideRoute(order_id=ID, by="op", **more))

    def rules(self, content, base_version=1):
        return self(ReplaceRules(content=content, base_version=base_version, by="op", why="test"))


@pytest.fixture
def make():
    """Return the builder of messages."""
    return Make()


@pytest.fixture
def knobs():
    """Return the knobs of an ordinary installation, with the shipped rules."""
    return Knobs(shipped=read("routing"), replans_limit=2, rule_retry_seconds=30)


@pytest.fixture
def bench(knobs):
    """Return routing on the workbench."""
    return Bench(handlers(knobs))


@pytest.fixture
def flow(bench, make):
    """Return what feeds messages to the bench."""
    return Flow(bench, make)
