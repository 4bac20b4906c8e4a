"""The outward call behind every hint: ask for the document, hand it on, and let egress repeat what may pass."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from libs.channels.channel import About, Document, PlatformRefused
from libs.channels.outward.lines import Line, Lines, answer, open_line
from libs.decide import Send

Take = Callable[[Line, int, Document, datetime], Awaitable[str]]
"""Keeps a document: its line, the number of the call, the document, and when it was asked for."""


class Fetcher:
    """Sends `{"shop_id", "about", "subject_id", "fetch_no"}` calls of one channel."""

    def __init__(self, lines: Lines, take: Take, clock: Callable[[], datetime]) -> None:
        self._lines = lines
        self._take = take
        self._clock = clock

    async def send(self, request: Send, attempt: int) -> str:
        """Fetch the document and hand it on; returns what became of it."""
        body = request.body
        line = await open_line(self._lines, body["shop_id"])
        asked_at = self._clock()
        try:
            document = await line.client.document(About(body["about"]), body["subject_id"])
        except PlatformRefused as refused:
            raise await answer(self._lines, line, refused) from refused
        return await self._take(line, body["fetch_no"], document, asked_at)
