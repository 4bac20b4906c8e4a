"""What the lossy run calls missing, doubled, too early and uploaded once."""

from datetime import UTC, datetime, timedelta

import pytest

from loadtests.lossy.platforms import complete_of
from loadtests.lossy.truth import Timeline, Truth, percentile

NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def entry(number, paid=0, status="paid", uploads=()):
    rows = [{"kind": kind, "at": at(when).isoformat()} for kind, when in uploads]
    paid_at = None if paid is None else at(paid).isoformat().replace("+00:00", "Z")
    return {"order_id": number, "paid_at": paid_at, "status": status, "uploads": rows}


def booked(*entries):
    truth = Truth()
    truth.book("jd", "s", entries)
    return truth


def test_what_is_paid_and_not_placed_is_missing_and_what_is_placed_twice_is_doubled():
    truth = booked(entry("1"), entry("2"), entry("3", paid=None))
    truth.hear("jd.s.1", at(1))
    truth.hear("jd.s.1", at(2))
    truth.hear("jd.s.9", at(2))
    assert (truth.missing, truth.doubled, truth.invented) == (["jd.s.2"], ["jd.s.1"], ["jd.s.9"])


@pytest.mark.parametrize(
    ("complete", "stored", "wrong"),
    [({"s": 6}, [], 1), ({"s": 5}, [], 0), ({}, [], 0), ({"s": 6}, ["jd.s.1"], 0), ({"other": 9}, [], 0)],
)
def test_a_time_that_passes_an_order_that_is_not_stored_is_wrong(complete, stored, wrong):
    truth = booked(entry("1", paid=5))
    truth.check({shop: at(seconds) for shop, seconds in complete.items()}, stored)
    assert len(truth.violations) == wrong
    assert truth.checks == 1


@pytest.mark.parametrize(
    ("status", "uploads", "wrong", "closed"),
    [
        ("shipped", [("first", 9)], 0, 0),
        ("shipped", [("first", 9), ("repeated", 10)], 0, 0),
        ("shipped", [("first", 9), ("corrected", 10)], 1, 0),
        ("shipped", [("first", 9), ("first", 10)], 1, 0),
        ("paid", [("forgotten", 9)], 1, 0),
        ("closed", [], 0, 1),
        ("closed", [("first", 9)], 0, 0),
    ],
)
def test_a_shipped_order_is_told_once_unless_its_platform_closed_it_first(status, uploads, wrong, closed):
    truth = booked(entry("1", status=status, uploads=uploads), entry("2"))
    truth.shipped_at["jd.s.1"] = at(8)
    assert (len(truth.not_uploaded_once), truth.closed_first) == (wrong, closed)


def test_times_are_told_in_real_seconds_and_those_of_the_hurry_are_left_out():
    timeline = Timeline()
    timeline.step(at(100), 120)
    timeline.step(at(230), 120)
    timeline.hurries.append((at(100), at(360)))
    truth = booked(entry("1", paid=50), entry("2", paid=240), entry("3", paid=400))
    for number, seen in (("1", 390), ("2", 250), ("3", 402)):
        truth.hear(f"jd.s.{number}", at(seen))
    assert truth.arrival_s(timeline) == [2, 100]
    assert truth.arrival_s(timeline, "taobao") == []
    assert truth.arrival_s(timeline, away="jd") == [2], "nobody could tell of the first while its platform was away"
    assert truth.arrival_s(timeline, away="taobao") == [2, 100]


def test_percentiles_and_watermarks_that_are_not_there():
    assert percentile([]) is None
    assert percentile([float(n) for n in range(100)]) == 99
    shops = {"a": {"completeness": None}, "b": {"completeness": {"complete_until": "2026-11-11T12:00:00Z"}}}
    assert complete_of(shops) == {"b": NOON}
