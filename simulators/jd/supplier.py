"""Supplier orders (自营): JD itself buys, centre by centre, and waits to be told how much will come.

`POST /jd/supplier-orders/{shop_id}` lets JD place one; `GET` shows them with what was acknowledged.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.books import moment
from simulators.calls import as_json, page_of
from simulators.clock import of_wall, wall
from simulators.jd.refusals import JdRefused
from simulators.market import Market
from simulators.model import Shop

NAME, KEY = "jd", "supplier_orders"
LIST_LIMIT = timedelta(days=90)
PAGE_LIMIT = 100
NONE, TAKEN = 0, 1  # how far the acknowledgement is
Params = dict[str, Any]
Answer = dict[str, Any]
SUCCESS = {"success": True, "result_code": "200", "result_message": "成功"}


class WantedWare(BaseModel):
    """Units of a ware that a distribution centre wants."""

    ware_id: int
    quantity: int = Field(ge=1)
    price_fen: int = Field(default=1_000, ge=0)
    center_id: int = 6


class NewSupplierOrder(BaseModel):
    """What JD wants to buy."""

    lines: list[WantedWare] = Field(min_length=1, max_length=2_000)
    custom_order_id: str = ""


@dataclass
class Ware:
    """One line of a purchase order."""

    ware_id: int
    center_id: int
    original: int
    price_fen: int
    confirmed: int = 0
    reason: str = ""


@dataclass
class Purchase:
    """A purchase order."""

    order_id: int
    created_at: datetime
    updated_at: datetime
    wares: list[Ware]
    custom_order_id: str = ""
    confirm_state: int = NONE
    acknowledgements: int = 0
    refused: list[str] = field(default_factory=list)


def routes(market: Market) -> list[Route]:
    """Return where a test or an operator plays JD's buyer."""

    async def place(request: Request) -> Response:
        shop = market.shops.get((NAME, request.path_params["shop_id"]))
        if shop is None:
            return as_json({"detail": "no such shop"}, 404)
        if request.method == "GET":
            return as_json([_entry(purchase) for purchase in _all(shop).values()])
        try:
            wanted = NewSupplierOrder.model_validate_json(await request.body())
        except ValidationError as invalid:
            return as_json({"detail": invalid.errors(include_url=False, include_input=False)}, 422)
        wares = [Ware(line.ware_id, line.center_id, line.quantity, line.price_fen) for line in wanted.lines]
        number, now = int(market.digits(10)), market.now()
        purchase = Purchase(number, now, now, wares, wanted.custom_order_id)
        _all(shop)[str(number)] = purchase
        return as_json(_entry(purchase), 201)

    return [Route("/supplier-orders/{shop_id}", place, methods=["GET", "POST"])]


def purchases(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.vc.getpurchaseorderlist`: by creation, at most ninety days."""
    try:
        since, until = of_wall(str(params["created_date_start"])), of_wall(str(params["created_date_end"]))
        page, size = int(params.get("page_index") or 1), int(params.get("page_size") or 10)
    except (KeyError, ValueError):
        raise JdRefused(61, "created_date_start") from None
    if market.dials[NAME].windows_enforced and until - since > LIST_LIMIT:
        raise JdRefused(61, "created_date_end")
    if page < 1 or not 1 <= size <= PAGE_LIMIT:
        raise JdRefused(61, "page_size")
    found = [p for p in _all(shop).values() if since <= p.created_at < until + timedelta(seconds=1)]
    heads = [_head(purchase) for purchase in page_of(found, page, size)]
    return {"jos_order_result_dto": {**SUCCESS, "record_count": len(found), "purchase_order_list": heads}}


def lines(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.vc.getdetailbyorderid`: the lines of one purchase order."""
    purchase = _found(shop, params)
    rows = [
        {
            "order_id": purchase.order_id,
            "ware_id": ware.ware_id,
            "ware_name": f"商品{ware.ware_id}",
            "deliver_center_id": ware.center_id,
            "deliver_center_name": f"配送中心{ware.center_id}",
            "original_num": ware.original,
            "confirm_num": ware.confirmed,
            "actual_num": 0,
            "purchase_price": ware.price_fen / 100,
            "totoal_price": ware.price_fen * ware.original / 100,  # spelt so by the platform itself
            "store_id": 99,
        }
        for ware in purchase.wares
    ]
    return {"jos_detail_result_dto": {**SUCCESS, "record_count": len(rows), "purchase_allocation_detail_list": rows}}


def acknowledge(market: Market, shop: Shop, params: Params) -> Answer:
    """`jingdong.vc.confirmpurchaseorder`: four lists, paired by place; once, and never more than was ordered."""
    purchase = _found(shop, params)
    ids, numbers = _list(params, "ware_id"), _list(params, "confirm_num")
    centers, reasons = _list(params, "deliver_center_id"), str(params.get("back_explanation") or "").split(",")
    wares = {(str(ware.ware_id), str(ware.center_id)): ware for ware in purchase.wares}
    wrong = ""
    if purchase.confirm_state != NONE:
        wrong = "采购单已回告，不能重复回告"
    elif not len(ids) == len(numbers) == len(centers) or set(zip(ids, centers, strict=True)) != set(wares):
        wrong = "商品与采购单不一致"
    elif any(not n.isdigit() or int(n) > wares[i, c].original for i, c, n in zip(ids, centers, numbers, strict=True)):
        wrong = "回告数量错误"
    if wrong:
        purchase.refused.append(wrong)
        return {"jos_operate_result_dto": {"success": False, "result_code": "500", "result_message": wrong}}
    for place, (ware_id, center_id) in enumerate(zip(ids, centers, strict=True)):
        ware = wares[ware_id, center_id]
        ware.confirmed = int(numbers[place])
        ware.reason = reasons[place] if place < len(reasons) else ""
    purchase.confirm_state, purchase.updated_at = TAKEN, market.now()
    purchase.acknowledgements += 1
    return {"jos_operate_result_dto": dict(SUCCESS)}


def _all(shop: Shop) -> dict[str, Purchase]:
    found: dict[str, Purchase] = shop.extra.setdefault(KEY, {})
    return found


def _found(shop: Shop, params: Params) -> Purchase:
    purchase = _all(shop).get(str(params.get("order_id") or ""))
    if purchase is None:
        raise JdRefused(61, "order_id")
    return purchase


def _list(params: Params, name: str) -> list[str]:
    return [part.strip() for part in str(params.get(name) or "").split(",") if part.strip()]


def _head(purchase: Purchase) -> Answer:
    return {
        "order_id": purchase.order_id,
        "state": 1,
        "state_name": "待回告" if purchase.confirm_state == NONE else "已回告",
        "confirm_state": purchase.confirm_state,
        "is_can_confirm": purchase.confirm_state == NONE,
        "created_date": wall(purchase.created_at),
        "update_date": wall(purchase.updated_at),
        "total_price": sum(ware.price_fen * ware.original for ware in purchase.wares) / 100,
        "provider_code": "supplier",
        "custom_order_id": purchase.custom_order_id,
    }


def _entry(purchase: Purchase) -> Answer:
    entry = asdict(purchase)
    return {**entry, "created_at": moment(purchase.created_at), "updated_at": moment(purchase.updated_at)}
