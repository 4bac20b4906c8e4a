"""Meituan's orders and refunds in our words, and our parcels and stock in Meituan's: pure, amounts in yuan there."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

import msgspec

from libs.channels.channel import About, Document, Heard, Parcel, StockOrder
from libs.channels.closing import closed
from libs.channels.money import fen, fen_of_yuan
from libs.channels.own.inbound import Cancellation, Refund, RefundWithdrawn, convert
from libs.channels.refusals import OrderRefused
from libs.channels.wire import decode

MONEY_UNITS: Mapping[str, str] = {
    "total": "yuan",
    "original_price": "yuan",
    "shipping_fee": "yuan",
    "package_bag_money": "fen",
    "package_bag_money_yuan": "yuan",
    "price": "yuan",
    "box_price": "yuan",
    "reduce_fee": "yuan",
    "mt_charge": "yuan",
    "poi_charge": "yuan",
    "money": "yuan",
}
UNPAID = 1
OPEN = (2, 3, 4, 6, 7, 8)  # to confirm, received, confirmed, on its way, delivered, done
GONE = (6, 7, 8)
CANCELLED = 9
COURIER_HAS_IT = ("20", "40")  # logistics_status: picked up, delivered
CASH_ON_DELIVERY = 1
PICKED_UP = 1
REFUND_WANTED = ("0", "2", "4", "5", "6")  # pending, or agreed by whomever
REFUND_REFUSED_STATUSES = ("11", "18", "22", "28", "30")  # shops with returns: refused, appeal refused, withdrawn
WITH_RETURN = "2"
PART_REFUND = "2"
PART_REFUND_GOODS = "wmAppRetailForOrderPartRefundList"
NAMELESS = "美团客人"  # Meituan's own words for a buyer who gave no name
LINES_LIMIT = 2000
NOTE_LIMIT_CHARACTERS = 2000
STOCK_BATCH_LIMIT_SKUS = 200

CARRIERS: Mapping[str, str] = {
    "sf": "10001",
    "dada": "10002",
    "shansong": "10003",
    "fengniao": "10004",
    "uupt": "10005",
    "kuaipaozhe": "10006",
    "dianwoda": "10008",
    "own": "10015",
}
OTHER_CARRIER = "10017"
ON_ITS_WAY = "20"  # logistics_status: the courier has the goods


def heard(document: Document) -> list[Heard]:
    """Return what a document says; an unpaid order says nothing."""
    try:
        fields = decode(document.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise OrderRefused("", "the document is not valid JSON") from None
    if not isinstance(fields, dict):
        raise OrderRefused("", "is not a JSON object")
    return _refund(fields) if document.about is About.REFUND else _order(fields)


def _order(fields: dict[str, Any]) -> list[Heard]:
    status = _whole("status", fields.get("status"))
    if status == UNPAID or (status == CANCELLED and not _paid(fields)):
        return []
    if status not in (*OPEN, CANCELLED):
        raise OrderRefused("status", "is not known")
    if status != CANCELLED:
        return [convert(_order_fields(fields), "whole" if _has_left(status, fields) else "")]
    cancelled = _moment("order_cancel_time", fields.get("order_cancel_time")) or _moment("utime", fields.get("utime"))
    said = {
        "type": "order.cancelled",
        "platform_order_id": _text(fields.get("order_id")),
        "reason": str(fields.get("reason") or "")[:200],
        "cancelled_at": cancelled,
    }
    return closed(_checked(said, Cancellation), lambda: convert(_order_fields(fields)))


def _has_left(status: int, fields: dict[str, Any]) -> bool:
    """Tell whether the goods are with a courier or the buyer: the courier's state says so before the order's does."""
    return status in GONE or _text(fields.get("logistics_status")) in COURIER_HAS_IT


def _order_fields(fields: dict[str, Any]) -> dict[str, Any]:
    lines = [_line(place, line) for place, line in enumerate(_list("detail", fields.get("detail")))]
    other = _money("shipping_fee", fields) + _packaging(fields)
    total = _money("total", fields)
    gross = sum(line["quantity"] * line["unit_price"] for line in lines)
    reduced = gross + other - total
    if reduced > 0:
        charges = _list("extras", fields.get("extras")) if fields.get("extras") else []
        platform = sum(_money("mt_charge", extra) for extra in charges if isinstance(extra, dict))
        on_lines = min(reduced, gross)
        _spread(lines, "platform", min(max(platform, 0), on_lines))
        _spread(lines, "merchant", on_lines - min(max(platform, 0), on_lines))
        other -= reduced - on_lines
    placed_at = _moment("ctime", fields.get("ctime"))
    paid_at = _moment("order_send_time", fields.get("order_send_time")) or placed_at
    ship_by = _moment("delivery_time", fields.get("delivery_time"))
    return {
        "platform_order_id": _text(fields.get("order_id")),
        "placed_at": placed_at,
        "paid_at": None if _text(fields.get("pay_type")) == str(CASH_ON_DELIVERY) else paid_at,
        "currency": "CNY",
        "buyer": {"identity": _text(fields.get("open_uid") or fields.get("openUid")) or None},
        "recipient": _recipient(fields),
        "lines": lines,
        "shipping_fee": other,
        "total": total,
        "promise": {"ship_by": ship_by} if ship_by else None,
        "note": _text(fields.get("caution"))[:NOTE_LIMIT_CHARACTERS],
    }


def _line(place: int, line: Any) -> dict[str, Any]:
    if not isinstance(line, dict):
        raise OrderRefused(f"detail[{place}]", "is not an object")
    path = f"detail[{place}]"
    quantity = line.get("quantity", line.get("quanity"))  # one public client spells it as its answer does
    return {
        "line_id": str(place + 1),
        "sku": _sku(line),
        "quantity": _whole(f"{path}.quantity", quantity),
        "unit_price": fen_of_yuan(f"{path}.price", line.get("price")),
        "discounts": [],
    }


def _packaging(fields: dict[str, Any]) -> int:
    """Return boxes and bags: they are no goods, so they stand with the delivery fee."""
    boxes = 0
    for place, line in enumerate(_list("detail", fields.get("detail"))):
        count, price = line.get("box_num") or 0, line.get("box_price") or 0
        try:
            whole = int(Decimal(str(count)).to_integral_value(ROUND_CEILING))
        except (InvalidOperation, ValueError, OverflowError):
            raise OrderRefused(f"detail[{place}].box_num", "is not a number") from None
        boxes += whole * fen_of_yuan(f"detail[{place}].box_price", price)
    if fields.get("package_bag_money_yuan"):
        return boxes + _money("package_bag_money_yuan", fields)
    return boxes + _money("package_bag_money", fields)


def _spread(lines: list[dict[str, Any]], funder: str, amount: int) -> None:
    """Divide a reduction of the order over its lines by what each still costs; the last fen go to the first lines."""
    if amount <= 0:
        return
    rests = [
        line["quantity"] * line["unit_price"] - sum(each["amount"] for each in line["discounts"]) for line in lines
    ]
    whole = sum(rests)
    shares = [amount * rest // whole for rest in rests] if whole else [0] * len(rests)
    left = amount - sum(shares)
    for place, rest in enumerate(rests):
        more = min(left, rest - shares[place])
        shares[place] += more
        left -= more
    for line, share in zip(lines, shares, strict=True):
        if share:
            line["discounts"].append({"funder": funder, "amount": share})


def _recipient(fields: dict[str, Any]) -> dict[str, str]:
    parts: Any = fields.get("recipient_address_detail") or {}
    if isinstance(parts, str):
        parts = _json("recipient_address_detail", parts)
    if not isinstance(parts, dict):
        raise OrderRefused("recipient_address_detail", "is not an object")
    # After @# stands what the map says about the buyer's position: the buyer's own words come first.
    address = _text(fields.get("recipient_address")).split("@#")[0].strip()
    if not address and _text(fields.get("pick_type")) == str(PICKED_UP):
        address = "到店自取"
    return {
        "name": _text(fields.get("recipient_name")) or NAMELESS,
        "phone": _text(fields.get("recipient_phone")),
        "province": _text(parts.get("province")),
        "city": _text(parts.get("city")),
        "district": _text(parts.get("area") or parts.get("district")),
        "address": address,
    }


def _paid(fields: dict[str, Any]) -> bool:
    """A shop's running number is given to paid orders only; cash orders count as placed."""
    return _text(fields.get("day_seq")) not in ("", "0") or _text(fields.get("pay_type")) == str(CASH_ON_DELIVERY)


