"""Calls that report shipments: the shop's, by goods; and the mini-program's, by payment, with its tight budget."""

from collections import Counter
from datetime import datetime
from typing import Any

from simulators.model import ChangeKind, PlatformOrder, Status
from simulators.registry import Refused
from simulators.wechat.answers import Failed
from simulators.wechat.dials import dials_of
from simulators.wechat.documents import SETS
from simulators.wechat.gate import Call, number_of, text_of
from simulators.wechat.orders import payment_of

EXPRESS, WITHOUT_WAYBILL = 1, 3
LOGISTICS_TYPES = (1, 2, 3, 4)
WHOLE, SPLIT = 1, 2
BY_MERCHANT, BY_TRANSACTION = 1, 2
DESCRIPTION_LIMIT, CARRIER_LIMIT, WAYBILL_LIMIT = 120, 128, 128
PARCELS_PER_CALL_LIMIT = 50
EDITS = "wechat_delivery_edits"
EDITS_LIMIT = 1

Lines = tuple[tuple[str, int], ...]


def send_delivery(call: Call) -> dict[str, Any]:
    """ec/order/delivery/send: any number of parcels, each with its goods."""
    order = call.order()
    parcels = _parcels(call, order)
    if order.status not in (Status.PAID, Status.PART_SHIPPED):
        order.uploads_refused += 1
        raise Failed(100013)
    for carrier, waybill, lines in parcels:
        try:
            call.market.upload(call.shop, order, carrier, waybill, lines)
        except Refused:
            raise Failed(100013) from None
    return {}


def update_delivery(call: Call) -> dict[str, Any]:
    """ec/order/deliveryinfo/update: once, and only for orders that left in one parcel."""
    order = call.order()
    asked = call.params.get("delivery_list")
    if not isinstance(asked, list) or len(asked) != 1:
        raise Failed(40097)
    shipped = [upload for upload in order.uploads if upload.kind == "first"]
    if order.status is not Status.SHIPPED or len(shipped) != 1 or order.extra.get(EDITS, 0) >= EDITS_LIMIT:
        order.uploads_refused += 1
        raise Failed(100013)
    carrier, waybill = text_of(asked[0], "delivery_id"), text_of(asked[0], "waybill_id")
    if call.market.upload(call.shop, order, carrier, waybill, corrects=True).kind == "corrected":
        order.extra[EDITS] = order.extra.get(EDITS, 0) + 1
    return {}


def upload_shipping_info(call: Call) -> dict[str, Any]:
    """wxa/sec/order/upload_shipping_info: up to 15 parcels of a payment, and one chance to replace them."""
    order = _payment(call)
    mode, kind = call.params.get("delivery_mode"), call.params.get("logistics_type")
    if mode not in (WHOLE, SPLIT):
        raise Failed(268485224)
    if kind not in LOGISTICS_TYPES:
        raise Failed(10060005)
    if mode == SPLIT and kind != EXPRESS:
        raise Failed(10060006)
    if mode == SPLIT and not isinstance(call.params.get("is_all_delivered"), bool):
        raise Failed(10060007)
    parcels = _shipping_list(call, mode, kind)
    known: dict[str, Any] = order.extra.setdefault(SETS, {"shipping_list": [], "complete": False, "completed": 0})
    shipped_elsewhere = order.shipped_at is not None and not known["shipping_list"]
    if order.status in (Status.DONE, Status.CLOSED) or shipped_elsewhere:
        order.uploads_refused += 1
        raise Failed(10060004)
    if known["complete"]:
        _replace(call, order, known, parcels)
    else:
        _add(call, order, known, parcels, all_delivered=mode == WHOLE or call.params["is_all_delivered"] is True)
    known |= {"delivery_mode": mode, "logistics_type": kind}
    return {}


def _payment(call: Call) -> PlatformOrder:
    key = call.params.get("order_key")
    kind = key.get("order_number_type") if isinstance(key, dict) else None
    if not isinstance(key, dict) or kind not in (BY_MERCHANT, BY_TRANSACTION):
        raise Failed(268485194)
    if kind == BY_TRANSACTION and not key.get("transaction_id"):
        raise Failed(268485195)
    named = ("transaction_id",) if kind == BY_TRANSACTION else ("mchid", "out_trade_no")
    order = payment_of(call, {name: key.get(name) for name in named})
    age_s = (call.market.now() - order.paid_at).total_seconds() if order.paid_at else 0.0
    if age_s < dials_of(call.market).payment_unknown_s:
        order.uploads_refused += 1
        raise Failed(10060001)
    payer = call.params.get("payer")
    if not isinstance(payer, dict) or payer.get("openid") != order.buyer_id:
        raise Failed(10060031)
    try:
        moment = datetime.fromisoformat(str(call.params.get("upload_time")))
    except ValueError:
        raise Failed(268485216) from None
    if moment.tzinfo is None:
        raise Failed(268485216)
    return order


