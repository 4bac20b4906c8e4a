"""Pinduoduo's documents in our words: what is heard when, money, persons, refunds, and what goes back."""

import json
from datetime import UTC, datetime

import pytest

from libs.channels.channel import About, Document, Parcel, StockOrder
from libs.channels.own.inbound import Cancellation, LeftOrder, Order, Refund, RefundWithdrawn
from libs.channels.pinduoduo import mapping
from libs.channels.pinduoduo.mapping import heard
from libs.channels.refusals import OrderRefused


def item(**changed):
    return {
        "goods_id": 9007199254740993,
        "sku_id": 9007199254740995,
        "outer_id": "85123A",
        "goods_count": 2,
        "goods_price": "100.00",
    } | changed


def info(**changed):
    return {
        "order_sn": "231115-123456789012345",
        "order_status": 1,
        "refund_status": 1,
        "confirm_status": 1,
        "group_status": 1,
        "risk_control_status": 0,
        "trade_type": 0,
        "created_time": "2023-11-15 06:13:20",
        "pay_time": "2023-11-15 06:14:20",
        "confirm_time": "2023-11-15 06:14:30",
        "updated_at": "2023-11-15 06:14:30",
        "last_ship_time": "2023-11-17 06:14:20",
        "shipping_time": "",
        "pay_amount": "199.00",
        "goods_amount": "200.00",
        "postage": "9.00",
        "seller_discount": "7.00",
        "platform_discount": "3.00",
        "capital_free_discount": 0,
        "open_address_id_2": "addr-token",
        "receiver_name": "~AgAA~cipher~",
        "receiver_name_mask": "张*",
        "receiver_phone": "$AgAA$cipher$",
        "receiver_phone_mask": "138****0000",
        "receiver_address": "~AgAA~cipher~",
        "receiver_address_mask": "珞喻路***号",
        "province": "湖北省",
        "city": "武汉市",
        "town": "洪山区",
        "buyer_memo": "请快点",
        "remark": "VIP",
        "item_list": [item()],
    } | changed


def hear(value, about=About.ORDER):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return heard(Document(about, "x", raw))


def test_a_paid_order_whole():
    (order,) = hear(info())
    assert isinstance(order, Order)
    assert order.platform_order_id == "231115-123456789012345"
    assert order.placed_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert order.paid_at == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)
    assert order.promise.ship_by == datetime(2023, 11, 16, 22, 14, 20, tzinfo=UTC)
    assert (order.total, order.shipping_fee, order.currency) == (19900, 900, "CNY")
    (line,) = order.lines
    assert (line.line_id, line.sku, line.quantity, line.unit_price) == ("9007199254740995", "85123A", 2, 10000)
    assert {each.funder: each.amount for each in line.discounts} == {"merchant": 700, "platform": 300}
    to = order.recipient
    assert (to.name, to.phone, to.province, to.city, to.district) == (
        "张*",
        "138****0000",
        "湖北省",
        "武汉市",
        "洪山区",
    )
    assert to.address == "珞喻路***号"
    assert order.buyer.identity == "addr-token"
    assert order.note == "请快点\nVIP"


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ({}, [Order]),
        ({"pay_time": "", "confirm_time": None, "confirm_status": 0}, []),
        ({"pay_time": "0000-00-00 00:00:00", "confirm_time": ""}, []),
        ({"confirm_status": 0, "group_status": 0}, []),  # paid, the group is not complete
        ({"risk_control_status": 1}, []),
        ({"risk_control_status": 1, "receiver_name_mask": "", "refund_status": 4}, []),
        ({"confirm_status": 2}, [Order, Cancellation]),
        ({"group_status": 2}, [Order, Cancellation]),
        ({"refund_status": 4}, [Order, Cancellation]),
        ({"refund_status": 4, "order_status": 2, "shipping_time": "2023-11-15 10:00:00"}, [LeftOrder]),
        ({"order_status": 2}, [LeftOrder]),
        ({"order_status": 1, "shipping_time": "2023-11-15 10:00:00"}, [LeftOrder]),
        ({"order_status": 3, "shipping_time": "2023-11-15 10:00:00"}, [LeftOrder]),
        ({"refund_status": 4, "pay_amount": "1.00"}, [Cancellation]),  # its sum cannot be explained
        ({"refund_status": 2}, [Order]),
        ({"trade_type": 1, "step_order_info": {"step_trade_status": 1}}, []),
        ({"trade_type": 1, "step_order_info": {"step_trade_status": 2}}, [Order]),
        ({"trade_type": 1, "step_order_info": None}, []),
    ],
)
def test_what_each_status_says(changed, kinds):
    assert [type(each) for each in hear(info(**changed))] == kinds


