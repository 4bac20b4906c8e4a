"""A small HTTP/1.1 client on kept-alive connections: the demo shares its cores with the stack and must be cheap."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

ANSWER_LIMIT_S = 20.0
CONNECTIONS_LIMIT = 64
HEAD_LIMIT_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 64 * 1024 * 1024


class WireBroken(OSError):
    """The connection ended before an answer was complete, or no answer came in time."""


class Connections:
    """Connections to one server, reused; at most CONNECTIONS_LIMIT requests are under way."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._gate = asyncio.Semaphore(CONNECTIONS_LIMIT)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, params: Mapping[str, Any]
    ) -> tuple[int, Any]:
        """Return status and decoded JSON body; raises OSError when there was no whole answer."""
        target = f"{path}?{urlencode(params, doseq=True)}" if params else path
        lines = [f"{method} {target} HTTP/1.1", f"host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method != "GET":
            lines.append(f"content-length: {len(body)}")
        sent = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
        async with self._gate:
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    return await self._exchange(sent)
            except TimeoutError as error:
                raise WireBroken("no answer in time") from error
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise WireBroken("the answer broke off") from error

    async def _exchange(self, sent: bytes) -> tuple[int, Any]:
        reader, writer = await self._connection()
        try:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            status, length, closes = _read_head(head)
            body = await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if closes:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return status, json.loads(body) if body else None

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port, limit=HEAD_LIMIT_BYTES)

    async def close(self) -> None:
        """Close what is open."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


def _read_head(head: bytes) -> tuple[int, int, bool]:
    """Return the status, the body's length and whether the server closes afterwards."""
    first, *fields = head.decode("latin-1").split("\r\n")
    length, closes = 0, False
    for field in fields:
        name, _, value = field.partition(":")
        lowered = name.lower()
        if lowered == "content-length":
            length = int(value)
        elif lowered == "connection":
            closes = value.strip().lower() == "close"
        elif lowered == "transfer-encoding":
            raise WireBroken("the answer has no length")
    if length > BODY_LIMIT_BYTES:
        raise WireBroken("the answer is too long")
    return int(first.split(" ", 2)[1]), length, closes