def _shipping_list(call: Call, mode: int, kind: int) -> list[dict[str, str]]:
    asked = call.params.get("shipping_list")
    if not isinstance(asked, list) or not asked:
        raise Failed(10060014)
    if len(asked) > (1 if mode == WHOLE else dials_of(call.market).parcels):
        raise Failed(10060024)
    parcels = []
    for each in asked:
        described = text_of(each, "item_desc", 10060008)
        if len(described) > DESCRIPTION_LIMIT:
            raise Failed(10060009)
        waybill, carrier = str(each.get("tracking_no") or ""), str(each.get("express_company") or "")
        if kind == EXPRESS and (not waybill or not carrier):
            raise Failed(10060014)
        if len(carrier) > CARRIER_LIMIT:
            raise Failed(10060025)
        if len(waybill) > WAYBILL_LIMIT:
            raise Failed(10060026)
        parcels.append({"tracking_no": waybill, "express_company": carrier, "item_desc": described})
    return parcels


def _add(
    call: Call, order: PlatformOrder, known: dict[str, Any], parcels: list[dict[str, str]], *, all_delivered: bool
) -> None:
    waybills = {parcel["tracking_no"] for parcel in known["shipping_list"]}
    new = [parcel for parcel in parcels if parcel["tracking_no"] not in waybills]
    if not new and not all_delivered:
        raise Failed(10060023)
    if len(known["shipping_list"]) + len(new) > dials_of(call.market).parcels:
        order.uploads_refused += 1
        raise Failed(10060024)
    forgotten = False
    for place, parcel in enumerate(new):
        last = all_delivered and place == len(new) - 1
        waybill = parcel["tracking_no"] or f"none-{order.order_id}"
        try:
            upload = call.market.upload(call.shop, order, parcel["express_company"], waybill, more=not last)
        except Refused:
            raise Failed(10060004) from None
        if upload.kind == "forgotten":
            forgotten = True
        else:
            known["shipping_list"].append(parcel)
    if not new:
        # Nothing new but that it was all: the order is shipped without another parcel.
        order.status = Status.SHIPPED
        call.market.changed(call.shop, order, ChangeKind.SHIPPED)
    if all_delivered and not forgotten:
        known["complete"], known["completed"] = True, 1


def _replace(call: Call, order: PlatformOrder, known: dict[str, Any], parcels: list[dict[str, str]]) -> None:
    if [_named(parcel) for parcel in parcels] == [_named(parcel) for parcel in known["shipping_list"]]:
        raise Failed(10060023)
    if known["completed"] > dials_of(call.market).reships:
        order.uploads_refused += 1
        raise Failed(10060003)
    for parcel in parcels:
        call.market.upload(call.shop, order, parcel["express_company"], parcel["tracking_no"], corrects=True)
    known["shipping_list"], known["completed"] = parcels, known["completed"] + 1


def _named(parcel: dict[str, str]) -> tuple[str, str]:
    return parcel["express_company"], parcel["tracking_no"]


def _parcels(call: Call, order: PlatformOrder) -> list[tuple[str, str, Lines]]:
    asked = call.params.get("delivery_list")
    if not isinstance(asked, list) or not 1 <= len(asked) <= PARCELS_PER_CALL_LIMIT:
        raise Failed(40097)
    left = Counter({line.line_id: line.quantity - line.shipped for line in order.lines})
    parcels = []
    for place, each in enumerate(asked):
        kind = number_of(each, "deliver_type", EXPRESS, WITHOUT_WAYBILL)
        if kind not in (EXPRESS, WITHOUT_WAYBILL):
            raise Failed(40097)
        carrier = text_of(each, "delivery_id") if kind == EXPRESS else "none"
        waybill = text_of(each, "waybill_id") if kind == EXPRESS else f"none-{order.order_id}-{place}"
        goods = each.get("product_infos")
        if not isinstance(goods, list) or not goods:
            raise Failed(40097)
        parcels.append((carrier, waybill, _taken(order, left, goods)))
    return parcels


def _taken(order: PlatformOrder, left: Counter[str], goods: list[Any]) -> Lines:
    """Take goods from what is left of an order's lines; several lines may sell the same SKU."""
    taken: list[tuple[str, int]] = []
    for each in goods:
        product, sku = text_of(each, "product_id"), text_of(each, "sku_id")
        wanted = number_of(each, "product_cnt", 1, 10**6)
        for line in order.lines:
            if (line.listing_id, line.sku_id) == (product, sku) and wanted and left[line.line_id]:
                count = min(wanted, left[line.line_id])
                taken.append((line.line_id, count))
                left[line.line_id] -= count
                wanted -= count
        if wanted:
            order.uploads_refused += 1
            raise Failed(100013, "商品数量不正确")
    return tuple(taken)
