"""Tells platforms what they may sell, at most once a change unless a repeat is harmless, and says which it was.

Told twice, a number that was sold from in between is sold twice. So a call that may have been made is never made again:
its outcome is `unknown`, and whoever keeps the ledger counts it at its worst, reads back, and makes another change.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import httpx

from libs.channels.channel import PlatformRefused, StockOrder
from libs.channels.leaving import cut
from libs.channels.outward.lines import Line, Lines, answer, open_line, plain
from libs.decide import Delivered, Send
from libs.stream.egress import Refused

CALL_TIMEOUT_S = 12.0  # less than egress waits, so that a call that hangs is known to have been made
NOT_DONE, UNKNOWN, READ = "not done: ", "unknown: ", "read "
NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
Begin = Callable[[Send, int], Awaitable[bool]]
"""Makes durable that an attempt is about to be made; False when the same one may have been made before."""


class StockPusher:
    """Sends the stock calls of one channel: set, delta, or read."""

    def __init__(self, lines: Lines, begin: Begin) -> None:
        self._lines = lines
        self._begin = begin

    async def send(self, request: Send, attempt: int) -> str:
        """Make the call; a refusal begins with `not done` or `unknown`, a reading ends with its number."""
        body = request.body
        try:
            line = await open_line(self._lines, body["shop_id"])
        except Refused as refused:
            raise Refused(NOT_DONE + str(refused)) from refused
        if body["kind"] == "read":
            return await self._read(line, request)
        if not _is_risky(request):
            return await self._push(line, request)
        if not await self._begin(request, attempt):
            raise Refused(UNKNOWN + "an earlier attempt may have been made")
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await self._push(line, request)
        except NEVER_LEFT:
            raise
        except (httpx.HTTPError, OSError) as error:  # a timeout is an OSError too
            raise Refused(f"{UNKNOWN}{type(error).__name__}") from error

    async def _push(self, line: Line, request: Send) -> str:
        body = request.body
        order = StockOrder(
            listing_id=body["listing_id"],
            listing_sku=body["listing_sku"],
            quantity=body["value"],
            change_id=body["change_id"],
            delta=body["kind"] == "delta",
        )
        try:
            return cut(plain(await line.client.push_stock([order])))
        except PlatformRefused as refused:
            if _is_risky(request) and (refused.code.startswith("HTTP 5") or refused.code == "answer"):
                # A gateway's words, not the platform's: what is behind it may have done it.
                raise Refused(UNKNOWN + cut(plain(str(refused)))) from refused
            raise await self._answered(line, refused) from refused

    async def _read(self, line: Line, request: Send) -> str:
        try:
            found = await line.client.read_stock(request.body["listing_id"], request.body["listing_sku"])
        except PlatformRefused as refused:
            raise await self._answered(line, refused) from refused
        if found is None:
            raise Refused(NOT_DONE + "the platform does not tell what it offers")
        return f"{READ}{found}"

    async def _answered(self, line: Line, refused: PlatformRefused) -> Exception:
        words = PlatformRefused(refused.cure, refused.code, cut(refused.text), refused.after_seconds)
        found = await answer(self._lines, line, words)
        return Refused(NOT_DONE + str(found)) if isinstance(found, Refused) else found


def outcome(delivered: Delivered) -> tuple[Literal["done", "not done", "unknown"], int | None]:
    """Return how a call ended, and the number that was read; what nobody can tell is unknown."""
    if delivered.ok:
        number = delivered.detail.removeprefix(READ)
        is_reading = delivered.body.get("kind") == "read" and number.isascii() and number.isdigit()
        return "done", int(number) if is_reading else None
    return ("not done" if delivered.detail.startswith(NOT_DONE) else "unknown"), None


def _is_risky(request: Send) -> bool:
    """Tell whether a repeat can do harm; to offer nothing, twice, cannot."""
    return not (request.body["kind"] == "set" and request.body["value"] == 0)
