"""Translates JD's orders and after-sales into our words, and our parcels and stock into its parameters; pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from libs.channels import values
from libs.channels.channel import About, Cure, Document, Heard, Parcel, PlatformRefused, StockOrder
from libs.channels.closing import closed
from libs.channels.money import fen
from libs.channels.own.inbound import (
    PRICE_LIMIT,
    YEAR_FIRST,
    YEAR_LAST,
    Cancellation,
    Left,
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
    note_of,
    number_of,
    number_or_none,
    opened,
    text_of,
)

MILLISECONDS_LIMIT = 4_102_444_800_000  # the year 2100

UNITS: Units = {
    "orderTotalPrice": "yuan",
    "orderSellerPrice": "yuan",
    "orderPayment": "yuan",
    "sellerDiscount": "yuan",
    "freightPrice": "yuan",
    "balanceUsed": "yuan",
    "jdPrice": "yuan",
    "refoundAmount": "yuan",
    "applyRefundSum": "fen",
    "purchase_price": "yuan",
    "total_price": "yuan",
}
# Not paid, or paid and held by the platform: a held order changes again when it may go out.
SILENT = frozenset({"NOT_PAY", "PAUSE", "POP_ORDER_PAUSE"})
PAID = frozenset(
    {
        "LOCKED",  # the buyer wants to cancel: the application itself comes as a refund
        "WAIT_SELLER_STOCK_OUT",
        "WAIT_SELLER_DELIVERY",
        "WAIT_GOODS_RECEIVE_CONFIRM",
        "RECEIPT_CONFIRM",
        "FINISHED_L",
    }
)
CANCELLED = "TRADE_CANCELED"
TO_SHIP = frozenset({"WAIT_SELLER_STOCK_OUT", "WAIT_SELLER_DELIVERY"})
LOCKED = "LOCKED"
PAID_FIRST = frozenset({"2", "4", "5", "6"})  # payType: by post, online, by company, by bank; not 1, on delivery
APPLICATIONS_WITHDRAWN = frozenset({"2", "11"})  # refused by the merchant, taken back by the buyer

# Our carrier codes and JD's numbers; a shop's own entry comes before these.
CARRIERS: Mapping[str, str] = {
    "SF": "467",
    "YTO": "463",
    "ZTO": "1499",
    "STO": "470",
    "YUNDA": "1327",
    "YD": "1327",
    "EMS": "465",
    "DEPPON": "3046",
    "DB": "3046",
    "JD": "2087",
    "SELF": "1274",
}


def heard(document: Document) -> list[Heard]:
    """Return what an order's or an after-sales service's detail says; OrderRefused names the field at fault."""
    answer = opened(document)
    if document.about is About.REFUND:
        return _application(answer) if "applyRefundSum" in answer else _refund(answer)
    return _order(inside(answer, "jingdong_pop_order_get_responce", "orderDetailInfo", "orderInfo"))


# ---- An order


def _order(detail: dict[str, Any]) -> list[Heard]:
    state = detail.get("orderState")
    if state in SILENT:
        return []
    if state != CANCELLED and state not in PAID:
        raise OrderRefused("orderState", "is none that is known")
    paid_at = moment_or_none(detail.get("paymentConfirmTime"))
    shipped = bool(text_of(detail, "waybill"))
    paid_first = text_of(detail, "payType").partition("-")[0] in PAID_FIRST
    if state == CANCELLED and paid_at is None and (shipped or paid_first):
        return []
    number = number_of("orderId", detail.get("orderId"))
    if state != CANCELLED or shipped:
        return [convert(_fields(detail, number, paid_at), _left(state, shipped))]
    cancelled_at = moment_or_none(detail.get("orderEndTime")) or moment_or_none(detail.get("modified"))
    reason = text_of(detail, "orderStateRemark")[:REASON_LIMIT_CHARACTERS]
    cancellation = Cancellation(
        type="order.cancelled", platform_order_id=number, reason=reason, cancelled_at=cancelled_at
    )
    if paid_at is None:
        return [cancellation]
    return closed(cancellation, lambda: convert(_fields(detail, number, paid_at)))


def _left(state: Any, shipped: bool) -> Left:
    """Return how much has left: a waybill stands for goods that went out, more follow while JD waits for them."""
    if state in TO_SHIP:
        return "part" if shipped else ""
    return "" if state == LOCKED and not shipped else "whole"


def _fields(detail: dict[str, Any], number: str, paid_at: datetime | None) -> dict[str, Any]:
    placed_at = moment_or_none(detail.get("orderStartTime"))
    if placed_at is None:
        raise OrderRefused("orderStartTime", "is not a time like 2026-11-11 08:00:03")
    lines = _lines(detail.get("itemInfoList"))
    shipping_fee = _optional("freightPrice", detail)
    # What the buyer had with JD is a way to pay, no discount.
    total = amount("orderPayment", detail.get("orderPayment")) + _optional("balanceUsed", detail)
    gross = sum(line["quantity"] * line["unit_price"] for line in lines)
    merchants = _merchants_discount(detail, gross)
    platforms = gross - merchants + shipping_fee - total
    if platforms < 0:
        raise OrderRefused("orderPayment", "is more than the goods and the freight cost")
    # A coupon may pay the freight as well: what the goods cannot bear is taken from it.
    from_freight = max(0, platforms - (gross - merchants))
    _share(lines, "merchant", merchants)
    _share(lines, "platform", platforms - from_freight)
    return {
        "platform_order_id": number,
        "placed_at": placed_at,
        "paid_at": paid_at,  # none when the buyer pays on delivery
        "currency": "CNY",
        "buyer": {"identity": _identity(detail)},
        "recipient": _recipient(detail.get("consigneeInfo")),
        "lines": lines,
        "shipping_fee": shipping_fee - from_freight,
        "total": total,
        "note": note_of(detail, (("", "orderRemark"), ("卖家备注: ", "venderRemark"))),
    }


def _lines(items: Any) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
        raise OrderRefused("itemInfoList", "is not a list")
    lines: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for place, item in enumerate(items):
        where = f"itemInfoList[{place}]"
        try:
            sku_id = number_of("skuId", item.get("skuId"))
            quantity = fen("itemTotal", item.get("itemTotal"))
            price = amount("jdPrice", item.get("jdPrice"))
        except OrderRefused as refused:
            raise OrderRefused(f"{where}.{refused.field}", refused.reason) from None
        if quantity < 1 or price < 0:
            raise OrderRefused(where, "has no positive quantity, or a negative price")
        # JD numbers no lines. A SKU stands for its line; the same SKU as a gift is the second of its kind.
        seen[sku_id] = seen.get(sku_id, 0) + 1
        line_id = sku_id if seen[sku_id] == 1 else f"{sku_id}~{seen[sku_id]}"
        sku = text_of(item, "outerSkuId") or text_of(item, "productNo") or sku_id
        lines.append({"line_id": line_id, "sku": sku, "quantity": quantity, "unit_price": price, "discounts": []})
    return lines


def _merchants_discount(detail: dict[str, Any], gross: int) -> int:
    """Return what the merchant took off: the goods' price less what JD counts as the merchant's due."""
    if detail.get("orderSellerPrice") not in (None, ""):
        discount = gross - amount("orderSellerPrice", detail["orderSellerPrice"])
    else:
        discount = _optional("sellerDiscount", detail)
    if not 0 <= discount <= gross:
        raise OrderRefused("orderSellerPrice", "does not fit the lines' prices")
    return discount


def _share(lines: list[dict[str, Any]], funder: str, discount: int) -> None:
    """Divide a discount of the order among its lines by what is left to pay for each; no fen is lost or made."""
    left = [line["quantity"] * line["unit_price"] - sum(d["amount"] for d in line["discounts"]) for line in lines]
    remaining, weight = discount, sum(left)
    for line, own in zip(lines, left, strict=True):
        part = remaining * own // weight if weight else 0
        remaining, weight = remaining - part, weight - own
        if part:
            line["discounts"].append({"funder": funder, "amount": part})


def _identity(detail: dict[str, Any]) -> str | None:
    for name in ("open_id_buyer", "xid_buyer", "pin"):
        token = text_of(detail, name)
        if token and "*" not in token:
            return token
    return None


def _recipient(consignee: Any) -> dict[str, Any]:
    known = consignee if isinstance(consignee, dict) else {}
    return {
        "name": fitting(text_of(known, "fullname"), 100) or HIDDEN,
        "phone": fitting(text_of(known, "mobile") or text_of(known, "telephone"), 32) or HIDDEN,
        "province": fitting(text_of(known, "province"), 64),
        "city": fitting(text_of(known, "city"), 64),
        "district": fitting(text_of(known, "county"), 64),
        "address": fitting(text_of(known, "fullAddress") or text_of(known, "town"), 500) or HIDDEN,
    }


# ---- An after-sales service


def _refund(row: dict[str, Any]) -> list[Heard]:
    """Return the request; its amount is known only when money went back, until then it is 0."""
    bill = row.get("sameOrderServiceBill")
    if not isinstance(bill, dict):
        raise OrderRefused("sameOrderServiceBill", "is missing")
    back = _optional("refoundAmount", row)
    if not 0 <= back <= PRICE_LIMIT:
        raise OrderRefused("refoundAmount", "is out of range")
    return [
        Refund(
            type="order.refund_requested",
            platform_order_id=number_of("sameOrderServiceBill.orderId", bill.get("orderId")),
            refund_id=number_of("sameOrderServiceBill.serviceId", bill.get("serviceId")),
            amount=back,
            after_shipping=True,  # JD opens a service only for goods that went out
            reason=text_of(bill, "applyReason")[:REASON_LIMIT_CHARACTERS],
            requested_at=moment_or_none(bill.get("afsApplyTime")),
        )
    ]


def _application(row: dict[str, Any]) -> list[Heard]:
    """Return a buyer's wish to cancel before shipping, or that it was refused or taken back."""
    number = number_of("orderId", row.get("orderId"))
    # Applications and services are numbered apart from each other.
    refund_id = f"apply-{number_of('id', row.get('id'))}"
    if text_of(row, "status") in APPLICATIONS_WITHDRAWN:
        return [RefundWithdrawn(platform_order_id=number, refund_id=refund_id)]
    wanted = amount("applyRefundSum", row.get("applyRefundSum"))
    if not 0 <= wanted <= PRICE_LIMIT:
        raise OrderRefused("applyRefundSum", "is out of range")
    return [
        Refund(
            type="order.refund_requested",
            platform_order_id=number,
            refund_id=refund_id,
            amount=wanted,
            reason=text_of(row, "reason")[:REASON_LIMIT_CHARACTERS],
            requested_at=moment_or_none(row.get("applyTime")),
        )
    ]


