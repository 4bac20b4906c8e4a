"""Every message inventory hears: as it should come, twice, out of order, and refused."""

from datetime import timedelta

import pytest

from contracts.catalog import SkuDefined, WarehouseDefined
from contracts.orders import OrderCancelRequested, RefundRequested
from contracts.risk import OrderRejected
from contracts.stock import (
    AssignmentRefused,
    ShippableChanged,
    SkuQuantity,
    StockAssigned,
    StockReleased,
    StockReserved,
    StockShipped,
    StockShort,
    WarehouseShippable,
)
from contracts.stock_levels import InboundExpected, SafetyLineCrossed, StockLevelChanged
from contracts.topics import topics_read_by
from libs.decide import Wake
from services.inventory.domain import (
    DefineSku,
    DefineWarehouse,
    Inbound,
    Policy,
    Pool,
    ReceiveStock,
    ReceiveTransfer,
    Reservation,
    SendTransfer,
)
from services.inventory.handlers import handlers
from services.inventory.tests.stock import (
    NOW,
    A,
    B,
    Warehouses,
    amended,
    answer,
    blocked,
    fulfillment_cancelled,
    kinds,
    lines,
    only,
    placed,
    planned,
    shipped,
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


# -- reserving -------------------------------------------------------------------------------------------------------


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
    said = only(bench.do(type(event)(**{**_fields(event), "lines": two_lines})), StockShort)
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


# -- waiting ---------------------------------------------------------------------------------------------------------


def test_short_orders_are_served_in_their_order_when_stock_comes():
    bench = Warehouses()
    for n in range(5):
        bench.do(placed(f"own.demo.{n}", A=2))
    bench.receive("CD", A, 5)
    served = [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)]
    assert served == ["own.demo.0", "own.demo.1"]
    bench.receive("GZ", A, 1)
    assert [o.order_id for o in bench.tick_all() if isinstance(o, StockReserved)] == ["own.demo.2"]


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


# -- giving back -----------------------------------------------------------------------------------------------------


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


def test_after_the_assignment_fulfillment_arbitrates():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    bench.do(planned(CD=lines(A=3)))
    for event in (CANCEL, REFUND, REJECT, amended(A=1)):
        assert bench.do(event) == []
    assert bench.order().state == "assigned"
    assert bench.order().version == 1


# -- amendments ------------------------------------------------------------------------------------------------------


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


# -- assigning -------------------------------------------------------------------------------------------------------


def test_a_plan_is_taken_and_its_requirements_passed_on():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    said = only(bench.do(planned(CD=lines(A=3))), StockAssigned)
    assert (said.plan, said.requirements) == (1, ["signature_on_delivery"])
    assert [(p.parcel_id, p.warehouse) for p in said.parcels] == [(f"{ORDER}/1.1", "CD")]
    level = bench.pool().warehouses["CD"]
    assert (level.on_hand, level.assigned, bench.pool().reserved) == (5, 3, 3)
    assert bench.do(planned(CD=lines(A=3))) == []
    assert bench.do(planned(plan=2, CD=lines(A=3))) == []


def test_a_plan_that_divides_a_line_is_taken():
    bench = Warehouses(CD=2, GZ=2)
    bench.do(placed(A=3))
    assert kinds(bench.do(planned(CD=lines(A=2), GZ=lines(A=1)))) == ["StockAssigned"]
    assert [bench.pool().warehouses[w].assigned for w in ("CD", "GZ")] == [2, 1]


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (planned(GZ=lines(A=3)), "gone"),
        (planned(XX=lines(A=3)), "gone"),
        (planned(version=2, CD=lines(A=3)), "stale_version"),
        (planned(CD=lines(A=2)), "mismatch"),
        (planned(CD=lines(A=4)), "mismatch"),
        (planned(CD=lines(B=3)), "mismatch"),
        (planned(CD=lines(A=3), GZ=lines(A=0)), "mismatch"),
        (planned(), "mismatch"),
    ],
)
def test_a_plan_that_does_not_hold_is_refused_with_fresh_numbers(plan, reason):
    bench = Warehouses(CD=5, GZ=1)
    bench.do(placed(A=3))
    said = only(bench.do(plan), AssignmentRefused)
    assert (said.reason, said.plan) == (reason, 1)
    assert [place.warehouse for place in said.shippable] == ["CD", "GZ"]
    assert bench.do(plan) == []
    assert kinds(bench.do(planned(plan=2, CD=lines(A=3)))) == ["StockAssigned"]


