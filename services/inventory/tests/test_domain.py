"""Inventory under any sequence of messages: nothing is promised twice, given back twice or left waiting needlessly."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.orders import OrderCancelRequested, RefundRequested
from contracts.risk import OrderRejected
from contracts.stock import SkuQuantity, StockReleased, StockReserved, StockShipped, StockShort
from contracts.topics import TOPICS
from services.inventory.domain import (
    CountStock,
    DefineSku,
    Level,
    Policy,
    Pool,
    ReceiveStock,
    ReceiveTransfer,
    Reservation,
    SendTransfer,
    Transfer,
    figures,
)
from services.inventory.domain.waiting import timer_key, timer_parts
from services.inventory.tests.stock import (
    NOW,
    A,
    B,
    Warehouses,
    amended,
    blocked,
    fulfillment_cancelled,
    lines,
    placed,
    planned,
    shipped,
)

SKUS = (A, B, "C")
ORDERS = tuple(f"own.demo.{n}" for n in range(8))
ENDS = ("cancelled", "refunded", "rejected")

orders = st.sampled_from(ORDERS)
skus = st.sampled_from(SKUS)
places = st.sampled_from(("CD", "GZ"))
units = st.integers(1, 6)
wishes = st.dictionaries(skus, units, min_size=1, max_size=3)
steps = st.one_of(
    st.tuples(st.just("place"), orders, wishes),
    st.tuples(st.just("place"), orders, wishes),
    st.tuples(st.just("amend"), orders, wishes),
    st.tuples(st.just("plan"), orders, places),
    st.tuples(st.just("plan"), orders, places),
    st.tuples(st.just("split"), orders, places),
    st.tuples(st.just("block"), orders, places, st.booleans()),
    st.tuples(st.just("ship"), orders, st.booleans()),
    st.tuples(st.just("free"), orders, st.booleans()),
    st.tuples(st.just("end"), orders, st.sampled_from(ENDS)),
    st.tuples(st.just("receive"), skus, places, units),
    st.tuples(st.just("send"), skus, places, units),
    st.tuples(st.just("arrive"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("tick")),
)
corrections = st.one_of(
    st.tuples(st.just("count"), skus, places, st.integers(0, 6)),
    st.tuples(st.just("policy"), skus, st.integers(0, 4), st.sampled_from((0, 50, 100))),
    st.tuples(st.just("announce"), skus, units, st.sampled_from((80, 100))),
)


class Story:
    """Plays steps on the bench as the other services would, and as they would not."""

    def __init__(self, retry_limit_orders: int) -> None:
        self.bench = Warehouses(*SKUS, policy=Policy(retry_limit_orders=retry_limit_orders, elsewhere_every_ms=2_000))
        self.outputs: list = []
        self.versions: Counter = Counter()
        self.plans: Counter = Counter()
        self.documents = 0

    def play(self, batch: list[tuple]) -> None:
        messages = []
        for name, *details in batch:
            if name == "tick":
                self.outputs += self.bench.tick(self.bench.now)
            else:
                found = getattr(self, name)(*details)
                messages += [] if found is None else [found]
        self.outputs += self.bench.do(*messages)

    def place(self, order_id, wish):
        self.versions[order_id] = max(1, self.versions[order_id])
        return placed(order_id, **wish)

    def amend(self, order_id, wish):
        self.versions[order_id] += 1
        return amended(order_id, version=self.versions[order_id], **wish)

    def plan(self, order_id, place):
        row = self.bench.row(Reservation, order_id)
        self.plans[order_id] += 1
        part = lines(A=1) if row is None else row.lines
        version = 1 if row is None else row.version
        return planned(order_id, plan=self.plans[order_id], version=version, **{place: part})

    def split(self, order_id, place):
        row = self.bench.row(Reservation, order_id)
        if row is None or not row.lines:
            return None
        self.plans[order_id] += 1
        other = "GZ" if place == "CD" else "CD"
        first, *rest = row.lines
        parts = {place: [first], other: rest} if rest else {place: [first]}
        return planned(order_id, plan=self.plans[order_id], version=row.version, **parts)

    def block(self, order_id, place, advised):
        row = self.bench.row(Reservation, order_id)
        if row is None or not row.lines:
            return None
        told = {i.sku: i.quantity for p in row.shippable if p.warehouse == place for i in p.items}
        wanted = figures.quantities(row.lines)
        sku = min(wanted, key=lambda name: (told.get(name, 0) - wanted[name], name))
        lack = max(1, wanted[sku] - told.get(sku, 0))
        source = "elsewhere" if advised else ""
        return blocked(order_id, sku=sku, quantity=lack, warehouse=place, source=source, version=row.version)

    def parcels(self, order_id, reverse):
        row = self.bench.row(Reservation, order_id)
        found = [] if row is None else row.parcels
        return found[::-1] if reverse else found

    def ship(self, order_id, reverse):
        for parcel in self.parcels(order_id, reverse):
            return shipped(parcel.parcel_id, parcel.warehouse, parcel.lines)
        return shipped(f"{order_id}/1.1", "CD", lines(A=1))

    def free(self, order_id, every):
        ids = [parcel.parcel_id for parcel in self.parcels(order_id, False)]
        return fulfillment_cancelled(order_id, *(ids if every else ids[:1]), *ids[:1])

    def end(self, order_id, reason):
        if reason == "cancelled":
            return OrderCancelRequested(order_id=order_id, request_id="r", requested_at=NOW)
        if reason == "refunded":
            return RefundRequested(order_id=order_id, request_id="r", requested_at=NOW, amount=1)
        return OrderRejected(order_id=order_id, version=1, by="reviewer", why="")

    def receive(self, sku, place, quantity):
        self.documents += 1
        items = [SkuQuantity(sku=sku, quantity=quantity)]
        return ReceiveStock(command_id=f"r{self.documents}", warehouse=place, items=items)

    def count(self, sku, place, counted):
        self.documents += 1
        return CountStock(command_id=f"n{self.documents}", warehouse=place, sku=sku, counted=counted)

    def policy(self, sku, allowance, percent):
        return DefineSku(sku=sku, allowance=allowance, sellable_inbound_percent=percent)

    def announce(self, sku, quantity, yield_percent):
        self.documents += 1
        self.outputs += self.bench.announce(f"PO-{self.documents}", quantity, yield_percent, sku=sku)

    def send(self, sku, place, quantity):
        self.documents += 1
        other = "GZ" if place == "CD" else "CD"
        items = [SkuQuantity(sku=sku, quantity=quantity)]
        return SendTransfer(transfer_id=f"t{self.documents}", from_warehouse=place, to_warehouse=other, items=items)

    def arrive(self, which, whole):
        sent = [row for row in self.bench.all_rows(Transfer) if row.state == "in_transit"]
        if which >= len(sent):
            return None
        short = [SkuQuantity(sku=item.sku, quantity=item.quantity - 1) for item in sent[which].items]
        return ReceiveTransfer(transfer_id=sent[which].transfer_id, items=None if whole else short)

    def drain(self) -> None:
        self.outputs += self.bench.tick_all()


def played(batches: list[list[tuple]], retry_limit_orders: int) -> Story:
    story = Story(retry_limit_orders)
    for batch in batches:
        story.play(batch)
    story.drain()
    return story


def check_story(story: Story) -> None:
    """What the events told adds up: every order's promises, releases and shipments, each once."""
    promised: dict[str, Counter] = {}
    ended: Counter = Counter()
    parcels: Counter = Counter()
    for output in story.outputs:
        if isinstance(output, StockReserved):
            promised[output.order_id] = Counter(figures.quantities(output.lines))
            assert not ended[output.order_id], "an order that ended is not promised anything again"
        elif isinstance(output, StockShort):
            promised[output.order_id] = Counter()
        elif isinstance(output, StockReleased):
            parcels.update(output.parcel_ids)
            left = promised.get(output.order_id, Counter())
            left.subtract(figures.quantities(output.lines))
            assert min(left.values(), default=0) >= 0, "more was given back than was promised"
            ended[output.order_id] += output.final
        elif isinstance(output, StockShipped):
            parcels[output.parcel_id] += 1
            promised[output.order_id].subtract(figures.quantities(output.lines))
            assert min(promised[output.order_id].values()) >= 0, "more was shipped than was promised"
    assert max(parcels.values(), default=0) <= 1, "a parcel is shipped or given back once"
    assert max(ended.values(), default=0) <= 1, "an order is released for good at most once"
    for row in story.bench.all_rows(Reservation):
        if row.state in ("released", "closed"):
            assert not any(promised.get(row.order_id, Counter()).values()), "an ended order holds nothing"


