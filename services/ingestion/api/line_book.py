"""Open lines to shops on platforms: secrets opened here and nowhere else, clients paced per channel."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import httpx
import msgspec

from libs.channels import registry
from libs.channels.channel import Access, Token
from libs.channels.outward.lines import Line
from libs.channels.pacing import paced_client
from libs.decide import Reply
from libs.runtime.service import Parts
from services.ingestion import store
from services.ingestion.domain import AskPerson, KeepToken, RefuseToken, TokenKept

FRESH_SECONDS = 1.0
REMEMBERED_SHOPS_LIMIT = 10_000
SHOPS_LIMIT = 2_000
WHY_LIMIT_CHARACTERS = 300


class AccessSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is sealed of how a shop is spoken for."""

    app_key: str = ""
    app_secret: str = ""
    secrets: dict[str, str] = {}


class TokenSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is sealed of a token."""

    access_token: str = ""
    refresh_token: str = ""


class TokenRefused(Exception):
    """The newer token could not be kept; the answer says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.body.get("title", "")))
        self.reply = reply


class LineBook:
    """Knows every shop on a platform; what is remembered is bounded in number and a second old at most."""

    def __init__(self, parts: Parts, clients: Mapping[str, httpx.AsyncClient] | None = None) -> None:
        self._parts = parts
        self._vault = parts.require_vault()
        self._https = dict(clients or {})
        self._remembered: dict[str, tuple[float, Line | None]] = {}
        self._built: dict[str, tuple[store.ConnectionRecord, Line]] = {}
        self._reading = asyncio.Lock()

    async def find(self, shop_id: str) -> Line | None:
        """Return the shop's line as it was within the last second."""
        found = self._fresh(shop_id)
        if found is not None:
            return found[1]
        async with self._reading:
            found = self._fresh(shop_id)
            if found is not None:
                return found[1]
            async with self._parts.reads() as reads:
                record = await store.connection_by_id(reads, shop_id)
            line = None if record is None else self._line(record)
            if len(self._remembered) >= REMEMBERED_SHOPS_LIMIT:
                self._remembered.clear()
            self._remembered[shop_id] = (self._parts.now().timestamp(), line)
            return line

    async def all(self) -> list[Line]:
        """Return every line as it is."""
        async with self._parts.reads() as reads:
            records = await store.all_connections(reads, SHOPS_LIMIT)
        return [self._line(record) for record in records]

    def forget(self, shop_id: str) -> None:
        """Read the shop anew when it is asked for next."""
        self._remembered.pop(shop_id, None)

    async def token_refused(self, line: Line) -> None:
        """Tell the shop's refresher that this token is not accepted."""
        now = self._parts.now()
        key = f"token-refused:{line.shop_id}:{line.token_version}:{int(now.timestamp())}"
        await self._parts.submit(RefuseToken(shop_id=line.shop_id, token_version=line.token_version), key)
        self.forget(line.shop_id)

    async def person_needed(self, line: Line, why: str) -> None:
        """Show the operators why the shop is stuck."""
        why = why[:WHY_LIMIT_CHARACTERS]
        if line.asks == why:
            return
        ask = AskPerson(shop_id=line.shop_id, token_version=line.token_version, why=why)
        await self._parts.submit(ask, f"asks:{line.shop_id}:{self._parts.now().isoformat()}")
        self.forget(line.shop_id)

    async def keep_token(self, line: Line, token: Token, instead_of: int | None) -> None:
        """Make a token durable, sealed; TokenRefused when another one came first or another seller signed in."""
        kept = self.kept(replace(token, refresh_token=token.refresh_token or line.access.refresh_token))
        command = KeepToken(shop_id=line.shop_id, token=kept, instead_of=instead_of)
        key = f"token:{line.shop_id}:{line.token_version}:{self._parts.now().isoformat()}"
        reply = await self._parts.submit(command, key)
        self.forget(line.shop_id)
        if reply.status >= 400:
            raise TokenRefused(reply)

    async def refreshed(self, line: Line, token: Token) -> None:
        """Keep what the refresher got; a token that came second is dropped, for the first one is in force."""
        try:
            await self.keep_token(line, token, line.token_version)
        except TokenRefused as refused:
            if refused.reply.status != 409 or "token_version" not in refused.reply.body:
                await self.person_needed(line, str(refused))

    def kept(self, token: Token) -> TokenKept:
        """Return a token as it is stored."""
        secrets = TokenSecrets(access_token=token.access_token, refresh_token=token.refresh_token)
        return TokenKept(
            wrapped=self._vault.wrap(msgspec.json.encode(secrets)),
            expires_at=token.expires_at,
            refresh_expires_at=token.refresh_expires_at,
            scopes=list(token.scopes),
            seller_id=token.seller_id,
        )

    def _line(self, record: store.ConnectionRecord) -> Line:
        """Return the line for a record; while nothing changes it is the same one, with the same client."""
        built = self._built.get(record.shop_id)
        if built is None or built[0] != record:
            if len(self._built) >= REMEMBERED_SHOPS_LIMIT:
                self._built.clear()
            built = self._built[record.shop_id] = (record, self._open(record, None if built is None else built[1]))
        return built[1]

    def _open(self, record: store.ConnectionRecord, before: Line | None) -> Line:
        """Open a line. A client remembers what its platform said of its token, so it lives as long as that."""
        channel = registry.channel(record.channel)
        secrets = msgspec.json.decode(self._vault.unwrap(record.access_wrapped), type=AccessSecrets)
        wrapped = record.token_wrapped
        token = (
            TokenSecrets() if wrapped is None else msgspec.json.decode(self._vault.unwrap(wrapped), type=TokenSecrets)
        )
        access = Access(
            shop_id=record.shop_id,
            app_key=secrets.app_key,
            app_secret=secrets.app_secret,
            access_token=token.access_token,
            refresh_token=token.refresh_token,
            seller_id=record.seller_id,
            secrets=secrets.secrets,
            gateway=record.gateway,
            sign_in=record.sign_in,
        )
        if record.channel not in self._https:
            self._https[record.channel] = paced_client(channel.capabilities.calls_per_second)
        same = before is not None and before.access == access and before.token_version == record.token_version
        client = before.client if before is not None and same else None
        return Line(
            shop_id=record.shop_id,
            name=record.channel,
            channel=channel,
            access=access,
            client=client or channel.client(access, self._https[record.channel], self._parts.now),
            token_version=record.token_version,
            version=f"{record.token_version}/{record.access_digest}/{record.gateway}/{record.sign_in}",
            token_expires_at=record.token_expires_at,
            refresh_expires_at=record.refresh_expires_at,
            token_refused_at=record.token_refused_at,
            paused=record.paused,
            asks=record.asks,
            push_url=record.push_url,
            carriers=record.carriers,
        )

    def _fresh(self, shop_id: str) -> tuple[float, Line | None] | None:
        found = self._remembered.get(shop_id)
        if found is None or abs(self._parts.now().timestamp() - found[0]) >= FRESH_SECONDS:
            return None
        return found