def _refund(fields: dict[str, Any]) -> list[Heard]:
    named = {
        "platform_order_id": _text(fields.get("order_id") or fields.get("wm_order_id_view")),
        "refund_id": _text(fields.get("refund_id")),
    }
    result = _text(fields.get("res_type"))
    if _text(fields.get("status")) in REFUND_REFUSED_STATUSES or (result and result not in REFUND_WANTED):
        return [_checked(named, RefundWithdrawn)]
    wanted = named | {
        "type": "order.refund_requested",
        "amount": _money("money", fields),
        "after_shipping": _text(fields.get("service_type")) == WITH_RETURN,
        "reason": _text(fields.get("apply_reason") or fields.get("reason"))[:200],
        "line_ids": _part(fields),
        "requested_at": _moment("ctime", fields.get("ctime")),
    }
    return [_checked(wanted, Refund)]


def _part(fields: dict[str, Any]) -> list[str]:
    """Return which goods a refund of a part is about, by SKU as Meituan names them: its lines have no ids.

    No order has lines of such ids, so the rest goes on. Never empty: that would be the whole.
    """
    if _text(fields.get("refund_type")) != PART_REFUND:
        return []
    goods = fields.get(PART_REFUND_GOODS)
    named = [_sku(each) for each in goods if isinstance(each, dict)] if isinstance(goods, list) else []
    return sorted({f"sku:{name}" for name in named if name}) or ["sku:?"]