def check_nobody_waits_needlessly(story: Story) -> None:
    pools = {pool.sku: pool for pool in story.bench.all_rows(Pool)}
    assert not any(queue.trying for pool in pools.values() for queue in pool.waiting.values()), "all lines were tried"
    for row in story.bench.all_rows(Reservation):
        if row.state == "short":
            wanted = figures.quantities(row.lines)
            assert any(figures.sellable(pools[sku]) < quantity for sku, quantity in wanted.items())
        elif row.wait is not None:
            assert any(figures.free_in(pools[p.sku], p.warehouse) < p.quantity for p in row.wait.portions)


batches = st.lists(st.lists(steps, min_size=1, max_size=4), max_size=40)
limits = st.integers(1, 5)
thorough = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


@thorough
@given(batches, limits)
def test_any_order_of_events_promises_stock_once(story_batches, retry_limit_orders):
    story = played(story_batches, retry_limit_orders)
    check_story(story)
    check_nobody_waits_needlessly(story)
    for pool in story.bench.all_rows(Pool):
        lost = sum(
            sent.quantity - came.quantity
            for row in story.bench.all_rows(Transfer)
            for sent, came in zip(row.items, row.received, strict=False)
            if sent.sku == pool.sku
        )
        assert pool.reserved <= pool.on_hand + pool.in_transit + lost
        assert pool.deficit <= lost


