"""PMC: messages over a WebSocket, delivered again after a while or on a new connection until acknowledged."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from simulators.market import Market
from simulators.model import App, Change, ChangeKind, Refund, Shop
from simulators.pinduoduo import signing
from simulators.pinduoduo.documents import AFTER_SALES
from simulators.pushes import Push
from simulators.queues import Message

NAME = "pinduoduo"
REDELIVERY_S = 60.0
KEEP_S = 7 * 86_400.0
SILENCE_LIMIT_S = 30.0  # a client that sends no heartbeat for so long is cut off
TOLERANCE_S = 600
BATCH_LIMIT_MESSAGES = 50
LOOK_S = 0.5
TRADE, REFUND = "pdd_trade_", "pdd_refund_"
TOPICS = {
    ChangeKind.PAID: TRADE + "TradeConfirmed",
    ChangeKind.SHIPPED: TRADE + "TradeSellerShip",
    ChangeKind.DONE: TRADE + "TradeSuccess",
    ChangeKind.ADDRESS_CHANGED: TRADE + "TradeLogisticsAddressChanged",
    ChangeKind.REFUND_CREATED: REFUND + "RefundCreated",
    ChangeKind.REFUND_AGREED: REFUND + "RefundAgreeAgreement",
    ChangeKind.REFUND_CLOSED: REFUND + "RefundClosed",
}


def said(market: Market, shop: Shop, change: Change) -> Sequence[Push]:
    """Return the message about a change. A cancellation shows up as a refund: no other type is known."""
    order, refund = change.order, change.refund
    topic = TOPICS.get(change.kind, "")
    if change.kind is ChangeKind.PAID and order.risky:
        order.extra["was_risky"] = True
    elif change.kind is ChangeKind.MEMO_CHANGED and not order.risky and order.extra.pop("was_risky", False):
        topic = TRADE + "TradeRiskChanged"
    elif change.kind is ChangeKind.CLOSED and order.is_paid and (order.left_fen() > 0 or not order.refunds):
        topic, refund = TOPICS[ChangeKind.REFUND_CREATED], market.refund_closed_order(shop, order)
    if not topic:
        return ()
    content: dict[str, Any] = {"mall_id": int(shop.seller_id), "tid": order.order_id}
    if refund is not None:
        content |= _about(refund)
    message_id = int(market.digits(16))

    async def send(now: datetime) -> bool:
        shop.app.queue.put(Message(message_id, topic, shop.shop_id, content, now.timestamp()))
        return True

    return (Push(topic, refund.refund_id if refund else order.order_id, send),)


def _about(refund: Refund) -> dict[str, Any]:
    return {
        "refund_id": int(refund.refund_id),
        "refund_fee": refund.amount_fen,
        "bill_type": 2 if refund.after_shipping else 1,
        "operation": AFTER_SALES[refund.status],
        "modified": int(refund.modified_at.timestamp() * 1000),
    }


def route(market: Market) -> WebSocketRoute:
    """Return the socket's path."""

    async def listen(socket: WebSocket) -> None:
        path = socket.path_params
        app = market.apps.get((NAME, path["client_id"]))
        if app is None or not _genuine(market, app, path["ts_ms"], path["digest"]):
            await socket.close(1008)  # before it was accepted: the handshake fails with 403
            return
        await socket.accept()
        market.counts[NAME, "sockets"] += 1
        alive = _Alive(asyncio.get_running_loop())
        tasks = [asyncio.create_task(_hear(socket, app, alive)), asyncio.create_task(_tell(market, socket, app, alive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            app.queue.release()

    return WebSocketRoute("/message/{client_id}/{ts_ms}/{digest:path}", listen)


class _Alive:
    """When the client was last heard."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.heard()

    def heard(self) -> None:
        self._at_s = self._loop.time()

    def silent_s(self) -> float:
        return self._loop.time() - self._at_s


def _genuine(market: Market, app: App, ts_ms: str, digest: str) -> bool:
    if not ts_ms.isdigit() or digest != signing.socket_digest(app.app_key, ts_ms, app.secret):
        return False
    late_s = abs(int(ts_ms) / 1000 - market.clock.now_s())
    return not market.dials[NAME].timestamps_checked or late_s <= TOLERANCE_S


async def _hear(socket: WebSocket, app: App, alive: _Alive) -> None:
    try:
        while True:
            frame = json.loads(await socket.receive_text())
            alive.heard()
            if frame.get("commandType") == "Ack":
                app.queue.confirm(int(frame["id"]))
            elif frame.get("commandType") == "HeartBeat":
                await socket.send_text(json.dumps(frame))
    except WebSocketDisconnect:
        return
    except (ValueError, KeyError, TypeError, AttributeError):
        await socket.close(1007)


async def _tell(market: Market, socket: WebSocket, app: App, alive: _Alive) -> None:
    shops = {shop.shop_id: shop for shop in market.shops_of(NAME, app)}
    try:
        while True:
            dials, now_s = market.dials[NAME], market.clock.now_s()
            if dials.is_down(now_s) or alive.silent_s() > SILENCE_LIMIT_S:
                await socket.close(1012)
                return
            app.queue.woken.clear()
            redelivery_s = dials.queue_redelivery_s or REDELIVERY_S
            for message in app.queue.take(now_s, BATCH_LIMIT_MESSAGES, redelivery_s, KEEP_S):
                if message.shop_id not in shops:
                    shops = {shop.shop_id: shop for shop in market.shops_of(NAME, app)}
                await socket.send_text(json.dumps(_frame(shops[message.shop_id], message, now_s), ensure_ascii=False))
            try:
                async with asyncio.timeout(LOOK_S):
                    await app.queue.woken.wait()
            except TimeoutError:
                continue
    except (WebSocketDisconnect, RuntimeError):
        return  # the client is gone; what it has not acknowledged is delivered again


def _frame(shop: Shop, message: Message, now_s: float) -> dict[str, Any]:
    return {
        "id": message.message_id,
        "commandType": "Common",
        "time": int(message.at_s * 1000),
        "sendTime": int(now_s * 1000),
        "message": {
            "type": message.topic,
            "mallID": int(shop.seller_id),
            "content": json.dumps(message.content, ensure_ascii=False, separators=(",", ":")),
        },
    }
