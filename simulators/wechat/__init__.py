"""WeChat's double: the shop's calls, the mini-program's shipping reports, tokens that kill each other, AES pushes."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from simulators.model import Change, Shop
from simulators.pushes import Push
from simulators.wechat import orders, shipping, stock, tokens
from simulators.wechat.answers import Failed, failed, succeeded
from simulators.wechat.dials import NAME, dials_of, turn
from simulators.wechat.gate import Call, admitted, read
from simulators.wechat.pushes import pushes_of, verification

if TYPE_CHECKING:
    from simulators.market import Market

AES_KEY_CHARACTERS = 43
METHODS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "channels/ec/order/list/get": orders.list_orders,
    "channels/ec/order/get": orders.get_order,
    "channels/ec/order/sensitiveinfo/decode": orders.decode_receiver,
    "channels/ec/aftersale/getaftersalelist": orders.list_refunds,
    "channels/ec/aftersale/getaftersaleorder": orders.get_refund,
    "channels/ec/order/delivery/send": shipping.send_delivery,
    "channels/ec/order/deliveryinfo/update": shipping.update_delivery,
    "channels/ec/product/stock/update": stock.update_stock,
    "channels/ec/product/stock/get": stock.get_stock,
    "wxa/sec/order/upload_shipping_info": shipping.upload_shipping_info,
    "wxa/sec/order/get_order": orders.get_payment,
    "wxa/sec/order/get_order_list": orders.list_payments,
}
_probed: "WeakKeyDictionary[Market, dict[str, str]]" = WeakKeyDictionary()


class WeChat:
    """The platform for the program: a shop is its own application."""

    name = NAME
    token_rules = tokens.RULES

    def routes(self, market: "Market") -> Sequence[BaseRoute]:
        """Return the token calls, and all others as POST of JSON."""
        numbers = count(1)

        async def dials(request: Request) -> Response:
            return await turn(market, request)

        async def call(request: Request) -> Response:
            path, body = request.path_params["path"], await request.body()
            try:
                if path == "cgi-bin/token":
                    return succeeded_token(tokens.fetch(market, dict(request.query_params)))
                if request.method != "POST":
                    raise Failed(43002)
                if path == "cgi-bin/stable_token":
                    return succeeded_token(tokens.fetch_stable(market, read(body)))
                method = METHODS.get(path)
                if method is None:
                    raise Failed(48001)
                admitted_call = admitted(market, request.query_params.get("access_token", ""), body)
                admitted_call.shop.count(path)
                return succeeded(method(admitted_call))
            except Failed as failure:
                return failed(failure, f"{int(market.clock.now_s()):x}-{next(numbers):08x}")

        return [
            Route("/dials", dials, methods=["GET", "PATCH"]),
            Route("/{path:path}", call, methods=["GET", "POST"]),
        ]

    def settings(self, market: "Market") -> dict[str, str]:
        """The token and the key of the push's envelope."""
        return {"token": market.secret(16), "aes_key": market.secret(AES_KEY_CHARACTERS)}

    def own_dials(self, market: "Market") -> Sequence[Any]:
        """Return what `/wechat/dials` turns."""
        return (dials_of(market),)

    def seller_id(self, market: "Market") -> str:
        """A shop is named by its AppID, too; this is the number beside it."""
        return f"gh_{market.secret(12)}"

    def order_id(self, market: "Market") -> str:
        """Nineteen digits, beyond 2**53."""
        return f"37{market.digits(17)}"

    def line_id(self, market: "Market", order_id: str, index: int) -> str:
        """WeChat gives lines no id; the books need one."""
        return f"{order_id}-{index + 1}"

    def push(self, market: "Market", shop: Shop, change: Change) -> Sequence[Push]:
        """Return the events of a change."""
        return pushes_of(market, shop, change)

    def tick(self, market: "Market") -> None:
        """Ask each new push address for its echo."""
        if not dials_of(market).verifies:
            return
        for shop in market.shops_of(NAME):
            probed = _probed.setdefault(market, {})
            if shop.push_url and probed.get(shop.shop_id) != shop.push_url:
                probed[shop.shop_id] = shop.push_url
                market.pushes.schedule(NAME, shop.shop_id, verification(market, shop))


def succeeded_token(found: dict[str, Any]) -> Response:
    """Answer a token: these two calls say no errcode when all is well."""
    return JSONResponse(found)


PLATFORM = WeChat()
