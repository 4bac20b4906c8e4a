"""Douyin's documents in our words: statuses, money, persons, refunds, and what goes back."""

import json
from datetime import UTC, datetime

import pytest

from libs.channels.channel import About, Document, Parcel, StockOrder
from libs.channels.douyin import mapping
from libs.channels.douyin.mapping import heard
from libs.channels.own.inbound import AskedBack, Cancellation, LeftOrder, Order, Refund, RefundWithdrawn
from libs.channels.refusals import OrderRefused


def sku(**changed):
    return {
        "order_id": "4781320682406083641",
        "sku_id": 1700012345678901234,
        "code": "85123A",
        "out_sku_id": "0",
        "item_num": 2,
        "origin_amount": 10000,
        "promotion_shop_amount": 500,
        "promotion_platform_amount": 300,
        "promotion_talent_amount": 200,
    } | changed


def detail(**changed):
    return {
        "order_id": "4781320682406083640",
        "order_status": 2,
        "create_time": 1700000000,
        "pay_time": 1700000060,
        "update_time": 1700000060,
        "exp_ship_time": 1700172860,
        "pay_type": 1,
        "pay_amount": 19900,
        "post_amount": 900,
        "promotion_shop_amount": 500,
        "promotion_platform_amount": 300,
        "promotion_talent_amount": 200,
        "doudian_open_id": "1@#open",
        "mask_post_receiver": "张*",
        "mask_post_tel": "138****0000",
        "mask_post_addr": {
            "province": {"name": "湖北省", "id": "42"},
            "city": {"name": "武汉市"},
            "town": {"name": "洪山区"},
            "street": {"name": "关山街道"},
            "detail": "珞喻路***号",
        },
        "buyer_words": "请快点",
        "sku_order_list": [sku()],
    } | changed


def hear(value, about=About.ORDER):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return heard(Document(about, "x", raw))


def test_a_paid_order_whole():
    (order,) = hear(detail())
    assert isinstance(order, Order)
    assert order.platform_order_id == "4781320682406083640"
    assert order.placed_at == datetime.fromtimestamp(1700000000, UTC)
    assert order.paid_at == datetime.fromtimestamp(1700000060, UTC)
    assert order.promise.ship_by == datetime.fromtimestamp(1700172860, UTC)
    assert (order.total, order.shipping_fee, order.currency) == (19900, 900, "CNY")
    assert order.buyer.identity == "1@#open"
    (line,) = order.lines
    assert (line.line_id, line.sku, line.quantity, line.unit_price) == ("4781320682406083641", "85123A", 2, 10000)
    assert {each.funder: each.amount for each in line.discounts} == {
        "merchant": 500,
        "platform": 300,
        "influencer": 200,
    }
    to = order.recipient
    assert (to.name, to.phone, to.province, to.city, to.district) == (
        "张*",
        "138****0000",
        "湖北省",
        "武汉市",
        "洪山区",
    )
    assert to.address == "关山街道珞喻路***号"
    assert order.note == "请快点"


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ({"order_status": 1, "pay_time": 0}, []),
        ({"order_status": 103}, []),
        ({"order_status": 105}, []),
        ({"order_status": 2}, [Order]),
        ({"order_status": 101}, [LeftOrder]),
        ({"order_status": 3, "ship_time": 1700090000}, [LeftOrder]),
        ({"order_status": 5, "ship_time": 1700090000}, [LeftOrder]),
        ({"order_status": 4, "pay_time": 0}, []),
        ({"order_status": 4}, [Order, Cancellation]),
        ({"order_status": 4, "ship_time": 1700090000}, [LeftOrder]),
        ({"order_status": 2, "pay_time": 0, "pay_type": 0}, [Order]),
        ({"order_status": 4, "pay_time": 0, "pay_type": 0}, [Cancellation]),
        ({"order_status": 4, "pay_time": 0, "pay_type": 0, "ship_time": 1700090000}, []),
        ({"order_status": 4, "pay_amount": 1}, [Cancellation]),  # its sum cannot be explained
    ],
)
def test_what_each_status_says(changed, kinds):
    assert [type(each) for each in hear(detail(**changed))] == kinds


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"order_status": 2, "ship_time": 1700090000}, "part"),
        ({"order_status": 101, "ship_time": 1700090000}, "part"),
        ({"order_status": 3}, "whole"),
        ({"order_status": 5}, "whole"),
        ({"order_status": 4, "ship_time": 1700090000}, "whole"),
    ],
)
def test_how_much_has_left(changed, left):
    (order,) = hear(detail(**changed))
    assert order.left == left


def test_a_cancellation_tells_why_and_when():
    _, gone = hear(detail(order_status=4, cancel_reason="不想要了\n", finish_time=1700000999))
    assert gone.reason == "不想要了"
    assert gone.cancelled_at == datetime.fromtimestamp(1700000999, UTC)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"code": "A"}, "A"),
        ({"code": "", "out_sku_id": "1230"}, "1230"),
        ({"code": None, "out_sku_id": "0"}, "1700012345678901234"),
    ],
)
def test_the_merchants_own_code_comes_first(changed, expected):
    (order,) = hear(detail(sku_order_list=[sku(**changed)]))
    assert order.lines[0].sku == expected


