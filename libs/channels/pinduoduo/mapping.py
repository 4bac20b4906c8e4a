"""Turns Pinduoduo's orders and refunds into our words, and our parcels and stock into its parameters; pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.channels.channel import About, Document, Heard, Parcel, StockOrder
from libs.channels.closing import closed
from libs.channels.goods import Goods
from libs.channels.own.inbound import ORDER_CANCELLED, REFUND_REQUESTED, Cancellation, Refund, RefundWithdrawn, convert
from libs.channels.pinduoduo.amounts import AMOUNTS, settle
from libs.channels.refusals import OrderRefused
from libs.channels.values import HIDDEN, REASON_LIMIT_CHARACTERS, SHANGHAI, WALL_CLOCK, note_of, opened, plain, written

REFUNDS_KEY = "refund_list"  # where an order's document carries the refunds that were open when it was read

IN_REVIEW = 1  # risk_control_status
SETTLED, CONFIRM_CANCELLED = 1, 2  # confirm_status
GROUPED, GROUP_FAILED = 1, 2  # group_status
SHIPPED_STATUSES = frozenset({2, 3})  # order_status
REFUND_DONE = 4  # refund_status
CORRECTION = 2  # redelivery_type; absent: the first shipment
STEP_TRADE, STEP_PAID = 1, 2  # trade_type, step_trade_status

# after_sales_status of refunds of money that are wanted or done, and of refused, withdrawn, overdue ones. Not here:
# exchanges (14 to 18), repairs (21 to 27), reissues (32). The numbers of after_sales_type differ from method to method
# in the public copies of the documents, so they are not asked.
REFUND_WANTED = frozenset({2, 3, 4, 5, 6, 7, 8, 10, 31})
REFUND_OVER = frozenset({9, 11, 12, 13})
RETURNS_GOODS = frozenset({3, 7, 31})
BUYER_HAS_IT = "2"  # user_shipping_status

_CIPHER_BEGINNINGS = ("~", "$", "#")
REFUNDS_LIMIT = 100

# Our carrier codes and the platform's numbers (from memory, to be checked with pdd.logistics.companies.get).
CARRIERS: Mapping[str, int] = {
    "STO": 1, "SF": 44, "YTO": 85, "ZTO": 115, "EMS": 118, "JD": 120, "YUNDA": 121, "YD": 121, "DBKD": 131, "DB": 131,
    "POSTB": 132, "YZXB": 132, "JTSD": 384, "JT": 384,
}  # fmt: skip

_WALL_CLOCK = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_SECONDS = re.compile(r"[0-9]{10}")


def heard(document: Document) -> list[Heard]:
    """Return what an order's or a refund's document says; an unpaid or unchecked order says nothing yet."""
    value = opened(document)
    return _refund(value) if document.about is About.REFUND else _order(value)


def is_open_refund(info: Mapping[str, Any]) -> bool:
    """Tell whether an order that has not left has a refund that is neither absent nor finished."""
    return not _has_left(info) and _number(info, "refund_status", 1) not in (1, REFUND_DONE)


def _order(info: Mapping[str, Any]) -> list[Heard]:
    paid_at = moment(info, "pay_time") or moment(info, "confirm_time")
    # While the platform checks an order it must not be shipped and its recipient is empty: it is heard when the check
    # ends, which changes updated_at and sends TradeRiskChanged.
    if paid_at is None or _number(info, "risk_control_status", 0) == IN_REVIEW:
        return []
    confirmed = _number(info, "confirm_status", SETTLED)
    grouped = _number(info, "group_status", GROUPED)
    if confirmed not in (SETTLED, CONFIRM_CANCELLED) or grouped not in (GROUPED, GROUP_FAILED):
        return []
    step = info.get("step_order_info")
    if _number(info, "trade_type", 0) == STEP_TRADE:
        step = step if isinstance(step, dict) else {}
        if _number(step, "step_trade_status", 0) != STEP_PAID:
            return []
    if _has_left(info):
        return [convert(_fields(info, paid_at), "whole")]
    if confirmed == CONFIRM_CANCELLED or grouped == GROUP_FAILED or _number(info, "refund_status", 1) == REFUND_DONE:
        return closed(_cancellation(info), lambda: convert(_fields(info, paid_at)))
    order = convert(_fields(info, paid_at))
    refunds = info.get(REFUNDS_KEY)
    rows = refunds[:REFUNDS_LIMIT] if isinstance(refunds, list) and is_open_refund(info) else []
    wanted = [each for row in rows if isinstance(row, dict) for each in _refund(row) if isinstance(each, Refund)]
    return [order, *wanted]


def _fields(info: Mapping[str, Any], paid_at: datetime) -> dict[str, Any]:
    goods = _goods(info)
    charges = settle(info, goods)
    fields: dict[str, Any] = {
        "platform_order_id": written(info, "order_sn"),
        "placed_at": moment(info, "created_time") or paid_at,
        "paid_at": paid_at,
        "currency": "CNY",
        "buyer": {"identity": written(info, "open_address_id_2") or written(info, "open_address_id") or None},
        "recipient": _recipient(info),
        "lines": [line.as_line for line in goods],
        "shipping_fee": charges.shipping_fee,
        "total": charges.total,
        "note": note_of(info, (("", "buyer_memo"), ("", "remark"))),
    }
    if ship_by := moment(info, "last_ship_time"):
        fields["promise"] = {"ship_by": ship_by}
    return fields


def _goods(info: Mapping[str, Any]) -> list[Goods]:
    found = info.get("item_list")
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise OrderRefused("item_list", "is missing or empty")
    goods: list[Goods] = []
    seen: dict[str, int] = {}
    for each in found:
        sku_id = written(each, "sku_id")
        # Lines have no number of their own: the SKU names the line, and counts when it comes twice.
        seen[sku_id] = seen.get(sku_id, 0) + 1
        line = Goods(
            line_id=sku_id if seen[sku_id] == 1 else f"{sku_id}-{seen[sku_id]}",
            sku=written(each, "outer_id") or sku_id,
            quantity=_number(each, "goods_count"),
            unit_price=AMOUNTS["item.goods_price"](each),
        )
        if line.quantity < 1 or line.unit_price < 0:
            raise OrderRefused("item_list", "a line has no quantity, or a price below zero")
        goods.append(line)
    return goods


def _recipient(info: Mapping[str, Any]) -> dict[str, str]:
    return {
        "name": _shown(info, "receiver_name", 100),
        "phone": _shown(info, "receiver_phone", 32),
        "province": plain(written(info, "province"))[:64],
        "city": plain(written(info, "city"))[:64],
        "district": plain(written(info, "town"))[:64],
        "address": _shown(info, "receiver_address", 500),
    }


def _shown(info: Mapping[str, Any], name: str, limit_characters: int) -> str:
    """Return the masked text, else the text itself unless it is cipher: that stays in the sealed document."""
    text = plain(written(info, f"{name}_mask") or written(info, name))
    return text if text and len(text) <= limit_characters and not text.startswith(_CIPHER_BEGINNINGS) else HIDDEN


def _cancellation(info: Mapping[str, Any]) -> Cancellation:
    refunded = _number(info, "refund_status", 1) == REFUND_DONE
    fields = {
        "type": ORDER_CANCELLED,
        "platform_order_id": written(info, "order_sn"),
        "reason": "退款成功" if refunded else "平台取消",
        "cancelled_at": moment(info, "updated_at"),
    }
    try:
        return msgspec.convert(fields, Cancellation)
    except msgspec.ValidationError:
        raise OrderRefused("order_sn", "the cancellation is not valid") from None


def _refund(row: Mapping[str, Any]) -> list[Heard]:
    status = _number(row, "after_sales_status")
    named = {"platform_order_id": written(row, "order_sn"), "refund_id": written(row, "id")}
    if status in REFUND_OVER:
        return [_checked(named, RefundWithdrawn)]
    if status not in REFUND_WANTED:
        return []
    reason = plain(written(row, "after_sale_reason") or written(row, "after_sales_reason"))
    fields = named | {
        "type": REFUND_REQUESTED,
        "amount": AMOUNTS["refund.refund_amount"](row),
        "after_shipping": _is_after_shipping(row, status),
        "reason": reason[:REASON_LIMIT_CHARACTERS],
        "requested_at": moment(row, "created_time") or moment(row, "recreated_at"),
    }
    return [_checked(fields, Refund)]


def _checked(fields: dict[str, Any], kind: type[Refund] | type[RefundWithdrawn]) -> Refund | RefundWithdrawn:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError:
        raise OrderRefused("id", "the refund is not valid") from None


def _is_after_shipping(row: Mapping[str, Any], status: int) -> bool:
    if row.get("shipping_status") not in (None, ""):
        return _number(row, "shipping_status") == 1
    received = written(row, "user_shipping_status") == BUYER_HAS_IT
    return received or status in RETURNS_GOODS or bool(written(row, "tracking_number"))


def shipment(parcel: Parcel, company: int) -> dict[str, Any]:
    """Return the parameters of pdd.logistics.online.send; a correction overwrites what was said first."""
    params: dict[str, Any] = {
        "order_sn": parcel.platform_order_id,
        "logistics_id": company,
        "tracking_number": parcel.waybill,
    }
    return params | ({"redelivery_type": CORRECTION} if parcel.again else {})


def stock(order: StockOrder) -> dict[str, Any]:
    """Return the parameters of pdd.goods.quantity.update: 1 sets the whole value, 2 adds a difference."""
    named = {"sku_id": order.listing_sku} if order.listing_sku.isdigit() else {"outer_id": order.listing_sku}
    return {
        "goods_id": order.listing_id,
        "quantity": order.quantity,
        "update_type": 2 if order.delta else 1,
        **named,
    }


def carrier(code: str) -> int | None:
    """Return the platform's company number for our code; None when it has none that we know."""
    return CARRIERS.get(code.upper()) or (int(code) if code.isascii() and code.isdigit() and len(code) < 9 else None)


def moment(record: Mapping[str, Any], name: str) -> datetime | None:
    """Return a moment from the platform's wall clock (Shanghai) or from seconds; None when it has not come."""
    text = written(record, name)
    if not text or text.startswith("0000") or text == "0":
        return None
    if _SECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    if not _WALL_CLOCK.fullmatch(text):
        raise OrderRefused(name, "is not a time")
    try:
        return datetime.strptime(text, WALL_CLOCK).replace(tzinfo=SHANGHAI).astimezone(UTC)
    except (ValueError, OverflowError):
        raise OrderRefused(name, "is not a time") from None


def _has_left(info: Mapping[str, Any]) -> bool:
    return _number(info, "order_status", 1) in SHIPPED_STATUSES or bool(written(info, "shipping_time").strip("0 :-"))


def _number(record: Mapping[str, Any], name: str, absent: int | None = None) -> int:
    value = record.get(name)
    if value in (None, "") and absent is not None:
        return absent
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise OrderRefused(name, "is missing or not a whole number")
    return value
