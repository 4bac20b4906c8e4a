"""Translates Taobao's trades and refunds into our words, and our parcels and stock into its parameters; pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import msgspec

from libs.channels.channel import About, Cure, Document, Heard, Parcel, PlatformRefused, StockOrder
from libs.channels.money import fen, fen_of_yuan
from libs.channels.own.inbound import PRICE_LIMIT, YEAR_FIRST, YEAR_LAST, Cancellation, Refund, convert
from libs.channels.refusals import OrderRefused
from libs.channels.wire import decode

SHANGHAI = timezone(timedelta(hours=8))
WALL_CLOCK = "%Y-%m-%d %H:%M:%S"
HIDDEN = "***"  # what the platform withholds altogether
NOTE_LIMIT_CHARACTERS = 2000
REASON_LIMIT_CHARACTERS = 200
NUMBER_LIMIT_CHARACTERS = 64

# Which unit the platform writes an amount in; an amount that is not listed is never read.
UNITS: Mapping[str, Literal["yuan", "fen"]] = {
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
REFUNDS_WITHDRAWN = frozenset({"CLOSED", "SELLER_REFUSE_BUYER"})
AFTER_SHIPPING_PHASE = "aftersale"
SHIPPED_STATUSES = frozenset({"WAIT_BUYER_CONFIRM_GOODS", "TRADE_BUYER_SIGNED", "TRADE_FINISHED"})

# Our carrier codes and the platform's; a shop's own entry ("carrier:JT") comes before these.
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
CARRIER_PREFIX = "carrier:"

# No exponents: a few characters would stand for a number of a million digits.
_PLAIN_AMOUNT = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def heard(document: Document) -> list[Heard]:
    """Return what a trade's or a refund's detail says; OrderRefused names the field that cannot be taken."""
    try:
        answer = decode(document.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise OrderRefused("", "the document is not valid JSON") from None
    if document.about is About.REFUND:
        return _refund(_inside(answer, "refund_get_response", "refund"))
    return _order(_inside(answer, "trade_fullinfo_get_response", "trade"))


# ---- A trade


def _order(trade: dict[str, Any]) -> list[Heard]:
    status = trade.get("status")
    if status in SILENT:
        return []
    closed = status in (CLOSED, CLOSED_BY_TAOBAO)
    if not closed and status not in PAID:
        raise OrderRefused("status", "is none that is known")
    paid_at = moment_or_none(trade.get("pay_time"))
    if closed and paid_at is None:
        return []
    number = _number("tid", trade.get("tid"))
    order = convert(_fields(trade, number, paid_at, keeps_closed_lines=closed))
    if not closed or moment_or_none(trade.get("consign_time")) is not None:
        return [order]
    cancelled_at = moment_or_none(trade.get("end_time")) or moment_or_none(trade.get("modified"))
    return [order, Cancellation(type="order.cancelled", platform_order_id=number, cancelled_at=cancelled_at)]


def _fields(trade: dict[str, Any], number: str, paid_at: datetime | None, keeps_closed_lines: bool) -> dict[str, Any]:
    placed_at = _moment("created", trade.get("created"))
    shipping_fee = _amount("trade.post_fee", trade.get("post_fee") or "0")
    total = _amount("trade.payment", trade.get("payment"))
    lines = _rows(trade.get("orders"), "order")
    # A line that was closed before it was paid has no share in what was paid, and must never be shipped.
    lines = [each for each in lines if keeps_closed_lines or each.get("status") != CLOSED_BY_TAOBAO]
    alone = total - shipping_fee if len(lines) == 1 else None
    read = [_line(place, each, alone) for place, each in enumerate(lines)]
    if not keeps_closed_lines:
        # A line that was refunded before it went out is paid back: it leaves the order, and its share the total.
        gone = [each for each, line in zip(read, lines, strict=True) if _is_refunded(line)]
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
        "note": _note(trade),
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
    sku = next((each for name in ("outer_sku_id", "outer_iid", "sku_id", "num_iid") if (each := _text(line, name))), "")
    return {
        "line_id": _number(f"{where}.oid", line.get("oid_str") or line.get("oid")),
        "sku": sku,
        "quantity": quantity,
        "unit_price": price,
        "discounts": [{"funder": "merchant", "amount": discount}] if discount else [],
    }


def _is_refunded(line: dict[str, Any]) -> bool:
    return line.get("status") == CLOSED and not _text(line, "invoice_no")


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
    identity = _text(trade, "buyer_open_uid") or _text(trade, "ouid")
    nick = _text(trade, "buyer_nick")
    if not identity and nick and "*" not in nick:
        identity = nick  # a masked name belongs to many buyers and is no identity
    return {"identity": identity or _text(trade, "oaid") or None}


def _recipient(trade: dict[str, Any]) -> dict[str, Any]:
    town, address = _text(trade, "receiver_town"), _text(trade, "receiver_address")
    city, district = _text(trade, "receiver_city"), _text(trade, "receiver_district")
    whole = address if not town or address.startswith(town) else f"{town} {address}".strip()
    return {
        "name": _fitting(_text(trade, "receiver_name"), 100) or HIDDEN,
        "phone": _fitting(_text(trade, "receiver_mobile") or _text(trade, "receiver_phone"), 32) or HIDDEN,
        "province": _fitting(_text(trade, "receiver_state"), 64),
        # Counties under direct rule of a province stand in the district's field only.
        "city": _fitting(city or district, 64),
        "district": _fitting(district, 64),
        "address": _fitting(whole, 500) or HIDDEN,
        "postcode": _fitting(_text(trade, "receiver_zip"), 16),
    }


def _fitting(text: str, limit_characters: int) -> str:
    """Return a text that is no longer than it can be: longer ones are ciphers, of which a part is worth nothing."""
    return text if len(text) <= limit_characters else ""


def _note(trade: dict[str, Any]) -> str:
    said = [
        (heading, _CONTROL.sub(" ", words).strip())
        for heading, name in (("", "buyer_message"), ("卖家备注: ", "seller_memo"))
        if isinstance(words := trade.get(name), str)
    ]
    return "\n".join(heading + words for heading, words in said if words)[:NOTE_LIMIT_CHARACTERS]


# ---- A refund


def _refund(refund: dict[str, Any]) -> list[Heard]:
    """Return the request, unless it was withdrawn or refused; one that succeeded was requested as well."""
    if refund.get("status") in REFUNDS_WITHDRAWN:
        return []
    reason = _CONTROL_IN_LINE.sub(" ", str(refund.get("reason") or "")).strip()
    number = _number("tid", refund.get("tid"))
    refund_id = _number("refund_id", refund.get("refund_id"))
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
        )
    ]


# ---- Back


def carrier_code(carrier: str, own: Mapping[str, str]) -> str:
    """Return the platform's code of a carrier; a person is asked when nobody has said it."""
    code = own.get(CARRIER_PREFIX + carrier) or CARRIERS.get(carrier.upper())
    if not code:
        raise PlatformRefused(Cure.ASK, "carrier", f"Taobao's code for the carrier {carrier!r} is not known")
    return code


