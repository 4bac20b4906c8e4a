"""What Taobao's trades and refunds say in our words."""

import copy
from datetime import UTC, datetime

import msgspec
import pytest

from libs.channels.channel import About, Document
from libs.channels.own.inbound import AskedBack, Cancellation, LeftOrder, Order, Refund, RefundWithdrawn
from libs.channels.refusals import OrderRefused
from libs.channels.taobao.mapping import heard

TRADE = {
    "tid": 4159283746501827364,
    "status": "WAIT_SELLER_SEND_GOODS",
    "created": "2026-11-11 00:00:01",
    "pay_time": "2026-11-11 00:00:09",
    "modified": "2026-11-11 00:00:09",
    "payment": "128.50",
    "post_fee": "8.00",
    "buyer_nick": "o**y",
    "buyer_open_uid": "AAGxOpenUid",
    "receiver_name": "张*",
    "receiver_mobile": "138****0000",
    "receiver_state": "浙江省",
    "receiver_city": "杭州市",
    "receiver_district": "西湖区",
    "receiver_town": "文新街道",
    "receiver_address": "文*路***号",
    "receiver_zip": "310000",
    "buyer_message": "请尽快\x00发货",
    "seller_memo": "老客户",
    "orders": {
        "order": [
            {
                "oid": 4159283746501827365,
                "num": 2,
                "price": "50.00",
                "payment": "95.00",
                "divide_order_fee": "90.25",
                "outer_sku_id": "TEA-250",
                "sku_id": "5001",
                "num_iid": 601,
            },
            {"oid": 4159283746501827366, "num": 1, "price": "30.25", "divide_order_fee": "30.25", "num_iid": 602},
        ]
    },
}
REFUND = {
    "refund_id": "171234567890123456",
    "tid": 4159283746501827364,
    "status": "WAIT_SELLER_AGREE",
    "order_status": "WAIT_SELLER_SEND_GOODS",
    "refund_phase": "onsale",
    "refund_fee": "90.25",
    "reason": "不想要了\n13800000000",
    "created": "2026-11-11 08:00:00",
}


def said(trade, **changes):
    changed = copy.deepcopy(trade) | changes
    about, name = (About.REFUND, "refund") if "refund_fee" in trade else (About.ORDER, "trade")
    key = "refund_get_response" if about is About.REFUND else "trade_fullinfo_get_response"
    return heard(Document(about, "x", msgspec.json.encode({key: {name: changed}})))


def one_line(**changes):
    return {"orders": {"order": [{"oid": 7, "num": 3, "price": "10.00", "outer_iid": "A", "num_iid": 1} | changes]}}


def test_a_paid_trade():
    (order,) = said(TRADE)
    assert isinstance(order, Order)
    assert order.platform_order_id == "4159283746501827364"
    assert order.placed_at == datetime(2026, 11, 10, 16, 0, 1, tzinfo=UTC)
    assert order.paid_at == datetime(2026, 11, 10, 16, 0, 9, tzinfo=UTC)
    assert (order.total, order.shipping_fee) == (12850, 800)
    assert [(x.line_id, x.sku, x.quantity, x.unit_price) for x in order.lines] == [
        ("4159283746501827365", "TEA-250", 2, 5000),
        ("4159283746501827366", "602", 1, 3025),
    ]
    assert [[(d.funder, d.amount) for d in x.discounts] for x in order.lines] == [[("merchant", 975)], []]
    assert order.buyer.identity == "AAGxOpenUid"
    assert (order.recipient.name, order.recipient.phone) == ("张*", "138****0000")
    assert (order.recipient.province, order.recipient.city, order.recipient.district) == ("浙江省", "杭州市", "西湖区")
    assert order.recipient.address == "文新街道 文*路***号"
    assert order.note == "请尽快 发货\n卖家备注: 老客户"


def test_a_trade_without_the_answer_around_it_reads_the_same():
    assert heard(Document(About.ORDER, "x", msgspec.json.encode(TRADE))) == said(TRADE)


@pytest.mark.parametrize(
    "status", ["TRADE_NO_CREATE_PAY", "WAIT_BUYER_PAY", "PAY_PENDING", "WAIT_PRE_AUTH_CONFIRM", "PAID_FORBID_CONSIGN"]
)
def test_what_is_unpaid_or_forbidden_says_nothing(status):
    assert said(TRADE, status=status) == []


