"""Cuts the demo's data out of the published originals; `python -m demo.build_data LINES ADDRESSES` writes demo/data."""

import argparse
import csv
import gzip
import hashlib
import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from libs.regions import is_pickup_point, resolve

DATA = Path(__file__).resolve().parent / "data"
COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
FIRST_DAY, LAST_DAY = "2010-12-01", "2011-08-31"
LINES_LIMIT = 4
GOODS = re.compile(r"\d{5}[A-Z]*")
RESOLVED, UNRESOLVED = "resolved", "unresolved"
CENTRAL_SOUTHWEST = ("华中", "西南")
CENTRAL_SOUTHWEST_ADDRESSES, OTHER_ADDRESSES, UNRESOLVED_ADDRESSES = 500, 1_000, 40
ADDRESS_LIMIT_CHARACTERS = 80

Line = Mapping[str, str]
Invoices = dict[str, list[Line]]


def sku_of(line: Line) -> str:
    """Return the SKU of a row: the set writes some stock codes in both cases."""
    return line["StockCode"].upper()


def is_goods(line: Line) -> bool:
    """Tell goods from postage, manual entries, fees and the like, which have codes such as POST, DOT or M."""
    return GOODS.fullmatch(sku_of(line)) is not None


def is_sold(line: Line) -> bool:
    """Tell a sale from a stock clerk's correction, a gift or a return."""
    return is_goods(line) and int(line["Quantity"]) > 0 and float(line["UnitPrice"]) > 0


def read_invoices(path: Path) -> Invoices:
    """Return the set's invoices in the file's order, which is the order of their dates."""
    invoices: Invoices = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            invoices.setdefault(line["InvoiceNo"], []).append(line)
    return invoices


def small_orders(invoices: Invoices) -> Invoices:
    """Return the orders of the span that have one to four lines of goods sold, with these lines."""
    orders: Invoices = {}
    for number, lines in invoices.items():
        if not number.isdecimal() or not FIRST_DAY <= lines[0]["InvoiceDate"][:10] <= LAST_DAY:
            continue
        sold = [line for line in lines if is_sold(line)]
        if 1 <= len(sold) <= LINES_LIMIT:
            orders[number] = sold
    return orders


def cancellations_of(invoices: Invoices, orders: Invoices) -> Invoices:
    """Return the span's cancellations that can concern a kept order: same buyer, not earlier, all its SKUs in it."""
    by_buyer: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for lines in orders.values():
        skus = frozenset(sku_of(line) for line in lines)
        by_buyer.setdefault(lines[0]["CustomerID"], []).append((lines[0]["InvoiceDate"], skus))
    found: Invoices = {}
    for number, lines in invoices.items():
        buyer, at = lines[0]["CustomerID"], lines[0]["InvoiceDate"]
        if not number.startswith("C") or not buyer or at[:10] > LAST_DAY:
            continue
        returned = [line for line in lines if is_goods(line) and int(line["Quantity"]) < 0]
        skus = frozenset(sku_of(line) for line in returned)
        if skus and any(date <= at and skus <= bought for date, bought in by_buyer.get(buyer, ())):
            found[number] = returned
    return found


def choose_addresses(addresses: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Return (kind, address): enough of both warehouses' areas, and a few that do not resolve, by SHA-256."""
    wanted = {"CD": CENTRAL_SOUTHWEST_ADDRESSES, "GZ": OTHER_ADDRESSES, UNRESOLVED: UNRESOLVED_ADDRESSES}
    for address in sorted(addresses, key=lambda text: hashlib.sha256(text.encode()).hexdigest()):
        if len(address) > ADDRESS_LIMIT_CHARACTERS or is_pickup_point(address):
            continue
        found = resolve("", "", "", address)
        area = "CD" if found.region in CENTRAL_SOUTHWEST else "GZ"
        quota = area if found.resolved else UNRESOLVED
        if wanted[quota]:
            wanted[quota] -= 1
            yield RESOLVED if found.resolved else UNRESOLVED, address


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a gzip table that is the same, byte by byte, whenever it is built."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode("utf-8"), 9, mtime=0))


def build(lines: Path, addresses: Path, to: Path) -> tuple[int, int]:
    """Write both tables; return how many orders and cancellations were kept."""
    invoices = read_invoices(lines)
    orders = small_orders(invoices)
    cancelled = cancellations_of(invoices, orders)
    kept = [line for number in invoices for line in orders.get(number) or cancelled.get(number) or ()]
    to.mkdir(parents=True, exist_ok=True)
    write_table(to / "orders.csv.gz", COLUMNS, ([line[name] for name in COLUMNS] for line in kept))
    with gzip.open(addresses, "rt", encoding="utf-8", newline="") as file:
        chosen = list(choose_addresses(row["address"] for row in csv.DictReader(file)))
    write_table(to / "addresses.csv.gz", ("kind", "address"), chosen)
    return len(orders), len(cancelled)


def main(arguments: list[str]) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m demo.build_data", description=__doc__)
    parser.add_argument("lines", type=Path, help="lines.csv.gz: UCI Online Retail, one row an invoice line")
    parser.add_argument("addresses", type=Path, help="office_addresses.csv.gz: column address")
    parser.add_argument("--to", type=Path, default=DATA)
    chosen = parser.parse_args(arguments)
    orders, cancelled = build(chosen.lines, chosen.addresses, chosen.to)
    print(f"{orders} orders, {cancelled} cancellations -> {chosen.to}")


if __name__ == "__main__":
    main(sys.argv[1:])
