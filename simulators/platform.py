"""What a platform's module brings: its names, its routes, its messages. `PLATFORM = Taobao()` in its `__init__`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from starlette.routing import BaseRoute

from simulators.model import Change, Shop, TokenRules
from simulators.pushes import Push

if TYPE_CHECKING:
    from simulators.market import Market


class Platform(Protocol):
    """One platform. It keeps no state but what it stores with shops and orders, or in queues of its own."""

    name: str  # also the prefix of its paths: `/taobao/...`
    token_rules: TokenRules

    def routes(self, market: "Market") -> Sequence[BaseRoute]:
        """Return routes relative to `/{name}` (`Route("/router/rest", ...)`, `WebSocketRoute(...)`).

        An outage, lost answers and answer delays are played before these are reached; everything else is theirs.
        """
        ...

    def settings(self, market: "Market") -> dict[str, str]:
        """Return the secrets that only this platform has, made anew for a shop (`market.secret()`)."""
        ...

    def own_dials(self, market: "Market") -> Sequence[Any]:
        """Return the dials that only this platform has: none, or one dataclass whose defaults are the usual."""
        ...

    def seller_id(self, market: "Market") -> str:
        """Return a new shop's id on the platform (`market.digits(10)`)."""
        ...

    def order_id(self, market: "Market") -> str:
        """Return a new order's id as this platform writes them."""
        ...

    def line_id(self, market: "Market", order_id: str, index: int) -> str:
        """Return the id of an order's line, `index` from 0."""
        ...

    def push(self, market: "Market", shop: Shop, change: Change) -> Sequence[Push]:
        """Return what the platform says about a change. Queues take the message in `Push.send` and return True."""
        ...

    def tick(self, market: "Market") -> None:
        """Do what time brings (an order that nobody accepted closes). Called about once a second."""
        ...