def _sku(goods: dict[str, Any]) -> str:
    return _text(goods.get("sku_id")) or _text(goods.get("app_spu_code") or goods.get("app_food_code"))


def shipment_params(parcel: Parcel) -> dict[str, str]:
    """Return the parameters of ecommerce/order/logistics/sync; a later call replaces the waybill."""
    return {
        "order_id": parcel.platform_order_id,
        "third_carrier_order_id": parcel.waybill,
        "logistics_provider_code": parcel.company or CARRIERS.get(parcel.carrier.lower(), OTHER_CARRIER),
        "logistics_status": ON_ITS_WAY,
    }


def stock_params(shop: str, orders: Sequence[StockOrder]) -> dict[str, str]:
    """Return the parameters of retail/sku/stock: absolute numbers, grouped by item. Meituan knows no differences."""
    if len(orders) > STOCK_BATCH_LIMIT_SKUS:
        raise ValueError(f"Meituan takes at most {STOCK_BATCH_LIMIT_SKUS} SKUs a call")
    items: dict[str, list[dict[str, str]]] = {}
    for order in orders:
        if order.delta:
            raise ValueError("Meituan takes absolute stock only")
        skus = items.setdefault(order.listing_id, [])
        skus.append({"sku_id": order.listing_sku, "stock": str(max(order.quantity, 0))})
    data = [{"app_spu_code": item, "skus": skus} for item, skus in items.items()]
    return {"app_poi_code": shop, "food_data": msgspec.json.encode(data).decode()}


def _checked(fields: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        path = str(error).partition("`$.")[2].rstrip("`")
        raise OrderRefused(path, "is not valid") from None


def _money(name: str, fields: Mapping[str, Any]) -> int:
    value = fields.get(name)
    if value in (None, ""):
        return 0
    return fen_of_yuan(name, value) if MONEY_UNITS[name] == "yuan" else fen(name, value)


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list | bool) else str(value).strip()


def _whole(name: str, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise OrderRefused(name, "is not a whole number")
    return value


def _moment(name: str, value: Any) -> datetime | None:
    if value in (None, "", 0, "0"):
        return None
    text = _text(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise OrderRefused(name, "is not seconds since 1970")
    return datetime.fromtimestamp(int(text), UTC)


def _list(name: str, value: Any) -> list[Any]:
    found = _json(name, value) if isinstance(value, str) else value
    if not isinstance(found, list) or len(found) > LINES_LIMIT:
        raise OrderRefused(name, f"is not a list of at most {LINES_LIMIT}")
    return found


def _json(name: str, text: str) -> Any:
    try:
        return decode(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise OrderRefused(name, "is not JSON") from None
