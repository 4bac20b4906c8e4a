"""Reports shipped parcels to platforms: repeated until the platform took it or said no for good, its words kept."""

from libs.channels.channel import Parcel, PlatformRefused
from libs.channels.leaving import cut
from libs.channels.outward.lines import Lines, answer, open_line, plain
from libs.decide import Send


class Uploader:
    """Sends the parcels of one channel; a repeat of what the platform has already counts as done there."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def send(self, request: Send, attempt: int) -> str:
        """Report the parcel; returns the platform's word."""
        body = request.body
        line = await open_line(self._lines, body["shop_id"])
        parcel = Parcel(
            platform_order_id=body["platform_order_id"],
            parcel_id=body["parcel_id"],
            carrier=body["carrier"],
            company=line.carriers.get(body["carrier"].upper(), ""),
            waybill=body["waybill"],
            lines=tuple((line_id, sku, quantity) for line_id, sku, quantity in body["lines"]),
            split=body["split"],
            again=body["again"],
            # Who does not say that a split order is complete has not said that it is.
            remaining=body.get("remaining", int(body["split"])),
        )
        try:
            return cut(plain(await line.client.upload(parcel)))
        except PlatformRefused as refused:
            # What a platform says goes into logs and lists, and may repeat whom the parcel is for.
            words = PlatformRefused(refused.cure, refused.code, cut(refused.text), refused.after_seconds)
            raise await answer(self._lines, line, words) from refused
