"""Calls that read: orders and refunds page by page, or one by one. A key, not a number, leads to the next page."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from simulators.model import PlatformOrder, Refund
from simulators.wechat.answers import Failed
from simulators.wechat.dials import NAME
from simulators.wechat.documents import (
    address,
    order_document,
    order_of_transaction,
    payment_document,
    refund_document,
    status_of,
)
from simulators.wechat.gate import Call, number_of, text_of, window_of

PAGE_LIMIT_ROWS, REFUNDS_PAGE_ROWS = 100, 50
ORDERS_WINDOW, REFUNDS_WINDOW = timedelta(days=7), timedelta(hours=24)
RANGE = ("start_time", "end_time")


def list_orders(call: Call) -> dict[str, Any]:
    """ec/order/list/get: ids only, newest first, by time of creation or of change."""
    size = number_of(call.params, "page_size", 1, PAGE_LIMIT_ROWS, PAGE_LIMIT_ROWS)
    changed, created = call.params.get("update_time_range"), call.params.get("create_time_range")
    if changed:
        since, until = window_of(call, changed, RANGE, ORDERS_WINDOW)
        rows = call.market.orders_changed(call.shop, since, until)
    else:
        since, until = window_of(call, created, RANGE, ORDERS_WINDOW)
        until = call.market.shown_until(NAME, until)
        rows = [order for order in call.shop.orders.values() if since <= order.created_at < until]
        rows.sort(key=lambda order: (order.created_at, order.order_id), reverse=True)
    status = call.params.get("status")
    keyed = [(_key_of(order, bool(changed)), order) for order in rows if status in (None, 0, status_of(order))]
    shown, key, more = _page(call, keyed, size)
    call.market.shift_page(call.shop, rows)
    return {"order_id_list": [order.order_id for order in shown], "has_more": more, "next_key": key}


def get_order(call: Call) -> dict[str, Any]:
    """ec/order/get: the whole order, without any lag."""
    return {"order": order_document(call.market, call.order())}


def decode_receiver(call: Call) -> dict[str, Any]:
    """ec/order/sensitiveinfo/decode: the receiver in clear."""
    order = call.order()
    return {"address_info": address(order.receiver, "clear", order.order_id)}


def list_refunds(call: Call) -> dict[str, Any]:
    """ec/aftersale/getaftersalelist: ids only, by time of creation or of change, 24 hours at most."""
    if "begin_update_time" in call.params:
        since, until = window_of(call, call.params, ("begin_update_time", "end_update_time"), REFUNDS_WINDOW)
        rows = call.market.refunds_changed(call.shop, since, until)
        keyed = [(_refund_key(refund.modified_at.timestamp(), refund), refund) for refund in rows]
    else:
        since, until = window_of(call, call.params, ("begin_create_time", "end_create_time"), REFUNDS_WINDOW)
        until = call.market.shown_until(NAME, until)
        found = [refund for refund in call.shop.refunds.values() if since <= refund.created_at < until]
        keyed = [(_refund_key(refund.created_at.timestamp(), refund), refund) for refund in found]
    keyed.sort(key=lambda pair: pair[0], reverse=True)
    shown, key, more = _page(call, keyed, REFUNDS_PAGE_ROWS)
    return {"after_sale_order_id_list": [refund.refund_id for refund in shown], "has_more": more, "next_key": key}


def get_refund(call: Call) -> dict[str, Any]:
    """ec/aftersale/getaftersaleorder: one refund."""
    refund = call.shop.refunds.get(call.text("after_sale_order_id"))
    if refund is None:
        raise Failed(100002, "售后单不存在")
    return {"after_sale_order": refund_document(call.shop.orders[refund.order_id], refund)}


def get_payment(call: Call) -> dict[str, Any]:
    """wxa/sec/order/get_order: a payment by its own number, or by the merchant's."""
    return {"order": payment_document(payment_of(call, call.params))}


def list_payments(call: Call) -> dict[str, Any]:
    """wxa/sec/order/get_order_list: payments by time, oldest first."""
    size = number_of(call.params, "page_size", 1, PAGE_LIMIT_ROWS, PAGE_LIMIT_ROWS)
    rows = [order for order in call.shop.orders.values() if order.is_paid]
    asked = call.params.get("pay_time_range")
    if asked:
        since, until = window_of(call, asked, ("begin_time", "end_time"), timedelta(days=3660))
        rows = [order for order in rows if order.paid_at is not None and since <= order.paid_at < until]
    rows.sort(key=lambda order: (order.paid_at, order.order_id))
    try:
        begin = int(call.params.get("last_index") or 0)
    except (TypeError, ValueError):
        raise Failed(10060014) from None
    shown = rows[begin : begin + size]
    end = begin + len(shown)
    return {"order_list": [payment_document(o) for o in shown], "last_index": str(end), "has_more": end < len(rows)}


def payment_of(call: Call, key: dict[str, Any]) -> PlatformOrder:
    """Return the paid order that a payment's number, or the merchant's own, names."""
    if key.get("transaction_id"):
        order_id = order_of_transaction(text_of(key, "transaction_id"))
    else:
        name = "out_trade_no" if "out_trade_no" in key else "merchant_trade_no"
        order_id = text_of(key, name, 10060014)
    order = call.shop.orders.get(order_id)
    if order is None or not order.is_paid:
        raise Failed(10060001)
    return order


Key = tuple[int, str]
Row = TypeVar("Row")


def _key_of(order: PlatformOrder, by_change: bool) -> Key:
    return (order.change_no if by_change else int(order.created_at.timestamp() * 1_000_000), order.order_id)


def _refund_key(at_s: float, refund: Refund) -> Key:
    return int(at_s * 1_000_000), refund.refund_id


def _page(call: Call, keyed: Sequence[tuple[Key, Row]], size: int) -> tuple[list[Row], str, bool]:
    """Return the rows after `next_key`, newest first: a row that changes meanwhile can hide no other."""
    after = _read_key(call.params.get("next_key"))
    rest = [pair for pair in keyed if after is None or pair[0] < after]
    shown = rest[:size]
    key = "{}_{}".format(*shown[-1][0]) if shown else ""
    return [row for _key, row in shown], key, len(rest) > size


def _read_key(text: Any) -> Key | None:
    if text in (None, ""):
        return None
    first, _, second = str(text).partition("_")
    if not first.isdigit() or not second:
        raise Failed(40097)
    return int(first), second
