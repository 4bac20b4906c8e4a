"""Which message is decided by which function of fulfillment, and the rows each one needs."""

from functools import partial

from contracts.catalog import SkuDefined
from contracts.orders import OrderAmended, OrderCancelRequested, OrderPlaced, RefundRequested
from contracts.risk import OrderCleared, OrderRejected
from contracts.stock import StockAssigned, StockReleased
from libs.decide import Delivered, Due, Handlers, Needs, On, State
from services.fulfillment import domain
from services.fulfillment.domain import Device, Item, OrderFile, PickTask, TaskCommand, Waybill, WmsRefusal

OrderEvent = (
    OrderPlaced | OrderAmended | OrderCancelRequested | RefundRequested | OrderCleared | OrderRejected | StockReleased
)


def _order(event: OrderEvent) -> Needs:
    return {OrderFile: [(event.order_id,)]}


def _tasks_of_order(event: OrderEvent, state: State) -> Needs:
    file = state.get(OrderFile, event.order_id)
    return {PickTask: [(ref.task_id,) for ref in file.tasks]} if file else {}


def _assigned(event: StockAssigned) -> Needs:
    skus = {line.sku for parcel in event.parcels for line in parcel.lines}
    return {OrderFile: [(event.order_id,)], Item: [(sku,) for sku in sorted(skus)]}


def _cleared(event: OrderCleared) -> Needs:
    """Most orders are cleared once and never amended: their file need not be touched for that."""
    return {} if event.version == domain.FIRST_VERSION else _order(event)


def _tasks_of_cleared(event: OrderCleared, state: State) -> Needs:
    return {} if event.version == domain.FIRST_VERSION else _tasks_of_order(event, state)


def _sku(event: SkuDefined) -> Needs:
    return {Item: [(event.sku,)]}


def _step(command: TaskCommand) -> Needs:
    if command.warehouse is None:
        return {PickTask: [(command.task_id,)]}
    return {PickTask: [(command.task_id,)], Device: [(command.by,)]}


def _items_of_task(command: TaskCommand, state: State) -> Needs:
    task = state.get(PickTask, command.task_id)
    return {Item: [(sku,) for sku in sorted({line.sku for line in task.lines})]} if task else {}


def _shipping(command: domain.ShipParcel) -> Needs:
    return {
        **_step(command),
        OrderFile: [(domain.order_of(command.task_id),)],
        Waybill: [(command.carrier, command.waybill)],
    }


def _order_of_task(command: domain.ShipParcel, state: State) -> Needs:
    task = state.get(PickTask, command.task_id)
    return {OrderFile: [(task.order_id,)]} if task else {}


def _device(command: domain.RegisterDevice | domain.RevokeDevice) -> Needs:
    return {Device: [(command.device_id,)]}


def _claimed(due: Due) -> Needs:
    return {PickTask: [(due.key,)]}


def _wms_told(message: Delivered) -> Needs:
    return {WmsRefusal: [(domain.task_told_of(message.send_id),)]}


def _tell_wms(command: domain.TellWms) -> Needs:
    return {WmsRefusal: [(command.task_id,)], PickTask: [(command.task_id,)]}


def handlers(*, claim_limit_seconds: int, tolerance: domain.Tolerance, tell_wms: bool) -> Handlers:
    """Return everything fulfillment decides, with its knobs set."""
    claim = partial(domain.claim, claim_limit_seconds=claim_limit_seconds)
    scan = partial(domain.scan, claim_limit_seconds=claim_limit_seconds)
    return Handlers(
        service="fulfillment",
        on={
            SkuDefined: On(domain.define_sku, needs=_sku),
            OrderPlaced: On(domain.place, needs=_order),
            OrderAmended: On(domain.amend, needs=_order, then=_tasks_of_order),
            OrderCancelRequested: On(partial(domain.cancel, tell_wms=tell_wms), needs=_order, then=_tasks_of_order),
            RefundRequested: On(partial(domain.refund, tell_wms=tell_wms), needs=_order, then=_tasks_of_order),
            OrderCleared: On(domain.clear, needs=_cleared, then=_tasks_of_cleared),
            OrderRejected: On(partial(domain.reject, tell_wms=tell_wms), needs=_order, then=_tasks_of_order),
            StockAssigned: On(partial(domain.assign, tell_wms=tell_wms), needs=_assigned),
            StockReleased: On(domain.release, needs=_order),
            domain.ClaimTask: On(claim, needs=_step, then=_items_of_task),
            domain.HandBack: On(domain.hand_back, needs=_step, then=_items_of_task),
            domain.ScanItem: On(scan, needs=_step, then=_items_of_task),
            domain.PackParcel: On(domain.pack, needs=_step, then=_items_of_task),
            domain.WeighParcel: On(partial(domain.weigh, tolerance=tolerance), needs=_step),
            domain.ShipParcel: On(partial(domain.ship, tell_wms=tell_wms), needs=_shipping, then=_order_of_task),
            domain.RegisterDevice: On(domain.register_device, needs=_device),
            domain.RevokeDevice: On(domain.revoke_device, needs=_device),
            domain.TellWms: On(domain.tell_wms_again, needs=_tell_wms),
        },
        timers={domain.CLAIM_TIMER: On(domain.expire, needs=_claimed)},
        delivered={domain.WMS: On(domain.wms_told, needs=_wms_told)},
        rows=(OrderFile, PickTask, Item, Device, Waybill, WmsRefusal),
        in_order=frozenset({domain.WMS}),
    )
