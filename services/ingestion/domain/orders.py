"""Decides what a delivery changes: a new order, an amendment, a cancellation, or nothing that was not known."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from contracts.orders import OrderAmended, OrderCancelRequested, OrderPlaced
from libs.decide import Command, Entry, Output, Reply, Row, State, problem

# What a delivery did to its order.
ACCEPTED, AMENDED, UNCHANGED, REFUSED = "accepted", "amended", "unchanged", "refused"
# Where a platform order stands: `awaited` means that only its cancellation is known, `left` that its goods had left
# before it was heard of, so nobody was ever told of it and nobody ships it again.
AWAITED, PLACED, CANCELLED, LEFT = "awaited", "placed", "cancelled", "left"
LEFT_IN_PART = "part"


class PlatformOrder(Row, kw_only=True):
    """What was last heard of an order. `fingerprints` tells contents apart without keeping them.

    `line_ids` tells a refund of a part from one of the whole; of orders that came before it was kept, it is empty.
    `part_refund_id` is the newest refund that was said as one of a part before shipping, `refunded`: one was said as
    one of the whole.
    """

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    state: str
    version: int = 0
    fingerprints: dict[str, str] = {}
    line_ids: list[str] = []
    part_refund_id: str | None = None
    refunded: bool = False
    cancel_request_id: str | None = None
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None


class Intake(Entry, frozen=True, kw_only=True):
    """One delivery that changed an order, with the whole message as it came, sealed."""

    order_id: str
    version: int
    change: str
    request_id: str
    received_at: datetime
    raw_sealed: str


class PlaceOrder(Command, frozen=True, kw_only=True, tag=True):
    """An order as delivered. `order` is the fact it becomes when it is new; the decision gives it its version.

    `left` says that goods of it have left by the platform's own word: a `part` of them, or the `whole`; `asked_back`
    that every line of it which has not left is asked back.
    """

    order: OrderPlaced
    fingerprints: dict[str, str]
    request_id: str
    raw_sealed: str
    left: str = ""
    asked_back: bool = False

    @property
    def key(self) -> str:
        """The order."""
        return self.order.order_id

    @property
    def sameness(self) -> bytes:
        """Sealed text differs each time it is sealed, so a repeat is told by the order's fingerprints."""
        asked = ["asked back"] if self.asked_back else []
        return msgspec.json.encode([self.order.order_id, sorted(self.fingerprints.items()), *asked])


class CancelOrder(Command, frozen=True, kw_only=True, tag=True):
    """A cancellation as delivered; without `requested_at` it counts from when it is decided."""

    order_id: str
    request_id: str
    requested_at: datetime | None = None
    reason: str = ""
    raw_sealed: str

    @property
    def key(self) -> str:
        """The order."""
        return self.order_id

    @property
    def sameness(self) -> bytes:
        """A repeat is told by what is asked, not by how it was sealed."""
        return msgspec.json.encode([self.order_id, self.requested_at, self.reason])


class TakeBatch(Command, frozen=True, kw_only=True):
    """Many deliveries of one shop, decided in one transaction, each with its own verdict."""

    batch_id: str
    items: list[PlaceOrder | CancelOrder]

    @property
    def key(self) -> str:
        """The batch itself: its orders have no key in common."""
        return f"batch:{self.batch_id}"

    @property
    def sameness(self) -> bytes:
        """The same deliveries in the same order."""
        return b"\n".join(item.sameness for item in self.items)


Verdict = tuple[list[Output], Reply]


def place(command: PlaceOrder, state: State, now: datetime) -> list[Output]:
    """Publish a new order or a changed one; the same content again changes nothing."""
    outputs, reply = _place(command, state, now)
    return [*outputs, reply]


def cancel(command: CancelOrder, state: State, now: datetime) -> list[Output]:
    """Publish a cancellation once; keep it when the order itself is still on its way."""
    outputs, reply = _cancel(command, state, now)
    return [*outputs, reply]


def take_batch(command: TakeBatch, state: State, now: datetime) -> list[Output]:
    """Decide each delivery by itself, in order; a refused one does not hold up the others."""
    outputs: list[Output] = []
    verdicts: list[dict[str, Any]] = []
    for item in command.items:
        said, reply = deliver(item, state, now)
        outputs.extend(said)
        verdicts.append(
            reply.body if reply.status < 400 else {"order_id": item.key, "status": REFUSED, "problem": reply.body}
        )
    return [*outputs, Reply(status=200, body={"items": verdicts})]


