"""The demo's orders: the slice read back in date order, each with the address, kind and cancellation it is given."""

import csv
import functools
import gzip
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from demo.build_data import DATA, RESOLVED, UNRESOLVED, Line, read_invoices, sku_of

SHOP = "demo"
CHINA = timezone(timedelta(hours=8))
# The set's prices are pounds; the demo's shop sells in yuan at this fixed rate, in fen.
FEN_PER_POUND = 900
PICKUP_WORDS = ("菜鸟驿站", "丰巢快递柜", "顺丰速运营业点", "中通快递代收点")
PICKUP_PER_MILLE_BUYERS = 40
UNRESOLVED_PER_MILLE_ORDERS = 10
PRESALE_PER_MILLE_ORDERS = 5
BRUSHING_ORDERS_PER_DAY = 3
PRESALE_OPENS = datetime(2099, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class OrderLine:
    """One row of an invoice."""

    line_id: str
    sku: str
    quantity: int
    unit_price_fen: int


@dataclass(frozen=True)
class Cancellation:
    """A cancellation that takes back a whole order. `in_time`: it came on the day of the order."""

    number: str
    at: datetime
    in_time: bool


@dataclass(frozen=True)
class Order:
    """One order as the shop sends it. `better_address` is what the buyer says when asked about an unclear one."""

    number: str
    placed_at: datetime
    buyer: str
    address: str
    lines: tuple[OrderLine, ...]
    presale: bool = False
    better_address: str = ""
    brushing_day: bool = False
    cancellation: Cancellation | None = None

    @property
    def order_id(self) -> str:
        return f"own.{SHOP}.{self.number}"

    @property
    def total_fen(self) -> int:
        return sum(line.quantity * line.unit_price_fen for line in self.lines)

    @property
    def units(self) -> dict[str, int]:
        """Units by SKU."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line.sku] += line.quantity
        return dict(wanted)

    def message(self, *, address: str = "", opens: datetime | None = None) -> dict[str, Any]:
        """Return the own-channel message; with another address or opening time it amends what was sent before."""
        presale = {"kind": "presale", "available_from": _rfc3339(opens or PRESALE_OPENS)} if self.presale else {}
        return {
            "platform_order_id": self.number,
            "placed_at": _rfc3339(self.placed_at),
            "paid_at": _rfc3339(self.placed_at),
            "currency": "CNY",
            # A buyer that the set does not name is nobody: no buyer key, no counting.
            "buyer": {"id": self.buyer} if self.buyer else {},
            "recipient": {
                "name": f"演示收货人{self.buyer or self.number}",
                "phone": "00000000000",
                "address": address or self.address,
            },
            "lines": [
                {
                    "line_id": line.line_id,
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "unit_price": line.unit_price_fen,
                }
                for line in self.lines
            ],
            "total": self.total_fen,
            **presale,
        }

    def cancel_message(self) -> dict[str, Any]:
        """Return the message that cancels the order."""
        assert self.cancellation is not None, "only a cancelled order has one"
        return {
            "type": "order.cancelled",
            "platform_order_id": self.number,
            "reason": "不想要了",
            "cancelled_at": _rfc3339(self.cancellation.at),
        }


@dataclass(frozen=True)
class Slice:
    """What the demo plays: orders in date order, titles of the SKUs, and how many cancellations the data has."""

    orders: tuple[Order, ...]
    titles: Mapping[str, str]
    cancellations: int
    matched: int
    left_out: int

    def first_months(self, months: int) -> "Slice":
        """Return a shorter play: the orders of the first so many months."""
        return replace(self, orders=tuple(order for chapter in self.chapters[:months] for order in chapter))

    @functools.cached_property
    def chapters(self) -> tuple[tuple[Order, ...], ...]:
        """The orders month by month: no buyer's day is ever divided."""
        months: dict[str, list[Order]] = {}
        for order in self.orders:
            months.setdefault(order.placed_at.strftime("%Y-%m"), []).append(order)
        return tuple(tuple(months[month]) for month in sorted(months))


@dataclass
class _Book:
    """The two tables as read: kept orders, their cancellations, and addresses by kind."""

    orders: dict[str, list[Line]] = field(default_factory=dict)
    cancellations: dict[str, list[Line]] = field(default_factory=dict)
    addresses: dict[str, list[str]] = field(default_factory=dict)


def share(salt: str, key: str, of: int) -> int:
    """Return a number below `of` that looks like chance and is the same in every run."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:8], "big") % of


@functools.cache
def load() -> Slice:
    """Read the demo's data."""
    book = _read()
    brushing = _brushing_days(book.orders)
    cancelled = match_cancellations(book.orders, book.cancellations)
    # Which of a buyer's many orders of a day is the fourth depends on who is decided first. Everything else about
    # these orders is made alike, so that no figure depends on it: none of them is cancelled or goes anywhere special.
    wanted = {number: each for number, each in cancelled.items() if _day(book.orders[number]) not in brushing}
    orders = [
        _order(number, lines, book.addresses, _day(lines) in brushing, wanted.get(number))
        for number, lines in book.orders.items()
    ]
    orders.sort(key=lambda order: (order.placed_at, order.number))
    return Slice(
        orders=tuple(orders),
        titles=_titles(line for lines in book.orders.values() for line in lines),
        cancellations=len(book.cancellations),
        matched=len(cancelled),
        left_out=len(cancelled) - len(wanted),
    )


def match_cancellations(
    orders: Mapping[str, Sequence[Line]], cancellations: Mapping[str, Sequence[Line]]
) -> dict[str, Cancellation]:
    """Return which orders were taken back whole, by order number.

    A cancellation names no invoice. It is held to mean the buyer's latest earlier order that holds all its SKUs and was
    not cancelled yet, and to be a cancellation of that order if it takes back at least every unit; else it is a partial
    return, which is no message of the own channel.
    """
    by_buyer: dict[str, list[str]] = {}
    for number, lines in orders.items():
        by_buyer.setdefault(lines[0]["CustomerID"], []).append(number)
    found: dict[str, Cancellation] = {}
    for cancel_number, returned in cancellations.items():
        at, back = returned[0]["InvoiceDate"], _units(returned, -1)
        for number in reversed(by_buyer.get(returned[0]["CustomerID"], [])):
            bought = _units(orders[number], 1)
            placed = orders[number][0]["InvoiceDate"]
            if number in found or placed > at or not back.keys() <= bought.keys():
                continue
            if all(back.get(sku, 0) >= quantity for sku, quantity in bought.items()):
                found[number] = Cancellation(cancel_number, _china_time(at), in_time=placed[:10] == at[:10])
            break
    return found


def _read() -> _Book:
    book = _Book()
    for number, lines in read_invoices(DATA / "orders.csv.gz").items():
        (book.cancellations if number.startswith("C") else book.orders)[number] = lines
    with gzip.open(DATA / "addresses.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            book.addresses.setdefault(row["kind"], []).append(row["address"])
    return book


def _order(
    number: str,
    lines: Sequence[Line],
    addresses: Mapping[str, Sequence[str]],
    brushing_day: bool,
    cancellation: Cancellation | None,
) -> Order:
    buyer = lines[0]["CustomerID"].removesuffix(".0")
    key = buyer or number
    good = addresses[RESOLVED][share("address", key, len(addresses[RESOLVED]))]
    address, better = good, ""
    if not brushing_day and share("unresolved", number, 1000) < UNRESOLVED_PER_MILLE_ORDERS:
        address = addresses[UNRESOLVED][share("unclear", number, len(addresses[UNRESOLVED]))]
        better = good
    elif not brushing_day and share("pickup", key, 1000) < PICKUP_PER_MILLE_BUYERS:
        address = good + PICKUP_WORDS[share("brand", key, len(PICKUP_WORDS))]
    return Order(
        number=number,
        placed_at=_china_time(lines[0]["InvoiceDate"]),
        buyer=buyer,
        address=address,
        lines=tuple(
            OrderLine(str(place), sku_of(line), int(line["Quantity"]), _fen(line["UnitPrice"]))
            for place, line in enumerate(lines, start=1)
        ),
        presale=not brushing_day and share("presale", number, 1000) < PRESALE_PER_MILLE_ORDERS,
        better_address=better,
        brushing_day=brushing_day,
        cancellation=cancellation,
    )


def _brushing_days(orders: Mapping[str, Sequence[Line]]) -> set[tuple[str, str]]:
    days = Counter(_day(lines) for lines in orders.values() if lines[0]["CustomerID"])
    return {day for day, count in days.items() if count > BRUSHING_ORDERS_PER_DAY}


def _day(lines: Sequence[Line]) -> tuple[str, str]:
    return lines[0]["CustomerID"], lines[0]["InvoiceDate"][:10]


def _units(lines: Iterable[Line], sign: int) -> Counter[str]:
    units: Counter[str] = Counter()
    for line in lines:
        units[sku_of(line)] += sign * int(line["Quantity"])
    return units


def _titles(lines: Iterable[Line]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for line in lines:
        titles.setdefault(sku_of(line), " ".join(line["Description"].split()))
    return titles


def _fen(pounds: str) -> int:
    return max(1, round(float(pounds) * FEN_PER_POUND))


def _china_time(text: str) -> datetime:
    # The shop's local time is taken for China's, so that a buyer's day stays the day that the data has.
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
