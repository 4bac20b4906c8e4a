"""What operators ask: another warehouse, a split, new rules; and orders that rules fail on."""

import copy
from datetime import timedelta

import msgspec
import pytest

from contracts.routes import RouteBlocked, RoutePlanned
from libs.decide import Reply, Wake
from libs.rules.defaults import read
from services.routing.domain import RouteDecision, RuleVersion
from services.routing.tests.conftest import FULL, ID


def broken():
    """Rules whose own examples hold but which fail for orders of one region."""
    content = copy.deepcopy(read("routing"))
    rows = content["jdm"]["nodes"][1]["content"]["rules"]
    rows.insert(0, {**rows[0], "_id": "bad", "region": '"西北"', "warehouse": "null"})
    content["examples"] = [example for example in content["examples"] if "华北" in example["name"]]
    return content


def by_stock():
    """Rules that choose the first of the warehouses that can ship everything."""
    content = copy.deepcopy(read("routing"))
    for row in content["jdm"]["nodes"][1]["content"]["rules"]:
        row["warehouse"] = 'len(stock.complete) > 0 ? stock.complete[0] : "CD"'
    for example in content["examples"]:
        example["expect"] = {"warehouse": "CD"}
    return content


@pytest.mark.parametrize("together", [True, False])
def test_warehouses_that_can_ship_all_are_sorted_wherever_a_batch_ends(flow, make, together):
    assert flow.rules(by_stock())[0].status == 200
    figures = {"BJ-2": FULL, "SH": FULL}
    messages = [make.placed(), make.reserved(**figures), make.cleared()]
    batches = [messages] if together else [[message] for message in messages]
    outputs = [output for batch in batches for output in flow.bench.batch(batch, flow.now)]
    assert [parcel.warehouse for parcel in outputs[-1].parcels] == ["BJ-2"]


def test_override_ships_from_the_other_warehouse(flow):
    flow.ready(CD={"A": 1}, GZ=FULL)
    planned, reply = flow.override(warehouse="GZ")
    assert isinstance(planned, RoutePlanned)
    assert (planned.rule, planned.plan, planned.parcels[0].warehouse) == ("operator_warehouse", 2, "GZ")
    assert "操作员" in planned.why_zh
    assert reply.status == 200
    assert reply.body["parcels"][0]["parcel_id"] == "own.demo.1/2"
    decisions = [entry for entry in flow.bench.entries if isinstance(entry, RouteDecision)]
    assert [decision.decided_by for decision in decisions] == ["", "op"]


def test_override_holds_while_the_plan_is_refused(flow):
    flow.ready(CD={"A": 1}, GZ=FULL)
    flow.override(warehouse="GZ")
    [again] = flow.refused(2, GZ=FULL, CD=FULL)
    assert again.parcels[0].warehouse == "GZ"
    [blocked] = flow.refused(3, GZ={"A": 3}, CD=FULL)
    assert (blocked.rule, blocked.warehouse) == ("operator_warehouse", "GZ")
    assert [(t.sku, t.from_warehouse) for t in blocked.transfers] == [("B", "CD")]
    planned, _ = flow.override(warehouse="CD")
    assert planned.parcels[0].warehouse == "CD"


def test_override_ends_with_the_content_it_was_made_for(flow, make):
    flow.ready(CD={"A": 1}, GZ=FULL)
    flow.override(warehouse="GZ")
    [planned] = flow(make.amended(), make.cleared(version=2), make.reserved(version=2))
    assert planned.parcels[0].warehouse == "CD"


def test_override_where_goods_are_missing_waits_for_them_there(flow):
    flow.ready(CD={"A": 1}, GZ={"A": 3})
    blocked, reply = flow.override(warehouse="GZ")
    assert isinstance(blocked, RouteBlocked)
    assert (blocked.rule, blocked.warehouse, blocked.plan) == ("operator_warehouse", "GZ", 2)
    assert reply.status == 202
    assert reply.body["missing"] == [{"warehouse": "GZ", "sku": "B", "quantity": 1}]
    assert reply.body["waits_for"] == "it waits for B x 1 at warehouse GZ"
    assert flow.changed(CD=FULL, GZ={"A": 3})[0].rule == "operator_warehouse", "what an operator chose holds"
    [planned] = flow.changed(CD=FULL, GZ=FULL)
    assert (planned.rule, planned.parcels[0].warehouse) == ("operator_warehouse", "GZ")


def test_split_of_what_is_nowhere_waits_for_goods_anywhere(flow):
    flow.ready(CD={"A": 1}, GZ={"A": 3})
    blocked, reply = flow.override(split=True)
    assert (blocked.rule, blocked.transfers) == ("operator_split", [])
    assert (reply.status, reply.body["waits_for"]) == (202, "it waits for B x 1 at any warehouse")
    [planned] = flow.changed(CD={"A": 1}, GZ={"A": 2}, BJ={"B": 1})
    assert [parcel.warehouse for parcel in planned.parcels] == ["CD", "BJ", "GZ"]


