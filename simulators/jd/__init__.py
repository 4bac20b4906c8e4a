"""JD: JOS's signed gateway, polled only, and signing in."""

from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute

from simulators.jd import gateway, oauth, supplier
from simulators.market import Market
from simulators.model import Change, Shop, TokenRules
from simulators.pushes import Push

DAY_S = 86_400


class Jd:
    """The platform, as the others see it."""

    name = "jd"
    token_rules = TokenRules(access_life_s=365 * DAY_S, refresh_life_s=365 * DAY_S)

    def routes(self, market: Market) -> Sequence[BaseRoute]:
        """Return the gateway and the sign-in pages."""
        return [gateway.route(market), *oauth.routes(market), *supplier.routes(market)]

    def settings(self, market: Market) -> dict[str, str]:
        """Nothing but key, secret and tokens."""
        return {}

    def own_dials(self, market: Market) -> Sequence[Any]:
        """Only the dials that every platform has."""
        return ()

    def seller_id(self, market: Market) -> str:
        """Return a venderId."""
        return market.digits(8)

    def order_id(self, market: Market) -> str:
        """Return an order number of twelve digits."""
        return market.digits(12)

    def line_id(self, market: Market, order_id: str, index: int) -> str:
        """Return a line's place: this platform has no id for it."""
        return str(index + 1)

    def push(self, market: Market, shop: Shop, change: Change) -> Sequence[Push]:
        """Say nothing: no push protocol of today is known."""
        return ()

    def tick(self, market: Market) -> None:
        """Nothing happens by time alone."""


PLATFORM = Jd()
