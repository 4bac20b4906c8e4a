"""Supplier orders (自营): JD itself buys, and asks how much of each line will come. Never a consumer's order; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from libs.channels.jd.mapping import amount, moment_or_none
from libs.channels.money import fen
from libs.channels.refusals import OrderRefused
from libs.channels.values import number_of, text_of, wall_clock

LINES_LIMIT = 2000
REASON_LIMIT_CHARACTERS = 100


class Acknowledgement(IntEnum):
    """Where our answer stands, as JD writes it (回告状态)."""

    NONE = 0
    TAKEN = 1
    UNDER_WAY = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class SupplierLine:
    """So many units that JD wants in one of its distribution centres; `confirmed` is what we promised before."""

    ware_id: str
    center_id: str
    ordered: int
    confirmed: int
    received: int
    unit_price: int  # fen, what JD pays


@dataclass(frozen=True, slots=True)
class SupplierOrder:
    """A purchase order of JD: goods by distribution centre, an acknowledgement, no consumer and no payment."""

    order_id: str
    state: str
    acknowledgement: Acknowledgement
    awaits_acknowledgement: bool
    placed_at: datetime
    changed_at: datetime | None
    total: int  # fen
    supplier_code: str
    consumer_order_id: str  # JD's order that a direct delivery (厂商直送) is for; "" for stock
    lines: tuple[SupplierLine, ...]


@dataclass(frozen=True, slots=True)
class Promised:
    """How much of a line will come; `reason` says why it is less than ordered."""

    ware_id: str
    center_id: str
    quantity: int
    reason: str = ""


def supplier_order(head: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> SupplierOrder:
    """Return a purchase order from its row in the list and the rows of its detail; OrderRefused names the field."""
    placed_at = moment_or_none(head.get("created_date"))
    if placed_at is None:
        raise OrderRefused("created_date", "is not a time")
    if not 1 <= len(lines) <= LINES_LIMIT:
        raise OrderRefused("purchase_allocation_detail_list", f"must hold 1 to {LINES_LIMIT} lines")
    try:
        acknowledgement = Acknowledgement(fen("confirm_state", head.get("confirm_state")))
    except ValueError:  # OrderRefused as well
        raise OrderRefused("confirm_state", "is none that is known") from None
    return SupplierOrder(
        order_id=number_of("order_id", head.get("order_id")),
        state=text_of(head, "state_name") or text_of(head, "state"),
        acknowledgement=acknowledgement,
        awaits_acknowledgement=head.get("is_can_confirm") is True,
        placed_at=placed_at,
        changed_at=moment_or_none(head.get("update_date")),
        total=amount("total_price", head.get("total_price")),
        supplier_code=text_of(head, "provider_code"),
        consumer_order_id=text_of(head, "custom_order_id"),
        lines=tuple(_line(place, line) for place, line in enumerate(lines)),
    )


def acknowledgement_parameters(
    order: SupplierOrder, promised: Sequence[Promised], delivery_at: datetime | None = None
) -> dict[str, Any]:
    """Return the parameters of `jingdong.vc.confirmpurchaseorder`: one promise for every line, none above it.

    JD pairs its four lists by place, so a comma inside a reason would shift all that follow it.
    """
    if not order.awaits_acknowledgement:
        raise ValueError("JD takes no acknowledgement of this purchase order now")
    told = {(each.ware_id, each.center_id): each for each in promised}
    if len(told) != len(promised) or set(told) != {(line.ware_id, line.center_id) for line in order.lines}:
        raise ValueError("every line of the purchase order needs one promise")
    inorder = [told[line.ware_id, line.center_id] for line in order.lines]
    for line, promise in zip(order.lines, inorder, strict=True):
        if not 0 <= promise.quantity <= line.ordered:
            raise ValueError("no less than nothing and no more than ordered can be promised")
        if promise.quantity < line.ordered and not promise.reason.strip():
            raise ValueError("a promise below the order needs a reason")
    parameters = {
        "order_id": int(order.order_id),
        "ware_id": ",".join(each.ware_id for each in inorder),
        "confirm_num": ",".join(str(each.quantity) for each in inorder),
        "deliver_center_id": ",".join(each.center_id for each in inorder),
        "back_explanation": ",".join(_unpaired(each.reason) for each in inorder),
    }
    if delivery_at is not None:
        parameters["delivery_time"] = wall_clock(delivery_at)
    return parameters


def _line(place: int, row: Mapping[str, Any]) -> SupplierLine:
    try:
        line = SupplierLine(
            ware_id=number_of("ware_id", row.get("ware_id")),
            center_id=number_of("deliver_center_id", row.get("deliver_center_id")),
            ordered=fen("original_num", row.get("original_num")),
            confirmed=fen("confirm_num", row.get("confirm_num") or 0),
            received=fen("actual_num", row.get("actual_num") or 0),
            unit_price=amount("purchase_price", row.get("purchase_price")),
        )
    except OrderRefused as refused:
        field = f"purchase_allocation_detail_list[{place}].{refused.field}"
        raise OrderRefused(field, refused.reason) from None
    if min(line.ordered, line.confirmed, line.received, line.unit_price) < 0:
        raise OrderRefused(f"purchase_allocation_detail_list[{place}]", "holds a negative number")
    return line


def _unpaired(reason: str) -> str:
    return reason.replace(",", "，").strip()[:REASON_LIMIT_CHARACTERS]
