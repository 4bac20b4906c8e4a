"""Calls about stock: set or increment, with an idempotency key that increments need; batches; reading."""

from typing import Any

from simulators.douyin.answers import BusinessFailed, Failed
from simulators.douyin.dials import dials_of
from simulators.douyin.documents import stock_document
from simulators.douyin.gate import Call
from simulators.model import Listing
from simulators.registry import Refused

STOCK_LIMIT = 10**7
BATCH_LIMIT = 50


def sync_stock(call: Call) -> dict[str, Any]:
    """sku.syncStock: an increment whose idempotent_id is known changes nothing, and says so as an error."""
    listing = _listing(call, call.params)
    incremental = call.params.get("incremental") in (True, "true")
    key = str(call.params.get("idempotent_id") or "")
    if incremental and not key:
        raise Failed(40002, "isv.parameter-missing", "增量更新时idempotent_id必填")
    quantity = call.number("stock_num", -STOCK_LIMIT if incremental else 0, STOCK_LIMIT)
    try:
        told = call.market.tell_stock(call.shop, listing, quantity, delta=incremental, key=key if incremental else "")
    except Refused:
        raise BusinessFailed(2003002, "库存不足，扣减后小于0") from None
    if told.repeated and dials_of(call.market).repeat_of_increment_is_error:
        raise Failed(40003, "isv.idempotent-id-existed", "幂等ID重复")
    return {}


def sync_stock_batch(call: Call) -> dict[str, Any]:
    """sku.syncStockBatch: full values for SKUs of one product, all or nothing."""
    asked = call.params.get("sku_sync_list")
    if not isinstance(asked, list) or not 1 <= len(asked) <= BATCH_LIMIT:
        raise Failed(40004, "isv.parameter-invalid", "参数sku_sync_list不合法")
    wanted = []
    for each in asked:
        stock = each.get("stock_num") if isinstance(each, dict) else None
        if not isinstance(stock, int) or not 0 <= stock <= STOCK_LIMIT:
            raise Failed(40004, "isv.parameter-invalid", "参数stock_num不合法")
        wanted.append((_listing(call, {**each, "product_id": call.params.get("product_id")}), stock))
    for listing, stock in wanted:
        call.market.tell_stock(call.shop, listing, stock)
    return {}


def stock_num(call: Call) -> dict[str, Any]:
    """sku.stockNum: what the platform would still sell."""
    return stock_document(_listing(call, call.params))


def _listing(call: Call, given: dict[str, Any]) -> Listing:
    product_id, sku_id, code = (str(given.get(name) or "") for name in ("product_id", "sku_id", "code"))
    if not sku_id and not code:
        raise Failed(40002, "isv.parameter-missing", "sku_id和code不能同时为空")
    listing = call.market.find_listing(call.shop, product_id, sku_id, code)
    if listing is None:
        raise BusinessFailed(2003001, "sku不存在")
    return listing