@pytest.mark.parametrize(
    ("order_fields", "discounts", "shipping_fee"),
    [
        # Promotions that stand only in the order's head are spread over its lines.
        (
            {"promotion_shop_amount": 700, "pay_amount": 19700},
            {"merchant": 700, "platform": 300, "influencer": 200},
            900,
        ),
        # A promotion in the head that the sum does not ask for (it went to the shipping fee) is left alone.
        ({"promotion_shop_amount": 1400}, {"merchant": 500, "platform": 300, "influencer": 200}, 900),
        (
            {"promotion_pay_amount": 150, "pay_amount": 19750},
            {"merchant": 500, "platform": 450, "influencer": 200},
            900,
        ),
        ({"modify_amount": -1000, "pay_amount": 18900}, {"merchant": 1500, "platform": 300, "influencer": 200}, 900),
        (
            {"post_insurance_amount": 50, "pay_amount": 19950},
            {"merchant": 500, "platform": 300, "influencer": 200},
            950,
        ),
    ],
)
def test_the_sum_is_explained_by_the_platforms_own_fields(order_fields, discounts, shipping_fee):
    (order,) = hear(detail(**order_fields))
    assert {each.funder: each.amount for each in order.lines[0].discounts} == discounts
    assert order.shipping_fee == shipping_fee


def test_a_spread_discount_leaves_no_rest_and_no_negative_line():
    rows = [sku(order_id=str(n), item_num=1, origin_amount=price, promotion_shop_amount=0, promotion_platform_amount=0,
                promotion_talent_amount=0) for n, price in enumerate((333, 0, 334, 333))]  # fmt: skip
    (order,) = hear(detail(sku_order_list=rows, post_amount=0, promotion_shop_amount=100, pay_amount=900))
    taken = [sum(each.amount for each in line.discounts) for line in order.lines]
    assert sum(taken) == 100
    assert all(off <= line.unit_price for off, line in zip(taken, order.lines, strict=True))


@pytest.mark.parametrize("pay_amount", [19901, 19899])
def test_what_no_field_explains_is_refused_with_the_difference(pay_amount):
    with pytest.raises(OrderRefused) as refused:
        hear(detail(pay_amount=pay_amount))
    assert refused.value.field == "total"
    assert refused.value.more["difference"] == pay_amount - 19900


def test_big_ids_stay_whole():
    value = detail(order_id=4781320682406083640, sku_order_list=[sku(order_id=4781320682406083641, code="")])
    (order,) = hear(value)
    assert order.platform_order_id == "4781320682406083640"
    assert order.lines[0].sku == "1700012345678901234"


def test_a_recipient_that_nobody_may_see_is_still_an_order():
    (order,) = hear(detail(mask_post_receiver="", mask_post_tel=None, mask_post_addr={}, post_addr=None))
    assert (order.recipient.name, order.recipient.phone, order.recipient.address) == ("***", "***", "***")


def test_a_delivery_by_appointment_waits():
    (order,) = hear(detail(appointment_ship_time=1700100000))
    assert order.kind == "presale"
    assert order.available_from == datetime.fromtimestamp(1700100000, UTC)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"[]", b"\xff", b"[" * 100_000, b'{"order_status":1e99999999999999999999}', {}, {"order_status": "x"},
        detail(sku_order_list=[]), detail(sku_order_list=[1]), detail(sku_order_list=[sku(item_num=0)]),
        detail(sku_order_list=[sku(origin_amount=1.5)]), detail(sku_order_list=[sku(origin_amount=-1)]),
        detail(pay_amount=None), detail(pay_amount="1,2"), detail(pay_amount=-1), detail(order_id="../"),
        detail(create_time=-5), detail(create_time=10**18), detail(sku_order_list=[sku(promotion_shop_amount=-1)]),
    ],
)  # fmt: skip
def test_a_document_that_makes_no_order_is_refused(value):
    with pytest.raises(OrderRefused):
        hear(value)


def test_control_characters_do_not_park_an_order():
    (order,) = hear(detail(buyer_words="a\x00b\nc", mask_post_receiver="张\x07*"))
    assert order.note == "a b\nc"
    assert order.recipient.name == "张 *"


def refund(**changed):
    info = {
        "aftersale_id": "7061",
        "aftersale_type": 2,
        "aftersale_status": 6,
        "refund_amount": 19900,
        "apply_time": 1700001000,
        "update_time": 1700001000,
    } | changed
    return {
        "aftersale_info": info,
        "order_info": {"shop_order_id": "4781320682406083640"},
        "text_part": {"reason_text": "不想要了"},
    }


