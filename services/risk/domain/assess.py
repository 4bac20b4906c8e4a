"""From an order's content to held or cleared; what a cancellation, a cost and the passing of time change about it."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from contracts.catalog import SkuDefined
from contracts.orders import OrderAmended, OrderCancelRequested, OrderContent, RefundRequested
from contracts.risk import HoldReason, HoldResolved, OrderCleared, OrderHeld
from libs.decide import Due, Output, State, Unwake, Wake
from libs.rules import RuleFailed
from services.risk.domain.facts import ADDRESS_FACTS, facts_of, utc
from services.risk.domain.findings import RULE_ERROR, Verdict, failed, judge
from services.risk.domain.rows import AllowedBuyer, BuyerDay, OrderRisk, SkuCost
from services.risk.domain.rulebook import Rulebook

HELD, CLEARED, REJECTED, CLOSED = "held", "cleared", "rejected", "closed"
TIMER = "hold"
BY_SYSTEM = "risk"
# Amended fields after which the parcel goes to somebody else or elsewhere.
ADDRESSED = ("destination", "recipient", "sealed")
NOTHING_ZH, NOTHING_EN = "没有规则反对发货", "No rule speaks against shipping"


def local_day(at: datetime, utc_offset_minutes: int) -> str:
    """Return the day of `at` where the merchant is, by a fixed offset: no time zone file, no summer time."""
    moment = utc(at)
    try:
        return moment.astimezone(timezone(timedelta(minutes=utc_offset_minutes))).date().isoformat()
    except OverflowError:  # the last hours of the year 9999
        return moment.date().isoformat()


def assess(
    order: OrderContent, state: State, now: datetime, *, rulebook: Rulebook, utc_offset_minutes: int
) -> list[Output]:
    """Judge an order's newest content. An older or repeated version, or a finished order, changes nothing."""
    before = state.get(OrderRisk, order.order_id)
    if before is not None and (order.version <= before.version or before.state in (CLOSED, REJECTED)):
        return []
    row = before or OrderRisk(order_id=order.order_id, version=0, state=CLEARED)
    if row.nth_of_day == 0 and order.buyer_key:
        row.nth_of_day = _count(order.buyer_key, local_day(order.placed_at, utc_offset_minutes), state)
    if isinstance(order, OrderAmended) and any(field in order.changed for field in ADDRESSED):
        row.released = _released_anywhere(row)
    verdict = judged(_facts(order, row, state, now), row, state, now, rulebook)
    outputs: list[Output] = []
    wanted = {reason.rule for reason in verdict.holds}
    for reason in row.reasons:
        if reason.rule not in wanted:
            outputs.append(
                resolved(row, reason, "superseded", BY_SYSTEM, f"no longer applies in version {order.version}")
            )
    row.version = order.version
    outputs.extend(settle(row, verdict, now))
    state.put(row)
    return outputs


def _count(buyer_key: str, day: str, state: State) -> int:
    row = state.get(BuyerDay, buyer_key, day) or BuyerDay(buyer_key=buyer_key, local_day=day)
    row.orders += 1
    state.put(row)
    return row.orders


def _facts(order: OrderContent, row: OrderRisk, state: State, now: datetime) -> dict[str, Any]:
    costs: dict[str, int | None] = {}
    for line in order.lines:
        if line.sku not in costs:
            known = state.get(SkuCost, line.sku)
            costs[line.sku] = None if known is None else known.cost
    allowed = bool(order.buyer_key) and state.get(AllowedBuyer, order.buyer_key) is not None
    return facts_of(order, costs, row.nth_of_day, allowed, now)


def judged(facts: Mapping[str, Any], row: OrderRisk, state: State, now: datetime, rulebook: Rulebook) -> Verdict:
    """Return what the rules in force say of these facts, less what a person overruled for this order."""
    rules = rulebook.row(state, now)
    try:
        verdict = judge(rulebook.graph(rules), facts, now)
    except RuleFailed as failure:
        return failed(rules.version, str(failure), facts)
    if not row.released:
        return verdict
    holds = [reason for reason in verdict.holds if not overruled(row, reason)]
    return msgspec.structs.replace(verdict, holds=holds)


