"""Orders as inventory hears of them: reserved, waiting, given back, amended; twice, out of order, and refused."""

import pytest

from contracts.orders import OrderCancelRequested, RefundRequested
from contracts.risk import OrderRejected
from contracts.stock import (
    SkuQuantity,
    StockReleased,
    StockReserved,
    StockShort,
    WarehouseShippable,
)
from contracts.topics import topics_read_by
from services.inventory.domain import (
    DefineSku,
    DefineWarehouse,
    Policy,
    ReceiveStock,
    ReceiveTransfer,
    SendTransfer,
)
from services.inventory.handlers import handlers
from services.inventory.tests.stock import (
    NOW,
    A,
    B,
    Warehouses,
    amended,
    fields,
    kinds,
    lines,
    only,
    placed,
    planned,
)

ORDER = "own.demo.1"
CANCEL = OrderCancelRequested(order_id=ORDER, request_id="r1", requested_at=NOW)
REFUND = RefundRequested(order_id=ORDER, request_id="r2", requested_at=NOW, amount=100)
REJECT = OrderRejected(order_id=ORDER, version=1, by="reviewer", why="fraud")


def test_every_event_heard_comes_from_a_topic_that_inventory_reads():
    read = {event for topic in topics_read_by("inventory") for event in topic.events}
    commands = {DefineSku, DefineWarehouse, ReceiveStock, ReceiveTransfer, SendTransfer}
    heard = {kind for kind in handlers(Policy()).on if kind.__module__.startswith("contracts.")}
    assert heard <= read
    assert not heard & commands


def test_an_order_is_reserved_with_what_each_warehouse_could_ship():
    bench = Warehouses(CD=5, GZ=2)
    said = only(bench.do(placed(A=3)), StockReserved)
    assert said.lines == lines(A=3)
    assert said.shippable == [
        WarehouseShippable(warehouse="CD", items=[SkuQuantity(sku=A, quantity=3)]),
        WarehouseShippable(warehouse="GZ", items=[SkuQuantity(sku=A, quantity=2)]),
    ]
    assert bench.pool().reserved == 3


def test_the_same_order_again_changes_nothing():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    assert bench.do(placed(A=3)) == []
    assert bench.do(placed(A=3, version=2)) == []


def test_all_lines_or_none():
    bench = Warehouses(CD=5)
    said = only(bench.do(placed(A=3, B=1)), StockShort)
    assert [(m.sku, m.wanted, m.sellable, m.reason) for m in said.missing] == [(B, 1, 0, "short")]
    assert bench.pool().reserved == 0


def test_one_sku_on_several_lines_is_summed():
    bench = Warehouses(CD=5)
    event = placed(x=3, y=3)
    two_lines = [type(line)(line_id=line.line_id, sku=A, quantity=3, unit_price=1) for line in event.lines]
    said = only(bench.do(type(event)(**{**fields(event), "lines": two_lines})), StockShort)
    assert [(m.sku, m.wanted, m.sellable) for m in said.missing] == [(A, 6, 5)]


def test_an_unknown_sku_waits_until_it_is_defined_and_received():
    bench = Warehouses()
    assert only(bench.do(placed(NEW=1)), StockShort).missing[0].reason == "unknown_sku"
    bench.do(DefineSku(sku="NEW"))
    assert kinds(bench.tick_all()) == []
    bench.receive("CD", "NEW", 1)
    assert kinds(bench.tick_all()) == ["StockReserved"]


def test_a_quantity_below_one_is_not_decided():
    bench = Warehouses(CD=5)
    with pytest.raises(ValueError, match="wants 0 units"):
        bench.do(placed(A=0))


def test_400_orders_for_100_units_reserve_exactly_100():
    for batch_size in (1, 7, 400):
        bench = Warehouses(CD=60, GZ=40)
        orders = [placed(f"own.demo.{n}", A=1) for n in range(400)]
        said: list[str] = []
        for start in range(0, 400, batch_size):
            said += kinds(bench.batch(orders[start : start + batch_size], NOW))
        assert said == ["StockReserved"] * 100 + ["StockShort"] * 300
        assert bench.pool().reserved == 100
        assert bench.pool().waiting[""].length == 300


def test_short_orders_are_served_in_their_order_when_stock_comes():
    bench = Warehouses()
    for n in range(5):
        bench.do(placed(f"own.demo.{n}", A=2))
    bench.receive("CD", A, 5)
    served = [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)]
    assert served == ["own.demo.0", "own.demo.1"]
    bench.receive("GZ", A, 1)
    assert [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)] == ["own.demo.2"]


