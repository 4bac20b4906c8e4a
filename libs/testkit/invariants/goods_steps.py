"""The steps of goods: what inventory promised and what hands did, each checked against the declared state machine."""

from collections.abc import Callable
from typing import Any

from contracts import shipments, stock
from contracts.envelope import Event
from libs.testkit.invariants.findings import Seen
from libs.testkit.invariants.stories import CANCELLED, OPEN, SHIPPED, Story, goods_of, order_of, units_of

ENDED = "ended"
BY_FULFILLMENT = "fulfillment_cancelled"
# A reservation's states by what inventory says: which may come before each event, and which comes after.
_STOCK_BEFORE: dict[type[Event], tuple[str, ...]] = {
    stock.StockReserved: ("", "reserved", "short", "freed"),
    stock.StockShort: ("", "short", "freed"),
    stock.ShippableChanged: ("reserved",),
    stock.AssignmentRefused: ("reserved", "short"),
    stock.StockAssigned: ("reserved",),
    stock.StockShipped: ("assigned",),
}
# A pick task's states by what fulfillment says.
_TASK_STEPS: dict[type[Event], tuple[tuple[str, ...], str]] = {
    shipments.PickTaskCreated: (("",), OPEN),
    shipments.PickTaskClaimed: ((OPEN,), "claimed"),
    shipments.PickTaskUnclaimed: (("claimed",), OPEN),
    shipments.ItemsPicked: (("claimed",), "picked"),
    shipments.ParcelPacked: (("picked",), "packed"),
    shipments.ParcelShipped: (("weighed",), SHIPPED),
}


def _stock_moves(story: Story, event: Any, seen: Seen) -> None:
    kind = type(event)
    if story.stock not in _STOCK_BEFORE[kind]:
        invariant = "I-6" if story.stock == ENDED else "I-7"
        seen[invariant].add(f"{event.order_id}: {kind.__name__} after {story.stock or 'nothing'}")


def _version_moves(story: Story, event: Any, seen: Seen) -> None:
    if event.version < story.stock_version:
        seen["I-7"].add(f"{event.order_id}: {type(event).__name__} of version {event.version} after a newer one")
    story.stock_version = event.version


def _reserved(story: Story, event: stock.StockReserved, seen: Seen) -> None:
    _stock_moves(story, event, seen)
    _version_moves(story, event, seen)
    story.stock = "reserved"
    story.promised[event.version] = goods_of(event.lines)


def _short(story: Story, event: stock.StockShort, seen: Seen) -> None:
    _stock_moves(story, event, seen)
    _version_moves(story, event, seen)
    story.stock = "short"


def _assigned(story: Story, event: stock.StockAssigned, seen: Seen) -> None:
    _stock_moves(story, event, seen)
    story.stock = "assigned"
    story.assigned_version = event.version
    for plan in event.parcels:
        parcel = story.parcel(plan.parcel_id)
        if parcel.stock or order_of(plan.parcel_id) != event.order_id:
            seen["I-7"].add(f"{event.order_id}: parcel {plan.parcel_id} is assigned twice or not its own")
        parcel.warehouse, parcel.stock = plan.warehouse, OPEN
        parcel.goods, parcel.units = goods_of(plan.lines), units_of(plan.lines)


def _released(story: Story, event: stock.StockReleased, seen: Seen) -> None:
    before = {"amended": ("reserved",), BY_FULFILLMENT: ("assigned",)}.get(event.reason, ("reserved", "short"))
    if story.stock not in before:
        seen["I-6" if story.stock == ENDED else "I-7"].add(
            f"{event.order_id}: released ({event.reason}) after {story.stock or 'nothing'}"
        )
    if event.reason == BY_FULFILLMENT:
        for parcel_id in event.parcel_ids:
            _settle(story, parcel_id, CANCELLED, seen)
        _end_if_settled(story)
    else:
        story.stock = ENDED if event.final else "freed"
    if event.final != (story.stock == ENDED):
        seen["I-6"].add(f"{event.order_id}: a release says final={event.final}, but the order is {story.stock}")
    if event.final:
        story.release = event.reason