def test_an_order_with_an_open_refund_brings_it_along():
    order, refund = hear(info(refund_status=2, refund_list=[row(), row(id=8, after_sales_status=11)]))
    assert isinstance(order, Order)
    assert (refund.refund_id, refund.amount, refund.after_shipping) == ("7", 19900, False)


@pytest.mark.parametrize(
    ("changed", "discounts", "shipping_fee"),
    [
        ({"seller_discount": "6", "pay_amount": 200}, {"merchant": 600, "platform": 300}, 900),
        # The merchant changed the price: the goods' amount is lower than price times count.
        ({"goods_amount": "190.00", "pay_amount": "189.00"}, {"merchant": 1700, "platform": 300}, 900),
        ({"goods_amount": None}, {"merchant": 700, "platform": 300}, 900),
        ({"capital_free_discount": "1.50", "pay_amount": "197.5"}, {"merchant": 850, "platform": 300}, 900),
        ({"delivery_home_value": "20.00", "pay_amount": "219.00"}, {"merchant": 700, "platform": 300}, 2900),
    ],
)
def test_the_sum_is_explained_by_the_platforms_own_fields(changed, discounts, shipping_fee):
    (order,) = hear(info(**changed))
    assert {each.funder: each.amount for each in order.lines[0].discounts} == discounts
    assert order.shipping_fee == shipping_fee


def test_a_price_as_a_json_number_is_not_rounded():
    (order,) = hear(json.dumps(info()).replace('"199.00"', "199.00").replace('"100.00"', "100.0").encode())
    assert (order.total, order.lines[0].unit_price) == (19900, 10000)


@pytest.mark.parametrize("pay_amount", ["199.01", "198.99"])
def test_what_no_field_explains_is_refused_with_the_difference(pay_amount):
    with pytest.raises(OrderRefused) as refused:
        hear(info(pay_amount=pay_amount))
    assert refused.value.field == "total"
    assert abs(refused.value.more["difference"]) == 1


def test_lines_are_told_apart_and_codes_fall_back():
    (order,) = hear(info(item_list=[item(goods_count=1, outer_id=""), item(goods_count=1)]))
    assert [(line.line_id, line.sku) for line in order.lines] == [
        ("9007199254740995", "9007199254740995"),
        ("9007199254740995-2", "85123A"),
    ]
    assert sum(discount.amount for line in order.lines for discount in line.discounts) == 1000


def test_cipher_never_goes_as_a_name():
    (order,) = hear(info(receiver_name_mask="", receiver_phone_mask=None, receiver_address_mask=""))
    assert (order.recipient.name, order.recipient.phone, order.recipient.address) == ("***", "***", "***")
    (order,) = hear(info(receiver_name_mask="", receiver_name="张三"))
    assert order.recipient.name == "张三"


@pytest.mark.parametrize(
    "value",
    [
        b"", b"[]", b"\xff", b"[" * 100_000, info(item_list=[]), info(item_list=[1]),
        info(item_list=[item(goods_count=0)]), info(seller_discount="1000"),
        info(item_list=[item(goods_price="1.001")]), info(item_list=[item(goods_price=None)]), info(pay_amount=None),
        info(pay_amount="-1"), info(order_sn="../"), info(pay_time="yesterday"), info(pay_time="2023-13-01 00:00:00"),
        info(created_time="0001-01-01 00:00:00"), info(confirm_status="x"), info(item_list=[item(goods_price="-1")]),
        info(order_status=True),
    ],
)  # fmt: skip
def test_a_document_that_makes_no_order_is_refused(value):
    with pytest.raises(OrderRefused):
        hear(value)


