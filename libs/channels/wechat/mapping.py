"""WeChat's orders and refunds in our words, and our parcels and stock in WeChat's: pure, amounts in fen."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.channels.channel import About, Document, Heard, Parcel, StockOrder
from libs.channels.closing import closed
from libs.channels.money import fen
from libs.channels.own.inbound import AskedBack, Cancellation, Left, Refund, RefundWithdrawn, convert
from libs.channels.refusals import OrderRefused
from libs.channels.wire import decode

UNPAID = (10, 12, 13)  # to pay, gift not accepted yet, group not complete yet
PAID = (20, 21, 30, 100)  # to ship, shipped in part, shipped, done
TO_SHIP, SHIPPED_IN_PART = 20, 21
REFUNDED_WHOLE = 200
CLOSED = 250
PRESALE_STOCK = 1
AFTERSALE_WANTED = (
    "MERCHANT_PROCESSING",
    "USER_WAIT_RETURN",
    "MERCHANT_WAIT_RECEIPT",
    "MERCHANT_OVERDUE_REFUND",
    "MERCHANT_REFUND_SUCCESS",
    "MERCHANT_RETURN_SUCCESS",
    "PLATFORM_REFUNDING",
    "PLATFORM_REFUND_FAIL",
    "USER_WAIT_CONFIRM",
    "USER_WAIT_CONFIRM_UPDATE",
    "USER_WAIT_HANDLE_MERCHANT_AFTER_SALE",
    "WAIT_PACKAGE_INTERCEPT",
)
AFTERSALE_OVER = (
    "USER_CANCELD",
    "MERCHANT_REJECT_REFUND",
    "MERCHANT_REJECT_RETURN",
    "RETURN_CLOSED",
    "MERCHANT_REFUND_RETRY_FAIL",
    "MERCHANT_FAIL",
    "MERCHANT_REJECT_EXCHANGE",
    "MERCHANT_REJECT_RESHIP",
    "USER_WAIT_RECEIPT",
    "MERCHANT_EXCHANGE_SUCCESS",
)
WITH_RETURN = "RETURN"
LINES_LIMIT = 2000
NOTE_LIMIT_CHARACTERS = 2000
ITEM_TEXT_LIMIT_CHARACTERS = 120
DIFF_ADD, DIFF_SUBTRACT, DIFF_SET = 1, 2, 3

CARRIERS: Mapping[str, str] = {
    "sf": "SF",
    "yto": "YTO",
    "zto": "ZTO",
    "sto": "STO",
    "yunda": "YD",
    "yd": "YD",
    "jt": "JTSD",
    "jtsd": "JTSD",
    "jd": "JD",
    "ems": "EMS",
    "deppon": "DBL",
    "dbl": "DBL",
}
OTHER_CARRIER = "OTHER"


def heard(document: Document) -> list[Heard]:
    """Return what a document says; an unpaid order says nothing."""
    try:
        answer = decode(document.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise OrderRefused("", "the document is not valid JSON") from None
    key = "after_sale_order" if document.about is About.REFUND else "order"
    fields = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(fields, dict):
        raise OrderRefused(key, "is missing")
    return _refund(fields) if document.about is About.REFUND else _order(fields)


def _order(order: Mapping[str, Any]) -> list[Heard]:
    status = order.get("status")
    detail = _inner("order_detail", order)
    paid_at = _moment("pay_info.pay_time", _inner("pay_info", detail).get("pay_time"))
    if status in UNPAID or (status == CLOSED and paid_at is None):
        return []
    if status not in (*PAID, REFUNDED_WHOLE, CLOSED):
        raise OrderRefused("status", "is not known")
    left = _left(status, detail)
    if status in PAID or left:
        found = convert(_order_fields(order, detail, paid_at, left), left)
        return [AskedBack(order=found) if _is_all_asked_back(detail, left) else found]
    said = {
        "type": "order.cancelled",
        "platform_order_id": _text(order.get("order_id")),
        "cancelled_at": _moment("update_time", order.get("update_time")),
    }
    return closed(_checked(said, Cancellation), lambda: convert(_order_fields(order, detail, paid_at, left)))


def _left(status: Any, detail: Mapping[str, Any]) -> Left:
    """Return how much has left: a parcel stands for goods that went out, more follow while WeChat waits for them."""
    is_out = bool(_inner("delivery_info", detail).get("delivery_product_info"))
    if status in (TO_SHIP, SHIPPED_IN_PART):
        return "part" if is_out or status == SHIPPED_IN_PART else ""
    return "whole" if is_out or status in PAID else ""


def _order_fields(
    order: Mapping[str, Any], detail: Mapping[str, Any], paid_at: datetime | None, left: Left
) -> dict[str, Any]:
    products = _list("product_infos", detail.get("product_infos"))
    prices = _inner("price_info", detail)
    freight = _fen("change_freight" if prices.get("is_change_freight") else "freight", prices)
    total = _fen("order_price", prices)
    goods = _lines(products)
    _reduce(goods, sum(_costs(line) for line in goods) + freight - total)
    # What is asked back leaves the order, and its share the total; when that is all, the order is asked back as it is.
    gone = _asked_back(detail, left)
    lines = [rest for line, units in zip(goods, gone, strict=True) if (rest := _without(line, units))] or goods
    total -= sum(_costs(line) for line in goods) - sum(_costs(line) for line in lines)
    presale = [each for each in products if _inner("sku_deliver_info", each).get("stock_type") == PRESALE_STOCK]
    moments = [
        _moment("predict_delivery_time", _inner("sku_deliver_info", e).get("predict_delivery_time")) for e in presale
    ]
    available = max((each for each in moments if each is not None), default=None)
    deadlines = [_moment("delivery_deadline", each.get("delivery_deadline")) for each in products]
    ship_by = min((each for each in deadlines if each is not None), default=None)
    notes = _inner("ext_info", detail)
    note = "\n".join(filter(None, (_text(notes.get("customer_notes")), _text(notes.get("merchant_notes")))))
    return {
        "platform_order_id": _text(order.get("order_id")),
        "placed_at": _moment("create_time", order.get("create_time")),
        "paid_at": paid_at,
        "currency": "CNY",
        "buyer": {"identity": _text(order.get("openid")) or None},
        "recipient": _recipient(_inner("address_info", _inner("delivery_info", detail))),
        "lines": lines,
        "shipping_fee": freight,
        "total": total,
        "kind": "presale" if available else "normal",
        "available_from": available,
        "promise": {"ship_by": ship_by} if ship_by else None,
        "note": note[:NOTE_LIMIT_CHARACTERS],
    }


def _lines(products: list[Any]) -> list[dict[str, Any]]:
    """Return the lines; a line is known to WeChat by product and SKU, so its id names both, for the way back."""
    lines: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for product in products:
        listing = _listing(product)
        seen[listing] = seen.get(listing, 0) + 1
        line = {
            "line_id": listing if seen[listing] == 1 else f"{listing}.{seen[listing]}",
            "sku": _text(product.get("sku_code")) or _text(product.get("sku_id")),
            "quantity": _units("sku_cnt", product),
            "unit_price": _fen("sale_price", product),
            "discounts": [],
        }
        _discount(line, "merchant", _fen("merchant_discounted_price", product))
        _discount(line, "influencer", _fen("finder_discounted_price", product))
        if product.get("real_price") is not None:
            # What neither shop nor influencer gave came from the platform, unless the shop changed the price by hand
            # or the answer does not tell who gave.
            told = "merchant_discounted_price" in product and not product.get("is_change_price")
            _discount(line, "platform" if told else "merchant", _costs(line) - _fen("real_price", product))
        lines.append(line)
    return lines


def _asked_back(detail: Mapping[str, Any], left: Left) -> list[int | None]:
    """Return of each product how many units an after-sale before shipping is about, None where anything went out.

    WeChat counts a product's after-sales whether they are of what has left or of what has not.
    """
    parcels = _list("delivery_product_info", _inner("delivery_info", detail).get("delivery_product_info") or [])
    sent = {_listing(each) for parcel in parcels for each in _list("product_infos", parcel.get("product_infos") or [])}
    found: list[int | None] = []
    for product in _list("product_infos", detail.get("product_infos")):
        asked = sum(_units(name, product) for name in ("on_aftersale_sku_cnt", "finish_aftersale_sku_cnt"))
        has_left = left == "whole" or _listing(product) in sent
        found.append(None if has_left else min(asked, _units("sku_cnt", product)))
    return found


def _is_all_asked_back(detail: Mapping[str, Any], left: Left) -> bool:
    """Tell whether nothing is left to ship: of each product that has not gone out every unit is asked back."""
    products = _list("product_infos", detail.get("product_infos"))
    waiting = [pair for pair in zip(_asked_back(detail, left), products, strict=True) if pair[0] is not None]
    return bool(waiting) and all(units == _units("sku_cnt", product) for units, product in waiting)


def _without(line: dict[str, Any], units: int | None) -> dict[str, Any] | None:
    """Return what of a line is not asked back, with its share of the discounts."""
    if not units:
        return line
    left = line["quantity"] - units
    if not left:
        return None
    shares = [each | {"amount": each["amount"] * left // line["quantity"]} for each in line["discounts"]]
    return line | {"quantity": left, "discounts": [each for each in shares if each["amount"]]}


def _reduce(lines: list[dict[str, Any]], amount: int) -> None:
    """Take what the order costs less than its lines (points, a changed price) off the lines, first come first."""
    for line in lines:
        share = min(amount, _costs(line))
        _discount(line, "merchant", share)
        amount -= max(share, 0)


def _discount(line: dict[str, Any], funder: str, amount: int) -> None:
    if amount > 0:
        line["discounts"].append({"funder": funder, "amount": amount})


def _costs(line: Mapping[str, Any]) -> int:
    whole: int = line["quantity"] * line["unit_price"] - sum(each["amount"] for each in line["discounts"])
    return whole


def _recipient(address: Mapping[str, Any]) -> dict[str, str]:
    if not address:
        raise OrderRefused("delivery_info.address_info", "is missing: an order without a parcel has no place here")
    virtual = _inner("tel_number_ext_info", address).get("virtual_tel_number") or address.get(
        "virtual_order_tel_number"
    )
    return {
        "name": _text(address.get("user_name")),
        "phone": _text(address.get("tel_number")) or _text(virtual),
        "province": _text(address.get("province_name")),
        "city": _text(address.get("city_name")),
        "district": _text(address.get("county_name")),
        "address": _text(address.get("detail_info")) + _text(address.get("house_number")),
        "postcode": _text(address.get("postal_code")),
    }


def _refund(fields: Mapping[str, Any]) -> list[Heard]:
    status = _text(fields.get("status"))
    named = {
        "platform_order_id": _text(fields.get("order_id")),
        "refund_id": _text(fields.get("after_sale_order_id")),
    }
    if status in AFTERSALE_OVER or fields.get("type") == "EXCHANGE":
        return [_checked(named, RefundWithdrawn)]
    if status not in AFTERSALE_WANTED:
        raise OrderRefused("status", "is not known")
    refund = _inner("refund_info", fields)
    wanted = named | {
        "type": "order.refund_requested",
        "amount": _fen("amount", refund),
        "after_shipping": fields.get("type") == WITH_RETURN,
        "reason": _text(fields.get("reason_text") or fields.get("reason"))[:200],
        "line_ids": [_listing(about)] if (about := _inner("product_info", fields)) else [],
        "requested_at": _moment("create_time", fields.get("create_time")),
    }
    return [_checked(wanted, Refund)]


def delivery(parcel: Parcel) -> dict[str, Any]:
    """Return the parcel as an entry of `delivery_list`."""
    products = []
    for line_id, _, quantity in parcel.lines:
        product_id, _, rest = line_id.partition(".")
        products.append({"product_id": product_id, "sku_id": rest.partition(".")[0], "product_cnt": quantity})
    return {
        "deliver_type": 1,
        "delivery_id": carrier_code(parcel),
        "waybill_id": parcel.waybill,
        "product_infos": products,
    }


def shipping_entry(parcel: Parcel, described: str, sender_contact: str) -> dict[str, Any]:
    """Return the parcel as an entry of a mini-program's `shipping_list`."""
    entry: dict[str, Any] = {
        "tracking_no": parcel.waybill,
        "express_company": carrier_code(parcel),
        "item_desc": (described or "商品")[:ITEM_TEXT_LIMIT_CHARACTERS],
    }
    if sender_contact:
        entry["contact"] = {"consignor_contact": sender_contact}
    return entry


