"""What JD's orders and services say in our words, and what our parcels and stock say in its."""

import copy
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from libs.channels.channel import About, Cure, Document, Parcel, PlatformRefused, StockOrder
from libs.channels.jd.mapping import UNITS, heard, moment_or_none, shipment_parameters, stock_parameters
from libs.channels.own.inbound import Cancellation, LeftOrder, Order, Refund, RefundWithdrawn
from libs.channels.refusals import OrderRefused
from libs.channels.values import wall_clock

DETAIL = {
    "orderId": "287901234567890123",
    "orderState": "WAIT_SELLER_STOCK_OUT",
    "orderStartTime": "2026-11-11 00:00:01",
    "paymentConfirmTime": "2026-11-11 00:00:09",
    "modified": "2026-11-11 00:00:09",
    "orderTotalPrice": "130.25",
    "orderSellerPrice": "120.25",
    "orderPayment": "98.25",
    "balanceUsed": "20.00",
    "freightPrice": "8.00",
    "sellerDiscount": "10.00",
    "open_id_buyer": "o*AAQ",
    "xid_buyer": "XID1",
    "pin": "p***1",
    "consigneeInfo": {
        "fullname": "张*",
        "mobile": "138****0000",
        "province": "北京",
        "city": "朝阳区",
        "county": "三环以内",
        "fullAddress": "北京朝阳区三环以内***",
    },
    "itemInfoList": [
        {"skuId": "1001", "outerSkuId": "TEA-250", "jdPrice": "50.00", "itemTotal": "2"},
        {"skuId": 1002, "outerSkuId": "", "jdPrice": "30.25", "itemTotal": 1},
        {"skuId": 1002, "jdPrice": "0", "itemTotal": 1},
    ],
    "orderRemark": "请尽快\x00发货",
    "venderRemark": "老客户",
}
SERVICE = {
    "afsRefundId": 456,
    "status": 13,
    "refoundAmount": "12.30",
    "completeTime": "2026-11-20 12:00:00",
    "sameOrderServiceBill": {
        "serviceId": 123,
        "orderId": 287901234567890123,
        "afsApplyTime": 1763000000000,
        "applyReason": "七天无理由",
        "customerPin": "pin",
    },
}


def said(document, **changes):
    changed = copy.deepcopy(document) | changes
    if "afsRefundId" in document:
        return heard(Document(About.REFUND, "x", msgspec.json.encode(changed)))
    answer = {"jingdong_pop_order_get_responce": {"code": "0", "orderDetailInfo": {"orderInfo": changed}}}
    return heard(Document(About.ORDER, "x", msgspec.json.encode(answer)))


def discounts(order):
    return [[(each.funder, each.amount) for each in line.discounts] for line in order.lines]


def test_a_paid_order():
    (order,) = said(DETAIL)
    assert isinstance(order, Order)
    assert order.platform_order_id == "287901234567890123"
    assert order.placed_at == datetime(2026, 11, 10, 16, 0, 1, tzinfo=UTC)
    assert order.paid_at == datetime(2026, 11, 10, 16, 0, 9, tzinfo=UTC)
    assert [(x.line_id, x.sku, x.quantity, x.unit_price) for x in order.lines] == [
        ("1001", "TEA-250", 2, 5000),
        ("1002", "1002", 1, 3025),
        ("1002~2", "1002", 1, 0),
    ]
    # 10.00 from the merchant, 10.00 from JD; what was paid from a balance is paid.
    assert (order.total, order.shipping_fee) == (11825, 800)
    assert sum(amount for line in discounts(order) for funder, amount in line if funder == "merchant") == 1000
    assert sum(amount for line in discounts(order) for funder, amount in line if funder == "platform") == 1000
    assert discounts(order)[2] == []
    assert order.buyer.identity == "XID1"
    assert (order.recipient.province, order.recipient.city, order.recipient.district) == ("北京", "朝阳区", "三环以内")
    assert order.note == "请尽快 发货\n卖家备注: 老客户"


def test_an_order_without_the_answer_around_it_reads_the_same():
    assert heard(Document(About.ORDER, "x", msgspec.json.encode(DETAIL))) == said(DETAIL)


@pytest.mark.parametrize("state", ["NOT_PAY", "PAUSE", "POP_ORDER_PAUSE"])
def test_what_is_unpaid_or_held_says_nothing(state):
    assert said(DETAIL, orderState=state) == []


@pytest.mark.parametrize(
    ("state", "waybill", "left"),
    [
        ("WAIT_SELLER_STOCK_OUT", "", ""),
        ("WAIT_SELLER_STOCK_OUT", "SF1", "part"),
        ("WAIT_SELLER_DELIVERY", "", ""),
        ("LOCKED", "", ""),
        ("LOCKED", "SF1", "whole"),
        ("WAIT_GOODS_RECEIVE_CONFIRM", "SF1", "whole"),
        ("RECEIPT_CONFIRM", "", "whole"),
        ("FINISHED_L", "", "whole"),
    ],
)
def test_later_states_are_orders_as_well_and_tell_what_has_left(state, waybill, left):
    (order,) = said(DETAIL, orderState=state, waybill=waybill)
    assert getattr(order, "left", "") == left
    assert type(order) is (LeftOrder if left else Order)


