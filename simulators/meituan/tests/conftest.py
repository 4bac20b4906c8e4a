"""A Meituan of one shop whose calls are signed by hand, and whose pushes are caught."""

import hashlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, unquote

import httpx
import pytest

from simulators.app import create_app
from simulators.clock import Clock
from simulators.market import Want
from simulators.meituan import PLATFORM
from simulators.model import Listing, Receiver

PERSON = Receiver("李四", "13912345678", "北京市", "北京市", "朝阳区", "望京东路6号")
PUSH_URL = "http://hub/push/meituan/s1"


def signed(url: str, params: dict[str, str], secret: str) -> str:
    pairs = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return hashlib.md5(f"{url}?{pairs}{secret}".encode()).hexdigest()


class World:
    """What a test holds."""

    def __init__(self) -> None:
        self.real_s = 1_700_000_000.0
        app = create_app(platforms={"meituan": PLATFORM}, clock=Clock(lambda: self.real_s))
        self.market = app.state.market
        listings = [Listing("spu1", "m1", "A1", "茶", 1750, 100), Listing("spu2", "m2", "", "杯", 500, 100)]
        self.shop = self.market.create_shop("meituan", push_url=PUSH_URL, listings=listings)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://double")
        self.pushed: list[httpx.Request] = []
        self.answer = httpx.Response(200, json={"data": "ok"})
        self.market.pushes.http = httpx.AsyncClient(transport=httpx.MockTransport(self.catch))

    def catch(self, request: httpx.Request) -> httpx.Response:
        self.pushed.append(request)
        return self.answer

    async def forms(self) -> list[dict[str, str]]:
        """Return the forms that were pushed by now, decoded twice."""
        await self.market.pushes.flush()
        found = [dict(parse_qsl(request.content.decode(), keep_blank_values=True)) for request in self.pushed]
        return [{name: unquote(value) for name, value in form.items()} for form in found]

    def order(self, quantity: int = 2, pay: bool = True, accept: bool = False, **more):
        wants = [Want(listing, quantity) for listing in self.shop.listings.values()]
        order = self.market.place(self.shop, wants, PERSON, **more)
        if pay:
            self.market.pay(self.shop, order)
        if accept:
            self.market.accept(self.shop, order)
        return order

    async def call(self, path: str, method: str = "GET", given: dict | None = None, **params) -> dict:
        """Call as the documents say; `given` overrides what was signed."""
        url = f"http://double/meituan/api/v1/{path}"
        sent = {name: str(value) for name, value in params.items()}
        sent = {"app_id": self.shop.app.app_key, "timestamp": str(int(self.market.clock.now_s())), **sent}
        sent = {**sent, "sig": signed(url, sent, self.shop.app.secret), **(given or {})}
        if method == "GET":
            answer = await self.http.get(url, params=sent)
        else:
            answer = await self.http.post(url, data=sent)
        assert answer.status_code == 200
        return answer.json()

    async def found(self, path: str, method: str = "GET", **params):
        """Return the data of a call that succeeds."""
        answer = await self.call(path, method, **params)
        assert "error" not in answer, answer
        return answer["data"]

    async def refused(self, path: str, method: str = "GET", **params) -> int:
        """Return the code of a call that fails."""
        answer = await self.call(path, method, **params)
        assert answer["data"] == "ng"
        return answer["error"]["code"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.http.aclose()
    await made.market.pushes.http.aclose()
