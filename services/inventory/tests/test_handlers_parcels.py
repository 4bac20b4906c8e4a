"""Plans and parcels: taken, refused, blocked, shipped and freed; twice and out of order."""

from datetime import timedelta

import pytest

from contracts.orders import OrderCancelRequested
from contracts.stock import (
    AssignmentRefused,
    ShippableChanged,
    SkuQuantity,
    StockAssigned,
    StockReleased,
    StockReserved,
    StockShipped,
    WarehouseShippable,
)
from libs.decide import Wake
from services.inventory.domain import (
    DefineSku,
    Policy,
    ReceiveTransfer,
    SendTransfer,
)
from services.inventory.tests.stock import (
    NOW,
    A,
    Warehouses,
    answer,
    blocked,
    fields,
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
    assert only(bench.do(type(plan)(**{**fields(plan), "parcels": foreign})), AssignmentRefused).reason == "mismatch"


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


def test_a_blocked_order_is_announced_when_its_warehouse_gets_the_goods():
    bench = Warehouses(CD=1, GZ=9)
    bench.do(placed(A=3))
    assert kinds(bench.do(blocked(quantity=2, source="GZ"))) == []
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


def test_an_order_that_is_blocked_again_for_more_of_the_same_keeps_its_place():
    bench = Warehouses(CD=1, GZ=9)
    for order_id in (ORDER, "own.demo.2"):
        bench.do(placed(order_id, A=3))
        bench.do(blocked(order_id, quantity=1, source="GZ"))
    bench.do(blocked(quantity=2, source="GZ"))
    bench.receive("CD", A, 2)
    assert only(bench.tick(bench.now), ShippableChanged).order_id == ORDER


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


LATER = timedelta(milliseconds=Policy().elsewhere_every_ms)


def told(bench: Warehouses) -> list[str]:
    """Let the slow look come, from stretch to stretch, and return the orders that it told of another warehouse."""
    bench.now += LATER
    outputs = []
    while more := bench.tick(bench.now):
        outputs += more
    return [output.order_id for output in outputs if isinstance(output, ShippableChanged)]


def test_another_warehouse_that_came_to_hold_all_is_told_once_and_the_place_in_line_stays():
    bench = Warehouses(CD=1, GZ=2)
    bench.do(placed(A=3))
    bench.do(blocked(quantity=2, source="GZ"))
    ticket = bench.order().wait
    assert told(bench) == []
    bench.receive("GZ", A, 1)
    assert kinds(bench.tick_all()) == [], "it waits for CD, and the look comes slowly"
    assert told(bench) == [ORDER]
    bench.do(blocked(quantity=2, source="GZ"))
    assert bench.order().wait == ticket
    assert told(bench) == [], "routing knows"
    bench.do(planned(plan=2, GZ=lines(A=3)))
    assert told(bench) == []
    assert bench.timers == {}, "the looking ends with the line"


def long_line(orders: int, units: int) -> Warehouses:
    """So many orders wait for so many units each; two of them are told at once."""
    bench = Warehouses(policy=Policy(retry_limit_orders=2))
    bench.do(DefineSku(sku=A, allowance=99))
    for n in range(orders):
        bench.do(placed(f"own.demo.{n}", A=units))
        bench.do(blocked(f"own.demo.{n}", quantity=units, source="GZ"))
    return bench


def test_another_warehouse_is_told_to_as_many_as_its_goods_suffice_for_through_a_long_line():
    bench = long_line(7, units=2)
    bench.do(OrderCancelRequested(order_id="own.demo.0", request_id="r", requested_at=NOW))
    bench.receive("GZ", A, 5)
    bench.tick_all()
    found = [[int(order_id.rsplit(".", 1)[1]) for order_id in told(bench)] for _ in range(6)]
    assert found == [[1], [2, 3], [4, 5], [6], [], []]


def test_a_long_line_is_looked_through_to_its_end_in_one_look():
    bench = long_line(6, units=1)
    bench.receive("GZ", A, 9)
    bench.tick_all()
    assert len(told(bench)) == 2
    for _ in range(2):
        bench.now += timedelta(milliseconds=Policy().recheck_after_ms)
        assert len([each for each in bench.tick(bench.now) if isinstance(each, ShippableChanged)]) == 2


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
