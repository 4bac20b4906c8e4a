"""WeChat's documents in our words: statuses, who paid which discount, big ids, and the way back."""

import copy
import json
from datetime import UTC, datetime

import pytest

from libs.channels.channel import About, Document, Parcel, StockOrder
from libs.channels.own.inbound import AskedBack, Cancellation, LeftOrder, Order, Refund, RefundWithdrawn
from libs.channels.refusals import OrderRefused
from libs.channels.wechat.mapping import carrier_code, delivery, heard, shipping_entry, stock_body

ORDER = {
    "order_id": 3705115058471208928,
    "create_time": 1794326400,
    "update_time": 1794326500,
    "status": 20,
    "openid": "OPENID",
    "order_detail": {
        "product_infos": [
            {
                "product_id": "10000200857718",
                "sku_id": "3095702974",
                "sku_code": "C0013Z1",
                "sku_cnt": 2,
                "sale_price": 3990,
                "real_price": 7000,
                "merchant_discounted_price": 500,
                "finder_discounted_price": 100,
                "delivery_deadline": 1794412800,
            },
            {"product_id": 5, "sku_id": 6, "sku_code": "", "sku_cnt": 1, "sale_price": 1000, "real_price": 1000},
        ],
        "pay_info": {"pay_time": 1794326460, "transaction_id": "4200"},
        "price_info": {"product_price": 8980, "order_price": 8600, "freight": 600},
        "delivery_info": {
            "address_info": {
                "user_name": "张*",
                "tel_number": "138****8000",
                "province_name": "广东省",
                "city_name": "广州市",
                "county_name": "海珠区",
                "detail_info": "新港中路***",
            },
            "deliver_method": 0,
        },
        "ext_info": {"customer_notes": "请送到前台", "merchant_notes": "熟客"},
    },
}
AFTERSALE = {
    "after_sale_order_id": "1934",
    "order_id": "3705115058471208928",
    "status": "MERCHANT_PROCESSING",
    "type": "REFUND",
    "refund_info": {"amount": 1000},
    "create_time": 1794326600,
    "reason_text": "不想要了",
}


def say(fields, about=About.ORDER):
    key = "order" if about is About.ORDER else "after_sale_order"
    return heard(Document(about, "x", json.dumps({"errcode": 0, key: fields}).encode()))


def changed(**changes):
    order = copy.deepcopy(ORDER)
    for path, value in changes.items():
        *groups, name = path.split("__")
        target = order
        for group in groups:
            target = target[int(group) if group.isdigit() else group]
        target[name] = value
    return order


def test_a_paid_order():
    (order,) = say(ORDER)
    assert isinstance(order, Order)
    assert order.platform_order_id == "3705115058471208928"
    assert [(each.line_id, each.sku, each.quantity) for each in order.lines] == [
        ("10000200857718.3095702974", "C0013Z1", 2),
        ("5.6", "6", 1),
    ]
    funded = [(each.funder, each.amount) for each in order.lines[0].discounts]
    assert funded == [("merchant", 500), ("influencer", 100), ("platform", 380)]
    assert (order.total, order.shipping_fee) == (8600, 600)
    assert order.paid_at == datetime.fromtimestamp(1794326460, UTC)
    assert order.buyer.identity == "OPENID"
    assert order.recipient.phone == "138****8000"
    assert order.note == "请送到前台\n熟客"
    assert order.promise.ship_by == datetime.fromtimestamp(1794412800, UTC)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": 10}, []),
        ({"status": 12}, []),
        ({"status": 13}, []),
        ({"status": 20}, [Order]),
        ({"status": 21}, [LeftOrder]),
        ({"status": 30}, [LeftOrder]),
        ({"status": 100}, [LeftOrder]),
        ({"status": 200}, [Order, Cancellation]),
        ({"status": 200, "order_detail__delivery_info__delivery_product_info": [{"waybill_id": "1"}]}, [LeftOrder]),
        ({"status": 250}, [Order, Cancellation]),
        ({"status": 250, "order_detail__price_info__order_price": 99999}, [Cancellation]),  # cannot be explained
        ({"status": 250, "order_detail__pay_info": {}}, []),
    ],
)
def test_what_each_status_says(changes, said):
    assert [type(each) for each in say(changed(**changes))] == said


