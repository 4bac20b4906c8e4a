"""Meituan's double: signed calls, twice encoded pushes, day numbers, and a quarter of an hour to confirm."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from simulators.meituan import orders, stock, tokens
from simulators.meituan.answers import Failed, failed, succeeded
from simulators.meituan.dials import NAME, dials_of, turn
from simulators.meituan.gate import Call, admitted
from simulators.meituan.pushes import probe, pushes_of
from simulators.model import Change, PlatformOrder, Shop, Status
from simulators.pushes import Push

if TYPE_CHECKING:
    from simulators.market import Market

POST, GET = "POST", "GET"
TOKEN_METHODS: dict[str, Callable[[Call], Response]] = {
    "oauth/authorize": tokens.authorize,
    "oauth/token": tokens.refresh,
}
METHODS: dict[str, Callable[[Call], Any]] = {
    "order/getOrderDetail": orders.get_order_detail,
    "order/viewstatus": orders.view_status,
    "order/getOrderDaySeq": orders.get_order_day_seq,
    "order/getOrderIdByDaySeq": orders.get_order_id_by_day_seq,
    "ecommerce/order/getOrderIdByDaySeq": orders.get_order_ids_by_day_seq,
    "order/confirm": orders.confirm,
    "order/cancel": orders.cancel,
    "order/preparationMealComplete": orders.prepared,
    "order/delivering": orders.delivering,
    "order/arrived": orders.arrived,
    "ecommerce/order/logistics/sync": orders.logistics_sync,
    "order/refund/agree": orders.refund_agree,
    "order/refund/reject": orders.refund_reject,
    "ecommerce/order/getOrderRefundDetail": orders.get_order_refund_detail,
    "retail/sku/stock": stock.sku_stock,
    "retail/get": stock.get_product,
}
_probed: "WeakKeyDictionary[Market, dict[str, str]]" = WeakKeyDictionary()


class Meituan:
    """The platform for the program."""

    name = NAME
    token_rules = tokens.RULES

    def routes(self, market: "Market") -> Sequence[BaseRoute]:
        """Return the one gateway below /api/v1."""

        async def dials(request: Request) -> Response:
            return await turn(market, request)

        async def call(request: Request) -> Response:
            body = (await request.body()).decode("utf-8", "replace") if request.method == POST else ""
            params = dict(request.query_params) | dict(parse_qsl(body, keep_blank_values=True))
            try:
                path = request.path_params["path"]
                admitted_call = admitted(market, str(request.url.replace(query="")), path, params)
                if path in TOKEN_METHODS:
                    return TOKEN_METHODS[path](admitted_call)
                tokens.check(admitted_call)
                do = METHODS.get(path)
                if do is None:
                    raise Failed(708)
                found = do(admitted_call)
            except Failed as failure:
                return failed(failure)
            return found if isinstance(found, Response) else succeeded(found)

        return [
            Route("/dials", dials, methods=["GET", "PATCH"]),
            Route("/api/v1/{path:path}", call, methods=[GET, POST]),
        ]

    def settings(self, market: "Market") -> dict[str, str]:
        """Nothing beside key and secret."""
        return {}

    def own_dials(self, market: "Market") -> Sequence[Any]:
        """Return what `/meituan/dials` turns."""
        return (dials_of(market),)

    def seller_id(self, market: "Market") -> str:
        """The merchant's own code of the shop, app_poi_code."""
        return f"poi{market.digits(6)}"

    def order_id(self, market: "Market") -> str:
        """Nineteen digits, beyond 2**53."""
        return f"27001{market.digits(14)}"

    def line_id(self, market: "Market", order_id: str, index: int) -> str:
        """Meituan gives lines no id; the books need one."""
        return f"{order_id}-{index + 1}"

    def push(self, market: "Market", shop: Shop, change: Change) -> Sequence[Push]:
        """Return the form of a change."""
        return pushes_of(market, shop, change)

    def tick(self, market: "Market") -> None:
        """Close what nobody confirmed in time; try each new push address."""
        dials = dials_of(market)
        limit = timedelta(seconds=dials.accept_limit_s)
        for shop in market.shops_of(NAME):
            if dials.accept_limit_s > 0:
                for order in _waiting(shop):
                    if order.paid_at is not None and market.now() - order.paid_at >= limit:
                        market.cancel(shop, order, "timeout")
            probed = _probed.setdefault(market, {})
            if dials.probes and shop.push_url and probed.get(shop.shop_id) != shop.push_url:
                probed[shop.shop_id] = shop.push_url
                market.pushes.schedule(NAME, shop.shop_id, probe(market, shop))


def _waiting(shop: Shop) -> list[PlatformOrder]:
    return [o for o in shop.orders.values() if o.status is Status.PAID and o.accepted_at is None]


PLATFORM = Meituan()