def test_cancelled_orders():
    order, cancellation = said(DETAIL, orderState="TRADE_CANCELED", orderEndTime="2026-11-11 09:00:00")
    assert isinstance(cancellation, Cancellation)
    assert cancellation.platform_order_id == order.platform_order_id
    assert cancellation.cancelled_at == datetime(2026, 11, 11, 1, tzinfo=UTC)
    assert [type(x) for x in said(DETAIL, orderState="TRADE_CANCELED", waybill="SF1")] == [LeftOrder]
    for never in ("", None, "0001-01-01 00:00:00"):
        unpaid = {"orderState": "TRADE_CANCELED", "paymentConfirmTime": never}
        assert said(DETAIL, **unpaid, payType="4-在线支付") == []


@pytest.mark.parametrize("pay_type", ["1-货到付款", "1", "", None])
def test_an_order_that_may_be_paid_on_delivery_says_its_cancellation(pay_type):
    unpaid = {"orderState": "TRADE_CANCELED", "paymentConfirmTime": "", "payType": pay_type}
    (cancellation,) = said(DETAIL, **unpaid)
    assert isinstance(cancellation, Cancellation)
    assert said(DETAIL, **unpaid, waybill="SF1") == []


def test_a_cancellation_is_said_even_where_the_order_cannot_be_read():
    [cancellation] = said(DETAIL, orderState="TRADE_CANCELED", orderPayment="999.00")
    assert isinstance(cancellation, Cancellation)
    assert cancellation.platform_order_id == DETAIL["orderId"]


def test_cash_on_delivery_is_an_order_that_is_not_paid():
    (order,) = said(DETAIL, paymentConfirmTime="")
    assert order.paid_at is None


def test_a_coupon_beyond_the_goods_pays_the_freight():
    (order,) = said(DETAIL, orderPayment="3.00", balanceUsed="0")
    assert (order.total, order.shipping_fee) == (300, 300)
    (order,) = said(DETAIL, orderPayment="0.00", balanceUsed="")
    assert (order.total, order.shipping_fee) == (0, 0)


def test_without_the_sellers_price_its_discount_counts():
    (order,) = said(DETAIL, orderSellerPrice=None)
    assert order.total == 11825
    assert sum(amount for line in discounts(order) for funder, amount in line if funder == "merchant") == 1000


@pytest.mark.parametrize("payment", [f"{yuan}.{cent:02}" for yuan in (0, 1, 57, 119) for cent in (0, 1, 33, 99)])
def test_no_fen_is_lost_in_sharing(payment):
    (order,) = said(DETAIL, orderPayment=payment, balanceUsed="0", orderSellerPrice="123.45")
    net = sum(line.quantity * line.unit_price for line in order.lines)
    net -= sum(amount for line in discounts(order) for _, amount in line)
    assert net + order.shipping_fee == order.total
    assert all(
        sum(a for _, a in each) <= x.quantity * x.unit_price
        for each, x in zip(discounts(order), order.lines, strict=True)
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"orderId": "x"}, "orderId"),
        ({"orderId": None}, "orderId"),
        ({"orderState": "NEW"}, "orderState"),
        ({"orderStartTime": ""}, "orderStartTime"),
        ({"orderPayment": None}, "orderPayment"),
        ({"orderPayment": "500.00"}, "orderPayment"),
        ({"orderPayment": "1e9999999"}, "orderPayment"),
        ({"freightPrice": "1.005"}, "freightPrice"),
        ({"orderSellerPrice": "999.00"}, "orderSellerPrice"),
        ({"orderSellerPrice": "-1.00"}, "orderSellerPrice"),
        ({"itemInfoList": None}, "itemInfoList"),
        ({"itemInfoList": [5]}, "itemInfoList"),
        ({"itemInfoList": [{"skuId": 1, "jdPrice": "x", "itemTotal": 1}]}, "itemInfoList[0].jdPrice"),
        ({"itemInfoList": [{"skuId": 1, "jdPrice": "1", "itemTotal": 0}]}, "itemInfoList[0]"),
        ({"itemInfoList": [{"jdPrice": "1", "itemTotal": 1}]}, "itemInfoList[0].skuId"),
        ({"itemInfoList": [], "orderSellerPrice": "0", "orderPayment": "8", "balanceUsed": "0"}, "lines"),
    ],
)
def test_what_cannot_be_taken_names_its_field(changes, field):
    with pytest.raises(OrderRefused) as refused:
        said(DETAIL, **changes)
    assert refused.value.field == field


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"[" * 100_000, b"null", b'{"orderDetailInfo":[]}'])
@pytest.mark.parametrize("about", list(About))
def test_a_document_that_is_none_is_refused(raw, about):
    with pytest.raises(OrderRefused):
        heard(Document(about, "x", raw))


