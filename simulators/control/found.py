"""Finds what a control call names, or answers 404, 409 or 422 with the reason."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field

from simulators.market import Market
from simulators.model import PlatformOrder, Shop
from simulators.registry import Refused

Fen = Annotated[int, Field(ge=0, le=10**12)]
Units = Annotated[int, Field(ge=0, le=10**12)]


async def on_unfit(request: Request, error: Exception) -> JSONResponse:
    """Answer what does not fit without repeating it: NaN and Infinity, which Python reads, no answer can hold."""
    assert isinstance(error, RequestValidationError)
    found = [{"loc": each["loc"], "msg": each["msg"], "type": each["type"]} for each in error.errors()]
    return JSONResponse({"detail": found}, 422)


def market_of(request: Request) -> Market:
    """Return the program's market."""
    found: Market = request.app.state.market
    return found


def shop_of(market: Market, platform: str, shop_id: str) -> Shop:
    """Return a shop."""
    shop = market.shops.get((platform, shop_id))
    if shop is None:
        raise HTTPException(404, "no such shop")
    return shop


def order_of(shop: Shop, order_id: str) -> PlatformOrder:
    """Return an order of a shop."""
    order = shop.orders.get(order_id)
    if order is None:
        raise HTTPException(404, "no such order")
    return order


@contextmanager
def conflicts() -> Iterator[None]:
    """Turn what the market refuses into 409."""
    try:
        yield
    except Refused as refused:
        raise HTTPException(409, refused.reason) from None
