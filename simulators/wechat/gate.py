"""WeChat's own checks of a call: its token, its rate, its JSON; and how parameters are read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from simulators.model import PlatformOrder, Shop
from simulators.wechat.answers import Failed
from simulators.wechat.dials import NAME
from simulators.wechat.tokens import shop_of

if TYPE_CHECKING:
    from simulators.market import Market

TIME_LIMIT_S = 2**33


@dataclass(frozen=True)
class Call:
    """A call that showed a good token."""

    market: "Market"
    shop: Shop
    params: dict[str, Any]

    def text(self, name: str, errcode: int = 40097) -> str:
        """Return a required id or text; numbers count, as WeChat documents ids as strings of numbers."""
        return text_of(self.params, name, errcode)

    def order(self) -> PlatformOrder:
        """Return the order that order_id names."""
        order = self.shop.orders.get(self.text("order_id"))
        if order is None:
            raise Failed(100002)
        return order


def admitted(market: "Market", token: str, body: bytes) -> Call:
    """Return the call, or raise what is answered."""
    shop = shop_of(market, token)
    if market.over_limit(NAME, shop.app):
        raise Failed(45009)
    return Call(market, shop, read(body))


def read(body: bytes) -> dict[str, Any]:
    """Return a body's JSON object."""
    try:
        params = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        params = None
    if not isinstance(params, dict):
        raise Failed(47001)
    return params


def text_of(given: Any, name: str, errcode: int = 40097) -> str:
    """Return a required text of an object."""
    value = given.get(name) if isinstance(given, dict) else None
    if value is None or value == "" or isinstance(value, bool | float | dict | list):
        raise Failed(errcode)
    return str(value)


def number_of(given: Any, name: str, least: int, most: int, default: int | None = None) -> int:
    """Return a whole number of an object, within its limits."""
    value = given.get(name, default) if isinstance(given, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Failed(40097)
    return value


def window_of(call: Call, given: Any, names: Sequence[str], limit: timedelta) -> tuple[datetime, datetime]:
    """Return a range in seconds since 1970, no longer than the documents allow."""
    since_s, until_s = (number_of(given, name, 0, TIME_LIMIT_S) for name in names)
    too_wide = call.market.dials[NAME].windows_enforced and until_s - since_s > limit.total_seconds()
    if until_s < since_s or too_wide:
        raise Failed(40097)
    return datetime.fromtimestamp(since_s, UTC), datetime.fromtimestamp(until_s, UTC)
