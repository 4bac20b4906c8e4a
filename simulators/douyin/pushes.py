"""What Douyin says by itself: an array of tagged messages with JSON inside JSON, its raw body signed."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulators.douyin.dials import NAME, dials_of
from simulators.douyin.documents import (
    AFTER_SALE_STATUS,
    after_sale_type,
    number,
    pack_id,
    parcels,
    refund_lines,
    seconds,
    status_of,
)
from simulators.douyin.receivers import ENCRYPTED, receiver
from simulators.douyin.signing import event_signature
from simulators.model import Change, ChangeKind, PlatformOrder, Refund, Shop
from simulators.pushes import HttpPush, Push

if TYPE_CHECKING:
    from simulators.market import Market

TAGS = {
    ChangeKind.CREATED: "100",
    ChangeKind.PAID: "101",
    ChangeKind.SHIPPED: "102",
    ChangeKind.DONE: "103",
    ChangeKind.ADDRESS_CHANGED: "105",
    ChangeKind.CLOSED: "106",
    ChangeKind.PART_SHIPPED: "108",
    ChangeKind.MEMO_CHANGED: "113",
    ChangeKind.REFUND_CREATED: "200",
    ChangeKind.REFUND_AGREED: "201",
    ChangeKind.REFUND_SUCCEEDED: "206",
    ChangeKind.REFUND_CLOSED: "207",
}
PAID_PENDING, PROBE = "110", "0"
REFUND_TIMES = {
    ChangeKind.REFUND_AGREED: "agree_time",
    ChangeKind.REFUND_SUCCEEDED: "success_time",
    ChangeKind.REFUND_CLOSED: "close_time",
}
ANSWER_LIMIT_S = 5.0
LAST_MESSAGE = "douyin_last_message"

Message = dict[str, str]


def pushes_of(market: "Market", shop: Shop, change: Change) -> Sequence[Push]:
    """Return the push of a change, in an array that may repeat the order's message before it."""
    tag = TAGS.get(change.kind)
    if tag is None or not shop.push_url:
        return ()
    if change.kind is ChangeKind.PAID and change.order.risky:
        tag = PAID_PENDING
    dials = market.dials[NAME]
    order, refund = change.order, change.refund
    said = refund_data(shop, refund, change) if refund else order_data(shop, change, dials.receivers or ENCRYPTED)
    if dials.pushes_thin:
        said = {name: said[name] for name in ("p_id", "shop_id", "aftersale_id", "order_status") if name in said}
    message = {"tag": tag, "msg_id": f"{int(order.order_id) % 10**10}#{len(order.history)}", "data": _written(said)}
    last = order.extra.get(LAST_MESSAGE)
    order.extra[LAST_MESSAGE] = message
    array = [message, last] if last and dials_of(market).arrays_repeat else [message]
    return (_push(market, shop, tag, refund.refund_id if refund else order.order_id, array),)


def probe(market: "Market", shop: Shop) -> Push:
    """Return the message that tries a new address; it wants the same answer."""
    return _push(market, shop, PROBE, "", [{"tag": PROBE, "msg_id": PROBE, "data": _written({"probe": True})}])


def order_data(shop: Shop, change: Change, shown: str) -> dict[str, Any]:
    """Return what a message says about an order."""
    order, at = change.order, seconds(change.at)
    said: dict[str, Any] = {
        "p_id": number(order.order_id),
        "s_ids": [number(line.line_id) for line in order.lines],
        "shop_id": number(shop.seller_id),
        "order_status": status_of(order),
        "order_type": 0,
        "biz": 2,
    }
    if change.kind is ChangeKind.CREATED:
        return {**said, "create_time": seconds(order.created_at)}
    if change.kind is ChangeKind.PAID:
        return {**said, "pay_amount": order.total_fen, "pay_time": seconds(order.paid_at), "pay_type": 2}
    if change.kind is ChangeKind.CLOSED:
        return {**said, "cancel_reason": order.close_reason, "cancel_time": at}
    if change.kind is ChangeKind.MEMO_CHANGED:
        return {"p_id": said["p_id"], "shop_id": said["shop_id"], "remark": order.memo, "star": 0, "update_time": at}
    if change.kind is ChangeKind.ADDRESS_CHANGED:
        return {**said, "receiver_msg": _receiver(order, shown), "update_time": at}
    if change.kind in (ChangeKind.SHIPPED, ChangeKind.PART_SHIPPED):
        return {**said, "logistics_msg": _parcel(order), "update_time": at}
    return {**said, "update_time": at}


def refund_data(shop: Shop, refund: Refund, change: Change) -> dict[str, Any]:
    """Return what a message says about a refund; its `update_time` is the one moment that is text."""
    order = change.order
    lines = refund_lines(order, refund)
    return {
        "aftersale_id": number(refund.refund_id),
        "aftersale_status": AFTER_SALE_STATUS[refund.status],
        "aftersale_type": after_sale_type(refund),
        "p_id": number(order.order_id),
        "s_id": number(refund.line_id or lines[0].line_id),
        "shop_id": number(shop.seller_id),
        "reason_code": 0,
        "refund_amount": refund.amount_fen,
        "refund_post_amount": 0,
        "refund_voucher_num": 0,
        REFUND_TIMES.get(change.kind, "apply_time"): seconds(change.at),
        "update_time": change.at.astimezone(UTC).isoformat(timespec="seconds"),
    }


def _receiver(order: PlatformOrder, shown: str) -> dict[str, Any]:
    fields = receiver(order, shown)
    return {
        "name": fields["post_receiver"],
        "encrypt_name": fields["encrypt_post_receiver"],
        "tel": fields["post_tel"],
        "encrypt_tel": fields["encrypt_post_tel"],
        "addr": _written(fields["post_addr"]),
    }


def _parcel(order: PlatformOrder) -> dict[str, Any]:
    known = parcels(order)
    if not known:
        return {}
    parcel = known[-1]
    by_id = {line.line_id: line for line in order.lines}
    shipped = parcel.lines or [(line.line_id, line.quantity) for line in order.lines]
    return {
        "express_company_id": parcel.carrier,
        "logistics_code": parcel.waybill,
        "pack_id": pack_id(order, len(known) - 1),
        "shipped_order_info": [
            {"shipped_order_id": number(line_id), "shipped_num": quantity, "sku_id": number(by_id[line_id].sku_id)}
            for line_id, quantity in shipped
        ],
    }


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _push(market: "Market", shop: Shop, tag: str, subject: str, array: Sequence[Message]) -> Push:
    async def send(at: datetime) -> bool:
        body = _written(array).encode()
        headers = {
            "app-id": shop.app.app_key,
            "event-sign": event_signature(shop.app.app_key, body, shop.app.secret),
            "content-type": "application/json",
        }
        return await market.pushes.over_http(HttpPush(shop.push_url, body, headers), accepted, ANSWER_LIMIT_S)

    # No schedule of retries is told anywhere, so there are none: what is lost must be pulled.
    return Push(f"{NAME} {tag}", subject, send)


def accepted(status: int, body: bytes) -> bool:
    """Tell whether an answer is the one that stops the platform from asking again."""
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return status == 200 and isinstance(said, dict) and said.get("code") == 0
