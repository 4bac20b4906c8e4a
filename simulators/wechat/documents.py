"""Orders, refunds and payments as WeChat writes them: fen, seconds since 1970, ids as strings."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from simulators.model import Line, PlatformOrder, Receiver, Refund, RefundStatus, Status, Upload
from simulators.wechat.dials import NAME

if TYPE_CHECKING:
    from simulators.market import Market

REFUNDED, CANCELLED = 200, 250
STATUS = {
    Status.UNPAID: 10,
    Status.PAID: 20,
    Status.PART_SHIPPED: 21,
    Status.SHIPPED: 30,
    Status.DONE: 100,
    Status.CLOSED: CANCELLED,
}
AFTER_SALE_STATUS = {
    RefundStatus.APPLIED: "MERCHANT_PROCESSING",
    RefundStatus.AGREED: "PLATFORM_REFUNDING",
    RefundStatus.SUCCEEDED: "MERCHANT_REFUND_SUCCESS",
    RefundStatus.CLOSED: "USER_CANCELD",  # the spelling is theirs
}
SELF_DELIVERED = 1
PAYMENT_PREFIX, PAYMENT_SUFFIX = "42000", "0000"
MERCHANT_ID = "1900000109"
SETS = "wechat_shipping"


def seconds(moment: datetime | None) -> int:
    """Write a moment; 0 stands for never."""
    return int(moment.timestamp()) if moment else 0


def status_of(order: PlatformOrder) -> int:
    """Return the order's status number."""
    return REFUNDED if order.close_reason == "refunded" else STATUS[order.status]


def transaction_of(order: PlatformOrder) -> str:
    """Return the payment's own number, which mini-programs ship by."""
    return f"{PAYMENT_PREFIX}{order.order_id}{PAYMENT_SUFFIX}" if order.is_paid else ""


def order_of_transaction(transaction_id: str) -> str:
    """Return the order that a payment's number belongs to, if it is one."""
    return transaction_id.removeprefix(PAYMENT_PREFIX).removesuffix(PAYMENT_SUFFIX)


def order_document(market: "Market", order: PlatformOrder) -> dict[str, Any]:
    """Return the `order` of ec/order/get."""
    shown = market.dials[NAME].receivers or "masked"
    before = sum(line.unit_price_fen * line.quantity for line in order.lines)
    discount = before - order.goods_fen
    unsettled = [r for r in order.refunds if r.status in (RefundStatus.APPLIED, RefundStatus.AGREED)]
    return {
        "order_id": order.order_id,
        "status": status_of(order),
        "create_time": seconds(order.created_at),
        "update_time": seconds(order.modified_at),
        "openid": order.buyer_id,
        "unionid": "",
        "order_detail": {
            "product_infos": [_product(order, line) for line in order.lines],
            "price_info": {
                "product_price": before,
                "order_price": order.total_fen,
                "original_order_price": before + order.shipping_fee_fen,
                "freight": order.shipping_fee_fen,
                "discounted_price": discount,
                "merchant_discounted_price": sum(line.merchant_discount_fen for line in order.lines),
                "is_discounted": discount > 0,
                "change_down_price": 0,
            },
            "pay_info": {
                "pay_time": seconds(order.paid_at),
                "prepay_id": f"wx{order.order_id}",
                "prepay_time": seconds(order.created_at),
                "transaction_id": transaction_of(order),
                "payment_method": 1,
            },
            "delivery_info": {
                "address_info": address(order.receiver, shown, order.order_id),
                "delivery_product_info": _parcels(order),
                "ship_done_time": seconds(order.shipped_at) if order.status in (Status.SHIPPED, Status.DONE) else 0,
                "deliver_method": 0,
            },
            "ext_info": {"customer_notes": order.note, "merchant_notes": order.memo},
            "commission_infos": [],
        },
        "aftersale_detail": {
            "on_aftersale_order_cnt": len(unsettled),
            "aftersale_order_list": [{"aftersale_order_id": refund.refund_id} for refund in order.refunds],
        },
    }


def address(person: Receiver, shown: str, order_id: str) -> dict[str, Any]:
    """Return who gets the parcel: masked today, clear after ec/order/sensitiveinfo/decode."""
    name, phone, detail = person.name, person.phone, person.address
    if shown != "clear":
        name, phone, detail = f"{name[:1]}**", f"{phone[:3]}****{phone[-4:]}", f"{detail[:2]}****"
    return {
        "user_name": name,
        "postal_code": person.postcode,
        "province_name": person.province,
        "city_name": person.city,
        "county_name": person.district,
        "detail_info": detail,
        "house_number": "",
        "national_code": "",
        "tel_number": phone,
        "use_tel_number": 1,
        "virtual_order_tel_number": "",
        "hash_code": f"hash{order_id}",
    }


