"""The demo's data: counts that the README states, credits, and outcomes in sensible shares."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from demo import build_data, orders, stock
from demo.build_data import DATA
from libs.channels.own.inbound import Cancellation, Order, parse
from libs.regions import is_pickup_point, resolve

WEIGHT_LIMIT_GRAMS = 2_000_000


def line(number: str, sku: str, quantity: int, day: str, buyer: str = "1.0", price: str = "1.00") -> dict[str, str]:
    return {
        "InvoiceNo": number,
        "StockCode": sku,
        "Description": sku.lower(),
        "Quantity": str(quantity),
        "InvoiceDate": f"{day} 10:00:00",
        "UnitPrice": price,
        "CustomerID": buyer,
    }


def test_the_slice_is_what_its_readme_says() -> None:
    data = orders.load()
    assert len(data.orders) == 2_415
    assert sum(len(order.lines) for order in data.orders) == 5_184
    assert len(data.titles) == 1_449
    assert (data.cancellations, data.matched, data.left_out) == (214, 49, 2)
    late = [order.cancellation.in_time for order in data.orders if order.cancellation is not None]
    assert Counter(late) == {True: 23, False: 24}
    assert [len(chapter) for chapter in data.chapters] == [353, 184, 203, 267, 233, 350, 312, 256, 257]
    assert sum(len(chapter) for chapter in data.first_months(2).chapters) == 537
    readme = (DATA / "README.md").read_text("utf-8")
    for stated in ("CC BY 4.0", "Daqing Chen", "2,415 orders, 5,184 rows, 1,449 SKUs", "MIT", "49 of the 214"):
        assert stated in readme


def test_the_same_originals_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [
        line("1", "10001a", 2, "2011-01-03"),
        line("1", "POST", 1, "2011-01-03"),
        line("2", "10001", 1, "2011-09-01"),
        *(line("3", f"1000{n}", 1, "2011-01-04") for n in range(5)),
        line("4", "10002", 0, "2011-01-04"),
        line("C5", "10001A", -2, "2011-01-05"),
        line("C6", "10009", -2, "2011-01-05"),
    ]
    lines, addresses = tmp_path / "lines.csv.gz", tmp_path / "addresses.csv.gz"
    columns = build_data.COLUMNS
    build_data.write_table(lines, columns, ([row[name] for name in columns] for row in rows))
    build_data.write_table(addresses, ("address",), [["湖北省武汉市洪山区珞喻路1号"], ["某处"], ["某处菜鸟驿站"]])
    assert build_data.build(lines, addresses, tmp_path / "a") == (1, 1)
    build_data.build(lines, addresses, tmp_path / "b")
    kept = build_data.read_invoices(tmp_path / "a" / "orders.csv.gz")
    assert {number: [row["StockCode"] for row in rows] for number, rows in kept.items()} == {
        "1": ["10001a"],
        "C5": ["10001A"],
    }
    with gzip.open(tmp_path / "a" / "addresses.csv.gz", "rt", encoding="utf-8") as file:
        assert sorted(file.read().split()) == [
            "kind,address",
            "resolved,湖北省武汉市洪山区珞喻路1号",
            "unresolved,某处",
        ]
    for name in ("orders.csv.gz", "addresses.csv.gz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_message_is_one_that_the_own_channel_takes() -> None:
    import msgspec

    for order in orders.load().orders:
        parsed = parse(msgspec.json.encode(order.message()))
        assert isinstance(parsed, Order)
        assert parsed.platform_order_id == order.number
        if order.cancellation is not None:
            assert isinstance(parse(msgspec.json.encode(order.cancel_message())), Cancellation)


def test_addresses_bring_about_what_they_are_there_for() -> None:
    found = {order.order_id: resolve("", "", "", order.address) for order in orders.load().orders}
    pickups = 0
    for order in orders.load().orders:
        assert found[order.order_id].resolved == (not order.better_address)
        if order.better_address:
            assert resolve("", "", "", order.better_address).resolved
            assert not is_pickup_point(order.better_address)
        pickups += is_pickup_point(order.address) and order.total_fen > 50_000
    assert 10 <= sum(bool(order.better_address) for order in orders.load().orders) <= 50
    assert 40 <= pickups <= 150


def test_orders_of_a_brushing_day_are_all_alike() -> None:
    catalogue = stock.plan()
    days = Counter((order.buyer, order.placed_at.date()) for order in orders.load().orders if order.brushing_day)
    assert sum(count - orders.BRUSHING_ORDERS_PER_DAY for count in days.values()) == 22
    for order in orders.load().orders:
        if not order.brushing_day:
            continue
        assert not order.presale
        assert not order.better_address
        assert order.cancellation is None
        assert not is_pickup_point(order.address)
        for sku in order.units:
            assert not catalogue[sku].gone
            assert not catalogue[sku].only_in
        for each in order.lines:
            assert each.unit_price_fen >= catalogue[each.sku].cost_fen * 85 // 100, (
                "it would be held for another reason"
            )


def test_no_sku_has_a_last_unit() -> None:
    wanted: Counter[str] = Counter()
    for order in orders.load().orders:
        wanted.update(order.units)
    catalogue = stock.plan()
    assert catalogue.keys() == wanted.keys()
    for sku, each in catalogue.items():
        assert all(units >= wanted[sku] for units in each.on_hand.values())
        assert bool(each.on_hand) != each.gone
        assert len(each.on_hand) == (0 if each.gone else 1 if each.only_in else 2)
    assert len({each.barcode for each in catalogue.values()}) == len(catalogue)
    assert any(each.gone and each.cured for each in catalogue.values())
    assert any(each.gone and not each.cured for each in catalogue.values())
    assert any(each.only_in == stock.GZ for each in catalogue.values())


def test_no_parcel_is_heavier_than_a_scale_shows() -> None:
    catalogue = stock.plan()
    for order in orders.load().orders:
        if order.cancellation is None or not order.cancellation.in_time:
            grams = sum(catalogue[sku].weight_grams * units for sku, units in order.units.items())
            assert grams * 2 + 500 <= WEIGHT_LIMIT_GRAMS, order.number


@pytest.mark.parametrize(
    ("returned", "cancels"),
    [
        ([line("C9", "10001", -2, "2011-01-03"), line("C9", "10002", -1, "2011-01-03")], True),
        ([line("C9", "10001", -5, "2011-01-03"), line("C9", "10002", -5, "2011-01-03")], True),
        ([line("C9", "10001", -1, "2011-01-03"), line("C9", "10002", -1, "2011-01-03")], False),
        ([line("C9", "10001", -2, "2011-01-03")], False),
        ([line("C9", "10001", -2, "2011-01-02"), line("C9", "10002", -1, "2011-01-02")], False),
        ([line("C9", "10003", -2, "2011-01-03")], False),
    ],
)
def test_a_cancellation_takes_back_a_whole_order_or_is_none(returned: list[dict[str, str]], cancels: bool) -> None:
    placed = {"1": [line("1", "10001", 2, "2011-01-03"), line("1", "10002", 1, "2011-01-03")]}
    found = orders.match_cancellations(placed, {"C9": returned})
    assert list(found) == (["1"] if cancels else [])


def test_a_cancellation_means_the_latest_order_and_each_order_once() -> None:
    placed = {number: [line(number, "10001", 2, f"2011-01-0{number}")] for number in "123"}
    back = {name: [line(name, "10001", -2, "2011-01-03")] for name in ("C7", "C8")}
    found = orders.match_cancellations(placed, back)
    assert {number: (each.number, each.in_time) for number, each in found.items()} == {
        "3": ("C7", True),
        "2": ("C8", False),
    }


def test_amending_changes_the_address_or_the_date_only() -> None:
    by_kind = {order.presale: order for order in orders.load().orders}
    before, after = by_kind[False].message(), by_kind[False].message(address="别处")
    assert before | {"recipient": before["recipient"] | {"address": "别处"}} == after
    presale = by_kind[True]
    assert presale.message()["available_from"] == "2099-01-01T00:00:00Z"
    assert presale.message(opens=presale.placed_at)["available_from"] < presale.message()["available_from"]


def test_barcodes_are_for_own_use_and_check() -> None:
    for sku in ("85123A", "22423", "15056BL"):
        code = stock.barcode_of(sku)
        assert code.startswith(f"20{sku[:5]}")
        assert len(code) == 13
        assert sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(code)) % 10 == 0
