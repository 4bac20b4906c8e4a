"""The shipped rules at their edges, the facts they see, and what a graph must not do."""

import copy
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.catalog import SkuDefined
from libs.rules import RuleFailed, compile_graph, defaults
from services.risk.domain import FACTS, VOCABULARY, OrderRisk, facts_of, findings_of, local_day
from services.risk.domain.facts import text_of
from services.risk.tests.orders import (
    HERE,
    NOW,
    NOWHERE,
    PICKUP,
    amended,
    bench,
    cancelled,
    held_by,
    later,
    line,
    names,
    placed,
)

SHIPPED = defaults.read("risk")


def test_the_shipped_rules_are_taken_by_their_own_rules():
    graph = compile_graph(SHIPPED, 1, VOCABULARY)
    assert graph.parameters["brushing_orders_per_day"] == 3


def test_every_fact_is_documented_and_every_documented_fact_is_there():
    facts = facts_of(placed(), {"A": 700}, 1, False, NOW)
    found = {f"{group}.{name}" for group in ("order", "buyer") for name in facts[group]}
    found |= {f"lines[].{name}" for name in facts["lines"][0]}
    assert found == {fact.name for fact in FACTS}
    assert all(fact.zh and fact.en and fact.type for fact in FACTS)
    assert len({fact.name for fact in FACTS}) == len(FACTS)


# 1: more than three orders of one buyer on one local day


@pytest.mark.parametrize(
    ("orders_before", "expected"), [(0, []), (2, []), (3, ["suspected_brushing"]), (7, ["suspected_brushing"])]
)
def test_the_fourth_order_of_a_day_is_suspected_brushing(orders_before, expected):
    risk = bench()
    for number in range(orders_before):
        risk.handle(placed(number, buyer_key="b"), NOW)
    assert held_by(risk.handle(placed("x", buyer_key="b"), NOW)) == expected


def test_orders_without_a_buyer_key_are_not_counted_together():
    risk = bench()
    assert [held_by(risk.handle(placed(number, buyer_key=None), NOW)) for number in range(6)] == [[]] * 6


def test_a_vip_may_order_often():
    risk = bench()
    for number in range(6):
        assert held_by(risk.handle(placed(number, buyer_key="b", buyer_vip=True), NOW)) == []


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 11, 11, 15, 59, 59, 999999, UTC), "2026-11-11"),
        (datetime(2026, 11, 11, 16, tzinfo=UTC), "2026-11-12"),
        (datetime(2026, 11, 11, 16), "2026-11-12"),
        (datetime(2026, 12, 31, 16, tzinfo=UTC), "2027-01-01"),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), "9999-12-31"),
    ],
)
def test_the_local_day_begins_at_sixteen_hours_utc(at, day):
    assert local_day(at, 480) == day


def test_counting_starts_anew_at_local_midnight():
    risk = bench()
    evening, midnight = datetime(2026, 11, 11, 15, 59, 59, tzinfo=UTC), datetime(2026, 11, 11, 16, tzinfo=UTC)
    for number in range(3):
        risk.handle(placed(number, buyer_key="b", placed_at=evening), NOW)
    assert held_by(risk.handle(placed("m", buyer_key="b", placed_at=midnight), NOW)) == []
    assert held_by(risk.handle(placed("e", buyer_key="b", placed_at=evening), NOW)) == ["suspected_brushing"]


def test_an_order_is_counted_once_however_often_it_changes():
    risk = bench()
    for number in range(3):
        risk.handle(placed(number, buyer_key="b"), NOW)
        risk.handle(placed(number, buyer_key="b"), NOW)
        risk.handle(amended(number, buyer_key="b", total=900), NOW)
    assert held_by(risk.handle(placed("x", buyer_key="b"), NOW)) == ["suspected_brushing"]
    # An order that was fine when it came is not held because others came after it.
    assert held_by(risk.handle(amended(0, version=3, buyer_key="b", total=901), NOW)) == []


# 2 and 3: amounts


