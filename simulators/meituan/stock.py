"""Calls about stock: full values only, for up to 200 products; what is unknown is named beside the success."""

import json
from typing import Any

from starlette.responses import Response

from simulators.meituan.answers import OK, Failed, succeeded
from simulators.meituan.documents import sku_of, spu_of, stock_document, written
from simulators.meituan.gate import Call
from simulators.model import Listing, Shop

PRODUCTS_LIMIT = 200
STOCK_LIMIT = 10**8


def sku_stock(call: Call) -> Response:
    """retail/sku/stock: sets; there is neither a difference nor an idempotency key."""
    shop = call.shop()
    wanted, unknown = _wanted(shop, call.text("food_data"))
    if unknown and not wanted:
        raise Failed(unknown[0]["code"])
    for listing, stock in wanted:
        call.market.tell_stock(shop, listing, stock)
    return succeeded(OK, written(unknown) if unknown else "")


def get_product(call: Call) -> dict[str, Any]:
    """retail/get: one product with its stock."""
    shop = call.shop()
    code = call.params.get("app_food_code") or call.text("app_spu_code")
    for listing in shop.listings.values():
        if code in (spu_of(listing.listing_id, listing.outer_id), listing.outer_id):
            return stock_document(shop, listing)
    raise Failed(805)


def _wanted(shop: Shop, food_data: str) -> tuple[list[tuple[Listing, int]], list[dict[str, Any]]]:
    try:
        products = json.loads(food_data)
    except (ValueError, RecursionError):
        raise Failed(705) from None
    if not isinstance(products, list) or not 1 <= len(products) <= PRODUCTS_LIMIT:
        raise Failed(705)
    wanted, unknown = [], []
    for product in products:
        code, skus = _product(product)
        of_product = [each for each in shop.listings.values() if code in (each.listing_id, each.outer_id)]
        for sku in skus:
            name, stock = _sku(sku)
            found = [each for each in of_product if name in (sku_of(each), each.sku_id)]
            if found:
                wanted.append((found[0], stock))
            else:
                said = {"app_food_code": code, "sku_id": name, "code": 1015 if of_product else 805}
                unknown.append({**said, "error_msg": "不存在此菜品sku" if of_product else "不存在此菜品"})
    return wanted, unknown


def _product(product: Any) -> tuple[str, list[Any]]:
    code = (product.get("app_spu_code") or product.get("app_food_code")) if isinstance(product, dict) else None
    skus = product.get("skus") if isinstance(product, dict) else None
    if not isinstance(code, str) or not isinstance(skus, list) or not skus:
        raise Failed(705)
    return code, skus


def _sku(sku: Any) -> tuple[str, int]:
    name, stock = (sku.get("sku_id"), str(sku.get("stock"))) if isinstance(sku, dict) else (None, "")
    if not isinstance(name, str) or not stock.isascii() or not stock.isdigit() or int(stock) > STOCK_LIMIT:
        raise Failed(705)
    return name, int(stock)
