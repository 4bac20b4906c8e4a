"""Stands before the platforms: plays outages, slow answers and answers that get lost after the work was done."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulators.market import Market

UNAVAILABLE, BAD_GATEWAY = 503, 502


class Gate:
    """An ASGI application around one platform's."""

    def __init__(self, app: ASGIApp, market: Market, platform: str) -> None:
        self._app = app
        self._market = market
        self._platform = platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless the platform is down."""
        dials = self._market.dials[self._platform]
        if dials.is_down(self._market.clock.now_s()):
            self._market.counts[self._platform, "calls in an outage"] += 1
            await _fail(scope, receive, send, dials.outage)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if dials.answer_delay_ms:
            await asyncio.sleep(dials.answer_delay_ms / 1000)
        if self._market.falls(dials.answers_lost_percent):
            self._market.counts[self._platform, "answers lost"] += 1
            await self._app(scope, receive, _nowhere)
            await _answer(send, BAD_GATEWAY)
            return
        await self._app(scope, receive, send)


async def _fail(scope: MutableMapping[str, Any], receive: Receive, send: Send, outage: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013})
    elif outage == "cut":
        # An answer that ends before its body: the server closes the connection under the caller.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    else:
        await _answer(send, UNAVAILABLE)


async def _answer(send: Send, status: int) -> None:
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"<html>nginx</html>"})


async def _nowhere(message: Message) -> None:
    return None
