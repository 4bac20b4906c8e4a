"""Trades, refunds and items as TOP writes them: yuan as text, Shanghai wall clocks, ids as numbers beyond 2**53."""

from typing import Any

from simulators.calls import yuan
from simulators.clock import wall
from simulators.model import Line, Listing, PlatformOrder, Refund, RefundStatus, Shop, Status
from simulators.persons import shown
from simulators.quirks import Dials

STATUS = {
    Status.UNPAID: "WAIT_BUYER_PAY",
    Status.PAID: "WAIT_SELLER_SEND_GOODS",
    Status.PART_SHIPPED: "SELLER_CONSIGNED_PART",
    Status.SHIPPED: "WAIT_BUYER_CONFIRM_GOODS",
    Status.DONE: "TRADE_FINISHED",
}
REFUND_STATUS = {RefundStatus.SUCCEEDED: "SUCCESS", RefundStatus.CLOSED: "CLOSED"}


def status_of(order: PlatformOrder) -> str:
    """Return the trade's status."""
    if order.status is Status.CLOSED:
        return "TRADE_CLOSED" if order.is_paid else "TRADE_CLOSED_BY_TAOBAO"
    return STATUS[order.status]


def refund_status_of(refund: Refund) -> str:
    """Return the refund's status: agreed ones wait for the goods if there are any to come back."""
    if refund.status is RefundStatus.AGREED and refund.after_shipping:
        return "WAIT_BUYER_RETURN_GOODS"
    return REFUND_STATUS.get(refund.status, "WAIT_SELLER_AGREE")


def trade(shop: Shop, order: PlatformOrder, dials: Dials) -> dict[str, Any]:
    """Return a whole trade; the gateway leaves out what was not asked for."""
    person = shown(order.receiver, dials.receivers, "masked", order.order_id)
    document: dict[str, Any] = {
        "tid": int(order.order_id),
        "tid_str": order.order_id,
        "status": status_of(order),
        "type": "fixed",
        "seller_nick": shop.name,
        "buyer_nick": order.buyer_nick[:1] + "**",
        "buyer_open_uid": order.buyer_id,
        "oaid": f"1{order.buyer_id}{order.order_id[-6:]}",
        "created": wall(order.created_at),
        "modified": wall(order.modified_at),
        "payment": yuan(order.total_fen),
        "total_fee": yuan(sum(line.unit_price_fen * line.quantity for line in order.lines)),
        "post_fee": yuan(order.shipping_fee_fen),
        "discount_fee": yuan(sum(line.platform_discount_fen for line in order.lines)),
        "adjust_fee": "0.00",
        "received_payment": yuan(order.total_fen if order.status is Status.DONE else 0),
        "receiver_name": person.name,
        "receiver_mobile": person.phone,
        "receiver_state": person.province,
        "receiver_city": person.city,
        "receiver_district": person.district,
        "receiver_town": person.town,
        "receiver_address": person.address,
        "receiver_zip": person.postcode or "000000",
        "buyer_message": order.note,
        "seller_memo": order.memo,
        "num": sum(line.quantity for line in order.lines),
        "orders": {"order": [_order(order, line) for line in order.lines]},
        "promotion_details": {
            "promotion_detail": [_promotion(line) for line in order.lines if line.platform_discount_fen]
        },
    }
    for name, moment in (("pay_time", order.paid_at), ("consign_time", order.shipped_at), ("end_time", order.ended_at)):
        if moment is not None:
            document[name] = wall(moment)
    return document


