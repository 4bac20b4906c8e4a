"""Shops, dials, the clock, the books: the state of the market."""

from dataclasses import asdict, fields
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from simulators.books import books, moment, refund_entry, stock_entry
from simulators.control.found import Fen, Units, conflicts, market_of, shop_of
from simulators.goods import STOCK_UNITS, catalogue
from simulators.market import Market
from simulators.model import Listing, Shop
from simulators.quirks import Dials

router = APIRouter()
SENT_LIMIT_ENTRIES = 1_000
_DIALS: TypeAdapter[Dials] = TypeAdapter(Dials)


class NewSku(BaseModel):
    """A listing of a new shop."""

    outer_id: str
    title: str = "商品"
    price_fen: Fen = 1_000
    stock: Units = STOCK_UNITS
    listing_id: str = ""
    sku_id: str = ""


class NewShop(BaseModel):
    """A shop to be opened. Without `skus` it sells `catalogue` of the real data's SKUs (0: all of them)."""

    platform: str
    shop_id: str = ""
    name: str = ""
    push_url: str = ""
    app_key: str = ""
    skus: list[NewSku] | None = None
    catalogue: int = Field(default=0, ge=0)
    stock: Units = STOCK_UNITS


class ShopChange(BaseModel):
    """What may change about a shop."""

    push_url: str | None = None


class ClockChange(BaseModel):
    """Simulated time: a shift forward in seconds, and how many simulated seconds pass in a real one."""

    advance_s: float = Field(default=0, ge=0, allow_inf_nan=False)
    rate: float | None = Field(default=None, gt=0, le=100_000, allow_inf_nan=False)


def access_of(shop: Shop) -> dict[str, Any]:
    """Return all that a connector needs to speak for a shop, in the names of its access."""
    return {
        "platform": shop.platform,
        "shop_id": shop.shop_id,
        "name": shop.name,
        "app_key": shop.app.app_key,
        "app_secret": shop.app.secret,
        "access_token": shop.grant.access_token,
        "refresh_token": shop.grant.refresh_token,
        "access_expires_at": moment(shop.grant.access_until),
        "refresh_expires_at": moment(shop.grant.refresh_until),
        "seller_id": shop.seller_id,
        "secrets": shop.settings,
        "push_url": shop.push_url,
        "gateway": f"/{shop.platform}",
    }


@router.post("/shops", status_code=201)
async def create_shop(request: Request, wanted: NewShop) -> dict[str, Any]:
    """Open a shop; the answer holds its credentials."""
    market = market_of(request)
    if wanted.platform not in market.platforms:
        raise HTTPException(404, "no such platform")
    if wanted.skus is None:
        listings = catalogue(market, wanted.catalogue, wanted.stock)
    else:
        listings = [_listing(market, sku) for sku in wanted.skus]
    with conflicts():
        shop = market.create_shop(
            wanted.platform,
            wanted.shop_id,
            name=wanted.name,
            push_url=wanted.push_url,
            app_key=wanted.app_key,
            listings=listings,
        )
    return access_of(shop)


@router.get("/shops")
async def list_shops(request: Request) -> list[dict[str, Any]]:
    """List the shops with their credentials."""
    return [access_of(shop) for shop in market_of(request).shops.values()]


@router.get("/shops/{platform}/{shop_id}")
async def read_shop(request: Request, platform: str, shop_id: str) -> dict[str, Any]:
    """Show a shop with its credentials."""
    return access_of(shop_of(market_of(request), platform, shop_id))


@router.patch("/shops/{platform}/{shop_id}")
async def change_shop(request: Request, platform: str, shop_id: str, change: ShopChange) -> dict[str, Any]:
    """Change where a shop's pushes go."""
    shop = shop_of(market_of(request), platform, shop_id)
    if change.push_url is not None:
        shop.push_url = change.push_url
    return access_of(shop)


@router.get("/shops/{platform}/{shop_id}/listings")
async def list_listings(request: Request, platform: str, shop_id: str) -> list[dict[str, Any]]:
    """List what a shop sells."""
    shop = shop_of(market_of(request), platform, shop_id)
    return [{**stock_entry(listing, False), "title": listing.title} for listing in shop.listings.values()]


