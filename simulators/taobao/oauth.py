"""Signing in at Taobao: the page agrees at once, the code is good once and for ten minutes."""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from simulators.calls import as_json, params_of
from simulators.market import Market
from simulators.model import Shop

NAME = "taobao"


def token_document(market: Market, shop: Shop) -> dict[str, Any]:
    """Return what both ways of signing in answer."""
    now = market.now()
    access_s = int((shop.grant.access_until - now).total_seconds())
    refresh_s = int((shop.grant.refresh_until - now).total_seconds())
    return {
        "access_token": shop.grant.access_token,
        "token_type": "Bearer",
        "expires_in": access_s,
        "expire_time": int(shop.grant.access_until.timestamp() * 1000),
        "refresh_token": shop.grant.refresh_token,
        "re_expires_in": refresh_s,
        "refresh_token_valid_time": int(shop.grant.refresh_until.timestamp() * 1000),
        "taobao_user_id": shop.seller_id,
        "taobao_user_nick": shop.name,
        "r1_expires_in": access_s,
        "r2_expires_in": access_s,
        "w1_expires_in": access_s,
        "w2_expires_in": access_s,
    }


def routes(market: Market) -> list[Route]:
    """Return the sign-in page and the token call."""

    async def authorize(request: Request) -> Response:
        asked = request.query_params
        app = market.apps.get((NAME, asked.get("client_id", "")))
        if app is None or asked.get("response_type") != "code" or not asked.get("redirect_uri"):
            return as_json({"error": "invalid_client", "error_description": "client_id is invalid"}, 400)
        shops = market.shops_of(NAME, app)
        shop = next((s for s in shops if s.shop_id == asked.get("shop_id")), shops[0])
        query = {"code": market.authorize(shop), "state": asked.get("state", "")}
        glue = "&" if "?" in asked["redirect_uri"] else "?"
        return RedirectResponse(f"{asked['redirect_uri']}{glue}{urlencode(query)}", 302)

    async def token(request: Request) -> Response:
        params = await params_of(request)
        app = market.apps.get((NAME, params.get("client_id", "")))
        if app is None or params.get("client_secret") != app.secret:
            return as_json({"error": "invalid_client", "error_description": "client_secret is invalid"}, 400)
        if params.get("grant_type") == "authorization_code":
            shop = market.exchange(NAME, app, params.get("code", ""))
        elif params.get("grant_type") == "refresh_token":
            shop = market.refresh(NAME, app, params.get("refresh_token", ""))
        else:
            return as_json({"error": "unsupported_grant_type"}, 400)
        if shop is None:
            return as_json({"error": "invalid_grant", "error_description": "code or refresh_token is invalid"}, 400)
        return as_json(token_document(market, shop))

    return [Route("/authorize", authorize), Route("/token", token, methods=["POST"])]