def test_who_comes_while_the_line_is_tried_goes_behind_it():
    bench = Warehouses(policy=Policy(retry_limit_orders=2))
    for n in range(5):
        bench.do(placed(f"own.demo.{n}", A=1))
    bench.receive("CD", A, 4)
    said = only(bench.do(placed("own.demo.5", A=1)), StockShort)
    assert [(m.sku, m.wanted, m.sellable) for m in said.missing] == [(A, 1, 0)], "what came is not for who comes now"
    bench.tick(bench.now)
    assert kinds(bench.do(placed("own.demo.6", A=1))) == ["StockShort"], "half of the line was not tried yet"
    served = [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)]
    assert served == ["own.demo.2", "own.demo.3"]
    bench.receive("CD", A, 5)
    served = [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)]
    assert served == ["own.demo.4", "own.demo.5", "own.demo.6"]
    assert kinds(bench.do(placed("own.demo.7", A=1))) == ["StockReserved"]


def test_who_comes_after_the_line_was_tried_takes_what_is_left():
    bench = Warehouses()
    bench.do(placed(A=9))
    bench.receive("CD", A, 2)
    assert kinds(bench.do(placed("own.demo.2", A=1))) == ["StockReserved"], "too little for anybody who waits"
    bench.do(placed("own.demo.3", A=2))
    bench.receive("CD", A, 2)
    assert kinds(bench.do(placed("own.demo.4", A=1))) == ["StockShort"]
    assert [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)] == ["own.demo.3", "own.demo.4"]


def test_who_keeps_coming_is_not_held_back_for_ever():
    bench = Warehouses(policy=Policy(retry_limit_orders=2))
    for n in range(5):
        bench.do(placed(f"own.demo.{n}", A=1))
    bench.receive("CD", A, 1_000)
    said = []
    for turn in range(6):
        for n in range(4):
            said += kinds(bench.do(placed(f"own.demo.{turn}-{n}", A=1)))
        bench.tick(bench.now)
    assert said == ["StockShort"] * 12 + ["StockReserved"] * 12, "until those who stood there were tried"
    bench.tick_all()
    assert bench.pool().waiting == {}


def test_newer_goods_begin_the_trying_anew_and_it_ends_with_the_newest_round():
    bench = Warehouses(policy=Policy(retry_limit_orders=1))
    for n, quantity in enumerate((3, 3, 3, 1)):
        bench.do(placed(f"own.demo.{n}", A=quantity))
    bench.receive("CD", A, 1)
    bench.tick(bench.now)
    bench.receive("CD", A, 1)
    for _ in range(2):
        bench.tick(bench.now)
        assert bench.pool().waiting[""].trying
    assert kinds(bench.do(placed("own.demo.4", A=1))) == ["StockShort"]
    served = [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)]
    assert served == ["own.demo.3", "own.demo.4"]
    assert not bench.pool().waiting[""].trying


def test_an_order_that_does_not_fit_lets_smaller_ones_pass_and_keeps_its_place():
    bench = Warehouses()
    for n, quantity in enumerate((9, 1, 1)):
        bench.do(placed(f"own.demo.{n}", A=quantity))
    bench.receive("CD", A, 2)
    assert [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)] == ["own.demo.1", "own.demo.2"]
    bench.receive("CD", A, 9)
    assert [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)] == ["own.demo.0"]


def test_an_order_short_of_two_skus_moves_on_to_the_second():
    bench = Warehouses()
    bench.do(placed(A=1, B=1))
    bench.receive("CD", A, 1)
    assert kinds(bench.tick_all()) == []
    assert bench.order().wait.sku == B
    bench.receive("CD", B, 1)
    assert kinds(bench.tick_all()) == ["StockReserved"]


def test_a_long_line_is_retried_a_bounded_number_of_orders_at_a_time():
    bench = Warehouses(policy=Policy(retry_limit_orders=10))
    for n in range(45):
        bench.do(placed(f"own.demo.{n}", A=1))
    bench.receive("CD", A, 42)
    (key,) = bench.timers
    assert key == ("retry", f"{A}##1")
    rounds = []
    while bench.timers:
        rounds.append(kinds(bench.tick(NOW.replace(year=2027))).count("StockReserved"))
    assert rounds == [10, 10, 10, 10, 2]
    assert bench.pool().waiting[""].length == 3


def test_a_patient_head_of_the_line_costs_no_walk_over_those_served_before():
    bench = Warehouses(policy=Policy(retry_limit_orders=10))
    bench.do(placed("own.demo.big", A=1_000))
    for n in range(300):
        bench.do(placed(f"own.demo.{n}", A=1))
    bench.receive("CD", A, 300)
    bench.tick_all()
    assert bench.pool().waiting[""].length == 1
    bench.receive("CD", A, 1)
    ticks = 0
    while bench.timers:
        bench.tick(NOW.replace(year=2027))
        ticks += 1
    assert ticks == 1


def test_a_cancellation_frees_stock_for_who_waits():
    bench = Warehouses(CD=1)
    bench.do(placed(A=1))
    bench.do(placed("own.demo.2", A=1))
    outputs = bench.do(CANCEL)
    assert kinds(outputs) == ["StockReleased"]
    assert [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)] == ["own.demo.2"]


