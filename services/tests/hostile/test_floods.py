"""Intake under slow and endless clients: orders are taken as ever, by a real process on real servers.

The stated numbers: 1,500 connections that send their head a byte a second, 500 that send their body so, and 4,000 that
connect and say nothing, each while a shop sends orders, one new connection an order.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from libs.runtime.protocol import HEAD_TIMEOUT_S, WAITING_LIMIT_CONNECTIONS, allow_open_files
from libs.testkit.client import Merchant, order_body
from libs.testkit.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
SLOW_HEADS = 1_500
SLOW_BODIES = 500
SILENT = 4_000
ORDERS = 40
ANSWER_LIMIT_S = 3.0
TRIES_LIMIT = 3
POLL_S = 0.1
AT_ONCE = 200
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_numbers = itertools.count(1)


async def crowd(merchant: Merchant, count: int, first: bytes) -> list[Connection]:
    """Open so many connections to intake, each beginning with the same bytes."""
    place = urlsplit(merchant.env["ORDO_URL_INGESTION"])
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Connection | None:
        async with gate:
            try:
                connection = await asyncio.open_connection(place.hostname, place.port)
            except OSError:
                return None
            connection[1].write(first)
            return connection

    return [found for found in await asyncio.gather(*[one() for _ in range(count)]) if found is not None]


@asynccontextmanager
async def pressing(connections: list[Connection], byte: bytes) -> AsyncIterator[None]:
    """Send a byte a second on each connection while the block runs; close them all at the end."""

    async def press() -> None:
        while True:
            for _, writer in connections:
                if not writer.is_closing():
                    writer.write(byte)
            await asyncio.sleep(1.0)

    pressed = asyncio.create_task(press())
    try:
        yield
    finally:
        pressed.cancel()
        for _, writer in connections:
            writer.transport.abort()


async def orders(merchant: Merchant) -> list[float]:
    """Send orders, each on a connection of its own, and return how long each took; one that fails is sent again."""
    took = []
    for _ in range(ORDERS):
        number = f"flood-{next(_numbers)}-{time.time_ns()}"
        started = time.monotonic()
        for attempt in range(TRIES_LIMIT):
            client = Merchant(merchant.env)
            try:
                answer = await client.webhook(f"msg_{number}", order_body(number, {"FLOOD": 1}))
                assert answer.status_code == 202, answer.text
                break
            except httpx.TransportError:
                assert attempt < TRIES_LIMIT - 1, "an honest client does not get through"
            finally:
                await client.close()
        took.append(time.monotonic() - started)
    return sorted(took)


def open_still(connections: list[Connection]) -> int:
    """Return how many connections the server has not ended."""
    return sum(not reader.at_eof() and reader.exception() is None for reader, _ in connections)


@pytest.fixture(autouse=True)
def _many_files() -> None:
    allow_open_files()


async def test_orders_are_taken_beside_heads_that_come_a_byte_a_second(survivor: Merchant) -> None:
    slow = await crowd(survivor, SLOW_HEADS, b"POST /webhooks/own/demo HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert len(slow) == SLOW_HEADS
    async with pressing(slow, b"x"):
        took = await orders(survivor)
        assert took[-1] < ANSWER_LIMIT_S, took[-5:]
        # Those past the limit went at once, the others when their time was over.
        await until(lambda: open_still(slow) == 0, HEAD_TIMEOUT_S * 2 + 5, POLL_S)


async def test_orders_are_taken_beside_bodies_that_come_a_byte_a_second(survivor: Merchant) -> None:
    head = b"POST /webhooks/own/demo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"
    slow = await crowd(survivor, SLOW_BODIES, head)
    async with pressing(slow, b" "):
        took = await orders(survivor)
        assert took[-1] < ANSWER_LIMIT_S, took[-5:]
        await until(lambda: open_still(slow) == 0, 30, POLL_S)


async def test_orders_are_taken_in_a_flood_of_connections(survivor: Merchant) -> None:
    flood = asyncio.create_task(crowd(survivor, SILENT, b""))
    took = await orders(survivor)
    silent = await flood
    assert took[-1] < ANSWER_LIMIT_S, took[-5:]
    await until(lambda: open_still(silent) <= WAITING_LIMIT_CONNECTIONS, 10, POLL_S)
    assert (await orders(survivor))[-1] < ANSWER_LIMIT_S
    for _, writer in silent:
        with suppress(OSError):
            writer.transport.abort()
