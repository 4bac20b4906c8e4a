"""Risk's handlers message by message: happy, twice, out of order, refused."""

import copy
from datetime import UTC, datetime

import pytest

from contracts.catalog import SkuDefined
from contracts.orders import RefundRequested
from libs.decide import Due, Unwake, Wake
from libs.rules import defaults
from services.risk.domain import (
    AllowBuyer,
    AllowedBuyer,
    BuyerDay,
    DisallowBuyer,
    OrderRisk,
    ReplaceRules,
    RuleGraph,
    RuleVersion,
    SkuCost,
)
from services.risk.tests.orders import (
    HERE,
    ID,
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
    reject,
    release,
    status,
)

SHIPPED = defaults.read("risk")


def changed(**parameters):
    """The shipped rules with other parameters, and examples that still hold."""
    content = copy.deepcopy(SHIPPED)
    content["parameters"] |= parameters
    content["examples"] = content["examples"][:1]
    return content


def test_an_order_is_judged_once_a_version():
    risk = bench()
    assert names(risk.handle(placed(), NOW)) == ["OrderCleared"]
    assert risk.handle(placed(), NOW) == []
    [cleared] = risk.handle(amended(), NOW)
    assert cleared.version == 2
    assert risk.handle(amended(), NOW) == []
    assert risk.handle(placed(), NOW) == []
    assert risk.row(BuyerDay, "buyer-1", "2026-11-11").orders == 1


def test_an_amendment_that_comes_first_counts():
    risk = bench()
    assert held_by(risk.handle(amended(destination=NOWHERE), NOW)) == ["unresolved_address"]
    assert risk.handle(placed(), NOW) == []
    assert risk.row(OrderRisk, ID).version == 2


def test_an_amendment_supersedes_holds_that_no_longer_apply():
    risk = bench()
    risk.handle(placed(destination=NOWHERE, kind="presale", available_from=later(days=1)), NOW)
    outputs = risk.handle(amended(destination=PICKUP, total=60_000), later(hours=1))
    assert names(outputs) == ["HoldResolved", "HoldResolved", "OrderHeld", "Unwake"]
    assert [(o.rule, o.verdict, o.version) for o in outputs[:2]] == [
        ("presale", "superseded", 1),
        ("unresolved_address", "superseded", 1),
    ]
    assert held_by(outputs) == ["pickup_high_value"]
    assert outputs[2].version == 2
    row = risk.row(OrderRisk, ID)
    assert (row.state, row.held_at) == ("held", NOW)
    outputs = risk.handle(amended(version=3), later(hours=2))
    assert names(outputs) == ["HoldResolved", "OrderCleared"]
    assert risk.row(OrderRisk, ID).held_at is None


def test_a_cleared_order_can_be_held_by_its_amendment():
    risk = bench()
    risk.handle(placed(), NOW)
    assert held_by(risk.handle(amended(destination=NOWHERE), NOW)) == ["unresolved_address"]


def test_a_presale_clears_by_itself():
    risk = bench()
    opens = later(days=2)
    outputs = risk.handle(placed(kind="presale", available_from=opens), NOW)
    assert outputs[-1] == Wake(kind="hold", key=ID, at=opens)
    assert risk.tick(later(days=1)) == []
    outputs = risk.tick(opens)
    assert names(outputs) == ["HoldResolved", "OrderCleared"]
    assert (outputs[0].verdict, outputs[0].by) == ("expired", "risk")
    assert risk.handle(Due(kind="hold", key=ID, at=opens), opens) == []


def test_a_presale_held_for_more_than_its_date_waits_on():
    risk = bench()
    opens = later(days=2)
    risk.handle(placed(kind="presale", available_from=opens, destination=NOWHERE), NOW)
    assert names(risk.tick(opens)) == ["HoldResolved"]
    assert names(risk.handle(release(), opens)) == ["HoldResolved", "OrderCleared", "Reply"]


