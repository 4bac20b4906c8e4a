"""Orders and refunds as Douyin writes them: fen, seconds since 1970, ids as strings here and as numbers there."""

from datetime import datetime
from typing import Any

from simulators.douyin.receivers import receiver
from simulators.model import Line, Listing, PlatformOrder, Refund, RefundStatus, Shop, Status, Upload

STATUS = {
    Status.UNPAID: 1,
    Status.PAID: 2,
    Status.PART_SHIPPED: 101,
    Status.SHIPPED: 3,
    Status.CLOSED: 4,
    Status.DONE: 5,
}
STATUS_WORDS = {
    1: "待支付",
    105: "已支付",
    2: "待发货",
    101: "部分发货",
    3: "已发货",
    4: "已关闭",
    5: "已完成",
    21: "发货前退款完结",
}
PAID_AND_CHECKED = 105
REFUNDED_BEFORE_SHIPPING = 21
REFUND_AFTER_SHIPPING, REFUND_BEFORE_SHIPPING = 1, 2  # 0, goods sent back as well, is not played
AFTER_SALE_STATUS = {
    RefundStatus.APPLIED: 6,
    RefundStatus.AGREED: 11,
    RefundStatus.SUCCEEDED: 12,
    RefundStatus.CLOSED: 28,
}
AFTER_SALE_WORDS = {6: "待商家处理", 11: "待商家二次同意", 12: "退款成功", 28: "售后关闭"}
REFUND_STATUS = {
    RefundStatus.APPLIED: 1,
    RefundStatus.AGREED: 2,
    RefundStatus.SUCCEEDED: 3,
    RefundStatus.CLOSED: 1,  # a withdrawn refund keeps its first state, says the document
}


def seconds(moment: datetime | None) -> int:
    """Write a moment; 0 stands for never."""
    return int(moment.timestamp()) if moment else 0


def number(text: str) -> int | str:
    """Write an id as the JSON number that it is."""
    return int(text) if text.isascii() and text.isdigit() else text


def status_of(order: PlatformOrder) -> int:
    """Return the order's status number."""
    return PAID_AND_CHECKED if order.status is Status.PAID and order.risky else STATUS[order.status]


def after_sale_type(refund: Refund) -> int:
    """Return whether the refund is of shipped goods."""
    return REFUND_AFTER_SHIPPING if refund.after_shipping else REFUND_BEFORE_SHIPPING


def order_document(shop: Shop, order: PlatformOrder, shown: str) -> dict[str, Any]:
    """Return `shop_order_detail`, which is also a row of searchList."""
    status = status_of(order)
    main_status = REFUNDED_BEFORE_SHIPPING if order.close_reason == "refunded" else status
    shop_discount = sum(line.merchant_discount_fen for line in order.lines)
    platform_discount = sum(line.platform_discount_fen for line in order.lines)
    person = receiver(order, shown)
    return {
        "shop_id": number(shop.seller_id),
        "shop_name": shop.name,
        "open_id": "",
        "doudian_open_id": f"1@#{order.buyer_id}",
        "order_id": order.order_id,
        "order_level": 2,
        "biz": 2,
        "biz_desc": "小店自卖",
        "order_type": 0,
        "order_type_desc": "普通订单",
        **_states(status, main_status),
        **_moments(order),
        "cancel_reason": order.close_reason,
        "buyer_words": order.note,
        "seller_words": order.memo,
        "pay_type": 2,
        "channel_payment_no": f"4{order.order_id}" if order.is_paid else "",
        "order_amount": order.total_fen + shop_discount + platform_discount,
        "pay_amount": order.total_fen,
        "post_amount": order.shipping_fee_fen,
        "post_origin_amount": order.shipping_fee_fen,
        "post_promotion_amount": 0,
        **_promotions(shop_discount, platform_discount),
        "total_promotion_amount": shop_discount + platform_discount,
        **person,
        "logistics_info": _parcels(order),
        "sku_order_list": [_line_document(order, line, status, person) for line in order.lines],
        "pre_sale_type": 0,
        "seller_remark_stars": 0,
        "user_tag_ui": [],
        "shop_order_tag_ui": [],
    }