# ---- Back


def carrier_number(parcel: Parcel) -> str:
    """Return JD's number of a carrier; a person is asked when nobody has said it."""
    number = parcel.company or CARRIERS.get(parcel.carrier.upper())
    if not number:
        raise PlatformRefused(Cure.ASK, "carrier", f"JD's number for the carrier {parcel.carrier!r} is not known")
    return number


def shipment_parameters(parcel: Parcel) -> dict[str, Any]:
    """Return the parameters of `jingdong.pop.order.shipment`."""
    return {
        "orderId": whole_number(parcel.platform_order_id),
        "logiCoprId": carrier_number(parcel),
        "logiNo": parcel.waybill,
    }


def stock_parameters(orders: Sequence[StockOrder]) -> dict[str, Any]:
    """Return the parameters of `jingdong.ware.stock.sku.set`, which takes full values only."""
    if any(order.delta for order in orders):
        raise ValueError("JD takes full stock values, no differences")
    stocks = [
        {"skuId": whole_number(o.listing_sku or o.listing_id), "stockNum": o.quantity, "storeId": 0} for o in orders
    ]
    return {"req": {"skuStocks": stocks}}


# ---- Values


def moment_or_none(value: Any) -> datetime | None:
    """Return the moment of a Shanghai wall clock or of milliseconds; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MILLISECONDS_LIMIT:
        moment = datetime.fromtimestamp(value // 1000, UTC).replace(microsecond=value % 1000 * 1000)
        return moment if YEAR_FIRST < moment.year < YEAR_LAST else None
    return values.moment_or_none(value)


def amount(field: str, value: Any) -> int:
    """Return an amount in fen by the field's unit."""
    return amount_of(UNITS, field, value)


def _optional(field: str, row: Mapping[str, Any]) -> int:
    value = row.get(field)
    return 0 if value in (None, "") else amount(field, value)


def whole_number(number: str) -> int:
    """Return an id as JD wants it in a call; PlatformRefused when it is none of JD's."""
    if number_or_none(number) is None:
        raise PlatformRefused(Cure.GIVE_UP, "id", "is not a number, and JD numbers all that it knows")
    return int(number)
