"""The methods that read: orders and refunds by change in half-hour windows, newest first, and their details."""

from datetime import UTC, datetime, timedelta
from typing import Any

from simulators.calls import page_of
from simulators.market import Market
from simulators.model import PlatformOrder, Shop
from simulators.pinduoduo.documents import (
    AFTER_SALES,
    goods_document,
    order_document,
    order_status,
    refund_row,
    refund_status,
)
from simulators.pinduoduo.refusals import PddRefused, failed

Params = dict[str, str]
Answer = dict[str, Any]
NAME = "pinduoduo"
PAGE_LIMIT = 100
CHANGED_LIMIT = timedelta(minutes=30)
CHANGED_LAG = timedelta(minutes=3)
WHOLE_SECOND = timedelta(seconds=1)
CONFIRMED_LIMIT = timedelta(hours=24)
ALL = "5"


def orders_changed(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.order.number.list.increment.get`: by change, at most half an hour, newest first, paid ones only.

    A window must end three minutes ago.
    """
    since, until = _window(market, params, "updated_at", CHANGED_LIMIT)
    if market.dials[NAME].windows_enforced and until > market.now() - CHANGED_LAG + WHOLE_SECOND:
        raise PddRefused(10000, "end_updated_at")
    found = market.orders_changed(shop, since, until)
    rows = [order for order in found if order.is_paid and _wanted(order, params)]
    page, size = _paging(params)
    shown = [order_document(order, market.dials[NAME]) for order in page_of(rows, page, size)]
    answer: Answer = {"order_sn_list": shown, "total_count": len(rows)}
    if params.get("use_has_next") == "true":
        answer = {"order_sn_list": shown, "has_next": page * size < len(rows)}
    market.shift_page(shop, rows)
    return {"order_sn_increment_get_response": answer}


def orders_confirmed(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.order.list.get`: by confirmation, at most a day."""
    since, until = _window(market, params, "confirm_at", CONFIRMED_LIMIT)
    until = market.shown_until(NAME, until)
    rows = [o for o in shop.orders.values() if o.paid_at and since <= o.paid_at < until and _wanted(o, params)]
    rows.reverse()
    page, size = _paging(params)
    shown = [order_document(order, market.dials[NAME]) for order in page_of(rows, page, size)]
    return {"order_list_get_response": {"order_list": shown, "total_count": len(rows)}}


def order_detail(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.order.information.get`: one order, as it is now."""
    order = _order(shop, params)
    return {"order_info_get_response": {"order_info": order_document(order, market.dials[NAME])}}


def statuses(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.order.status.get`: the status of up to a hundred orders."""
    wanted = [part.strip() for part in _needed(params, "order_sns").split(",") if part.strip()][:PAGE_LIMIT]
    rows = [
        {"orderSn": o.order_id, "order_status": order_status(o), "refund_status": refund_status(o)}
        for o in (shop.orders.get(order_id) for order_id in wanted)
        if o is not None and o.is_paid
    ]
    return {"order_status_get_response": {"order_status_list": rows}}


def refunds_changed(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.refund.list.increment.get`: refunds by change, at most half an hour, newest first."""
    since, until = _window(market, params, "updated_at", CHANGED_LIMIT)
    kind, status = _needed(params, "after_sales_type"), _needed(params, "after_sales_status")
    order_sn = params.get("order_sn", "")
    if order_sn:
        # With an order's number nothing else counts, though all must be said.
        rows = [refund for refund in shop.refunds.values() if refund.order_id == order_sn]
    else:
        rows = [
            refund
            for refund in market.refunds_changed(shop, since, until)
            if kind in ("1", "3" if refund.after_shipping else "2") and status in ("1", str(AFTER_SALES[refund.status]))
        ]
    page, size = _paging(params)
    shown = [refund_row(shop, refund) for refund in page_of(rows, page, size)]
    market.shift_refund_page(shop, rows)
    return {"refund_increment_get_response": {"refund_list": shown, "total_count": len(rows)}}


def refund_detail(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.refund.information.get`: one refund, as it is now."""
    refund = shop.refunds.get(_needed(params, "after_sales_id"))
    if refund is None or params.get("order_sn", refund.order_id) != refund.order_id:
        raise failed("50002", "售后单不存在")
    money = {"refund_amount": refund.amount_fen, "order_amount": shop.orders[refund.order_id].total_fen}
    # The detail comes without a name around it, and counts in fen where the list counts in yuan.
    return {**refund_row(shop, refund), **money}


def goods(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.goods.information.get`: one product with the stock of its SKUs."""
    wanted = _needed(params, "goods_id")
    listings = [listing for listing in shop.listings.values() if listing.listing_id == wanted]
    if not listings:
        raise failed("50002", "商品不存在")
    return {"goods_info_get_response": {"goods_info": goods_document(listings)}}


def goods_list(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.goods.list.get`: what the shop sells, or one outer id."""
    outer_id = params.get("outer_id", "")
    rows = [listing for listing in shop.listings.values() if outer_id in ("", listing.outer_id)]
    page, size = _paging(params)
    shown = [goods_document([listing]) for listing in page_of(rows, page, size)]
    return {"goods_list_get_response": {"goods_list": shown, "total_count": len(rows)}}


def _wanted(order: PlatformOrder, params: Params) -> bool:
    status = params.get("order_status", ALL)
    refund = params.get("refund_status", ALL)
    return status in (ALL, str(order_status(order))) and refund in (ALL, str(refund_status(order)))


def _order(shop: Shop, params: Params) -> PlatformOrder:
    order = shop.orders.get(_needed(params, "order_sn"))
    if order is None or not order.is_paid:
        raise failed("50002", "订单不存在")
    return order


def _paging(params: Params) -> tuple[int, int]:
    page, size = _number(params, "page", "1"), _number(params, "page_size", str(PAGE_LIMIT))
    if page < 1 or not 1 <= size <= PAGE_LIMIT:
        raise PddRefused(10000, f"page_size 1~{PAGE_LIMIT}")
    return page, size


def _window(market: Market, params: Params, of: str, limit: timedelta) -> tuple[datetime, datetime]:
    since_s, end_s = _number(params, f"start_{of}"), _number(params, f"end_{of}")
    if end_s < since_s:
        raise PddRefused(10000, f"end_{of}")
    if market.dials[NAME].windows_enforced and end_s - since_s > limit.total_seconds():
        raise PddRefused(10000, f"开始时间结束时间间距不超过{limit}")
    # Both ends are inclusive, and count whole seconds.
    return datetime.fromtimestamp(since_s, UTC), datetime.fromtimestamp(end_s + 1, UTC)


def _number(params: Params, name: str, usual: str = "") -> int:
    text = params.get(name, usual) or usual
    if not text:
        raise PddRefused(20007, name)
    if not text.isdigit() or len(text) > 12:
        raise PddRefused(10000, name)
    return int(text)


def _needed(params: Params, name: str) -> str:
    value = params.get(name, "")
    if not value:
        raise PddRefused(20007, name)
    return value
