"""The real orders and addresses that buyers are played from, and shops' catalogues made of them."""

import csv
import functools
import gzip
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from simulators.market import Market
from simulators.model import Listing, Receiver

DATA = Path(__file__).resolve().parent / "data"
FEN_PER_PENCE = 9  # the set's prices are pounds; the shops sell in yuan at this fixed rate
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高"
STOCK_UNITS = 1_000_000


@dataclass(frozen=True)
class RealLine:
    """One row of a real order."""

    sku: str
    title: str
    quantity: int
    price_fen: int


@dataclass(frozen=True)
class RealOrder:
    """One real order; `buyer` is empty where the set names none."""

    number: str
    buyer: str
    lines: tuple[RealLine, ...]


@functools.cache
def real_orders() -> tuple[RealOrder, ...]:
    """Return the orders in the order of their dates."""
    lines: dict[tuple[str, str], list[RealLine]] = {}
    with gzip.open(DATA / "orders.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            line = RealLine(row["sku"], row["title"], int(row["quantity"]), int(row["pence"]) * FEN_PER_PENCE)
            lines.setdefault((row["order"], row["buyer"]), []).append(line)
    return tuple(RealOrder(number, buyer, tuple(of_order)) for (number, buyer), of_order in lines.items())


@functools.cache
def real_addresses() -> tuple[tuple[str, str, str, str], ...]:
    """Return (province, city, district, address) of offices."""
    with gzip.open(DATA / "addresses.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return tuple((r["province"], r["city"], r["district"], r["address"]) for r in csv.DictReader(file))


def receiver_of(number: int) -> Receiver:
    """Return a receiver with a real office's address, an invented name and a number that nobody has."""
    places = real_addresses()
    province, city, district, address = places[number * 7919 % len(places)]
    name = f"{SURNAMES[number % len(SURNAMES)]}测试{number % 997}"
    return Receiver(name, f"1990{number % 10**7:07d}", province, city, district, address)


def catalogue(market: Market, count: int = 0, stock: int = STOCK_UNITS) -> list[Listing]:
    """Return listings of the SKUs that sell most often: `count` of them, or all."""
    often: Counter[str] = Counter()
    first: dict[str, RealLine] = {}
    for order in real_orders():
        for line in order.lines:
            often[line.sku] += 1
            first.setdefault(line.sku, line)
    chosen = [first[sku] for sku, _count in often.most_common(count or None)]
    return [
        Listing(market.digits(12), market.digits(13), line.sku, line.title, line.price_fen, stock) for line in chosen
    ]
