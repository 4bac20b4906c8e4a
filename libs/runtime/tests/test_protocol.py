"""Slow, silent and monstrous clients lose their connection in time; those who wait longest go first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

from libs.runtime import protocol
from libs.runtime.http import LARGE_FROM_BYTES, BodyLimit, Problem, install_problem_handlers
from libs.runtime.protocol import HEAD_LIMIT_BYTES, GuardedProtocol, allow_open_files
from libs.testkit.embedded.server import free_ports
from libs.testkit.waiting import until

LIMIT_S = 10.0
GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server whose patience is short."""
    for name, value in (("HEAD_TIMEOUT_S", 0.4), ("BODY_CHECK_S", 0.4), ("WAITING_LIMIT_CONNECTIONS", 20)):
        monkeypatch.setattr(protocol, name, value)
    monkeypatch.setattr(protocol, "BODY_LEAST_BYTES_PER_CHECK", 100)
    app = FastAPI()
    install_problem_handlers(app)
    app.add_middleware(BodyLimit)

    @app.get("/")
    async def root() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/")
    async def take(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    (found,) = free_ports(1)
    config = uvicorn.Config(
        app, port=found, http=GuardedProtocol, ws="none", log_config=None, lifespan="off", timeout_keep_alive=2
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    await until(lambda: server.started, LIMIT_S)
    yield found
    server.should_exit = True
    await asyncio.wait({task}, timeout=LIMIT_S)
    assert not GuardedProtocol.waiting, "a closed connection is forgotten"


async def connect(port: int, first: bytes = b"") -> Client:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    return reader, writer


async def ended(client: Client) -> bytes:
    """Return what the server said before it closed the connection."""
    reader, writer = client
    said = b""
    async with asyncio.timeout(LIMIT_S):
        with suppress(ConnectionError):
            while some := await reader.read(65_536):
                said += some
    writer.close()
    return said


async def answer(client: Client, request: bytes = GET) -> bytes:
    reader, writer = client
    writer.write(request)
    async with asyncio.timeout(LIMIT_S):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        return head + await reader.readexactly(length)


async def drip(client: Client, some: bytes, every_s: float = 0.05, times: int = 1_000) -> None:
    """Send at a pace, which is what is tested, as long as the server listens."""
    with suppress(ConnectionError):
        for _ in range(times):
            if client[1].is_closing():
                return
            client[1].write(some)
            await client[1].drain()
            await asyncio.sleep(every_s)


async def test_a_head_that_comes_byte_by_byte_is_ended_in_time(port: int) -> None:
    client = await connect(port, b"GET / HTTP/1.1\r\nX-Slow: ")
    dripping = asyncio.create_task(drip(client, b"x"))
    started = asyncio.get_running_loop().time()
    said = await ended(client)
    dripping.cancel()
    assert asyncio.get_running_loop().time() - started < 2.0
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in said


async def test_a_silent_connection_is_ended_without_a_word(port: int) -> None:
    assert await ended(await connect(port)) == b""


async def test_a_second_request_has_its_time_as_well(port: int) -> None:
    client = await connect(port)
    assert b"200" in await answer(client)
    assert (await ended(await connect(port, b"GET / HT"))).startswith(b"HTTP/1.1 408 "), "a head had its time meanwhile"
    assert b"200" in await answer(client), "an idle connection stays open"
    client[1].write(b"GET / HT")
    assert (await ended(client)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_has_to_keep_a_pace(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\n"
    slow = await connect(port, head)
    dripping = asyncio.create_task(drip(slow, b"x"))
    assert await ended(slow) == b""
    dripping.cancel()
    steady = await connect(port, head)
    await drip(steady, b"x" * 500, every_s=0.1, times=10)
    assert b'{"bytes":5000}' in await answer(steady, b"")


async def test_a_head_without_end_is_refused(port: int) -> None:
    client = await connect(port, b"GET / HTTP/1.1\r\n")
    with suppress(ConnectionError):
        for n in range(2 * HEAD_LIMIT_BYTES // 1000):
            client[1].write(b"X-%d: %b\r\n" % (n, b"x" * 1000))
            await client[1].drain()
    said = await ended(client)
    assert said == b"" or said.startswith(b"HTTP/1.1 431 "), said
    assert b"200" in await answer(await connect(port))


async def test_those_who_wait_longest_make_room(port: int) -> None:
    crowd = [await connect(port, b"GET") for _ in range(60)]
    assert b"200" in await answer(await connect(port)), "whoever sends a whole head is served"
    assert len(GuardedProtocol.waiting) <= 20
    assert await ended(crowd[0]) == b""
    for client in crowd:
        client[1].close()


async def test_an_early_answer_lets_the_body_end_but_not_for_ever(port: int) -> None:
    client = await connect(port, b"POST /nowhere HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    dripping = asyncio.create_task(drip(client, b"5\r\nhello\r\n", 0.01))
    said = await ended(client)
    dripping.cancel()
    assert said.startswith(b"HTTP/1.1 404 ")
    whole = await connect(port, b"POST /nowhere HTTP/1.1\r\nHost: t\r\nContent-Length: 200000\r\n\r\n")
    assert b"404" in await answer(whole, b"x" * 200_000)
    assert b"200" in await answer(whole), "the connection can be used again"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n",
        b"GET /%zz HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"\r\n" * 20_000,
        b"\x00" * 1000,
    ],
)
async def test_what_is_no_http_is_refused_and_nobody_else_notices(port: int, sent: bytes) -> None:
    said = await ended(await connect(port, sent))
    assert said == b"" or said.startswith(b"HTTP/1.1 4"), said
    assert b"200" in await answer(await connect(port))


async def test_requests_that_come_together_are_answered_in_order(port: int) -> None:
    client = await connect(port)
    client[1].write(GET * 50)
    for _ in range(50):
        assert b"200" in await answer(client, b"")


def test_open_files_are_enough_for_all_connections() -> None:
    assert allow_open_files() >= 1_024
    assert allow_open_files() == allow_open_files()


async def test_large_bodies_share_a_bound_and_small_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.runtime.http.LARGE_BODIES_LIMIT_BYTES", 300_000)
    go = asyncio.Event()
    statuses: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 200
        try:
            await receive()
            await go.wait()
        except Problem:
            status = 400
        await send({"type": "http.response.start", "status": status, "headers": []})

    limit = BodyLimit(app)

    async def request(size: int) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"x" * size, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await limit({"type": "http", "path": "/", "headers": []}, receive, send)

    held = [asyncio.create_task(request(200_000)) for _ in range(2)]
    await until(lambda: limit._large_bytes == 2 * (200_000 - LARGE_FROM_BYTES), every_s=0)
    refused = asyncio.create_task(request(200_000))
    small = asyncio.create_task(request(60_000))
    await until(lambda: statuses == [503], every_s=0)
    go.set()
    await asyncio.gather(*held, refused, small)
    assert sorted(statuses) == [200, 200, 200, 503]
    assert limit._large_bytes == 0
    go.clear()
    again = asyncio.create_task(request(200_000))
    await until(lambda: limit._large_bytes == 200_000 - LARGE_FROM_BYTES, every_s=0)
    go.set()
    await again
    assert statuses[-1] == 200
