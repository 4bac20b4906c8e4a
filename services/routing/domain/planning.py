"""Turns an order that is cleared and reserved into a plan, or into the reason why there is none yet."""

from datetime import datetime, timedelta

from contracts.routes import MissingAt, RouteBlocked, RoutePlanned, TransferAdvice
from contracts.stock import ParcelPlan
from libs.decide import Output, State, Wake
from libs.rules import RuleFailed
from services.routing.domain import words
from services.routing.domain.coverage import (
    Allocation,
    missing_at,
    missing_everywhere,
    split,
    transfers_for,
    wanted_units,
)
from services.routing.domain.rows import ASSIGNED, BLOCKED, CLOSED, PLANNED, OrderRoute, RouteDecision, RuleGraph
from services.routing.domain.rules import Choice, Knobs, choose, in_force
from services.routing.domain.words import Why

RULE_ERROR = "rule_error"
REPLANS_LIMIT = "replans_limit"
OPERATOR_WAREHOUSE = "operator_warehouse"
OPERATOR_SPLIT = "operator_split"
RETRY_TIMER = "retry"
RULES_TIMER = "rules"

_WAREHOUSE_WHY = "操作员指定由 {0} 仓发货", "An operator chose warehouse {0}"
_SPLIT_WHY = Why("操作员要求拆单发货", "An operator asked for a split")


def ready(row: OrderRoute) -> bool:
    """Return whether the newest version known is placed, cleared and reserved, and nothing stopped the order."""
    return (
        row.reserved
        and not row.ended
        and row.state not in (PLANNED, ASSIGNED, CLOSED)
        and 0 < row.version == row.cleared_version == row.reserved_version
    )


