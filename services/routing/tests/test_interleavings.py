"""Whatever the order in which topics are read: one plan at a time, never too early, never after the end."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.orders import OrderAmended, OrderCancelRequested, OrderPlaced
from contracts.risk import OrderCleared, OrderRejected
from contracts.routes import RoutePlanned
from contracts.stock import (
    AssignmentRefused,
    ShippableChanged,
    SkuQuantity,
    StockAssigned,
    StockLine,
    StockReleased,
    StockReserved,
    StockShort,
    WarehouseShippable,
)
from libs.rules.defaults import read
from libs.testkit.bench import Bench
from services.routing.domain import RETRY_TIMER, Knobs, OrderRoute, wanted_units
from services.routing.handlers import handlers
from services.routing.tests.conftest import NOW, Make

make = Make()
ID = make.order_id
STEPS_LIMIT = 500
KNOBS = Knobs(shipped=read("routing"), replans_limit=2)


class Inventory:
    """A double of inventory for one order: reserves, takes or refuses plans, and arbitrates before assignment."""

    def __init__(self, stock):
        self.stock = stock
        self.state, self.version, self.plan, self.lines, self.blocked_at = "", 0, 0, [], None
        self.cancelled = False

    def shippable(self):
        wanted = wanted_units(self.lines)
        return [
            WarehouseShippable(
                warehouse=warehouse,
                items=[
                    SkuQuantity(sku=sku, quantity=min(have[sku], q)) for sku, q in wanted.items() if have.get(sku, 0)
                ],
            )
            for warehouse, have in sorted(self.stock.items())
        ]

    def reserve(self):
        wanted = wanted_units(self.lines)
        if all(sum(have.get(sku, 0) for have in self.stock.values()) >= q for sku, q in wanted.items()):
            self.state = "reserved"
            return [StockReserved(order_id=ID, version=self.version, lines=self.lines, shippable=self.shippable())]
        self.state = "short"
        return [StockShort(order_id=ID, version=self.version, missing=[])]

    def hear(self, event):
        if isinstance(event, OrderPlaced | OrderAmended):
            return self.content(event)
        if isinstance(event, OrderCancelRequested | OrderRejected):
            if self.state in ("reserved", "short", "assigned"):
                self.state = "released"
                return [StockReleased(order_id=ID, version=self.version, reason="cancelled", lines=[])]
            self.state = "released"
            return []
        if isinstance(event, OrderCleared) or self.state in ("released", "assigned", "") or event.plan <= self.plan:
            return []
        self.plan = event.plan
        if isinstance(event, RoutePlanned):
            return self.take(event)
        if event.version == self.version and self.state == "reserved":
            self.blocked_at = event
        return self.look()

    def content(self, event):
        if self.state in ("released", "assigned") or event.version <= self.version:
            return []
        gone = []
        if self.state == "reserved":
            gone = [StockReleased(order_id=ID, version=self.version, reason="amended", lines=self.lines, final=False)]
        self.version = event.version
        self.blocked_at = None
        self.lines = [StockLine(line_id=x.line_id, sku=x.sku, quantity=x.quantity) for x in event.lines]
        return gone + self.reserve()

    def take(self, plan):
        fits = plan.version == self.version and self.state == "reserved"
        for parcel in plan.parcels:
            for sku, quantity in wanted_units(parcel.lines).items():
                fits = fits and self.stock.get(parcel.warehouse, {}).get(sku, 0) >= quantity
        if not fits:
            return [
                AssignmentRefused(
                    order_id=ID, version=plan.version, plan=plan.plan, shippable=self.shippable(), reason="gone"
                )
            ]
        self.state = "assigned"
        return [StockAssigned(order_id=ID, version=self.version, plan=plan.plan, parcels=plan.parcels)]

    def look(self):
        """Tell routing once what it lacked is there, as inventory's queues do."""
        if self.state == "short":
            return self.reserve() if self.enough() else []
        if self.state != "reserved" or self.blocked_at is None:
            return []
        event = self.blocked_at
        wanted = wanted_units(self.lines)
        if any(self.stock.get(event.warehouse, {}).get(lack.sku, 0) < wanted[lack.sku] for lack in event.missing):
            return []
        self.blocked_at = None
        return [ShippableChanged(order_id=ID, version=self.version, shippable=self.shippable(), cause="transfer")]

    def enough(self):
        wanted = wanted_units(self.lines)
        return all(sum(have.get(sku, 0) for have in self.stock.values()) >= q for sku, q in wanted.items())


