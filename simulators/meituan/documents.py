"""Orders and refunds as Meituan writes them: yuan as numbers, seconds since 1970, big ids as numbers, no line ids."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from simulators.meituan.dials import NAME, dials_of
from simulators.model import Line, Listing, PlatformOrder, Receiver, Refund, RefundStatus, Shop, Status

if TYPE_CHECKING:
    from simulators.market import Market

UNPAID, TO_CONFIRM, CONFIRMED, DONE, CANCELLED = 1, 2, 4, 8, 9
FULL_REDUCTION = 2  # the type of a reduction of the whole order
ONLINE, DELIVERED_BY_SHOP = 2, "0000"
WHOLE_REFUND, PART_REFUND = 1, 2
ANSWERED = {RefundStatus.APPLIED: 0, RefundStatus.AGREED: 2, RefundStatus.SUCCEEDED: 2, RefundStatus.CLOSED: 1}
COURIER = "meituan_courier"


def seconds(moment: datetime | None) -> int:
    """Write a moment; 0 stands for never."""
    return int(moment.timestamp()) if moment else 0


def yuan(fen: int) -> float:
    """Write an amount as the JSON number that Meituan sends."""
    return fen / 100


def number(text: str) -> int | str:
    """Write an id as the JSON number that it is."""
    return int(text) if text.isascii() and text.isdigit() else text


def status_of(order: PlatformOrder) -> int:
    """Return the order's status number: shipping shows only in the state of its delivery."""
    if order.status is Status.UNPAID:
        return UNPAID
    if order.status is Status.CLOSED:
        return CANCELLED
    if order.status is Status.DONE:
        return DONE
    return CONFIRMED if order.accepted_at else TO_CONFIRM


def order_document(market: "Market", shop: Shop, order: PlatformOrder) -> dict[str, Any]:
    """Return the data of getOrderDetail; a push of a paid order says the same, as form values."""
    dials = dials_of(market)
    reductions = [_reduction(line, FULL_REDUCTION) for line in order.lines if _reduced(line)]
    goods = [goods_document(line) for line in order.lines]
    benefits = [_benefit(line) for line in order.lines if _reduced(line)]
    nested = {"detail": goods, "extras": reductions, "sku_benefit_detail": benefits}
    before = sum(line.unit_price_fen * line.quantity for line in order.lines)
    courier = order.extra.get(COURIER, {})
    return {
        "order_id": number(order.order_id),
        "wm_order_id_view": number(order.order_id),
        "app_poi_code": shop.seller_id,
        "wm_poi_name": shop.name,
        "wm_poi_address": "",
        "wm_poi_phone": "",
        **_recipient(market, order),
        "shipping_fee": yuan(order.shipping_fee_fen),
        "total": yuan(order.total_fen),
        "original_price": yuan(before + order.shipping_fee_fen),
        "caution": order.note,
        "shipper_phone": courier.get("phone", ""),
        "status": status_of(order),
        "city_id": 0,
        "has_invoiced": 0,
        "invoice_title": "",
        "ctime": seconds(order.created_at),
        "utime": seconds(order.modified_at),
        "delivery_time": 0,
        "is_third_shipping": 0,
        "pay_type": ONLINE,
        "pick_type": 0,
        "day_seq": order.day_number,
        "is_pre_sale_order": False,
        "dinners_number": 0,
        "logistics_code": DELIVERED_BY_SHOP,
        "logistics_status": courier.get("status", 0),
        "package_bag_money": 0,
        "order_send_time": seconds(order.paid_at),
        "order_receive_time": seconds(order.paid_at),
        "order_confirm_time": seconds(order.accepted_at),
        "order_cancel_time": seconds(order.ended_at) if order.status is Status.CLOSED else 0,
        "order_completed_time": seconds(order.ended_at) if order.status is Status.DONE else 0,
        **({name: written(value) for name, value in nested.items()} if dials.details_as_text else nested),
    }


def goods_document(line: Line) -> dict[str, Any]:
    """Return one element of `detail`; the merchant's codes stand for what a platform id would be."""
    return {
        "app_food_code": spu_of(line.listing_id, line.outer_id),
        "app_spu_code": spu_of(line.listing_id, line.outer_id),
        "food_name": line.title,
        "sku_id": line.outer_id or line.sku_id,
        "upc": "",
        "quantity": line.quantity,
        "price": yuan(line.unit_price_fen),
        "actual_price": f"{line.unit_price_fen / 100:.2f}",
        "original_price": f"{line.unit_price_fen / 100:.2f}",
        "box_num": 0,
        "box_price": 0,
        "unit": "件",
        "food_discount": 1,
        "food_property": "",
        "cart_id": 0,
        "weight": 0,
    }


