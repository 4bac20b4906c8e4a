"""The status page: what each double knows and how badly it behaves, on one page that refreshes itself."""

from dataclasses import asdict
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from simulators.clock import wall
from simulators.market import Market

router = APIRouter()
REFRESH_S = 2
VIEWPORT = "<meta name=viewport content='width=device-width,initial-scale=1'>"
STYLE = (
    "body{font:14px system-ui,sans-serif;margin:24px;color:#222}table{border-collapse:collapse;margin:8px 0 24px}"
    "td,th{border:1px solid #ccc;padding:4px 10px;text-align:right}td:first-child,th:first-child{text-align:left}"
    ".bad{color:#b00}"
)


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def page(request: Request) -> HTMLResponse:
    """Show the market."""
    market: Market = request.app.state.market
    shops = "".join(_shop_row(market, key) for key in sorted(market.shops))
    dials = "".join(_dials_row(market, name) for name in market.dials)
    head = "<th>shop<th>orders<th>paid<th>shipped<th>refunds<th>calls<th>queue<th>stock told"
    sent = "<th>platform<th>accepted<th>refused<th>failed<th>lost<th>dials that are turned"
    body = (
        f"<!doctype html><meta charset=utf-8>{VIEWPORT}<meta http-equiv=refresh content={REFRESH_S}>"
        f"<title>Platforms' doubles</title><style>{STYLE}</style><h1>Platforms' doubles</h1>"
        f"<p>{wall(market.now())} Shanghai, at {market.clock.rate:g}x; {market.pushes.waiting} pushes waiting; "
        f"<a href=/docs>control API</a></p>"
        f"<table><tr>{head}</tr>{shops}</table><table><tr>{sent}</tr>{dials}</table>"
    )
    return HTMLResponse(body)


def _shop_row(market: Market, key: tuple[str, str]) -> str:
    shop = market.shops[key]
    paid = sum(order.is_paid for order in shop.orders.values())
    shipped = sum(order.shipped_at is not None for order in shop.orders.values())
    told = sum(len(listing.told) for listing in shop.listings.values())
    cells = (len(shop.orders), paid, shipped, len(shop.refunds), sum(shop.calls.values()), len(shop.app.queue.waiting))
    numbers = "".join(f"<td>{cell}" for cell in (*cells, told))
    return f"<tr><td>{escape(shop.platform)} / {escape(shop.shop_id)}{numbers}</tr>"


def _dials_row(market: Market, name: str) -> str:
    own = market.platforms[name].own_dials(market)
    turned = ", ".join(_turned(market.dials[name]) + [text for dials in own for text in _turned(dials)])
    counts = "".join(f"<td>{market.pushes.counts[name, what]}" for what in ("accepted", "refused", "failed", "lost"))
    return f"<tr><td>{escape(name)}{counts}<td class=bad>{escape(turned)}</tr>"


def _turned(dials: Any) -> list[str]:
    usual, now = asdict(type(dials)()), asdict(dials)
    return [f"{key}={value}" for key, value in now.items() if value != usual[key]]
