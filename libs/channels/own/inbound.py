"""Reads an own-channel message strictly: every limit is checked here, and a refusal names the field, not the value."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from libs.channels.refusals import OrderRefused

ORDER_PLACED = "order.placed"
ORDER_CANCELLED = "order.cancelled"
REFUND_REQUESTED = "order.refund_requested"
BODY_LIMIT_BYTES = 1024 * 1024
LINES_LIMIT = 2000
LINE_DISCOUNTS_LIMIT = 20
AMOUNT_LIMIT = 2**53
PRICE_LIMIT = 10**11
QUANTITY_LIMIT = 10**6
YEAR_FIRST, YEAR_LAST = 2000, 2100
NAME_LIMIT_CHARACTERS = 64
PATH_LIMIT_CHARACTERS = 200

OrderNumber = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,63}\Z")]
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Short = Annotated[str, Meta(max_length=64)]
Price = Annotated[int, Meta(ge=0, le=PRICE_LIMIT)]
Moment = Annotated[datetime, Meta(tz=True)]
Left = Literal["", "part", "whole"]
"""How much of an order's goods has left: nothing, a part with more to follow, or all that will ever go out."""


class LineDiscount(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """A reduction of the whole line; `funder` is who pays for it."""

    funder: Literal["merchant", "platform", "influencer"]
    amount: Price


class Line(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """So many units of a SKU at a price before discounts."""

    line_id: Code
    sku: Code
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_LIMIT)]
    unit_price: Price
    discounts: Annotated[list[LineDiscount], Meta(max_length=LINE_DISCOUNTS_LIMIT)] = []