@pytest.mark.parametrize(
    ("status", "parcels", "left"),
    [(20, 1, "part"), (21, 0, "part"), (30, 0, "whole"), (100, 1, "whole"), (200, 1, "whole"), (250, 1, "whole")],
)
def test_how_much_has_left(status, parcels, left):
    order = changed(status=status, order_detail__delivery_info__delivery_product_info=[{"waybill_id": "1"}] * parcels)
    assert say(order)[0].left == left


def test_an_order_that_costs_less_than_its_lines_is_reduced_by_the_merchant():
    (order,) = say(changed(order_detail__price_info__order_price=8000))
    assert order.total == 8000
    assert [(each.funder, each.amount) for each in order.lines[0].discounts][-1] == ("merchant", 600)


def test_a_changed_price_and_a_changed_freight_are_the_merchants():
    order = changed(order_detail__product_infos__0__is_change_price=True)
    order["order_detail"]["price_info"] |= {"is_change_freight": True, "change_freight": 100, "order_price": 8100}
    (placed,) = say(order)
    assert [each.funder for each in placed.lines[0].discounts] == ["merchant", "influencer", "merchant"]
    assert placed.shipping_fee == 100


def test_the_same_listing_twice_gets_two_lines():
    order = changed()
    order["order_detail"]["product_infos"] = [copy.deepcopy(order["order_detail"]["product_infos"][1])] * 2
    order["order_detail"]["price_info"]["order_price"] = 2600
    assert [each.line_id for each in say(order)[0].lines] == ["5.6", "5.6.2"]


def test_a_presale_has_its_day():
    stock = {"stock_type": 1, "predict_delivery_time": 1796054400}
    (order,) = say(changed(order_detail__product_infos__0__sku_deliver_info=stock))
    assert (order.kind, order.available_from) == ("presale", datetime.fromtimestamp(1796054400, UTC))


def test_a_virtual_number_stands_in():
    address = {**ORDER["order_detail"]["delivery_info"]["address_info"], "tel_number": ""}
    address["tel_number_ext_info"] = {"virtual_tel_number": "18400000000"}
    (order,) = say(changed(order_detail__delivery_info__address_info=address))
    assert order.recipient.phone == "18400000000"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status": 99}, "status"),
        ({"status": None}, "status"),
        ({"order_id": ""}, "platform_order_id"),
        ({"create_time": "soon"}, "create_time"),
        ({"order_detail": 7}, "order_detail"),
        ({"order_detail__product_infos": None}, "product_infos"),
        ({"order_detail__product_infos": [1]}, "product_infos"),
        ({"order_detail__product_infos__0__sale_price": 39.9}, "sale_price"),
        ({"order_detail__product_infos__0__sku_cnt": "2"}, "product_infos.sku_cnt"),
        ({"order_detail__price_info__order_price": 9999}, "total"),
        ({"order_detail__delivery_info__address_info": None}, "delivery_info.address_info"),
        ({"order_detail__delivery_info__address_info": {"user_name": ""}}, "recipient.name"),
    ],
)
def test_a_refusal_names_the_field(changes, field):
    with pytest.raises(OrderRefused) as caught:
        say(changed(**changes))
    assert caught.value.field == field
    assert "138" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'{"order": 1}'])
def test_an_answer_without_an_order(raw):
    with pytest.raises(OrderRefused):
        heard(Document(About.ORDER, "x", raw))


def test_a_refund():
    (refund,) = say(AFTERSALE, About.REFUND)
    assert isinstance(refund, Refund)
    assert (refund.refund_id, refund.amount, refund.after_shipping, refund.reason) == ("1934", 1000, False, "不想要了")
    assert say({**AFTERSALE, "type": "RETURN"}, About.REFUND)[0].after_shipping


@pytest.mark.parametrize("changes", [{"status": "USER_CANCELD"}, {"status": "MERCHANT_FAIL"}, {"type": "EXCHANGE"}])
def test_an_aftersale_without_money_says_that_none_is_wanted(changes):
    (found,) = say({**AFTERSALE, **changes}, About.REFUND)
    assert isinstance(found, RefundWithdrawn)
    assert (found.platform_order_id, found.refund_id) == (str(AFTERSALE["order_id"]), "1934")


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"status": "NEW"}, "status"), ({"after_sale_order_id": ""}, "refund_id"), ({"refund_info": 1}, "refund_info")],
)
def test_a_strange_aftersale_is_refused(changes, field):
    with pytest.raises(OrderRefused) as caught:
        say({**AFTERSALE, **changes}, About.REFUND)
    assert caught.value.field == field


