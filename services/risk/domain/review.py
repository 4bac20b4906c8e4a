"""What people decide about held orders and trusted buyers."""

from datetime import datetime
from typing import Any

from contracts.risk import OrderRejected
from libs.decide import Output, Reply, State, Unwake, problem
from services.risk.domain.assess import HELD, REJECTED, TIMER, clear, judged, next_time, resolved, settle, timer
from services.risk.domain.rows import (
    AllowBuyer,
    AllowedBuyer,
    DisallowBuyer,
    OrderRisk,
    RejectOrder,
    ReleaseHold,
)
from services.risk.domain.rulebook import Rulebook


def release(command: ReleaseHold, state: State, now: datetime, *, rulebook: Rulebook) -> list[Output]:
    """Lift the named hold (all without a name); the last one clears the order.

    An order that the rules failed on is judged by them instead: what they require of it, nobody else knows.
    """
    row = state.get(OrderRisk, command.order_id)
    refusal = _refusal(row, command)
    if refusal is not None or row is None:
        return [refusal or problem(404, "no such order")]
    lifted = [reason for reason in row.reasons if command.rule in (None, reason.rule)]
    if not lifted:
        return [problem(409, "the order is not held by this rule", open=_rules(row), field="rule")]
    if row.unjudged:
        return _judge_again(row, command, state, now, rulebook)
    outputs: list[Output] = [resolved(row, reason, "released", command.by, command.why) for reason in lifted]
    had_timer = next_time(row.reasons) is not None
    row.released = {**row.released, **{reason.rule: reason.facts for reason in lifted}}
    row.reasons = [reason for reason in row.reasons if reason not in lifted]
    if not row.reasons:
        outputs.append(clear(row, "审核人已解除全部挂起", "A reviewer lifted the last hold"))
    outputs.extend(timer(row, had_timer))
    state.put(row)
    return [*outputs, _answer(row)]


def _judge_again(row: OrderRisk, command: ReleaseHold, state: State, now: datetime, rulebook: Rulebook) -> list[Output]:
    """Judge an order that the rules failed on by those in force now, which may have been mended meanwhile."""
    verdict = judged(row.unjudged, row, state, now, rulebook)
    if verdict.unjudged:
        detail = f"{verdict.holds[0].facts['error']}; mend the rules and release again, or reject the order"
        return [problem(409, "the rules still fail on this order", detail, open=_rules(row))]
    outputs: list[Output] = [resolved(row, reason, "released", command.by, command.why) for reason in row.reasons]
    outputs.extend(settle(row, verdict, now))
    state.put(row)
    return [*outputs, _answer(row)]


def reject(command: RejectOrder, state: State, now: datetime) -> list[Output]:
    """Refuse a held order for good."""
    row = state.get(OrderRisk, command.order_id)
    refusal = _refusal(row, command)
    if refusal is not None or row is None:
        return [refusal or problem(404, "no such order")]
    outputs: list[Output] = [
        OrderRejected(order_id=row.order_id, version=row.version, by=command.by, why=command.why, rules=_rules(row))
    ]
    if next_time(row.reasons) is not None:
        outputs.append(Unwake(kind=TIMER, key=row.order_id))
    row.state, row.held_at, row.reasons, row.unjudged = REJECTED, None, [], {}
    state.put(row)
    return [*outputs, _answer(row)]


def allow(command: AllowBuyer, state: State, now: datetime) -> list[Output]:
    """Put a buyer on the allow list; orders held before stay held until a reviewer releases them."""
    row = AllowedBuyer(buyer_key=command.buyer_key, allowed_by=command.by, allowed_at=now, why=command.why)
    state.put(row)
    return [Reply(body={"buyer_key": command.buyer_key, "allowed": True})]


def disallow(command: DisallowBuyer, state: State, now: datetime) -> list[Output]:
    """Take a buyer off the allow list."""
    row = state.get(AllowedBuyer, command.buyer_key)
    if row is None:
        return [problem(404, "this buyer is not on the allow list")]
    state.delete(row)
    return [Reply(body={"buyer_key": command.buyer_key, "allowed": False})]


def _refusal(row: OrderRisk | None, command: ReleaseHold | RejectOrder) -> Reply | None:
    if row is None or row.version == 0:
        return problem(404, "no such order", f"risk has not seen order {command.order_id}")
    if row.state != HELD:
        return problem(409, "the order is not held", f"it is {row.state}", state=row.state)
    if command.version not in (None, row.version):
        detail = f"version {row.version} is held, the verdict is on version {command.version}: look at it again"
        return problem(409, "the order was amended meanwhile", detail, version=row.version, open=_rules(row))
    return None


def _rules(row: OrderRisk) -> list[str]:
    return [reason.rule for reason in row.reasons]


def _answer(row: OrderRisk) -> Reply:
    body: dict[str, Any] = {"order_id": row.order_id, "version": row.version, "state": row.state, "open": _rules(row)}
    return Reply(body=body)
