"""Decides what a platform is told of a parcel that left: once, within its limits, and no re-ship spent silently.

One row an order: a platform's limits are about the order. What a platform has (`reported`) is kept apart from what it
should have (`waybill`), so a waybill that changes while a call is under way is settled when the call ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from contracts.shipments import FulfillmentCancelled, ParcelShipped
from libs.decide import Command, Delivered, Output, Reply, Row, Send, State, problem
from services.ingestion.domain.acceptance import ACCEPTING, Acceptance

UPLOAD = "upload:"
SENDING, SENT, COVERED, HELD, FAILED = "sending", "sent", "covered", "held", "failed"
STATES = (FAILED, HELD, SENDING, COVERED, SENT)  # the worst first
WORD_LIMIT_CHARACTERS = 300
Line = tuple[str, str, int]


@dataclass(frozen=True)
class UploadRules:
    """What a channel's capabilities say about parcels."""

    splits_parcels: bool = False
    parcels_limit: int | None = None
    reships_limit: int | None = None


class Report(msgspec.Struct, kw_only=True):
    """What was made of one parcel. `round` counts the calls; `calling` is the waybill under way.

    Sending in round 0: it waits for the order to be accepted on the platform, which takes no shipment before.
    """

    parcel_id: str
    carrier: str
    waybill: str
    lines: list[Line]
    last: bool = False
    state: str = SENDING
    round: int = 0
    calling: str = ""
    reported: str = ""
    word: str = ""


class ShipBack(Row, kw_only=True):
    """What a platform was told of an order's parcels. `respent`: waybills that re-ships were spent on."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    channel: str
    shop_id: str
    platform_order_id: str
    worst_state: str = ""  # of its parcels, for lists
    reports: list[Report] = []
    respent: list[str] = []
    shipped_at: datetime
    changed_at: datetime


class RetryUpload(Command, frozen=True, kw_only=True):
    """An operator has a call made again, or agrees to spend a re-ship."""

    parcel_id: str
    spend_reship: bool = False

    @property
    def key(self) -> str:
        """The order."""
        return order_of(self.parcel_id)


def order_of(parcel_id: str) -> str:
    """Return the order of a parcel: its id is `{order_id}/{n}`."""
    return parcel_id.rsplit("/", 1)[0]


def send_id_of(found: Report) -> str:
    """Return the idempotency key of a parcel's newest call: its own id, then one more a retry."""
    return found.parcel_id if found.round <= 1 else f"{found.parcel_id}~{found.round}"


def report(event: ParcelShipped, state: State, now: datetime, rules: Mapping[str, UploadRules]) -> list[Output]:
    """Tell the platform of a parcel, or keep it for the order's last one where parcels cannot be told apart."""
    channel, shop_id, platform_order_id = event.order_id.split(".", 2)
    if channel not in rules:
        return []
    rule = rules[channel]
    row = state.get(ShipBack, event.order_id) or ShipBack(
        order_id=event.order_id,
        channel=channel,
        shop_id=shop_id,
        platform_order_id=platform_order_id,
        shipped_at=now,
        changed_at=now,
    )
    known = next((each for each in row.reports if each.parcel_id == event.task_id), None)
    if known is not None:
        if (known.carrier, known.waybill) == (event.carrier, event.waybill):
            return []
        known.carrier, known.waybill = event.carrier, event.waybill
        known.last = known.last or event.last
        outputs = _correct(row, known, rule)
    else:
        lines = [(line.line_id, line.sku, line.quantity) for line in event.lines]
        known = Report(
            parcel_id=event.task_id, carrier=event.carrier, waybill=event.waybill, lines=lines, last=event.last
        )
        told = sum(1 for each in row.reports if each.state != COVERED)
        row.reports = [*row.reports, known]
        outputs = _cover(known) if not event.last and not _may_split(rule, told) else _begin(row, known, state)
    return _saved(row, outputs, state, now)


def end(event: FulfillmentCancelled, state: State, now: datetime, rules: Mapping[str, UploadRules]) -> list[Output]:
    """No further parcel comes: what waited for the last one is told now, under the newest waybill."""
    if event.order_id.partition(".")[0] not in rules:
        return []
    row = state.get(ShipBack, event.order_id)
    if row is None:
        return []
    waiting = [each for each in row.reports if each.state == COVERED]
    if not waiting or any(each.last for each in row.reports):
        return []
    waiting[-1].last = True
    return _saved(row, _begin(row, waiting[-1], state), state, now)


def accepted(order_id: str, state: State, now: datetime) -> list[Output]:
    """The platform's word on the order is known: what waited for it is told, whatever the word was."""
    row = state.get(ShipBack, order_id)
    waiting = [] if row is None else [each for each in row.reports if each.state == SENDING and not each.round]
    if row is None or not waiting:
        return []
    return _saved(row, [call for each in waiting for call in _call(row, each)], state, now)


