"""Signing in at Pinduoduo: the page agrees at once; tokens by the OAuth call or by two methods of the gateway."""

import json
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from simulators.calls import as_json, params_of
from simulators.market import Market
from simulators.model import App, Shop
from simulators.pinduoduo.refusals import PddRefused

NAME = "pinduoduo"
SCOPE = ("pdd.order.number.list.increment.get", "pdd.order.information.get", "pdd.logistics.online.send")


def token_document(market: Market, shop: Shop) -> dict[str, Any]:
    """Return what every way of signing in answers."""
    now = market.now()
    return {
        "access_token": shop.grant.access_token,
        "expires_in": int((shop.grant.access_until - now).total_seconds()),
        "expires_at": int(shop.grant.access_until.timestamp()),
        "refresh_token": shop.grant.refresh_token,
        "refresh_token_expires_in": int((shop.grant.refresh_until - now).total_seconds()),
        "refresh_token_expires_at": int(shop.grant.refresh_until.timestamp()),
        "scope": list(SCOPE),
        "owner_id": shop.seller_id,
        "owner_name": shop.name,
    }


def exchanged(market: Market, app: App, code: str, refresh_token: str) -> Shop:
    """Return whose tokens a code or refresh token renewed."""
    shop = market.exchange(NAME, app, code) if code else market.refresh(NAME, app, refresh_token)
    if shop is None:
        raise PddRefused(10000, "code" if code else "refresh_token")
    return shop


def routes(market: Market) -> list[Route]:
    """Return the sign-in page and the token call."""

    async def authorize(request: Request) -> Response:
        asked = request.query_params
        app = market.apps.get((NAME, asked.get("client_id", "")))
        if app is None or asked.get("response_type") != "code" or not asked.get("redirect_uri"):
            return as_json(PddRefused(10016).document(market.secret(12)), 400)
        shops = market.shops_of(NAME, app)
        shop = next((s for s in shops if s.shop_id == asked.get("shop_id")), shops[0])
        query = {"code": market.authorize(shop), "state": asked.get("state", "")}
        glue = "&" if "?" in asked["redirect_uri"] else "?"
        return RedirectResponse(f"{asked['redirect_uri']}{glue}{urlencode(query)}", 302)

    async def token(request: Request) -> Response:
        try:
            params = await params_of(request)
            app = market.apps.get((NAME, params.get("client_id", "")))
            if app is None or params.get("client_secret") != app.secret:
                raise PddRefused(10016)
            by_code = params.get("grant_type") == "authorization_code"
            code = params.get("code", "") if by_code else ""
            shop = exchanged(market, app, code, "" if by_code else params.get("refresh_token", ""))
        except PddRefused as refused:
            return as_json(refused.document(market.secret(12)))
        except json.JSONDecodeError:
            return as_json(PddRefused(10001).document(market.secret(12)))
        return as_json(token_document(market, shop))

    return [Route("/open.html", authorize), Route("/oauth/token", token, methods=["POST"])]