@pytest.mark.parametrize(
    ("status", "left"),
    [
        ("SELLER_CONSIGNED_PART", "part"),
        ("WAIT_BUYER_CONFIRM_GOODS", "whole"),
        ("TRADE_BUYER_SIGNED", "whole"),
        ("TRADE_FINISHED", "whole"),
    ],
)
def test_later_statuses_are_orders_of_which_goods_have_left(status, left):
    (order,) = said(TRADE, status=status)
    assert isinstance(order, LeftOrder)
    assert order.left == left


def test_paid_then_closed_before_shipping_is_an_order_and_its_cancellation():
    order, cancellation = said(TRADE, status="TRADE_CLOSED", end_time="2026-11-11 09:00:00")
    assert isinstance(order, Order)
    assert isinstance(cancellation, Cancellation)
    assert cancellation.platform_order_id == order.platform_order_id
    assert cancellation.cancelled_at == datetime(2026, 11, 11, 1, 0, tzinfo=UTC)


def test_closed_after_shipping_is_no_cancellation():
    (order,) = said(TRADE, status="TRADE_CLOSED", consign_time="2026-11-12 09:00:00")
    assert isinstance(order, LeftOrder)
    assert order.left == "whole", "nothing of it is still to go out"


@pytest.mark.parametrize("status", ["TRADE_CLOSED_BY_TAOBAO", "TRADE_CLOSED"])
def test_an_order_to_be_paid_on_delivery_that_closes_says_its_cancellation(status):
    (placed,) = said(TRADE, type="cod", pay_time=None)
    assert type(placed) is Order
    (cancellation,) = said(TRADE, type="cod", pay_time=None, status=status, end_time="2026-11-11 09:00:00")
    assert isinstance(cancellation, Cancellation)
    assert cancellation.cancelled_at == datetime(2026, 11, 11, 1, 0, tzinfo=UTC)
    refused_at_the_door = said(TRADE, type="cod", pay_time=None, status=status, consign_time="2026-11-12 09:00:00")
    assert refused_at_the_door == []


def test_a_cancellation_is_said_even_where_the_order_cannot_be_read():
    [cancellation] = said(TRADE, status="TRADE_CLOSED", payment="1.00")
    assert isinstance(cancellation, Cancellation)
    assert cancellation.platform_order_id == "4159283746501827364"


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"refund_status": "WAIT_SELLER_AGREE"}, 1),
        ({"refund_status": "SELLER_REFUSE_BUYER"}, 2),
        ({"refund_status": "NO_REFUND"}, 2),
        ({"refund_status": "WAIT_SELLER_AGREE", "invoice_no": "SF1"}, 2),
    ],
)
def test_a_line_whose_refund_is_asked_for_leaves_the_order_until_it_is_refused(asked, left):
    trade = copy.deepcopy(TRADE)
    trade["orders"]["order"][1] |= {"status": "WAIT_SELLER_SEND_GOODS"} | asked
    (order,) = said(trade)
    assert len(order.lines) == left
    assert order.total == sum(each.quantity * each.unit_price for each in order.lines) + order.shipping_fee - sum(
        discount.amount for each in order.lines for discount in each.discounts
    )
    for line in trade["orders"]["order"]:
        line |= {"status": "WAIT_SELLER_SEND_GOODS", "refund_status": "WAIT_SELLER_AGREE", "invoice_no": ""}
    (whole,) = said(trade)
    assert isinstance(whole, AskedBack)
    assert len(whole.order.lines) == 2


@pytest.mark.parametrize(
    ("others", "is_all"),
    [
        ({"status": "TRADE_CLOSED", "refund_status": "SUCCESS"}, True),  # paid back
        ({"status": "WAIT_BUYER_CONFIRM_GOODS", "invoice_no": "SF1"}, True),  # gone out
        ({"status": "TRADE_CLOSED_BY_TAOBAO"}, True),  # never paid
        ({"status": "WAIT_SELLER_SEND_GOODS", "refund_status": "WAIT_SELLER_AGREE"}, True),
        ({"status": "WAIT_SELLER_SEND_GOODS", "refund_status": "SELLER_REFUSE_BUYER"}, False),
        ({}, False),  # nobody knows
    ],
)
def test_the_last_line_that_is_asked_back_asks_the_order_back(others, is_all):
    trade = copy.deepcopy(TRADE)
    trade["orders"]["order"][0] |= others
    trade["orders"]["order"][1] |= {"status": "WAIT_SELLER_SEND_GOODS", "refund_status": "WAIT_SELLER_AGREE"}
    if others.get("status") == "TRADE_CLOSED_BY_TAOBAO":
        trade["payment"] = "38.25"
    (found,) = said(trade)
    assert isinstance(found, AskedBack if is_all else Order)


