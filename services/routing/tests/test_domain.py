"""Routing's decisions by table: which warehouse, what is missing, how to split, and in which words."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.routes import MissingAt, TransferAdvice
from contracts.stock import ParcelPlan, StockLine
from libs.rules import RuleFailed, RuleRefused, compile_graph
from libs.rules.defaults import read
from services.routing.domain import FACTS, VOCABULARY, OrderRoute, missing_at, split, transfers_for, wanted_units, words
from services.routing.domain.coverage import missing_everywhere
from services.routing.domain.rules import choose, facts_of, shipped_rules
from services.routing.domain.words import Why
from services.routing.tests.conftest import NOW


def lines_of(*wanted):
    return [StockLine(line_id=str(i), sku=sku, quantity=q) for i, (sku, q) in enumerate(wanted, start=1)]


@pytest.mark.parametrize(
    ("region", "warehouse", "rule"),
    [
        ("华中", "CD", "central_southwest"),
        ("西南", "CD", "central_southwest"),
        ("华北", "GZ", "elsewhere"),
        ("东北", "GZ", "elsewhere"),
        ("华东", "GZ", "elsewhere"),
        ("华南", "GZ", "elsewhere"),
        ("西北", "GZ", "elsewhere"),
        (None, "GZ", "elsewhere"),
    ],
)
def test_shipped_rules(region, warehouse, rule):
    row = OrderRoute(order_id="o", region=region, lines=lines_of(("A", 1)))
    choice = choose(row, {"A": 1}, shipped_rules(read("routing"), NOW))
    assert (choice.warehouse, choice.rule) == (warehouse, rule)
    assert choice.why.zh
    assert choice.why.en


def test_shipped_rules_hold_their_own_examples():
    compile_graph(read("routing"), 1, VOCABULARY)


def test_every_fact_is_documented_and_present():
    row = OrderRoute(
        order_id="o",
        region="华中",
        total=900,
        lines=lines_of(("A", 3), ("B", 1), ("A", 2)),
        shippable={"CD": {"A": 5, "B": 1}, "GZ": {"A": 2}},
    )
    facts = facts_of(row, wanted_units(row.lines))
    assert {f"{group}.{name}" for group, names in facts.items() for name in names} == {fact.name for fact in FACTS}
    assert {f"{group}.{name}" for group, names in VOCABULARY.neutral.items() for name in names} == set(VOCABULARY.names)
    assert facts["order"]["lines"] == 3
    assert facts["order"]["units"] == 6
    assert facts["stock"] == {"complete": ["CD"], "percent": {"CD": 100, "GZ": 33}}
    assert all(fact.zh and fact.en and fact.type for fact in FACTS)


@pytest.mark.parametrize(
    "output",
    [
        {"warehouse": '""'},
        {"warehouse": "null"},
        {"warehouse": "7"},
        {"warehouse": '"' + "W" * 65 + '"'},
        {"rule": "null"},
        {"why_zh": '"。"'},
        {"why_en": "1"},
    ],
)
def test_an_answer_without_a_warehouse_or_reason_is_no_answer(output):
    content = read("routing")
    content["jdm"]["nodes"][1]["content"]["rules"][1].update(output)
    row = OrderRoute(order_id="o", region="华东")
    with pytest.raises(RuleFailed):
        choose(row, {"A": 1}, shipped_rules(content, NOW))
    with pytest.raises(RuleRefused):
        compile_graph(content, 2, VOCABULARY)


@pytest.mark.parametrize(
    ("shippable", "missing", "transfers"),
    [
        ({"CD": {"A": 3, "B": 1}}, [], []),
        ({"CD": {"A": 3}, "GZ": {"B": 1}}, [("B", 1)], [("B", 1, "GZ")]),
        ({"CD": {"A": 1}, "GZ": {"A": 3, "B": 1}}, [("A", 2), ("B", 1)], [("A", 2, "GZ"), ("B", 1, "GZ")]),
        ({"GZ": {"A": 3, "B": 1}}, [("A", 3), ("B", 1)], [("A", 3, "GZ"), ("B", 1, "GZ")]),
        ({"GZ": {"A": 1}, "BJ": {"A": 2, "B": 1}}, [("A", 3), ("B", 1)],
         [("A", 2, "BJ"), ("A", 1, "GZ"), ("B", 1, "BJ")]),
        ({"BJ": {"A": 1}, "GZ": {"A": 3, "B": 1}}, [("A", 3), ("B", 1)], [("A", 3, "GZ"), ("B", 1, "GZ")]),
        ({"GZ": {"A": 2}}, [("A", 3), ("B", 1)], [("A", 2, "GZ")]),
        ({}, [("A", 3), ("B", 1)], []),
    ],
)  # fmt: skip
def test_what_is_missing_and_what_would_cure_it(shippable, missing, transfers):
    wanted = wanted_units(lines_of(("A", 2), ("B", 1), ("A", 1)))
    found = missing_at("CD", wanted, shippable)
    assert found == [MissingAt(warehouse="CD", sku=sku, quantity=q) for sku, q in missing]
    assert transfers_for(found, shippable) == [
        TransferAdvice(sku=sku, quantity=q, from_warehouse=source, to_warehouse="CD") for sku, q, source in transfers
    ]


@pytest.mark.parametrize(
    ("shippable", "preferred", "expected"),
    [
        ({"CD": {"A": 3, "B": 1}, "GZ": {"A": 3, "B": 1}}, "GZ", {"GZ": [3, 1]}),
        ({"CD": {"A": 3, "B": 1}, "GZ": {"A": 3, "B": 1}}, None, {"CD": [3, 1]}),
        ({"CD": {"A": 3}, "GZ": {"B": 1}}, "GZ", {"GZ": [1], "CD": [3]}),
        ({"CD": {"A": 3}, "GZ": {"B": 1}, "BJ": {"A": 3}}, "BJ", {"BJ": [3], "GZ": [1]}),
        ({"CD": {"A": 3}, "GZ": {"A": 1, "B": 1}}, "GZ", {"GZ": [1], "CD": [3]}),
        ({"CD": {"A": 2}, "GZ": {"A": 1, "B": 1}}, "CD", {"CD": [2], "GZ": [1, 1]}),
        ({"BJ": {"A": 2, "B": 1}, "CD": {"A": 1}, "GZ": {"A": 3}}, "XX", {"BJ": [1], "GZ": [3]}),
        ({"CD": {"A": 2}, "GZ": {"B": 1}}, "CD", None),
        ({}, "CD", None),
    ],
)
def test_split_by_table(shippable, preferred, expected):
    found = split(lines_of(("A", 3), ("B", 1)), shippable, preferred)
    got = found and {name: [line.quantity for line in part] for name, part in found.items()}
    assert got == expected
    if found is not None and expected is not None:
        assert list(found) == list(expected), "the preferred warehouse comes first"


SKUS = st.sampled_from(["A", "B", "C", "D"])
FIGURES = st.dictionaries(
    st.sampled_from([f"W{i}" for i in range(7)]), st.dictionaries(SKUS, st.integers(0, 4), max_size=4), max_size=6
)
LINES = st.lists(st.tuples(SKUS, st.integers(1, 4)), min_size=1, max_size=5)


@settings(max_examples=400, deadline=None)
@given(LINES, FIGURES, st.sampled_from(["W0", "W3", None]))
def test_split_is_minimal_complete_and_within_the_figures(wanted_lines, shippable, preferred):
    lines = lines_of(*wanted_lines)
    wanted = wanted_units(lines)
    found = split(lines, shippable, preferred)

    def covers(chosen):
        return all(sum(shippable[w].get(sku, 0) for w in chosen) >= q for sku, q in wanted.items())

    best = [
        set(chosen)
        for size in range(len(shippable) + 1)
        for chosen in itertools.combinations(sorted(shippable), size)
        if covers(chosen)
    ]
    if not best:
        assert found is None
        assert missing_everywhere(wanted, shippable)
        return
    assert found is not None
    fewest = len(best[0])
    assert len(found) == fewest
    assert all(found.values()), "no empty parcel"
    if any(preferred in chosen for chosen in best if len(chosen) == fewest):
        assert preferred in found
    by_line = {}
    for warehouse, part in found.items():
        assert len({line.line_id for line in part}) == len(part)
        for sku, quantity in wanted_units(part).items():
            assert quantity <= shippable[warehouse].get(sku, 0)
        for line in part:
            by_line[(line.line_id, line.sku)] = by_line.get((line.line_id, line.sku), 0) + line.quantity
    assert by_line == {(line.line_id, line.sku): line.quantity for line in lines}
    assert found == split(lines, dict(reversed(list(shippable.items()))), preferred), "order of figures is no matter"


def test_split_beyond_the_exact_limit_is_still_complete():
    shippable = {f"W{i:02}": {"A": 1} for i in range(14)} | {"BIG": {"A": 9, "B": 1}}
    found = split(lines_of(("A", 12), ("B", 1)), shippable, None)
    assert sum(line.quantity for part in found.values() for line in part) == 13
    assert len(found) == 4


REASON = Why("规则甲", "Rule one")


def test_words_name_region_warehouse_and_figures():
    lines = lines_of(("A", 3), ("B", 1))
    assert words.one_parcel(REASON, "华中", "CD", lines) == (
        "规则甲：收货地区华中，CD 仓可发齐全部 2 行共 4 件。",
        "Rule one: the order goes to Central China and warehouse CD can ship everything (2 lines, 4 units).",
    )
    parcels = [
        ParcelPlan(parcel_id="o/1.1", warehouse="CD", lines=lines[:1]),
        ParcelPlan(parcel_id="o/1.2", warehouse="GZ", lines=lines[1:]),
    ]
    assert words.several_parcels(REASON, None, parcels) == (
        "规则甲：收货地区未知，最少需 2 个包裹，CD 仓 3 件、GZ 仓 1 件。",
        "Rule one: the order goes to an unresolved region in the fewest possible parcels, 2 "
        "(units: 3 from CD, 1 from GZ).",
    )


@pytest.mark.parametrize(
    ("shippable", "zh", "en"),
    [
        (
            {"CD": {"A": 1}, "GZ": {"A": 3, "B": 1}},
            "规则甲：收货地区西南，CD 仓缺 A 2 件、B 1 件，可从 GZ 仓调拨 A 2 件、B 1 件。",
            "Rule one: the order goes to Southwest China, but warehouse CD lacks 2 of A and 1 of B; "
            "moving 2 of A and 1 of B from GZ would cure it.",
        ),
        (
            {"CD": {"A": 1, "B": 1}, "GZ": {"A": 1}},
            "规则甲：收货地区西南，CD 仓缺 A 2 件，可从 GZ 仓调拨 A 1 件，另缺 1 件需等到货。",
            "Rule one: the order goes to Southwest China, but warehouse CD lacks 2 of A; "
            "moving 1 of A from GZ would help, the other 1 unit must arrive first.",
        ),
        (
            {"CD": {"A": 1, "B": 1}},
            "规则甲：收货地区西南，CD 仓缺 A 2 件，各仓合计缺 2 件需等到货。",
            "Rule one: the order goes to Southwest China, but warehouse CD lacks 2 of A, 2 units must arrive first.",
        ),
    ],
)
def test_words_of_a_block(shippable, zh, en):
    missing = missing_at("CD", {"A": 3, "B": 1}, shippable)
    assert words.blocked(REASON, "西南", "CD", missing, transfers_for(missing, shippable)) == (zh, en)


def test_words_stay_short_for_many_skus():
    missing = [MissingAt(warehouse="CD", sku=f"S{i}", quantity=1) for i in range(2000)]
    why = words.blocked(REASON, "西南", "CD", missing, [])
    assert "等 2000 种" in why.zh
    assert "1997 more SKUs" in why.en
    assert max(map(len, why)) < 300
