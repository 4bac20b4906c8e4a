"""Wires what goes back to platforms: who accepts orders and carries shipments and stock there, and what runs beside."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote

import httpx

from libs.channels.outward.accepter import Accepter
from libs.channels.outward.stock_pusher import StockPusher
from libs.channels.outward.uploader import Uploader
from libs.channels.registry import PLATFORMS
from libs.decide import Send
from libs.runtime.auth import make_token
from libs.runtime.service import Parts
from libs.stream.desk import NotServing, Overloaded
from libs.stream.egress import Refused, Retry, Sender
from services.ingestion.api import LineBook
from services.ingestion.domain.acceptance import ACCEPT
from services.ingestion.domain.listings import FIGURES, STOCK, StartPush
from services.ingestion.domain.uploads import UPLOAD
from services.ingestion.settings import Settings

FIGURES_TIMEOUT_S = 5.0
TOKEN_MINUTES = 5


def senders(parts: Parts, lines: LineBook) -> Mapping[str, Sender]:
    """Return who makes the calls, by destination; a channel that takes none is never sent any."""
    uploader, pusher = Uploader(lines), StockPusher(lines, _Starts(parts).begin)
    assert isinstance(parts.settings, Settings), "the service was built with its own settings"
    found: dict[str, Sender] = {FIGURES: FiguresReader(parts, parts.settings.url_inventory)}
    for prefix, sender in ((ACCEPT, Accepter(lines)), (UPLOAD, uploader), (STOCK, pusher)):
        found |= {prefix + name: sender for name in PLATFORMS}
    return found


class _Starts:
    """Makes it durable that a call is about to be made."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def begin(self, request: Send, attempt: int) -> bool:
        """Return whether this attempt is the first of its number. Each asking is a command of its own: a stored
        answer would let a call be made again that may have been made by a process that died."""
        command = StartPush(sku=request.body["sku"], change_id=request.send_id, attempt=attempt)
        try:
            reply = await self._parts.submit(command, f"push:{secrets.token_hex(16)}")
        except (Overloaded, NotServing) as busy:
            raise Retry(str(busy) or "not serving", busy.retry_after_s) from busy
        return bool(reply.body.get("go"))


class FiguresReader:
    """Asks inventory for the figures of a SKU that was just listed: `{atp} {sellable}`."""

    def __init__(self, parts: Parts, url: str, client: httpx.AsyncClient | None = None) -> None:
        self._parts = parts
        self._url = url.rstrip("/")
        self._client = client or httpx.AsyncClient(timeout=FIGURES_TIMEOUT_S, trust_env=False)

    async def send(self, request: Send, attempt: int) -> str:
        """Return the figures; without an address or a way to sign they come with the next change of the stock."""
        secret = self._parts.settings.jwt_secret
        if not self._url or not secret:
            raise Refused("inventory cannot be asked from here")
        lifetime = timedelta(minutes=TOKEN_MINUTES)
        token = make_token(
            secret, subject="ingestion", roles=["sre"], warehouse=None, now=self._parts.now(), lifetime=lifetime
        )
        path = f"/atp/{quote(request.body['sku'], safe='')}"
        answer = await self._client.get(self._url + path, headers={"Authorization": f"Bearer {token}"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Refused("inventory knows no such SKU")
        answer.raise_for_status()
        found = answer.json()
        return f"{int(found['atp'])} {int(found['sellable'])}"