@pytest.mark.parametrize("status", ["TRADE_CLOSED_BY_TAOBAO", "TRADE_CLOSED"])
def test_closed_before_it_was_paid_says_nothing(status):
    assert said(TRADE, status=status, pay_time=None) == []


def test_a_line_closed_before_payment_is_never_shipped():
    trade = copy.deepcopy(TRADE)
    trade["orders"]["order"].append({"oid": 9, "num": 1, "price": "9.00", "status": "TRADE_CLOSED_BY_TAOBAO"})
    (order,) = said(trade)
    assert len(order.lines) == 2
    closed, cancellation = said(trade, status="TRADE_CLOSED")
    assert closed == order
    assert isinstance(cancellation, Cancellation)


def test_a_trade_whose_lines_were_all_closed_by_taobao_keeps_them():
    trade = copy.deepcopy(TRADE)
    for line in trade["orders"]["order"]:
        line["status"] = "TRADE_CLOSED_BY_TAOBAO"
    order, cancellation = said(trade, status="TRADE_CLOSED_BY_TAOBAO")
    assert len(order.lines) == 2
    assert isinstance(cancellation, Cancellation)
    with pytest.raises(OrderRefused):
        said(trade)


def test_a_line_refunded_before_shipping_leaves_the_order_with_its_share():
    trade = copy.deepcopy(TRADE)
    trade["orders"]["order"][0]["status"] = "TRADE_CLOSED"
    (order,) = said(trade)
    assert [line.line_id for line in order.lines] == ["4159283746501827366"]
    assert order.total == 3825
    trade["orders"]["order"][0]["invoice_no"] = "SF1"  # it went out before
    assert len(said(trade)[0].lines) == 2


@pytest.mark.parametrize(
    ("payment", "price", "unit", "discount"),
    [
        ("38.00", "10.00", 1000, 0),
        ("35.99", "10.00", 1000, 201),
        ("39.00", "10.00", 1034, 2),  # raised by the seller: 31.00 over three units
        ("8.00", "10.00", 1000, 3000),  # a gift
        ("8.00", "0.00", 0, 0),
    ],
)
def test_what_was_paid_for_an_only_line_is_the_trades_payment_less_postage(payment, price, unit, discount):
    (order,) = said(TRADE, payment=payment, **one_line(price=price, divide_order_fee="99.99"))
    (line,) = order.lines
    assert (line.unit_price, sum(d.amount for d in line.discounts)) == (unit, discount)
    assert order.total == order.shipping_fee + line.quantity * line.unit_price - discount


def test_without_a_divided_fee_the_documents_rule_applies():
    trade = copy.deepcopy(TRADE)
    del trade["orders"]["order"][0]["divide_order_fee"]
    trade["orders"]["order"][0]["part_mjz_discount"] = "4.75"
    (order,) = said(trade)
    assert order.lines[0].discounts[0].amount == 975


@pytest.mark.parametrize(
    ("ids", "sku"),
    [
        ({"outer_sku_id": "S", "outer_iid": "I", "sku_id": "1", "num_iid": 2}, "S"),
        ({"outer_sku_id": "", "outer_iid": "I", "sku_id": "1", "num_iid": 2}, "I"),
        ({"outer_iid": None, "sku_id": "1", "num_iid": 2}, "1"),
        ({"outer_iid": None, "num_iid": 2}, "2"),
    ],
)
def test_the_merchants_code_comes_before_the_platforms(ids, sku):
    (order,) = said(TRADE, payment="38.00", **one_line(**ids))
    assert order.lines[0].sku == sku


