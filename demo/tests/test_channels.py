"""The platforms' part: what their books are compared with, what their shops sell, and who never errs there."""

from typing import Any

from demo import figures
from demo.channels import ORDERS, SKUS_OF_SLOW, UNITS_PER_LINE_LIMIT, addresses, compare, order_id_of, wants
from demo.orders import load
from demo.pickers import CARRIERS_OF_PLATFORMS, errs, shipment
from demo.stock import LISTED_SKUS, LISTED_UNITS, plan
from demo.table import channels
from libs.regions import resolve


def booked(number: str, *uploads: str, paid: bool = True) -> dict[str, Any]:
    paid_at = "2026-11-11T00:00:00Z" if paid else None
    return {"order_id": number, "paid_at": paid_at, "uploads": [{"kind": kind} for kind in uploads]}


def row(stage: str) -> dict[str, Any]:
    return {"stage": stage}


def test_every_paid_order_is_here_and_every_shipped_one_uploaded_once() -> None:
    rows = {order_id_of("jd", number): row(stage) for number, stage in (("1", "shipped"), ("2", "cancelled"))}
    books = [booked("1", "forgotten", "first", "repeated"), booked("2"), booked("9", paid=False)]
    standing, differing = compare("jd", books, rows)
    assert (standing.paid, standing.orders_in, standing.cancelled) == (2, 2, 1)
    assert (standing.shipped, standing.uploaded, standing.amiss) == (1, 1, 0)
    assert differing == []


def test_what_differs_from_the_books_is_named_and_fails_the_run() -> None:
    rows = {order_id_of("jd", each): row("shipped") for each in ("twice", "never")}
    rows[order_id_of("jd", "early")] = row("picking")
    books = [booked("twice", "first", "corrected"), booked("never"), booked("early", "first"), booked("lost")]
    standing, differing = compare("jd", books, rows)
    assert standing.amiss == len(differing) == 4
    assert "jd order lost: not here" in differing[3]
    found = {
        "orders in": 5,
        "tasks lost by pickers": 0,
        "messages parked": 0,
        "parcels picked": 1,
        "parcels shipped": 1,
        "channels": {"own": {"orders_in": 5}, "jd": vars(standing)},
    }
    assert figures.complete(found, 5) == [
        "4 orders of jd are not here, or not uploaded exactly once",
        "jd has 4 paid orders, 3 of them are here",
    ]
    assert channels(found["channels"], {"jd": 3.0, "own": None})


def test_no_listed_sku_has_a_last_unit() -> None:
    listed = [sku for sku in plan().values() if sku.listed]
    assert len(listed) == LISTED_SKUS > SKUS_OF_SLOW
    assert not any(sku.gone or sku.only_in for sku in listed)
    assert all(units == sku.demand_units + LISTED_UNITS for sku in listed for units in sku.on_hand.values())
    assert 6 * ORDERS * UNITS_PER_LINE_LIMIT <= LISTED_UNITS
    assert wants({sku.sku for sku in listed[:SKUS_OF_SLOW]})
    assert wants({sku.sku for sku in listed[SKUS_OF_SLOW:]})


def test_whole_addresses_resolve() -> None:
    assert len(addresses()) == ORDERS
    assert all(resolve("", "", "", address).resolved for address in addresses())


def test_nobody_errs_over_a_number_that_the_next_run_will_not_have() -> None:
    own = [{"order_id": order.order_id} for order in load().orders]
    assert 0 < sum(errs("scan", task, 2) for task in own) < len(own)
    assert not any(errs("scan", {"order_id": f"jd.demo-jd.{number}"}, 100) for number in range(50))
    tasks = ({"task_id": f"{n}/1", "order_id": f"taobao.x.{n}", "requirements": []} for n in range(50))
    assert {shipment(task)["carrier"] for task in tasks} == set(CARRIERS_OF_PLATFORMS)
