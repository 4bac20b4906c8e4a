"""The reason an event carries, in one Chinese and one English sentence; empty where it has none to give."""

from collections.abc import Callable
from typing import Any

from contracts.envelope import Event
from contracts.notices import NoticeFailed
from contracts.orders import OrderAmended, OrderCancelRequested, RefundRequested
from contracts.parked import MessageParked
from contracts.risk import HoldResolved, OrderCleared, OrderHeld, OrderRejected
from contracts.routes import RouteBlocked, RoutePlanned
from contracts.shipments import (
    AmendTooLate,
    CancelTooLate,
    FulfillmentCancelled,
    ParcelShipped,
    ParcelWeighed,
    PickTaskUnclaimed,
)
from contracts.stock import AssignmentRefused, ShippableChanged, StockReleased, StockShort

Why = tuple[str, str]
NOTHING: Why = ("", "")


def _amended(event: OrderAmended) -> Why:
    return f"变更：{'、'.join(event.changed)}", f"changed: {', '.join(event.changed)}"


def _reason(event: OrderCancelRequested | RefundRequested) -> Why:
    return event.reason, event.reason


def _stated(event: OrderCleared | RoutePlanned | RouteBlocked) -> Why:
    return event.why_zh, event.why_en


def _held(event: OrderHeld) -> Why:
    zh = "；".join(reason.message_zh or reason.rule for reason in event.reasons)
    return zh, "; ".join(reason.message_en or reason.rule for reason in event.reasons)


def _resolved(event: HoldResolved) -> Why:
    verdict = {"released": "放行", "expired": "到期", "superseded": "已被变更取代"}.get(event.verdict, event.verdict)
    more = f": {event.why}" if event.why else ""
    return f"{event.rule} {verdict}（{event.by}）{more}", f"{event.rule} {event.verdict} by {event.by}{more}"


def _rejected(event: OrderRejected) -> Why:
    return f"{event.by} 拒绝：{event.why}", f"rejected by {event.by}: {event.why}"


def _short(event: StockShort) -> Why:
    zh = "、".join(f"{m.sku} 需 {m.wanted} 可售 {m.sellable}" for m in event.missing)
    en = ", ".join(f"{m.sku} wants {m.wanted}, {m.sellable} sellable" for m in event.missing)
    return f"库存不足：{zh}", f"not enough stock: {en}"


def _shippable(event: ShippableChanged) -> Why:
    return f"可发数量有变：{event.cause}", f"new numbers: {event.cause}"


def _refused(event: AssignmentRefused) -> Why:
    return f"分仓未成：{event.reason}", f"assignment refused: {event.reason}"


def _released(event: StockReleased) -> Why:
    return f"释放占用：{event.reason}", f"released: {event.reason}"


def _unclaimed(event: PickTaskUnclaimed) -> Why:
    return f"领单结束：{event.reason}", f"claim ended: {event.reason}"


def _weighed(event: ParcelWeighed) -> Why:
    if event.accepted:
        return NOTHING
    zh = f"称重 {event.weight_grams} g，应为 {event.expected_weight_grams} g，待复称"
    return zh, f"weighs {event.weight_grams} g instead of {event.expected_weight_grams} g: waits for a recheck"


def _shipped(event: ParcelShipped) -> Why:
    return f"{event.carrier} {event.waybill}", f"{event.carrier} {event.waybill}"


def _cancelled(event: FulfillmentCancelled) -> Why:
    count, left = len(event.cancelled_parcels), len(event.shipped_parcels)
    zh = f"取消 {count} 个包裹，已发出 {left} 个；{event.reason}"
    return zh, f"{count} parcels cancelled, {left} had left; {event.reason}"


def _cancel_too_late(event: CancelTooLate) -> Why:
    return "包裹都已发出，转为退货", "every parcel had left: it becomes a return"


def _amend_too_late(event: AmendTooLate) -> Why:
    return f"来不及变更：{'、'.join(event.changed)}", f"too late to change: {', '.join(event.changed)}"


def _failed(event: NoticeFailed) -> Why:
    return f"通知失败：{event.reason}", f"notice failed: {event.reason}"


def _parked(event: MessageParked) -> Why:
    return f"{event.message_type} 待人工处理：{event.error}", f"{event.message_type} is parked: {event.error}"


WHYS: dict[type[Event], Callable[[Any], Why]] = {
    OrderAmended: _amended,
    OrderCancelRequested: _reason,
    RefundRequested: _reason,
    OrderCleared: _stated,
    OrderHeld: _held,
    HoldResolved: _resolved,
    OrderRejected: _rejected,
    StockShort: _short,
    ShippableChanged: _shippable,
    AssignmentRefused: _refused,
    StockReleased: _released,
    RoutePlanned: _stated,
    RouteBlocked: _stated,
    PickTaskUnclaimed: _unclaimed,
    ParcelWeighed: _weighed,
    ParcelShipped: _shipped,
    FulfillmentCancelled: _cancelled,
    CancelTooLate: _cancel_too_late,
    AmendTooLate: _amend_too_late,
    NoticeFailed: _failed,
    MessageParked: _parked,
}