def test_parcels_of_another_order_are_refused():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    foreign = planned("own.demo.2", CD=lines(A=3)).parcels
    plan = planned(CD=lines(A=3))
    assert only(bench.do(type(plan)(**{**_fields(plan), "parcels": foreign})), AssignmentRefused).reason == "mismatch"


def test_two_orders_that_planned_the_same_goods_are_not_both_served():
    bench = Warehouses(CD=3, GZ=3)
    bench.do(placed(A=3), placed("own.demo.2", A=3))
    outputs = bench.do(planned(CD=lines(A=3)), planned("own.demo.2", CD=lines(A=3)))
    assert kinds(outputs) == ["StockAssigned", "AssignmentRefused"]
    assert [place.warehouse for place in only(outputs, AssignmentRefused).shippable] == ["GZ"]


def test_a_plan_for_an_unknown_short_or_ended_order():
    bench = Warehouses(CD=5)
    assert bench.do(planned(CD=lines(A=3))) == []
    bench.do(placed(A=9))
    assert only(bench.do(planned(CD=lines(A=9))), AssignmentRefused).shippable == []
    bench.do(CANCEL)
    assert bench.do(planned(plan=2, CD=lines(A=9))) == []


# -- blocked ---------------------------------------------------------------------------------------------------------


def test_a_blocked_order_is_announced_when_its_warehouse_gets_the_goods():
    bench = Warehouses(CD=1, GZ=9)
    bench.do(placed(A=3))
    assert bench.do(blocked(quantity=2, source="GZ")) == []
    assert bench.do(blocked(quantity=2, source="GZ")) == []
    bench.receive("GZ", A, 5)
    assert kinds(bench.tick_all()) == []
    bench.receive("CD", A, 1)
    assert kinds(bench.tick_all()) == []
    bench.receive("CD", A, 1)
    said = only(bench.tick_all(), ShippableChanged)
    assert said.cause == "receipt"
    assert said.shippable[0] == WarehouseShippable(warehouse="CD", items=[SkuQuantity(sku=A, quantity=3)])
    assert bench.order().wait is None


def test_goods_that_came_meanwhile_are_announced_at_once():
    bench = Warehouses(GZ=9)
    bench.do(placed(A=3))
    bench.receive("CD", A, 3)
    assert only(bench.do(blocked(quantity=3, source="GZ")), ShippableChanged).cause == "meanwhile"


def test_a_transfer_cures_a_blocked_order():
    bench = Warehouses(CD=1, GZ=9)
    bench.do(placed(A=3))
    bench.do(blocked(quantity=2, source="GZ"))
    items = [SkuQuantity(sku=A, quantity=2)]
    bench.do(SendTransfer(transfer_id="t1", from_warehouse="GZ", to_warehouse="CD", items=items))
    assert kinds(bench.tick_all()) == []
    bench.do(ReceiveTransfer(transfer_id="t1"))
    assert only(bench.tick_all(), ShippableChanged).cause == "transfer"


def test_without_a_transfer_goods_anywhere_change_the_plan():
    for advice in (blocked(quantity=2), blocked(quantity=2, warehouse="")):
        bench = Warehouses(CD=1)
        bench.do(DefineSku(sku=A, allowance=9))
        bench.do(placed(A=3))
        assert bench.do(advice) == []
        bench.receive("GZ", A, 2)
        assert kinds(bench.tick_all()) == ["ShippableChanged"]


def test_a_parcel_given_back_wakes_who_is_blocked_there():
    bench = Warehouses(CD=3, GZ=9)
    bench.do(placed("own.demo.2", A=3), placed(A=3))
    bench.do(planned("own.demo.2", CD=lines(A=3)))
    bench.do(blocked(quantity=3, source="GZ"))  # what it was told is not what is there any more
    assert only(bench.do(planned(CD=lines(A=3))), AssignmentRefused).reason == "gone"
    bench.do(blocked(quantity=3, source="GZ"))
    bench.do(fulfillment_cancelled("own.demo.2", "own.demo.2/1.1"))
    assert only(bench.tick_all(), ShippableChanged).cause == "released"


