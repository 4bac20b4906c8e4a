"""What WeChat says by itself: thin events, signed over token and time, in the AES envelope or in clear."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from simulators.model import Change, ChangeKind, PlatformOrder, Refund, Shop, Status
from simulators.pushes import HttpPush, Push
from simulators.wechat.dials import NAME, dials_of
from simulators.wechat.documents import AFTER_SALE_STATUS, seconds, status_of
from simulators.wechat.signing import RANDOM_BYTES, sealed, signature

if TYPE_CHECKING:
    from simulators.market import Market

EVENTS = {
    ChangeKind.CREATED: "channels_ec_order_new",
    ChangeKind.PAID: "channels_ec_order_pay",
    ChangeKind.PART_SHIPPED: "channels_ec_order_deliver",
    ChangeKind.SHIPPED: "channels_ec_order_deliver",
    ChangeKind.DONE: "channels_ec_order_confirm",
    ChangeKind.CLOSED: "channels_ec_order_cancel",
    ChangeKind.ADDRESS_CHANGED: "channels_ec_order_ext_info_update",
    ChangeKind.MEMO_CHANGED: "channels_ec_order_ext_info_update",
}
AFTER_SALE_EVENT, STATUS_EVENT = "channels_ec_aftersale_update", "product_order_status_update"
BY_BUYER, BY_TIME, BY_REFUND = 1, 2, 3
CANCEL_TYPES = {"timeout": BY_TIME, "unpaid": BY_TIME, "refunded": BY_REFUND}
MEMO, ADDRESS = 1, 2
RETRY_AFTER_S = (0.0, 0.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 3600.0, 3600.0)
ECHO_CHARACTERS = 19


def pushes_of(market: "Market", shop: Shop, change: Change) -> Sequence[Push]:
    """Return the events of a change."""
    if not shop.push_url:
        return ()
    if change.refund is not None:
        return (_event(market, shop, change, AFTER_SALE_EVENT, refund_info(change.order, change.refund)),)
    event = EVENTS.get(change.kind)
    if event is None:
        return ()
    thin = market.dials[NAME].pushes_thin
    info = {"order_id": int(change.order.order_id)} if thin else order_info(change)
    said = [_event(market, shop, change, event, {"order_info": info})]
    if dials_of(market).status_events_too:
        # The order's other events say the same, so whoever counts events counts twice.
        status = {"order_id": int(change.order.order_id), "status": status_of(change.order)}
        said.append(_event(market, shop, change, STATUS_EVENT, {"order_info": status}))
    return said


def order_info(change: Change) -> dict[str, Any]:
    """Return what an event says about an order: its id is a number beyond 2**53."""
    order = change.order
    said: dict[str, Any] = {"order_id": int(order.order_id)}
    if change.kind is ChangeKind.PAID:
        said["pay_time"] = seconds(order.paid_at)
    elif change.kind is ChangeKind.CLOSED:
        said["cancel_type"] = CANCEL_TYPES.get(order.close_reason, BY_BUYER)
    elif change.kind in (ChangeKind.SHIPPED, ChangeKind.PART_SHIPPED):
        said["finish_delivery"] = int(order.status is Status.SHIPPED)
    elif change.kind is ChangeKind.DONE:
        said["confirm_type"] = 1
    elif change.kind in (ChangeKind.ADDRESS_CHANGED, ChangeKind.MEMO_CHANGED):
        said["type"] = ADDRESS if change.kind is ChangeKind.ADDRESS_CHANGED else MEMO
    return said


def refund_info(order: PlatformOrder, refund: Refund) -> dict[str, Any]:
    """Return what an event says about a refund: here the order's id is text."""
    return {
        "finder_shop_aftersale_status_update": {
            "status": AFTER_SALE_STATUS[refund.status],
            "after_sale_order_id": refund.refund_id,
            "order_id": order.order_id,
        }
    }


def verification(market: "Market", shop: Shop) -> Push:
    """Return the request that a new address must answer with its echo."""

    async def send(at: datetime) -> bool:
        query = signed_query(shop, at, "verify")
        echo = str(int(_digest(shop.push_url), 16))[:ECHO_CHARACTERS]
        url = _with_query(shop.push_url, {**query, "echostr": echo})
        return await market.pushes.over_http(
            HttpPush(url, b"", method="GET"), lambda status, body: status == 200 and body == echo.encode()
        )

    return Push(f"{NAME} verify", "", send)


def signed_query(shop: Shop, at: datetime, subject: str) -> dict[str, str]:
    """Return signature, timestamp and nonce of a request sent now."""
    timestamp = str(int(at.timestamp()))
    nonce = str(int(_digest(f"{subject}{at.isoformat()}"), 16))[:10]
    signed = signature(shop.settings["token"], timestamp, nonce)
    return {"signature": signed, "timestamp": timestamp, "nonce": nonce}


def pushed(market: "Market", shop: Shop, message: dict[str, Any], at: datetime, subject: str) -> HttpPush:
    """Return the request of an event: in secure mode its body only names the receiver and holds the envelope."""
    query = {**signed_query(shop, at, subject), "openid": message["FromUserName"]}
    body = _written(message)
    if dials_of(market).push_mode == "aes":
        random = _digest(f"{subject}{at.isoformat()}random")[:RANDOM_BYTES].encode()
        envelope = sealed(shop.settings["aes_key"], random, body, shop.app.app_key)
        parts = (shop.settings["token"], query["timestamp"], query["nonce"], envelope)
        query |= {"encrypt_type": "aes", "msg_signature": signature(*parts)}
        body = _written({"ToUserName": message["ToUserName"], "Encrypt": envelope})
    return HttpPush(_with_query(shop.push_url, query), body, {"content-type": "application/json"})


def accepted(status: int, body: bytes) -> bool:
    """Tell whether an answer stops the platform from asking again: empty, `success`, or an encrypted reply."""
    if status != 200:
        return False
    if body.strip() in (b"", b"success"):
        return True
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and "Encrypt" in said


def _event(market: "Market", shop: Shop, change: Change, event: str, info: dict[str, Any]) -> Push:
    message = {
        "ToUserName": f"gh_{_digest(shop.app.app_key)[:12]}",
        "FromUserName": change.order.buyer_id,
        "CreateTime": seconds(change.at),
        "MsgType": "event",
        "Event": event,
        **info,
    }
    subject = change.refund.refund_id if change.refund else change.order.order_id

    async def send(at: datetime) -> bool:
        return await market.pushes.over_http(pushed(market, shop, message, at, subject), accepted)

    return Push(f"{NAME} {event}", subject, send, RETRY_AFTER_S)


def _with_query(url: str, query: dict[str, str]) -> str:
    return url + ("&" if "?" in url else "?") + urlencode(query)


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
