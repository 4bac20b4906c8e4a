"""Accepts orders on platforms that want it: repeated until the platform took it or said no for good."""

from libs.channels.channel import PlatformRefused
from libs.channels.leaving import cut
from libs.channels.outward.lines import Lines, answer, open_line, plain
from libs.decide import Send


class Accepter:
    """Sends `{"shop_id", "platform_order_id"}` calls; an order that is accepted already counts as done there."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def send(self, request: Send, attempt: int) -> str:
        """Accept the order; returns the platform's word."""
        line = await open_line(self._lines, request.body["shop_id"])
        try:
            return cut(plain(await line.client.accept(request.body["platform_order_id"])))
        except PlatformRefused as refused:
            # What a platform says goes into logs and lists, and may repeat who the order is for.
            words = PlatformRefused(refused.cure, refused.code, cut(refused.text), refused.after_seconds)
            raise await answer(self._lines, line, words) from refused