@thorough
@given(st.lists(st.lists(st.one_of(steps, steps, corrections), min_size=1, max_size=4), max_size=40), limits)
def test_corrections_and_policies_keep_every_figure_honest(story_batches, retry_limit_orders):
    story = played(story_batches, retry_limit_orders)
    check_story(story)
    check_nobody_waits_needlessly(story)


def test_long_stories_reach_every_outcome():
    seen: Counter = Counter()
    for seed in range(12):
        draw = random.Random(seed)
        story = played([[_step(draw) for _ in range(draw.randint(1, 5))] for _ in range(100)], draw.randint(1, 5))
        check_story(story)
        check_nobody_waits_needlessly(story)
        seen.update([type(output).__name__ for output in story.outputs])
    wanted = {event.__name__ for topic in TOPICS if topic.writer == "inventory" for event in topic.events}
    assert wanted - {"WarehouseDefined", "MessageParked"} <= set(seen), seen


def _step(draw: random.Random) -> tuple:
    order_id, sku, place = f"own.demo.{draw.randrange(30)}", draw.choice(SKUS), draw.choice(("CD", "GZ"))
    wish = {name: draw.randint(1, 4) for name in draw.sample(SKUS, draw.randint(1, 3))}
    flip, quantity = draw.random() < 0.5, draw.randint(1, 12)
    return draw.choice(
        [
            *[("place", order_id, wish)] * 5,
            *[("plan", order_id, place)] * 3,
            ("amend", order_id, wish),
            ("split", order_id, place),
            *[("block", order_id, place, flip)] * 2,
            *[("ship", order_id, flip)] * 2,
            ("free", order_id, flip),
            ("end", order_id, draw.choice(ENDS)) if flip else ("tick",),
            *[("receive", sku, place, quantity)] * 3,
            ("send", sku, place, quantity),
            ("arrive", draw.randint(0, 3), flip),
            ("count", sku, place, quantity),
            ("policy", sku, draw.randint(0, 4), draw.choice((0, 50, 100))),
            ("announce", sku, quantity, 80),
        ]
    )


