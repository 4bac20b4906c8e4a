"""Keeps calls to a platform under its limit: whoever calls, every request of a channel takes a token first."""

import asyncio
from collections.abc import Callable

import httpx

CONNECTIONS_LIMIT = 32


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
        """Wait for the turn, then send."""
        await self._bucket.take()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def paced_client(calls_per_second: float) -> httpx.AsyncClient:
    """Return a client for one channel: a bounded number of connections, no proxy of the surroundings, paced."""
    limits = httpx.Limits(max_connections=CONNECTIONS_LIMIT, max_keepalive_connections=CONNECTIONS_LIMIT)
    return httpx.AsyncClient(
        transport=PacedTransport(httpx.AsyncHTTPTransport(limits=limits), Bucket(calls_per_second)), trust_env=False
    )
