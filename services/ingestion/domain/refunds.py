"""Decides what a refund document changes: said once, again when its amount or kind changes, never before its order.

A refund of the whole order before shipping ends the order for good, so it is said only when nothing else is left of it:
when the refund says so, or names every line, or when the order's own document says that every line is asked back.
"""

from datetime import datetime
from typing import ClassVar

import msgspec

from contracts.orders import RefundRequested
from libs.decide import Command, Output, Reply, Row, State
from services.ingestion.domain.orders import (
    ACCEPTED,
    AMENDED,
    PLACED,
    UNCHANGED,
    PlaceOrder,
    PlatformOrder,
    Verdict,
    deliver,
)
from services.ingestion.domain.uploads import ShipBack

WAITS = "waits"
# The refund is wanted no more, and the order was ended for it: `new` tells whether that is heard for the first time.
ENDED_FOR_NOTHING = "ended for nothing"
WHAT_TO_DO = (
    "the refund was refused, closed or withdrawn after the order was released for it, and nothing reserves it again: "
    "unless it left all the same or was asked back anew, ship it by hand or have it placed anew; "
    "a retry takes this notice away"
)
ALL_ASKED_BACK = "every line is asked back"


class PlatformRefund(Row, kw_only=True):
    """What was last said of a refund. `version` counts what was published of it; `withdrawn`: it is wanted no more."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id", "refund_id")
    order_id: str
    refund_id: str
    amount: int
    after_shipping: bool
    version: int
    changed_at: datetime
    withdrawn: bool = False


class RequestRefund(Command, frozen=True, kw_only=True, tag=True):
    """A refund as the platform tells it; without `requested_at` it counts from when it is decided.

    `withdrawn`: it was refused, closed or taken back, and says nothing else.
    """

    order_id: str
    refund_id: str
    amount: int
    after_shipping: bool = False
    requested_at: datetime | None = None
    reason: str = ""
    line_ids: list[str] = []
    withdrawn: bool = False

    @property
    def key(self) -> str:
        """The order."""
        return self.order_id

    @property
    def sameness(self) -> bytes:
        """What is asked."""
        asked = [self.order_id, self.refund_id, self.amount, self.after_shipping, self.line_ids]
        return msgspec.json.encode([*asked, "withdrawn"] if self.withdrawn else asked)


def request_refund(command: RequestRefund, state: State, now: datetime) -> list[Output]:
    """Publish a refund that is new or changed; one of an order that is not here waits for it."""
    outputs, reply = refund(command, state, now)
    return [*outputs, reply]


def refund(command: RequestRefund, state: State, now: datetime) -> Verdict:
    """Decide one refund, alone or as part of a document."""
    order = state.get(PlatformOrder, command.order_id)
    if command.withdrawn:
        return _withdrawn(command, order, state, now)
    if order is None:
        return [], _answer(command, WAITS)
    known = state.get(PlatformRefund, command.order_id, command.refund_id)
    if known is not None and (known.amount, known.after_shipping) == (command.amount, command.after_shipping):
        if known.withdrawn:
            known.withdrawn = False
            state.put(known)
        return [], _answer(command, UNCHANGED)
    if order.state != PLACED:
        # Nothing is left that a refund could stop: it is cancelled, left before it was heard of, or was never placed.
        return [], _answer(command, UNCHANGED)
    version = 1 if known is None else known.version + 1
    state.put(
        PlatformRefund(
            order_id=command.order_id,
            refund_id=command.refund_id,
            amount=command.amount,
            after_shipping=command.after_shipping,
            version=version,
            changed_at=now,
        )
    )
    line_ids = _part(command, order)
    if not command.after_shipping:
        order.refunded = order.refunded or not line_ids
        order.part_refund_id = command.refund_id if line_ids else order.part_refund_id
        state.put(order)
    event = RefundRequested(
        order_id=command.order_id,
        request_id=command.refund_id if version == 1 else f"{command.refund_id}/{version}",
        requested_at=command.requested_at or now,
        amount=command.amount,
        after_shipping=command.after_shipping,
        reason=command.reason,
        line_ids=line_ids,
    )
    return [event], _answer(command, ACCEPTED if version == 1 else AMENDED)


def take_back(command: PlaceOrder, state: State, now: datetime) -> Verdict:
    """Say once that refunds of parts have become one of the whole; an order that is not here yet is placed first.

    Of an order that is here nothing else of such a document is news: lines already taken out would come back by it.
    The refunds of its parts have told their amounts, so this one has none.
    """
    order = state.get(PlatformOrder, command.key)
    if order is None or order.state != PLACED:
        return deliver(command, state, now)
    reply = Reply(status=202, body={"order_id": command.key, "status": UNCHANGED})
    if order.refunded or order.part_refund_id is None:
        return [], reply
    order.refunded = True
    state.put(order)
    request_id = f"{order.part_refund_id}/all"
    event = RefundRequested(
        order_id=command.key, request_id=request_id, requested_at=now, amount=0, reason=ALL_ASKED_BACK
    )
    return [event], reply


def _withdrawn(command: RequestRefund, order: PlatformOrder | None, state: State, now: datetime) -> Verdict:
    """Note that nobody wants the money any more; where the order ended for it, a person has to be told.

    An order that ended because each of its lines was asked back may have ended for one that is read only now.
    """
    known = state.get(PlatformRefund, command.order_id, command.refund_id)
    if known is None and order is not None and order.refunded and order.part_refund_id is not None:
        known = PlatformRefund(
            order_id=command.order_id,
            refund_id=command.refund_id,
            amount=command.amount,
            after_shipping=False,
            version=0,
            changed_at=now,
        )
    if order is None or known is None or known.after_shipping:
        return [], _answer(command, UNCHANGED)
    new = not known.withdrawn
    if new:
        known.withdrawn = True
        state.put(known)
    if order.state != PLACED or not order.refunded or _has_left(order, state):
        return [], _answer(command, UNCHANGED)
    reply = _answer(command, ENDED_FOR_NOTHING)
    return [], Reply(status=reply.status, body={**reply.body, "new": new})


def _has_left(order: PlatformOrder, state: State) -> bool:
    """Tell whether each line of the order went out: its refund came too late, and is closed for that."""
    row = state.get(ShipBack, order.order_id)
    left = set() if row is None else {line_id for each in row.reports for line_id, _, _ in each.lines}
    return bool(left) and left >= set(order.line_ids)


def _part(command: RequestRefund, order: PlatformOrder) -> list[str]:
    """Return the lines that a refund is about; none when it names none, or all that the order has.

    One of lines that the order does not hold is of goods that were never promised, and takes nothing from the rest.
    """
    known = set(order.line_ids)
    return [] if known and known <= set(command.line_ids) else command.line_ids


def _answer(command: RequestRefund, status: str) -> Reply:
    return Reply(status=202, body={"order_id": command.order_id, "refund_id": command.refund_id, "status": status})
