"""The fold: what each event changes in its order's row. Cheap on purpose, the tower sees some eight events an order.

`at` is everywhere the event's own time: figures measure the orders, not how the tower came to read of them.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from contracts import notices, orders, risk, routes, shipments, stock
from contracts.envelope import Event
from contracts.parked import MessageParked
from contracts.topics import BY_NAME, EVENT_TYPES, TOPIC_OF
from libs.decide import Output, State
from services.tower.domain.rows import (
    CANCELLED,
    OPEN_STAGES,
    REJECTED,
    SHIPPED,
    OrderView,
    ParkedCount,
    PickLatency,
    StageCount,
    TimelineEntry,
    stage_of,
)
from services.tower.domain.whys import NOTHING, WHYS

Change = Callable[[OrderView, Any, datetime], None]
Decide = Callable[[Any, State, datetime], list[Output]]
ASSIGNED, PICKING, PACKED = OPEN_STAGES
PARKED_TOPICS = "ordo.parked"
_encode = msgspec.json.Encoder().encode


def _content(view: OrderView, event: orders.OrderContent, at: datetime) -> None:
    view.channel = event.channel
    view.shop_id = event.shop_id
    view.placed_at = event.placed_at
    view.total = event.total
    view.version = event.version
    if view.accepted_at is None:
        view.accepted_at = at


def _cancel_requested(view: OrderView, event: orders.OrderCancelRequested, at: datetime) -> None:
    view.cancel_requested = True


def _refund_requested(view: OrderView, event: orders.RefundRequested, at: datetime) -> None:
    view.cancel_requested = view.cancel_requested or not (event.after_shipping or event.line_ids)


def _cleared(view: OrderView, event: risk.OrderCleared, at: datetime) -> None:
    view.risk = "cleared"


def _held(view: OrderView, event: risk.OrderHeld, at: datetime) -> None:
    view.risk = "held"


def _rejected(view: OrderView, event: risk.OrderRejected, at: datetime) -> None:
    view.risk = REJECTED


def _reserved(view: OrderView, event: stock.StockReserved, at: datetime) -> None:
    view.stock = "reserved"


def _short(view: OrderView, event: stock.StockShort, at: datetime) -> None:
    view.stock = "short"


def _assigned(view: OrderView, event: stock.StockAssigned, at: datetime) -> None:
    view.stock = "assigned"
    for parcel in event.parcels:
        view.assigned[parcel.parcel_id] = parcel.warehouse


def _refused(view: OrderView, event: stock.AssignmentRefused, at: datetime) -> None:
    # A plan for the content before may be refused while the new content is already short.
    if view.stock != "short":
        view.stock = "refused"


def _released(view: OrderView, event: stock.StockReleased, at: datetime) -> None:
    if event.final:
        view.stock = REJECTED if event.reason == "rejected" else CANCELLED
        view.assigned = {}
        return
    view.stock = "released"
    for parcel_id in event.parcel_ids:
        view.assigned.pop(parcel_id, None)


def _planned(view: OrderView, event: routes.RoutePlanned, at: datetime) -> None:
    view.route = "planned"


def _blocked(view: OrderView, event: routes.RouteBlocked, at: datetime) -> None:
    view.route = "blocked"


def _nothing(view: OrderView, event: Event, at: datetime) -> None:
    """The event belongs into the timeline and moves nothing."""


def _task(stage: str) -> Change:
    def change(view: OrderView, event: Any, at: datetime) -> None:
        view.tasks[event.task_id] = (stage, event.warehouse)

    return change


def _task_created(view: OrderView, event: shipments.PickTaskCreated, at: datetime) -> None:
    view.tasks[event.task_id] = (ASSIGNED, event.warehouse)
    if view.pick_task_at is None:
        view.pick_task_at = at


def _fulfillment_cancelled(view: OrderView, event: shipments.FulfillmentCancelled, at: datetime) -> None:
    for parcel in event.cancelled_parcels:
        _, warehouse = view.tasks.get(parcel, ("", ""))
        view.tasks[parcel] = (CANCELLED, warehouse)


CHANGES: dict[type[Event], Change] = {
    orders.OrderPlaced: _content,
    orders.OrderAmended: _content,
    orders.OrderCancelRequested: _cancel_requested,
    orders.RefundRequested: _refund_requested,
    risk.OrderCleared: _cleared,
    risk.OrderHeld: _held,
    risk.HoldResolved: _nothing,
    risk.OrderRejected: _rejected,
    stock.StockReserved: _reserved,
    stock.StockShort: _short,
    stock.ShippableChanged: _nothing,
    stock.StockAssigned: _assigned,
    stock.AssignmentRefused: _refused,
    stock.StockReleased: _released,
    stock.StockShipped: _nothing,
    routes.RoutePlanned: _planned,
    routes.RouteBlocked: _blocked,
    shipments.PickTaskCreated: _task_created,
    shipments.PickTaskClaimed: _task(PICKING),
    shipments.PickTaskUnclaimed: _task(ASSIGNED),
    shipments.ItemsPicked: _task(PICKING),
    shipments.ParcelPacked: _task(PACKED),
    shipments.ParcelWeighed: _task(PACKED),
    shipments.ParcelShipped: _task(SHIPPED),
    shipments.FulfillmentCancelled: _fulfillment_cancelled,
    shipments.CancelTooLate: _nothing,
    shipments.AmendTooLate: _nothing,
}
# Notices say what was told; they are no step of the order, and operations' digests concern no order at all.
TOLD: tuple[type[Event], ...] = (notices.NoticeSent, notices.NoticeFailed)
_ORDER_TOPICS = frozenset(TOPIC_OF[event].name for event in CHANGES)


def fold_of(kind: type[Event]) -> Decide:
    """Return the fold of one event type into its order's row and timeline."""
    change, name = CHANGES[kind], kind.__name__
    holds_sealed = "sealed" in kind.__struct_fields__

    def fold(event: Any, state: State, at: datetime) -> list[Output]:
        order_id = event.order_id
        view = state.get(OrderView, order_id)
        if view is None:
            view = OrderView(order_id=order_id)
        timed = view.pick_task_at is not None and view.accepted_at is not None
        change(view, event, at)
        _move(view, state, at)
        state.put(view)
        if not timed and view.pick_task_at is not None and view.accepted_at is not None:
            latency = PickLatency(order_id=order_id, accepted_at=view.accepted_at, pick_task_at=view.pick_task_at)
            state.append(latency)
        payload = msgspec.structs.replace(event, sealed="") if holds_sealed else event
        state.append(TimelineEntry(order_id=order_id, at=at, type=name, payload=_encode(payload)))
        return []

    return fold