def test_a_withheld_recipient():
    recipient = said(DETAIL, consigneeInfo=None)[0].recipient
    assert (recipient.name, recipient.phone, recipient.address) == ("***", "***", "***")


def test_the_buyers_token_is_never_a_masked_one():
    assert said(DETAIL, xid_buyer=None)[0].buyer.identity is None
    assert said(DETAIL, xid_buyer=None, pin="jd_pin")[0].buyer.identity == "jd_pin"


def test_a_service_is_a_refund_after_shipping():
    (refund,) = said(SERVICE)
    assert isinstance(refund, Refund)
    assert (refund.platform_order_id, refund.refund_id) == ("287901234567890123", "123")
    assert (refund.amount, refund.after_shipping, refund.reason) == (1230, True, "七天无理由")
    assert refund.requested_at == datetime.fromtimestamp(1763000000, UTC)
    assert said(SERVICE, refoundAmount=None)[0].amount == 0


@pytest.mark.parametrize(
    "changes",
    [{"sameOrderServiceBill": None}, {"sameOrderServiceBill": {}}, {"refoundAmount": "-1"}, {"refoundAmount": []}],
)
def test_a_service_that_cannot_be_taken(changes):
    with pytest.raises(OrderRefused):
        said(SERVICE, **changes)


APPLICATION = {
    "id": 171234567890123456,
    "orderId": "287901234567890123",
    "applyRefundSum": "9025",
    "applyTime": "2026-11-11 08:00:00",
    "status": 0,
    "reason": "不想要了",
}


def applied(**changes):
    return heard(Document(About.REFUND, "x", msgspec.json.encode(APPLICATION | changes)))


def test_an_application_to_cancel_is_a_refund_before_shipping():
    (refund,) = applied()
    assert (refund.platform_order_id, refund.refund_id) == ("287901234567890123", "apply-171234567890123456")
    assert (refund.amount, refund.after_shipping) == (9025, False)
    assert refund.requested_at == datetime(2026, 11, 11, tzinfo=UTC)
    over = RefundWithdrawn(platform_order_id=refund.platform_order_id, refund_id=refund.refund_id)
    for withdrawn in (2, "11"):
        assert applied(status=withdrawn) == [over]
    for wrong in ({"applyRefundSum": "-1"}, {"applyRefundSum": "1.5"}, {"id": "x"}, {"orderId": None}):
        with pytest.raises(OrderRefused):
            applied(**wrong)


def test_ciphers_in_place_of_a_person_are_withheld():
    cipher = dict.fromkeys(("fullname", "mobile", "province", "city", "county", "fullAddress"), "A" * 501)
    recipient = said(DETAIL, consigneeInfo=cipher)[0].recipient
    assert (recipient.name, recipient.phone, recipient.address, recipient.city) == ("***", "***", "***", "")


def test_parcels_and_stock():
    parcel = Parcel("287", "p1", "SF", "SF1", (("1001", "A", 1),))
    assert shipment_parameters(parcel) == {"orderId": 287, "logiCoprId": "467", "logiNo": "SF1"}
    assert shipment_parameters(replace(parcel, company="1"))["logiCoprId"] == "1"
    with pytest.raises(PlatformRefused) as refused:
        shipment_parameters(Parcel("287", "p1", "PIGEON", "1", ()))
    assert refused.value.cure is Cure.ASK
    asked = stock_parameters([StockOrder("9", "1001", 5, "c"), StockOrder("9", "", 0, "d")])
    assert asked == {
        "req": {"skuStocks": [{"skuId": 1001, "stockNum": 5, "storeId": 0}, {"skuId": 9, "stockNum": 0, "storeId": 0}]}
    }
    with pytest.raises(ValueError, match="differences"):
        stock_parameters([StockOrder("9", "1001", 5, "c", delta=True)])
    with pytest.raises(PlatformRefused):
        stock_parameters([StockOrder("9", "x1", 5, "c")])


def test_times():
    assert wall_clock(datetime(2026, 11, 10, 16, 0, 1, tzinfo=UTC)) == "2026-11-11 00:00:01"
    assert moment_or_none(1716884499123) == datetime(2024, 5, 28, 8, 21, 39, 123000, UTC)
    for nonsense in ("", "0001-01-01 00:00:00", "9999-12-31 23:59:59", None, -5, 10**18, True):
        assert moment_or_none(nonsense) is None


def test_amounts_are_yuan_but_for_one():
    assert {name for name, unit in UNITS.items() if unit == "fen"} == {"applyRefundSum"}
