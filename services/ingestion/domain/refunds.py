"""Decides what a refund document changes: said once, again when its amount or kind changes, never before its order."""

from datetime import datetime
from typing import ClassVar

import msgspec

from contracts.orders import RefundRequested
from libs.decide import Command, Output, Reply, Row, State
from services.ingestion.domain.orders import ACCEPTED, AMENDED, AWAITED, PLACED, UNCHANGED, PlatformOrder

WAITS = "waits"


class PlatformRefund(Row, kw_only=True):
    """What was last said of a refund. `version` counts what was published of it."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id", "refund_id")
    order_id: str
    refund_id: str
    amount: int
    after_shipping: bool
    version: int
    changed_at: datetime


class RequestRefund(Command, frozen=True, kw_only=True, tag=True):
    """A refund as the platform tells it; without `requested_at` it counts from when it is decided."""

    order_id: str
    refund_id: str
    amount: int
    after_shipping: bool = False
    requested_at: datetime | None = None
    reason: str = ""
    line_ids: list[str] = []

    @property
    def key(self) -> str:
        """The order."""
        return self.order_id

    @property
    def sameness(self) -> bytes:
        """What is asked."""
        return msgspec.json.encode([self.order_id, self.refund_id, self.amount, self.after_shipping, self.line_ids])


def request_refund(command: RequestRefund, state: State, now: datetime) -> list[Output]:
    """Publish a refund that is new or changed; one of an order that is not here waits for it."""
    outputs, reply = refund(command, state, now)
    return [*outputs, reply]


def refund(command: RequestRefund, state: State, now: datetime) -> tuple[list[Output], Reply]:
    """Decide one refund, alone or as part of a document."""
    order = state.get(PlatformOrder, command.order_id)
    if order is None or order.state == AWAITED:
        return [], _answer(command, WAITS)
    known = state.get(PlatformRefund, command.order_id, command.refund_id)
    if known is not None and (known.amount, known.after_shipping) == (command.amount, command.after_shipping):
        return [], _answer(command, UNCHANGED)
    if order.state != PLACED:
        # The whole order is cancelled: there is nothing left that a refund could stop.
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
    event = RefundRequested(
        order_id=command.order_id,
        request_id=command.refund_id if version == 1 else f"{command.refund_id}/{version}",
        requested_at=command.requested_at or now,
        amount=command.amount,
        after_shipping=command.after_shipping,
        reason=command.reason,
        line_ids=_part(command, order),
    )
    return [event], _answer(command, ACCEPTED if version == 1 else AMENDED)


def _part(command: RequestRefund, order: PlatformOrder) -> list[str]:
    """Return the lines that a refund is about; none when it names none, or all that the order has.

    One of lines that the order does not hold is of goods that were never promised, and takes nothing from the rest.
    """
    known = set(order.line_ids)
    return [] if known and known <= set(command.line_ids) else command.line_ids


def _answer(command: RequestRefund, status: str) -> Reply:
    return Reply(status=202, body={"order_id": command.order_id, "refund_id": command.refund_id, "status": status})
