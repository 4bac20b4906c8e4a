"""JD's gateway: who calls, signed how and when, with whose token, how often; then the method itself."""

import hmac
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.calls import as_json, params_of
from simulators.clock import SHANGHAI, of_wall
from simulators.jd import reading, signing, supplier, writing
from simulators.jd.refusals import JdRefused
from simulators.market import Market
from simulators.model import App, Shop

NAME = "jd"
TOLERANCE_S = 360
ZONED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")
BUSINESS = "360buy_param_json"
CONTAINERS = ("paramOrderJSFQuery", "queryParam")
METHODS: dict[str, Callable[[Market, Shop, dict[str, Any]], dict[str, Any]]] = {
    "jingdong.pop.order.search": reading.search,
    "jingdong.pop.order.get": reading.order_detail,
    "jingdong.pop.afs.soa.refundapply.queryPageList": reading.applications,
    "jingdong.pop.afs.soa.refundapply.queryById": reading.application_detail,
    "jingdong.asc.serviceAndRefund.view": reading.after_sales,
    "jingdong.pop.order.shipment": writing.ship,
    "jingdong.ware.stock.sku.set": writing.set_stock,
    "jingdong.stock.write.updateSkuStock": writing.set_stock,
    "jingdong.stock.read.findSkuStock": writing.read_stock,
    "jingdong.vc.getpurchaseorderlist": supplier.purchases,
    "jingdong.vc.getdetailbyorderid": supplier.lines,
    "jingdong.vc.confirmpurchaseorder": supplier.acknowledge,
}


def route(market: Market) -> Route:
    """Return the one path that takes all methods."""

    async def routerjson(request: Request) -> Response:
        try:
            return as_json(_answer(market, await params_of(request)))
        except JdRefused as refused:
            market.counts[NAME, f"refused {refused.code}"] += 1
            return as_json(refused.document())
        except ValueError:
            return as_json(JdRefused(62).document())

    return Route("/routerjson", routerjson, methods=["GET", "POST"])


def _answer(market: Market, params: dict[str, str]) -> dict[str, Any]:
    method = params.get("method", "")
    app = _caller(market, params)
    if market.over_limit(NAME, app):
        raise JdRefused(2 if market.dials[NAME].calls_per_s else 65)
    if method not in METHODS:
        raise JdRefused(15)
    shop = _shop(market, app, params.get("access_token", ""))
    shop.count(method)
    found = METHODS[method](market, shop, _business(params))
    # The word is misspelt by the platform itself.
    return {f"{method.replace('.', '_')}_responce": {"code": "0", **found}}


def _business(params: dict[str, str]) -> dict[str, Any]:
    document = json.loads(params.get(BUSINESS) or "{}")
    if not isinstance(document, dict):
        raise JdRefused(62)
    for name in CONTAINERS:
        inner = document.get(name)
        if isinstance(inner, str):
            inner = json.loads(inner)
        if isinstance(inner, dict):
            document = {**document, **inner}
    return document


def _caller(market: Market, params: dict[str, str]) -> App:
    for name, code in (("method", 14), ("app_key", 20), ("timestamp", 7), ("v", 4), ("sign", 11)):
        if not params.get(name):
            raise JdRefused(code)
    if params["v"] != "2.0":
        raise JdRefused(5)
    app = market.apps.get((NAME, params["app_key"]))
    if app is None:
        raise JdRefused(21)
    _check_time(market, params["timestamp"])
    if not hmac.compare_digest(signing.expected(params, app.secret).encode(), params["sign"].encode()):
        raise JdRefused(12)
    return app


def _check_time(market: Market, text: str) -> None:
    try:
        if ZONED.fullmatch(text):
            sent = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f%z").astimezone(SHANGHAI)
        else:
            sent = of_wall(text)
    except ValueError:
        raise JdRefused(8) from None
    late_s = abs((sent - market.now()).total_seconds())
    if market.dials[NAME].timestamps_checked and late_s > TOLERANCE_S:
        raise JdRefused(8)


def _shop(market: Market, app: App, token: str) -> Shop:
    if not token:
        raise JdRefused(18)
    shop = market.shop_of_token(NAME, app, token)
    if shop is None or not shop.grant.accepts(token, market.now()):
        raise JdRefused(19)
    return shop