class World:
    """Routing on the bench, inventory's double, the topics between them, and the checks on every plan."""

    def __init__(self, orders, risk, stock):
        self.topics = {"orders": orders, "risk": risk, "stock": [], "routes": []}
        self.read = {(who, topic): 0 for who in ("routing", "inventory") for topic in self.topics}
        self.bench = Bench(handlers(KNOBS))
        self.inventory = Inventory(stock)
        self.now = NOW
        self.heard = []
        self.plans = []

    def readable(self):
        pairs = [("routing", "orders"), ("routing", "risk"), ("routing", "stock")]
        pairs += [("inventory", "orders"), ("inventory", "risk"), ("inventory", "routes")]
        return [pair for pair in pairs if self.read[pair] < len(self.topics[pair[1]])]

    def step(self, who, topic):
        event = self.topics[topic][self.read[(who, topic)]]
        self.read[(who, topic)] += 1
        if who == "inventory":
            self.topics["stock"].extend(self.inventory.hear(event))
            return
        self.heard.append(event)
        self.say(self.bench.handle(event, self.now))

    def say(self, outputs):
        events = [output for output in outputs if hasattr(output, "plan")]
        for event in events:
            self.check(event)
        self.topics["routes"].extend(events)

    def check(self, event):
        newest = max(
            e.version for e in self.heard if isinstance(e, OrderPlaced | OrderAmended | OrderCleared | StockReserved)
        )
        assert event.version == newest
        assert any(isinstance(e, OrderPlaced | OrderAmended) and e.version == newest for e in self.heard)
        assert any(isinstance(e, OrderCleared) and e.version == newest for e in self.heard)
        reserved = [e for e in self.heard if isinstance(e, StockReserved) and e.version == newest]
        assert reserved
        assert not any(isinstance(e, OrderCancelRequested | OrderRejected) for e in self.heard)
        assert not any(isinstance(e, StockReleased) and e.final for e in self.heard)
        assert event.plan == 1 + max([e.plan for e in self.topics["routes"]], default=0)
        if not isinstance(event, RoutePlanned):
            return
        if self.plans and self.plans[-1].version == event.version:
            answered = [e for e in self.heard if isinstance(e, AssignmentRefused) and e.plan == self.plans[-1].plan]
            assert answered, "the plan before is still with inventory"
        assert not any(isinstance(e, StockAssigned) and e.version == newest for e in self.heard)
        told = [e for e in self.heard if isinstance(e, StockReserved | ShippableChanged | AssignmentRefused)]
        told = [e for e in told if e.version == newest][-1]
        figures = {w.warehouse: {i.sku: i.quantity for i in w.items} for w in told.shippable}
        [parcel] = event.parcels
        assert parcel.lines == reserved[-1].lines
        for sku, quantity in wanted_units(parcel.lines).items():
            assert figures[parcel.warehouse][sku] >= quantity
        assert parcel.parcel_id not in [p.parcels[0].parcel_id for p in self.plans]
        self.plans.append(event)

    def move(self, sku, source, target):
        have = self.stock_of(source)
        moved, have[sku] = have.get(sku, 0), 0
        there = self.stock_of(target)
        there[sku] = there.get(sku, 0) + moved
        self.topics["stock"].extend(self.inventory.look())

    def stock_of(self, warehouse):
        return self.inventory.stock.setdefault(warehouse, {})

    def drain(self, pick):
        for _ in range(STEPS_LIMIT):
            ways = self.readable()
            if ways:
                self.step(*pick(ways))
            elif any(kind == RETRY_TIMER for kind, _ in self.bench.timers):
                self.now += timedelta(seconds=300)
                self.say(self.bench.tick(self.now))
            else:
                return
        pytest.fail("the exchange does not come to rest")


