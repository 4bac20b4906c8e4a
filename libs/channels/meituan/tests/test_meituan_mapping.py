"""Meituan's documents in our words: money to the fen, what says nothing, what is refused by name."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from libs.channels.channel import About, Document, Parcel, StockOrder
from libs.channels.meituan.mapping import heard, shipment_params, stock_params
from libs.channels.own.inbound import Cancellation, LeftOrder, Order, Refund, RefundWithdrawn
from libs.channels.refusals import OrderRefused

DETAIL = [
    {"sku_id": "A1-1", "app_food_code": "A1", "quantity": 2, "price": 17.5, "box_num": 1.5, "box_price": 0.5},
    {"sku_id": "", "app_food_code": "B7", "quantity": 1, "price": "3.00", "box_num": 0, "box_price": 0},
]
ORDER = {
    "order_id": 2700130123456789012,
    "app_poi_code": "poi-1",
    "status": 4,
    "ctime": 1794326400,
    "order_send_time": 1794326460,
    "utime": 1794326500,
    "delivery_time": 1794330000,
    "pay_type": 2,
    "day_seq": 7,
    "recipient_name": "张(先生)",
    "recipient_phone": "13800138000_4321",
    "recipient_address": "望京路1号 3单元@#北京市朝阳区望京路",
    "shipping_fee": 3.5,
    "package_bag_money": 50,
    "total": 36.0,
    "detail": json.dumps(DETAIL),
    "extras": json.dumps([{"reduce_fee": 7, "mt_charge": 3, "poi_charge": 4}, {}]),
    "caution": "少放辣\n【发票】",
}
REFUND = {
    "order_id": 27,
    "refund_id": 9,
    "money": 17.5,
    "res_type": 0,
    "refund_type": 2,
    "ctime": 1794326400,
    "apply_reason": "少送",
    "service_type": "1",
}


def say(fields, about=About.ORDER):
    return heard(Document(about, "x", json.dumps(fields).encode()))


def test_a_confirmed_order():
    (order,) = say(ORDER)
    assert isinstance(order, Order)
    assert order.platform_order_id == "2700130123456789012"
    assert [(line.line_id, line.sku, line.quantity, line.unit_price) for line in order.lines] == [
        ("1", "A1-1", 2, 1750),
        ("2", "B7", 1, 300),
    ]
    assert order.shipping_fee == 350 + 2 * 50 + 50
    assert order.total == 3600
    funded = {"platform": 0, "merchant": 0}
    for line in order.lines:
        for discount in line.discounts:
            funded[discount.funder] += discount.amount
    assert funded == {"platform": 300, "merchant": 400}
    assert order.paid_at == datetime.fromtimestamp(1794326460, UTC)
    assert order.recipient.address == "望京路1号 3单元"
    assert order.note.startswith("少放辣")
    assert order.promise.ship_by == datetime.fromtimestamp(1794330000, UTC)


@pytest.mark.parametrize("detail", [DETAIL, json.dumps(DETAIL)])
def test_detail_comes_as_a_list_or_as_json(detail):
    assert len(say({**ORDER, "detail": detail})[0].lines) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": 1}, []),
        ({"status": "2"}, [Order]),
        ({"status": 4, "logistics_status": 10}, [Order]),
        ({"status": 4, "logistics_status": 20}, [LeftOrder]),
        ({"status": 4, "logistics_status": "40"}, [LeftOrder]),
        ({"status": 6}, [LeftOrder]),
        ({"status": 8}, [LeftOrder]),
        ({"status": 9}, [Order, Cancellation]),
        ({"status": 9, "total": 9999}, [Cancellation]),  # its sum cannot be explained
        ({"status": 9, "day_seq": 0}, []),
        ({"status": 9, "day_seq": None, "pay_type": 1}, [Order, Cancellation]),
    ],
)
def test_what_each_status_says(changes, said):
    assert [type(each) for each in say({**ORDER, **changes})] == said


def test_cash_on_delivery_is_not_paid():
    assert say({**ORDER, "pay_type": 1})[0].paid_at is None


def test_discounts_beyond_the_goods_reduce_the_delivery_fee():
    (order,) = say({**ORDER, "total": 0, "extras": "[]"})
    assert (order.total, order.shipping_fee) == (0, 0)
    (order,) = say({**ORDER, "total": "1.00", "extras": "[]"})
    assert (order.total, order.shipping_fee) == (100, 100)


@pytest.mark.parametrize("total", range(1, 4300, 97))
def test_every_reduction_is_divided_to_the_fen(total):
    (order,) = say({**ORDER, "total": f"{total / 100:.2f}"})
    assert order.total == total


def test_a_nameless_buyer_who_picks_up():
    (order,) = say({**ORDER, "recipient_name": "", "recipient_address": "", "pick_type": 1})
    assert (order.recipient.name, order.recipient.address) == ("美团客人", "到店自取")


def test_divided_address():
    parts = {"province": "北京市", "city": "北京市", "area": "朝阳区"}
    (order,) = say({**ORDER, "recipient_address_detail": json.dumps(parts)})
    assert (order.recipient.province, order.recipient.district) == ("北京市", "朝阳区")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status": 5}, "status"),
        ({"status": "x"}, "status"),
        ({"detail": "[{]"}, "detail"),
        ({"detail": None}, "detail"),
        ({"detail": [1]}, "detail[0]"),
        ({"detail": []}, "lines"),
        ({"detail": [{"sku_id": "a", "quantity": 1.5, "price": 1}]}, "detail[0].quantity"),
        ({"detail": [{"sku_id": "a", "quantity": 1, "price": 1.555}]}, "detail[0].price"),
        ({"detail": [{"sku_id": "a", "quantity": 1, "price": 1, "box_num": "x"}]}, "detail[0].box_num"),
        ({"detail": [{"quantity": 1, "price": 100}]}, "lines[0].sku"),
        ({"total": "36.001"}, "total"),
        ({"total": 99}, "total"),
        ({"total": [1]}, "total"),
        ({"order_id": "a/b"}, "platform_order_id"),
        ({"ctime": "soon"}, "ctime"),
        ({"recipient_phone": ""}, "recipient.phone"),
        ({"recipient_address_detail": "[1]"}, "recipient_address_detail"),
    ],
)
def test_a_refusal_names_the_field(changes, field):
    with pytest.raises(OrderRefused) as caught:
        say({**ORDER, **changes})
    assert caught.value.field == field
    assert "张" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"x"'])
def test_not_an_object(raw):
    with pytest.raises(OrderRefused):
        heard(Document(About.ORDER, "x", raw))


def test_a_refund():
    (refund,) = say(REFUND, About.REFUND)
    assert isinstance(refund, Refund)
    assert (refund.platform_order_id, refund.refund_id, refund.amount, refund.reason) == ("27", "9", 1750, "少送")
    assert not refund.after_shipping


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"res_type": 1}, RefundWithdrawn),
        ({"res_type": 2}, Refund),
        ({"res_type": 7}, RefundWithdrawn),
        ({"res_type": None, "status": "1"}, Refund),
        ({"res_type": None, "status": "22"}, RefundWithdrawn),
        ({"service_type": "2"}, Refund),
    ],
)
def test_a_refused_or_withdrawn_refund_says_so(changes, kind):
    (found,) = say({**REFUND, **changes}, About.REFUND)
    assert isinstance(found, kind)
    assert (found.platform_order_id, found.refund_id) == ("27", "9")


def test_a_refund_with_return_is_after_shipping():
    assert say({**REFUND, "service_type": "2"}, About.REFUND)[0].after_shipping


def test_a_refund_of_a_part_names_its_goods_and_never_the_whole():
    goods = [{"sku_id": "A1-1", "count": 1}, {"app_food_code": "B7", "count": 2}, {"sku_id": "A1-1", "count": 1}, None]
    listed = {**REFUND, "wmAppRetailForOrderPartRefundList": goods}
    assert say(listed, About.REFUND)[0].line_ids == ["sku:A1-1", "sku:B7"]
    assert say(REFUND, About.REFUND)[0].line_ids == ["sku:?"], "a part of which nobody says what it is"
    assert say({**listed, "refund_type": 1}, About.REFUND)[0].line_ids == []


def test_a_refund_without_id_is_refused():
    with pytest.raises(OrderRefused) as caught:
        say({**REFUND, "refund_id": None}, About.REFUND)
    assert caught.value.field == "refund_id"


def test_shipment():
    parcel = Parcel("27", "p1", "SF", "SF123", (("1", "A1", 2),))
    assert shipment_params(parcel)["logistics_provider_code"] == "10001"
    assert shipment_params(parcel)["third_carrier_order_id"] == "SF123"
    assert shipment_params(replace(parcel, company="10099"))["logistics_provider_code"] == "10099"


def test_stock():
    orders = [StockOrder("A1", "A1-1", 5, "c1"), StockOrder("A1", "A1-2", -3, "c2"), StockOrder("B", "B", 1, "c3")]
    params = stock_params("poi-1", orders)
    assert json.loads(params["food_data"]) == [
        {"app_spu_code": "A1", "skus": [{"sku_id": "A1-1", "stock": "5"}, {"sku_id": "A1-2", "stock": "0"}]},
        {"app_spu_code": "B", "skus": [{"sku_id": "B", "stock": "1"}]},
    ]
    with pytest.raises(ValueError, match="absolute"):
        stock_params("poi-1", [StockOrder("A1", "A1-1", 5, "c1", delta=True)])
    with pytest.raises(ValueError, match="200"):
        stock_params("poi-1", orders * 100)