def _states(status: int, main_status: int) -> dict[str, Any]:
    return {
        "order_status": status,
        "order_status_desc": STATUS_WORDS[status],
        "main_status": main_status,
        "main_status_desc": STATUS_WORDS[main_status],
    }


def _moments(order: PlatformOrder) -> dict[str, int]:
    paid = seconds(order.paid_at)
    return {
        "create_time": seconds(order.created_at),
        "pay_time": paid,
        "update_time": seconds(order.modified_at),
        "finish_time": seconds(order.ended_at),
        "ship_time": seconds(order.shipped_at),
        "exp_ship_time": paid + 48 * 3600 if paid else 0,
        "order_expire_time": 1800,
    }


def _promotions(shop: int, platform: int) -> dict[str, int]:
    return {
        "promotion_amount": shop + platform,
        "promotion_shop_amount": shop,
        "promotion_platform_amount": platform,
        "promotion_talent_amount": 0,
        "promotion_pay_amount": 0,
        "shop_cost_amount": shop,
        "platform_cost_amount": platform,
        "only_platform_cost_amount": platform,
        "author_cost_amount": 0,
        "modify_amount": 0,
        "modify_post_amount": 0,
    }


def _line_document(order: PlatformOrder, line: Line, status: int, person: dict[str, Any]) -> dict[str, Any]:
    post = order.shipping_fee_fen if line is order.lines[0] else 0
    before = line.unit_price_fen * line.quantity
    return {
        "order_id": line.line_id,
        "parent_order_id": order.order_id,
        "order_level": 3,
        **_states(status, status),
        **_moments(order),
        "product_id": number(line.listing_id),
        "product_id_str": line.listing_id,
        "product_name": line.title,
        "sku_id": number(line.sku_id),
        "code": line.outer_id,
        "out_sku_id": "",
        "out_product_id": "",
        "spec": [{"name": "规格", "value": "默认"}],
        "goods_type": 0,
        "item_num": line.quantity,
        "origin_amount": line.unit_price_fen,
        "sum_amount": before,
        "order_amount": before + post,
        "pay_amount": line.total_fen + post,
        "post_amount": post,
        **_promotions(line.merchant_discount_fen, line.platform_discount_fen),
        "after_sale_info": _after_sale_of_line(order, line),
        "given_product_type": "",
        "receive_type": 1,
        **person,
    }


def _after_sale_of_line(order: PlatformOrder, line: Line) -> dict[str, int]:
    about = [refund for refund in order.refunds if refund.line_id in ("", line.line_id)]
    if not about:
        return {"after_sale_status": 0, "after_sale_type": 0, "refund_status": 0}
    refund = about[-1]
    return {
        "after_sale_status": AFTER_SALE_STATUS[refund.status],
        "after_sale_type": after_sale_type(refund),
        "refund_status": REFUND_STATUS[refund.status],
    }


def parcels(order: PlatformOrder) -> list[Upload]:
    """Return what was shipped, as corrected since: a correction that names lines is of their parcel."""
    known: list[Upload] = []
    for upload in order.uploads:
        if upload.kind == "corrected" and known:
            named = (place for place, pack in enumerate(known) if upload.lines and pack.lines == upload.lines)
            place = next(named, len(known) - 1)
            known[place] = Upload(known[place].at, upload.carrier, upload.waybill, known[place].lines)
        elif upload.kind == "first":
            known.append(upload)
    return known


def pack_id(order: PlatformOrder, place: int) -> str:
    """Return the id of an order's parcel."""
    return f"{order.order_id}{place + 1:02d}"


def _parcels(order: PlatformOrder) -> list[dict[str, Any]]:
    by_id = {line.line_id: line for line in order.lines}
    return [
        {
            "tracking_no": parcel.waybill,
            "company": parcel.carrier,
            "company_name": parcel.carrier,
            "ship_time": seconds(parcel.at),
            "delivery_id": pack_id(order, place),
            "product_info": [
                {
                    "product_name": by_id[line_id].title,
                    "price": by_id[line_id].unit_price_fen,
                    "outer_sku_id": by_id[line_id].outer_id,
                    "sku_id": number(by_id[line_id].sku_id),
                    "product_id": number(by_id[line_id].listing_id),
                    "product_id_str": by_id[line_id].listing_id,
                    "sku_order_id": line_id,
                    "product_count": quantity,
                }
                for line_id, quantity in parcel.lines or [(line.line_id, line.quantity) for line in order.lines]
            ],
        }
        for place, parcel in enumerate(parcels(order))
    ]


