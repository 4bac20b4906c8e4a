"""Cuts the doubles' data out of published sets: `python -m simulators.extract LINES DIVISIONS ADDRESSES`."""

import argparse
import csv
import gzip
import hashlib
import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
FIRST_DAY, LAST_DAY = "2010-12-01", "2011-08-31"
GOODS = re.compile(r"\d{5}[A-Z]*")
LINES_LIMIT = 4
UNITS_LIMIT = 100  # larger ones are wholesalers'
ADDRESSES_LIMIT = 1_500
ORDER_COLUMNS = ("order", "buyer", "sku", "title", "quantity", "pence")
ADDRESS_COLUMNS = ("province", "city", "district", "address")
SUFFIX = re.compile(r"^(?P<city>.{2,}?市)(?P<district>.{1,}?[区县市])(?P<rest>.{4,60})$")

Row = Mapping[str, str]


def read(path: Path) -> Iterator[Row]:
    """Yield a gzip table's rows."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def is_sold(row: Row) -> bool:
    """Tell goods that were sold from fees, corrections, gifts and returns."""
    goods = GOODS.fullmatch(row["StockCode"].upper()) is not None
    return goods and 0 < int(row["Quantity"]) <= UNITS_LIMIT and float(row["UnitPrice"]) > 0


def orders(rows: Iterable[Row]) -> Iterator[tuple[str, ...]]:
    """Yield (order, buyer, sku, title, quantity, pence) of orders with one to four lines, all of them goods."""
    invoices: dict[str, list[Row]] = {}
    for row in rows:
        if row["InvoiceNo"].isdecimal() and FIRST_DAY <= row["InvoiceDate"][:10] <= LAST_DAY:
            invoices.setdefault(row["InvoiceNo"], []).append(row)
    for number, lines in invoices.items():
        if len(lines) > LINES_LIMIT or not all(is_sold(line) for line in lines):
            continue
        for line in lines:
            pence = str(round(float(line["UnitPrice"]) * 100))
            buyer = line["CustomerID"].split(".")[0]
            yield number, buyer, line["StockCode"].upper(), line["Description"].strip(), line["Quantity"], pence


def places(divisions: Iterable[Row]) -> dict[tuple[str, str], str]:
    """Return the province of each (city, district) with unique names; a municipality is its own city."""
    rows = list(divisions)
    names = {row["code"]: (row["name"], row["parent_code"], row["level"]) for row in rows}
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row["level"] != "3" or row["parent_code"] not in names:
            continue
        city, above, level = names[row["parent_code"]]
        province = city if level == "1" else names[above][0]
        found.setdefault((city, row["name"]), set()).add(province)
    return {key: provinces.pop() for key, provinces in found.items() if len(provinces) == 1}


def addresses(rows: Iterable[Row], known: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, ...]]:
    """Yield (province, city, district, address) of addresses that name city and district officially."""
    chosen = 0
    for text in sorted((row["address"] for row in rows), key=lambda text: hashlib.sha256(text.encode()).hexdigest()):
        part = re.sub(r"^.{2,8}?(省|自治区)", "", text)
        match = SUFFIX.match(part)
        if match is None or chosen >= ADDRESSES_LIMIT:
            continue
        province = known.get((match["city"], match["district"]))
        if province and re.search(r"\d", match["rest"]):
            chosen += 1
            yield province, match["city"], match["district"], match["rest"]


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a gzip table that is the same, byte by byte, whenever it is built; return its rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    kept = list(rows)
    writer.writerows(kept)
    path.write_bytes(gzip.compress(text.getvalue().encode("utf-8"), 9, mtime=0))
    return len(kept)


def main(arguments: Sequence[str]) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulators.extract", description=__doc__)
    parser.add_argument("lines", type=Path, help="lines.csv.gz: UCI Online Retail, one row an invoice line")
    parser.add_argument("divisions", type=Path, help="divisions_mca_2025.csv.gz: level, code, parent_code, name")
    parser.add_argument("addresses", type=Path, help="office_addresses.csv.gz: column address")
    parser.add_argument("--to", type=Path, default=DATA)
    chosen = parser.parse_args(arguments)
    known = places(read(chosen.divisions))
    lines = write(chosen.to / "orders.csv.gz", ORDER_COLUMNS, orders(read(chosen.lines)))
    kept = write(chosen.to / "addresses.csv.gz", ADDRESS_COLUMNS, addresses(read(chosen.addresses), known))
    sys.stdout.write(f"{lines} order lines, {kept} addresses -> {chosen.to}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
