"""What may leave of a channel's data: channel x field x destination, declared here, everything else stays.

Ingestion's API is the one destination there is; what goes out as a message is named by notification's templates. Who
builds another way out declares it here first: until then nothing gets there.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

Destination = Literal["api"]
How = Literal["whole", "cut"]
DESTINATIONS: tuple[Destination, ...] = ("api",)
EVERY = "*"
CONTAINERS = ("lines", "items", "listings")
MARK = "…"

# Seven digits in a row, however they are parted, may be a telephone or an account; what stands around an @ an address.
_NUMBER_OR_ADDRESS = re.compile(r"\+?\d(?:[ \-.]?\d){6,}|[^\s@]+@[^\s@]+")

_IDENTITY = ("channel", "shop_id", "order_id", "platform_order_id", "parcel_id")
_GOODS = ("sku", "quantity", "line_id", "listing_id", "listing_sku")
_SHIPPING = ("carrier", "waybill", "state", "round", "reships_left", "shipped_at", "changed_at", "next_try_at")
_CALLS = ("attempts", "send_id", "change_id")
_ACCEPTANCE = ("accept_by",)
_MONEY = ("total", "unit_price", "discount", "shipping_fee", "refund_amount")
_REGION = ("province", "city", "district")
_PLATFORM_STATUS = ("platform_status", "risk_status", "refund_status")

# What no rule names stays: recipients, telephones, street addresses, buyers' tokens, notes, raw documents, secrets.
RULES: tuple[tuple[str, Destination, tuple[str, ...], How], ...] = (
    (
        EVERY,
        "api",
        (*_IDENTITY, *_GOODS, *_SHIPPING, *_ACCEPTANCE, *_CALLS, *_MONEY, *_REGION, *_PLATFORM_STATUS),
        "whole",
    ),
    (EVERY, "api", ("platform_words",), "cut"),
)
# Pinduoduo forbids systems beside it to hand on what a buyer pays, where the buyer lives and how it judges an order.
DENIED: Mapping[str, frozenset[str]] = {
    "pinduoduo": frozenset({*_MONEY, *_REGION, *_PLATFORM_STATUS}),
}


def how(channel: str, field: str, destination: Destination) -> How | None:
    """Return how a field of a channel may go there; None when it may not."""
    if field in DENIED.get(channel, ()):
        return None
    for name, to, fields, manner in RULES:
        if to == destination and name in (EVERY, channel) and field in fields:
            return manner
    return None


def leave(channel: str, destination: Destination, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of `data` may go there. Lists that are named are gone through; nothing else nested gets out."""
    found: dict[str, Any] = {}
    for field, value in data.items():
        if field in CONTAINERS and isinstance(value, list | tuple):
            found[field] = [leave(channel, destination, each) for each in value if isinstance(each, Mapping)]
        elif value is None or isinstance(value, str | int | float | datetime):
            manner = how(channel, field, destination)
            if manner is not None:
                found[field] = cut(value) if manner == "cut" and isinstance(value, str) else value
    return found


def cut(words: str) -> str:
    """Return a platform's words without what may be a telephone, an account or a mail address."""
    return _NUMBER_OR_ADDRESS.sub(MARK, words)
