"""Which message is decided by which function, and which rows that needs."""

from functools import partial

from contracts.envelope import Event
from contracts.orders import OrderAmended, OrderPlaced
from contracts.risk import OrderHeld
from contracts.routes import RouteBlocked
from contracts.shipments import AmendTooLate, CancelTooLate, ParcelShipped
from contracts.stock_levels import SafetyLineCrossed
from libs.decide import Delivered, Due, Handlers, Needs, On, State
from services.notification import domain
from services.notification.domain import Digest, Notice, OptOut, Recipient, Template

_SHIPPED_TEMPLATE = (domain.PARCEL_SHIPPED,)


def _order_needs(event: OrderPlaced | OrderAmended) -> Needs:
    """A parcel decided later in the same batch finds the buyer here, so whether they opted out must be at hand."""
    opted_out = [(event.buyer_key,)] if event.buyer_key else []
    return {Recipient: [(event.order_id,)], OptOut: opted_out}


def _order_then(event: OrderPlaced | OrderAmended, state: State) -> Needs:
    row = state.get(Recipient, event.order_id)
    if row is None or not row.waiting:
        return {}
    notices = [(event.order_id, domain.shipped_id(parcel.task_id)) for parcel in row.waiting]
    return {Template: [_SHIPPED_TEMPLATE], Notice: notices}


def _shipped_needs(event: ParcelShipped) -> Needs:
    return {
        Recipient: [(event.order_id,)],
        Template: [_SHIPPED_TEMPLATE],
        Notice: [(event.order_id, domain.shipped_id(event.task_id))],
    }


def _shipped_then(event: ParcelShipped, state: State) -> Needs:
    row = state.get(Recipient, event.order_id)
    return {OptOut: [(row.buyer_key,)]} if row is not None and row.buyer_key else {}


def _digest_needs(template: str, event: Event) -> Needs:
    return {Digest: [(domain.DINGTALK,)], Template: [(template,)]}


def _wake_needs(message: Due) -> Needs:
    return {Digest: [(message.key,)]}


def _buyer_told_needs(message: Delivered) -> Needs:
    return {Notice: [(message.key, message.send_id)]}


def _operations_told_needs(message: Delivered) -> Needs:
    return {Digest: [(message.key,)], Notice: [(domain.OPERATIONS, message.send_id)]}


def _template_needs(command: domain.SetTemplate) -> Needs:
    return {Template: [(command.name,)]}


def _opt_needs(command: domain.OptOutBuyer | domain.OptInBuyer) -> Needs:
    return {OptOut: [(command.buyer_key,)]}


def handlers(limits: domain.DigestLimits) -> Handlers:
    """Return everything notification decides; `limits` bound how often and how much operations are told."""
    return Handlers(
        service="notification",
        on={
            OrderPlaced: On(domain.remember, needs=_order_needs, then=_order_then),
            OrderAmended: On(domain.remember, needs=_order_needs, then=_order_then),
            ParcelShipped: On(domain.tell_buyer, needs=_shipped_needs, then=_shipped_then),
            OrderHeld: On(partial(domain.note_hold, limits=limits), needs=partial(_digest_needs, domain.ORDER_HELD)),
            RouteBlocked: On(
                partial(domain.note_blocked, limits=limits), needs=partial(_digest_needs, domain.ROUTE_BLOCKED)
            ),
            SafetyLineCrossed: On(
                partial(domain.note_safety_line, limits=limits), needs=partial(_digest_needs, domain.SAFETY_LINE)
            ),
            AmendTooLate: On(
                partial(domain.note_amend_too_late, limits=limits), needs=partial(_digest_needs, domain.AMEND_TOO_LATE)
            ),
            CancelTooLate: On(
                partial(domain.note_cancel_too_late, limits=limits),
                needs=partial(_digest_needs, domain.CANCEL_TOO_LATE),
            ),
            domain.SetTemplate: On(domain.set_template, needs=_template_needs),
            domain.OptOutBuyer: On(domain.opt_out, needs=_opt_needs),
            domain.OptInBuyer: On(domain.opt_in, needs=_opt_needs),
        },
        timers={domain.DIGEST: On(domain.wake_digest, needs=_wake_needs)},
        delivered={
            domain.SMS: On(domain.buyer_told, needs=_buyer_told_needs),
            domain.DINGTALK: On(partial(domain.operations_told, limits=limits), needs=_operations_told_needs),
        },
        settle=partial(domain.flush, limits=limits),
        rows=(Recipient, Notice, Digest, Template, OptOut),
        entries=(domain.TemplateVersion,),
    )