def test_the_way_back_names_product_and_sku():
    parcel = Parcel("3705", "p", "yunda", "YD1", (("10000200857718.3095702974", "C1", 2), ("5.6.2", "6", 1)))
    assert delivery(parcel) == {
        "deliver_type": 1,
        "delivery_id": "YD",
        "waybill_id": "YD1",
        "product_infos": [
            {"product_id": "10000200857718", "sku_id": "3095702974", "product_cnt": 2},
            {"product_id": "5", "sku_id": "6", "product_cnt": 1},
        ],
    }
    assert carrier_code(Parcel("1", "p", "unheard", "1", ())) == "OTHER"
    assert carrier_code(Parcel("1", "p", "sf", "1", (), company="OWN1")) == "OWN1"
    assert shipping_entry(parcel, "x" * 500, "")["item_desc"] == "x" * 120


@pytest.mark.parametrize(
    ("quantity", "delta", "expected"), [(5, True, (1, 5)), (-5, True, (2, 5)), (7, False, (3, 7)), (-7, False, (3, 0))]
)
def test_stock_in_differences_or_set(quantity, delta, expected):
    body = stock_body(StockOrder("1", "2", quantity, "c", delta=delta))
    assert (body["diff_type"], body["num"]) == expected


def test_a_difference_of_nothing_is_not_told():
    assert stock_body(StockOrder("1", "2", 0, "c", delta=True)) is None


FIRST, SECOND = "order_detail__product_infos__0__", "order_detail__product_infos__1__"
SENT = [{"waybill_id": "SF1", "product_infos": [{"product_id": "5", "sku_id": "6", "product_cnt": 1}]}]


def test_a_refund_names_the_one_product_that_it_is_about():
    about = {"product_id": 10000200857718, "sku_id": "3095702974", "count": 2}
    assert say(AFTERSALE, About.REFUND)[0].line_ids == []
    assert say({**AFTERSALE, "product_info": about}, About.REFUND)[0].line_ids == ["10000200857718.3095702974"]


@pytest.mark.parametrize("count", ["on_aftersale_sku_cnt", "finish_aftersale_sku_cnt"])
def test_what_is_asked_back_before_it_left_leaves_the_order_and_its_total(count):
    (whole,) = say(ORDER)
    (order,) = say(changed(**{SECOND + count: 1}))
    assert isinstance(order, Order)
    assert order.lines == whole.lines[:1]
    assert order.total == whole.total - 1000
    (order,) = say(changed(**{FIRST + count: 1}))
    first = order.lines[0]
    assert (first.line_id, first.quantity) == (whole.lines[0].line_id, 1)
    discounts = sum(each.amount for each in first.discounts)
    assert order.total == first.unit_price - discounts + 1000 + order.shipping_fee


def test_an_order_of_which_everything_is_asked_back_says_so_as_it_is():
    (whole,) = say(ORDER)
    (found,) = say(changed(**{FIRST + "on_aftersale_sku_cnt": 2, SECOND + "finish_aftersale_sku_cnt": 1}))
    assert isinstance(found, AskedBack)
    assert found.order == whole


def test_what_is_asked_back_after_it_left_stays_in_the_order():
    going = {"status": 21, "order_detail__delivery_info__delivery_product_info": SENT}
    (order,) = say(changed(**going, **{SECOND + "on_aftersale_sku_cnt": 1}))
    assert isinstance(order, LeftOrder)
    assert len(order.lines) == 2
    (found,) = say(changed(**going, **{FIRST + "on_aftersale_sku_cnt": 2}))
    assert isinstance(found, AskedBack), "all that had not left"
    assert isinstance(say(changed(status=30, **{FIRST + "on_aftersale_sku_cnt": 2}))[0], LeftOrder)


@pytest.mark.parametrize("count", ["two", -1, True])
def test_a_count_that_is_none_is_refused_by_name(count):
    with pytest.raises(OrderRefused) as caught:
        say(changed(**{SECOND + "on_aftersale_sku_cnt": count}))
    assert caught.value.field == "product_infos.on_aftersale_sku_cnt"
