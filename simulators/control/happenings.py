"""Orders and what happens to them, one by one or as a crowd of buyers at a rate."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field

from simulators.books import order_entry, refund_entry
from simulators.buyers import Buyers, Mix
from simulators.control.found import Fen, conflicts, market_of, order_of, shop_of
from simulators.goods import receiver_of
from simulators.market import Want
from simulators.model import Receiver, RefundStatus

router = APIRouter()


@dataclass
class Crowd:
    """Buyers at work."""

    buyers: Buyers
    task: asyncio.Task[None]


class WantedLine(BaseModel):
    """Units of one of the shop's SKUs."""

    outer_id: str
    quantity: int = Field(default=1, ge=1)
    merchant_discount_fen: Fen = 0
    platform_discount_fen: Fen = 0


class NewReceiver(BaseModel):
    """Who gets the parcel."""

    name: str
    phone: str
    province: str
    city: str
    district: str
    address: str
    town: str = ""
    postcode: str = ""


class NewOrder(BaseModel):
    """An order to be placed, and paid unless `pay` is false."""

    platform: str
    shop_id: str
    lines: list[WantedLine] = Field(min_length=1)
    receiver: NewReceiver | None = None
    buyer_id: str = ""
    buyer_nick: str = ""
    shipping_fee_fen: Fen = 0
    note: str = ""
    risky: bool = False
    pay: bool = True


class Act(BaseModel):
    """What some actions need."""

    reason: str = "不想要了"
    amount_fen: Fen = 0
    line_id: str = ""
    memo: str = ""
    receiver: NewReceiver | None = None


class NewCrowd(BaseModel):
    """Buyers to be played: `count` orders (0: until stopped) at a rate of orders a second, in these shops (all)."""

    rate_per_s: float = Field(gt=0, le=10_000, allow_inf_nan=False)
    count: int = Field(default=0, ge=0)
    shops: list[tuple[str, str]] = []
    seed: int = 1
    mix: Mix = Mix()


@router.post("/orders", status_code=201)
async def place_order(request: Request, wanted: NewOrder) -> dict[str, Any]:
    """Place one order."""
    market = market_of(request)
    shop = shop_of(market, wanted.platform, wanted.shop_id)
    wants = []
    for line in wanted.lines:
        listing = market.find_listing(shop, outer_id=line.outer_id)
        if listing is None:
            raise HTTPException(404, "no such SKU")
        wants.append(Want(listing, line.quantity, line.merchant_discount_fen, line.platform_discount_fen))
    receiver = Receiver(**wanted.receiver.model_dump()) if wanted.receiver else receiver_of(len(shop.orders))
    with conflicts():
        order = market.place(
            shop,
            wants,
            receiver,
            buyer_id=wanted.buyer_id,
            buyer_nick=wanted.buyer_nick,
            shipping_fee_fen=wanted.shipping_fee_fen,
            note=wanted.note,
            risky=wanted.risky,
        )
        if wanted.pay:
            market.pay(shop, order)
    return order_entry(order)


@router.get("/orders/{platform}/{shop_id}/{order_id}")
async def read_order(request: Request, platform: str, shop_id: str, order_id: str) -> dict[str, Any]:
    """Show one order of the books."""
    return order_entry(order_of(shop_of(market_of(request), platform, shop_id), order_id))


@router.post("/orders/{platform}/{shop_id}/{order_id}/{action}")
async def act_on_order(
    request: Request, platform: str, shop_id: str, order_id: str, action: str, act: Act | None = None
) -> dict[str, Any]:
    """pay, cancel, change-address, memo, accept, finish, clear-risk, or refund (its answer is the refund)."""
    market, act = market_of(request), act or Act()
    shop = shop_of(market, platform, shop_id)
    order = order_of(shop, order_id)
    receiver = Receiver(**act.receiver.model_dump()) if act.receiver else receiver_of(order.change_no + 17)
    actions = {
        "pay": lambda: market.pay(shop, order),
        "cancel": lambda: market.cancel(shop, order, act.reason),
        "change-address": lambda: market.change_address(shop, order, receiver),
        "memo": lambda: market.remark(shop, order, act.memo),
        "accept": lambda: market.accept(shop, order),
        "finish": lambda: market.finish(shop, order),
        "clear-risk": lambda: market.clear_risk(shop, order),
    }
    with conflicts():
        if action == "refund":
            refund = market.ask_refund(shop, order, amount_fen=act.amount_fen, line_id=act.line_id, reason=act.reason)
            return refund_entry(refund)
        if action not in actions:
            raise HTTPException(404, "no such action")
        actions[action]()
    return order_entry(order)


@router.post("/refunds/{platform}/{shop_id}/{refund_id}/{status}")
async def settle_refund(
    request: Request, platform: str, shop_id: str, refund_id: str, status: RefundStatus
) -> dict[str, Any]:
    """Settle a refund: `agreed`, `succeeded` or `closed`."""
    market = market_of(request)
    shop = shop_of(market, platform, shop_id)
    refund = shop.refunds.get(refund_id)
    if refund is None:
        raise HTTPException(404, "no such refund")
    with conflicts():
        market.settle_refund(shop, refund, status)
    return refund_entry(refund)


@router.post("/buyers", status_code=201)
async def start_buyers(request: Request, wanted: NewCrowd) -> dict[str, Any]:
    """Let buyers come."""
    market = market_of(request)
    crowds: dict[str, Crowd] = request.app.state.crowds
    shops = [shop_of(market, *key) for key in wanted.shops] or list(market.shops.values())
    with conflicts():
        buyers = Buyers(market, shops, wanted.mix, wanted.seed)
    number = str(len(crowds) + 1)
    crowds[number] = Crowd(buyers, asyncio.create_task(buyers.play(wanted.rate_per_s, wanted.count)))
    return _crowd_entry(number, crowds[number])


@router.get("/buyers")
async def list_buyers(request: Request) -> list[dict[str, Any]]:
    """Show all crowds; `running` ends when all orders are placed and all that follows is done."""
    return [_crowd_entry(number, crowd) for number, crowd in request.app.state.crowds.items()]


@router.delete("/buyers/{number}")
async def stop_buyers(request: Request, number: str) -> dict[str, Any]:
    """Send a crowd home."""
    crowd: Crowd | None = request.app.state.crowds.get(number)
    if crowd is None:
        raise HTTPException(404, "no such crowd")
    crowd.task.cancel()
    await asyncio.gather(crowd.task, return_exceptions=True)
    return _crowd_entry(number, crowd)


def _crowd_entry(number: str, crowd: Crowd) -> dict[str, Any]:
    failure = "" if not crowd.task.done() or crowd.task.cancelled() else str(crowd.task.exception() or "")
    return {
        "buyers": number,
        "running": not crowd.task.done(),
        "failure": failure,
        "placed": crowd.buyers.placed,
        "done": dict(crowd.buyers.done),
        "mix": asdict(crowd.buyers.mix),
    }
