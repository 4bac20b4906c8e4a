"""The orders that are sent: the demo's real ones, those that nothing holds back, repeated under new ids."""

import base64
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from demo.orders import Order, load
from libs.channels.own.signing import key_of_secret
from libs.runtime.clock import utc_now

BATCH_ORDERS = 500
UNITS_PER_SKU = 10_000_000
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Goods:
    """The orders that are sent in turn, and the SKUs they want."""

    orders: tuple[Order, ...]
    skus: tuple[str, ...]

    @property
    def lines_per_order(self) -> float:
        """Return the mean number of lines."""
        return sum(len(order.lines) for order in self.orders) / len(self.orders)


def goods() -> Goods:
    """Choose the orders that go straight through: presales, unclear addresses and pick-up points are held by rules."""
    kept = []
    for order in load().orders:
        pickup = any(word in order.address for word in ("驿站", "快递柜", "营业点", "代收点"))
        if not (order.presale or order.better_address or pickup):
            kept.append(order)
    wanted: Counter[str] = Counter()
    for order in kept:
        wanted.update(order.units.keys())
    return Goods(tuple(kept), tuple(sorted(wanted)))


class Messages:
    """Makes bodies of orders cheaply: the parts of a message that stay the same are encoded once."""

    def __init__(self, chosen: Goods, prefix: str, sku: str = "") -> None:
        self.prefix = prefix
        self._parts: list[tuple[bytes, bytes, bytes]] = []
        now = utc_now().strftime("%Y-%m-%dT%H:%M:%SZ")
        for order in chosen.orders:
            message = order.message() | {"platform_order_id": "\0", "placed_at": now, "paid_at": now}
            if sku:
                message["lines"] = [{"line_id": "1", "sku": sku, "quantity": 1, "unit_price": 2000}]
                message["total"] = 2000
            # One buyer an order: how many orders a buyer places a day is not what is timed here.
            message["buyer"] = {"id": "\1"}
            before, rest = _encode(message).split(b"\\u0000")
            between, after = rest.split(b"\\u0001")
            self._parts.append((before, between, after))

    def body(self, number: int) -> bytes:
        """Return the message of the order with this number."""
        before, between, after = self._parts[number % len(self._parts)]
        name = b"%b-%d" % (self.prefix.encode(), number)
        return b"%b%b%bb%b%b" % (before, name, between, name, after)

    def batch(self, first: int, count: int) -> bytes:
        """Return so many messages as the lines of a batch."""
        return b"\n".join([self.body(number) for number in range(first, first + count)])


def signed(secret: str, message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers that prove a body to come from the shop."""
    at = str(int(time.time()))
    mac = hmac.digest(key_of_secret(secret), b"%b.%b.%b" % (message_id.encode(), at.encode(), body), hashlib.sha256)
    signature = "v1," + base64.b64encode(mac).decode("ascii")
    return {"webhook-id": message_id, "webhook-timestamp": at, "webhook-signature": signature}


def sku_facts(skus: Sequence[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield what the catalogue says of each SKU."""
    for sku in skus:
        # So light that the largest of the real orders, 74,215 units, is a parcel that the scale takes.
        yield sku, {"title": sku, "barcode": f"B{sku}", "cost": 1, "weight_grams": 1}