def test_a_timer_that_was_moved_or_is_unknown_does_nothing_early():
    risk = bench()
    assert risk.handle(Due(kind="hold", key=ID, at=NOW), NOW) == []
    risk.handle(placed(kind="presale", available_from=later(days=2)), NOW)
    outputs = risk.handle(amended(kind="presale", available_from=later(days=5)), NOW)
    assert names(outputs) == ["OrderHeld", "Wake"]
    early = risk.handle(Due(kind="hold", key=ID, at=later(days=2)), later(days=2))
    assert early == [Wake(kind="hold", key=ID, at=later(days=5))]


def test_releasing_the_timed_hold_removes_its_timer():
    risk = bench()
    risk.handle(placed(kind="presale", available_from=later(days=2), destination=NOWHERE), NOW)
    assert Unwake(kind="hold", key=ID) in risk.handle(release("presale"), NOW)
    assert risk.timers == {}


def test_a_cancellation_closes_a_held_order():
    risk = bench()
    risk.handle(placed(kind="presale", available_from=later(days=2), destination=NOWHERE), NOW)
    outputs = risk.handle(cancelled(), NOW)
    assert names(outputs) == ["HoldResolved", "HoldResolved", "Unwake"]
    assert {output.verdict for output in outputs[:2]} == {"superseded"}
    assert risk.timers == {}
    assert risk.handle(cancelled(), NOW) == []
    assert risk.handle(amended(), NOW) == []
    assert status(risk.handle(release(), NOW)) == 409


def test_a_cancellation_that_comes_first_is_remembered():
    risk = bench()
    assert risk.handle(cancelled(), NOW) == []
    assert risk.handle(placed(destination=NOWHERE), NOW) == []
    assert risk.row(OrderRisk, ID).state == "closed"


def test_a_refund_counts_as_a_cancellation_only_before_shipping():
    risk = bench()
    risk.handle(placed(destination=NOWHERE), NOW)
    refund = {"order_id": ID, "request_id": "r", "requested_at": NOW, "amount": 100}
    assert risk.handle(RefundRequested(**refund, after_shipping=True), NOW) == []
    assert risk.handle(RefundRequested(**refund, line_ids=["1"]), NOW) == [], "an amendment takes the line out"
    assert names(risk.handle(RefundRequested(**refund), NOW)) == ["HoldResolved"]
    assert risk.row(OrderRisk, ID).state == "closed"


def test_costs_are_remembered_and_forgotten():
    risk = bench()
    risk.handle(SkuDefined(sku="A", cost=5), NOW)
    risk.handle(SkuDefined(sku="A", cost=5, title="new"), NOW)
    assert risk.row(SkuCost, "A").cost == 5
    risk.handle(SkuDefined(sku="A"), NOW)
    assert risk.row(SkuCost, "A").cost is None


def test_the_allow_list():
    risk = bench()
    allowed = AllowBuyer(buyer_key="b", by="olga", why="wholesale")
    assert status(risk.handle(allowed, NOW)) == 200
    assert status(risk.handle(allowed, NOW)) == 200
    for number in range(6):
        assert held_by(risk.handle(placed(number, buyer_key="b"), NOW)) == []
    assert risk.row(AllowedBuyer, "b").why == "wholesale"
    assert status(risk.handle(DisallowBuyer(buyer_key="b", by="olga"), NOW)) == 200
    assert status(risk.handle(DisallowBuyer(buyer_key="b", by="olga"), NOW)) == 404
    assert held_by(risk.handle(placed("x", buyer_key="b"), NOW)) == ["suspected_brushing"]


# rules


def replace(content, base_version=1):
    return ReplaceRules(content=content, base_version=base_version, by="olga", why="11.11")


def test_the_first_decision_writes_the_shipped_rules_down():
    risk = bench()
    risk.handle(placed(), NOW)
    risk.handle(placed(2), later(hours=1))
    row = risk.row(RuleGraph, "risk")
    assert (row.version, row.content, row.changed_at) == (1, SHIPPED, NOW)
    assert [entry.version for entry in risk.entries if isinstance(entry, RuleVersion)] == [1]


