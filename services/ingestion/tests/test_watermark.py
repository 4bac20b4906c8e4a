"""The watermark never passes an order that is not here, and moves on whatever else waits."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingestion.domain import (
    DAYS,
    PULL,
    CloseDays,
    NoteTrouble,
    PlatformOrder,
    Progress,
    Standing,
    Step,
    WaiveGaps,
    completed,
    health,
    waits_for,
)
from services.ingestion.domain.watermark import OPEN_LIMIT, STEPS_LIMIT, advance, opened, resolved
from services.ingestion.tests.platform_samples import (
    SHOP,
    at,
    close,
    connected,
    delivered,
    order_id,
    page,
    said,
    sends,
    take,
)
from services.ingestion.tests.samples import NOW


def pull(number, until, ended=None):
    return Step(number=number, kind=PULL, until=at(until), ended=at(until if ended is None else ended))


def days(number, until):
    return Step(number=number, kind=DAYS, until=at(until), ended=at(until))


@pytest.mark.parametrize(
    ("steps", "open_steps", "evidence", "until"),
    [
        ([], [], [PULL], None),
        ([pull(1, 10)], [], [PULL], None),
        ([pull(1, 10), pull(2, 20)], [], [PULL], None),
        ([pull(1, 10), pull(2, 20), pull(3, 30)], [], [PULL], 10),
        # The walk of the first lasted past the end of the second: only the third can have seen what it lost.
        ([pull(1, 10, 25), pull(2, 20), pull(3, 30)], [], [PULL], None),
        ([pull(1, 10, 25), pull(2, 20), pull(3, 30), pull(4, 40)], [], [PULL], 20),
        # Catching up: every walk ends now, so nothing is proven before a window reaches now.
        ([pull(n, n * 10, 100 + n) for n in range(1, 9)], [], [PULL], None),
        ([*(pull(n, n * 10, 100 + n) for n in range(1, 9)), pull(9, 110), pull(10, 120)], [], [PULL], 80),
        # A document that is not here holds back what its pull would prove.
        ([pull(n, n * 10) for n in range(1, 7)], [6], [PULL], 30),
        ([pull(n, n * 10) for n in range(1, 7)], [3, 6], [PULL], None),
        ([days(1, 10), days(2, 20)], [], [DAYS], 20),
        ([days(1, 10), days(2, 20)], [2], [DAYS], 10),
        ([pull(1, 10), pull(2, 20), pull(3, 30), days(4, 5)], [], [PULL, DAYS], 5),
        ([pull(1, 10), pull(2, 20), pull(3, 30)], [], [PULL, DAYS], None),
        ([pull(1, 10)], [], [], None),
    ],
)
def test_what_evidence_proves(steps, open_steps, evidence, until):
    assert completed(steps, open_steps, evidence) == (None if until is None else at(until))


def test_evidence_is_bounded_and_a_long_stall_costs_only_stride():
    progress = Progress(
        shop_id=SHOP, channel="taobao", evidence=[PULL], since=NOW, covered_until=NOW, complete_until=NOW
    )
    opened(progress, 1)
    for number in range(1, 500):
        progress.steps.append(pull(number, number * 10))
        if number > 1:
            opened(progress, number)
        advance(progress)
        assert len(progress.steps) <= STEPS_LIMIT + 1
        assert len(progress.open) <= OPEN_LIMIT
    assert progress.complete_until == NOW
    for number, count in list(progress.open.items()):
        for _ in range(count):
            resolved(progress, int(number))
    assert progress.open == {}
    assert progress.complete_until >= at(4000)


def test_a_pull_that_leaves_a_gap_or_lists_less_than_is_counted_is_no_evidence():
    bench = connected()
    assert bench.handle(close(1, at(5), at(10)), at(20))[-1].status == 409
    assert bench.handle(close(2, NOW, at(10)), at(20))[-1].status == 409
    assert bench.handle(close(1, NOW, at(10), listed=3, counted=4), at(20))[-1].body == {"closed": False}
    assert "counts 1 more" in bench.row(Progress, SHOP).trouble
    assert bench.handle(close(1, NOW, at(10), listed=4, counted=4), at(20))[-1].body == {"closed": True}
    found = bench.row(Progress, SHOP)
    assert (found.trouble, found.covered_until, found.step_number) == (None, at(10), 1)


def test_day_numbers_with_a_gap_are_no_evidence():
    bench = connected(evidence=[DAYS])
    asked = {"shop_id": SHOP, "number": 1, "until": at(10), "ended": at(11)}
    bench.handle(CloseDays(**asked, counted={"2026-11-11": 4}, gaps=["2026-11-11 #5"]), at(11))
    found = bench.row(Progress, SHOP)
    assert (found.complete_until, found.gaps, found.step_number) == (NOW, ["2026-11-11 #5"], 0)
    assert health(found, STANDING, at(2000), 300, 900).colour == "red"
    bench.handle(CloseDays(**asked, counted={"2026-11-11": 6}, gaps=[]), at(11))
    found = bench.row(Progress, SHOP)
    assert (found.complete_until, found.days, found.gaps) == (at(10), {"2026-11-11": 6}, [])


@pytest.mark.parametrize(
    ("gap", "stops", "fills"),
    [
        ("2026-11-11 #5", {"2026-11-11": 4}, {"2026-11-11": 5}),
        ("2026-11-11 #5", {"2026-11-12": 9}, {"2026-11-11": 6}),
        ("2026-11-11", {"2026-11-12": 9}, {"2026-11-11": 0}),
    ],
)
def test_a_day_with_a_known_hole_does_not_close_by_stopping_at_it(gap, stops, fills):
    bench = connected(evidence=[DAYS])
    asked = {"shop_id": SHOP, "number": 1, "until": at(10), "ended": at(11)}
    bench.handle(CloseDays(**asked, counted={}, gaps=[gap]), at(11))
    assert bench.handle(CloseDays(**asked, counted=stops, gaps=[]), at(11))[-1].body == {"closed": False}
    found = bench.row(Progress, SHOP)
    assert (found.complete_until, found.gaps) == (NOW, [gap])
    assert bench.handle(CloseDays(**asked, counted=fills, gaps=[]), at(11))[-1].body == {"closed": True}
    found = bench.row(Progress, SHOP)
    assert (found.complete_until, found.gaps, found.trouble) == (at(10), [], None)


def test_a_number_that_was_never_given_out_holds_nothing_once_an_operator_vouches_for_it():
    bench = connected(evidence=[DAYS])
    asked = {"shop_id": SHOP, "number": 1, "until": at(10), "ended": at(11)}
    missing = ["2026-11-10", "2026-11-11 #3", "2026-11-11 #5"]
    bench.handle(CloseDays(**asked, counted={"2026-11-11": 2}, gaps=missing), at(11))
    vouch = {"shop_id": SHOP, "by": "li", "why": "the platform says so"}

    answer = bench.handle(WaiveGaps(**vouch, gaps=["2026-11-11 #3", "2026-11-11 #4"]), at(12))[-1]
    assert (answer.status, answer.body["field"], answer.body["unknown"]) == (409, "gaps", ["2026-11-11 #4"])
    assert bench.row(Progress, SHOP).gaps == missing, "none of them, if one is wrong"

    assert bench.handle(WaiveGaps(**vouch, gaps=missing[:2] * 2), at(12))[-1].body["gaps"] == missing[2:]
    # A reading that began before that names them once more.
    close = CloseDays(**asked, counted={"2026-11-11": 4}, gaps=missing)
    assert bench.handle(close, at(13))[-1].body == {"closed": False}, "the third is still waited for"
    assert bench.row(Progress, SHOP).gaps == missing[2:]
    filled = CloseDays(**asked, counted={"2026-11-11": 6}, gaps=missing[:1])
    assert bench.handle(filled, at(14))[-1].body == {"closed": True}
    found = bench.row(Progress, SHOP)
    assert (found.complete_until, found.gaps, found.trouble) == (at(10), [], None)
    assert [(each.gap, each.by, each.why, each.at) for each in found.waived] == [
        (gap, "li", "the platform says so", at(12)) for gap in missing[:2]
    ]
    assert bench.handle(WaiveGaps(shop_id="x", gaps=["2026-11-11"], by="li", why="?"), at(15))[-1].status == 404


def test_how_far_a_day_with_a_gap_is_counted_is_kept_however_old_it_is():
    bench = connected(evidence=[DAYS])
    counted = {f"2026-11-{day:02}": day for day in range(1, 12)}
    close = CloseDays(shop_id=SHOP, number=1, until=at(10), ended=at(11), counted=counted, gaps=["2026-11-02 #4"])
    bench.handle(close, at(11))
    assert bench.row(Progress, SHOP).days == {"2026-11-02": 2, "2026-11-09": 9, "2026-11-10": 10, "2026-11-11": 11}


STANDING = Standing(paused=False, asks=None, token_expires_at=None, parked=0)


def progress_of(**more):
    asked = {"evidence": [PULL], "since": NOW, "covered_until": NOW, "complete_until": NOW}
    return Progress(shop_id=SHOP, channel="taobao", **asked | more)


@pytest.mark.parametrize(
    ("progress", "standing", "seconds", "colour", "word"),
    [
        ({}, {}, 10, "green", ""),
        ({}, {}, 400, "yellow", "next pull"),
        ({}, {}, 1000, "red", "next pull"),
        ({"trouble": "HTTP 503"}, {}, 10, "yellow", "HTTP 503"),
        ({"trouble": "HTTP 503"}, {}, 1000, "red", "HTTP 503"),
        ({"open": {"3": 2}}, {}, 1000, "red", "2 documents"),
        ({}, {"asks": "sign in again"}, 10, "red", "sign in again"),
        ({}, {"token_expires_at": NOW}, 10, "red", "expired"),
        ({}, {"parked": 1}, 10, "yellow", "but for 1 parked"),
        ({}, {"paused": True}, 10, "yellow", "paused"),
        ({"late_orders": 1}, {}, 10, "yellow", "1 orders came after"),
        ({"evidence": [], "complete_until": None}, {}, 1000, "grey", "no way to ask"),
        # Pinduoduo's lists: three windows, each 185 s behind, pass before a time counts.
        ({"step_number": 9}, {"lists_late_s": 185}, 850, "green", ""),
        ({"step_number": 9}, {"lists_late_s": 185}, 860, "yellow", "next pull"),
        ({"step_number": 9}, {"lists_late_s": 185}, 1460, "red", "next pull"),
    ],
)
def test_colours_and_reasons(progress, standing, seconds, colour, word):
    judged = health(
        progress_of(**progress),
        Standing(**{"paused": False, "asks": None, "token_expires_at": None, "parked": 0} | standing),
        at(seconds),
        300,
        900,
    )
    assert judged.colour == colour
    assert word in " ".join(judged.reasons)


def test_a_new_shop_says_when_its_first_window_closes():
    lists_late = msgspec.structs.replace(STANDING, lists_late_s=185.0)
    found = progress_of()
    words = f"lists run 3 min behind: the first window closes at {at(186):%H:%M:%S} UTC"
    assert waits_for(found, lists_late, at(0)) == waits_for(found, lists_late, at(185)) == words
    assert "next pull" in waits_for(found, lists_late, at(186)), "then it is due"
    assert "next pull" in waits_for(found, STANDING, at(0)), "lists that are never late are asked at once"
    assert "lists run 10 s" in waits_for(found, msgspec.structs.replace(STANDING, lists_late_s=10.0), at(2))
    judged = health(found, lists_late, at(180), 300, 900)
    assert (judged.colour, judged.reasons) == ("green", [])
    found.step_number = 1
    assert "next pull" in waits_for(found, lists_late, at(10))


def test_trouble_keeps_when_it_began():
    bench = connected()
    bench.handle(NoteTrouble(shop_id=SHOP, why="HTTP 503"), at(1))
    bench.handle(NoteTrouble(shop_id=SHOP, why="HTTP 502"), at(9))
    found = bench.row(Progress, SHOP)
    assert (found.trouble, found.trouble_since) == ("HTTP 502", at(1))


# A platform: each order changes when it is paid and up to two times more; no push ever comes.
orders = st.lists(
    st.tuples(
        st.integers(0, 200),  # paid at
        st.lists(st.integers(0, 60), max_size=2),  # further changes, so long after the one before
        st.integers(0, 3),  # in how many rounds its fetches come back
    ),
    max_size=8,
)
walks = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 40), st.booleans()), min_size=3, max_size=12)


@settings(max_examples=300, deadline=None)
@given(orders, walks, st.integers(0, 10))
def test_it_never_passes_an_order_that_is_not_here(orders, walks, lag):
    bench = connected()
    changes = {}
    for place, (paid, more, _) in enumerate(orders):
        moments = [paid]
        for gap in more:
            moments.append(moments[-1] + gap)
        changes[str(place)] = moments

    def modified(number, second):
        found = [moment for moment in changes[number] if moment <= second]
        return found[-1] if found else None

    covered, second, under_way, round_number = 0, 0, [], 0

    def check():
        until = bench.row(Progress, SHOP).complete_until
        for number, (paid, *_) in changes.items():
            if at(paid) < until:
                assert bench.row(PlatformOrder, order_id(number)) is not None, (number, paid, until)

    def ask(outputs):
        for send in sends(outputs):
            slow = orders[int(send.body["subject_id"])][2]
            under_way.append((round_number + slow, send))

    for step, (interval, lasts, late_query) in enumerate(walks, 1):
        second += interval
        until = second - lag
        if until <= covered:
            continue
        ended = second + lasts
        asked = ended if late_query else second
        rows = [(n, modified(n, asked)) for n in changes]
        listed = [(n, at(m)) for n, m in rows if m is not None and covered <= m < until]
        number = bench.row(Progress, SHOP).step_number + 1
        ask(bench.handle(page(number, *listed, read_at=at(asked)), at(ended)))
        bench.handle(close(number, at(covered), at(until), at(ended), len(listed)), at(ended))
        covered, second, round_number = until, ended, step
        check()
        for send in [each for due, each in under_way if due <= round_number]:
            wanted = send.body["subject_id"]
            moment = modified(wanted, second)
            order = said(wanted, paid_at=at(changes[wanted][0]))
            bench.handle(
                take(wanted, send.body["fetch_no"], order, read_at=at(second), modified_at=at(moment)), at(second)
            )
            ask(bench.handle(delivered(send), at(second)))
            check()
        under_way = [(due, each) for due, each in under_way if due > round_number]
    assert bench.row(Progress, SHOP).late_orders == 0


def test_it_moves_on_while_new_orders_keep_coming():
    bench = connected()
    for number in range(1, 20):
        until = at(number * 20)
        listed = (str(number), until - timedelta(seconds=3))
        (send,) = sends(bench.handle(page(number, listed, read_at=until), until))
        bench.handle(close(number, at(number * 20 - 20), until, listed=1), until)
        order = said(str(number), paid_at=listed[1])
        bench.handle(take(str(number), 1, order, read_at=until, modified_at=listed[1]), until)
        bench.handle(delivered(send), until)
    assert bench.row(Progress, SHOP).complete_until == at(17 * 20)