@settings(max_examples=40, deadline=None)
@given(batches)
def test_the_same_messages_decide_the_same(story_batches):
    first, second = (played(story_batches, 3) for _ in range(2))
    assert first.outputs == second.outputs
    assert first.bench.rows == second.bench.rows
    assert first.bench.entries == second.bench.entries


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 100)), max_size=5),
    st.integers(0, 10**7),
    st.integers(0, 100),
    st.integers(0, 1000),
)
def test_what_may_be_sold_never_exceeds_what_backs_it(inbound, in_transit, percent, allowance):
    pool = Pool(
        sku="A",
        on_hand=7,
        inbound=sum(quantity for quantity, _ in inbound),
        inbound_points=sum(quantity * percent for quantity, percent in inbound),
        in_transit=in_transit,
        allowance=allowance,
        sellable_inbound_percent=percent,
    )
    assert figures.sellable(pool) <= figures.backing(pool)
    pool.reserved = figures.sellable(pool)
    assert figures.sellable(pool) == 0
    figures.face_deficit(pool)
    assert pool.deficit == 0


@pytest.mark.parametrize(
    ("on_hand", "reserved", "inbound", "expected"),
    [
        (100, 30, [(20, 80)], 86),
        (100, 30, [], 70),
        (0, 0, [(1, 80)], 0),
        (0, 0, [(1, 80), (1, 80)], 1),
        (0, 5, [(3, 100)], -2),
    ],
)
def test_atp_floors_the_sum_of_inbound_once(on_hand, reserved, inbound, expected):
    points = sum(quantity * percent for quantity, percent in inbound)
    pool = Pool(sku="A", on_hand=on_hand, reserved=reserved, inbound_points=points)
    assert figures.atp(pool) == expected


def test_every_term_of_the_specification_s_example_is_shown():
    pool = Pool(
        sku="A",
        on_hand=100,
        reserved=30,
        inbound=20,
        inbound_points=1600,
        warehouses={"CD": Level(on_hand=100, assigned=10)},
    )
    shown = figures.explain(pool)
    assert (shown["atp"], shown["inbound_effective"], shown["sellable"]) == (86, 16, 70)
    assert shown["formula"] == "100 on hand - 30 reserved + 16 inbound x yield = 86"
    assert shown["warehouses"] == [{"warehouse": "CD", "on_hand": 100, "assigned": 10, "shippable": 90, "deficit": 0}]


def test_average_daily_sales_look_back_on_the_window_by_the_merchant_s_day():
    pool = Pool(sku="A")
    midnight = datetime(2026, 11, 10, 16, 0, tzinfo=UTC)  # 00:00 of the 11th in China
    first = figures.sales_day_of(midnight)
    assert figures.sales_day_of(midnight - timedelta(seconds=1)) == first - 1
    figures.note_sale(pool, 70, first, 7)
    assert figures.daily_sales_milli(pool, first, 7) == 70_000
    assert figures.daily_sales_milli(pool, first + 1, 7) == 35_000
    figures.note_sale(pool, -5, first + 1, 7)
    assert figures.daily_sales_milli(pool, first + 4, 7) == 13_000
    assert figures.daily_sales_milli(pool, first + 6, 7) == 9_285
    assert figures.daily_sales_milli(pool, first + 7, 7) == 0, "what was given back outweighs what is left"
    figures.note_sale(pool, 14, first + 500, 7)
    assert pool.sales == [14, 0, 0, 0, 0, 0, 0]
    assert figures.daily_sales_milli(pool, first + 500, 7) == 2_000


@settings(deadline=None)
@given(st.text(max_size=64), st.sampled_from(("", "CD", "*", "A-b_9")), st.integers(1, 2**40))
def test_timer_keys_come_apart_as_they_were_put_together(sku, warehouse, ticket):
    assert timer_parts(timer_key(sku, warehouse, ticket)) == (sku, warehouse, ticket)
