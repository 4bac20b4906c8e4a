"""Each event's handler: happy, twice, out of order, refused."""

from datetime import timedelta

import msgspec
import pytest

from contracts.orders import RefundRequested
from contracts.risk import OrderRejected
from contracts.routes import MissingAt, RouteBlocked, RoutePlanned, TransferAdvice
from contracts.stock import StockShort
from libs.decide import Wake
from libs.testkit.bench import Bench
from services.routing.domain import RouteDecision, RuleGraph, RuleVersion
from services.routing.handlers import handlers
from services.routing.tests.conftest import FULL, ID, Flow


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_planned_once_when_placed_cleared_and_reserved_in_any_order(flow, make, order):
    messages = [make.placed(), make.cleared(requirements=["signature_on_delivery"]), make.reserved()]
    assert flow(messages[order[0]], messages[order[1]]) == []
    [planned] = flow(messages[order[2]])
    assert isinstance(planned, RoutePlanned)
    assert (planned.plan, planned.version, planned.rule, planned.rule_version) == (1, 1, "central_southwest", 1)
    assert planned.requirements == ["signature_on_delivery"]
    [parcel] = planned.parcels
    assert (parcel.parcel_id, parcel.warehouse, parcel.lines) == ("own.demo.1/1", "CD", make.lines())
    assert "华中" in planned.why_zh
    assert "CD" in planned.why_zh
    assert "Central China" in planned.why_en
    assert flow(*messages) == [], "a second time changes nothing"
    assert flow.row.state == "planned"
    [decision] = [entry for entry in flow.bench.entries if isinstance(entry, RouteDecision)]
    assert (decision.outcome, decision.plan, decision.why_zh) == ("planned", 1, planned.why_zh)


def test_the_shipped_rules_are_put_on_record_when_first_used(flow):
    flow.ready()
    assert flow.bench.row(RuleGraph, "routing").version == 1
    [version] = [entry for entry in flow.bench.entries if isinstance(entry, RuleVersion)]
    assert (version.version, version.changed_by) == (1, "shipped")


def test_blocked_names_what_is_missing_and_the_transfer(flow):
    [blocked] = flow.ready(CD={"A": 1}, GZ=FULL)
    assert isinstance(blocked, RouteBlocked)
    assert blocked.missing == [
        MissingAt(warehouse="CD", sku="A", quantity=2),
        MissingAt(warehouse="CD", sku="B", quantity=1),
    ]
    assert blocked.transfers == [
        TransferAdvice(sku="A", quantity=2, from_warehouse="GZ", to_warehouse="CD"),
        TransferAdvice(sku="B", quantity=1, from_warehouse="GZ", to_warehouse="CD"),
    ]
    assert (blocked.warehouse, blocked.rule, blocked.plan) == ("CD", "central_southwest", 1)
    assert (flow.row.state, flow.row.blocked_by, flow.row.blocked_at) == ("blocked", "central_southwest", flow.now)


def test_a_warehouse_nobody_knows_has_nothing(flow):
    [blocked] = flow.ready(GZ=FULL)
    assert [lack.quantity for lack in blocked.missing] == [3, 1]


def test_blocked_is_planned_again_when_figures_change_and_answered_each_time(flow):
    flow.ready(CD={"A": 1}, GZ=FULL)
    blocked_at = flow.row.blocked_at
    flow.now += timedelta(minutes=1)
    [again] = flow.changed(CD={"A": 2}, GZ=FULL)
    assert isinstance(again, RouteBlocked), "inventory puts it back in line only when told"
    assert again.plan == 2
    assert flow.row.blocked_at == blocked_at, "it is blocked since the first time"
    [planned] = flow.changed(CD=FULL)
    assert isinstance(planned, RoutePlanned)
    assert planned.parcels[0].parcel_id == "own.demo.1/3"
    assert flow.changed(CD=FULL) == [], "while a plan is under way figures are only noted"
    assert flow.row.blocked_at is None


def test_figures_of_another_version_or_without_a_reservation_are_ignored(flow, make):
    assert flow.changed(CD=FULL) == []
    assert flow.row is None
    flow.ready(CD={"A": 1})
    assert flow.changed(version=2, CD=FULL) == []
    assert flow.row.state == "blocked"


