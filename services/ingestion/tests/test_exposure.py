"""The exposure ledger: never more oversold than displayed, none at budget 0, and a ledger with a mistake is found."""

import inspect
import os
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingestion.domain import exposure
from services.ingestion.domain.allocation import Policy, allocate, fault
from services.ingestion.domain.ledger import Channels, Exposure, Listing, Patience
from services.ingestion.tests.exposure_game import Oversold, play

RUNS = int(os.environ.get("ORDO_EXPOSURE_RUNS", "120"))
MUTANT_RUNS = 150
PATIENCE = Patience()
SETS = Channels(takes=frozenset("ab"))
DELTAS = Channels(takes=frozenset("ab"), delta=frozenset("ab"), reads=frozenset("ab"))

MUTANTS = {
    "a lowering counts before sales up to it are heard": (
        "heard_ms < flight.ended_ms + patience.clock_skew_ms",
        "heard_ms < 0",
    ),
    "a lowering counts once it is answered": (
        '(flight.value > 0 or outcome == "unknown"):\n            # A raise counts whether or not it happened, '
        "a lowering only when it surely did; a reading tells.\n            listing.offered += max(0, flight.value)",
        "True:\n            listing.offered += flight.value",
    ),
    "raises under way are forgotten": ("    return flight.value\n", "    return 0\n"),
    "a set replaces what was offered": (
        "    return flight.value\n",
        "    return max(0, flight.value - listing.offered)\n",
    ),
    "a sale counts twice": ("listing.offered -= units", "listing.offered -= 2 * units"),
    "a sale is in the figures at once": ("listing.unshown += units", "listing.unshown += 0"),
    "figures show every sale before them": ("now_ms - each[0] <= patience.figures_late_ms", "now_ms - each[0] <= 0"),
    "sales before an answer count as after it": (
        "sold_ms > flight.ended_ms + patience.clock_skew_ms",
        "sold_ms > flight.sent_ms - 60_000",
    ),
    "no answer means not done": ('outcome == "not done" or', 'outcome != "done" or'),
    "any answer is good for the call under way": ("flight.change_id != change_id or ", ""),
    "the budget is spent twice": ("            slack -= under_way(listing)\n", ""),
    "a raise ignores the budget": ("more = min(target - listing.offered, slack)", "more = target - listing.offered"),
    "platforms begin with nothing": (
        "    if listing.known and not (",
        "    listing.known = True\n    if not (",
    ),
    "what is cancelled is offered by nobody": ("listing.restored += units", "listing.restored += 0"),
}


def mutated(old, new):
    source = inspect.getsource(exposure)
    assert old in source, "the mutant's place is gone"
    module = types.ModuleType("mutated_exposure")
    sys.modules[module.__name__] = module
    exec(compile(source.replace(old, new), "mutated_exposure", "exec"), module.__dict__)
    return module


@pytest.mark.timeout(900)
def test_never_more_is_oversold_than_displayed():
    sold = supply = shown = 0
    for seed in range(RUNS):
        game = play(seed)
        shown += any(game.displayed)
        game = play(seed, budget=0, offers=0)
        sold += sum(platform.sold for platform in game.platforms.values())
        supply += game.supply
    assert sold > supply * 0.7, "a ledger that sells nothing oversells nothing either"
    assert shown > RUNS * 0.5, "a bound that is always 0 was not put to the test"


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_ledger_with_a_mistake_oversells(name):
    module = mutated(*MUTANTS[name])
    with pytest.raises(Oversold):
        play_many(module)


def play_many(module):
    for seed in range(MUTANT_RUNS):
        for game in ({}, {"budget": 0, "offers": 0}, {"budget": 5, "offers": 0}):
            play(seed, module, **game)


def row(*policies, budget=0, atp=10, known=True, offered=(0, 0)):
    listings = [
        Listing(
            shop_id=name,
            channel=name,
            listing_id="L",
            listing_sku="S",
            policy=policy,
            known=known,
            offered=units,
        )
        for name, policy, units in zip("ab", policies, offered, strict=False)
    ]
    return Exposure(sku="A", budget=budget, atp=atp, sellable=atp, listings=listings)


def half():
    return Policy(mode="share", amount=50)


def plan(one, now=1_000, heard=None, channels=DELTAS):
    found = exposure.plan(one, heard or {}, now, channels, PATIENCE)
    return [(each.listing.shop_id, each.flight.kind, each.flight.value) for each in found]


def answer(one, shop, now=2_000, outcome="done", read=None):
    listing = next(each for each in one.listings if each.shop_id == shop)
    return exposure.answered(one, listing.flight.change_id, outcome, read, now, PATIENCE, "word")