def refund_row(order: PlatformOrder, refund: Refund) -> dict[str, Any]:
    """Return an item of afterSale/List: here its ids are strings."""
    lines = refund_lines(order, refund)
    status = AFTER_SALE_STATUS[refund.status]
    return {
        "aftersale_info": {
            "aftersale_id": refund.refund_id,
            "aftersale_order_type": 1 if refund.line_id else 2,
            "aftersale_type": after_sale_type(refund),
            "aftersale_status": status,
            "related_id": refund.line_id or order.order_id,
            "apply_time": seconds(refund.created_at),
            "create_time": seconds(refund.created_at),
            "update_time": seconds(refund.modified_at),
            "refund_amount": refund.amount_fen,
            "refund_post_amount": 0,  # whether the amount before holds it is told nowhere: so there is none
            "aftersale_num": sum(line.quantity for line in lines),
            "refund_status": REFUND_STATUS[refund.status],
            "arbitrate_status": 0,
            "got_pkg": int(refund.after_shipping),
        },
        "order_info": {
            "shop_order_id": order.order_id,
            "related_order_info": [
                {
                    "sku_order_id": line.line_id,
                    "order_status": status_of(order),
                    "pay_amount": line.total_fen,
                    "item_num": line.quantity,
                    "create_time": seconds(order.created_at),
                    "product_name": line.title,
                    "product_id": number(line.listing_id),
                    "shop_sku_code": line.outer_id,
                    "aftersale_pay_amount": line.total_fen,
                    "aftersale_item_num": line.quantity,
                    "price": line.unit_price_fen,
                }
                for line in lines
            ],
        },
        "text_part": {"aftersale_status_text": AFTER_SALE_WORDS[status], "reason_text": refund.reason},
        "seller_logs": [],
    }


def refund_document(order: PlatformOrder, refund: Refund) -> dict[str, Any]:
    """Return the data of afterSale/Detail: here its ids are numbers beyond 2**53."""
    status = AFTER_SALE_STATUS[refund.status]
    return {
        "process_info": {
            "after_sale_info": {
                "after_sale_id": number(refund.refund_id),
                "after_sale_status": status,
                "after_sale_status_desc": AFTER_SALE_WORDS[status],
                "after_sale_type": after_sale_type(refund),
                "refund_status": REFUND_STATUS[refund.status],
                "refund_total_amount": refund.amount_fen,
                "refund_post_amount": 0,
                "refund_promotion_amount": 0,
                "apply_time": seconds(refund.created_at),
                "update_time": seconds(refund.modified_at),
                "reason": refund.reason,
                "reason_code": 0,
                "reason_remark": "",
                "after_sale_apply_count": sum(line.quantity for line in refund_lines(order, refund)),
            }
        },
        "order_info": {
            "shop_order_id": number(order.order_id),
            "sku_order_infos": [
                {
                    "sku_order_id": number(line.line_id),
                    "order_status": status_of(order),
                    "pay_amount": line.total_fen,
                    "item_quantity": line.quantity,
                    "sku_id": number(line.sku_id),
                    "product_id": number(line.listing_id),
                    "product_name": line.title,
                    "shop_sku_code": line.outer_id,
                    "after_sale_item_count": line.quantity,
                }
                for line in refund_lines(order, refund)
            ],
        },
    }


def refund_lines(order: PlatformOrder, refund: Refund) -> list[Line]:
    """Return what a refund is about."""
    return [line for line in order.lines if refund.line_id in ("", line.line_id)]


def stock_document(listing: Listing) -> dict[str, Any]:
    """Return the data of sku/stockNum."""
    return {
        "sku_id": number(listing.sku_id),
        "code": listing.outer_id,
        "sku_type": 0,
        "stock_num": listing.stock,
        "normal_stock_num": listing.stock,
        "prehold_stock_num": 0,
        "prom_stock_num": 0,
        "step_stock_num": 0,
        "stock_num_map": {},
    }
