"""Decides every event about an order. Events of different topics come in any order: versions and plans decide."""

from datetime import datetime, timedelta

from contracts.orders import OrderAmended, OrderCancelRequested, OrderPlaced, RefundRequested
from contracts.risk import OrderCleared, OrderRejected
from contracts.stock import (
    AssignmentRefused,
    ShippableChanged,
    StockAssigned,
    StockReleased,
    StockReserved,
    StockShort,
    WarehouseShippable,
)
from libs.decide import Due, Output, State, Wake
from services.routing.domain.coverage import shippable_of
from services.routing.domain.planning import REPLANS_LIMIT, RETRY_TIMER, RULE_ERROR, RULES_TIMER, plan
from services.routing.domain.rows import ASSIGNED, BLOCKED, CLOSED, PLANNED, WAITING, OrderRoute
from services.routing.domain.rules import Knobs, in_force

CANCEL_REQUESTED = "cancel_requested"
REJECTED = "rejected"


def content_came(event: OrderPlaced | OrderAmended, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Take in an order's newest content; what an operator decided held for the content before."""
    row = _row(state, event.order_id)
    if event.version <= row.version:
        return []
    row.version = event.version
    row.region = event.destination.region
    row.province_code = event.destination.province_code
    row.city_code = event.destination.city_code
    row.district_code = event.destination.district_code
    row.channel = event.channel
    row.kind = event.kind
    row.total = event.total
    row.override_warehouse = None
    row.override_split = False
    row.override_by = ""
    return _go_on(row, state, now, knobs)


def cleared(event: OrderCleared, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Nothing speaks against shipping this version."""
    row = _row(state, event.order_id)
    if event.version <= row.cleared_version:
        return []
    row.cleared_version = event.version
    row.requirements = list(event.requirements)
    return _go_on(row, state, now, knobs)


def reserved(event: StockReserved, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """The pool holds this version's lines. A newer version's reservation undoes the assignment of an older one."""
    row = _row(state, event.order_id)
    if event.version < row.reserved_version or row.state == CLOSED:
        return []
    if row.state == ASSIGNED:
        if event.version <= row.plan_version:
            return []
        row.state = CLOSED if row.ended else WAITING
    row.reserved_version = event.version
    row.reserved = True
    row.lines = list(event.lines)
    return _fresh_figures(row, event.shippable, state, now, knobs)


def short(event: StockShort, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """The pool holds nothing of this version (any more): wait until it does."""
    row = _row(state, event.order_id)
    if event.version < row.reserved_version or row.state == CLOSED:
        return []
    if row.state == ASSIGNED:
        if event.version <= row.plan_version:
            return []
        row.state = CLOSED if row.ended else WAITING
    row.reserved_version = event.version
    return _unreserve(row, state)


def figures_changed(event: ShippableChanged, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Fresh figures: a blocked order is planned again; while a plan is under way they are only noted."""
    row = _row(state, event.order_id)
    if not row.reserved or event.version != row.reserved_version or row.state in (ASSIGNED, CLOSED):
        return []
    return _fresh_figures(row, event.shippable, state, now, knobs)


def refused(event: AssignmentRefused, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """The outstanding plan met stock that was gone: plan again with fresh figures, a bounded number of times."""
    row = _row(state, event.order_id)
    if row.state != PLANNED or event.plan != row.plan:
        return []
    row.replans += 1
    row.shippable = shippable_of(event.shippable)
    row.state = WAITING
    return _go_on(row, state, now, knobs)


def assigned(event: StockAssigned, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """The plan is taken: from here fulfillment arbitrates, also where a cancellation was seen here first."""
    row = _row(state, event.order_id)
    if event.plan != row.plan or (row.state == CLOSED and row.ended not in (CANCEL_REQUESTED, REJECTED)):
        return []
    row.state = ASSIGNED
    row.replans = 0
    _forget_figures(row)
    state.put(row)
    return []


def released(event: StockReleased, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """The reservation is gone: for good, or until the next one where the order goes on."""
    row = _row(state, event.order_id)
    if event.final:
        row.ended = f"released_{event.reason}"
        row.state = CLOSED
        row.reserved = False
        _forget_figures(row)
        state.put(row)
        return []
    if event.version < row.reserved_version or row.state in (ASSIGNED, CLOSED):
        return []
    return _unreserve(row, state)


def cancel_requested(
    event: OrderCancelRequested | RefundRequested, state: State, now: datetime, knobs: Knobs
) -> list[Output]:
    """Plan nothing more for this order; inventory or fulfillment says what becomes of what was planned."""
    if isinstance(event, RefundRequested) and (event.after_shipping or event.line_ids):
        return []
    return _end(event.order_id, CANCEL_REQUESTED, state)


def rejected(event: OrderRejected, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """A reviewer refused the order for good."""
    return _end(event.order_id, REJECTED, state)


def retried(due: Due, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Plan again what the rules failed on, once they were replaced, and what stock refused too often, after a pause."""
    row = state.get(OrderRoute, due.key)
    if row is None or row.state != BLOCKED or row.blocked_by not in (RULE_ERROR, REPLANS_LIMIT):
        return []
    if row.blocked_by == RULE_ERROR and in_force(state, knobs, now).version == row.blocked_rule_version:
        return [Wake(kind=RETRY_TIMER, key=due.key, at=now + timedelta(seconds=knobs.rule_retry_seconds))]
    row.replans = 0
    return _go_on(row, state, now, knobs)


def looked_at_again(due: Due, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    """Plan again what waits for goods where other rules sent it; nothing is said while those are still in force."""
    row = state.get(OrderRoute, due.key)
    if row is None or row.state != BLOCKED or row.override_by or row.blocked_by in (RULE_ERROR, REPLANS_LIMIT):
        return []
    if in_force(state, knobs, now).version == row.blocked_rule_version:
        return [Wake(kind=RULES_TIMER, key=due.key, at=now + timedelta(seconds=knobs.blocked_look_seconds))]
    row.replans = 0
    return _go_on(row, state, now, knobs)


def _row(state: State, order_id: str) -> OrderRoute:
    # An order may be cleared or reserved here before its content comes: a part of its row is kept.
    return state.get(OrderRoute, order_id) or OrderRoute(order_id=order_id)


def _go_on(row: OrderRoute, state: State, now: datetime, knobs: Knobs) -> list[Output]:
    newest = max(row.version, row.cleared_version, row.reserved_version)
    if row.state in (PLANNED, BLOCKED) and newest > row.plan_version:
        # What was decided for the version before is void: inventory refuses its plan, or had taken it already.
        _wait(row)
    outputs = plan(row, state, now, knobs)
    state.put(row)
    return outputs


def _fresh_figures(
    row: OrderRoute, numbers: list[WarehouseShippable], state: State, now: datetime, knobs: Knobs
) -> list[Output]:
    row.shippable = shippable_of(numbers)
    if row.state != PLANNED:
        row.replans = 0
    return _go_on(row, state, now, knobs)


def _unreserve(row: OrderRoute, state: State) -> list[Output]:
    row.reserved = False
    if row.state in (PLANNED, BLOCKED):
        _wait(row)
    _forget_figures(row)
    state.put(row)
    return []


def _wait(row: OrderRoute) -> None:
    row.state = WAITING
    row.replans = 0
    row.blocked_at = row.blocked_by = None


def _forget_figures(row: OrderRoute) -> None:
    row.lines = []
    row.shippable = {}
    row.blocked_at = row.blocked_by = None


def _end(order_id: str, reason: str, state: State) -> list[Output]:
    row = _row(state, order_id)
    row.ended = row.ended or reason
    if row.state != ASSIGNED:
        row.state = CLOSED
        row.reserved = False
        _forget_figures(row)
    state.put(row)
    return []