def test_rules_are_replaced_and_the_next_order_is_judged_by_them():
    risk = bench()
    risk.handle(placed(1, destination=PICKUP, total=40_000), NOW)
    [reply] = risk.handle(replace(changed(pickup_total_limit=30_000)), NOW)
    assert (reply.status, reply.body["version"]) == (200, 2)
    [held] = risk.handle(placed(2, destination=PICKUP, total=40_000), NOW)
    assert [(r.rule, r.rule_version) for r in held.reasons] == [("pickup_high_value", 2)]
    [cleared] = risk.handle(placed(3), NOW)
    assert cleared.rule_version == 2
    assert [entry.version for entry in risk.entries] == [1, 2]
    assert risk.entries[1].why == "11.11"


def test_rules_replaced_before_the_first_order_follow_the_shipped_ones():
    risk = bench()
    assert status(risk.handle(replace(changed(pickup_total_limit=1)), NOW)) == 200
    assert [entry.version for entry in risk.entries] == [1, 2]


def test_a_change_based_on_an_older_version_is_refused():
    risk = bench()
    risk.handle(replace(changed(pickup_total_limit=1)), NOW)
    [reply] = risk.handle(replace(changed(pickup_total_limit=2)), NOW)
    assert (reply.status, reply.body["version"]) == (409, 2)
    assert risk.row(RuleGraph, "risk").version == 2


def test_the_same_rules_again_make_no_version():
    risk = bench()
    [reply] = risk.handle(replace(copy.deepcopy(SHIPPED)), NOW)
    assert reply.body["changed"] is False
    assert risk.row(RuleGraph, "risk").version == 1


def _broken(kind):
    content = changed()
    nodes = content["jdm"]["nodes"]
    if kind == "clock":
        nodes[1]["content"]["expressions"][0]["value"] = "d().hour() > 22"
    elif kind == "function":
        nodes[1]["type"] = "functionNode"
    elif kind == "fact":
        nodes[1]["content"]["expressions"][6]["value"] = "not order.resolvd"
    elif kind == "example":
        content["examples"][0]["expect"] = {"findings": [{"rule": "presale"}]}
    elif kind == "answer":
        nodes[2]["content"]["outputPath"] = "results"
    elif kind == "seen":
        nodes[2]["content"]["rules"][5]["facts"] = '["order.nobody"]'
        content["examples"] = [{"name": "x", "given": {"order": {"resolved": False}}, "expect": {}}]
    elif kind == "nul":
        content["examples"][0]["name"] = "a\0b"
    return content


@pytest.mark.parametrize("kind", ["clock", "function", "fact", "example", "answer", "seen", "nul"])
def test_a_bad_graph_is_refused_and_changes_nothing(kind):
    risk = bench()
    [reply] = risk.handle(replace(_broken(kind)), NOW)
    assert reply.status == 422
    assert reply.body["reasons"]
    assert risk.row(RuleGraph, "risk").version == 1


@pytest.mark.parametrize("content", [{}, {"jdm": []}, {"jdm": {"nodes": [{}], "edges": [{}]}, "examples": [{}]}])
def test_shapeless_rules_are_refused(content):
    assert status(bench().handle(replace(content), NOW)) == 422


def _failing():
    """Rules that fail for orders of one channel, which no example shows."""
    content = changed()
    content["jdm"]["nodes"][1]["content"]["expressions"].append(
        {"id": "f", "key": "f", "value": "order.channel == 'jd' ? order.region * 2 : 0"}
    )
    return content


