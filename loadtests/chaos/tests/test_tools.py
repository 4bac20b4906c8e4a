"""Clocks that jump, orders that are valid, and a report in the form that was agreed."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import msgspec

from libs.channels.own.inbound import Order, parse
from libs.testkit.invariants import Finding
from loadtests.chaos.driver import Damage
from loadtests.chaos.goods import CD, GZ, assortment, messages, probe_message
from loadtests.chaos.jumping import Offset, jumping
from loadtests.chaos.report import Run, write_json
from loadtests.chaos.schedule import KINDS, points
from loadtests.chaos.verdict import Verdict

NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)


def test_a_clock_is_moved_from_another_process_and_says_so(tmp_path: Path) -> None:
    ours, theirs = Offset(tmp_path / "risk.clock"), Offset(tmp_path / "risk.clock")
    now = jumping(theirs, lambda: NOON)
    assert now() == NOON
    ours.asked_s = -90.5
    assert now() == NOON - timedelta(seconds=90.5)
    assert ours.seen_s == -90.5


def test_real_orders_are_valid_and_each_has_an_id_of_its_own() -> None:
    goods = assortment()
    sent = list(islice(messages(goods, "c1", random.Random(1)), 300))
    read = [parse(msgspec.json.encode(message)) for message in [*sent, probe_message("p1")]]
    assert all(isinstance(order, Order) for order in read)
    assert len({order.platform_order_id for order in read}) == 301
    assert {sku for order in goods.orders for sku in order.units} == goods.demand_units.keys()


def test_most_skus_suffice_and_a_few_do_not() -> None:
    goods = assortment()
    plenty = next(sku for sku in goods.demand_units if sku not in goods.scarce)
    wanted = {sku: goods.demand_units[sku] * 3000 // len(goods.orders) for sku in (plenty, goods.scarce[0])}
    assert goods.first_units(plenty, 3000)[GZ] > wanted[plenty]
    assert 0 < goods.first_units(goods.scarce[0], 3000)[CD] < wanted[goods.scarce[0]]


def test_the_report_has_the_agreed_form(tmp_path: Path) -> None:
    damage = Damage(hits=Counter({"kill risk": 2}), recovery_s={"kill risk": [1.0, 3.0]})
    verdict = Verdict(
        told=Counter(order=3, ship=2),
        found=Counter(order=3, ship=1),
        lost=["ship x: gone"],
        findings=[Finding(id="I-1", title="", ok=True), Finding(id="I-2", title="", ok=False, detail="too much")],
    )
    run = Run(5, 42, KINDS, damage, verdict, ["clock: 0 of 5"], {}, {})
    write_json(tmp_path / "build" / "chaos.json", run)
    found = msgspec.json.decode((tmp_path / "build" / "chaos.json").read_bytes())
    assert found == {
        "minutes": 5,
        "seed": 42,
        "faults": dict.fromkeys(points(), 0) | {"kill risk": 2},
        "acked": 5,
        "found": 4,
        "lost": 1,
        "duplicated": 0,
        "oversold": 0,
        "stuck": 0,
        "parked": 0,
        "invariants": {"I-1": "ok", "I-2": "too much"},
        "recovery_seconds": {"kill risk": {"p50": 2.0, "max": 3.0}},
    }
    assert not run.passed
