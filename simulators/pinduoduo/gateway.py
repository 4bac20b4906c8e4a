"""Pinduoduo's gateway: who calls, signed how and when, with whose token, how often; then the method itself."""

import hmac
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.calls import as_json, params_of
from simulators.market import Market
from simulators.model import App, Shop
from simulators.pinduoduo import reading, signing, writing
from simulators.pinduoduo.oauth import exchanged, token_document
from simulators.pinduoduo.refusals import PddRefused

NAME = "pinduoduo"
TOLERANCE_S = 600
METHODS: dict[str, Callable[[Market, Shop, dict[str, str]], dict[str, Any]]] = {
    "pdd.order.number.list.increment.get": reading.orders_changed,
    "pdd.order.list.get": reading.orders_confirmed,
    "pdd.order.information.get": reading.order_detail,
    "pdd.order.status.get": reading.statuses,
    "pdd.refund.list.increment.get": reading.refunds_changed,
    "pdd.refund.information.get": reading.refund_detail,
    "pdd.goods.information.get": reading.goods,
    "pdd.goods.list.get": reading.goods_list,
    "pdd.logistics.online.send": writing.ship,
    "pdd.logistics.companies.get": writing.companies,
    "pdd.goods.quantity.update": writing.set_stock,
}


def route(market: Market) -> Route:
    """Return the one path that takes all methods."""

    async def router(request: Request) -> Response:
        request_id = market.digits(17)
        try:
            return as_json(_answer(market, await params_of(request)))
        except PddRefused as refused:
            market.counts[NAME, f"refused {refused.code}"] += 1
            return as_json(refused.document(request_id))
        except ValueError:
            return as_json(PddRefused(10001).document(request_id))

    return Route("/api/router", router, methods=["POST"])


def _answer(market: Market, params: dict[str, str]) -> dict[str, Any]:
    kind = params.get("type", "")
    app = _caller(market, params)
    if market.over_limit(NAME, app):
        raise PddRefused(70031 if market.dials[NAME].calls_per_s else 52101)
    if kind == "pdd.time.get":
        return {"time_get_response": {"time": market.now().strftime("%Y-%m-%d %H:%M:%S")}}
    if kind in ("pdd.pop.auth.token.create", "pdd.pop.auth.token.refresh"):
        shop = exchanged(market, app, params.get("code", ""), params.get("refresh_token", ""))
        return {f"{kind.removeprefix('pdd.').replace('.', '_')}_response": token_document(market, shop)}
    if kind == "pdd.pmc.user.permit":
        app.permitted.add(_shop(market, app, params).shop_id)
        return {"pmc_user_permit_response": {"is_success": True}}
    if kind not in METHODS:
        raise PddRefused(10001, "type")
    shop = _shop(market, app, params)
    shop.count(kind)
    return METHODS[kind](market, shop, params)


def _caller(market: Market, params: dict[str, str]) -> App:
    for name in ("type", "client_id", "timestamp", "sign"):
        if not params.get(name):
            raise PddRefused(10001, name)
    app = market.apps.get((NAME, params["client_id"]))
    if app is None:
        raise PddRefused(10016)
    if not params["timestamp"].isdigit():
        raise PddRefused(10001, "timestamp")
    late_s = abs(int(params["timestamp"]) - market.clock.now_s())
    if market.dials[NAME].timestamps_checked and late_s > TOLERANCE_S:
        raise PddRefused(10001, "timestamp")
    if not hmac.compare_digest(signing.expected(params, app.secret).encode(), params["sign"].encode()):
        raise PddRefused(20004)
    return app


def _shop(market: Market, app: App, params: dict[str, str]) -> Shop:
    token = params.get("access_token", "")
    if not token:
        raise PddRefused(20007, "access_token")
    shop = market.shop_of_token(NAME, app, token)
    if shop is None:
        raise PddRefused(20032)
    if not shop.grant.accepts(token, market.now()):
        raise PddRefused(10019)
    return shop
