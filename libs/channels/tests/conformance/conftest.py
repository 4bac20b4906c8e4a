"""The doubles' process and the address that they push to, once; a new shop on its stand for each test."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import uvicorn

from libs.channels.channel import Access, PushRequest
from libs.channels.tests.conformance.entries import Entry
from libs.channels.tests.conformance.stand import SKUS, Doubles, Stand, doubles
from libs.testkit.waiting import until

OpenStand = Callable[[Entry], Awaitable[Stand]]


class Address:
    """An ASGI application where pushes arrive; each is answered in the words of the connector of its shop."""

    def __init__(self) -> None:
        self.url = ""
        self.stands: dict[str, Stand] = {}

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        stand = self.stands[scope["path"]]
        headers = tuple((name, value) for name, value in scope["headers"])
        caught = stand.catch(PushRequest(scope["method"], stand.push_url, scope["query_string"], headers, body))
        answer = caught.pushed.answer if caught.pushed else None
        content_type = answer.content_type if answer else "text/plain"
        start = {"type": "http.response.start", "status": answer.status if answer else 403}
        await send(start | {"headers": [(b"content-type", content_type.encode())]})
        await send({"type": "http.response.body", "body": answer.body if answer else b"refused"})


@pytest.fixture(scope="session")
async def platforms() -> AsyncIterator[Doubles]:
    """Run the doubles."""
    async with doubles() as running:
        yield running


@pytest.fixture(scope="session")
async def address() -> AsyncIterator[Address]:
    """Listen for pushes on a free port."""
    listening = Address()
    config = uvicorn.Config(listening, port=0, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    running = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, 10)
        port = server.servers[0].sockets[0].getsockname()[1]
        listening.url = f"http://127.0.0.1:{port}"
        yield listening
    finally:
        server.should_exit = True
        await running


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """The connectors' own HTTP client; to make one takes longer than most checks."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
async def open_stand(platforms: Doubles, address: Address, http: httpx.AsyncClient) -> AsyncIterator[OpenStand]:
    """Open a shop at a channel's double; afterwards its dials are turned back and it is pushed to no more."""
    opened: list[Stand] = []

    async def stand_of(entry: Entry) -> Stand:
        shop_id = f"{entry.name}-{next(_numbers)}"
        path = f"/{entry.name}/{shop_id}"
        pushes = entry.channel.receive is not None
        skus = [{"outer_id": outer_id, "price_fen": price, "stock": 10_000} for outer_id, price in SKUS]
        wanted = {"platform": entry.name, "shop_id": shop_id, "skus": skus}
        made = await platforms.control("POST", "/shops", wanted | {"push_url": address.url + path if pushes else ""})
        gateway = platforms.url + made["gateway"]
        told = {name: made[name] for name in ("app_key", "app_secret", "access_token", "refresh_token", "seller_id")}
        access = Access(shop_id=shop_id, secrets=made["secrets"], gateway=gateway, sign_in=gateway, **told)
        stand = Stand(entry, platforms, http, access, made["push_url"], platforms.now())
        address.stands[path] = stand
        opened.append(stand)
        return stand

    yield stand_of
    for stand in opened:
        await stand.dial(reset=True)
        if stand.push_url:
            await platforms.control("PATCH", f"/shops/{stand.entry.name}/{stand.access.shop_id}", {"push_url": ""})