def test_split_makes_numbered_parcels_with_the_rules_choice_first(flow):
    flow.ready(CD={"A": 3}, GZ={"A": 3, "B": 1}, BJ={"B": 1})
    planned, reply = flow.override(split=True)
    assert reply.status == 200
    assert [parcel.warehouse for parcel in planned.parcels] == ["GZ"], "one warehouse can ship all: no split needed"
    [replanned] = flow.refused(2, CD={"A": 3}, BJ={"B": 1})
    assert [(p.parcel_id, p.warehouse) for p in replanned.parcels] == [
        ("own.demo.1/3.1", "CD"),
        ("own.demo.1/3.2", "BJ"),
    ]
    assert replanned.rule == "operator_split"
    [blocked] = flow.refused(3, CD={"A": 3})
    assert (blocked.rule, blocked.warehouse) == ("operator_split", "CD")
    assert [(lack.sku, lack.warehouse) for lack in blocked.missing] == [("B", "CD")]


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ((), "no such order"),
        (("placed",), "its clearance by risk and its stock reservation"),
        (("cleared", "reserved"), "its content"),
        (("placed", "cleared", "reserved"), "a plan is with inventory"),
        (("placed", "cleared", "reserved", "assigned"), "assigned to a warehouse already"),
    ],
)
def test_override_of_an_order_that_is_not_blocked_is_refused(flow, make, steps, word):
    for step in steps:
        flow.assigned() if step == "assigned" else flow(getattr(make, step)())
    [reply] = flow.override(warehouse="CD")
    assert reply.status in (404, 409)
    assert word in f"{reply.body['title']} {reply.body.get('detail')}"


def test_rules_are_replaced_only_by_rules_that_prove_themselves(flow):
    content = read("routing")
    content["jdm"]["nodes"][1]["content"]["rules"][0]["warehouse"] = '"GZ"'
    [reply] = flow.rules(content)
    assert reply.status == 422
    assert any("华中" in reason for reason in reply.body["reasons"])
    [reply] = flow.rules({"jdm": {}})
    assert reply.status == 422
    assert flow.ready()[0].rule_version == 1
    for example in content["examples"]:
        example["expect"]["warehouse"] = "GZ"
    [reply] = flow.rules(content, base_version=2)
    assert (reply.status, reply.body["version"]) == (409, 1)
    [reply] = flow.rules(content)
    assert (reply.status, reply.body["version"]) == (200, 2)
    versions = [entry.version for entry in flow.bench.entries if isinstance(entry, RuleVersion)]
    assert versions == [1, 2]
    [replanned] = flow.refused(1, GZ=FULL)
    assert (replanned.rule_version, replanned.parcels[0].warehouse) == (2, "GZ")


def test_a_rule_that_fails_blocks_the_order_until_the_rules_are_replaced(flow):
    [reply] = flow.rules(broken())
    assert reply.status == 200, reply.body
    blocked, wake = flow.ready(region="西北")
    assert isinstance(blocked, RouteBlocked)
    assert (blocked.rule, blocked.rule_version, blocked.warehouse, blocked.missing) == ("rule_error", 2, "", [])
    assert isinstance(wake, Wake)
    later = flow.now + timedelta(seconds=30)
    assert flow.bench.tick(later) == [Wake(kind="retry", key=ID, at=later + timedelta(seconds=30))]
    assert flow.rules(read("routing"), base_version=2)[0].status == 200
    [planned] = flow.bench.tick(later + timedelta(seconds=30))
    assert isinstance(planned, RoutePlanned)
    assert planned.rule_version == 3
    assert flow.bench.timers == {}


def mistyped(name="CDX"):
    """Rules that send the southwest to a warehouse that is not there, or to another one."""
    raw = msgspec.json.encode(read("routing")).replace(b'\\"CD\\"', f'\\"{name}\\"'.encode())
    content = msgspec.json.decode(raw)
    for example in content["examples"]:
        if example["expect"]["warehouse"] == "CD":
            example["expect"]["warehouse"] = name
    return content


def test_what_rules_blocked_is_planned_again_by_those_that_replace_them(flow):
    assert flow.rules(mistyped())[0].status == 200
    [blocked] = flow.ready(region="西南")
    assert (blocked.warehouse, blocked.rule_version) == ("CDX", 2)
    look = flow.now + timedelta(seconds=300)
    again = Wake(kind="rules", key=ID, at=look + timedelta(seconds=300))
    assert flow.bench.tick(look) == [again], "no event while the rules are the same"
    flow.rules(read("routing"), base_version=2)
    [planned] = flow.bench.tick(again.at)
    assert (planned.rule_version, planned.parcels[0].warehouse) == (3, "CD")
    assert flow.bench.timers == {}


def test_new_rules_that_block_too_are_waited_for_in_their_turn(flow):
    flow.ready(CD={"A": 1})
    flow.rules(mistyped())
    blocked, wake = flow.bench.tick(flow.now + timedelta(seconds=300))
    assert (blocked.warehouse, blocked.plan) == ("CDX", 2)
    assert wake == Wake(kind="rules", key=ID, at=flow.now + timedelta(seconds=600))


def test_refusals_of_the_old_plan_do_not_count_against_new_rules(flow):
    flow.ready(region="西南", CD=FULL)
    for plan in (1, 2):
        flow.refused(plan, CD=FULL)
    flow.refused(3, BJ=FULL)
    assert (flow.row.state, flow.row.replans) == ("blocked", 3)
    flow.rules(mistyped("BJ"))
    [planned] = flow.bench.tick(flow.now + timedelta(seconds=300))
    assert planned.parcels[0].warehouse == "BJ"


def test_what_an_operator_chose_is_not_planned_again_by_new_rules(flow):
    flow.ready(CD={"A": 1})
    assert flow.override(warehouse="GZ")[1].status == 202
    flow.rules(mistyped())
    assert flow.bench.tick(flow.now + timedelta(days=1)) == []
    assert flow.row.state == "blocked"


def test_a_rule_that_fails_leaves_the_operator_free_to_decide(flow):
    flow.rules(broken())
    flow.ready(region="西北", CD={"A": 3}, GZ={"B": 1})
    planned, reply = flow.override(split=True)
    assert [parcel.warehouse for parcel in planned.parcels] == ["CD", "GZ"]
    assert isinstance(reply, Reply)
    assert flow.bench.tick(flow.now + timedelta(days=1)) == []
