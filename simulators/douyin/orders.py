"""Calls that read: orders and refunds by page or one by one, and the decryption of receivers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from simulators.douyin.answers import BusinessFailed, Failed
from simulators.douyin.dials import NAME, dials_of
from simulators.douyin.documents import order_document, refund_document, refund_row, status_of
from simulators.douyin.gate import Call, moment
from simulators.douyin.receivers import ENCRYPTED, decrypted
from simulators.model import PlatformOrder, Refund

PAGE_LIMIT_ROWS = 100
PAGES_LIMIT = 10_000
WINDOW_LIMIT = timedelta(days=90)
CIPHERS_LIMIT = 50


def search_list(call: Call) -> dict[str, Any]:
    """order.searchList: whole orders, by time of creation or change; `total` counts them all."""
    size, page = call.number("size", 1, PAGE_LIMIT_ROWS), call.number("page", 0, PAGES_LIMIT)
    changed = _window(call)
    if call.params.get("combine_status"):
        changed = [order for order in changed if _has_status(call, order)]
    by = call.params.get("order_by") or "create_time"
    if by not in ("create_time", "update_time"):
        raise Failed(40004, "isv.parameter-invalid", "参数order_by不合法")
    rows = changed if by == "update_time" else sorted(changed, key=_by_creation, reverse=True)
    first, last = page * size, (page + 1) * size
    ascending = call.params.get("order_asc") in (True, "true")
    if ascending:
        first, last = max(0, len(rows) - last), max(0, len(rows) - first)
    shown = list(reversed(rows[first:last])) if ascending else rows[first:last]
    document = [order_document(call.shop, order, shown_receivers(call)) for order in shown]
    total = len(rows)
    # The newest rows of the window change while their reader turns the page.
    call.market.shift_page(call.shop, changed)
    return {"page": page, "size": len(shown), "total": total, "shop_order_list": document}


def order_detail(call: Call) -> dict[str, Any]:
    """order.orderDetail: one order, without any lag."""
    return {"shop_order_detail": order_document(call.shop, order_of(call, "shop_order_id"), shown_receivers(call))}


def batch_decrypt(call: Call) -> dict[str, Any]:
    """order.batchDecrypt: clear texts for encrypted ones, one by one refused where they are not ours."""
    asked = call.params.get("cipher_infos")
    if not isinstance(asked, list) or not 1 <= len(asked) <= CIPHERS_LIMIT:
        raise Failed(40004, "isv.parameter-invalid", "参数cipher_infos不合法")
    if not dials_of(call.market).decrypts:
        raise Failed(30001, "isv.app-permissions-insufficient", "应用无权限调用该接口，请先申请接口权限包")
    found = []
    for each in asked:
        auth_id, text = (str(each.get(name, "")) for name in ("auth_id", "cipher_text"))
        order = call.shop.orders.get(auth_id)
        clear = decrypted(order, text) if order else None
        err = (0, "") if clear is not None else (300008, "解密失败")
        found.append(
            {
                "auth_id": auth_id,
                "cipher_text": text,
                "decrypt_text": clear or "",
                "err_no": err[0],
                "err_msg": err[1],
            }
        )
    return {"decrypt_infos": found}


def after_sale_list(call: Call) -> dict[str, Any]:
    """afterSale.List: refunds by time of change, newest application first unless asked otherwise."""
    size, page = call.number("size", 1, PAGE_LIMIT_ROWS), call.number("page", 0, PAGES_LIMIT)
    now = call.market.now()
    since = moment(call, "update_start_time", now - WINDOW_LIMIT)
    until = moment(call, "update_end_time", now + timedelta(seconds=1))
    _check_window(call, since, until)
    rows = [refund for refund in call.market.refunds_changed(call.shop, since, until) if _is_asked(call, refund)]
    by = call.params.get("order_by") or ["apply_time desc"]
    name, _, direction = str(by[0] if isinstance(by, list) else by).partition(" ")
    rows.sort(key=_refund_by_change if name == "update_time" else _refund_by_creation, reverse=direction != "asc")
    shown = rows[page * size : (page + 1) * size]
    return {
        "items": [refund_row(call.shop.orders[refund.order_id], refund) for refund in shown],
        "has_more": (page + 1) * size < len(rows),
        "total": len(rows),
        "page": page,
        "size": len(shown),
    }


def after_sale_detail(call: Call) -> dict[str, Any]:
    """afterSale.Detail: one refund."""
    refund = call.shop.refunds.get(call.text("after_sale_id"))
    if refund is None:
        raise BusinessFailed(26002, "售后单不存在")
    return refund_document(call.shop.orders[refund.order_id], refund)


def order_of(call: Call, name: str) -> PlatformOrder:
    """Return the order that a parameter names."""
    order = call.shop.orders.get(call.text(name))
    if order is None:
        raise BusinessFailed(2001010, "订单不存在")
    return order


def shown_receivers(call: Call) -> str:
    """Return how receivers are shown at the moment."""
    return call.market.dials[NAME].receivers or ENCRYPTED


def _window(call: Call) -> Sequence[PlatformOrder]:
    """Return the orders of the window that is asked for, newest change first."""
    now = call.market.now()
    end = now + timedelta(seconds=1)
    if call.params.get("update_time_start") or call.params.get("update_time_end"):
        since, until = moment(call, "update_time_start", now - WINDOW_LIMIT), moment(call, "update_time_end", end)
        _check_window(call, since, until)
        return call.market.orders_changed(call.shop, since, until)
    since, until = moment(call, "create_time_start", now - WINDOW_LIMIT), moment(call, "create_time_end", end)
    _check_window(call, since, until)
    shown_until = call.market.shown_until(NAME, until)
    found = [order for order in call.shop.orders.values() if since <= order.created_at < shown_until]
    return sorted(found, key=_by_change, reverse=True)


def _check_window(call: Call, since: datetime, until: datetime) -> None:
    too_wide = call.market.dials[NAME].windows_enforced and until - since > WINDOW_LIMIT + timedelta(seconds=1)
    if until < since or too_wide:
        raise Failed(40004, "isv.parameter-invalid", "查询时间范围不合法")


def _has_status(call: Call, order: PlatformOrder) -> bool:
    names = {
        name.strip()
        for each in call.params["combine_status"]
        if isinstance(each, dict)
        for name in str(each.get("order_status") or each.get("main_status") or "").split(",")
    }
    return str(status_of(order)) in names


def _is_asked(call: Call, refund: Refund) -> bool:
    order_id, refund_id = call.params.get("order_id"), call.params.get("aftersale_id")
    return (not order_id or refund.order_id == str(order_id)) and (not refund_id or refund.refund_id == str(refund_id))


def _by_change(order: PlatformOrder) -> tuple[datetime, int]:
    return order.modified_at, order.change_no


def _by_creation(order: PlatformOrder) -> tuple[datetime, str]:
    return order.created_at, order.order_id


def _refund_by_change(refund: Refund) -> tuple[datetime, str]:
    return refund.modified_at, refund.refund_id


def _refund_by_creation(refund: Refund) -> tuple[datetime, str]:
    return refund.created_at, refund.refund_id