def test_as_many_are_announced_as_the_goods_suffice_for_and_the_rest_is_looked_at_again():
    bench = Warehouses(GZ=99)
    for n in range(4):
        bench.do(placed(f"own.demo.{n}", A=2))
        bench.do(blocked(f"own.demo.{n}", quantity=2, source="GZ"))
    outputs = bench.receive("CD", A, 5)
    assert [w.kind for w in outputs if isinstance(w, Wake)] == ["retry"]
    first = bench.tick(bench.now)
    assert [o.order_id for o in first if isinstance(o, ShippableChanged)] == ["own.demo.0", "own.demo.1"]
    bench.do(planned("own.demo.0", CD=lines(A=2)))
    # The second was planned elsewhere: its goods go to the third without any new arrival.
    bench.do(planned("own.demo.1", GZ=lines(A=2)))
    bench.now += timedelta(milliseconds=Policy().recheck_after_ms)
    again = bench.tick(bench.now)
    assert [o.order_id for o in again if isinstance(o, ShippableChanged)] == ["own.demo.2"]
    bench.do(planned("own.demo.2", CD=lines(A=2)))
    # Nothing is left for the fourth: the looking ends.
    assert kinds(bench.tick_all()) == []
    assert bench.pool().waiting["CD"].length == 1


def test_a_blocked_order_that_is_planned_otherwise_or_ends_leaves_the_line():
    bench = Warehouses(GZ=9)
    bench.do(placed(A=3), placed("own.demo.2", A=3))
    bench.do(blocked(quantity=3, source="GZ"), blocked("own.demo.2", quantity=3, source="GZ"))
    assert bench.pool().waiting["CD"].length == 2
    bench.do(planned(plan=2, GZ=lines(A=3)))
    bench.do(OrderCancelRequested(order_id="own.demo.2", request_id="r", requested_at=NOW))
    assert bench.pool().waiting == {}


def test_a_block_that_is_stale_foreign_or_empty_is_ignored():
    bench = Warehouses(GZ=9)
    assert bench.do(blocked(quantity=3)) == []
    bench.do(placed(A=3))
    for event in (blocked(version=2), blocked(sku="elsewhere")):
        assert bench.do(event) == []
    assert bench.order().wait is None


# -- shipping --------------------------------------------------------------------------------------------------------


def test_a_shipped_parcel_consumes_its_units_once():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    bench.do(planned(CD=lines(A=3)))
    said = only(bench.do(shipped(f"{ORDER}/1.1", "CD", lines(A=3))), StockShipped)
    assert (said.parcel_id, said.warehouse, said.lines) == (f"{ORDER}/1.1", "CD", lines(A=3))
    pool = bench.pool()
    assert (pool.on_hand, pool.reserved, pool.warehouses["CD"].assigned) == (2, 0, 0)
    assert bench.order().state == "closed"
    assert bench.do(shipped(f"{ORDER}/1.1", "CD", lines(A=3))) == []
    assert bench.do(fulfillment_cancelled(ORDER, f"{ORDER}/1.1")) == []
    assert bench.do(shipped(f"{ORDER}/9", "CD", lines(A=3))) == []
    assert bench.do(shipped("own.demo.404/1", "CD", lines(A=3))) == []


def test_a_partly_shipped_order_gives_back_the_rest():
    bench = Warehouses(CD=2, GZ=2)
    bench.do(placed(A=3))
    bench.do(planned(CD=lines(A=2), GZ=lines(A=1)))
    bench.do(shipped(f"{ORDER}/1.1", "CD", lines(A=2)))
    assert bench.order().state == "assigned"
    said = only(bench.do(fulfillment_cancelled(ORDER, f"{ORDER}/1.2", f"{ORDER}/1.1")), StockReleased)
    assert (said.parcel_ids, said.lines, said.final) == ([f"{ORDER}/1.2"], lines(A=1), True)
    assert (bench.pool().reserved, bench.order().state) == (0, "closed")


