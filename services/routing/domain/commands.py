"""Decides what operators ask: another warehouse or a split for a blocked order, and new rules."""

from datetime import datetime
from typing import Any

import msgspec

from contracts.routes import MissingAt, RoutePlanned
from libs.decide import Output, Reply, State, problem
from libs.rules import RuleRefused, compile_graph, digest
from services.routing.domain.coverage import missing_at, missing_everywhere, transfers_for, wanted_units
from services.routing.domain.planning import plan, ready
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

_NOT_NOW = {
    PLANNED: "a plan is with inventory: wait for its answer",
    ASSIGNED: "its goods are assigned to a warehouse already",
    CLOSED: "it is cancelled, rejected or released",
}


def override(command: OverrideRoute, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Plan a blocked order as an operator says, or answer what stands against it; a refusal changes nothing."""
    row = state.get(OrderRoute, command.order_id)
    if row is None:
        return [problem(404, "no such order", order_id=command.order_id)]
    if row.state != BLOCKED or not ready(row):
        detail = _NOT_NOW.get(row.state) or waits_for(row)
        return [problem(409, "the order is not blocked", detail, order_id=row.order_id, state=row.state)]
    wanted = wanted_units(row.lines)
    if command.split:
        missing = missing_everywhere(wanted, row.shippable)
        if missing:
            return [_cannot("all warehouses together cannot ship the order", missing, row)]
    else:
        missing = missing_at(command.warehouse or "", wanted, row.shippable)
        if missing:
            return [_cannot(f"warehouse {command.warehouse} cannot ship the whole order", missing, row)]
    row.override_warehouse = None if command.split else command.warehouse
    row.override_split = command.split
    row.override_by = command.by
    row.replans = 0
    outputs = plan(row, state, now, knobs)
    state.put(row)
    [planned] = [output for output in outputs if isinstance(output, RoutePlanned)]
    return [*outputs, Reply(status=200, body=_plain(planned))]


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
    """Put proven rules in force as the next version; orders that the old ones failed on are planned again."""
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


def _cannot(title: str, missing: list[MissingAt], row: OrderRoute) -> Reply:
    text = ", ".join(f"{lack.sku} x {lack.quantity}" for lack in missing[:10])
    transfers = transfers_for(missing, row.shippable) if missing[0].warehouse else []
    return problem(
        409,
        title,
        f"missing: {text}",
        order_id=row.order_id,
        missing=_plain(missing),
        transfers=_plain(transfers),
    )


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
