"""Douyin's own dials, beside those that every platform has; `GET` and `PATCH /douyin/dials` show and turn them."""

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from pydantic import ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from simulators.market import Market

NAME = "douyin"


@dataclass
class DouyinDials:
    """Every quirk is on as the documents or public clients tell it; off means well behaved."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    canonical_params: bool = True  # parameters that are not sorted and compact fail the signature check
    arrays_repeat: bool = True  # a push carries the order's last message again, newest first
    repeat_of_increment_is_error: bool = True  # a known idempotent_id answers 40003 isv.idempotent-id-existed
    repeat_of_shipment_is_error: bool = True  # logisticsAdd of a shipped order answers 50002
    refund_blocks_shipment: bool = True  # an open refund must be rejected in the same call
    decrypts: bool = True  # order/batchDecrypt answers clear text
    probes: bool = True  # a new push address first gets a message with tag 0


_CHECKED: TypeAdapter[DouyinDials] = TypeAdapter(DouyinDials)
_of_markets: "WeakKeyDictionary[Market, DouyinDials]" = WeakKeyDictionary()


def dials_of(market: "Market") -> DouyinDials:
    """Return a market's dials."""
    return _of_markets.setdefault(market, DouyinDials())


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