def test_a_refund_names_its_lines():
    item = refund()
    assert hear(item, About.REFUND)[0].line_ids == []
    item["order_info"]["related_order_info"] = [{"sku_order_id": "4781320682406083641"}]
    assert hear(item, About.REFUND)[0].line_ids == ["4781320682406083641"]
    item["order_info"]["related_order_info"] = [{}]
    assert hear(item, About.REFUND)[0].line_ids == []


@pytest.mark.parametrize(
    ("about", "lines", "total"),
    [
        ({"after_sale_status": 6, "after_sale_type": 2}, ["a"], 5_000),  # asked for
        ({"after_sale_status": 12, "after_sale_type": 2}, ["a"], 5_000),  # paid back
        ({"after_sale_status": 28, "after_sale_type": 2}, ["a", "b"], 7_000),  # withdrawn
        ({"after_sale_status": 6, "after_sale_type": 1}, ["a", "b"], 7_000),  # of goods that went out
        ({"after_sale_status": 0, "after_sale_type": 0}, ["a", "b"], 7_000),
    ],
)
def test_a_line_that_is_refunded_before_shipping_leaves_its_order(about, lines, total):
    none = {"promotion_shop_amount": 0, "promotion_platform_amount": 0, "promotion_talent_amount": 0}
    first = sku(**none) | {"order_id": "a", "item_num": 1, "origin_amount": 5_000}
    second = sku(**none) | {"order_id": "b", "item_num": 2, "origin_amount": 1_000, "after_sale_info": about}
    whole = detail(sku_order_list=[first, second], pay_amount=7_000, post_amount=0, **none)
    (order,) = hear(whole)
    assert ([line.line_id for line in order.lines], order.total) == (lines, total)
    both = detail(sku_order_list=[second], pay_amount=2_000, post_amount=0, **none)
    (found,) = hear(both)
    assert isinstance(found, AskedBack if len(lines) == 1 else Order)
    assert getattr(found, "order", found).total == 2_000
    third = first | {"order_id": "c", "order_status": 3}
    shipped = detail(sku_order_list=[third, second], pay_amount=7_000, post_amount=0, **none)
    assert isinstance(hear(shipped)[0], AskedBack if len(lines) == 1 else Order), "what has left is not waited for"


def test_a_refund_before_shipping():
    (asked,) = hear(refund(), About.REFUND)
    assert isinstance(asked, Refund)
    assert (asked.platform_order_id, asked.refund_id, asked.amount) == ("4781320682406083640", "7061", 19900)
    assert not asked.after_shipping
    assert asked.requested_at == datetime.fromtimestamp(1700001000, UTC)


@pytest.mark.parametrize(
    ("kind", "status", "after"),
    [
        (0, 6, [True]), (1, 6, [True]), (2, 12, [False]), (1, 12, [True]), (3, 6, []), (7, 6, []), (8, 6, []),
        (3, 28, []),
    ],
)  # fmt: skip
def test_which_after_sales_want_money_back(kind, status, after):
    found = hear(refund(aftersale_type=kind, aftersale_status=status), About.REFUND)
    assert [each.after_shipping for each in found] == after


@pytest.mark.parametrize(("kind", "status"), [(2, 28), (1, 27), (1, 29)])
def test_a_refund_that_is_over_without_money_says_so(kind, status):
    found = hear(refund(aftersale_type=kind, aftersale_status=status), About.REFUND)
    assert found == [RefundWithdrawn(platform_order_id="4781320682406083640", refund_id="7061")]


@pytest.mark.parametrize("value", [{}, refund(refund_amount=None), refund(refund_amount=-1), refund(aftersale_id="")])
def test_a_refund_that_says_nothing_is_refused(value):
    with pytest.raises(OrderRefused):
        hear(value, About.REFUND)


def test_parcels_and_stock_in_the_platforms_words():
    parcel = Parcel("9", "p-1", "SF", "SF1", (("l1", "A", 2),))
    assert mapping.shipment(parcel, "shunfeng") == {
        "order_id": "9",
        "company_code": "shunfeng",
        "logistics_code": "SF1",
    }
    assert mapping.pack(parcel, "shunfeng") == {
        "order_id": "9",
        "request_id": "p-1",
        "pack_list": [
            {
                "shipped_order_info": [{"shipped_order_id": "l1", "shipped_num": 2}],
                "company_code": "shunfeng",
                "logistics_code": "SF1",
            }
        ],
    }
    assert mapping.stock(StockOrder("12", "34", -3, "c1", delta=True)) == {
        "product_id": 12,
        "sku_id": 34,
        "stock_num": -3,
        "incremental": True,
        "idempotent_id": "c1",
    }
    assert mapping.stock(StockOrder("", "85123A", 3, "c1"))["code"] == "85123A"


@pytest.mark.parametrize(("ours", "theirs"), [("SF", "shunfeng"), ("sf", "shunfeng"), ("jd", "jd"), ("??", None)])
def test_carriers(ours, theirs):
    assert mapping.carrier(ours) == theirs