def test_refused_plans_again_with_fresh_figures_a_bounded_number_of_times(flow):
    flow.ready()
    [second] = flow.refused(1, CD=FULL)
    assert isinstance(second, RoutePlanned)
    assert second.plan == 2
    assert flow.refused(1, CD=FULL) == [], "an answer to an older plan"
    [third] = flow.refused(2, CD=FULL)
    assert third.plan == 3
    blocked, wake = flow.refused(3, CD=FULL, GZ=FULL)
    assert isinstance(blocked, RouteBlocked)
    assert (blocked.rule, blocked.warehouse, blocked.missing) == ("replans_limit", "CD", [])
    assert wake == Wake(kind="retry", key=ID, at=flow.now + timedelta(seconds=300))
    assert flow.bench.tick(flow.now + timedelta(seconds=299)) == []
    [planned] = flow.bench.tick(flow.now + timedelta(seconds=300))
    assert isinstance(planned, RoutePlanned)
    [sixth] = flow.refused(5, CD=FULL)
    assert sixth.plan == 6, "the streak began anew"


def test_a_limit_of_none_plans_once_and_rests_after_each_refusal(make, knobs):
    flow = Flow(Bench(handlers(msgspec.structs.replace(knobs, replans_limit=0))), make)
    assert [type(output) for output in flow.ready()] == [RoutePlanned]
    blocked, wake = flow.refused(1, CD=FULL)
    assert blocked.rule == "replans_limit"
    assert "1 times" not in blocked.why_en
    [planned] = flow.bench.tick(wake.at)
    assert planned.plan == 3
    assert flow.refused(3, CD=FULL)[0].rule == "replans_limit"
    assert flow.override(warehouse="CD")[1].status == 200


def test_refused_often_is_planned_at_once_when_figures_change(flow):
    flow.ready()
    for plan in (1, 2, 3):
        flow.refused(plan, CD=FULL)
    assert flow.row.blocked_by == "replans_limit"
    [planned] = flow.changed(CD=FULL)
    assert isinstance(planned, RoutePlanned)
    assert flow.bench.tick(flow.now + timedelta(days=1)) == [], "the timer finds nothing to do"


def test_refused_and_nothing_left_blocks_by_the_rule(flow):
    flow.ready()
    [blocked] = flow.refused(1, GZ=FULL)
    assert isinstance(blocked, RouteBlocked)
    assert blocked.rule == "central_southwest"


def test_assigned_ends_planning_until_a_newer_version_is_reserved(flow, make):
    flow.ready()
    assert flow.assigned() == []
    assert (flow.row.state, flow.row.lines, flow.row.shippable) == ("assigned", [], {})
    assert flow.assigned() == []
    assert flow(make.reserved()) == []
    assert flow.changed(CD=FULL) == []
    assert flow.refused(1, CD=FULL) == []
    assert flow(make.amended(), make.cleared(version=2)) == []
    assert flow.row.state == "assigned", "fulfillment arbitrates an amendment now"
    [planned] = flow(make.reserved(version=2))
    assert (planned.version, planned.plan) == (2, 2)


def test_assigned_of_another_plan_is_ignored(flow):
    flow.ready()
    flow.assigned(plan=7)
    assert flow.row.state == "planned"


def test_short_waits_for_the_reservation(flow, make):
    flow(make.placed(), make.cleared())
    assert flow(StockShort(order_id=ID, version=1, missing=[])) == []
    [planned] = flow(make.reserved())
    assert isinstance(planned, RoutePlanned)
    assert flow(StockShort(order_id=ID, version=1, missing=[])) == []
    assert (flow.row.state, flow.row.reserved) == ("waiting", False)
    [again] = flow(make.reserved())
    assert again.plan == 2
    assert flow(StockShort(order_id=ID, version=0, missing=[])) == []


def test_short_of_a_newer_version_undoes_an_assignment(flow):
    flow.ready()
    flow.assigned()
    flow(StockShort(order_id=ID, version=1, missing=[]))
    assert flow.row.state == "assigned"
    flow(StockShort(order_id=ID, version=2, missing=[]))
    assert flow.row.state == "waiting"