def test_both_halves_are_told_and_nothing_twice():
    one = row(half(), half())
    assert plan(one) == [("a", "delta", 5), ("b", "delta", 5)]
    assert plan(one) == []
    assert answer(one, "a")
    assert answer(one, "b")
    assert not exposure.answered(one, "a/A/1", "done", None, 3_000, PATIENCE), "a doubled answer"
    assert [each.offered for each in one.listings] == [5, 5]
    assert exposure.bound(one) == 0
    assert plan(one) == [("a", "read", 0), ("b", "read", 0)], "every push is read back"


def test_a_lowering_is_trusted_before_another_channel_is_raised():
    one = row(Policy(mode="fixed", amount=2), Policy(mode="rest"), offered=(10, 0))
    assert plan(one) == [("a", "delta", -8)]
    answer(one, "a", now=2_000)
    assert plan(one, now=60_000, heard={"a": 2_000}) == [], "heard only up to the answer, clocks may differ"
    heard = {"a": 2_000 + PATIENCE.clock_skew_ms}
    assert ("b", "delta", 8) in plan(one, now=60_000, heard=heard)


def test_a_set_goes_through_nothing_where_the_budget_leaves_no_room():
    one = row(Policy(mode="fixed", amount=2), Policy(mode="rest"), offered=(10, 0))
    assert plan(one, channels=SETS) == [("a", "set", 0)]
    roomy = row(Policy(mode="fixed", amount=2), Policy(mode="rest"), offered=(10, 0), budget=2)
    assert plan(roomy, channels=SETS) == [("a", "set", 2)]
    assert exposure.bound(roomy) == 2


def test_a_sale_is_held_until_figures_came_and_had_time_to_show_it():
    one = row(Policy(mode="rest"), offered=(10,))
    assert exposure.sell(one, "a", 3, 900, 1_000, PATIENCE)
    assert not exposure.sell(one, "b", 3, 900, 1_000, PATIENCE), "not listed there"
    assert (one.listings[0].offered, exposure.bound(one)) == (7, 0)
    exposure.expire(one, 10**9, PATIENCE)
    assert exposure.bound(one) == 0, "no figures came: the sale is in none"
    exposure.hear_figures(one, 7, 7, 1_300)
    assert exposure.bound(one) == 3, "for a moment it may count twice, never not at all"
    assert plan(one, now=2_000) == []
    assert exposure.wake_at(one, 2_000, PATIENCE) == 1_000 + PATIENCE.figures_late_ms + 1
    plan(one, now=1_001 + PATIENCE.figures_late_ms)
    assert exposure.bound(one) == 0


def test_what_a_platform_offers_is_unknown_until_it_was_asked_or_told():
    one = row(half(), half(), known=False)
    assert exposure.bound(one) is None
    assert plan(one, channels=SETS) == [("a", "set", 0), ("b", "set", 0)]
    answer(one, "a", now=2_000)
    answer(one, "b", now=2_000)
    assert plan(one, now=9_000, heard={"a": 8_000, "b": 8_000}, channels=SETS) == [("a", "set", 5), ("b", "set", 5)]
    two = row(half(), known=False)
    assert plan(two) == [("a", "read", 0)]
    answer(two, "a", read=50)
    assert plan(two, now=9_000, heard={"a": 8_000}) == [("a", "delta", -45)]


def test_a_shop_that_is_not_known_holds_the_others_back():
    one = row(half(), half())
    one.listings[1].known = False
    assert plan(one) == [("b", "read", 0)], "what it sold unheard nothing that it was told bounds"
    answer(one, "b", now=2_000, read=8)
    assert plan(one, now=400_000, heard={"a": 400_000, "b": 2_000}) == [], "only its own watermark tells"
    assert plan(one, now=400_000, heard={"a": 0, "b": 8_000}) == [("b", "delta", -3), ("a", "delta", 2)]


def test_a_set_of_a_slow_shop_counts_beside_what_it_may_have_sold():
    one = row(Policy(mode="fixed", amount=6), Policy(mode="rest"), offered=(3, 0), atp=12)
    assert plan(one, channels=SETS) == [("a", "set", 6), ("b", "set", 3)]
    answer(one, "a", now=2_000)
    answer(one, "b", now=2_000)
    heard = {"b": 300_000}
    assert plan(one, now=300_000, heard=heard, channels=SETS) == [], (
        "a sold 3 unheard and offers 6: 12 with the other 3"
    )
    assert exposure.bound(one) == 0
    assert plan(one, now=300_000, heard={"a": 8_000, "b": 300_000}, channels=SETS) == [("b", "set", 0)]


