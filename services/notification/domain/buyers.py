"""What a buyer is told: carrier and waybill, once a parcel, unless the buyer wants no messages."""

from datetime import datetime

from contracts.orders import OrderAmended, OrderPlaced
from contracts.shipments import ParcelShipped
from libs.decide import Command, Delivered, Output, Reply, Send, State
from services.notification.domain.rows import BUYER, SMS, Notice, OptOut, Parcel, Recipient, Template, settled
from services.notification.domain.templates import DEFAULTS, PARCEL_SHIPPED, placeholders


class OptOutBuyer(Command, frozen=True, kw_only=True):
    """Send this buyer no more messages."""

    buyer_key: str
    by: str

    @property
    def key(self) -> str:
        """The buyer's key."""
        return self.buyer_key


class OptInBuyer(Command, frozen=True, kw_only=True):
    """Send this buyer messages again."""

    buyer_key: str
    by: str

    @property
    def key(self) -> str:
        """The buyer's key."""
        return self.buyer_key


def remember(event: OrderPlaced | OrderAmended, state: State, now: datetime) -> list[Output]:
    """Keep whom to tell about this order, and tell of parcels that left before we knew."""
    row = state.get(Recipient, event.order_id) or Recipient(order_id=event.order_id)
    row.known = True
    row.sealed = event.sealed or row.sealed
    row.buyer_key = event.buyer_key or ""
    waiting, row.waiting = row.waiting, []
    state.put(row)
    return [output for parcel in waiting for output in _tell_shipped(row, parcel, state, now)]


def tell_buyer(event: ParcelShipped, state: State, now: datetime) -> list[Output]:
    """Tell the buyer carrier and waybill, or remember to as soon as the order is known."""
    row = state.get(Recipient, event.order_id) or Recipient(order_id=event.order_id)
    parcel = Parcel(task_id=event.task_id, carrier=event.carrier, waybill=event.waybill, sealed=event.sealed)
    if row.known:
        return _tell_shipped(row, parcel, state, now)
    if all(seen.task_id != parcel.task_id for seen in row.waiting):
        row.waiting = [*row.waiting, parcel]
        state.put(row)
    return []


def _tell_shipped(row: Recipient, parcel: Parcel, state: State, now: datetime) -> list[Output]:
    notice_id = shipped_id(parcel.task_id)
    if state.get(Notice, row.order_id, notice_id) is not None:
        return []
    template = state.get(Template, PARCEL_SHIPPED) or DEFAULTS[PARCEL_SHIPPED]
    notice = Notice(
        order_id=row.order_id,
        notice_id=notice_id,
        audience=BUYER,
        medium=SMS,
        template=PARCEL_SHIPPED,
        template_version=template.version,
        state="sending",
        at=now,
    )
    state.put(notice)
    if row.buyer_key and state.get(OptOut, row.buyer_key) is not None:
        notice.state = "opted_out"
        return []
    # Whom the parcel goes to: an amendment heard here may have come too late for its label.
    sealed = parcel.sealed or row.sealed
    if not sealed:
        return settled(notice, ok=False, detail="the order names no recipient", attempts=0)
    values = {"order_no": row.order_id.split(".", 2)[-1], "carrier": parcel.carrier, "waybill": parcel.waybill}
    used = placeholders(template.text)
    body = {
        "sealed": sealed,
        "template": template.name,
        "template_version": template.version,
        "provider_code": template.provider_code,
        "variables": {name: values[name] for name in sorted(used) if name in values},
    }
    return [Send(destination=SMS, send_id=notice_id, key=row.order_id, body=body)]


def shipped_id(task_id: str) -> str:
    """Return the notice's id: one parcel, one message."""
    return f"shipped:{task_id}"


def buyer_told(message: Delivered, state: State, now: datetime) -> list[Output]:
    """Record what became of a message to a buyer."""
    notice = state.get(Notice, message.key, message.send_id)
    if notice is None or notice.state != "sending":
        return []
    state.put(notice)
    return settled(notice, ok=message.ok, detail=message.detail, attempts=message.attempts)


def opt_out(command: OptOutBuyer, state: State, now: datetime) -> list[Output]:
    """Remember that a buyer wants no messages."""
    row = state.get(OptOut, command.buyer_key)
    if row is None:
        row = OptOut(buyer_key=command.buyer_key, at=now, by=command.by)
        state.put(row)
    return [Reply(body={"buyer_key": row.buyer_key, "opted_out": True})]


def opt_in(command: OptInBuyer, state: State, now: datetime) -> list[Output]:
    """Forget that a buyer wanted no messages."""
    row = state.get(OptOut, command.buyer_key)
    if row is not None:
        state.delete(row)
    return [Reply(body={"buyer_key": command.buyer_key, "opted_out": False})]
