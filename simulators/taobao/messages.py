"""TMC: the message queue of an application, fetched over HTTP, delivered again until confirmed."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from simulators.calls import yuan
from simulators.clock import wall
from simulators.market import Market
from simulators.model import App, Change, ChangeKind, Shop
from simulators.pushes import Push
from simulators.queues import Message
from simulators.taobao.documents import refund_status_of, status_of
from simulators.taobao.refusals import invalid, missing

Params = dict[str, str]
Answer = dict[str, Any]
REDELIVERY_S = 600.0
KEEP_S = 3 * 86_400.0
FEWEST, USUAL, MOST = 10, 100, 200
TRADE, REFUND = "taobao_trade_", "taobao_refund_"
TOPICS = {
    ChangeKind.CREATED: TRADE + "TradeCreate",
    ChangeKind.PAID: TRADE + "TradeBuyerPay",
    ChangeKind.CLOSED: TRADE + "TradeClose",
    ChangeKind.SHIPPED: TRADE + "TradeSellerShip",
    ChangeKind.PART_SHIPPED: TRADE + "TradePartlySellerShip",
    ChangeKind.DONE: TRADE + "TradeSuccess",
    ChangeKind.MEMO_CHANGED: TRADE + "TradeMemoModified",
    ChangeKind.ADDRESS_CHANGED: TRADE + "TradeLogisticsAddressChanged",
    ChangeKind.REFUND_CREATED: REFUND + "RefundCreated",
    ChangeKind.REFUND_AGREED: REFUND + "RefundSellerAgreeAgreement",
    ChangeKind.REFUND_SUCCEEDED: REFUND + "RefundSuccess",
    ChangeKind.REFUND_CLOSED: REFUND + "RefundClosed",
}


def said(market: Market, shop: Shop, change: Change) -> Sequence[Push]:
    """Return the message about a change. A doubled one keeps its id, as a queue's redelivery does."""
    topic = TOPICS.get(change.kind)
    if topic is None:
        return ()
    content = _content(shop, change, market.dials[shop.platform].pushes_thin)
    message_id = int(market.digits(19))

    async def send(now: datetime) -> bool:
        shop.app.queue.put(Message(message_id, topic, shop.shop_id, content, now.timestamp()))
        return True

    return (Push(topic, change.order.order_id, send),)


def _content(shop: Shop, change: Change, thin: bool) -> dict[str, Any]:
    order, refund = change.order, change.refund
    content: dict[str, Any] = {"tid": int(order.order_id), "oid": int(order.lines[0].line_id)}
    if refund is not None:
        content["refund_id"] = int(refund.refund_id)
    if thin:
        return content
    content |= {"seller_nick": shop.name, "buyer_nick": order.buyer_nick[:1] + "**"}
    if refund is not None:
        return content | {
            "status": refund_status_of(refund),
            "refund_fee": yuan(refund.amount_fen),
            "modified": wall(refund.modified_at),
        }
    return content | {
        "status": status_of(order),
        "payment": yuan(order.total_fen),
        "post_fee": yuan(order.shipping_fee_fen),
        "type": "guarantee_trade",
        "modified": wall(order.modified_at),
    }


def consume(market: Market, app: App, params: Params) -> Answer:
    """`taobao.tmc.messages.consume`: the next messages of a group, each with its seller."""
    try:
        quantity = int(params.get("quantity", str(USUAL)))
    except ValueError:
        raise invalid("quantity") from None
    if not FEWEST <= quantity <= MOST:
        raise invalid("quantity", f"取值范围{FEWEST}~{MOST}")
    redelivery_s = market.dials["taobao"].queue_redelivery_s or REDELIVERY_S
    shops = {shop.shop_id: shop for shop in market.shops_of("taobao", app)}
    messages = app.queue.take(market.clock.now_s(), quantity, redelivery_s, KEEP_S)
    return {"messages": {"tmc_message": [_shown(shops[m.shop_id], m) for m in messages]}} if messages else {}


def _shown(shop: Shop, message: Message) -> dict[str, Any]:
    return {
        "id": message.message_id,
        "topic": message.topic,
        "user_id": int(shop.seller_id),
        "user_nick": shop.name,
        "pub_app_key": "12497914",
        "pub_time": wall(datetime.fromtimestamp(message.at_s).astimezone()),
        "content": json.dumps(message.content, ensure_ascii=False, separators=(",", ":")),
    }


def confirm(market: Market, app: App, params: Params) -> Answer:
    """`taobao.tmc.messages.confirm`: these need not come again."""
    ids = [part.strip() for part in params.get("s_message_ids", "").split(",") if part.strip()]
    if not ids:
        raise missing("s_message_ids")
    if len(ids) > MOST or not all(part.lstrip("-").isdigit() for part in ids):
        raise invalid("s_message_ids")
    for message_id in ids:
        app.queue.confirm(int(message_id))
    return {"is_success": True}
