"""The methods that write: shipments and stock."""

import re
from typing import Any

from simulators.jd.documents import state_of
from simulators.jd.reading import order_of
from simulators.jd.refusals import JdRefused
from simulators.market import Market
from simulators.model import Shop, Status
from simulators.registry import Refused

Params = dict[str, Any]
Answer = dict[str, Any]
WAYBILLS_LIMIT = 20


def ship(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.pop.order.shipment`: the whole order, with one waybill or several, divided by commas."""
    order = order_of(shop, params)
    if order is None:
        return _shipped(False, "10400002", "订单不存在")
    carrier, numbers = str(params.get("logiCoprId") or ""), str(params.get("logiNo") or "")
    waybills = [part for part in re.split(r"[,|]", numbers) if part]
    if not carrier.isdigit() or not 1 <= len(waybills) <= WAYBILLS_LIMIT:
        raise JdRefused(61, "logiNo" if carrier.isdigit() else "logiCoprId")
    if state_of(order) == "LOCKED":
        order.uploads_refused += 1
        return _shipped(False, "10400003", "订单已锁定，不能出库")
    if order.status is Status.SHIPPED and any(upload.waybill in waybills for upload in order.uploads):
        market.upload(shop, order, carrier, waybills[0])
        return _shipped(False, "10400001", "订单已出库，请勿重复操作")
    try:
        for number, waybill in enumerate(waybills, start=1):
            market.upload(shop, order, carrier, waybill, more=number < len(waybills))
    except Refused:
        return _shipped(False, "10400004", "订单状态不允许出库")
    return _shipped(True, "0", "成功")


def _shipped(success: bool, code: str, words: str) -> Answer:
    english = "success" if success else "failed"
    return {
        "sopjosshipment_result": {
            "success": success,
            "errorCode": code,
            "chineseErrCode": words,
            "englishErrCode": english,
        }
    }


def set_stock(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.ware.stock.sku.set`: skuId and stockNum, or `req.skuStocks` with several of them."""
    container = params.get("req")
    rows = container.get("skuStocks", []) if isinstance(container, dict) else [params]
    results = [_set_one(market, shop, row) for row in rows if isinstance(row, dict)]
    if not results:
        raise JdRefused(61, "skuStocks")
    success = all(result["success"] for result in results)
    answer = {"success": success, "code": 200 if success else 500, "obj": {"updateStockResult": results}}
    return {"success": success, "returnType": answer}


def _set_one(market: Market, shop: Shop, row: Params) -> dict[str, Any]:
    sku_id, quantity = str(row.get("skuId") or ""), str(row.get("stockNum", ""))
    listing = market.find_listing(shop, sku_id=sku_id) if sku_id else None
    if listing is None:
        return {"data": sku_id, "success": False, "storeId": 0, "message": "SKU不存在"}
    if not quantity.isdigit():
        raise JdRefused(61, "stockNum")
    market.tell_stock(shop, listing, int(quantity))
    return {"data": sku_id, "success": True, "storeId": 0}


def read_stock(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.stock.read.findSkuStock`: what JD believes it may sell."""
    listing = market.find_listing(shop, sku_id=str(params.get("skuId") or "-"))
    if listing is None:
        raise JdRefused(61, "skuId")
    return {"skuStocks": [{"skuId": int(listing.sku_id), "stockNum": listing.stock, "storeId": 0}]}
