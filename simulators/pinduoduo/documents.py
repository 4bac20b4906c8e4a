"""Orders, refunds and goods as Pinduoduo writes them: yuan as numbers, Shanghai wall clocks, encrypted receivers."""

from dataclasses import replace
from typing import Any

from simulators.calls import yuan
from simulators.clock import wall
from simulators.model import Line, Listing, PlatformOrder, Refund, RefundStatus, Shop, Status
from simulators.persons import masked, shown
from simulators.quirks import Dials

TO_SHIP, SHIPPED, SIGNED = 1, 2, 3
NO_REFUND, IN_WORK, REFUNDING, REFUNDED = 1, 2, 3, 4
PROMISE_S = 48 * 3600
AFTER_SALES = {
    RefundStatus.APPLIED: 2,
    RefundStatus.AGREED: 4,
    RefundStatus.SUCCEEDED: 10,
    RefundStatus.CLOSED: 11,
}


def amount(fen: int) -> float:
    """Write yuan as the JSON number that this platform sends."""
    return float(yuan(fen))


def order_status(order: PlatformOrder) -> int:
    """Return the shipping status."""
    if order.status is Status.DONE:
        return SIGNED
    return SHIPPED if order.status is Status.SHIPPED else TO_SHIP


def refund_status(order: PlatformOrder) -> int:
    """Return the order's refund status, that of the weightiest refund."""
    states = {refund.status for refund in order.refunds}
    if order.status is Status.CLOSED or RefundStatus.SUCCEEDED in states:
        return REFUNDED
    if RefundStatus.AGREED in states:
        return REFUNDING
    return IN_WORK if RefundStatus.APPLIED in states else NO_REFUND


def order_document(order: PlatformOrder, dials: Dials) -> dict[str, Any]:
    """Return a whole order."""
    person = shown(order.receiver, dials.receivers, "encrypted", order.order_id)
    if order.risky:
        person = replace(person, name="", phone="", address="")
    merchant_fen = sum(line.merchant_discount_fen for line in order.lines)
    platform_fen = sum(line.platform_discount_fen for line in order.lines)
    confirmed = order.paid_at or order.created_at
    last = order.uploads[-1] if order.uploads else None
    return {
        "order_sn": order.order_id,
        "order_status": order_status(order),
        "refund_status": refund_status(order),
        "after_sales_status": AFTER_SALES[order.refunds[-1].status] if order.refunds else 0,
        "confirm_status": 2 if order.status is Status.CLOSED else 1,
        "group_status": 1,
        "risk_control_status": 1 if order.risky else 0,
        "trade_type": 0,
        "is_pre_sale": 0,
        "is_lucky_flag": 1,
        "created_time": wall(order.created_at),
        "pay_time": wall(confirmed),
        "confirm_time": wall(confirmed),
        "updated_at": wall(order.modified_at),
        "shipping_time": wall(order.shipped_at) if order.shipped_at else "",
        "receive_time": wall(order.ended_at) if order.status is Status.DONE and order.ended_at else "",
        "last_ship_time": wall(confirmed.fromtimestamp(confirmed.timestamp() + PROMISE_S, confirmed.tzinfo)),
        "goods_amount": amount(sum(line.unit_price_fen * line.quantity for line in order.lines)),
        "discount_amount": amount(merchant_fen + platform_fen),
        "seller_discount": amount(merchant_fen),
        "platform_discount": amount(platform_fen),
        "postage": amount(order.shipping_fee_fen),
        "pay_amount": amount(order.total_fen),
        "pay_type": "ALIPAY",
        "pay_no": f"PAY{order.order_id.replace('-', '')}",
        **_masks(order),
        "receiver_name": person.name,
        "receiver_phone": person.phone,
        "receiver_address": person.address,
        "address": person.address,
        "country": "中国",
        "province": person.province,
        "city": person.city,
        "town": person.district,
        "open_address_id": f"oa{order.buyer_id}",
        "buyer_memo": order.note,
        "remark": order.memo,
        "logistics_id": int(last.carrier) if last and last.carrier.isdigit() else 0,
        "tracking_number": last.waybill if last else "",
        "item_list": [_item(line) for line in order.lines],
    }


def _masks(order: PlatformOrder) -> dict[str, str]:
    person = masked(order.receiver)
    blank = order.risky  # while the platform checks an order, it says nothing about the receiver
    return {
        "receiver_name_mask": "" if blank else person.name,
        "receiver_phone_mask": "" if blank else person.phone,
        "receiver_address_mask": "" if blank else person.address,
    }


def _item(line: Line) -> dict[str, Any]:
    return {
        "goods_id": int(line.listing_id),
        "sku_id": int(line.sku_id),
        "outer_id": line.outer_id,
        "outer_goods_id": line.outer_id,
        "goods_name": line.title,
        "goods_price": amount(line.unit_price_fen),
        "goods_count": line.quantity,
        "goods_spec": "标准",
        "goods_img": "",
    }


def refund_row(shop: Shop, refund: Refund) -> dict[str, Any]:
    """Return a refund as its list writes it: amounts and times as text."""
    order = shop.orders[refund.order_id]
    line = next((line for line in order.lines if line.line_id == refund.line_id), order.lines[0])
    return {
        "id": int(refund.refund_id),
        "order_sn": order.order_id,
        "after_sales_type": 3 if refund.after_shipping else 2,
        "after_sales_status": AFTER_SALES[refund.status],
        "after_sale_reason": refund.reason,
        "refund_amount": yuan(refund.amount_fen),
        "order_amount": yuan(order.total_fen),
        "discount_amount": yuan(sum(ln.merchant_discount_fen + ln.platform_discount_fen for ln in order.lines)),
        "confirm_time": wall(order.paid_at or order.created_at),
        "created_time": wall(refund.created_at),
        "updated_time": wall(refund.modified_at),
        "goods_id": int(line.listing_id),
        "sku_id": line.sku_id,
        "outer_id": line.outer_id,
        "goods_name": line.title,
        "goods_number": str(line.quantity),
        "goods_price": yuan(line.unit_price_fen),
        "user_shipping_status": "2" if refund.after_shipping else "1",
        "tracking_number": "",
        "speed_refund_flag": 0,
        "dispute_refund_status": 0,
    }


def goods_document(listings: list[Listing]) -> dict[str, Any]:
    """Return goods with the stock of their SKUs."""
    return {
        "goods_id": int(listings[0].listing_id),
        "goods_name": listings[0].title,
        "goods_quantity": sum(listing.stock for listing in listings),
        "sku_list": [
            {
                "sku_id": int(listing.sku_id),
                "outer_id": listing.outer_id,
                "outer_goods_id": listing.outer_id,
                "sku_quantity": listing.stock,
                "is_sku_onsale": 1,
            }
            for listing in listings
        ],
    }
