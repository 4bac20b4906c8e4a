"""The methods that read: orders by creation or change, and what buyers want back by application or decision."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from simulators.calls import Row, page_of
from simulators.clock import of_wall
from simulators.jd.documents import after_sale, application, order_document, state_of
from simulators.jd.refusals import JdRefused
from simulators.market import Market
from simulators.model import PlatformOrder, Refund, RefundStatus, Shop

Params = dict[str, Any]
Answer = dict[str, Any]
NAME = "jd"
ORDERS_LIMIT = timedelta(days=31)
APPLIED_LIMIT, DECIDED_LIMIT = timedelta(days=7), timedelta(days=10)
PAGES_LIMIT = 100
ORDER_PAGE_LIMIT, REFUND_PAGE_LIMIT = 100, 50
DONE = {"success": True, "chineseErrCode": "成功", "englishErrCode": "success", "numberCode": 0}


def search(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.pop.order.search`: at most a month; by change, unless dateType is 1; newest first if sortType is 1."""
    since, until = _window(market, params, "start_date", "end_date", ORDERS_LIMIT)
    states = {part.strip() for part in _needed(params, "order_state").split(",")}
    if str(params.get("dateType", "")) == "1":
        shown_until = market.shown_until(NAME, until)
        rows = [order for order in shop.orders.values() if since <= order.created_at < shown_until]
        rows.reverse()
    else:
        rows = market.orders_changed(shop, since, until)
    rows = [order for order in rows if state_of(order) in states]
    if str(params.get("sortType", "")) != "1":
        rows.reverse()
    page, size = _paging(params, "page", "page_size", ORDER_PAGE_LIMIT)
    fields = _fields(params)
    shown = [_only(order_document(shop, order, market.dials[NAME]), fields) for order in _page(rows, page, size)]
    market.shift_page(shop, rows)
    return {"searchorderinfo_result": {"apiResult": DONE, "orderTotal": len(rows), "orderInfoList": shown}}


def order_detail(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.pop.order.get`: one order, as it is now."""
    order = shop.orders.get(_needed(params, "order_id"))
    if order is None:
        wrong = {"success": False, "chineseErrCode": "订单不存在", "englishErrCode": "no order", "numberCode": 10100001}
        return {"orderDetailInfo": {"apiResult": wrong}}
    shown = _only(order_document(shop, order, market.dials[NAME]), _fields(params))
    return {"orderDetailInfo": {"apiResult": DONE, "orderInfo": shown}}


def applications(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.pop.afs.soa.refundapply.queryPageList`: wishes to cancel before shipping."""
    rows = _refunds(market, shop, params, ("applyTimeStart", "applyTimeEnd"), ("checkTimeStart", "checkTimeEnd"))
    wanted = {part for part in str(params.get("ids", "") or "").split(",") if part}
    rows = [r for r in rows if not r.after_shipping and (not wanted or r.refund_id in wanted)]
    documents = [application(refund, shop.orders[refund.order_id]) for refund in rows]
    status = str(params.get("status", ""))
    documents = [document for document in documents if status in ("", str(document["status"]))]
    page, size = _paging(params, "pageIndex", "pageSize", REFUND_PAGE_LIMIT)
    return {
        "queryResult": {"success": True, "totalCount": len(documents), "result": list(_page(documents, page, size))}
    }


def application_detail(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.pop.afs.soa.refundapply.queryById`: one wish to cancel."""
    refund = shop.refunds.get(_needed(params, "id"))
    if refund is None or refund.after_shipping:
        return {"queryResult": {"success": False, "errorCode": "10100002", "totalCount": 0, "result": []}}
    found = [application(refund, shop.orders[refund.order_id])]
    return {"queryResult": {"success": True, "totalCount": 1, "result": found}}


def after_sales(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.asc.serviceAndRefund.view`: after-sale documents with their money."""
    found = _refunds(market, shop, params, ("applyTimeBegin", "applyTimeEnd"), ("approveTimeBegin", "approveTimeEnd"))
    rows = [refund for refund in found if refund.after_shipping]
    page, size = _paging(params, "pageNumber", "pageSize", REFUND_PAGE_LIMIT)
    shown = [after_sale(refund, shop.orders[refund.order_id]) for refund in _page(rows, page, size)]
    return {
        "pageResult": {
            "success": True,
            "code": "0",
            "msg": "成功",
            "pageNumber": page,
            "pageSize": size,
            "totalCount": len(rows),
            "data": shown,
        }
    }


def _refunds(
    market: Market, shop: Shop, params: Params, applied: tuple[str, str], decided: tuple[str, str]
) -> list[Refund]:
    """Choose by order, or by time of application, or of decision; a change of one does not move the other."""
    order_id = str(params.get("orderId") or params.get("order_id") or "")
    rows: Iterable[Refund] = shop.refunds.values()
    if order_id:
        rows = [refund for refund in rows if refund.order_id == order_id]
    if params.get(applied[0]):
        since, until = _window(market, params, *applied, APPLIED_LIMIT)
        until = market.shown_until(NAME, until)
        rows = [refund for refund in rows if since <= refund.created_at < until]
    if params.get(decided[0]):
        since, until = _window(market, params, *decided, DECIDED_LIMIT)
        until = market.shown_until(NAME, until)
        rows = [r for r in rows if r.status is not RefundStatus.APPLIED and since <= r.modified_at < until]
    return sorted(rows, key=lambda refund: refund.created_at)


def _window(market: Market, params: Params, start: str, end: str, limit: timedelta) -> tuple[datetime, datetime]:
    try:
        since, until = of_wall(_needed(params, start)), of_wall(_needed(params, end))
    except ValueError:
        raise JdRefused(61, start) from None
    if until < since or (market.dials[NAME].windows_enforced and until - since > limit):
        raise JdRefused(61, end)
    return since, until + timedelta(seconds=1)


def _paging(params: Params, page_name: str, size_name: str, limit: int) -> tuple[int, int]:
    try:
        page, size = int(params.get(page_name) or 1), int(params.get(size_name) or 10)
    except (TypeError, ValueError):
        raise JdRefused(61, page_name) from None
    if page < 1 or not 1 <= size <= limit:
        raise JdRefused(61, size_name)
    return page, size


def _page(rows: Sequence[Row], page: int, size: int) -> Sequence[Row]:
    """Return a page; what lies deeper than the platform shows is empty, whatever the total says."""
    return page_of(rows, page, size) if page <= PAGES_LIMIT else []


def _fields(params: Params) -> set[str]:
    return {part.strip() for part in _needed(params, "optional_fields").split(",") if part.strip()}


def _only(document: Answer, fields: set[str]) -> Answer:
    return {name: value for name, value in document.items() if name in fields or name == "orderId"}


def _needed(params: Params, name: str) -> str:
    value = params.get(name)
    if value is None or value == "":
        raise JdRefused(61, name)
    return str(value)


def order_of(shop: Shop, params: Params) -> PlatformOrder | None:
    """Return the order that a call names."""
    return shop.orders.get(_needed(params, "orderId"))
