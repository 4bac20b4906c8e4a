"""Orders and after-sale documents as JD writes them: yuan as text, ids as text, Shanghai wall clocks."""

from typing import Any

from simulators.calls import yuan
from simulators.clock import wall
from simulators.model import Line, PlatformOrder, Refund, RefundStatus, Shop, Status
from simulators.persons import shown
from simulators.quirks import Dials

OPEN_REFUNDS = (RefundStatus.APPLIED, RefundStatus.AGREED)
SUCCESS, FAILURE = 13, 14  # of money in an after-sale document
APPLIED, AGREED, REFUSED_BY_SHOP, PAID_BACK = 0, 1, 2, 3  # of an application to cancel


def state_of(order: PlatformOrder) -> str:
    """Return the order's state. An unshipped order whose buyer wants to cancel is locked."""
    if order.status is Status.UNPAID:
        return "NOT_PAY"
    if order.status in (Status.PAID, Status.PART_SHIPPED):
        asked = any(r.status in OPEN_REFUNDS and not r.after_shipping for r in order.refunds)
        return "LOCKED" if asked else "WAIT_SELLER_STOCK_OUT"
    if order.status is Status.SHIPPED:
        return "WAIT_GOODS_RECEIVE_CONFIRM"
    return "FINISHED_L" if order.status is Status.DONE else "TRADE_CANCELED"


def order_document(shop: Shop, order: PlatformOrder, dials: Dials) -> dict[str, Any]:
    """Return a whole order; the gateway leaves out what was not asked for."""
    person = shown(order.receiver, dials.receivers, "encrypted", order.order_id)
    goods_fen = sum(line.unit_price_fen * line.quantity for line in order.lines)
    merchant_fen = sum(line.merchant_discount_fen for line in order.lines)
    shipped = [upload for upload in order.uploads if upload.kind in ("first", "corrected")]
    return {
        "orderId": order.order_id,
        "venderId": shop.seller_id,
        "orderType": "22",
        "payType": "4-在线支付",
        "orderTotalPrice": yuan(goods_fen),
        "orderSellerPrice": yuan(goods_fen - merchant_fen),
        "orderPayment": yuan(order.total_fen),
        "freightPrice": yuan(order.shipping_fee_fen),
        "sellerDiscount": yuan(merchant_fen),
        "balanceUsed": "0.00",
        "orderState": state_of(order),
        "orderStateRemark": "",
        "deliveryType": "任意时间",
        "orderRemark": order.note,
        "venderRemark": order.memo,
        "orderStartTime": wall(order.created_at),
        "orderEndTime": wall(order.ended_at) if order.ended_at else "0001-01-01 00:00:00",
        "paymentConfirmTime": wall(order.paid_at) if order.paid_at else "0001-01-01 00:00:00",
        "modified": wall(order.modified_at),
        "outBoundDate": wall(order.shipped_at) if order.shipped_at else "0001-01-01 00:00:00",
        "waybill": ",".join(upload.waybill for upload in shipped),
        "logisticsId": "|".join(dict.fromkeys(upload.carrier for upload in shipped)),
        "open_id_buyer": order.buyer_id,
        "pin": "",
        "consigneeInfo": {
            "fullname": person.name,
            "mobile": person.phone,
            "telephone": person.phone,
            "fullAddress": person.address
            if person.address != order.receiver.address
            else f"{person.province}{person.city}{person.district}{person.address}",
            "province": person.province,
            "city": person.city,
            "county": person.district,
            "town": person.town,
        },
        "itemInfoList": [_item(line) for line in order.lines],
        "couponDetailList": [coupon for line in order.lines for coupon in _coupons(order, line)],
        "returnOrder": "0",
    }


def _item(line: Line) -> dict[str, str]:
    return {
        "skuId": line.sku_id,
        "outerSkuId": line.outer_id,
        "skuName": line.title,
        "jdPrice": yuan(line.unit_price_fen),
        "itemTotal": str(line.quantity),
        "wareId": line.listing_id,
        "productNo": line.outer_id,
        "giftPoint": "0",
    }


def _coupons(order: PlatformOrder, line: Line) -> list[dict[str, str]]:
    row = {"orderId": order.order_id, "skuId": line.sku_id}
    coupons = []
    if line.merchant_discount_fen:
        price = yuan(line.merchant_discount_fen)
        coupons.append({**row, "couponType": "30-单品促销优惠", "couponPrice": price})
    if line.platform_discount_fen:
        price = yuan(line.platform_discount_fen)
        coupons.append({**row, "couponType": "41-京东券优惠", "couponPrice": price})
    return coupons


def application(refund: Refund, order: PlatformOrder) -> dict[str, Any]:
    """Return an application to cancel before shipping: amounts in fen."""
    status = {RefundStatus.APPLIED: APPLIED, RefundStatus.AGREED: AGREED, RefundStatus.CLOSED: REFUSED_BY_SHOP}
    return {
        "id": refund.refund_id,
        "orderId": order.order_id,
        "buyerId": "",
        "buyerName": "",
        "openIdBuyer": order.buyer_id,
        "applyTime": wall(refund.created_at),
        "applyRefundSum": str(refund.amount_fen),
        "status": status.get(refund.status, PAID_BACK),
        "checkTime": "" if refund.status is RefundStatus.APPLIED else wall(refund.modified_at),
        "checkUserName": "" if refund.status is RefundStatus.APPLIED else "system",
        "reason": refund.reason,
    }


def after_sale(refund: Refund, order: PlatformOrder) -> dict[str, Any]:
    """Return an after-sale document with its money: yuan, times in milliseconds."""
    line = next((line for line in order.lines if line.line_id == refund.line_id), order.lines[0])
    settled = refund.status is not RefundStatus.APPLIED
    document: dict[str, Any] = {
        "sameOrderServiceBill": {
            "serviceId": int(refund.refund_id),
            "afsApplyId": int(refund.refund_id),
            "orderId": int(order.order_id),
            "wareId": int(line.sku_id),
            "wareName": line.title,
            "afsApplyTime": int(refund.created_at.timestamp() * 1000),
            "applyReason": refund.reason,
            "questionDesc": refund.reason,
            "customerPin": "",
            **({"approveDate": int(refund.modified_at.timestamp() * 1000)} if settled else {}),
        },
    }
    if refund.status in (RefundStatus.SUCCEEDED, RefundStatus.CLOSED):
        document |= {
            "afsRefundId": int(refund.refund_id),
            "refoundAmount": yuan(refund.amount_fen),
            "status": SUCCESS if refund.status is RefundStatus.SUCCEEDED else FAILURE,
            "completeTime": int(refund.modified_at.timestamp() * 1000),
        }
    return document
