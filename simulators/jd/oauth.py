"""Signing in at JD: the page agrees at once; tokens over GET or POST."""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from simulators.calls import as_json, params_of
from simulators.market import Market
from simulators.model import App, Shop

NAME = "jd"


def token_document(market: Market, shop: Shop) -> dict[str, Any]:
    """Return what both token calls answer."""
    now = market.now()
    return {
        "access_token": shop.grant.access_token,
        "expires_in": int((shop.grant.access_until - now).total_seconds()),
        "refresh_token": shop.grant.refresh_token,
        "scope": "snsapi_base",
        "open_id": f"open{shop.seller_id}",
        "xid": f"xid{shop.seller_id}",
        "uid": shop.seller_id,
        "time": str(int(now.timestamp() * 1000)),
        "token_type": "bearer",
        "code": 0,
    }


def routes(market: Market) -> list[Route]:
    """Return the sign-in page and the two token calls."""

    async def to_login(request: Request) -> Response:
        asked = request.query_params
        app = market.apps.get((NAME, asked.get("app_key", "")))
        if app is None or asked.get("response_type") != "code" or not asked.get("redirect_uri"):
            return as_json({"code": 101, "msg": "invalid app_key"}, 400)
        shops = market.shops_of(NAME, app)
        shop = next((s for s in shops if s.shop_id == asked.get("shop_id")), shops[0])
        query = {"code": market.authorize(shop), "state": asked.get("state", "")}
        glue = "&" if "?" in asked["redirect_uri"] else "?"
        return RedirectResponse(f"{asked['redirect_uri']}{glue}{urlencode(query)}", 302)

    async def access_token(request: Request) -> Response:
        params = await params_of(request)
        app = _app(params)
        shop = None
        if app is not None and params.get("grant_type") == "authorization_code":
            shop = market.exchange(NAME, app, params.get("code", ""))
        return _answer(app, shop)

    async def refresh_token(request: Request) -> Response:
        params = await params_of(request)
        app = _app(params)
        shop = None
        if app is not None and params.get("grant_type") == "refresh_token":
            shop = market.refresh(NAME, app, params.get("refresh_token", ""))
        return _answer(app, shop)

    def _app(params: dict[str, str]) -> App | None:
        app = market.apps.get((NAME, params.get("app_key", "")))
        return app if app is not None and params.get("app_secret") == app.secret else None

    def _answer(app: App | None, shop: Shop | None) -> Response:
        if app is None:
            return as_json({"code": 101, "msg": "invalid app_key or app_secret"})
        if shop is None:
            return as_json({"code": 400, "msg": "invalid code or refresh_token"})
        return as_json(token_document(market, shop))

    methods = ["GET", "POST"]
    return [
        Route("/oauth2/to_login", to_login),
        Route("/oauth2/access_token", access_token, methods=methods),
        Route("/oauth2/refresh_token", refresh_token, methods=methods),
    ]
