"""The methods that write: shipments and stock."""

from typing import Any

from simulators.market import Market
from simulators.model import Shop, Status
from simulators.pinduoduo.documents import NO_REFUND, refund_status
from simulators.pinduoduo.refusals import PddRefused, failed
from simulators.registry import Refused

Params = dict[str, str]
Answer = dict[str, Any]
FIRST, CORRECTION = "1", "2"
COMPANIES = (
    (44, "SF", "顺丰快递"),
    (85, "YTO", "圆通快递"),
    (115, "ZTO", "中通快递"),
    (1, "STO", "申通快递"),
    (121, "YUNDA", "韵达快递"),
    (118, "EMS", "邮政EMS"),
    (132, "YZXB", "邮政快递包裹"),
    (120, "JD", "京东配送"),
    (384, "JTSD", "极兔速递"),
)


def ship(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.logistics.online.send`: the whole order; redelivery_type 2 corrects the waybill."""
    for name in ("order_sn", "logistics_id", "tracking_number"):
        if not params.get(name):
            raise PddRefused(20007, name)
    order = shop.orders.get(params["order_sn"])
    if order is None or not order.is_paid:
        raise failed("50002", "订单不存在")
    if not params["logistics_id"].isdigit():
        raise PddRefused(10000, "logistics_id")
    if params.get("redelivery_type", FIRST) not in (FIRST, CORRECTION):
        raise PddRefused(10000, "redelivery_type")
    again = params.get("redelivery_type", FIRST) == CORRECTION
    if again and order.shipped_at is None:
        order.uploads_refused += 1
        raise failed("50003", "订单未发货，不能修改发货")
    if order.status is Status.PAID and (order.risky or refund_status(order) != NO_REFUND):
        order.uploads_refused += 1
        raise failed("50003", "订单风控审核中，暂不能发货" if order.risky else "订单售后中，不能发货")
    waybill = params["tracking_number"]
    if order.shipped_at is not None and not again:
        same = any(upload.waybill == waybill for upload in order.uploads)
        if same:
            market.upload(shop, order, params["logistics_id"], waybill)
        else:
            order.uploads_refused += 1
        raise failed("50004", "订单已发货，请勿重复发货")
    try:
        market.upload(shop, order, params["logistics_id"], waybill, corrects=again)
    except Refused:
        raise failed("50003", "订单状态不允许发货") from None
    return {"logistics_online_send_response": {"is_success": True}}


def companies(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.logistics.companies.get`."""
    rows = [{"id": number, "code": code, "logistics_company": name, "available": 1} for number, code, name in COMPANIES]
    return {"logistics_companies_get_response": {"logistics_companies": rows}}


def set_stock(market: Market, shop: Shop, params: Params) -> Answer:
    """`pdd.goods.quantity.update`: update_type 1 full, 2 delta."""
    for name in ("goods_id", "quantity"):
        if not params.get(name):
            raise PddRefused(20007, name)
    listing = market.find_listing(shop, params["goods_id"], params.get("sku_id", ""), params.get("outer_id", ""))
    if listing is None:
        raise failed("50002", "商品或SKU不存在")
    kind = params.get("update_type", "1")
    if kind not in ("1", "2"):
        raise PddRefused(10000, "update_type")
    try:
        market.tell_stock(shop, listing, int(params["quantity"]), delta=kind == "2")
    except ValueError:
        raise PddRefused(10000, "quantity") from None
    except Refused:
        raise failed("50005", "库存不能小于0") from None
    return {"goods_quantity_update_response": {"is_success": True}}
