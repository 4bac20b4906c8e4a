"""What operators do to stock, what it says per SKU, and what is refused."""

import pytest

from contracts.catalog import SkuDefined, WarehouseDefined
from contracts.orders import OrderCancelRequested
from contracts.stock import (
    SkuQuantity,
    StockReserved,
    StockShort,
)
from contracts.stock_levels import InboundExpected, SafetyLineCrossed, StockLevelChanged
from services.inventory.domain import (
    DefineSku,
    DefineWarehouse,
    Inbound,
    Pool,
    ReceiveStock,
    ReceiveTransfer,
    Reservation,
    SendTransfer,
)
from services.inventory.tests.stock import (
    NOW,
    A,
    B,
    Warehouses,
    amended,
    answer,
    blocked,
    kinds,
    lines,
    only,
    placed,
    planned,
)

ORDER = "own.demo.1"
CANCEL = OrderCancelRequested(order_id=ORDER, request_id="r1", requested_at=NOW)


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


def test_a_shipment_that_will_not_come_is_ended_by_a_receipt_of_nothing():
    bench = Warehouses()
    bench.announce("PO-1", 20, 80)
    outputs = bench.receive("CD", A, 0, inbound_id="PO-1")
    assert (answer(outputs).status, bench.row(Inbound, "PO-1").state) == (201, "closed")
    assert (bench.pool().on_hand, bench.pool().inbound, bench.pool().inbound_points) == (0, 0, 0)
    [(cause, delta)] = [(entry.cause, entry.delta) for entry in bench.entries if entry.delta < 0]
    assert (cause, delta) == ("receipt/c1/closed", -20), "nothing is booked as received"


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


def test_rows_are_saved_only_where_something_changed():
    bench = Warehouses(CD=5)
    bench.do(placed(A=1))
    before = {table: dict(rows) for table, rows in bench.rows.items()}
    for event in (placed(A=1), planned("own.demo.404", CD=lines(A=1)), blocked("own.demo.404"), amended(version=1)):
        bench.do(event)
    assert {table: dict(rows) for table, rows in bench.rows.items()} == before
    assert set(before) >= {Pool, Reservation}
