"""Pinduoduo: POP's signed gateway, PMC's message socket, and signing in."""

from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute

from simulators.clock import SHANGHAI
from simulators.market import Market
from simulators.model import Change, Shop, TokenRules
from simulators.pinduoduo import gateway, messages, oauth
from simulators.pushes import Push

DAY_S = 86_400


class Pinduoduo:
    """The platform, as the others see it."""

    name = "pinduoduo"
    token_rules = TokenRules(access_life_s=DAY_S, refresh_life_s=30 * DAY_S)

    def routes(self, market: Market) -> Sequence[BaseRoute]:
        """Return the gateway, the message socket and the sign-in pages."""
        return [gateway.route(market), messages.route(market), *oauth.routes(market)]

    def settings(self, market: Market) -> dict[str, str]:
        """Nothing but key, secret and tokens."""
        return {}

    def own_dials(self, market: Market) -> Sequence[Any]:
        """Only the dials that every platform has."""
        return ()

    def seller_id(self, market: Market) -> str:
        """Return a mall id."""
        return market.digits(9)

    def order_id(self, market: Market) -> str:
        """Return an order_sn: the Shanghai day, a dash and fifteen digits."""
        return f"{market.now().astimezone(SHANGHAI):%y%m%d}-{market.digits(15)}"

    def line_id(self, market: Market, order_id: str, index: int) -> str:
        """Return a line's place: this platform has no id for it."""
        return str(index + 1)

    def push(self, market: Market, shop: Shop, change: Change) -> Sequence[Push]:
        """Queue a PMC message."""
        return messages.said(market, shop, change)

    def tick(self, market: Market) -> None:
        """Nothing happens by time alone."""


PLATFORM = Pinduoduo()