def test_amended_needs_everything_of_the_new_version(flow, make):
    flow.ready(CD={"A": 1})
    assert flow(make.amended(region="华东", lines=(("A", 1),))) == []
    assert flow.row.state == "waiting"
    assert flow.changed(CD=FULL) == [], "figures of the version before plan nothing"
    assert flow(make.cleared(version=2)) == []
    [planned] = flow(make.reserved(version=2, lines=(("A", 1),), GZ={"A": 1}))
    assert (planned.version, planned.plan, planned.parcels[0].warehouse) == (2, 2, "GZ")
    assert flow(make.amended(version=2), make.placed()) == []


def test_a_newer_clearance_or_reservation_voids_what_was_decided_before_the_amendment_comes(flow, make):
    flow.ready()
    assert flow(make.reserved(version=2)) == []
    assert flow.row.state == "waiting"
    assert flow.refused(1, CD=FULL) == [], "the old plan's refusal starts nothing"
    assert flow(make.cleared(version=2)) == []
    [planned] = flow(make.amended())
    assert (planned.version, planned.plan) == (2, 2)


def test_release_that_is_not_final_waits_for_the_next_reservation(flow, make):
    flow.ready()
    assert flow.released(final=False, reason="amended") == []
    assert (flow.row.state, flow.row.reserved) == ("waiting", False)
    flow(make.reserved(version=2), make.cleared(version=2))
    assert flow.released(final=False, reason="amended") == []
    assert flow.row.reserved, "the release of the old version does not touch the new one"
    [planned] = flow(make.amended())
    assert planned.plan == 2


@pytest.mark.parametrize("when", ["unknown", "waiting", "planned", "blocked"])
@pytest.mark.parametrize("how", ["cancel", "refund", "reject", "release"])
def test_nothing_is_said_after_the_end(flow, make, when, how):
    if when == "waiting":
        flow(make.placed())
    elif when == "planned":
        flow.ready()
    elif when == "blocked":
        flow.ready(CD={"A": 1})
    plans = flow.row.plan if flow.row else 0
    ends = {
        "cancel": flow.cancel,
        "refund": lambda: flow(RefundRequested(order_id=ID, request_id="r", requested_at=flow.now, amount=1)),
        "reject": lambda: flow(OrderRejected(order_id=ID, version=1, by="r", why="w")),
        "release": flow.released,
    }
    assert ends[how]() == []
    assert flow.row.state == "closed"
    assert flow.row.blocked_at is None
    assert flow.ready() == []
    assert flow.changed(CD=FULL) == []
    assert flow.refused(plans, CD=FULL) == []
    assert flow(make.amended(), make.cleared(version=2), make.reserved(version=2)) == []
    assert flow.released(final=False, reason="amended") == []
    assert flow.row.state == "closed"
    [reply] = flow.override(split=True)
    assert reply.status == 409


def test_a_refund_after_shipping_or_of_some_lines_is_no_cancellation(flow):
    flow(RefundRequested(order_id=ID, request_id="r", requested_at=flow.now, amount=1, after_shipping=True))
    flow(RefundRequested(order_id=ID, request_id="r", requested_at=flow.now, amount=1, line_ids=["1"]))
    assert flow.row is None
    assert len(flow.ready()) == 1


@pytest.mark.parametrize("cancel_first", [True, False])
def test_cancel_and_assignment_end_alike_in_either_order(flow, make, cancel_first):
    flow.ready()
    for step in (flow.cancel, flow.assigned) if cancel_first else (flow.assigned, flow.cancel):
        assert step() == []
    assert (flow.row.state, flow.row.ended) == ("assigned", "cancel_requested")
    assert flow(make.amended(), make.cleared(version=2), make.reserved(version=2)) == []
    flow.released(reason="fulfillment_cancelled")
    assert (flow.row.state, flow.row.ended) == ("closed", "released_fulfillment_cancelled")
    flow.assigned()
    assert flow.row.state == "closed"
