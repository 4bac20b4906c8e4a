"""What Meituan says by itself: forms whose values are URL-encoded once more, signed over the shop's own address."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from simulators.meituan.dials import NAME, dials_of
from simulators.meituan.documents import (
    ANSWERED,
    is_partial,
    number,
    order_document,
    refunded_goods,
    seconds,
    status_of,
    written,
    yuan,
)
from simulators.meituan.signing import signature
from simulators.model import Change, ChangeKind, PlatformOrder, Refund, RefundStatus, Shop
from simulators.pushes import HttpPush, Push

if TYPE_CHECKING:
    from simulators.market import Market

BUYER, SHOP, SYSTEM = "1", "2", "5"
CANCEL_REASONS = {
    "timeout": ("1001", "系统取消，超时未确认", SYSTEM),
    "unpaid": ("1002", "系统取消，在线支付订单30分钟未支付", SYSTEM),
    "refunded": ("1103", "用户取消，用户退款取消", BUYER),
    "seller": ("2009", "商家取消，其他原因", SHOP),
}
BUYER_CANCELLED = ("1102", "用户取消，在商家确认前取消", BUYER)
NOTIFIED = {
    RefundStatus.APPLIED: "apply",
    RefundStatus.AGREED: "agree",
    RefundStatus.SUCCEEDED: "agree",
    RefundStatus.CLOSED: "reject",
}
PART_APPLIED = "part"
PICKED_UP = 20
THIN = ("order_id", "wm_order_id_view", "app_poi_code", "status", "notify_type", "refund_id", "reason_code")
WITH_DOCUMENT = (ChangeKind.PAID, ChangeKind.ACCEPTED, ChangeKind.ADDRESS_CHANGED)

Form = Mapping[str, Any]


def pushes_of(market: "Market", shop: Shop, change: Change) -> Sequence[Push]:
    """Return the push of a change; of an unpaid order nothing is ever said."""
    if not shop.push_url or not change.order.is_paid:
        return ()
    form = _form(market, shop, change)
    if form is None:
        return ()
    said = {"order_id": number(change.order.order_id), "app_poi_code": shop.seller_id, **form}
    if market.dials[NAME].pushes_thin:
        said = {name: said[name] for name in THIN if name in said}
    subject = change.refund.refund_id if change.refund else change.order.order_id
    return (_push(market, shop, change.kind.value, subject, said),)


def probe(market: "Market", shop: Shop) -> Push:
    """Return the push that tries a new address: it has no order, and wants the same answer."""
    return _push(market, shop, "probe", "", {})


def _form(market: "Market", shop: Shop, change: Change) -> Form | None:
    order = change.order
    if change.refund is not None:
        return _refund(order, change.refund)
    if change.kind in WITH_DOCUMENT:
        return order_document(market, shop, order)
    if change.kind is ChangeKind.CLOSED:
        code, reason, who = CANCEL_REASONS.get(order.close_reason, BUYER_CANCELLED)
        return {"reason_code": code, "reason": reason, "deal_op_type": who}
    if change.kind in (ChangeKind.SHIPPED, ChangeKind.PART_SHIPPED):
        return {
            "logistics_status": PICKED_UP,
            "time": seconds(change.at),
            "dispatcher_name": "",
            "dispatcher_mobile": "",
        }
    if change.kind is ChangeKind.DONE:
        return {"status": status_of(order), "utime": seconds(change.at)}
    return None


def _refund(order: PlatformOrder, refund: Refund) -> Form:
    partial = is_partial(order, refund)
    notified = NOTIFIED[refund.status]
    said: dict[str, Any] = {
        "notify_type": PART_APPLIED if partial and refund.status is RefundStatus.APPLIED else notified,
        "refund_id": number(refund.refund_id),
        "ctime": seconds(refund.created_at),
        "reason": refund.reason,
        "res_type": ANSWERED[refund.status],
        "is_appeal": 0,
        "pictures": "",
        "service_type": 0,
    }
    if partial:
        said |= {"money": yuan(refund.amount_fen), "food": written(refunded_goods(order, refund))}
    return said


def _push(market: "Market", shop: Shop, topic: str, subject: str, said: Form) -> Push:
    async def send(at: datetime) -> bool:
        body = pushed_body(market, shop, said, at)
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        return await market.pushes.over_http(HttpPush(shop.push_url, body, headers), accepted)

    # No schedule of retries is told anywhere, so there are none: the day's numbers show what was lost.
    return Push(f"{NAME} {topic}", subject, send)


def pushed_body(market: "Market", shop: Shop, said: Form, at: datetime) -> bytes:
    """Return the signed form. The signature is over clear values, unless the dial says: as they stand in the form."""
    dials = dials_of(market)
    clear = {name: _text(value) for name, value in said.items()}
    clear |= {"app_id": shop.app.app_key, "timestamp": str(int(at.timestamp()))}
    values = {name: quote(value, safe="") for name, value in clear.items()} if dials.values_encoded_twice else clear
    signed = values if dials.signs_encoded_values else clear
    return urlencode({**values, "sig": signature(shop.push_url, signed, shop.app.secret)}).encode()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def accepted(status: int, body: bytes) -> bool:
    """Tell whether an answer is the one that Meituan wants."""
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return status == 200 and isinstance(said, dict) and said.get("data") == "ok"
