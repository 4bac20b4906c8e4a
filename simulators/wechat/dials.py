"""WeChat's own dials, beside those that every platform has; `GET` and `PATCH /wechat/dials` show and turn them."""

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal
from weakref import WeakKeyDictionary

from pydantic import ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulators.quirks import Count, Percent, Seconds

if TYPE_CHECKING:
    from simulators.market import Market

NAME = "wechat"


@dataclass
class WeChatDials:
    """Every quirk is on as the documents or public clients tell it; off means well behaved."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    push_mode: Literal["aes", "plain"] = "aes"
    old_token_lives_s: Seconds = 300  # a token that was replaced works so long
    tokens_per_day: Count = 2000  # more fetches of one day answer 45009; 0: no limit
    payment_unknown_s: Seconds = 60  # upload_shipping_info does not know a payment that is younger (10060001)
    reships: Count = 1  # how often a complete shipment may be replaced
    parcels: Count = 15  # of one payment
    status_events_too: bool = False  # product_order_status_update repeats what the other events say
    stock_busy_percent: Percent = 0  # stock/update answers 10020112 by chance
    verifies: bool = True  # a new push address is first asked to return an echo


_CHECKED: TypeAdapter[WeChatDials] = TypeAdapter(WeChatDials)
_of_markets: "WeakKeyDictionary[Market, WeChatDials]" = WeakKeyDictionary()


def dials_of(market: "Market") -> WeChatDials:
    """Return a market's dials."""
    return _of_markets.setdefault(market, WeChatDials())


async def turn(market: "Market", request: Request) -> Response:
    """Turn the dials that a PATCH names; answer all."""
    dials = dials_of(market)
    if request.method == "PATCH":
        try:
            turned = _CHECKED.validate_python({**asdict(dials), **await request.json()})
        except (ValidationError, ValueError, TypeError):
            return JSONResponse({"message": "no such dial, or no such value"}, status_code=422)
        for each in fields(dials):
            setattr(dials, each.name, getattr(turned, each.name))
    return JSONResponse(asdict(dials))