@pytest.mark.parametrize(
    ("destination", "total", "expected"),
    [
        (PICKUP, 50_000, []),
        (PICKUP, 50_001, ["pickup_high_value"]),
        (HERE, 50_001, []),
        (PICKUP, 0, []),
    ],
)
def test_a_pickup_point_above_500_is_held(destination, total, expected):
    outputs = bench().handle(placed(destination=destination, total=total), NOW)
    assert held_by(outputs) == expected
    if expected:
        [reason] = outputs[0].reasons
        assert reason.rule_version == 1
        assert reason.facts == {
            "order.is_pickup_point": True,
            "order.total": 50_001,
            "parameters.pickup_total_limit": 50_000,
        }
        assert reason.message_en == "Pick-up point order of 500.01, above 500: held for review"
        assert "自提点" in reason.message_zh


@pytest.mark.parametrize(("unit_price", "requirements"), [(20_000, []), (20_001, ["signature_on_delivery"])])
def test_a_unit_price_above_200_needs_a_signature(unit_price, requirements):
    lines = [line("A", 3, 100), line("B", 1, unit_price, platform=19_000)]
    [cleared] = bench().handle(placed(lines=lines), NOW)
    assert cleared.requirements == requirements
    assert ("签收" in cleared.why_zh) == bool(requirements)


# 4: receipt against cost


@pytest.mark.parametrize(
    ("order_line", "cost", "expected"),
    [
        (line(unit_price=850), 1000, []),  # exactly 15 % below
        (line(unit_price=849), 1000, ["below_cost"]),
        (line(unit_price=17, quantity=3), 20, []),
        (line(unit_price=1000, merchant=151), 1000, ["below_cost"]),
        (line(unit_price=1000, merchant=150), 1000, []),
        (line(unit_price=1000, influencer=151), 1000, ["below_cost"]),
        (line(unit_price=1000, platform=999), 1000, []),  # the platform pays its share back
        (line(unit_price=1000, merchant=100, influencer=100, platform=500), 1000, ["below_cost"]),
        (line(unit_price=0), 1000, ["below_cost"]),
        (line(unit_price=0), 0, []),
        (line(unit_price=0), None, []),
        (line(unit_price=1500), 1000, []),
    ],
)
def test_a_net_receipt_more_than_15_percent_below_cost_is_held(order_line, cost, expected):
    risk = bench()
    risk.handle(SkuDefined(sku="A", cost=cost), NOW)
    assert held_by(risk.handle(placed(lines=[order_line]), NOW)) == expected


@pytest.mark.parametrize("kind", ["exchange", "reissue"])
def test_what_is_sent_free_of_charge_is_not_below_cost(kind):
    risk = bench()
    risk.handle(SkuDefined(sku="A", cost=1000), NOW)
    assert held_by(risk.handle(placed(kind=kind, lines=[line(unit_price=0)], total=0), NOW)) == []


def test_the_worst_line_counts_and_its_numbers_are_told():
    risk = bench()
    for sku in ("A", "B", "C"):
        risk.handle(SkuDefined(sku=sku, cost=1000), NOW)
    lines = [line("A", unit_price=5000), line("B", 2, 500), line("C", unit_price=800), line("D", unit_price=1)]
    [reason] = risk.handle(placed(lines=lines), NOW)[0].reasons
    assert reason.facts["order.worst_margin_sku"] == "B"
    assert reason.facts["order.worst_margin_percent"] == -50.0
    assert reason.facts["order.worst_net_receipt"] == 1000
    assert reason.facts["order.worst_cost_total"] == 2000


def test_base_and_threshold_are_parameters():
    content = copy.deepcopy(SHIPPED)
    content["parameters"] |= {"below_cost_percent": 20, "below_cost_base": "receipt"}
    content["examples"] = [{"name": "none", "given": {}, "expect": {"findings": []}}]
    for unit_price, expected in ((834, []), (833, ["below_cost"])):  # 1000 is 20 % above 833.33
        risk = bench(content)
        risk.handle(SkuDefined(sku="A", cost=1000), NOW)
        assert held_by(risk.handle(placed(lines=[line(unit_price=unit_price)]), NOW)) == expected


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(1, 999))
def test_the_margin_is_exact_at_its_edge(receipt, cost, quantity):
    facts = facts_of(placed(lines=[line(unit_price=receipt, quantity=quantity)]), {"A": cost}, 1, False, NOW)
    assert (facts["order"]["worst_margin_percent"] < -15) == (receipt * 100 < cost * 85)


# 5 and 6: presale, address


@pytest.mark.parametrize(
    ("available_from", "expected"),
    [
        (later(seconds=1), ["presale"]),
        (NOW, []),
        (later(days=-1), []),
        (None, ["presale"]),
    ],
)
def test_a_presale_is_held_until_its_time(available_from, expected):
    outputs = bench().handle(placed(kind="presale", available_from=available_from), NOW)
    assert held_by(outputs) == expected
    assert ("Wake" in names(outputs)) == bool(expected and available_from)