def script(amended, end):
    """Return what ingestion and risk write about the order."""
    orders = [make.placed(region="华中", lines=(("A", 2), ("B", 1)))]
    risk = [make.cleared()]
    if amended:
        orders.append(make.amended(region="华东", lines=(("A", 1), ("B", 2))))
        risk.append(make.cleared(version=2))
    if end == "cancel":
        orders.append(OrderCancelRequested(order_id=ID, request_id="r", requested_at=NOW))
    elif end == "reject":
        risk[-1] = OrderRejected(order_id=ID, version=len(risk), by="r", why="w")
    return orders, risk


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.booleans(), st.sampled_from(["", "cancel", "reject"]))
def test_every_causally_possible_interleaving_ends_alike(data, amended, end):
    units = st.integers(0, 3)
    stock = {w: {"A": data.draw(units), "B": data.draw(units)} for w in ("CD", "GZ")}
    world = World(*script(amended, end), stock)
    for _ in range(data.draw(st.integers(0, 40), label="steps")):
        moves = [("move", sku, a, b) for sku in "AB" for a, b in (("CD", "GZ"), ("GZ", "CD"))]
        way = data.draw(st.sampled_from([*world.readable(), *world.readable(), *moves]))
        if way[0] == "move":
            world.move(*way[1:])
        else:
            world.step(*way)
    world.drain(lambda ways: data.draw(st.sampled_from(ways)))
    for warehouse in ("CD", "GZ"):
        world.inventory.stock[warehouse] = {"A": 9, "B": 9}
    world.topics["stock"].extend(world.inventory.look())
    world.drain(lambda ways: ways[0])

    row = world.bench.row(OrderRoute, ID)
    if end:
        assert world.inventory.state == "released"
        assert row.state == "closed"
        return
    assert world.inventory.state == "assigned", "nothing stands in the way, so it is shipped"
    assert row.state == "assigned"
    assert row.plan == world.inventory.plan
    assert world.plans[-1].parcels[0].warehouse == {1: "CD", 2: "GZ"}[world.inventory.version]


POOL = st.one_of(
    st.builds(lambda v: make.placed(version=v), st.just(1)),
    st.builds(lambda v: make.amended(version=v), st.integers(2, 3)),
    st.builds(lambda v: make.cleared(version=v), st.integers(1, 3)),
    st.builds(lambda v, cd: make.reserved(version=v, CD={"A": cd, "B": 1}), st.integers(1, 3), st.sampled_from([1, 3])),
    st.builds(
        lambda v, cd: ShippableChanged(order_id=ID, version=v, shippable=make.figures(CD={"A": cd, "B": 1}), cause="x"),
        st.integers(1, 3),
        st.sampled_from([1, 3]),
    ),
    st.builds(
        lambda v, plan: AssignmentRefused(
            order_id=ID, version=v, plan=plan, shippable=make.figures(CD={"A": 3, "B": 1}), reason="gone"
        ),
        st.integers(1, 3),
        st.integers(1, 6),
    ),
    st.builds(lambda v: StockShort(order_id=ID, version=v, missing=[]), st.integers(1, 3)),
    st.builds(lambda plan: StockAssigned(order_id=ID, version=1, plan=plan, parcels=[]), st.integers(1, 6)),
    st.builds(
        lambda v, final: StockReleased(order_id=ID, version=v, reason="x", lines=[], final=final),
        st.integers(1, 3),
        st.sampled_from([False, False, False, True]),
    ),
    st.builds(lambda: OrderCancelRequested(order_id=ID, request_id="r", requested_at=NOW)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(POOL, max_size=14))
def test_no_sequence_at_all_makes_it_plan_too_early_or_after_the_end(messages):
    bench = Bench(handlers(KNOBS))
    placed, cleared, reserved, ended, outstanding = 0, 0, 0, False, None
    for message in messages:
        if isinstance(message, OrderPlaced | OrderAmended):
            placed = max(placed, message.version)
        elif isinstance(message, OrderCleared):
            cleared = max(cleared, message.version)
        elif isinstance(message, StockReserved):
            reserved = max(reserved, message.version)
        elif isinstance(message, OrderCancelRequested) or (isinstance(message, StockReleased) and message.final):
            ended = True
        outputs = [output for output in bench.handle(message, NOW) if hasattr(output, "plan")]
        assert len(outputs) <= 1
        for output in outputs:
            assert not ended
            assert output.version == placed == cleared == reserved
            assert output.why_zh.endswith("。")
            assert output.why_en.endswith(".")
            if outstanding is not None and output.version == outstanding[0]:
                assert isinstance(message, AssignmentRefused | StockReserved)
            outstanding = (output.version, output.plan) if isinstance(output, RoutePlanned) else None
        row = bench.row(OrderRoute, ID)
        if row is not None:
            assert (row.state == "blocked") == (row.blocked_at is not None) == (row.blocked_by is not None)
            assert not (ended and row.state in ("waiting", "planned", "blocked"))