def _product(order: PlatformOrder, line: Line) -> dict[str, Any]:
    about = [refund for refund in order.refunds if refund.line_id in ("", line.line_id)]
    going = any(refund.status in (RefundStatus.APPLIED, RefundStatus.AGREED) for refund in about)
    done = any(refund.status is RefundStatus.SUCCEEDED for refund in about)
    return {
        "product_id": line.listing_id,
        "sku_id": line.sku_id,
        "sku_code": line.outer_id,
        "out_product_id": "",
        "out_sku_id": "",
        "title": line.title,
        "thumb_img": "",
        "sku_cnt": line.quantity,
        "sale_price": line.unit_price_fen,
        "market_price": line.unit_price_fen,
        "real_price": line.total_fen,
        "estimate_price": line.total_fen,
        "is_discounted": line.total_fen < line.unit_price_fen * line.quantity,
        "merchant_discounted_price": line.merchant_discount_fen,
        "is_change_price": False,
        "change_price": 0,
        "sku_attrs": [{"attr_key": "规格", "attr_value": "默认"}],
        "on_aftersale_sku_cnt": line.quantity if going else 0,
        "finish_aftersale_sku_cnt": line.quantity if done else 0,
    }


def parcels(order: PlatformOrder) -> list[Upload]:
    """Return what was shipped, as corrected since."""
    known: list[Upload] = []
    for upload in order.uploads:
        if upload.kind == "corrected" and known:
            known[-1] = Upload(known[-1].at, upload.carrier, upload.waybill, known[-1].lines)
        elif upload.kind == "first":
            known.append(upload)
    return known


def _parcels(order: PlatformOrder) -> list[dict[str, Any]]:
    by_id = {line.line_id: line for line in order.lines}
    return [
        {
            "waybill_id": parcel.waybill,
            "delivery_id": parcel.carrier,
            "delivery_name": parcel.carrier,
            "delivery_time": seconds(parcel.at),
            "deliver_type": SELF_DELIVERED,
            "product_infos": [
                {"product_id": by_id[name].listing_id, "sku_id": by_id[name].sku_id, "product_cnt": count}
                for name, count in parcel.lines or [(line.line_id, line.quantity) for line in order.lines]
            ],
        }
        for parcel in parcels(order)
    ]


def refund_document(order: PlatformOrder, refund: Refund) -> dict[str, Any]:
    """Return the `after_sale_order` of ec/aftersale/getaftersaleorder: it names one product, and so the first."""
    line = next((line for line in order.lines if line.line_id == refund.line_id), order.lines[0])
    return {
        "after_sale_order_id": refund.refund_id,
        "order_id": order.order_id,
        "status": AFTER_SALE_STATUS[refund.status],
        "openid": order.buyer_id,
        "unionid": "",
        "type": "REFUND",
        "reason": refund.reason,
        "product_info": {"product_id": line.listing_id, "sku_id": line.sku_id, "count": line.quantity},
        "refund_info": {"amount": refund.amount_fen},
        "return_info": {"waybill_id": "", "delivery_id": "", "delivery_name": ""},
        "merchant_upload_info": {"reject_reason": "", "refund_certificates": []},
        "details": {
            "desc": refund.reason,
            "receive_product": refund.after_shipping,
            "cancel_time": 0,
            "prove_imgs": [],
        },
        "create_time": seconds(refund.created_at),
        "update_time": seconds(refund.modified_at),
    }


def payment_document(order: PlatformOrder) -> dict[str, Any]:
    """Return the `order` of sec/order/get_order: a payment, and what was told about its shipment."""
    sets: dict[str, Any] = order.extra.get(SETS, {})
    return {
        "transaction_id": transaction_of(order),
        "merchant_id": MERCHANT_ID,
        "merchant_trade_no": order.order_id,
        "openid": order.buyer_id,
        "paid_amount": order.total_fen,
        "pay_time": seconds(order.paid_at),
        "order_state": _payment_state(order),
        "in_complaint": False,
        "shipping": {
            "delivery_mode": sets.get("delivery_mode", 0),
            "logistics_type": sets.get("logistics_type", 0),
            "finish_shipping": bool(sets.get("complete")),
            "finish_shipping_count": sets.get("completed", 0),
            "goods_desc": "",
            "shipping_list": sets.get("shipping_list", []),
        },
    }


def _payment_state(order: PlatformOrder) -> int:
    if order.status is Status.CLOSED:
        return 5
    if order.status is Status.DONE:
        return 4
    return 2 if order.status is Status.SHIPPED else 1
