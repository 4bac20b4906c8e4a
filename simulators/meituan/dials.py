"""Meituan's own dials, beside those that every platform has; `GET` and `PATCH /meituan/dials` show and turn them."""

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from pydantic import ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulators.quirks import Seconds

if TYPE_CHECKING:
    from simulators.market import Market

NAME = "meituan"


@dataclass
class MeituanDials:
    """Every quirk is on as the documents or public clients tell it; off means well behaved."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    accept_limit_s: Seconds = 900  # an order that nobody confirmed in this time closes; 0: never
    values_encoded_twice: bool = True  # a push's values are URL-encoded once more inside the form
    signs_encoded_values: bool = False  # a push is signed over its values as they stand in the form, still encoded
    repeat_of_confirm_is_error: bool = True  # order/confirm of a confirmed order answers 808
    details_as_text: bool = True  # detail and extras of getOrderDetail are JSON inside a string
    address_looked_up: bool = True  # the address goes on with "@#" and what the map found
    needs_token: bool = False  # as applications of service providers do: each call shows an access token
    probes: bool = True  # a new push address first gets a push without an order


_CHECKED: TypeAdapter[MeituanDials] = TypeAdapter(MeituanDials)
_of_markets: "WeakKeyDictionary[Market, MeituanDials]" = WeakKeyDictionary()


def dials_of(market: "Market") -> MeituanDials:
    """Return a market's dials."""
    return _of_markets.setdefault(market, MeituanDials())


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
