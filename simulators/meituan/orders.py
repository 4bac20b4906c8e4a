"""Calls about orders: details, day numbers, confirming in time, cancelling, delivering, refunds."""

from datetime import datetime
from typing import Any

from simulators.clock import SHANGHAI
from simulators.meituan.answers import OK, Failed
from simulators.meituan.dials import dials_of
from simulators.meituan.documents import COURIER, is_partial, order_document, refund_document, status_of
from simulators.meituan.gate import Call
from simulators.model import PlatformOrder, Refund, RefundStatus, Shop, Status
from simulators.registry import Refused

PICKED_UP, DELIVERED, DELIVERY_CANCELLED = 20, 40, 100
DELIVERY_STATES = (0, 1, 5, 10, 15, PICKED_UP, DELIVERED, DELIVERY_CANCELLED)
SHOPS_OWN_COURIER = "10015"
DAY_SEQUENCE_LIMIT = 500


def get_order_detail(call: Call) -> dict[str, Any]:
    """order/getOrderDetail: the whole order, without any lag."""
    shop, order = call.order()
    return order_document(call.market, shop, order)


def view_status(call: Call) -> dict[str, Any]:
    """order/viewstatus."""
    return {"status": status_of(call.order()[1])}


def get_order_day_seq(call: Call) -> dict[str, Any]:
    """order/getOrderDaySeq: the shop's newest number of today."""
    day = call.market.now().astimezone(SHANGHAI).date().isoformat()
    return {"result": OK, "day_seq": call.shop().day_counts.get(day, 0)}


def get_order_id_by_day_seq(call: Call) -> dict[str, Any]:
    """order/getOrderIdByDaySeq: which order has a number of a day (`date_time` 20260105)."""
    found = _by_day_number(call, call.shop()).get(call.number("day_seq"))
    if found is None:
        raise Failed(806)
    return {"result": OK, "order_id": int(found.order_id)}


def get_order_ids_by_day_seq(call: Call) -> dict[str, Any]:
    """ecommerce/order/getOrderIdByDaySeq: the same for a range of numbers."""
    first, last = call.number("day_seq_start"), call.number("day_seq_end")
    if last < first or last - first >= DAY_SEQUENCE_LIMIT:
        raise Failed(705)
    known = _by_day_number(call, call.shop())
    return {"result": OK, "order_ids": [int(known[n].order_id) for n in range(first, last + 1) if n in known]}


def confirm(call: Call) -> str:
    """order/confirm: only while the order waits for it."""
    shop, order = call.order()
    repeated = order.accepted_at is not None and dials_of(call.market).repeat_of_confirm_is_error
    if order.status is not Status.PAID or repeated:
        raise Failed(808)
    call.market.accept(shop, order)
    return OK


def cancel(call: Call) -> str:
    """order/cancel: by the shop, until the order is done."""
    shop, order = call.order()
    if order.status is Status.DONE:
        raise Failed(1022)
    try:
        call.market.cancel(shop, order, "seller")
    except Refused:
        raise Failed(808) from None
    return OK


def prepared(call: Call) -> str:
    """order/preparationMealComplete: the goods are packed."""
    _confirmed(call)
    return OK


def delivering(call: Call) -> str:
    """order/delivering: the shop's own courier is on his way; there is no waybill."""
    shop, order = _confirmed(call)
    _ship(call, shop, order, SHOPS_OWN_COURIER, f"own-{order.order_id}")
    _note_courier(call, order, PICKED_UP)
    return OK


def arrived(call: Call) -> str:
    """order/arrived: the buyer has the goods."""
    shop, order = _confirmed(call)
    _finish(call, shop, order)
    return OK


def logistics_sync(call: Call) -> str:
    """ecommerce/order/logistics/sync: who carries the order under which number, and how far it is (20 if unsaid)."""
    shop, order = _confirmed(call)
    waybill, carrier = call.text("third_carrier_order_id"), call.text("logistics_provider_code")
    state = call.number("logistics_status") if call.params.get("logistics_status") else PICKED_UP
    if state not in DELIVERY_STATES:
        raise Failed(705)
    if PICKED_UP <= state <= DELIVERED:
        _ship(call, shop, order, carrier, waybill)
    _note_courier(call, order, state)
    if state == DELIVERED:
        _finish(call, shop, order)
    return OK


def refund_agree(call: Call) -> str:
    """order/refund/agree: the money goes back at once."""
    shop, _order, refund = _open_refund(call)
    call.market.settle_refund(shop, refund, RefundStatus.SUCCEEDED)
    return OK


def refund_reject(call: Call) -> str:
    """order/refund/reject: with a reason for the buyer."""
    call.text("reason")
    shop, _order, refund = _open_refund(call)
    call.market.settle_refund(shop, refund, RefundStatus.CLOSED)
    return OK


def get_order_refund_detail(call: Call) -> list[dict[str, Any]]:
    """ecommerce/order/getOrderRefundDetail: all refunds of an order, or those of one type."""
    _shop, order = call.order("wm_order_id_view")
    kind = call.params.get("refund_type", "")
    wanted = {"": (True, False), "1": (False,), "2": (True,)}.get(kind)
    if wanted is None:
        raise Failed(705)
    return [refund_document(order, refund) for refund in order.refunds if is_partial(order, refund) in wanted]


def _by_day_number(call: Call, shop: Shop) -> dict[int, PlatformOrder]:
    try:
        day = datetime.strptime(call.text("date_time"), "%Y%m%d").replace(tzinfo=SHANGHAI).date()
    except ValueError:
        raise Failed(705) from None
    paid = ((order, order.paid_at) for order in shop.orders.values())
    return {order.day_number: order for order, at in paid if at and at.astimezone(SHANGHAI).date() == day}


def _confirmed(call: Call) -> tuple[Shop, PlatformOrder]:
    shop, order = call.order()
    if order.accepted_at is None or order.status is Status.CLOSED:
        raise Failed(808)
    return shop, order


def _ship(call: Call, shop: Shop, order: PlatformOrder, carrier: str, waybill: str) -> None:
    try:
        # Every report replaces what was told before, so another number corrects the first.
        call.market.upload(shop, order, carrier, waybill, corrects=order.shipped_at is not None)
    except Refused:
        raise Failed(808) from None


def _finish(call: Call, shop: Shop, order: PlatformOrder) -> None:
    if order.status is Status.SHIPPED:
        call.market.finish(shop, order)


def _note_courier(call: Call, order: PlatformOrder, state: int) -> None:
    order.extra[COURIER] = {"status": state, "phone": call.params.get("courier_phone", "")}


def _open_refund(call: Call) -> tuple[Shop, PlatformOrder, Refund]:
    shop, order = call.order()
    waiting = [refund for refund in order.refunds if refund.status is RefundStatus.APPLIED]
    if not waiting:
        raise Failed(808)
    return shop, order, waiting[-1]