def carrier_code(parcel: Parcel) -> str:
    """Return WeChat's code of the carrier; one that is not in the table goes as OTHER."""
    return parcel.company or CARRIERS.get(parcel.carrier.lower(), OTHER_CARRIER)


def stock_body(order: StockOrder) -> dict[str, Any] | None:
    """Return the body of stock/update; None for a difference of nothing, which WeChat refuses."""
    if order.delta and order.quantity == 0:
        return None
    kind = DIFF_SET if not order.delta else DIFF_ADD if order.quantity > 0 else DIFF_SUBTRACT
    number = abs(order.quantity) if order.delta else max(order.quantity, 0)
    return {"product_id": order.listing_id, "sku_id": order.listing_sku, "diff_type": kind, "num": number}


def _checked(fields: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        path = str(error).partition("`$.")[2].rstrip("`")
        raise OrderRefused(path, "is not valid") from None


def _inner(name: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    found = fields.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise OrderRefused(name, "is not an object")
    return found


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > LINES_LIMIT or not all(isinstance(each, dict) for each in value):
        raise OrderRefused(name, f"is not a list of at most {LINES_LIMIT} objects")
    return value


def _listing(product: Mapping[str, Any]) -> str:
    return f"{_text(product.get('product_id'))}.{_text(product.get('sku_id'))}"


def _units(name: str, product: Mapping[str, Any]) -> int:
    value = product.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise OrderRefused(f"product_infos.{name}", "is not a whole number")
    return value


def _fen(name: str, fields: Mapping[str, Any]) -> int:
    # WeChat writes every amount in fen, so there is no table of units.
    value = fields.get(name)
    return 0 if value in (None, "") else fen(name, value)


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list | bool) else str(value).strip()


def _moment(name: str, value: Any) -> datetime | None:
    text = _text(value)
    if text in ("", "0"):
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise OrderRefused(name, "is not seconds since 1970")
    return datetime.fromtimestamp(int(text), UTC)