@pytest.mark.parametrize(
    ("changes", "identity"),
    [
        ({}, "AAGxOpenUid"),
        ({"buyer_open_uid": None, "ouid": "OU"}, "OU"),
        ({"buyer_open_uid": None, "oaid": "OAID"}, "OAID"),
        ({"buyer_open_uid": None, "buyer_nick": "somebody"}, "somebody"),
        ({"buyer_open_uid": None}, None),  # a masked nick is nobody in particular
    ],
)
def test_the_buyers_token(changes, identity):
    assert said(TRADE, **changes)[0].buyer.identity == identity


def test_a_withheld_recipient_and_a_county_under_a_province():
    hidden = {"receiver_name": None, "receiver_mobile": "", "receiver_phone": None, "receiver_address": None}
    recipient = said(TRADE, receiver_town="", receiver_city="", receiver_district="济源市", **hidden)[0].recipient
    assert (recipient.name, recipient.phone, recipient.address) == ("***", "***", "***")
    assert recipient.city == recipient.district == "济源市"


def test_ciphers_in_place_of_a_person_are_withheld():
    names = ("name", "mobile", "state", "city", "district", "address", "zip")
    recipient = said(TRADE, receiver_town="", **{f"receiver_{name}": "A" * 501 for name in names})[0].recipient
    assert (recipient.name, recipient.phone, recipient.address, recipient.city) == ("***", "***", "***", "")


def test_the_promise():
    assert said(TRADE, send_time="2026-12-01 00:00:00")[0].promise.ship_by == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert said(TRADE, send_time="付款后7天")[0].promise is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tid": None}, "tid"),
        ({"tid": "4159x"}, "tid"),
        ({"tid": True}, "tid"),
        ({"status": "NEW_STATUS"}, "status"),
        ({"created": "1762790401"}, "created"),
        ({"payment": "128.505"}, "trade.payment"),
        ({"payment": None}, "trade.payment"),
        ({"payment": "129.00"}, "total"),
        ({"orders": {"order": []}}, "lines"),
        ({"orders": None}, "orders"),
        ({"orders": {"order": ["x"]}}, "orders"),
        ({"payment": "38.00", **one_line(num=0)}, "orders[0].num"),
        ({"payment": "38.00", **one_line(oid="x")}, "orders[0].oid"),
        ({"payment": "1.00", **one_line()}, "orders[0].payment"),
        ({"payment": "38.00", **one_line(price="1e9999999")}, "orders[0].price"),
    ],
)
def test_what_cannot_be_taken_names_its_field(changes, field):
    with pytest.raises(OrderRefused) as refused:
        said(TRADE, **changes)
    assert refused.value.field == field


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"[" * 100_000, b"null", b'{"trade_fullinfo_get_response":[]}'])
@pytest.mark.parametrize("about", list(About))
def test_a_document_that_is_none_is_refused(raw, about):
    with pytest.raises(OrderRefused):
        heard(Document(about, "x", raw))


def test_a_refund_request():
    (refund,) = said(REFUND)
    assert refund.line_ids == []
    assert said(REFUND, oid=4159283746501827365)[0].line_ids == ["4159283746501827365"]
    assert isinstance(refund, Refund)
    assert (refund.platform_order_id, refund.refund_id) == ("4159283746501827364", "171234567890123456")
    assert (refund.amount, refund.after_shipping) == (9025, False)
    assert refund.requested_at == datetime(2026, 11, 11, tzinfo=UTC)
    assert "\n" not in refund.reason


@pytest.mark.parametrize(
    ("changes", "after_shipping"),
    [({"order_status": "WAIT_BUYER_CONFIRM_GOODS"}, True), ({"refund_phase": "aftersale"}, True), ({}, False)],
)
def test_a_refund_knows_whether_goods_are_under_way(changes, after_shipping):
    assert said(REFUND, **changes)[0].after_shipping is after_shipping


@pytest.mark.parametrize("status", ["CLOSED", "SELLER_REFUSE_BUYER"])
def test_a_withdrawn_refund_says_so(status):
    withdrawn = RefundWithdrawn(platform_order_id="4159283746501827364", refund_id="171234567890123456")
    assert said(REFUND, status=status, refund_fee=None) == [withdrawn]


@pytest.mark.parametrize("amount", ["-1.00", "", None, "99999999999999.00", "1e9999999", 1.005, True])
def test_a_refund_of_an_impossible_amount(amount):
    with pytest.raises(OrderRefused):
        said(REFUND, refund_fee=amount)
