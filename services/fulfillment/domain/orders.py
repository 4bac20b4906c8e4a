"""What becomes of an order's tasks: made once, amended while it is early enough, cancelled with one outcome."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from contracts.catalog import SkuDefined
from contracts.orders import OrderAmended, OrderCancelRequested, OrderPlaced, RefundRequested
from contracts.risk import OrderCleared, OrderRejected
from contracts.shipments import AmendTooLate, CancelTooLate, FulfillmentCancelled, PickTaskCreated
from contracts.stock import ParcelPlan, StockAssigned, StockLine, StockReleased
from libs.decide import Output, State, Unwake
from services.fulfillment.domain.content import goods_of
from services.fulfillment.domain.picking import CLAIM_TIMER
from services.fulfillment.domain.rows import (
    ASSIGNED,
    CANCELLED,
    CLAIMED,
    CLOSED,
    LABEL_STATES,
    OPEN,
    ORDER_CANCELLED,
    SHIPPED,
    WAITING,
    Item,
    OrderFile,
    PickLine,
    PickTask,
    TaskRef,
)
from services.fulfillment.domain.wms import task_cancelled, task_created

BY_FULFILLMENT = "fulfillment_cancelled"
REJECTED = "rejected"
FIRST_VERSION = 1
LINES = "lines"
# Amended fields that end on the label. Prices, notes and promises do not concern the warehouse.
ON_THE_LABEL = ("destination", "recipient", "sealed")


def _file(order_id: str, state: State) -> OrderFile:
    return state.get(OrderFile, order_id) or OrderFile(order_id=order_id)


def define_sku(event: SkuDefined, state: State, now: datetime) -> list[Output]:
    """Take over what the scanner and the scale need; tasks already made keep their expected weight."""
    item = Item(sku=event.sku, barcode=event.barcode, weight_grams=event.weight_grams)
    if item != state.get(Item, event.sku):
        state.put(item)
    return []


def place(event: OrderPlaced, state: State, now: datetime) -> list[Output]:
    """Keep the sealed recipient for the label. The order's goods may have been assigned before this is heard."""
    file = _file(event.order_id, state)
    if event.version > file.version:
        file.version = event.version
        file.sealed = event.sealed
        state.put(file)
    return []


def amend(event: OrderAmended, state: State, now: datetime) -> list[Output]:
    """Take a new address while no parcel was weighed; say AmendTooLate for what can no longer be honoured."""
    file = _file(event.order_id, state)
    if event.version <= file.version:
        return []
    file.version = event.version
    state.put(file)
    if not file.tasks:
        file.sealed = event.sealed
        if LINES in event.changed:
            file.amended_version = event.version
            file.amended_goods = [_goods(line.line_id, line.sku, line.quantity) for line in event.lines]
        return []
    if file.state == ORDER_CANCELLED:
        return []
    late = []
    if LINES in event.changed and event.version > file.assigned_version and not _same_goods(event, file, state):
        late.append(LINES)
    if any(task.state in LABEL_STATES for task in _tasks(file, state)):
        late.extend(field for field in ON_THE_LABEL if field in event.changed)
    else:
        file.sealed = event.sealed
    return [AmendTooLate(order_id=event.order_id, version=event.version, changed=sorted(late))] if late else []


def _goods(line_id: str, sku: str, quantity: int) -> StockLine:
    return StockLine(line_id=line_id, sku=sku, quantity=quantity)


def _tasks(file: OrderFile, state: State) -> list[PickTask]:
    found = [state.get(PickTask, ref.task_id) for ref in file.tasks]
    return [task for task in found if task is not None]


def _same_goods(event: OrderAmended, file: OrderFile, state: State) -> bool:
    wanted = goods_of(_goods(line.line_id, line.sku, line.quantity) for line in event.lines)
    return wanted == goods_of(line for task in _tasks(file, state) for line in task.lines)


def assign(event: StockAssigned, state: State, now: datetime, *, tell_wms: bool = False) -> list[Output]:
    """Make one task a parcel, unless a cancellation is already waiting: then that wins at once and nothing is made."""
    file = _file(event.order_id, state)
    if file.tasks or file.state in (CLOSED, ORDER_CANCELLED):
        return []
    file.assigned_version = event.version
    state.put(file)
    cleared_since = file.cleared_requirements if file.cleared_version > event.version else []
    if file.request_id is not None:
        file.state = ORDER_CANCELLED
        file.tasks = [TaskRef(task_id=parcel.parcel_id, state=CANCELLED) for parcel in event.parcels]
        return [_cancelled(file, file.request_id, file.request_reason, [ref.task_id for ref in file.tasks])]
    file.state = ASSIGNED
    file.tasks = [TaskRef(task_id=parcel.parcel_id) for parcel in event.parcels]
    outputs: list[Output] = []
    for parcel in event.parcels:
        task = _task(event, parcel, cleared_since, state, now)
        state.put(task)
        outputs.append(
            PickTaskCreated(
                order_id=task.order_id,
                task_id=task.task_id,
                warehouse=task.warehouse,
                lines=parcel.lines,
                requirements=task.requirements,
                expected_weight_grams=task.expected_weight_grams,
            )
        )
        if tell_wms:
            outputs.append(task_created(task, now))
    return outputs + _missed_amendment(event, file)


def _task(event: StockAssigned, parcel: ParcelPlan, cleared_since: list[str], state: State, now: datetime) -> PickTask:
    return PickTask(
        task_id=parcel.parcel_id,
        order_id=event.order_id,
        warehouse=parcel.warehouse,
        lines=[PickLine(line_id=line.line_id, sku=line.sku, quantity=line.quantity) for line in parcel.lines],
        requirements=_required(event.requirements, cleared_since),
        expected_weight_grams=_weight(parcel.lines, state),
        created_at=now,
    )


