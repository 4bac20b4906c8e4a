"""Turns an own-channel message into our words: what decisions need in clear, what persons are as one sealable text."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.orders import Destination, Discount, OrderLine, OrderPlaced
from libs.channels.own.inbound import Buyer, Order

CHANNEL = "own"
BUYER_KEY_BYTES = 16
PART_HASH_BYTES = 6

_encode = msgspec.json.Encoder(order="deterministic").encode
# Five digits or more, whatever little stands between them, also in Chinese, are a number somebody can be found by.
_DIGIT = r"[\d〇零一幺二两三四五六七八九]"
_NUMBER_OR_ADDRESS = re.compile(rf"{_DIGIT}(?:[\W_]{{0,3}}{_DIGIT}){{4,}}|\S*@\S*")


@dataclass(frozen=True, slots=True)
class MappingKeys:
    """Keys derived from one secret, so that a buyer key can never be compared with a content hash."""

    buyer: bytes
    content: bytes


def derive_keys(secret: bytes) -> MappingKeys:
    """Return the keys for buyers and for contents that belong to `secret`."""
    return MappingKeys(
        buyer=hmac.digest(secret, b"ordo buyer key", hashlib.sha256),
        content=hmac.digest(secret, b"ordo content fingerprint", hashlib.sha256),
    )


def order_id_of(channel: str, shop_id: str, platform_order_id: str) -> str:
    """Return the id an order always gets, whoever delivers it."""
    return f"{channel}.{shop_id}.{platform_order_id}"


def buyer_key(keys: MappingKeys, channel: str, buyer: Buyer) -> str | None:
    """Return the buyer's anonymous key: by the platform's token, else by the shop's id; None when neither is given."""
    token = buyer.identity or buyer.id
    if not token:
        return None
    return hmac.digest(keys.buyer, f"{channel}\0{token}".encode(), hashlib.sha256)[:BUYER_KEY_BYTES].hex()


def fingerprints(keys: MappingKeys, order: Order) -> dict[str, str]:
    """Return a keyed hash of each field that is not at its default, so that equal content is known without storing it.

    Line and discount order, and the offset a time is written in, are not content.
    """
    parts: dict[str, Any] = {
        "placed_at": _utc(order.placed_at),
        "currency": order.currency,
        "recipient": order.recipient,
        "lines": [
            (
                line.line_id,
                line.sku,
                line.quantity,
                line.unit_price,
                sorted((d.funder, d.amount) for d in line.discounts),
            )
            for line in sorted(order.lines, key=lambda line: line.line_id)
        ],
        "total": order.total,
    }
    if order.paid_at is not None:
        parts["paid_at"] = _utc(order.paid_at)
    if order.buyer.id or order.buyer.identity or order.buyer.vip:
        parts["buyer"] = (order.buyer.id or "", order.buyer.identity or "", order.buyer.vip)
    if order.shipping_fee:
        parts["shipping_fee"] = order.shipping_fee
    if order.kind != "normal":
        parts["kind"] = order.kind
    if order.available_from is not None:
        parts["available_from"] = _utc(order.available_from)
    if order.promise is not None and order.promise.ship_by is not None:
        parts["promise"] = _utc(order.promise.ship_by)
    if order.note:
        parts["note"] = order.note
    return {name: _part_hash(keys.content, name, value) for name, value in parts.items()}


def personal(order: Order) -> bytes:
    """Return what only fulfillment and notification may read, as JSON: `{"recipient": {...}, "note": "..."}`."""
    return _encode({"recipient": order.recipient, "note": order.note})


def placed(
    channel: str, shop_id: str, order: Order, key: str | None, destination: Destination, sealed: str
) -> OrderPlaced:
    """Return the order as the fact it becomes when nobody has seen it before."""
    return OrderPlaced(
        order_id=order_id_of(channel, shop_id, order.platform_order_id),
        version=1,
        channel=channel,
        shop_id=shop_id,
        platform_order_id=order.platform_order_id,
        placed_at=_utc(order.placed_at),
        paid_at=_utc_or_none(order.paid_at),
        currency=order.currency,
        buyer_key=key,
        buyer_vip=order.buyer.vip,
        destination=destination,
        lines=[
            OrderLine(
                line_id=line.line_id,
                sku=line.sku,
                quantity=line.quantity,
                unit_price=line.unit_price,
                discounts=[Discount(funder=d.funder, amount=d.amount) for d in line.discounts],
            )
            for line in order.lines
        ],
        shipping_fee=order.shipping_fee,
        total=order.total,
        kind=order.kind,
        available_from=_utc_or_none(order.available_from),
        ship_by=_utc_or_none(order.promise.ship_by) if order.promise is not None else None,
        sealed=sealed,
        has_note=bool(order.note),
    )


def public_reason(reason: str) -> str:
    """Return a cancellation's reason without what may be a phone, an account or a mail address: it travels in clear."""
    return _NUMBER_OR_ADDRESS.sub("…", reason)


def _part_hash(key: bytes, name: str, value: Any) -> str:
    content = b"%b\0%b" % (name.encode(), _encode(value))
    return hashlib.blake2b(content, key=key, digest_size=PART_HASH_BYTES).hexdigest()


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _utc_or_none(moment: datetime | None) -> datetime | None:
    return None if moment is None else _utc(moment)