def test_a_cancelled_parcel_is_given_back_once_and_not_for_good_while_another_is_open():
    bench = Warehouses(CD=2, GZ=2)
    bench.do(placed(A=3))
    bench.do(planned(CD=lines(A=2), GZ=lines(A=1)))
    said = only(bench.do(fulfillment_cancelled(ORDER, f"{ORDER}/1.1")), StockReleased)
    assert (said.reason, said.final) == ("fulfillment_cancelled", False)
    assert bench.do(fulfillment_cancelled(ORDER, f"{ORDER}/1.1")) == []
    assert bench.do(shipped(f"{ORDER}/1.1", "CD", lines(A=2))) == []
    assert only(bench.do(fulfillment_cancelled(ORDER, f"{ORDER}/1.2")), StockReleased).final
    assert bench.order().state == "released"


def test_units_shipped_beyond_what_was_counted_are_found_again():
    bench = Warehouses(CD=5)
    bench.do(placed(A=5))
    bench.do(planned(CD=lines(A=5)))
    body = answer(bench.count("CD", A, 3)).body
    assert (body["deficit"], body["difference"]) == (2, -2)
    assert "not there" in body["warning"]
    bench.do(shipped(f"{ORDER}/1.1", "CD", lines(A=5)))
    pool = bench.pool()
    assert (pool.on_hand, pool.reserved, pool.deficit, pool.warehouses["CD"].deficit) == (0, 0, 0, 0)
    assert [e.delta for e in bench.entries if e.cause.endswith("/found")] == [2]


def test_units_found_on_shipping_go_to_who_waits():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    bench.do(planned(CD=lines(A=3)))
    bench.count("CD", A, 1)
    bench.receive("GZ", A, 4)
    bench.do(placed("own.demo.2", A=3))
    assert bench.order("own.demo.2").state == "short"
    bench.do(shipped(f"{ORDER}/1.1", "CD", lines(A=3)))
    assert only(bench.tick_all(), StockReserved).order_id == "own.demo.2"


# -- stock moves -----------------------------------------------------------------------------------------------------


def test_atp_of_the_specification():
    bench = Warehouses(CD=100)
    bench.do(placed(A=30))
    outputs = bench.announce("PO-1", 20, 80)
    assert only(outputs, StockLevelChanged).atp == 86
    assert only(outputs, StockLevelChanged).sellable == 70
    assert answer(outputs).body["atp"] == 86
    assert only(outputs, InboundExpected).yield_percent == 80


def test_inbound_is_sold_only_as_far_as_policy_says():
    bench = Warehouses(CD=1)
    bench.announce("PO-1", 20, 80)
    bench.do(placed(A=2))
    assert bench.order().state == "short"
    bench.do(DefineSku(sku=A, sellable_inbound_percent=50))
    assert only(bench.tick_all(), StockReserved).order_id == ORDER
    assert only(bench.do(placed("own.demo.2", A=8)), StockShort).missing[0].sellable == 7


def test_a_receipt_consumes_its_shipment_and_by_default_ends_it():
    bench = Warehouses()
    bench.announce("PO-1", 20, 80)
    bench.receive("CD", A, 5, inbound_id="PO-1", closes_inbound=False)
    assert (bench.pool().inbound, bench.pool().inbound_points) == (15, 1200)
    bench.receive("CD", A, 9, inbound_id="PO-1")
    assert (bench.pool().on_hand, bench.pool().inbound, bench.pool().inbound_points) == (14, 0, 0)
    assert bench.row(Inbound, "PO-1").state == "closed"
    refused = answer(bench.receive("CD", A, 1, inbound_id="PO-1"))
    assert (refused.status, refused.body["field"]) == (409, "inbound_id")


def test_a_shipment_that_falls_short_of_what_was_sold_leaves_a_deficit():
    bench = Warehouses()
    bench.do(DefineSku(sku=A, sellable_inbound_percent=100))
    bench.announce("PO-1", 20)
    bench.do(placed(A=20))
    bench.receive("CD", A, 12, inbound_id="PO-1")
    assert (bench.pool().reserved, bench.pool().deficit) == (20, 8)
    bench.receive("CD", A, 8)
    assert bench.pool().deficit == 0