def settle(row: OrderRisk, verdict: Verdict, now: datetime) -> list[Output]:
    """Put a verdict in force: say what holds the order, or that nothing does, and set its timer."""
    had_timer = next_time(row.reasons) is not None
    row.rule_version, row.reasons, row.requirements = verdict.rule_version, verdict.holds, verdict.requirements
    row.unjudged = dict(verdict.unjudged)
    said: Output
    if row.reasons:
        row.state, row.held_at = HELD, row.held_at or now
        said = OrderHeld(order_id=row.order_id, version=row.version, reasons=row.reasons)
    else:
        said = clear(row, verdict.why_zh or NOTHING_ZH, verdict.why_en or NOTHING_EN)
    return [said, *timer(row, had_timer)]


def overruled(row: OrderRisk, reason: HoldReason) -> bool:
    """Return whether a person already released this rule for this order, seeing the same facts.

    A failure of the rules is never overruled for the future: it says nothing about what they would have found.
    """
    return reason.rule != RULE_ERROR and row.released.get(reason.rule) == reason.facts


def _released_anywhere(row: OrderRisk) -> dict[str, dict[str, Any]]:
    """Return the releases that hold for any address: facts of the address do not tell one from another."""
    return {rule: seen for rule, seen in row.released.items() if seen.keys().isdisjoint(ADDRESS_FACTS)}


def resolved(row: OrderRisk, reason: HoldReason, verdict: str, by: str, why: str) -> HoldResolved:
    """Return the fact that one hold of the order is gone."""
    return HoldResolved(order_id=row.order_id, version=row.version, rule=reason.rule, verdict=verdict, by=by, why=why)


def clear(row: OrderRisk, why_zh: str, why_en: str) -> OrderCleared:
    """Mark the order as cleared and return the fact."""
    row.state, row.held_at, row.reasons = CLEARED, None, []
    return OrderCleared(
        order_id=row.order_id,
        version=row.version,
        requirements=row.requirements,
        rule_version=row.rule_version,
        why_zh=why_zh,
        why_en=why_en,
    )


def next_time(reasons: list[HoldReason]) -> datetime | None:
    """Return when the first of these holds ends by itself."""
    return min([reason.until for reason in reasons if reason.until is not None], default=None)


def timer(row: OrderRisk, had_timer: bool) -> list[Output]:
    """Return what sets the order's one timer to the first hold that ends by itself."""
    at = next_time(row.reasons)
    if at is not None:
        return [Wake(kind=TIMER, key=row.order_id, at=at)]
    return [Unwake(kind=TIMER, key=row.order_id)] if had_timer else []


def expire(due: Due, state: State, now: datetime) -> list[Output]:
    """End the holds whose time has come; the last one clears the order."""
    row = state.get(OrderRisk, due.key)
    if row is None or row.state != HELD:
        return []
    moment = max(now, due.at)
    over = [reason for reason in row.reasons if reason.until is not None and reason.until <= moment]
    outputs: list[Output] = [resolved(row, reason, "expired", BY_SYSTEM, "its time came") for reason in over]
    row.reasons = [reason for reason in row.reasons if reason not in over]
    if not row.reasons:
        outputs.append(clear(row, "挂起已到期，自动放行", "The hold ended by itself"))
    outputs.extend(timer(row, had_timer=False))
    state.put(row)
    return outputs


def withdraw(event: OrderCancelRequested | RefundRequested, state: State, now: datetime) -> list[Output]:
    """Stop judging an order that is to be cancelled. Who wins the cancellation is decided elsewhere."""
    row = state.get(OrderRisk, event.order_id) or OrderRisk(order_id=event.order_id, version=0, state=CLEARED)
    if row.state in (CLOSED, REJECTED):
        return []
    outputs: list[Output] = [resolved(row, reason, "superseded", BY_SYSTEM, "cancelled") for reason in row.reasons]
    if next_time(row.reasons) is not None:
        outputs.append(Unwake(kind=TIMER, key=row.order_id))
    row.state, row.held_at, row.reasons, row.unjudged = CLOSED, None, [], {}
    state.put(row)
    return outputs


def withdraw_refund(event: RefundRequested, state: State, now: datetime) -> list[Output]:
    """A refund before shipping is a cancellation; one after shipping, or of some lines, is none of risk's business."""
    return [] if event.after_shipping or event.line_ids else withdraw(event, state, now)


def cost(event: SkuDefined, state: State, now: datetime) -> list[Output]:
    """Remember what a SKU costs, for the orders that come."""
    row = state.get(SkuCost, event.sku)
    if row is None or row.cost != event.cost:
        state.put(SkuCost(sku=event.sku, cost=event.cost))
    return []