def _order(order: PlatformOrder, line: Line) -> dict[str, Any]:
    refund = next((r for r in reversed(order.refunds) if r.line_id in ("", line.line_id)), None)
    shipped = order.status is Status.PART_SHIPPED and line.shipped >= line.quantity
    waiting = STATUS[Status.PAID] if order.status is Status.PART_SHIPPED else status_of(order)
    status = STATUS[Status.SHIPPED] if shipped else waiting
    if order.is_refunded(line):
        status = "TRADE_CLOSED"
    total_fen = line.unit_price_fen * line.quantity - line.merchant_discount_fen
    return {
        "oid": int(line.line_id),
        "oid_str": line.line_id,
        "num_iid": int(line.listing_id),
        "sku_id": line.sku_id,
        "outer_sku_id": line.outer_id,
        "outer_iid": line.outer_id,
        "title": line.title,
        "num": line.quantity,
        "price": yuan(line.unit_price_fen),
        "discount_fee": yuan(line.merchant_discount_fen),
        "adjust_fee": "0.00",
        "total_fee": yuan(total_fen),
        "payment": yuan(total_fen),
        "part_mjz_discount": yuan(line.platform_discount_fen),
        "divide_order_fee": yuan(line.total_fen),
        "status": status,
        **_parcel_of(order, line),
        "refund_status": refund_status_of(refund) if refund else "NO_REFUND",
        **({"refund_id": int(refund.refund_id)} if refund else {}),
    }


def _parcel_of(order: PlatformOrder, line: Line) -> dict[str, Any]:
    """Return the newest waybill that carries a line; a correction replaces all before it."""
    for upload in reversed(order.uploads):
        named = {line_id for line_id, _quantity in upload.lines}
        if upload.kind in ("first", "corrected") and (not named or line.line_id in named) and line.shipped:
            return {"invoice_no": upload.waybill, "logistics_company": upload.carrier}
    return {}


def _promotion(line: Line) -> dict[str, Any]:
    return {
        "id": int(line.line_id),
        "promotion_name": "平台优惠",
        "promotion_desc": f"平台补贴:省{yuan(line.platform_discount_fen)}元",
        "discount_fee": yuan(line.platform_discount_fen),
        "promotion_id": f"platformCoupon-{line.line_id}",
    }


def refund_document(shop: Shop, refund: Refund) -> dict[str, Any]:
    """Return a refund."""
    order = shop.orders[refund.order_id]
    line = next((line for line in order.lines if line.line_id == refund.line_id), order.lines[0])
    return {
        "refund_id": int(refund.refund_id) if refund.refund_id.isdigit() else refund.refund_id,
        "tid": int(order.order_id),
        # The platform refunds line by line; a refund of a whole trade is played as one that names no line.
        **({"oid": int(line.line_id)} if refund.line_id or len(order.lines) == 1 else {}),
        "status": refund_status_of(refund),
        "refund_fee": yuan(refund.amount_fen),
        "payment": yuan(max(order.total_fen - refund.amount_fen, 0)),
        "total_fee": yuan(order.total_fen),
        "reason": refund.reason,
        "desc": "",
        "created": wall(refund.created_at),
        "modified": wall(refund.modified_at),
        "order_status": status_of(order),
        "good_status": "BUYER_RECEIVED" if refund.after_shipping else "BUYER_NOT_RECEIVED",
        "has_good_return": refund.after_shipping,
        "refund_phase": "aftersale" if refund.after_shipping else "onsale",
        "buyer_nick": order.buyer_nick[:1] + "**",
        "buyer_open_uid": order.buyer_id,
        "seller_nick": shop.name,
        "num_iid": int(line.listing_id),
        "num": line.quantity,
        "outer_id": line.outer_id,
        "title": line.title,
    }


def item(shop: Shop, listing_id: str, modified: str) -> dict[str, Any]:
    """Return an item with its SKUs."""
    skus = [listing for listing in shop.listings.values() if listing.listing_id == listing_id]
    return {
        "num_iid": int(listing_id),
        "title": skus[0].title,
        "nick": shop.name,
        "num": sum(listing.stock for listing in skus),
        "price": yuan(skus[0].price_fen),
        "outer_id": skus[0].outer_id,
        "modified": modified,
        "skus": {"sku": [sku(listing) for listing in skus]},
    }


def sku(listing: Listing) -> dict[str, Any]:
    """Return one SKU."""
    return {
        "sku_id": int(listing.sku_id),
        "num_iid": int(listing.listing_id),
        "quantity": listing.stock,
        "outer_id": listing.outer_id,
        "price": yuan(listing.price_fen),
    }