@pytest.mark.parametrize(
    ("command", "status", "field"),
    [
        (ReceiveStock(command_id="x", warehouse="XX", items=[SkuQuantity(sku=A, quantity=1)]), 404, "warehouse"),
        (ReceiveStock(command_id="x", warehouse="CD", items=[SkuQuantity(sku="?", quantity=1)]), 404, "sku"),
        (
            ReceiveStock(command_id="x", warehouse="CD", items=[SkuQuantity(sku=A, quantity=1)], inbound_id="?"),
            404,
            "inbound_id",
        ),
        (
            ReceiveStock(command_id="x", warehouse="GZ", items=[SkuQuantity(sku=A, quantity=1)], inbound_id="PO-1"),
            409,
            "warehouse",
        ),
        (
            ReceiveStock(command_id="x", warehouse="CD", items=[SkuQuantity(sku=B, quantity=1)], inbound_id="PO-1"),
            409,
            "items",
        ),
        (
            SendTransfer(
                transfer_id="t", from_warehouse="CD", to_warehouse="XX", items=[SkuQuantity(sku=A, quantity=1)]
            ),
            404,
            "to_warehouse",
        ),
        (
            SendTransfer(
                transfer_id="t", from_warehouse="CD", to_warehouse="CD", items=[SkuQuantity(sku=A, quantity=1)]
            ),
            409,
            "to_warehouse",
        ),
        (
            SendTransfer(
                transfer_id="t", from_warehouse="CD", to_warehouse="GZ", items=[SkuQuantity(sku=A, quantity=6)]
            ),
            409,
            "items",
        ),
        (ReceiveTransfer(transfer_id="?"), 404, "transfer_id"),
        (
            ReceiveTransfer(transfer_id="t1", items=[SkuQuantity(sku=A, quantity=3)]),
            409,
            "items",
        ),
    ],
)
def test_a_command_that_cannot_be_done_is_refused_and_changes_nothing(command, status, field):
    bench = Warehouses(CD=7)
    bench.announce("PO-1", 20)
    items = [SkuQuantity(sku=A, quantity=2)]
    bench.do(SendTransfer(transfer_id="t1", from_warehouse="CD", to_warehouse="GZ", items=items))
    before = (bench.rows, list(bench.entries))
    reply = answer(bench.do(command))
    assert (reply.status, reply.body["field"]) == (status, field)
    assert (bench.rows, list(bench.entries)) == before


def test_a_document_is_taken_once():
    bench = Warehouses(CD=7)
    bench.announce("PO-1", 20)
    assert answer(bench.announce("PO-1", 20)).status == 409
    send = SendTransfer(
        transfer_id="t1", from_warehouse="CD", to_warehouse="GZ", items=[SkuQuantity(sku=A, quantity=2)]
    )
    bench.do(send)
    assert answer(bench.do(send)).status == 409
    bench.do(ReceiveTransfer(transfer_id="t1"))
    assert answer(bench.do(ReceiveTransfer(transfer_id="t1"))).status == 409


def test_a_transfer_moves_units_and_never_strands_a_promise():
    bench = Warehouses(CD=5)
    bench.do(placed(A=5))
    outputs = bench.do(
        SendTransfer(transfer_id="t1", from_warehouse="CD", to_warehouse="GZ", items=[SkuQuantity(sku=A, quantity=4)])
    )
    level = only(outputs, StockLevelChanged)
    assert (level.on_hand, level.inbound, level.atp, level.sellable) == (1, 4, 0, 0)
    assert bench.pool().deficit == 0
    reply = answer(bench.do(ReceiveTransfer(transfer_id="t1", items=[SkuQuantity(sku=A, quantity=3)])))
    assert reply.body["lost"] == [{"sku": A, "quantity": 1}]
    assert (bench.pool().warehouses["GZ"].on_hand, bench.pool().deficit) == (3, 1)


def test_units_owed_to_a_parcel_do_not_leave_by_transfer():
    bench = Warehouses(CD=5)
    bench.do(placed(A=3))
    bench.do(planned(CD=lines(A=3)))
    send = SendTransfer(
        transfer_id="t1", from_warehouse="CD", to_warehouse="GZ", items=[SkuQuantity(sku=A, quantity=3)]
    )
    assert answer(bench.do(send)).body["free"] == 2


