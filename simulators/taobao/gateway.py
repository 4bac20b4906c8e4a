"""TOP's gateway: who calls, signed how and when, with whose session, how often; then the method itself."""

import hmac
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.calls import as_json, params_of
from simulators.clock import of_wall
from simulators.market import Market
from simulators.model import App, Shop
from simulators.taobao import messages, reading, signing, writing
from simulators.taobao.oauth import token_document
from simulators.taobao.refusals import TopRefused, failed, missing

NAME = "taobao"
TOLERANCE_S = 600
Method = Callable[[Market, Shop, dict[str, str]], dict[str, Any]]
OfSeller: dict[str, Method] = {
    "taobao.trades.sold.increment.get": reading.trades_changed,
    "taobao.trades.sold.get": reading.trades_sold,
    "taobao.trade.fullinfo.get": reading.trade_detail,
    "taobao.refunds.receive.get": reading.refunds_changed,
    "taobao.refund.get": reading.refund_detail,
    "taobao.item.seller.get": reading.item_detail,
    "taobao.item.sku.get": reading.sku_detail,
    "taobao.item.skus.get": reading.skus_of_items,
    "taobao.logistics.offline.send": writing.ship,
    "taobao.logistics.dummy.send": writing.ship_without_parcel,
    "taobao.logistics.consign.resend": writing.ship_again,
    "taobao.logistics.companies.get": writing.companies,
    "taobao.item.quantity.update": writing.set_stock,
    "taobao.skus.quantity.update": writing.set_stocks,
}
OfApp: dict[str, Callable[[Market, App, dict[str, str]], dict[str, Any]]] = {
    "taobao.tmc.messages.consume": messages.consume,
    "taobao.tmc.messages.confirm": messages.confirm,
}
PERMIT = "taobao.tmc.user.permit"
TOKENS = ("taobao.top.auth.token.create", "taobao.top.auth.token.refresh")


def route(market: Market) -> Route:
    """Return the one path that takes all methods."""

    async def rest(request: Request) -> Response:
        request_id = market.secret(12)
        try:
            params = await params_of(request)
            return as_json(_answer(market, params))
        except TopRefused as refused:
            market.counts[NAME, f"refused {refused.code} {refused.sub_code}"] += 1
            return as_json(refused.document(request_id))
        except ValueError:
            return as_json(TopRefused(23, "Invalid format").document(request_id))

    return Route("/router/rest", rest, methods=["GET", "POST"])


def _answer(market: Market, params: dict[str, str]) -> dict[str, Any]:
    method = params.get("method", "")
    app = _caller(market, params)
    if market.over_limit(NAME, app):
        if not market.dials[NAME].calls_per_s:
            raise failed("isp.top-remote-connection-timeout", "top平台连接后端服务超时")
        code = "accesscontrol.limited-by-api-access-count"
        raise TopRefused(7, "App Call Limited", code, "This ban will last for 1 more seconds")
    if method in OfApp:
        found = OfApp[method](market, app, params)
    elif method in TOKENS:
        found = _token(market, app, params, method)
    elif method == PERMIT:
        app.permitted.add(_shop(market, app, params).shop_id)
        found = {"is_success": True}
    elif method in OfSeller:
        shop = _shop(market, app, params)
        shop.count(method)
        found = OfSeller[method](market, shop, params)
    else:
        raise TopRefused(22, "Invalid method", "isv.invalid-method", "不存在的方法名")
    return {f"{method.removeprefix('taobao.').replace('.', '_')}_response": {**found, "request_id": market.secret(12)}}


def _caller(market: Market, params: dict[str, str]) -> App:
    for name, code, text in (
        ("method", 21, "Missing method"),
        ("app_key", 28, "Missing app key"),
        ("timestamp", 30, "Missing timestamp"),
        ("v", 32, "Missing version"),
        ("sign", 24, "Missing signature"),
    ):
        if not params.get(name):
            raise TopRefused(code, text)
    if params["v"] != "2.0":
        raise TopRefused(33, "Invalid version")
    if params.get("format", "xml") != "json":
        raise TopRefused(23, "Invalid format")
    app = market.apps.get((NAME, params["app_key"]))
    if app is None:
        raise TopRefused(29, "Invalid app Key")
    _check_time(market, params["timestamp"])
    expected = signing.expected(params, app.secret)
    if expected is None or not hmac.compare_digest(expected.encode(), params["sign"].encode()):
        raise TopRefused(25, "Invalid signature")
    return app


def _check_time(market: Market, text: str) -> None:
    try:
        seconds = abs((of_wall(text) - market.now()).total_seconds())
    except ValueError:
        raise TopRefused(31, "Invalid timestamp") from None
    if market.dials[NAME].timestamps_checked and seconds > TOLERANCE_S:
        raise TopRefused(31, "Invalid timestamp")


def _shop(market: Market, app: App, params: dict[str, str]) -> Shop:
    session = params.get("session", "")
    if not session:
        raise TopRefused(26, "Missing session")
    shop = market.shop_of_token(NAME, app, session)
    if shop is None:
        raise TopRefused(27, "Invalid session", "invalid-sessionkey", "SessionKey非法")
    if not shop.grant.accepts(session, market.now()):
        raise TopRefused(27, "Invalid session", "session-expired", "sessionkey已过期")
    return shop


def _token(market: Market, app: App, params: dict[str, str], method: str) -> dict[str, Any]:
    if method == TOKENS[0]:
        if not params.get("code"):
            raise missing("code")
        shop = market.exchange(NAME, app, params["code"])
    else:
        if not params.get("refresh_token"):
            raise missing("refresh_token")
        shop = market.refresh(NAME, app, params["refresh_token"])
    if shop is None:
        raise failed("isv.code-or-refresh-token-invalid", "授权码或刷新令牌无效")
    return {"token_result": json.dumps(token_document(market, shop))}
