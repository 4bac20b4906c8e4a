"""Keeps calls to a platform under its limit: whoever calls, every request of a channel takes a token first."""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

CONNECTIONS_LIMIT = 128
TURN = "ordo.turn"  # marks a request whose turn was waited for before it was made


class Bucket:
    """Lets so many calls a second through, in the order in which they came; a short burst passes at once."""

    def __init__(self, calls_per_second: float, clock: Callable[[], float] | None = None) -> None:
        self._interval_s = 1.0 / calls_per_second
        self._burst_s = 1.0
        self._clock = clock
        self._free_at_s = 0.0

    async def take(self) -> None:
        """Wait for this call's turn."""
        wait_s = self.reserve(asyncio.get_running_loop().time() if self._clock is None else self._clock())
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def reserve(self, now_s: float) -> float:
        """Take the next turn and return how long it is until then."""
        self._free_at_s = max(self._free_at_s, now_s - self._burst_s) + self._interval_s
        return self._free_at_s - now_s


class PacedTransport(httpx.AsyncBaseTransport):
    """Sends requests as another transport does, each in its turn."""

    def __init__(self, inner: httpx.AsyncBaseTransport, bucket: Bucket) -> None:
        self._inner = inner
        self._bucket = bucket

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for the turn, unless that was done, then send."""
        if not request.extensions.get(TURN):
            await self._bucket.take()
        try:
            return await self._inner.handle_async_request(request)
        except aiohttp.ClientError as error:  # what the transport below has no word of httpx for
            raise httpx.RemoteProtocolError(type(error).__name__, request=request) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class PacedClient(httpx.AsyncClient):
    """A client for one channel: a bounded number of connections, no proxy of the surroundings, each request paced.

    Its connections are aiohttp's: a call costs a fourth of what it costs on httpx's own.
    """

    def __init__(self, bucket: Bucket, transport: httpx.AsyncBaseTransport | None = None) -> None:
        inner = transport or _connections()
        super().__init__(transport=PacedTransport(inner, bucket), trust_env=False)
        self._bucket = bucket

    async def turn(self) -> dict[str, Any]:
        """Wait for a turn now, so that the request can be made after it; returns what tells its transport so."""
        await self._bucket.take()
        return {TURN: True}


def paced_client(calls_per_second: float) -> PacedClient:
    """Return a client for one channel."""
    return PacedClient(Bucket(calls_per_second))


def _connections() -> AiohttpTransport:
    trust = httpx.create_ssl_context(trust_env=False)
    return AiohttpTransport(verify=trust, trust_env=False, client=partial(_session, trust))


def _session(trust: ssl.SSLContext) -> aiohttp.ClientSession:
    """Return a session that keeps nothing but connections: no cookie of one shop goes out with the call of another."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_LIMIT, ssl=trust)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
