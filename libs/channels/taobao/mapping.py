"""Translates Taobao's trades and refunds into our words, and our parcels and stock into its parameters; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.channels.channel import About, Cure, Document, Heard, Parcel, PlatformRefused, StockOrder
from libs.channels.closing import closed
from libs.channels.money import fen
from libs.channels.own.inbound import (
    PRICE_LIMIT,
    AskedBack,
    Cancellation,
    Left,
    Order,
    Refund,
    RefundWithdrawn,
    convert,
)
from libs.channels.refusals import OrderRefused
from libs.channels.values import (
    HIDDEN,
    REASON_LIMIT_CHARACTERS,
    Units,
    amount_of,
    fitting,
    inside,
    moment_or_none,
    note_of,
    number_of,
    number_or_none,
    opened,
    text_of,
)

UNITS: Units = {
    "trade.payment": "yuan",
    "trade.post_fee": "yuan",
    "order.price": "yuan",
    "order.payment": "yuan",
    "order.divide_order_fee": "yuan",
    "order.part_mjz_discount": "yuan",
    "refund.refund_fee": "yuan",
}
# What an order's status says: not yet (or not to be shipped yet), paid, or closed.
SILENT = frozenset(
    {
        "TRADE_NO_CREATE_PAY",
        "WAIT_BUYER_PAY",
        "PAY_PENDING",
        "WAIT_PRE_AUTH_CONFIRM",
        "PAID_FORBID_CONSIGN",  # paid, but the platform forbids shipping: it changes again when it may go out
    }
)
PAID = frozenset(
    {
        "WAIT_SELLER_SEND_GOODS",
        "SELLER_CONSIGNED_PART",
        "WAIT_BUYER_CONFIRM_GOODS",
        "TRADE_BUYER_SIGNED",
        "TRADE_FINISHED",
    }
)
CLOSED = "TRADE_CLOSED"
CLOSED_BY_TAOBAO = "TRADE_CLOSED_BY_TAOBAO"
SHIPPED_IN_PART = "SELLER_CONSIGNED_PART"
ON_DELIVERY = "cod"  # the type of a trade that is paid when it is delivered
UNSHIPPED = "WAIT_SELLER_SEND_GOODS"
REFUND_ASKED = "WAIT_SELLER_AGREE"
REFUNDS_WITHDRAWN = frozenset({"CLOSED", "SELLER_REFUSE_BUYER"})
AFTER_SHIPPING_PHASE = "aftersale"
SHIPPED_STATUSES = frozenset({"WAIT_BUYER_CONFIRM_GOODS", "TRADE_BUYER_SIGNED", "TRADE_FINISHED"})

# Our carrier codes and the platform's; a shop's own entry comes before these.
CARRIERS: Mapping[str, str] = {
    "SF": "SF",
    "YTO": "YTO",
    "ZTO": "ZTO",
    "STO": "STO",
    "YUNDA": "YUNDA",
    "YD": "YUNDA",
    "EMS": "EMS",
    "POST": "POSTB",
    "DEPPON": "DBKD",
    "DB": "DBKD",
    "BEST": "HTKY",
    "TTK": "TTKDEX",
    "ZJS": "ZJS",
}


def heard(document: Document) -> list[Heard]:
    """Return what a trade's or a refund's detail says; OrderRefused names the field that cannot be taken."""
    answer = opened(document)
    if document.about is About.REFUND:
        return _refund(inside(answer, "refund_get_response", "refund"))
    trade = inside(answer, "trade_fullinfo_get_response", "trade")
    match _order(trade):
        case [Order() as order] if _is_all_asked_back(trade):
            return [AskedBack(order=order)]
        case said:
            return said


# ---- A trade


def _order(trade: dict[str, Any]) -> list[Heard]:
    status = trade.get("status")
    if status in SILENT:
        return []
    is_closed = status in (CLOSED, CLOSED_BY_TAOBAO)
    if not is_closed and status not in PAID:
        raise OrderRefused("status", "is none that is known")
    paid_at = moment_or_none(trade.get("pay_time"))
    shipped = moment_or_none(trade.get("consign_time")) is not None
    if is_closed and paid_at is None and (shipped or trade.get("type") != ON_DELIVERY):
        return []
    number = number_of("tid", trade.get("tid"))
    if not is_closed or shipped:
        return [convert(_fields(trade, number, paid_at, is_closed), _left(status))]
    cancelled_at = moment_or_none(trade.get("end_time")) or moment_or_none(trade.get("modified"))
    cancellation = Cancellation(type="order.cancelled", platform_order_id=number, cancelled_at=cancelled_at)
    if paid_at is None:
        return [cancellation]
    return closed(cancellation, lambda: convert(_fields(trade, number, paid_at, is_closed)))


def _left(status: Any) -> Left:
    """Return how much has left; nothing of a trade that was closed afterwards is still to go out."""
    if status == SHIPPED_IN_PART:
        return "part"
    return "" if status == UNSHIPPED else "whole"


def _fields(trade: dict[str, Any], number: str, paid_at: datetime | None, is_closed: bool) -> dict[str, Any]:
    placed_at = _moment("created", trade.get("created"))
    shipping_fee = _amount("trade.post_fee", trade.get("post_fee") or "0")
    total = _amount("trade.payment", trade.get("payment"))
    lines = _rows(trade.get("orders"), "order")
    # A line that was closed before it was paid has no share in what was paid, and must never be shipped. Where every
    # line is closed so, it was the trade that closed: then they are what it held.
    bought = [each for each in lines if each.get("status") != CLOSED_BY_TAOBAO]
    lines = bought if bought or not is_closed else lines
    alone = total - shipping_fee if len(lines) == 1 else None
    read = [_line(place, each, alone) for place, each in enumerate(lines)]
    if not is_closed:
        # A line that was refunded before it went out is paid back: it leaves the order, and its share the total. So
        # does one whose refund is asked for, until it is refused; when that is every line, it is the order's refund.
        gone = [each for each, line in zip(read, lines, strict=True) if _is_refunded(line)]
        asked = [each for each, line in zip(read, lines, strict=True) if _is_asked_back(line)]
        gone += asked if len(gone) + len(asked) < len(read) else []
        read = [each for each in read if each not in gone]
        total -= sum(_net(each) for each in gone)
    fields: dict[str, Any] = {
        "platform_order_id": number,
        "placed_at": placed_at,
        "paid_at": paid_at,  # none when the buyer pays on delivery
        "currency": "CNY",
        "buyer": _buyer(trade),
        "recipient": _recipient(trade),
        "lines": read,
        "shipping_fee": shipping_fee,
        "total": total,
        "note": note_of(trade, (("", "buyer_message"), ("卖家备注: ", "seller_memo"))),
    }
    ship_by = moment_or_none(trade.get("delivery_time")) or moment_or_none(trade.get("send_time"))
    if ship_by is not None:
        fields["promise"] = {"ship_by": ship_by}
    return fields


def _line(place: int, line: dict[str, Any], alone: int | None) -> dict[str, Any]:
    """Return a line whose discount is what remains between its price and what was paid for it.

    The platform does not say who funds it, so it counts as the merchant's. A seller may also have raised the amount:
    then the price per unit is raised until it covers what was paid.
    """
    where = f"orders[{place}]"
    try:
        quantity = fen(f"{where}.num", line.get("num"))
        price = _amount("order.price", line.get("price"))
        paid = _paid_for(line, alone)
    except OrderRefused as refused:
        raise OrderRefused(f"{where}.{refused.field.rpartition('.')[2]}", refused.reason) from None
    if quantity < 1:
        raise OrderRefused(f"{where}.num", "must be at least 1")
    if paid < 0:
        raise OrderRefused(f"{where}.payment", "is negative")
    if paid > quantity * price:
        price = -(-paid // quantity)
    discount = quantity * price - paid
    sku = next(
        (each for name in ("outer_sku_id", "outer_iid", "sku_id", "num_iid") if (each := text_of(line, name))), ""
    )
    return {
        "line_id": number_of(f"{where}.oid", line.get("oid_str") or line.get("oid")),
        "sku": sku,
        "quantity": quantity,
        "unit_price": price,
        "discounts": [{"funder": "merchant", "amount": discount}] if discount else [],
    }


def _is_refunded(line: dict[str, Any]) -> bool:
    return line.get("status") == CLOSED and not text_of(line, "invoice_no")


def _is_asked_back(line: dict[str, Any]) -> bool:
    unshipped = line.get("status") == UNSHIPPED and not text_of(line, "invoice_no")
    return unshipped and line.get("refund_status") == REFUND_ASKED


def _is_all_asked_back(trade: dict[str, Any]) -> bool:
    """Tell whether nothing is left to ship: each line that is neither refunded nor gone out is asked back."""
    closed = (CLOSED, CLOSED_BY_TAOBAO)
    waiting = [
        line
        for line in _rows(trade.get("orders"), "order")
        if line.get("status") not in (*SHIPPED_STATUSES, *closed) and not text_of(line, "invoice_no")
    ]
    return bool(waiting) and all(_is_asked_back(line) for line in waiting)


def _net(line: dict[str, Any]) -> int:
    return int(line["quantity"] * line["unit_price"] - sum(each["amount"] for each in line["discounts"]))


def _paid_for(line: dict[str, Any], alone: int | None) -> int:
    """Return what was paid for a line: its share as the platform divided it, else computed by its documents' rule."""
    if alone is not None:
        return alone  # the payment of an only line is the trade's, postage included
    if line.get("divide_order_fee") not in (None, ""):
        return _amount("order.divide_order_fee", line["divide_order_fee"])
    share = _amount("order.part_mjz_discount", line.get("part_mjz_discount") or "0")
    return _amount("order.payment", line.get("payment")) - share