@router.post("/shops/{platform}/{shop_id}/expire")
async def expire_tokens(request: Request, platform: str, shop_id: str, refresh: bool = False) -> dict[str, Any]:
    """End a shop's access tokens now, and with `refresh` its refresh token."""
    market = market_of(request)
    shop = shop_of(market, platform, shop_id)
    shop.grant.expire(market.now())
    if refresh:
        shop.grant.refresh_until = market.now()
    return access_of(shop)


@router.get("/dials")
async def read_dials(request: Request) -> dict[str, dict[str, Any]]:
    """Show all dials."""
    return {name: asdict(dials) for name, dials in market_of(request).dials.items()}


@router.patch("/dials/{platform}")
async def turn_dials(request: Request, platform: str, turned: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Turn dials of a platform, or of all (`all`). `{"reset": true}` first turns all back."""
    market = market_of(request)
    names = list(market.platforms) if platform == "all" else [platform]
    if platform != "all" and platform not in market.platforms:
        raise HTTPException(404, "no such platform")
    reset = bool(turned.pop("reset", False))
    unknown = set(turned) - {each.name for each in fields(Dials)}
    if unknown:
        raise HTTPException(422, f"no such dials: {sorted(unknown)}")
    for name in names:
        before = {} if reset else asdict(market.dials[name])
        try:
            new = _DIALS.validate_python({**before, **turned})
        except ValidationError as invalid:
            raise HTTPException(422, str(invalid.errors(include_url=False, include_input=False))) from None
        # The object stays the same: sockets, pushes and platforms hold it.
        for each in fields(Dials):
            setattr(market.dials[name], each.name, getattr(new, each.name))
    market.pushes.wake()
    return {name: asdict(market.dials[name]) for name in names}


@router.get("/clock")
async def read_clock(request: Request) -> dict[str, Any]:
    """Show the simulated time."""
    clock = market_of(request).clock
    return {"now": moment(clock.now()), "now_s": clock.now_s(), "rate": clock.rate}


@router.post("/clock")
async def shift_clock(request: Request, change: ClockChange) -> dict[str, Any]:
    """Shift the simulated time forward, or let it run at another rate."""
    market = market_of(request)
    try:
        market.clock.advance(change.advance_s)
    except ValueError as refused:
        raise HTTPException(422, str(refused)) from None
    if change.rate is not None:
        market.clock.run_at(change.rate)
    _wake(market)
    return await read_clock(request)


@router.get("/books/{platform}/{shop_id}")
async def read_books(
    request: Request, platform: str, shop_id: str, after: int = 0, stock: bool = True
) -> dict[str, Any]:
    """Show the platform's own truth; `after` = the last answer's `cursor` leaves out what has not changed since."""
    market = market_of(request)
    return books(shop_of(market, platform, shop_id), market.now(), after, stock)


@router.get("/books/{platform}/{shop_id}/refunds")
async def read_refunds(request: Request, platform: str, shop_id: str) -> list[dict[str, Any]]:
    """List a shop's refunds."""
    shop = shop_of(market_of(request), platform, shop_id)
    return [refund_entry(refund) for refund in shop.refunds.values()]


@router.get("/sent")
async def read_sent(request: Request, platform: str = "", shop_id: str = "", limit: int = 100) -> dict[str, Any]:
    """Show what became of pushes: counts, and the last ones, newest last."""
    pushes = market_of(request).pushes
    rows = [s for s in pushes.sent if platform in ("", s.platform) and shop_id in ("", s.shop_id)]
    return {
        "waiting": pushes.waiting,
        "counts": {f"{name} {what}": count for (name, what), count in sorted(pushes.counts.items())},
        "sent": [{**asdict(s), "at": moment(s.at)} for s in rows[-min(max(limit, 1), SENT_LIMIT_ENTRIES) :]],
    }


def _listing(market: Market, sku: NewSku) -> Listing:
    listing_id, sku_id = sku.listing_id or market.digits(12), sku.sku_id or market.digits(13)
    return Listing(listing_id, sku_id, sku.outer_id, sku.title, sku.price_fen, sku.stock)


def _wake(market: Market) -> None:
    market.pushes.wake()
    for app in market.apps.values():
        app.queue.woken.set()