def note_told(event: notices.NoticeSent | notices.NoticeFailed, state: State, at: datetime) -> list[Output]:
    """Add to the timeline what somebody was told."""
    state.append(TimelineEntry(order_id=event.order_id, at=at, type=type(event).__name__, payload=_encode(event)))
    return []


def note_parked(event: MessageParked, state: State, at: datetime) -> list[Output]:
    """Count a message that was set aside, and show it on its order's timeline."""
    row = state.get(ParkedCount, event.origin_topic) or ParkedCount(origin_topic=event.origin_topic)
    row.messages += 1
    row.behind += event.behind
    row.last_at = at if row.last_at is None else max(at, row.last_at)
    state.put(row)
    if event.origin_topic in _ORDER_TOPICS or event.origin_topic not in BY_NAME:
        entry = TimelineEntry(order_id=event.message_key, at=at, type=MessageParked.__name__, payload=_encode(event))
        state.append(entry)
    return []


def told(kind: str, payload: bytes) -> tuple[str, str, str]:
    """Return an entry's topic and its reason in Chinese and English; empty where it gives none."""
    event_type = EVENT_TYPES[kind]
    topic = PARKED_TOPICS if event_type is MessageParked else TOPIC_OF[event_type].name
    why = WHYS.get(event_type)
    return topic, *(NOTHING if why is None else why(msgspec.json.decode(payload, type=event_type)))


def name_warehouses(state: State, now: datetime) -> list[Output]:
    """At the end of a batch, list anew where the parcels of each order that changed are."""
    for view in state.changed(OrderView):
        warehouses = {warehouse for _, warehouse in view.tasks.values() if warehouse}
        warehouses.update(view.assigned.values())
        view.warehouses = sorted(warehouses)
    return []


def _move(view: OrderView, state: State, at: datetime) -> None:
    """Count an order in the stage it is in now; it stands there since the newest event that moved it."""
    stage = stage_of(view)
    if stage == view.stage:
        return
    if view.stage:
        _count(state, view.stage, -1)
    _count(state, stage, 1)
    view.stage = stage
    # Topics race: what only now is known to have come before the last move does not turn time back.
    view.stage_since = at if view.stage_since is None else max(at, view.stage_since)


def _count(state: State, stage: str, orders: int) -> None:
    row = state.get(StageCount, stage) or StageCount(stage=stage)
    row.orders += orders
    state.put(row)
