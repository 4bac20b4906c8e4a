"""Turns Douyin's orders and refunds into our words, and our parcels and stock into its parameters; pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.channels.channel import About, Document, Heard, Parcel, StockOrder
from libs.channels.closing import closed
from libs.channels.douyin.amounts import AMOUNTS, settle
from libs.channels.goods import Goods
from libs.channels.own.inbound import (
    ORDER_CANCELLED,
    REFUND_REQUESTED,
    AskedBack,
    Cancellation,
    Left,
    Order,
    Refund,
    RefundWithdrawn,
    convert,
)
from libs.channels.refusals import OrderRefused
from libs.channels.values import HIDDEN, REASON_LIMIT_CHARACTERS, note_of, opened, plain, written

UNPAID, REVIEWED, PART_PAID, CANCELLED = 1, 105, 103, 4
TO_SHIP, PART_SHIPPED, SHIPPED, DONE = 2, 101, 3, 5
# 105: the money is there but the platform still checks the order and would refuse its shipment. It is heard when it
# turns to 2 (a push with tag 101, and a new update_time for the pull).
SILENT_STATUSES = frozenset({UNPAID, PART_PAID, REVIEWED})
LINE_LEFT = (3, 5)  # order_status of a line: shipped, done
CASH_ON_DELIVERY = 0

BEFORE_SHIPPING = 2
MONEY_BACK = frozenset({0, 1, BEFORE_SHIPPING})  # return and refund, refund only, refund before shipping
REFUND_REFUSED = frozenset({27, 28, 29})  # refused, closed, refused again: nobody wants money back any more

MOMENT_LAST_S = 4_102_444_800

# Our carrier codes and the platform's (from memory, to be checked with /order/logisticsCompanyList).
CARRIERS: Mapping[str, str] = {
    "SF": "shunfeng", "ZTO": "zhongtong", "YTO": "yuantong", "STO": "shentong", "YUNDA": "yunda", "YD": "yunda",
    "JTSD": "jtexpress", "JT": "jtexpress", "JD": "jd", "EMS": "ems",
    "POSTB": "youzhengguonei", "YZXB": "youzhengguonei",
    "DBKD": "debangkuaidi", "DB": "debangkuaidi", "BEST": "huitongkuaidi", "HTKY": "huitongkuaidi",
    "ZJS": "zhaijisong", "FENGWANG": "fengwang",
}  # fmt: skip


def heard(document: Document) -> list[Heard]:
    """Return what an order's or a refund's document says; an unpaid or unchecked order says nothing yet."""
    value = opened(document)
    if document.about is About.REFUND:
        return _refund(value)
    match _order(value):
        case [Order() as order] if _is_all_asked_back(value):
            return [AskedBack(order=order)]
        case said:
            return said


def _order(detail: Mapping[str, Any]) -> list[Heard]:
    status = _whole(detail, "order_status")
    paid_at = _moment(detail, "pay_time")
    on_delivery = detail.get("pay_type") == CASH_ON_DELIVERY
    if status in SILENT_STATUSES or (paid_at is None and not on_delivery):
        return []
    left = _left(status, detail)
    if status == CANCELLED and paid_at is None:
        return [] if left else [_cancellation(detail)]
    if status == CANCELLED and not left:
        return closed(_cancellation(detail), lambda: convert(_fields(detail, paid_at)))
    return [convert(_fields(detail, paid_at), left)]


def _left(status: int, detail: Mapping[str, Any]) -> Left:
    """Return how much has left; nothing of an order that was cancelled afterwards is still to go out."""
    if status not in (PART_SHIPPED, SHIPPED, DONE) and _moment(detail, "ship_time") is None:
        return ""
    return "part" if status in (TO_SHIP, PART_SHIPPED) else "whole"


def _fields(detail: Mapping[str, Any], paid_at: datetime | None) -> dict[str, Any]:
    goods = _rows(detail)
    charges = settle(detail, goods)
    gone = _asked_back(detail)
    # They leave the order, and their share its total; when that is every line, the order is asked back as it is.
    lines = [line for line in goods if line.line_id not in gone] or goods
    refunded = sum(line.net for line in goods if line not in lines)
    fields: dict[str, Any] = {
        "platform_order_id": written(detail, "order_id"),
        "placed_at": _moment(detail, "create_time") or paid_at,
        "paid_at": paid_at,
        "currency": "CNY",
        "buyer": {"identity": written(detail, "doudian_open_id") or written(detail, "open_id") or None},
        "recipient": _recipient(detail),
        "lines": [line.as_line for line in lines],
        "shipping_fee": charges.shipping_fee,
        "total": charges.total - refunded,
        "note": note_of(detail, (("", "buyer_words"), ("", "seller_words"))),
    }
    if ship_by := _moment(detail, "exp_ship_time"):
        fields["promise"] = {"ship_by": ship_by}
    if not_before := _moment(detail, "appointment_ship_time"):
        fields |= {"kind": "presale", "available_from": not_before}
    return fields


def _rows(detail: Mapping[str, Any]) -> list[Goods]:
    found = detail.get("sku_order_list")
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise OrderRefused("sku_order_list", "is missing or empty")
    rows = []
    for each in found:
        outer = written(each, "out_sku_id")
        goods = Goods(
            line_id=written(each, "order_id"),
            sku=written(each, "code") or (outer if outer != "0" else "") or written(each, "sku_id"),
            quantity=_whole(each, "item_num"),
            unit_price=AMOUNTS["sku.origin_amount"](each),
            discounts={
                "merchant": AMOUNTS["sku.promotion_shop_amount"](each),
                "platform": AMOUNTS["sku.promotion_platform_amount"](each),
                "influencer": AMOUNTS["sku.promotion_talent_amount"](each),
            },
        )
        rows.append(goods)
    return rows


def _asked_back(detail: Mapping[str, Any]) -> set[str]:
    """Return the lines whose refund before shipping is asked for or done."""
    found = set()
    for line in detail.get("sku_order_list") or ():
        about = _part(line, "after_sale_info")
        wanted = about.get("after_sale_status") not in (None, 0, *REFUND_REFUSED)
        if wanted and about.get("after_sale_type") == BEFORE_SHIPPING:
            found.add(written(line, "order_id"))
    return found


def _is_all_asked_back(detail: Mapping[str, Any]) -> bool:
    """Tell whether nothing is left to ship: each line that has not gone out is asked back, or paid back."""
    gone = _asked_back(detail)
    waiting = [each for each in detail.get("sku_order_list") or () if each.get("order_status") not in LINE_LEFT]
    return bool(waiting) and all(written(each, "order_id") in gone for each in waiting)


def _recipient(detail: Mapping[str, Any]) -> dict[str, str]:
    masked = detail.get("mask_post_addr")
    place = masked if isinstance(masked, dict) and masked else detail.get("post_addr")
    if not isinstance(place, dict):
        place = {}
    street = _name(place, "street")
    address = plain(written(place, "detail"))
    return {
        "name": (plain(written(detail, "mask_post_receiver") or written(detail, "post_receiver")) or HIDDEN)[:100],
        "phone": (plain(written(detail, "mask_post_tel") or written(detail, "post_tel")) or HIDDEN)[:32],
        "province": _name(place, "province"),
        "city": _name(place, "city"),
        "district": _name(place, "town"),
        "address": (f"{street}{address}" or HIDDEN)[:500],
    }


def _cancellation(detail: Mapping[str, Any]) -> Cancellation:
    fields = {
        "type": ORDER_CANCELLED,
        "platform_order_id": written(detail, "order_id"),
        "reason": plain(written(detail, "cancel_reason"))[:REASON_LIMIT_CHARACTERS],
        "cancelled_at": _moment(detail, "finish_time") or _moment(detail, "update_time"),
    }
    try:
        return msgspec.convert(fields, Cancellation)
    except msgspec.ValidationError:
        raise OrderRefused("order_id", "the cancellation is not valid") from None


def _refund(item: Mapping[str, Any]) -> list[Heard]:
    about, order, words = (_part(item, name) for name in ("aftersale_info", "order_info", "text_part"))
    kind = _whole(about, "aftersale_type")
    if kind not in MONEY_BACK:
        return []
    named = {"platform_order_id": written(order, "shop_order_id"), "refund_id": written(about, "aftersale_id")}
    if _whole(about, "aftersale_status") in REFUND_REFUSED:
        return [_checked(named, RefundWithdrawn)]
    fields = named | {
        "type": REFUND_REQUESTED,
        "amount": AMOUNTS["aftersale_info.refund_amount"](about),
        "after_shipping": kind != BEFORE_SHIPPING,
        "reason": plain(written(words, "reason_text"))[:REASON_LIMIT_CHARACTERS],
        "requested_at": _moment(about, "apply_time"),
        "line_ids": _line_ids(order),
    }
    return [_checked(fields, Refund)]


def _checked(fields: dict[str, Any], kind: type[Refund] | type[RefundWithdrawn]) -> Refund | RefundWithdrawn:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError:
        raise OrderRefused("aftersale_info", "the refund is not valid") from None


def _line_ids(order: Mapping[str, Any]) -> list[str]:
    """Return the lines that a refund is about; one that names none is about the whole order."""
    rows = order.get("related_order_info")
    named = [written(row, "sku_order_id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return named if all(named) else []


def shipment(parcel: Parcel, company: str) -> dict[str, Any]:
    """Return the parameters of /order/logisticsAdd, and of /order/logisticsEdit."""
    return {"order_id": parcel.platform_order_id, "company_code": company, "logistics_code": parcel.waybill}


def pack(parcel: Parcel, company: str) -> dict[str, Any]:
    """Return the parameters of /order/logisticsAddMultiPack: one parcel, the same request_id in every attempt."""
    shipped = [{"shipped_order_id": line_id, "shipped_num": quantity} for line_id, _, quantity in parcel.lines]
    return {
        "order_id": parcel.platform_order_id,
        "request_id": parcel.parcel_id,
        "pack_list": [{"shipped_order_info": shipped, "company_code": company, "logistics_code": parcel.waybill}],
    }


def stock(order: StockOrder) -> dict[str, Any]:
    """Return the parameters of /sku/syncStock; a repeat with the same idempotent_id counts once."""
    params: dict[str, Any] = {
        "stock_num": order.quantity,
        "incremental": order.delta,
        "idempotent_id": order.change_id,
    }
    return params | sku_named(order.listing_id, order.listing_sku)


def sku_named(listing_id: str, listing_sku: str) -> dict[str, Any]:
    """Return how a call names a SKU: the platform's number, else the merchant's code."""
    named: dict[str, Any] = {"sku_id": int(listing_sku)} if _is_number(listing_sku) else {"code": listing_sku}
    return named | ({"product_id": int(listing_id)} if _is_number(listing_id) else {})


def carrier(code: str) -> str | None:
    """Return the platform's company code for ours; None when it has none that we know."""
    return CARRIERS.get(code.upper()) or (code if code in CARRIERS.values() else None)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 19


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _name(place: Mapping[str, Any], level: str) -> str:
    return plain(written(_part(place, level), "name"))[:64]


def _whole(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    if isinstance(value, str) and _is_number(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise OrderRefused(name, "is missing or not a whole number")
    return value


def _moment(record: Mapping[str, Any], name: str) -> datetime | None:
    """Return a moment from seconds since 1970; 0 and nothing mean that it has not come."""
    if record.get(name) in (None, 0, "", "0"):
        return None
    seconds = _whole(record, name)
    if not 0 < seconds <= MOMENT_LAST_S:
        raise OrderRefused(name, "is not a moment in seconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)
