"""Decides what operators ask: another warehouse or a split for a blocked order, and new rules."""

from datetime import datetime
from typing import Any

import msgspec

from contracts.routes import RouteBlocked, RoutePlanned
from libs.decide import Output, Reply, State, problem
from libs.rules import RuleRefused, compile_graph, digest
from services.routing.domain.planning import OPERATOR_WAREHOUSE, plan, ready
from services.routing.domain.rows import (
    ASSIGNED,
    BLOCKED,
    CLOSED,
    GRAPH,
    PLANNED,
    OrderRoute,
    OverrideRoute,
    ReplaceRules,
    RuleGraph,
)
from services.routing.domain.rules import VOCABULARY, Knobs, in_force, version_of

LACKS_LIMIT = 10

_NOT_NOW = {
    PLANNED: "a plan is with inventory: wait for its answer",
    ASSIGNED: "its goods are assigned to a warehouse already",
    CLOSED: "it is cancelled, rejected or released",
}


def override(command: OverrideRoute, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Take what an operator says of a blocked order: it is planned so, or waits for what is missing for that.

    What is missing is told by the figures that inventory told last, and it tells new ones only where an order waits: so
    it hears of the new choice, and answers at once if the goods came meanwhile.
    """
    row = state.get(OrderRoute, command.order_id)
    if row is None:
        return [problem(404, "no such order", order_id=command.order_id)]
    if row.state != BLOCKED or not ready(row):
        detail = _NOT_NOW.get(row.state) or waits_for(row)
        return [problem(409, "the order is not blocked", detail, order_id=row.order_id, state=row.state)]
    row.override_warehouse = None if command.split else command.warehouse
    row.override_split = command.split
    row.override_by = command.by
    row.replans = 0
    outputs = plan(row, state, now, knobs)
    state.put(row)
    return [*outputs, *[_answer(output) for output in outputs if isinstance(output, RoutePlanned | RouteBlocked)]]


def waits_for(row: OrderRoute) -> str:
    """Return what a waiting order still lacks, in words."""
    newest = max(row.version, row.cleared_version, row.reserved_version)
    absent = []
    if row.version != newest or not row.version:
        absent.append("its content")
    if row.cleared_version != newest or not newest:
        absent.append("its clearance by risk")
    if row.reserved_version != newest or not row.reserved:
        absent.append("its stock reservation")
    return f"it still waits for {' and '.join(absent)}" if absent else "it is about to be planned"


def replace_rules(command: ReplaceRules, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Put proven rules in force as the next version; timers plan again what the old ones blocked."""
    rules = in_force(state, knobs, now)
    if command.base_version != rules.version:
        return [
            problem(
                409,
                "the rules were replaced meanwhile",
                f"version {rules.version} is in force, the change was made to version {command.base_version}",
                field="base_version",
                version=rules.version,
            )
        ]
    try:
        compile_graph(command.content, rules.version + 1, VOCABULARY)
    except RuleRefused as refusal:
        return [problem(422, "the rules are refused", "; ".join(refusal.reasons), reasons=refusal.reasons)]
    changed = RuleGraph(
        name=GRAPH,
        version=rules.version + 1,
        content_hash=digest(command.content),
        content=command.content,
        changed_at=now,
        changed_by=command.by,
    )
    state.put(changed)
    state.append(version_of(changed, command.why))
    return [Reply(status=200, body={"version": changed.version, "content_hash": changed.content_hash})]


def _answer(decided: RoutePlanned | RouteBlocked) -> Reply:
    """Return the decision as the answer: 200 with the plan, or 202 with what the order waits for now."""
    body: dict[str, Any] = msgspec.to_builtins(decided)
    if isinstance(decided, RoutePlanned):
        return Reply(status=200, body=body)
    lacks = ", ".join(f"{lack.sku} x {lack.quantity}" for lack in decided.missing[:LACKS_LIMIT])
    where = f"at warehouse {decided.warehouse}" if decided.rule == OPERATOR_WAREHOUSE else "at any warehouse"
    return Reply(status=202, body={**body, "waits_for": f"it waits for {lacks} {where}"})