def test_rules_that_fail_hold_the_order_without_its_data():
    risk = bench()
    risk.handle(replace(_failing()), NOW)
    assert held_by(risk.handle(placed(1), NOW)) == []
    [held] = risk.handle(placed(2, channel="jd"), NOW)
    [reason] = held.reasons
    assert (reason.rule, reason.rule_version) == ("rule_error", 2)
    assert reason.facts["error"].startswith("node conditions: ")
    assert "华中" not in reason.facts["error"]
    assert held_by(risk.handle(amended(2, channel="jd"), NOW)) == ["rule_error"]
    risk.handle(replace(changed(pickup_total_limit=1), 2), NOW)
    outputs = risk.handle(amended(2, 3, channel="jd", destination=HERE), NOW)
    assert names(outputs) == ["HoldResolved", "OrderCleared"]
    assert risk.row(OrderRisk, "own.demo.2").unjudged == {}


def test_releasing_what_the_rules_failed_on_judges_it_again():
    risk = bench()
    risk.handle(replace(_failing()), NOW)
    costly = [line(unit_price=30_000)]
    risk.handle(placed(1, channel="jd", lines=costly), NOW)
    risk.handle(placed(2, channel="jd", lines=costly, destination=PICKUP, total=60_000), NOW)
    [refused] = risk.handle(release(), NOW)
    assert (refused.status, refused.body["title"]) == (409, "the rules still fail on this order")
    assert risk.row(OrderRisk, ID).state == "held"
    risk.handle(replace(changed(), 2), NOW)
    outputs = risk.handle(release("rule_error"), NOW)
    assert names(outputs) == ["HoldResolved", "OrderCleared", "Reply"]
    assert (outputs[0].rule, outputs[0].verdict, outputs[0].by) == ("rule_error", "released", "rita")
    assert (outputs[1].requirements, outputs[1].rule_version) == (["signature_on_delivery"], 3)
    outputs = risk.handle(release(order_id="own.demo.2"), NOW)
    assert names(outputs) == ["HoldResolved", "OrderHeld", "Reply"]
    assert held_by(outputs) == outputs[2].body["open"] == ["pickup_high_value"]
    outputs = risk.handle(release(order_id="own.demo.2"), NOW)
    assert names(outputs) == ["HoldResolved", "OrderCleared", "Reply"]
    assert outputs[1].requirements == ["signature_on_delivery"]


def test_what_was_held_before_the_facts_were_kept_is_cleared_by_a_release():
    risk = bench()
    risk.handle(replace(_failing()), NOW)
    risk.handle(placed(1, channel="jd"), NOW)
    row = risk.row(OrderRisk, ID)
    row.unjudged = {}
    risk.put(row)
    assert names(risk.handle(release(), NOW)) == ["HoldResolved", "OrderCleared", "Reply"]


@pytest.mark.parametrize("end", [cancelled(), reject()])
def test_an_order_that_ends_keeps_nothing_to_judge(end):
    risk = bench()
    risk.handle(replace(_failing()), NOW)
    risk.handle(placed(1, channel="jd"), NOW)
    risk.handle(end, NOW)
    assert risk.row(OrderRisk, ID).unjudged == {}


def test_stored_rules_that_no_longer_compile_hold_the_order():
    risk = bench()
    risk.put(
        RuleGraph(
            name="risk",
            version=7,
            content_hash="of an older engine",
            content={"jdm": {"nodes": []}},
            changed_at=datetime(2026, 1, 1, tzinfo=UTC),
            changed_by="olga",
        )
    )
    outputs = risk.handle(placed(), NOW)
    assert held_by(outputs) == ["rule_error"]
    assert outputs[0].reasons[0].rule_version == 7


def test_a_batch_counts_its_own_orders():
    risk = bench()
    outputs = risk.batch([placed(number, buyer_key="b") for number in range(5)], NOW)
    assert names(outputs) == ["OrderCleared"] * 3 + ["OrderHeld"] * 2


def test_the_local_day_follows_the_setting():
    risk = bench(utc_offset_minutes=0)
    risk.handle(placed(placed_at=datetime(2026, 11, 11, 23, tzinfo=UTC)), NOW)
    assert risk.row(BuyerDay, "buyer-1", "2026-11-11").orders == 1