class Buyer(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """Who bought, as the shop knows them; `identity` is a platform-wide token when there is one."""

    id: Annotated[str, Meta(max_length=128)] | None = None
    vip: bool = False
    identity: Annotated[str, Meta(max_length=256)] | None = None


class Recipient(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """Who gets the parcel, and where."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    phone: Annotated[str, Meta(min_length=1, max_length=32)]
    province: Short = ""
    city: Short = ""
    district: Short = ""
    address: Annotated[str, Meta(min_length=1, max_length=500)]
    postcode: Annotated[str, Meta(max_length=16)] = ""


class Promise(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """What the buyer was told."""

    ship_by: Moment | None = None


class Order(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """A placed order, or the whole new content of one placed before."""

    type: Literal["order.placed"] = "order.placed"
    platform_order_id: OrderNumber
    placed_at: Moment
    paid_at: Moment | None = None
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    buyer: Buyer = Buyer()
    recipient: Recipient
    lines: Annotated[list[Line], Meta(min_length=1, max_length=LINES_LIMIT)]
    shipping_fee: Price = 0
    total: Annotated[int, Meta(ge=0, le=AMOUNT_LIMIT)]
    kind: Literal["normal", "presale", "exchange", "reissue"] = "normal"
    available_from: Moment | None = None
    promise: Promise | None = None
    note: Annotated[str, Meta(max_length=2000)] = ""


class LeftOrder(Order, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """An order of which goods had left when its platform told of it. No webhook says this: only platforms ship."""

    left: Literal["part", "whole"]


class Cancellation(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """The buyer or the shop wants the order cancelled before shipping."""

    type: Literal["order.cancelled"]
    platform_order_id: OrderNumber
    reason: Annotated[str, Meta(max_length=200)] = ""
    cancelled_at: Moment | None = None


class Refund(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """The buyer wants money back, of the whole order or of a part of it."""

    type: Literal["order.refund_requested"]
    platform_order_id: OrderNumber
    refund_id: Code
    amount: Price
    after_shipping: bool = False
    reason: Annotated[str, Meta(max_length=200)] = ""
    requested_at: Moment | None = None
    line_ids: Annotated[list[Code], Meta(max_length=LINES_LIMIT)] = []  # none: it is about the whole order


class RefundWithdrawn(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """A refund that may have been asked for is over without money: refused, closed, or taken back by the buyer."""

    platform_order_id: OrderNumber
    refund_id: Code


class AskedBack(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order of which every line that has not left is asked back: new or not, nothing of it is to be shipped."""

    order: Order


class _Kind(msgspec.Struct, gc=False):
    type: str = ORDER_PLACED


_KIND = msgspec.json.Decoder(_Kind)
_ORDER = msgspec.json.Decoder(Order)
_CANCELLATION = msgspec.json.Decoder(Cancellation)

# Raw control characters cannot stand in JSON, so only an escape can bring one in, or DEL, or the C1 block, which begins
# with C2 in UTF-8. A body without any of these bytes needs no look at its texts, which is nearly every body.
_SUSPECTS = (b"\\", b"\x7f", b"\xc2")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_NAMED = re.compile(r"Object (missing required|contains unknown) field `(.*?)`(?: - at `(.*)`)?\Z", re.DOTALL)
_PLACED = re.compile(r"(.*?)(?: - at `\$(.*)`)?\Z", re.DOTALL)
_PLAIN_REASONS = ("Expected `", "Invalid RFC3339", "Number out of range", "Integer value out of range")


def parse(body: bytes) -> Order | Cancellation:
    """Read one message; OrderRefused names the first field at fault."""
    kind = _decode(_KIND, body).type
    if kind == ORDER_CANCELLED:
        cancellation: Cancellation = _decode(_CANCELLATION, body)
        _check_moment("cancelled_at", cancellation.cancelled_at)
        _check_texts(body, cancellation)
        return cancellation
    if kind != ORDER_PLACED:
        raise OrderRefused("type", f"must be {ORDER_PLACED} or {ORDER_CANCELLED}")
    order: Order = _decode(_ORDER, body)
    _check_texts(body, order)
    check(order)
    return order


def convert(fields: dict[str, Any], left: Left = "") -> Order:
    """Read an order from values that are not JSON (a file's row), by the same rules as `parse`."""
    try:
        order = msgspec.convert(fields | {"left": left}, LeftOrder) if left else msgspec.convert(fields, Order)
    except msgspec.ValidationError as error:
        raise _refusal(error) from None
    _walk("", order)
    check(order)
    return order


def check(order: Order) -> None:
    """Refuse what types alone cannot see: moments out of range, doubled lines, a presale without date, a wrong sum."""
    _check_moment("placed_at", order.placed_at)
    _check_moment("paid_at", order.paid_at)
    _check_moment("available_from", order.available_from)
    if order.promise is not None:
        _check_moment("promise.ship_by", order.promise.ship_by)
    if order.kind == "presale" and order.available_from is None:
        raise OrderRefused("available_from", "a presale needs it")
    if order.kind != "presale" and order.available_from is not None:
        raise OrderRefused("available_from", "only a presale has it")
    seen: set[str] = set()
    net = order.shipping_fee
    for place, line in enumerate(order.lines):
        if line.line_id in seen:
            raise OrderRefused(f"lines[{place}].line_id", "two lines have the same line_id")
        seen.add(line.line_id)
        for name, code in (("line_id", line.line_id), ("sku", line.sku)):
            if code[0].isspace() or code[-1].isspace():
                raise OrderRefused(f"lines[{place}].{name}", "begins or ends with a blank")
        net += line.quantity * line.unit_price
        for discount in line.discounts:
            net -= discount.amount
    if net != order.total:
        difference = order.total - net
        raise OrderRefused(
            "total",
            f"lines less discounts plus shipping make {net}, total says {order.total}: "
            f"the difference is {difference} (minor units)",
            expected=net,
            difference=difference,
        )


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _refusal(error) from None
    except UnicodeDecodeError:
        raise OrderRefused("", "the body is not UTF-8") from None
    except RecursionError:
        raise OrderRefused("", "the body is nested too deeply") from None
    except msgspec.DecodeError:
        # The reader's own words may quote the body, so they stay here.
        raise _malformed(body) from None


def _refusal(error: msgspec.ValidationError) -> OrderRefused:
    """Turn msgspec's words into a field and a reason that repeat nothing the sender wrote, but an unknown name."""
    text = str(error)
    if named := _NAMED.match(text):
        what, name, path = named.groups()
        reason = "is missing" if what == "missing required" else "is not a field of this message"
        return OrderRefused(_join((path or "$")[1:], _printable(name)), reason)
    placed = _PLACED.match(text)
    words, path = placed.groups() if placed else ("", "")
    if "matching regex" in words:
        words = "has a form that is not allowed"
    elif words.startswith("Invalid enum value"):
        words = "is none of the allowed values"
    elif not words.startswith(_PLAIN_REASONS):
        words = "is not valid"
    return OrderRefused((path or "").lstrip("."), words[:1].lower() + words[1:])


def _malformed(body: bytes) -> OrderRefused:
    """Half a character makes the whole body unreadable: say which field holds it."""
    try:
        field = next(_halves("", json.loads(body)), None) if b"\\u" in body else None
    except (ValueError, RecursionError):
        field = None
    if field is None:
        return OrderRefused("", "the body is not valid JSON")
    return OrderRefused(field[:PATH_LIMIT_CHARACTERS], "holds a control character or half a character")


def _halves(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if _HALF.search(value):
            yield path
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _halves(f"{path}[{place}]", each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if _HALF.search(name):
                yield path
            yield from _halves(_join(path, _printable(name)), each)


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:NAME_LIMIT_CHARACTERS])


def _join(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")


def _check_moment(field: str, moment: datetime | None) -> None:
    if moment is not None and not YEAR_FIRST <= moment.year <= YEAR_LAST:
        raise OrderRefused(field, f"must lie between the years {YEAR_FIRST} and {YEAR_LAST}")


def _check_texts(body: bytes, message: Order | Cancellation) -> None:
    if any(suspect in body for suspect in _SUSPECTS):
        _walk("", message)


def _walk(path: str, value: Any) -> None:
    """Refuse control characters and lone surrogates in any text; only a note may hold line breaks."""
    if isinstance(value, str):
        if (_FORBIDDEN if path == "note" else _FORBIDDEN_IN_LINE).search(value):
            raise OrderRefused(path, "holds a control character or half a character")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            _walk(f"{path}[{place}]", each)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _walk(_join(path, name), getattr(value, name))