def plan(row: OrderRoute, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Decide the route of an order if it is ready, as its override or else the rules say."""
    if not ready(row):
        return []
    rules = in_force(state, knobs, now)
    attempt = _Attempt(row, rules, state, now, knobs)
    if row.override_split:
        return _split(attempt)
    if row.override_warehouse is not None:
        zh, en = _WAREHOUSE_WHY
        warehouse = row.override_warehouse
        return _ship(attempt, Choice(warehouse, OPERATOR_WAREHOUSE, Why(zh.format(warehouse), en.format(warehouse))))
    try:
        choice = choose(row, attempt.wanted, rules)
    except RuleFailed as failure:
        why = words.rule_failed(rules.version, row.region, str(failure))
        blocked = attempt.block(Choice("", RULE_ERROR, why), why, [], [])
        return [*blocked, attempt.wake(RETRY_TIMER, knobs.rule_retry_seconds)]
    return _ship(attempt, choice)


class _Attempt:
    """One numbered decision about one order, on its way to an event and an entry."""

    __slots__ = ("knobs", "now", "row", "rules", "state", "wanted")

    def __init__(self, row: OrderRoute, rules: RuleGraph, state: State, now: datetime, knobs: Knobs) -> None:
        self.row, self.rules, self.state, self.now, self.knobs = row, rules, state, now, knobs
        self.wanted = wanted_units(row.lines)

    def send(self, rule: str, why: Why, allocation: Allocation) -> list[Output]:
        """Send inventory a plan, one parcel a warehouse, unless the last ones were refused too often in a row."""
        row, warehouses = self.row, list(allocation)
        if row.replans > self.knobs.replans_limit:
            why = words.refused_too_often(row.region, warehouses, row.replans)
            blocked = self.block(Choice(warehouses[0], REPLANS_LIMIT, why), why, [], [])
            return [*blocked, self.wake(RETRY_TIMER, self.knobs.replans_pause_seconds)]
        row.plan += 1
        row.plan_version = row.version
        row.state = PLANNED
        row.blocked_at = row.blocked_by = None
        parcels = parcels_of(row.order_id, row.plan, allocation)
        self._record(PLANNED, ",".join(warehouses), rule, why, parcels, [], [])
        return [
            RoutePlanned(
                order_id=row.order_id,
                version=row.version,
                plan=row.plan,
                parcels=parcels,
                requirements=row.requirements,
                rule=rule,
                rule_version=self.rules.version,
                why_zh=why.zh,
                why_en=why.en,
            )
        ]

    def block(
        self, choice: Choice, why: Why, missing: list[MissingAt], transfers: list[TransferAdvice]
    ) -> list[Output]:
        """Say why there is no plan. The order waits for fresh figures, an operator or new rules."""
        row = self.row
        row.plan += 1
        row.plan_version = row.version
        row.state = BLOCKED
        row.blocked_by = choice.rule
        row.blocked_at = row.blocked_at or self.now
        row.blocked_rule_version = self.rules.version
        self._record(BLOCKED, choice.warehouse, choice.rule, why, [], missing, transfers)
        return [
            RouteBlocked(
                order_id=row.order_id,
                version=row.version,
                plan=row.plan,
                warehouse=choice.warehouse,
                missing=missing,
                transfers=transfers,
                rule=choice.rule,
                rule_version=self.rules.version,
                why_zh=why.zh,
                why_en=why.en,
            )
        ]

    def wake(self, kind: str, seconds: int) -> Wake:
        """Return the timer that looks at a blocked order again, for what no figures from inventory announce."""
        return Wake(kind=kind, key=self.row.order_id, at=self.now + timedelta(seconds=seconds))

    def _record(
        self,
        outcome: str,
        warehouse: str,
        rule: str,
        why: Why,
        parcels: list[ParcelPlan],
        missing: list[MissingAt],
        transfers: list[TransferAdvice],
    ) -> None:
        row = self.row
        self.state.append(
            RouteDecision(
                order_id=row.order_id,
                plan=row.plan,
                version=row.version,
                decided_at=self.now,
                outcome=outcome,
                warehouse=warehouse,
                rule=rule,
                rule_version=self.rules.version,
                why_zh=why.zh,
                why_en=why.en,
                parcels=parcels,
                missing=missing,
                transfers=transfers,
                decided_by=row.override_by,
            )
        )


def parcels_of(order_id: str, plan_number: int, allocation: Allocation) -> list[ParcelPlan]:
    """Return one parcel a warehouse: `{order_id}/{plan}`, or `{order_id}/{plan}.{i}` where there are several.

    A plan number is used once, and so is a parcel's.
    """
    if len(allocation) == 1:
        [(warehouse, lines)] = allocation.items()
        return [ParcelPlan(parcel_id=f"{order_id}/{plan_number}", warehouse=warehouse, lines=lines)]
    return [
        ParcelPlan(parcel_id=f"{order_id}/{plan_number}.{i}", warehouse=warehouse, lines=lines)
        for i, (warehouse, lines) in enumerate(allocation.items(), start=1)
    ]


def _ship(attempt: _Attempt, choice: Choice) -> list[Output]:
    row = attempt.row
    missing = missing_at(choice.warehouse, attempt.wanted, row.shippable)
    if missing:
        transfers = transfers_for(missing, row.shippable)
        why = words.blocked(choice.why, row.region, choice.warehouse, missing, transfers)
        blocked = attempt.block(choice, why, missing, transfers)
        if row.override_warehouse is not None:
            return blocked
        # The warehouse itself may be the mistake, and then no goods ever come there: new rules must find the order.
        return [*blocked, attempt.wake(RULES_TIMER, attempt.knobs.blocked_look_seconds)]
    why = words.one_parcel(choice.why, row.region, choice.warehouse, row.lines)
    return attempt.send(choice.rule, why, {choice.warehouse: row.lines})


def _split(attempt: _Attempt) -> list[Output]:
    row = attempt.row
    preferred = preferred_warehouse(row, attempt.wanted, attempt.rules)
    allocation = split(row.lines, row.shippable, preferred)
    if allocation is None:
        missing = missing_everywhere(attempt.wanted, row.shippable, preferred or "")
        why = words.missing_together(_SPLIT_WHY, row.region, missing)
        return attempt.block(Choice(preferred or "", OPERATOR_SPLIT, why), why, missing, [])
    parcels = parcels_of(row.order_id, row.plan + 1, allocation)
    return attempt.send(OPERATOR_SPLIT, words.several_parcels(_SPLIT_WHY, row.region, parcels), allocation)


def preferred_warehouse(row: OrderRoute, wanted: dict[str, int], rules: RuleGraph) -> str | None:
    """Return the rules' choice for a split, which gets by without one where the rules fail."""
    try:
        return choose(row, wanted, rules).warehouse
    except RuleFailed:
        return None