def shipment_parameters(parcel: Parcel, own: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of `taobao.logistics.offline.send`; a split parcel names its sub-orders."""
    parameters = {
        "tid": parcel.platform_order_id,
        "company_code": carrier_code(parcel.carrier, own),
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


def wall_clock(moment: datetime) -> str:
    """Return a moment as the platform writes it: Shanghai's clock, whole seconds."""
    return moment.astimezone(SHANGHAI).strftime(WALL_CLOCK)


def moment_or_none(value: Any) -> datetime | None:
    """Return the moment of a Shanghai wall clock; None for anything else and for years that cannot be meant."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.strptime(value.strip(), WALL_CLOCK).replace(tzinfo=SHANGHAI)
    except ValueError:
        return None
    return moment.astimezone(UTC) if YEAR_FIRST < moment.year < YEAR_LAST else None


def number_or_none(value: Any) -> str | None:
    """Return an id as text, whichever way JSON carried it; None when it is no whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= NUMBER_LIMIT_CHARACTERS:
        return value
    return None


def _moment(field: str, value: Any) -> datetime:
    moment = moment_or_none(value)
    if moment is None:
        raise OrderRefused(field, "is not a time like 2026-11-11 08:00:03")
    return moment


def _number(field: str, value: Any) -> str:
    number = number_or_none(value)
    if number is None:
        raise OrderRefused(field, "is not a number of an order, a line or a refund")
    return number


def _amount(field: str, value: Any) -> int:
    if not _PLAIN_AMOUNT.fullmatch(str(value)):
        raise OrderRefused(field, "is not an amount with at most two decimals")
    return fen_of_yuan(field, value) if UNITS[field] == "yuan" else fen(field, value)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _CONTROL_IN_LINE.sub(" ", value).strip() if isinstance(value, str) else ""


def _rows(value: Any, name: str) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        value = value.get(name)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise OrderRefused(f"{name}s", "is not a list")
    return value


def _inside(answer: Any, *names: str) -> dict[str, Any]:
    for name in names:
        if isinstance(answer, dict) and isinstance(answer.get(name), dict):
            answer = answer[name]
    if not isinstance(answer, dict):
        raise OrderRefused("", "the document is not an object")
    return answer