def _required(given: list[str], cleared_since: list[str]) -> list[str]:
    """Return what goods require and what a later change does: they may be those of before the change, so both hold."""
    return sorted({*given, *cleared_since})


def _weight(lines: Iterable[StockLine], state: State) -> int | None:
    """Return the weight of the goods by the catalogue; None as soon as one SKU's is unknown."""
    grams = 0
    for line in lines:
        item = state.get(Item, line.sku)
        if item is None or item.weight_grams is None:
            return None
        grams += item.weight_grams * line.quantity
    return grams


def _missed_amendment(event: StockAssigned, file: OrderFile) -> list[Output]:
    """Answer an amendment of the lines that came here before the goods did, but that these goods do not follow."""
    goods, version = file.amended_goods, file.amended_version
    file.amended_goods, file.amended_version = [], 0
    if version <= event.version or goods_of(goods) == goods_of(
        line for parcel in event.parcels for line in parcel.lines
    ):
        return []
    return [AmendTooLate(order_id=event.order_id, version=version, changed=[LINES])]


def cancel(event: OrderCancelRequested, state: State, now: datetime, *, tell_wms: bool = False) -> list[Output]:
    """Arbitrate a cancellation once the goods are here; before that only remember it, inventory arbitrates."""
    return _arbitrate(event.order_id, event.request_id, event.reason, state, now, tell_wms=tell_wms)


def refund(event: RefundRequested, state: State, now: datetime, *, tell_wms: bool = False) -> list[Output]:
    """A refund before shipping is a cancellation; one after shipping is not the warehouse's business.

    Neither is one of some lines only: an amendment takes them out.
    """
    if event.after_shipping or event.line_ids:
        return []
    return _arbitrate(event.order_id, event.request_id, event.reason, state, now, tell_wms=tell_wms)


def reject(event: OrderRejected, state: State, now: datetime, *, tell_wms: bool = False) -> list[Output]:
    """Arbitrate a reviewer's refusal like a cancellation: an amendment may be held after its goods were assigned."""
    request_id = f"{REJECTED}@{event.version}"
    return _arbitrate(event.order_id, request_id, REJECTED, state, now, tell_wms=tell_wms)


def clear(event: OrderCleared, state: State, now: datetime) -> list[Output]:
    """Note that risk cleared an amendment, and let its parcels that have not left require what it requires.

    The first content is never assigned uncleared: nothing to note.
    """
    if event.version == FIRST_VERSION:
        return []
    file = _file(event.order_id, state)
    if event.version <= file.cleared_version:
        return []
    file.cleared_version, file.cleared_requirements = event.version, event.requirements
    state.put(file)
    if event.version <= file.assigned_version or file.state == ORDER_CANCELLED:
        return []
    for task in _tasks(file, state):
        required = _required(task.requirements, event.requirements)
        if task.state not in (SHIPPED, CANCELLED) and required != task.requirements:
            task.requirements = required
            state.put(task)
    return []


def _arbitrate(
    order_id: str, request_id: str, reason: str, state: State, now: datetime, *, tell_wms: bool
) -> list[Output]:
    file = _file(order_id, state)
    if file.state in (ORDER_CANCELLED, CLOSED):
        return []
    if file.state == WAITING:
        if file.request_id is None:
            file.request_id, file.request_reason = request_id, reason
            state.put(file)
        return []
    stopped = [ref.task_id for ref in file.tasks if ref.state == OPEN]
    if not stopped:
        return _too_late(file, request_id, state)
    outputs: list[Output] = []
    for task_id in stopped:
        outputs.extend(_stop(task_id, state, now, tell_wms=tell_wms))
    file.tasks = [msgspec.structs.replace(ref, state=CANCELLED) if ref.state == OPEN else ref for ref in file.tasks]
    file.state = ORDER_CANCELLED
    file.request_id, file.request_reason = request_id, reason
    state.put(file)
    return [_cancelled(file, request_id, reason, stopped), *outputs]


def _stop(task_id: str, state: State, now: datetime, *, tell_wms: bool) -> list[Output]:
    task = state.get(PickTask, task_id)
    assert task is not None, "an open task of an order has a row"
    outputs: list[Output] = [Unwake(kind=CLAIM_TIMER, key=task_id)] if task.state == CLAIMED else []
    task.state, task.claim_until = CANCELLED, None
    state.put(task)
    return [*outputs, task_cancelled(task, now)] if tell_wms else outputs


def _cancelled(file: OrderFile, request_id: str, reason: str, stopped: list[str]) -> FulfillmentCancelled:
    return FulfillmentCancelled(
        order_id=file.order_id,
        request_id=request_id,
        cancelled_parcels=stopped,
        shipped_parcels=[ref.task_id for ref in file.tasks if ref.state == SHIPPED],
        reason=reason,
    )


def _too_late(file: OrderFile, request_id: str, state: State) -> list[Output]:
    if request_id in file.too_late:
        return []
    file.too_late = [*file.too_late, request_id]
    state.put(file)
    shipped = [ref.task_id for ref in file.tasks]
    return [CancelTooLate(order_id=file.order_id, request_id=request_id, shipped_parcels=shipped)]


def release(event: StockReleased, state: State, now: datetime) -> list[Output]:
    """Close an order whose goods were freed for good before they came here: no task will be made."""
    if not event.final or event.reason == BY_FULFILLMENT:
        return []
    file = _file(event.order_id, state)
    if file.state == WAITING:
        file.state = CLOSED
        file.request_id, file.request_reason = None, ""
        state.put(file)
    return []
