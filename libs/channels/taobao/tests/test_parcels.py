"""What our parcels and stock say in Taobao's words, its wall clocks and its money."""

from datetime import UTC, datetime

import pytest

from libs.channels.channel import Cure, Parcel, PlatformRefused, StockOrder
from libs.channels.taobao.mapping import UNITS, shipment_parameters, stock_calls
from libs.channels.values import moment_or_none, wall_clock


def parcel(**changes):
    fields = {
        "platform_order_id": "415",
        "parcel_id": "p1",
        "carrier": "SF",
        "waybill": "SF1",
        "lines": (("7", "A", 1), ("8", "B", 1), ("7", "A", 1)),
    }
    return Parcel(**fields | changes)


def test_parcels():
    assert shipment_parameters(parcel()) == {"tid": "415", "company_code": "SF", "out_sid": "SF1"}
    assert shipment_parameters(parcel(split=True))["sub_tid"] == "7,8"
    assert shipment_parameters(parcel(carrier="JT", company="CN7"))["company_code"] == "CN7"
    with pytest.raises(PlatformRefused) as refused:
        shipment_parameters(parcel(carrier="JT"))
    assert refused.value.cure is Cure.ASK


def test_stock_goes_together_by_item_and_keeps_the_order_of_a_sku():
    def order(item, sku, quantity, delta=False):
        return StockOrder(item, sku, quantity, f"{item}{sku}{quantity}", delta)

    calls = stock_calls(
        [order("1", "a", 5), order("1", "b", 0), order("1", "a", 4), order("2", "", 9), order("1", "c", -1, True)]
    )
    assert calls == [
        ("taobao.skus.quantity.update", {"num_iid": "1", "skuid_quantities": "a:5;b:0", "type": "1"}),
        ("taobao.skus.quantity.update", {"num_iid": "1", "skuid_quantities": "a:4", "type": "1"}),
        ("taobao.item.quantity.update", {"num_iid": "2", "quantity": "9", "type": "1"}),
        ("taobao.skus.quantity.update", {"num_iid": "1", "skuid_quantities": "c:-1", "type": "2"}),
    ]
    many = stock_calls([order("1", f"s{n}", n) for n in range(45)])
    assert [asked["skuid_quantities"].count(":") for _, asked in many] == [20, 20, 5]


def test_wall_clocks():
    assert wall_clock(datetime(2026, 11, 10, 16, 0, 1, tzinfo=UTC)) == "2026-11-11 00:00:01"
    for nonsense in ("", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "2026-02-30 00:00:00", None, 5):
        assert moment_or_none(nonsense) is None


def test_every_amount_is_yuan():
    assert set(UNITS.values()) == {"yuan"}