def _buyer(trade: dict[str, Any]) -> dict[str, Any]:
    identity = text_of(trade, "buyer_open_uid") or text_of(trade, "ouid")
    nick = text_of(trade, "buyer_nick")
    if not identity and nick and "*" not in nick:
        identity = nick  # a masked name belongs to many buyers and is no identity
    return {"identity": identity or text_of(trade, "oaid") or None}


def _recipient(trade: dict[str, Any]) -> dict[str, Any]:
    town, address = text_of(trade, "receiver_town"), text_of(trade, "receiver_address")
    city, district = text_of(trade, "receiver_city"), text_of(trade, "receiver_district")
    whole = address if not town or address.startswith(town) else f"{town} {address}".strip()
    return {
        "name": fitting(text_of(trade, "receiver_name"), 100) or HIDDEN,
        "phone": fitting(text_of(trade, "receiver_mobile") or text_of(trade, "receiver_phone"), 32) or HIDDEN,
        "province": fitting(text_of(trade, "receiver_state"), 64),
        # Counties under direct rule of a province stand in the district's field only.
        "city": fitting(city or district, 64),
        "district": fitting(district, 64),
        "address": fitting(whole, 500) or HIDDEN,
        "postcode": fitting(text_of(trade, "receiver_zip"), 16),
    }