def spu_of(listing_id: str, outer_id: str) -> str:
    """Return the merchant's code of a product: its own listing id here, since one SKU is one listing."""
    return listing_id or outer_id


def sku_of(listing: Listing) -> str:
    """Return the merchant's code of a SKU, which Meituan calls sku_id."""
    return listing.outer_id or listing.sku_id


def stock_document(shop: Shop, listing: Listing) -> dict[str, Any]:
    """Return the data of retail/get, as far as stock is concerned."""
    sku = {"sku_id": sku_of(listing), "stock": str(listing.stock), "price": f"{listing.price_fen / 100:.2f}"}
    return {
        "app_poi_code": shop.seller_id,
        "app_food_code": spu_of(listing.listing_id, listing.outer_id),
        "app_spu_code": spu_of(listing.listing_id, listing.outer_id),
        "name": listing.title,
        "skus": written([sku]),
    }


def refund_document(order: PlatformOrder, refund: Refund) -> dict[str, Any]:
    """Return one element of getOrderRefundDetail."""
    return {
        "wm_order_id_view": number(order.order_id),
        "order_id": number(order.order_id),
        "refund_id": number(refund.refund_id),
        "ctime": seconds(refund.created_at),
        "utime": seconds(refund.modified_at),
        "refund_type": PART_REFUND if is_partial(order, refund) else WHOLE_REFUND,
        "res_type": ANSWERED[refund.status],
        "res_reason": "",
        "apply_type": 1,
        "apply_reason": refund.reason,
        "money": yuan(refund.amount_fen),
        "pictures": "",
        "service_type": "0",
        "wmAppRetailForOrderPartRefundList": refunded_goods(order, refund),
    }


def is_partial(order: PlatformOrder, refund: Refund) -> bool:
    """Tell whether a refund leaves something of the order."""
    return refund.amount_fen < order.total_fen


def refunded_goods(order: PlatformOrder, refund: Refund) -> list[dict[str, Any]]:
    """Return the goods of a partial refund."""
    lines = [line for line in order.lines if line.line_id == refund.line_id]
    return [
        {
            "app_food_code": spu_of(line.listing_id, line.outer_id),
            "sku_id": line.outer_id or line.sku_id,
            "food_name": line.title,
            "count": line.quantity,
            "food_price": yuan(line.unit_price_fen),
            "origin_food_price": yuan(line.unit_price_fen),
            "refund_price": yuan(refund.amount_fen // line.quantity),
        }
        for line in lines
    ]


def written(value: Any) -> str:
    """Write JSON as it stands inside a string."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _reduced(line: Line) -> int:
    return line.merchant_discount_fen + line.platform_discount_fen


def _reduction(line: Line, kind: int) -> dict[str, Any]:
    return {
        "act_detail_id": 0,
        "type": kind,
        "remark": "满减",
        "reduce_fee": yuan(_reduced(line)),
        "mt_charge": yuan(line.platform_discount_fen),
        "poi_charge": yuan(line.merchant_discount_fen),
    }


def _benefit(line: Line) -> dict[str, Any]:
    before = line.unit_price_fen * line.quantity
    return {
        "app_food_code": spu_of(line.listing_id, line.outer_id),
        "app_spu_code": spu_of(line.listing_id, line.outer_id),
        "sku_id": line.outer_id or line.sku_id,
        "name": line.title,
        "count": line.quantity,
        "originPrice": yuan(line.unit_price_fen),
        "totalOriginPrice": yuan(before),
        "totalReducePrice": yuan(_reduced(line)),
        "totalActivityPrice": yuan(before - _reduced(line)),
        "totalMtCharge": yuan(line.platform_discount_fen),
        "totalPoiCharge": yuan(line.merchant_discount_fen),
    }


def _recipient(market: "Market", order: PlatformOrder) -> dict[str, Any]:
    person, shown = order.receiver, market.dials[NAME].receivers
    name, phone = person.name, person.phone
    if shown in ("masked", "encrypted"):
        name, phone = f"{name[:1]}**", f"{phone[:3]}*****{phone[-3:]}"
    elif not shown:
        # Today a number is a privacy number with an extension, and the real one never shows.
        phone = f"1860000{int(order.order_id[-4:]):04d}_{order.order_id[-6:]}"
    return {
        "recipient_name": name,
        "recipient_phone": phone,
        "backup_recipient_phone": "[]",
        "recipient_address": _address(market, person),
        "latitude": 0,
        "longitude": 0,
    }


def _address(market: "Market", person: Receiver) -> str:
    found = f"{person.province}{person.city}{person.district}{person.town}{person.address}"
    return f"{person.address}@#{found}" if dials_of(market).address_looked_up else person.address
