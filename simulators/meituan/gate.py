"""Meituan's own checks of a call, in their order: parameters, application, signature, time, rate, shop, order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.meituan.answers import Failed
from simulators.meituan.dials import NAME
from simulators.meituan.signing import signature
from simulators.model import App, PlatformOrder, Shop

if TYPE_CHECKING:
    from simulators.market import Market

TIMESTAMP_TOLERANCE_S = 600


@dataclass(frozen=True)
class Call:
    """A call that passed the checks of its application."""

    market: "Market"
    app: App
    path: str
    params: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a required parameter."""
        value = self.params.get(name, "")
        if not value:
            raise Failed(701)
        return value

    def number(self, name: str) -> int:
        """Return a required whole number."""
        value = self.text(name)
        if not value.isascii() or not value.isdigit():
            raise Failed(705)
        return int(value)

    def shop(self) -> Shop:
        """Return the shop that app_poi_code names; its books count the call."""
        shop = self.market.shop_of_seller(NAME, self.text("app_poi_code"))
        if shop is None:
            raise Failed(803)
        if shop.app is not self.app:
            raise Failed(704)
        shop.count(self.path)
        return shop

    def order(self, name: str = "order_id") -> tuple[Shop, PlatformOrder]:
        """Return an order, and the shop of this application that it belongs to, whose books count the call."""
        order_id = self.text(name)
        for shop in self.market.shops_of(NAME):
            order = shop.orders.get(order_id)
            if order is not None:
                if shop.app is not self.app:
                    raise Failed(704)
                shop.count(self.path)
                return shop, order
        raise Failed(806)


def admitted(market: "Market", url: str, path: str, params: Mapping[str, str]) -> Call:
    """Return the call, or raise what is answered."""
    if not all(params.get(name) for name in ("app_id", "timestamp", "sig")):
        raise Failed(701)
    app = market.apps.get((NAME, params["app_id"]))
    if app is None:
        raise Failed(702)
    if params["sig"] != signature(url, params, app.secret):
        raise Failed(703)
    if not params["timestamp"].isascii() or not params["timestamp"].isdigit():
        raise Failed(705)
    late_s = abs(market.clock.now_s() - int(params["timestamp"]))
    if market.dials[NAME].timestamps_checked and late_s > TIMESTAMP_TOLERANCE_S:
        raise Failed(705, "timestamp已过期")
    if market.over_limit(NAME, app):
        raise Failed(711)
    return Call(market, app, path, params)