@pytest.mark.parametrize(("event", "reason"), [(CANCEL, "cancelled"), (REFUND, "refunded"), (REJECT, "rejected")])
def test_an_order_that_ends_gives_back_what_it_reserved_once(event, reason):
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    said = only(bench.do(event), StockReleased)
    assert (said.reason, said.final, said.lines) == (reason, True, lines(A=3))
    for again in (CANCEL, REFUND, REJECT):
        assert bench.do(again) == []
    assert bench.pool().reserved == 0


def test_a_short_order_that_ends_leaves_its_line():
    bench = Warehouses()
    bench.do(placed(A=3))
    said = only(bench.do(CANCEL), StockReleased)
    assert (said.lines, said.final) == ([], True)
    bench.receive("CD", A, 3)
    assert kinds(bench.tick_all()) == []


def test_a_rejection_that_overtakes_the_order_keeps_it_from_being_reserved():
    bench = Warehouses(CD=5)
    assert bench.do(REJECT) == []
    assert bench.do(placed(A=3)) == []
    assert bench.do(amended(A=1)) == []
    assert bench.pool().reserved == 0


def test_a_refund_after_shipping_is_no_matter_of_stock():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    after = RefundRequested(order_id=ORDER, request_id="r", requested_at=NOW, amount=1, after_shipping=True)
    assert bench.do(after) == []


def test_a_refund_of_some_lines_waits_for_the_amendment_that_takes_them_out():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    part = RefundRequested(order_id=ORDER, request_id="r", requested_at=NOW, amount=1, line_ids=["1"])
    assert bench.do(part) == []
    assert bench.pool().reserved == 3


def test_after_the_assignment_fulfillment_arbitrates():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    bench.do(planned(CD=lines(A=3)))
    for event in (CANCEL, REFUND, REJECT, amended(A=1)):
        assert bench.do(event) == []
    assert bench.order().state == "assigned"
    assert bench.order().version == 1


def test_an_amendment_exchanges_the_reservation_in_one_decision():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    outputs = bench.do(amended(A=5))
    assert kinds(outputs) == ["StockReleased", "StockReserved"]
    released = only(outputs, StockReleased)
    assert (released.reason, released.final, released.lines, released.version) == ("amended", False, lines(A=3), 1)
    assert (only(outputs, StockReserved).version, bench.pool().reserved) == (2, 5)
    assert bench.do(amended(A=1)) == []
    assert bench.do(amended(A=1, version=1)) == []


def test_an_amendment_that_cannot_be_promised_frees_the_old_content_and_waits():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    bench.do(placed("own.demo.2", A=5))
    outputs = bench.do(amended(A=3, B=1))
    assert kinds(outputs) == ["StockReleased", "StockShort"]
    assert [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)] == ["own.demo.2"]
    bench.receive("CD", B, 1)
    assert kinds(bench.tick_all()) == []
    assert bench.order().wait.sku == A
    bench.receive("CD", A, 3)
    assert only(bench.tick_all(), StockReserved).version == 2


def test_a_new_address_keeps_the_reservation():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    outputs = bench.do(amended(A=3))
    assert kinds(outputs) == ["StockReserved"]
    assert only(outputs, StockReserved).version == 2
    bench.do(planned(version=2, CD=lines(A=3)))
    assert bench.do(amended(A=3, version=3)) == []
    assert (bench.order().version, bench.order().state) == (3, "assigned")


def test_a_short_order_amended_to_the_same_keeps_its_place():
    bench = Warehouses()
    bench.do(placed(A=1))
    bench.do(placed("own.demo.2", A=1))
    assert only(bench.do(amended(A=1)), StockShort).version == 2
    bench.receive("CD", A, 1)
    assert only(bench.tick_all(), StockReserved).order_id == ORDER


def test_a_short_order_amended_to_the_same_while_the_line_is_tried_keeps_its_place():
    bench = Warehouses()
    bench.do(placed(A=1))
    bench.do(placed("own.demo.2", A=1))
    bench.receive("CD", A, 1)
    assert only(bench.do(amended(A=1)), StockShort).version == 2
    assert only(bench.tick_all(), StockReserved).order_id == ORDER


def test_a_short_order_amended_to_what_is_there_is_reserved():
    bench = Warehouses(CD=5)
    bench.do(placed(A=6))
    outputs = bench.do(amended(A=5))
    assert kinds(outputs) == ["StockReserved"]
    assert bench.order().wait is None


def test_an_amendment_without_its_order_is_taken_as_the_order():
    bench = Warehouses(CD=5)
    assert only(bench.do(amended(A=2)), StockReserved).version == 2
    assert bench.do(placed(A=9)) == []


def test_a_smaller_amendment_is_kept_although_a_count_left_a_deficit():
    bench = Warehouses(CD=10)
    bench.do(placed(A=10))
    bench.count("CD", A, 4)
    assert bench.pool().deficit == 6
    outputs = bench.do(amended(A=8))
    assert kinds(outputs) == ["StockReleased", "StockReserved"]
    assert (bench.pool().reserved, bench.pool().deficit) == (8, 4)