def uploaded(delivered: Delivered, state: State, now: datetime, rules: Mapping[str, UploadRules]) -> list[Output]:
    """Keep the platform's word; a call that was given up waits for an operator."""
    row = state.get(ShipBack, delivered.key)
    found = None if row is None else next((e for e in row.reports if e.parcel_id == delivered.body["parcel_id"]), None)
    if row is None or found is None or found.round != delivered.body["round"] or not found.calling:
        return []
    called, found.calling = found.calling, ""
    found.word = delivered.detail[:WORD_LIMIT_CHARACTERS]
    if delivered.ok:
        found.reported, found.state = called, SENT
    else:
        found.state = FAILED
    outputs: list[Output] = []
    if found.waybill != called:
        outputs = _correct(row, found, rules[row.channel]) if found.reported else _call(row, found)
    return _saved(row, outputs, state, now)


def retry(command: RetryUpload, state: State, now: datetime, rules: Mapping[str, UploadRules]) -> list[Output]:
    """Make a call again that was given up; one that would spend a re-ship only when that is what is asked."""
    row = state.get(ShipBack, order_of(command.parcel_id))
    found = None if row is None else next((e for e in row.reports if e.parcel_id == command.parcel_id), None)
    if row is None or found is None:
        return [problem(404, "no such upload")]
    left = reships_left(row, rules[row.channel])
    if found.state not in (FAILED, HELD):
        return [problem(409, "nothing to retry", state=found.state)]
    if _spends(row, found):
        if left == 0:
            return [problem(409, "no re-ship is left", "correct the waybill in the platform's own back office")]
        if left is not None and not command.spend_reship:
            detail = f"the platform allows {left} more for this order; agree with spend_reship"
            return [problem(409, "this spends a re-ship", detail, field="spend_reship", reships_left=left)]
    outputs = _call(row, found)
    shown = {"parcel_id": found.parcel_id, "state": found.state, "reships_left": reships_left(row, rules[row.channel])}
    return [*_saved(row, outputs, state, now), Reply(status=202, body=shown)]


def reships_left(row: ShipBack, rule: UploadRules) -> int | None:
    """Return how many waybills of the order may still be corrected; None where the platform states no limit."""
    return None if rule.reships_limit is None else max(0, rule.reships_limit - len(row.respent))


def _may_split(rule: UploadRules, told: int) -> bool:
    """Tell whether a parcel that is not the last may be told by itself: one place is kept for the last."""
    return rule.splits_parcels and (rule.parcels_limit is None or told < rule.parcels_limit - 1)


def _cover(found: Report) -> list[Output]:
    found.state = COVERED
    found.word = "goes with the order's last parcel"
    return []


def _begin(row: ShipBack, found: Report, state: State) -> list[Output]:
    """Tell a parcel for the first time, as soon as the platform would listen."""
    acceptance = state.get(Acceptance, row.order_id)
    if acceptance is None or acceptance.state != ACCEPTING:
        return _call(row, found)
    found.state = SENDING
    found.word = "waits until the order is accepted on the platform"
    return []


def _correct(row: ShipBack, found: Report, rule: UploadRules) -> list[Output]:
    """The waybill is another than the platform has, or is being told."""
    if found.state == COVERED or found.calling or not found.round:
        return []
    if not found.reported:
        return _call(row, found)
    if found.reported == found.waybill:
        found.state = SENT
        return []
    left = reships_left(row, rule)
    if left is None or not _spends(row, found):
        return _call(row, found)
    found.state = HELD if left else FAILED
    found.word = f"the platform has waybill {found.reported}; re-ships left: {left}"
    return []


def _spends(row: ShipBack, found: Report) -> bool:
    return bool(found.reported) and found.reported != found.waybill and found.waybill not in row.respent


def _call(row: ShipBack, found: Report) -> list[Output]:
    if _spends(row, found):
        # Counted when it is tried: a call without an answer may have spent it.
        row.respent = [*row.respent, found.waybill]
    found.round += 1
    found.state, found.calling, found.word = SENDING, found.waybill, ""
    lines = list(found.lines)
    if found.last:
        lines += [line for each in row.reports if each.state == COVERED for line in each.lines]
    told_apart = [each for each in row.reports if each.state != COVERED]
    body: dict[str, Any] = {
        "shop_id": row.shop_id,
        "platform_order_id": row.platform_order_id,
        "parcel_id": found.parcel_id,
        "carrier": found.carrier,
        "waybill": found.waybill,
        "lines": lines,
        "split": len(told_apart) > 1 or not found.last,
        "again": bool(found.reported) and found.reported != found.waybill,
        "remaining": int(_more_follow(row, found)),
        "round": found.round,
    }
    return [Send(destination=UPLOAD + row.channel, send_id=send_id_of(found), key=row.order_id, body=body)]


def _more_follow(row: ShipBack, found: Report) -> bool:
    """Tell whether the platform must expect more of this order: its last parcel, or another one that was given up."""
    if not any(each.last for each in row.reports):
        return True
    return any(each.state == FAILED and not each.reported for each in row.reports if each is not found)


def _saved(row: ShipBack, outputs: list[Output], state: State, now: datetime) -> list[Output]:
    states = {each.state for each in row.reports}
    row.worst_state = next(each for each in STATES if each in states)
    row.changed_at = now
    state.put(row)
    return outputs