def deliver(item: PlaceOrder | CancelOrder, state: State, now: datetime) -> Verdict:
    """Decide one delivery that is part of something larger."""
    return _place(item, state, now) if isinstance(item, PlaceOrder) else _cancel(item, state, now)


def changed_fields(known: dict[str, str], heard: dict[str, str]) -> list[str]:
    """Return the names of the fields whose content differs; a field without a fingerprint is at its default."""
    return sorted(name for name in known.keys() | heard.keys() if known.get(name) != heard.get(name))


def _place(command: PlaceOrder, state: State, now: datetime) -> Verdict:
    order_id = command.order.order_id
    known = state.get(PlatformOrder, order_id)
    if known is None or known.state == AWAITED:
        return _left(command, known, state, now) if command.left else _first(command, known, state, now)
    if known.state == LEFT:
        return [], _answer(order_id, UNCHANGED)
    changed = changed_fields(known.fingerprints, command.fingerprints)
    if not changed:
        return [], _answer(order_id, UNCHANGED)
    if known.state == CANCELLED:
        return [], problem(409, "the order is cancelled and takes no changes", order_id=order_id, changed=changed)
    known.version += 1
    known.fingerprints = command.fingerprints
    known.line_ids = [line.line_id for line in command.order.lines]
    state.put(known)
    _keep(command, AMENDED, known.version, state, now)
    content = msgspec.structs.asdict(command.order) | {"version": known.version}
    return [OrderAmended(**content, changed=changed)], _answer(order_id, AMENDED)


def _first(command: PlaceOrder, awaited: PlatformOrder | None, state: State, now: datetime) -> Verdict:
    order_id = command.order.order_id
    outputs: list[Output] = [command.order]
    known = awaited or PlatformOrder(order_id=order_id, state=PLACED)
    if awaited is not None:
        known.state = CANCELLED
        outputs.append(_cancellation(known, now))
    known.version = command.order.version
    known.fingerprints = command.fingerprints
    known.line_ids = [line.line_id for line in command.order.lines]
    state.put(known)
    _keep(command, PLACED, known.version, state, now)
    return outputs, _answer(order_id, ACCEPTED)


def _left(command: PlaceOrder, awaited: PlatformOrder | None, state: State, now: datetime) -> Verdict:
    """Keep an order that left before it was heard of, and tell nobody: whoever hears of a placed order ships it.

    What is said of it later changes nothing, since there is no order that a change could reach.
    """
    order_id = command.order.order_id
    if command.left == LEFT_IN_PART:
        rest = "was asked back, or " if command.asked_back else ""
        title = f"a part of it left before it was first heard of: the rest {rest}has to be shipped where that part was"
        return [], problem(409, title, order_id=order_id, field="lines")
    known = awaited or PlatformOrder(order_id=order_id, state=LEFT)
    known.state = LEFT
    state.put(known)
    _keep(command, LEFT, known.version, state, now)
    return [], _answer(order_id, LEFT)


def _cancel(command: CancelOrder, state: State, now: datetime) -> Verdict:
    known = state.get(PlatformOrder, command.order_id)
    if known is not None and known.state != PLACED:
        return [], _answer(command.order_id, UNCHANGED)
    outputs: Sequence[Output] = []
    if known is None:
        known = PlatformOrder(order_id=command.order_id, state=AWAITED)
    else:
        known.state = CANCELLED
    known.cancel_request_id = command.request_id
    known.cancel_requested_at = command.requested_at or now
    known.cancel_reason = command.reason
    if known.state == CANCELLED:
        outputs = [_cancellation(known, now)]
    state.put(known)
    _keep(command, CANCELLED, known.version, state, now)
    return list(outputs), _answer(command.order_id, ACCEPTED)


def _cancellation(known: PlatformOrder, now: datetime) -> OrderCancelRequested:
    return OrderCancelRequested(
        order_id=known.order_id,
        request_id=known.cancel_request_id or known.order_id,
        requested_at=known.cancel_requested_at or now,
        reason=known.cancel_reason or "",
    )


def _keep(command: PlaceOrder | CancelOrder, change: str, version: int, state: State, now: datetime) -> None:
    state.append(
        Intake(
            order_id=command.key,
            version=version,
            change=change,
            request_id=command.request_id,
            received_at=now,
            raw_sealed=command.raw_sealed,
        )
    )


def _answer(order_id: str, status: str) -> Reply:
    return Reply(status=202, body={"order_id": order_id, "status": status})