def test_an_unresolved_address_is_held_and_reasons_add_up():
    assert held_by(bench().handle(placed(destination=NOWHERE), NOW)) == ["unresolved_address"]
    everything = placed(destination=NOWHERE, kind="presale", total=99_999)
    assert held_by(bench().handle(everything, NOW)) == ["presale", "unresolved_address"]


# what rules answer


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"findings": 1},
        {"findings": [{"rule": "x"}]},
        {"findings": [{"rule": "X y", "action": "hold", "message_zh": "a", "message_en": "a"}]},
        {"findings": [{"rule": "x", "action": "ship", "message_zh": "a", "message_en": "a"}]},
        {"findings": [{"rule": "x", "action": "hold", "message_zh": "", "message_en": "a"}]},
        {"findings": [{"rule": "x", "action": "require", "message_zh": "a", "message_en": "a"}]},
        {"findings": [{"rule": "x", "action": "hold", "requirement": "y", "message_zh": "a", "message_en": "a"}]},
        {"findings": [{"rule": "rule_error", "action": "hold", "message_zh": "a", "message_en": "a"}]},
        {"findings": [{"rule": "x", "action": "hold", "until": "soon", "message_zh": "a", "message_en": "a"}]},
    ],
)
def test_an_answer_that_is_not_understood_is_a_failure(answer):
    with pytest.raises(RuleFailed):
        findings_of(answer)


@given(st.integers(-(10**12), 10**12))
def test_amounts_read_as_decimals(amount):
    assert round(float(text_of(amount)) * 100) == amount


MOMENTS = st.datetimes(datetime(2026, 11, 1), datetime(2026, 11, 20), timezones=st.just(UTC))
DESTINATIONS = st.sampled_from([HERE, NOWHERE, PICKUP])
LINES = st.lists(
    st.builds(line, st.sampled_from("ABC"), st.integers(1, 9), st.integers(0, 60_000), st.integers(0, 60_000)),
    min_size=1,
    max_size=4,
)
CHANGES = st.fixed_dictionaries(
    {
        "lines": LINES,
        "destination": DESTINATIONS,
        "total": st.integers(0, 10**6),
        "kind": st.sampled_from(["normal", "presale", "reissue"]),
        "available_from": st.none() | MOMENTS,
        "placed_at": MOMENTS,
        "buyer_key": st.sampled_from([None, "b"]),
    }
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["placed", "amended", "cancelled", "tick"]), st.integers(1, 3), st.integers(1, 4), CHANGES
    ),
    max_size=12,
)


@given(STEPS)
def test_whatever_comes_the_verdicts_agree_with_the_state(steps):
    """Any interleaving: open holds told and resolved balance out, and the events repeat byte for byte."""

    def run():
        risk, log, clock = bench(), [], NOW
        risk.handle(SkuDefined(sku="A", cost=20_000), NOW)
        for step, number, version, changes in steps:
            clock += timedelta(hours=9)
            if step == "tick":
                log.extend(risk.tick(clock))
            elif step == "cancelled":
                log.extend(risk.handle(cancelled(number), clock))
            elif step == "amended":
                log.extend(risk.handle(amended(number, version, **changes), clock))
            else:
                log.extend(risk.handle(placed(number, **changes), clock))
        return risk, log

    risk, log = run()
    assert msgspec.json.encode(run()[1]) == msgspec.json.encode(log)
    open_holds: dict[str, set[str]] = {}
    for output in log:
        kind = type(output).__name__
        if kind == "OrderHeld":
            open_holds[output.order_id] = {reason.rule for reason in output.reasons}
        elif kind == "HoldResolved":
            assert output.rule in open_holds[output.order_id]
            open_holds[output.order_id].discard(output.rule)
        elif kind == "OrderCleared":
            assert not open_holds.get(output.order_id)
    for row in risk.all_rows(OrderRisk):
        assert {reason.rule for reason in row.reasons} == open_holds.get(row.order_id, set())
        assert (row.state == "held") == bool(row.reasons) == (row.held_at is not None)
        timed = any(reason.until for reason in row.reasons)
        assert (("hold", row.order_id) in risk.timers) == timed