def test_control_characters_do_not_park_an_order():
    (order,) = hear(info(buyer_memo="a\x00b\nc", remark="", receiver_name_mask="张\x07*"))
    assert order.note == "a b\nc"
    assert order.recipient.name == "张 *"


def row(**changed):
    return {
        "id": 7,
        "order_sn": "231115-123456789012345",
        "after_sales_status": 2,
        "after_sales_type": 2,
        "refund_amount": "199.00",
        "created_time": "2023-11-15 06:30:00",
        "updated_time": "2023-11-15 06:30:00",
        "after_sale_reason": "不想要了",
        "tracking_number": "",
    } | changed


def test_a_refund():
    (refund,) = hear(row(), About.REFUND)
    assert isinstance(refund, Refund)
    assert (refund.refund_id, refund.platform_order_id, refund.amount) == ("7", "231115-123456789012345", 19900)
    assert refund.requested_at == datetime(2023, 11, 14, 22, 30, tzinfo=UTC)
    assert refund.reason == "不想要了"


@pytest.mark.parametrize(
    ("changed", "after"),
    [
        ({"after_sales_status": 2}, [False]),
        ({"after_sales_status": 2, "tracking_number": "SF1"}, [True]),
        ({"after_sales_status": 2, "tracking_number": "SF1", "shipping_status": 0}, [False]),
        ({"after_sales_status": 3}, [True]),
        ({"after_sales_status": 4, "user_shipping_status": "2"}, [True]),
        ({"after_sales_status": 4, "user_shipping_status": "1"}, [False]),
        ({"after_sales_status": 10}, [False]),
        *(({"after_sales_status": status}, []) for status in (0, 14, 16, 21, 25, 32)),
    ],
)
def test_which_after_sales_want_money_back(changed, after):
    assert [each.after_shipping for each in hear(row(**changed), About.REFUND)] == after


@pytest.mark.parametrize("status", [9, 11, 12, 13])
def test_a_refund_that_is_over_without_money_says_so(status):
    over = RefundWithdrawn(platform_order_id="231115-123456789012345", refund_id="7")
    assert hear(row(after_sales_status=status), About.REFUND) == [over]


def test_a_refunds_detail_counts_in_fen():
    (refund,) = hear(row(refund_amount=19900, created_time=None, recreated_at=1700001000), About.REFUND)
    assert refund.amount == 19900
    assert refund.requested_at == datetime.fromtimestamp(1700001000, UTC)


@pytest.mark.parametrize("value", [{}, row(refund_amount=None), row(refund_amount="-1"), row(id=""), row(order_sn="")])
def test_a_refund_that_says_nothing_is_refused(value):
    with pytest.raises(OrderRefused):
        hear(value, About.REFUND)


def test_parcels_and_stock_in_the_platforms_words():
    parcel = Parcel("1-2", "p-1", "SF", "SF1", (("l1", "A", 2),))
    assert mapping.shipment(parcel, 44) == {
        "order_sn": "1-2",
        "logistics_id": 44,
        "tracking_number": "SF1",
    }
    assert mapping.stock(StockOrder("12", "34", 5, "c1")) == {
        "goods_id": "12",
        "sku_id": "34",
        "quantity": 5,
        "update_type": 1,
    }
    delta = mapping.stock(StockOrder("12", "85123A", -5, "c1", delta=True))
    assert (delta["outer_id"], delta["update_type"], delta["quantity"]) == ("85123A", 2, -5)


@pytest.mark.parametrize(("ours", "theirs"), [("SF", 44), ("yunda", 121), ("384", 384), ("??", None)])
def test_carriers(ours, theirs):
    assert mapping.carrier(ours) == theirs
