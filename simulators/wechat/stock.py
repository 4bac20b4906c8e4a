"""Calls about stock: add, take or set. Nothing makes a repeat harmless, and the documents advise against set."""

from typing import Any

from simulators.model import Listing
from simulators.registry import Refused
from simulators.wechat.answers import Failed
from simulators.wechat.dials import dials_of
from simulators.wechat.gate import Call, number_of

ADD, TAKE, SET = 1, 2, 3
STOCK_LIMIT = 10**8


def update_stock(call: Call) -> dict[str, Any]:
    """ec/product/stock/update."""
    listing = _listing(call)
    kind = number_of(call.params, "diff_type", ADD, SET)
    count = number_of(call.params, "num", 0, STOCK_LIMIT)
    if call.market.falls(dials_of(call.market).stock_busy_percent):
        raise Failed(10020112)
    if kind != SET and count == 0:
        raise Failed(10020054)
    try:
        call.market.tell_stock(call.shop, listing, -count if kind == TAKE else count, delta=kind != SET)
    except Refused:
        raise Failed(10020054) from None
    return {}


def get_stock(call: Call) -> dict[str, Any]:
    """ec/product/stock/get."""
    stock = _listing(call).stock
    said = {
        "normal_stock_num": stock,
        "limited_discount_stock_num": 0,
        "warehouse_stocks": [],
        "total_stock_num": stock,
    }
    return {"data": said}


def _listing(call: Call) -> Listing:
    listing = call.shop.listings.get((call.text("product_id"), call.text("sku_id")))
    if listing is None:
        raise Failed(10020052)
    return listing
