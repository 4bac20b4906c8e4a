"""The outward call behind every hint: ask for the document, hand it on, and let egress repeat what may pass."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from libs.channels.channel import About, Cure, Document, PlatformRefused
from libs.channels.outward.lines import Line, Lines, answer, open_line, plain
from libs.channels.own.inbound import Order
from libs.channels.refusals import OrderRefused
from libs.decide import Send

REMEMBERED_ACCEPTED_LIMIT = 10_000

Take = Callable[[Line, int, Document, datetime], Awaitable[str]]
"""Keeps a document: its line, the number of the call, the document, and when it was asked for."""


class Fetcher:
    """Sends `{"shop_id", "about", "subject_id", "fetch_no"}` calls of one channel.

    Where a platform cancels what its shop does not accept in time, a paid order is accepted as soon as it is read. The
    call itself is durable until the document is, so what was accepted here is never lost.
    """

    def __init__(self, lines: Lines, take: Take, clock: Callable[[], datetime]) -> None:
        self._lines = lines
        self._take = take
        self._clock = clock
        self._accepted: dict[tuple[str, str], None] = {}

    async def send(self, request: Send, attempt: int) -> str:
        """Fetch the document and hand it on; returns what became of it."""
        body = request.body
        line = await open_line(self._lines, body["shop_id"])
        asked_at = self._clock()
        try:
            document = await line.client.document(About(body["about"]), body["subject_id"])
            if line.channel.capabilities.accept_limit_s is not None:
                await self._accept(line, document)
        except PlatformRefused as refused:
            raise await answer(self._lines, line, refused) from refused
        return await self._take(line, body["fetch_no"], document, asked_at)

    async def _accept(self, line: Line, document: Document) -> None:
        """Accept an order that waits for it; one that the platform will not have accepted any more is as it is."""
        place = (line.shop_id, document.subject_id)
        if place in self._accepted or not _waits(line, document):
            return
        try:
            await line.client.accept(document.subject_id)
        except PlatformRefused as refused:
            if refused.cure is not Cure.GIVE_UP:
                raise
            log = structlog.get_logger().bind(channel=line.name, shop_id=line.shop_id)
            log.warning("an order was not accepted", subject_id=document.subject_id, reason=plain(str(refused)))
        if len(self._accepted) >= REMEMBERED_ACCEPTED_LIMIT:
            self._accepted.clear()
        self._accepted[place] = None


def _waits(line: Line, document: Document) -> bool:
    """Tell whether a document is that of a paid order and of nothing else, such as its cancellation."""
    if document.about is not About.ORDER:
        return False
    try:
        return [type(said) for said in line.channel.heard(document)] == [Order]
    except (OrderRefused, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError):
        return False  # whoever keeps the document will park it and say why