def _stock_shipped(story: Story, event: stock.StockShipped, seen: Seen) -> None:
    _stock_moves(story, event, seen)
    _settle(story, event.parcel_id, SHIPPED, seen)
    story.parcel(event.parcel_id).stock_goods = goods_of(event.lines)
    _end_if_settled(story)


def _settle(story: Story, parcel_id: str, state: str, seen: Seen) -> None:
    parcel = story.parcel(parcel_id)
    if parcel.stock != OPEN:
        other = parcel.stock in (SHIPPED, CANCELLED) and parcel.stock != state
        invariant = "I-15" if other else "I-12"
        seen[invariant].add(f"inventory: {parcel_id} is {state} after it was {parcel.stock or 'not assigned'}")
    parcel.stock = state


def _end_if_settled(story: Story) -> None:
    if all(parcel.stock != OPEN for parcel in story.parcels.values()):
        story.stock = ENDED


def _nothing_changes(story: Story, event: Any, seen: Seen) -> None:
    _stock_moves(story, event, seen)


def _task(story: Story, event: Any, seen: Seen) -> None:
    before, after = _TASK_STEPS[type(event)]
    parcel = story.parcel(event.task_id)
    if parcel.task not in before:
        seen["I-15" if parcel.task == CANCELLED and after == SHIPPED else "I-7"].add(
            f"{event.task_id}: {type(event).__name__} after {parcel.task or 'nothing'}"
        )
    parcel.task = after
    if after == SHIPPED:
        parcel.left_goods, parcel.left_units = goods_of(event.lines), units_of(event.lines)
    elif isinstance(event, shipments.PickTaskCreated):
        parcel.task_goods = goods_of(event.lines)


def _weighed(story: Story, event: shipments.ParcelWeighed, seen: Seen) -> None:
    parcel = story.parcel(event.task_id)
    if parcel.task not in ("packed", "recheck"):
        seen["I-7"].add(f"{event.task_id}: weighed after {parcel.task or 'nothing'}")
    parcel.task = "weighed" if event.accepted else "recheck"


def _stopped(story: Story, event: shipments.FulfillmentCancelled, seen: Seen) -> None:
    story.stops += 1
    if story.stops > 1:
        seen["I-6"].add(f"{event.order_id}: fulfillment cancelled it {story.stops} times")
    for parcel_id in event.cancelled_parcels:
        parcel = story.parcel(parcel_id)
        if parcel.task in (SHIPPED, CANCELLED):
            seen["I-15"].add(f"fulfillment: {parcel_id} is cancelled after it was {parcel.task}")
        parcel.task = CANCELLED


def _too_late(story: Story, event: shipments.CancelTooLate, seen: Seen) -> None:
    story.too_late += 1
    for parcel_id in event.shipped_parcels:
        if story.parcel(parcel_id).task != SHIPPED:
            seen["I-15"].add(f"{event.order_id}: too late to cancel {parcel_id}, which has not left")


def _amend_too_late(story: Story, event: shipments.AmendTooLate, seen: Seen) -> None:
    """The event belongs to the order and moves nothing."""


GOODS_STEPS: dict[type[Event], Callable[[Story, Any, Seen], None]] = {
    stock.StockReserved: _reserved,
    stock.StockShort: _short,
    stock.ShippableChanged: _nothing_changes,
    stock.StockAssigned: _assigned,
    stock.AssignmentRefused: _nothing_changes,
    stock.StockReleased: _released,
    stock.StockShipped: _stock_shipped,
    **dict.fromkeys(_TASK_STEPS, _task),
    shipments.ParcelWeighed: _weighed,
    shipments.FulfillmentCancelled: _stopped,
    shipments.CancelTooLate: _too_late,
    shipments.AmendTooLate: _amend_too_late,
}