def test_drift_is_found_by_reading_back_and_corrected():
    one = row(Policy(mode="rest"), offered=(10,))
    one.listings[0].wants_read = True
    assert plan(one) == [("a", "read", 0)]
    answer(one, "a", read=4)
    assert plan(one, now=9_000, heard={"a": 8_000}) == [("a", "delta", 6)]
    assert (one.listings[0].drift, one.listings[0].drifts) == (-6, 1)
    two = row(Policy(mode="rest"), offered=(10,))
    two.listings[0].wants_read = True
    plan(two)
    answer(two, "a", read=30)
    assert exposure.bound(two) == 30, "the platform has more than it was given: it counts at once"
    assert plan(two, now=9_000, heard={"a": 8_000}) == [("a", "delta", -20)]


def test_a_sale_around_a_reading_is_no_drift():
    one = row(Policy(mode="rest"), offered=(10,))
    one.listings[0].wants_read = True
    plan(one, now=1_000)
    exposure.sell(one, "a", 2, 1_500, 1_900, PATIENCE)
    answer(one, "a", now=2_000, read=10)
    plan(one, now=9_000, heard={"a": 8_000})
    assert (one.listings[0].drifts, one.listings[0].offered) == (0, 8)


def test_failures_back_off_and_catch_up():
    one = row(Policy(mode="rest"), offered=(0,))
    now = 1_000
    waits = []
    for _ in range(9):
        assert plan(one, now=now) == [("a", "delta", 10)]
        answer(one, "a", now=now, outcome="not done")
        assert plan(one, now=now) == []
        waits.append(one.listings[0].retry_ms - now)
        now = exposure.wake_at(one, now, PATIENCE)
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    assert one.listings[0].word == "word"
    plan(one, now=now)
    answer(one, "a", now=now)
    assert (one.listings[0].offered, one.listings[0].failures) == (10, 0)


@pytest.mark.parametrize(("value", "offered"), [(10, 10), (-4, 10)])
def test_an_answer_that_never_came_counts_at_worst_and_is_read_back(value, offered):
    one = row(Policy(mode="rest"), offered=(0,)) if value > 0 else row(Policy(mode="rest"), offered=(10,), atp=6)
    plan(one)
    assert one.listings[0].flight.value == value
    answer(one, "a", outcome="unknown")
    assert (one.listings[0].offered, one.listings[0].wants_read) == (offered, True)


def test_a_call_starts_once_an_attempt():
    one = row(Policy(mode="rest"))
    plan(one)
    change_id = one.listings[0].flight.change_id
    assert [exposure.start(one, change_id, attempt) for attempt in (1, 1, 2, 1)] == [True, False, True, False]
    assert not exposure.start(one, "other", 1)


def test_a_listing_that_ended_is_told_nothing_and_then_forgotten():
    one = row(Policy(mode="rest"), offered=(10,))
    one.listings[0].active = False
    assert plan(one) == [("a", "delta", -10)]
    answer(one, "a")
    plan(one, now=9_000, heard={"a": 8_000})
    assert one.listings == []


@pytest.mark.parametrize(
    ("units", "policies", "wanted"),
    [
        (100, [("fixed", 10, 1), ("share", 50, 1), ("rest", 5, 1)], [10, 45, 40]),
        (7, [("fixed", 10, 2), ("fixed", 5, 1)], [2, 5]),
        (10, [("share", 100, 2), ("share", 0, 1)], [10, 0]),
        (3, [("rest", 5, 1), ("rest", 0, 2)], [0, 3]),
        (0, [("fixed", 1, 1), ("rest", 0, 1)], [0, 0]),
        (-4, [("share", 50, 1)], [0]),
    ],
)
def test_who_gets_what(units, policies, wanted):
    named = [(str(n), Policy(mode=mode, amount=a, priority=p)) for n, (mode, a, p) in enumerate(policies)]
    assert list(allocate(units, named).values()) == wanted


POLICIES = st.lists(
    st.builds(
        Policy, mode=st.sampled_from(["fixed", "share", "rest"]), amount=st.integers(0, 60), priority=st.integers(0, 3)
    ),
    max_size=6,
)


@given(st.integers(-5, 300), POLICIES)
def test_never_more_is_given_out_than_there_is(units, policies):
    found = allocate(units, [(str(number), policy) for number, policy in enumerate(policies)])
    assert sum(found.values()) <= max(0, units)
    assert min(found.values(), default=0) >= 0


def test_shares_are_checked():
    assert fault([half(), half()]) is None
    assert "10 too many" in fault([half(), Policy(mode="share", amount=60)])
    assert fault([Policy(mode="fixed", amount=-1)])
