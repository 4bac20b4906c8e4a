"""Taobao and Tmall: TOP's signed gateway, TMC's queue over HTTP, and signing in."""

from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute

from simulators.market import Market
from simulators.model import Change, Shop, TokenRules
from simulators.pushes import Push
from simulators.taobao import gateway, messages, oauth

DAY_S = 86_400


class Taobao:
    """The platform, as the others see it."""

    name = "taobao"
    token_rules = TokenRules(access_life_s=30 * DAY_S, refresh_life_s=60 * DAY_S)

    def routes(self, market: Market) -> Sequence[BaseRoute]:
        """Return the gateway and the sign-in pages."""
        return [gateway.route(market), *oauth.routes(market)]

    def settings(self, market: Market) -> dict[str, str]:
        """Nothing but key, secret and tokens."""
        return {}

    def own_dials(self, market: Market) -> Sequence[Any]:
        """Only the dials that every platform has."""
        return ()

    def seller_id(self, market: Market) -> str:
        """Return a user id."""
        return market.digits(10)

    def order_id(self, market: Market) -> str:
        """Return a tid of 19 digits: beyond what a double holds."""
        return market.digits(19)

    def line_id(self, market: Market, order_id: str, index: int) -> str:
        """Return an oid: a single line's equals the tid, as it does there."""
        return order_id if index == 0 else str(int(order_id) + index)

    def push(self, market: Market, shop: Shop, change: Change) -> Sequence[Push]:
        """Queue a TMC message."""
        return messages.said(market, shop, change)

    def tick(self, market: Market) -> None:
        """Nothing happens by time alone."""


PLATFORM = Taobao()