def test_facts_are_published_when_they_change():
    bench = Warehouses()
    outputs = bench.do(DefineSku(sku=A, title="烛台", cost=100, weight_grams=420, barcode="69"))
    assert only(outputs, SkuDefined) == SkuDefined(sku=A, title="烛台", cost=100, weight_grams=420, barcode="69")
    assert answer(outputs).status == 200
    assert kinds(bench.do(DefineSku(sku=A, title="烛台", cost=100, weight_grams=420, barcode="69", allowance=5))) == []
    outputs = bench.do(DefineWarehouse(warehouse="BJ", name="北京", region="华北", province_code="11"))
    assert only(outputs, WarehouseDefined).region == "华北"
    assert answer(outputs).status == 201
    assert kinds(bench.do(DefineWarehouse(warehouse="BJ", name="北京", region="华北", province_code="11"))) == []


def test_a_policy_left_out_stays_and_an_allowance_taken_back_leaves_a_deficit():
    bench = Warehouses()
    bench.do(DefineSku(sku=A, allowance=5))
    bench.do(DefineSku(sku=A, title="x"))
    assert kinds(bench.do(placed(A=5))) == ["StockReserved"]
    assert answer(bench.do(DefineSku(sku=A, allowance=1))).body["deficit"] == 4
    assert kinds(bench.do(placed("own.demo.2", A=1))) == ["StockShort"]


# -- figures per SKU -------------------------------------------------------------------------------------------------


def test_a_batch_says_each_changed_sku_once_in_the_order_of_its_first_change():
    bench = Warehouses(CD=100)
    bench.receive("CD", B, 100)
    outputs = bench.do(*[placed(f"own.demo.{n}", B=1, A=1) for n in range(20)])
    levels = [output for output in outputs if isinstance(output, StockLevelChanged)]
    assert [(level.sku, level.reserved) for level in levels] == [(B, 20), (A, 20)]
    assert (levels[0].warehouses[0].warehouse, levels[0].warehouses[0].on_hand) == ("CD", 100)


def test_figures_that_end_as_they_were_are_not_said():
    bench = Warehouses(CD=5)
    outputs = bench.do(placed(A=1), CANCEL)
    assert kinds(outputs) == ["StockReserved", "StockReleased"]
    assert not [output for output in outputs if isinstance(output, StockLevelChanged)]


def test_a_crossing_is_said_once_and_armed_again_above_the_line():
    bench = Warehouses(CD=100)
    assert not _crossings(bench.do(placed(A=30)))
    [crossing] = _crossings(bench.do(placed("own.demo.2", A=20)))
    # 50 sold today: the line is 75, 50 are left; back to the line, and seven days of 50 until the purchase comes.
    assert (crossing.atp, crossing.safety_stock, crossing.daily_sales_milli) == (50, 75, 50_000)
    assert crossing.suggested_purchase == 25 + 350
    assert not _crossings(bench.do(placed("own.demo.3", A=1)))
    assert not _crossings(bench.receive("CD", A, 100))
    assert not bench.pool().crossed
    assert len(_crossings(bench.count("CD", A, 60))) == 1


def test_the_line_follows_the_sku_s_own_percentage():
    bench = Warehouses(CD=100)
    bench.do(DefineSku(sku=A, safety_percent=0))
    assert not _crossings(bench.do(placed(A=99)))


def _crossings(outputs) -> list[SafetyLineCrossed]:
    return [output for output in outputs if isinstance(output, SafetyLineCrossed)]


def _fields(struct) -> dict:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_rows_are_saved_only_where_something_changed():
    bench = Warehouses(CD=5)
    bench.do(placed(A=1))
    before = {table: dict(rows) for table, rows in bench.rows.items()}
    for event in (placed(A=1), planned("own.demo.404", CD=lines(A=1)), blocked("own.demo.404"), amended(version=1)):
        bench.do(event)
    assert {table: dict(rows) for table, rows in bench.rows.items()} == before
    assert set(before) >= {Pool, Reservation}
