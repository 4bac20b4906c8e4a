"""The methods that read: trades and refunds by creation or change, newest first, and their details."""

from datetime import datetime, timedelta
from typing import Any

from simulators.calls import page_of
from simulators.clock import of_wall, wall
from simulators.market import Market
from simulators.model import PlatformOrder, Shop
from simulators.taobao.documents import item, refund_document, sku, status_of, trade
from simulators.taobao.refusals import failed, invalid, missing

Params = dict[str, str]
Answer = dict[str, Any]
PAGE_LIMIT, PAGE_USUAL = 100, 40
INCREMENT_LIMIT = timedelta(days=1)
SOLD_LIMIT = timedelta(days=90)


def trades_changed(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.trades.sold.increment.get`: by change, at most a day, newest first."""
    since, until = _window(market, params, "modified", INCREMENT_LIMIT, needed=True)
    rows = [order for order in market.orders_changed(shop, since, until) if _wanted(order, params)]
    return _trades(market, shop, params, rows)


def trades_sold(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.trades.sold.get`: by creation, at most three months, newest first."""
    since, until = _window(market, params, "created", SOLD_LIMIT, needed=False)
    until = market.shown_until(shop.platform, until)
    rows = [order for order in shop.orders.values() if since <= order.created_at < until and _wanted(order, params)]
    rows.sort(key=lambda order: order.created_at, reverse=True)
    return _trades(market, shop, params, rows)


def trade_detail(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.trade.fullinfo.get`: one trade, as it is now."""
    order = shop.orders.get(_needed(params, "tid"))
    if order is None:
        raise failed("isv.trade-not-exist", "交易订单不存在")
    return {"trade": _fields(trade(shop, order, market.dials[shop.platform]), params)}


def refunds_changed(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.refunds.receive.get`: refunds by change, newest first."""
    since, until = _window(market, params, "modified", SOLD_LIMIT, needed=False)
    rows = market.refunds_changed(shop, since, until)
    page, size = _paging(params)
    shown = [_fields(refund_document(shop, refund), params) for refund in page_of(rows, page, size)]
    answer: Answer = {"refunds": {"refund": shown}} if shown else {}
    market.shift_refund_page(shop, rows)
    return {**answer, **_end(params, len(rows), page, size)}


def refund_detail(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.refund.get`: one refund."""
    refund = shop.refunds.get(_needed(params, "refund_id"))
    if refund is None:
        raise failed("isv.refund-not-exist", "退款单不存在")
    return {"refund": _fields(refund_document(shop, refund), params)}


def item_detail(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.item.seller.get`: an item with the stock of its SKUs."""
    listing = market.find_listing(shop, listing_id=_needed(params, "num_iid"))
    if listing is None:
        raise failed("isv.item-not-exist:num_iid", "商品不存在")
    return {"item": item(shop, listing.listing_id, wall(market.now()))}


def sku_detail(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.item.sku.get`: one SKU."""
    listing = market.find_listing(shop, params.get("num_iid", ""), _needed(params, "sku_id"))
    if listing is None:
        raise failed("isv.sku-not-exist", "SKU不存在")
    return {"sku": sku(listing)}


def skus_of_items(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.item.skus.get`: the SKUs of items."""
    wanted = set(_needed(params, "num_iids").split(","))
    return {"skus": {"sku": [sku(listing) for listing in shop.listings.values() if listing.listing_id in wanted]}}


def _trades(market: Market, shop: Shop, params: Params, rows: list[PlatformOrder]) -> Answer:
    page, size = _paging(params)
    dials = market.dials[shop.platform]
    shown = [_fields(trade(shop, order, dials), params) for order in page_of(rows, page, size)]
    answer: Answer = {"trades": {"trade": shown}} if shown else {}
    answer |= _end(params, len(rows), page, size)
    market.shift_page(shop, rows)
    return answer


def _end(params: Params, total: int, page: int, size: int) -> Answer:
    if params.get("use_has_next") == "true":
        return {"has_next": page * size < total}
    return {"total_results": total}


def _paging(params: Params) -> tuple[int, int]:
    try:
        page, size = int(params.get("page_no", "1")), int(params.get("page_size", str(PAGE_USUAL)))
    except ValueError:
        raise invalid("page_no") from None
    if page < 1:
        raise invalid("page_no")
    if not 1 <= size <= PAGE_LIMIT:
        raise invalid("page_size", f"超过最大值{PAGE_LIMIT}")
    return page, size


def _window(market: Market, params: Params, of: str, limit: timedelta, *, needed: bool) -> tuple[datetime, datetime]:
    now = market.now()
    moments = {}
    for name, usual in ((f"start_{of}", now - SOLD_LIMIT), (f"end_{of}", now + timedelta(seconds=1))):
        text = params.get(name, "")
        if not text and needed:
            raise missing(name)
        try:
            moments[name] = of_wall(text) if text else usual
        except ValueError:
            raise invalid(name) from None
    since, end = moments[f"start_{of}"], moments[f"end_{of}"]
    if end < since:
        raise invalid(f"end_{of}", "结束时间小于开始时间")
    if market.dials["taobao"].windows_enforced and end - since > limit and needed:
        raise invalid(f"end_{of}", "时间跨度不能超过一天")
    # Both ends are inclusive, and a wall clock shows whole seconds.
    return since, end + timedelta(seconds=1)


def _wanted(order: PlatformOrder, params: Params) -> bool:
    return params.get("status", "") in ("", status_of(order))


def _fields(document: Answer, params: Params) -> Answer:
    asked = {field.strip().split(".")[0] for field in params.get("fields", "").split(",") if field.strip()}
    if not asked:
        raise missing("fields")
    return {name: value for name, value in document.items() if name in asked}


def _needed(params: Params, name: str) -> str:
    value = params.get(name, "")
    if not value:
        raise missing(name)
    return value