# ---- A refund


def _refund(refund: dict[str, Any]) -> list[Heard]:
    """Return the request, or that it was withdrawn or refused; one that succeeded was requested as well."""
    reason = text_of(refund, "reason")
    number = number_of("tid", refund.get("tid"))
    refund_id = number_of("refund_id", refund.get("refund_id"))
    if refund.get("status") in REFUNDS_WITHDRAWN:
        return [RefundWithdrawn(platform_order_id=number, refund_id=refund_id)]
    line_id = number_or_none(refund.get("oid"))
    amount = _amount("refund.refund_fee", refund.get("refund_fee"))
    if not 0 <= amount <= PRICE_LIMIT:
        raise OrderRefused("refund_fee", "is out of range")
    shipped = refund.get("order_status") in SHIPPED_STATUSES or refund.get("refund_phase") == AFTER_SHIPPING_PHASE
    return [
        Refund(
            type="order.refund_requested",
            platform_order_id=number,
            refund_id=refund_id,
            amount=amount,
            after_shipping=shipped,
            reason=reason[:REASON_LIMIT_CHARACTERS],
            requested_at=moment_or_none(refund.get("created")),
            line_ids=[] if line_id is None else [line_id],
        )
    ]


# ---- Back


def carrier_code(parcel: Parcel) -> str:
    """Return the platform's code of a carrier; a person is asked when nobody has said it."""
    code = parcel.company or CARRIERS.get(parcel.carrier.upper())
    if not code:
        raise PlatformRefused(Cure.ASK, "carrier", f"Taobao's code for the carrier {parcel.carrier!r} is not known")
    return code


def shipment_parameters(parcel: Parcel) -> dict[str, str]:
    """Return the parameters of `taobao.logistics.offline.send`; a split parcel names its sub-orders."""
    parameters = {
        "tid": parcel.platform_order_id,
        "company_code": carrier_code(parcel),
        "out_sid": parcel.waybill,
    }
    if parcel.split:
        sub_orders = dict.fromkeys(line_id for line_id, _, _ in parcel.lines)
        parameters |= {"is_split": "1", "sub_tid": ",".join(sub_orders)}
    return parameters


def stock_calls(orders: Sequence[StockOrder], batch_limit_skus: int = 20) -> list[tuple[str, dict[str, str]]]:
    """Return (method, parameters) in order: an item's SKUs go together, a SKU that comes again goes in a later call."""
    calls: list[tuple[str, dict[str, str]]] = []
    batch: list[StockOrder] = []

    def flush() -> None:
        if batch:
            pairs = ";".join(f"{each.listing_sku}:{each.quantity}" for each in batch)
            named = {"num_iid": batch[0].listing_id, "skuid_quantities": pairs, "type": _stock_type(batch[0])}
            calls.append(("taobao.skus.quantity.update", named))
            batch.clear()

    for order in orders:
        fits = not batch or (order.listing_id, order.delta) == (batch[0].listing_id, batch[0].delta)
        again = any(each.listing_sku == order.listing_sku for each in batch)
        if not order.listing_sku or not fits or again or len(batch) >= batch_limit_skus:
            flush()
        if order.listing_sku:
            batch.append(order)
            continue
        plain = {"num_iid": order.listing_id, "quantity": str(order.quantity), "type": _stock_type(order)}
        calls.append(("taobao.item.quantity.update", plain))
    flush()
    return calls


def _stock_type(order: StockOrder) -> str:
    return "2" if order.delta else "1"


# ---- Values


def _moment(field: str, value: Any) -> datetime:
    moment = moment_or_none(value)
    if moment is None:
        raise OrderRefused(field, "is not a time like 2026-11-11 08:00:03")
    return moment


def _amount(field: str, value: Any) -> int:
    return amount_of(UNITS, field, value)


def _rows(value: Any, name: str) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        value = value.get(name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise OrderRefused(f"{name}s", "is not a list")
    return value
