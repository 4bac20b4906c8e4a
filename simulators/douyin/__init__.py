"""Douyin's double: its open gateway and its pushes, as far as their documents and public clients tell."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from simulators.douyin import orders, shipping, stock, tokens
from simulators.douyin.answers import Failed, failed, succeeded
from simulators.douyin.dials import NAME, dials_of, turn
from simulators.douyin.gate import Call, admitted
from simulators.douyin.pushes import probe, pushes_of
from simulators.model import Change, Shop
from simulators.pushes import Push

if TYPE_CHECKING:
    from simulators.market import Market

METHODS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "token.create": tokens.create,
    "token.refresh": tokens.refresh,
    "order.searchList": orders.search_list,
    "order.orderDetail": orders.order_detail,
    "order.batchDecrypt": orders.batch_decrypt,
    "afterSale.List": orders.after_sale_list,
    "afterSale.Detail": orders.after_sale_detail,
    "order.logisticsAdd": shipping.logistics_add,
    "order.logisticsAddMultiPack": shipping.logistics_add_multi_pack,
    "order.logisticsEdit": shipping.logistics_edit,
    "order.logisticsEditByPack": shipping.logistics_edit_by_pack,
    "sku.syncStock": stock.sync_stock,
    "sku.syncStockBatch": stock.sync_stock_batch,
    "sku.stockNum": stock.stock_num,
}
_probed: "WeakKeyDictionary[Market, dict[str, str]]" = WeakKeyDictionary()


class Douyin:
    """The platform for the program."""

    name = NAME
    token_rules = tokens.RULES

    def routes(self, market: "Market") -> Sequence[BaseRoute]:
        """Return the sign-in page and the gateway; any path is a method's."""

        numbers = count(1)

        async def sign_in(request: Request) -> Response:
            return await tokens.sign_in(market, request)

        async def dials(request: Request) -> Response:
            return await turn(market, request)

        async def call(request: Request) -> Response:
            body = (await request.body()).decode("utf-8", "replace")
            log_id = f"{int(market.clock.now_s())}{next(numbers):016d}"
            try:
                admitted_call = admitted(market, request.path_params["path"], request.query_params, body)
                method = METHODS.get(admitted_call.method)
                if method is None:
                    raise Failed(70000, "isp.api-service-off", "API不存在或API已下线")
                admitted_call.count()
                answer = succeeded(method(admitted_call), log_id)
            except Failed as failure:
                return failed(failure, log_id)
            return answer

        return [
            Route("/dials", dials, methods=["GET", "PATCH"]),
            Route("/authorize", sign_in, methods=["GET"]),
            Route("/{path:path}", call, methods=["POST"]),
        ]

    def settings(self, market: "Market") -> dict[str, str]:
        """Nothing beside key, secret and tokens."""
        return {}

    def own_dials(self, market: "Market") -> Sequence[Any]:
        """Return what `/douyin/dials` turns."""
        return (dials_of(market),)

    def seller_id(self, market: "Market") -> str:
        """A shop's id is a number of up to ten digits."""
        return market.digits(8)

    def order_id(self, market: "Market") -> str:
        """Nineteen digits, beyond 2**53."""
        return f"4{market.digits(16)}00"

    def line_id(self, market: "Market", order_id: str, index: int) -> str:
        """The first line has its order's id; the others count on."""
        return str(int(order_id) + index)

    def push(self, market: "Market", shop: Shop, change: Change) -> Sequence[Push]:
        """Return the tagged message of a change."""
        return pushes_of(market, shop, change)

    def tick(self, market: "Market") -> None:
        """Try each new push address with the probe."""
        if not dials_of(market).probes:
            return
        for shop in market.shops_of(NAME):
            probed = _probed.setdefault(market, {})
            if shop.push_url and probed.get(shop.shop_id) != shop.push_url:
                probed[shop.shop_id] = shop.push_url
                market.pushes.schedule(NAME, shop.shop_id, probe(market, shop))


PLATFORM = Douyin()
