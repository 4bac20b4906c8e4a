"""The methods that write: shipments and stock."""

import re
from typing import Any

from simulators.clock import wall
from simulators.market import Market
from simulators.model import Listing, PlatformOrder, Shop
from simulators.registry import Refused
from simulators.taobao.documents import item
from simulators.taobao.refusals import failed, invalid, missing

Params = dict[str, str]
Answer = dict[str, Any]
SKUS_LIMIT = 20
OFFLINE = "isv.logistics-offline-service-error"
COMPANY = re.compile(r"[A-Za-z0-9_\-]{2,32}")
COMPANIES = (
    (505, "SF", "顺丰速运"),
    (101, "YTO", "圆通速递"),
    (500, "ZTO", "中通快递"),
    (100, "STO", "申通快递"),
    (102, "YUNDA", "韵达快递"),
    (2, "EMS", "EMS"),
    (1, "POST", "中国邮政"),
    (1216, "JD", "京东快递"),
    (1056, "JTSD", "极兔速递"),
)


def ship(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.logistics.offline.send`: whole, or with is_split=1 the named sub-orders."""
    order = _order(shop, params)
    company, waybill = _parcel(params)
    lines: list[tuple[str, int]] = []
    if params.get("is_split", "0") == "1":
        wanted = [part.strip() for part in params.get("sub_tid", "").split(",") if part.strip()]
        by_id = {line.line_id: line for line in order.lines}
        if not wanted or any(line_id not in by_id for line_id in wanted):
            raise failed(f"{OFFLINE}:P38", "拆单校验未通过")
        lines = [(line_id, by_id[line_id].quantity) for line_id in wanted]
    return _sent(market, shop, order, company, waybill, lines)


def ship_without_parcel(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.logistics.dummy.send`: nothing is carried."""
    order = _order(shop, params)
    return _sent(market, shop, order, "DUMMY", f"DUMMY{order.order_id}", [])


def ship_again(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.logistics.consign.resend`: another waybill for what was shipped."""
    order = _order(shop, params)
    company, waybill = _parcel(params)
    if order.shipped_at is None:
        order.uploads_refused += 1
        raise failed("isv.logistics-resend-service-error:B01", "订单未发货，不能修改运单号")
    market.upload(shop, order, company, waybill, corrects=True)
    return {"shipping": {"is_success": True}}


def companies(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.logistics.companies.get`."""
    rows = [{"id": number, "code": code, "name": name, "reg_mail_no": ""} for number, code, name in COMPANIES]
    return {"logistics_companies": {"logistics_company": rows}}


def set_stock(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.item.quantity.update`: one SKU, set (type 1) or delta (type 2)."""
    num_iid = params.get("num_iid", "")
    if not num_iid:
        raise missing("num_iid")
    listing = market.find_listing(shop, num_iid, params.get("sku_id", ""), params.get("outer_id", ""))
    if listing is None:
        raise failed("isv.item-not-exist:num_iid", "商品或SKU不存在")
    _tell(market, shop, listing, params.get("quantity", ""), params.get("type", "1"))
    return {"item": item(shop, listing.listing_id, wall(market.now()))}


def set_stocks(market: Market, shop: Shop, params: Params) -> Answer:
    """`taobao.skus.quantity.update`: up to twenty SKUs of an item, `sku:quantity;sku:quantity`."""
    num_iid = params.get("num_iid", "")
    pairs = [pair.split(":") for pair in params.get("skuid_quantities", "").split(";") if pair]
    if not num_iid or not pairs:
        raise missing("skuid_quantities" if num_iid else "num_iid")
    if len(pairs) > SKUS_LIMIT or any(len(pair) != 2 for pair in pairs):
        raise invalid("skuid_quantities")
    found = [(market.find_listing(shop, num_iid, sku_id), quantity) for sku_id, quantity in pairs]
    for listing, quantity in found:
        if listing is None:
            raise failed("isv.item-not-exist:num_iid", "商品或SKU不存在")
        _tell(market, shop, listing, quantity, params.get("type", "1"))
    return {"item": item(shop, num_iid, wall(market.now()))}


def _tell(market: Market, shop: Shop, listing: Listing, quantity: str, kind: str) -> None:
    if kind not in ("1", "2"):
        raise invalid("type")
    try:
        market.tell_stock(shop, listing, int(quantity), delta=kind == "2")
    except ValueError:
        raise invalid("quantity") from None
    except Refused:
        raise failed("isv.item-quantity-item-update-service-error", "库存不能小于0") from None


def _sent(
    market: Market, shop: Shop, order: PlatformOrder, company: str, waybill: str, lines: list[tuple[str, int]]
) -> Answer:
    try:
        upload = market.upload(shop, order, company, waybill, lines)
    except Refused as refused:
        raise failed(
            f"{OFFLINE}:B04", f"订单状态不对，该物流订单已经发货或者已关闭，不能重复发货 ({refused.reason})"
        ) from None
    if upload.kind == "repeated":
        raise failed(f"{OFFLINE}:B04", "订单状态不对，该物流订单已经发货或者已关闭，不能重复发货")
    return {"shipping": {"is_success": True}}


def _order(shop: Shop, params: Params) -> PlatformOrder:
    if not params.get("tid"):
        raise missing("tid")
    order = shop.orders.get(params["tid"])
    if order is None:
        raise failed(f"{OFFLINE}:B01", "订单不存在")
    return order


def _parcel(params: Params) -> tuple[str, str]:
    company, waybill = params.get("company_code", ""), params.get("out_sid", "")
    if not company or not waybill:
        raise missing("out_sid" if company else "company_code")
    if not COMPANY.fullmatch(company):
        raise invalid("company_code")
    return company, waybill
