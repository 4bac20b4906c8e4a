"""A WeChat shop whose pushes are caught."""

from collections.abc import AsyncIterator

import httpx
import pytest

from simulators.app import create_app
from simulators.clock import Clock
from simulators.market import Want
from simulators.model import Listing, Receiver
from simulators.wechat import PLATFORM

PERSON = Receiver("王小明", "13712345678", "浙江省", "杭州市", "西湖区", "文三路5号")
PUSH_URL = "http://hub/push/wechat/s1"


class World:
    """What a test holds."""

    def __init__(self) -> None:
        self.real_s = 1_700_000_000.0
        app = create_app(platforms={"wechat": PLATFORM}, clock=Clock(lambda: self.real_s))
        self.market = app.state.market
        listings = [Listing("1001", "2001", "A1", "茶", 1990, 100), Listing("1002", "2002", "B2", "杯", 500, 100)]
        self.shop = self.market.create_shop("wechat", push_url=PUSH_URL, listings=listings)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://double")
        self.pushed: list[httpx.Request] = []
        self.answer = httpx.Response(200, content=b"success")
        self.market.pushes.http = httpx.AsyncClient(transport=httpx.MockTransport(self.catch))

    def catch(self, request: httpx.Request) -> httpx.Response:
        self.pushed.append(request)
        return self.answer

    def order(self, quantity: int = 2, pay: bool = True, **more):
        wants = [Want(listing, quantity) for listing in self.shop.listings.values()]
        order = self.market.place(self.shop, wants, PERSON, **more)
        if pay:
            self.market.pay(self.shop, order)
        return order

    async def token(self, **other) -> dict:
        """Fetch an access token."""
        app = self.shop.app
        asked = {"grant_type": "client_credential", "appid": app.app_key, "secret": app.secret, **other}
        return (await self.http.get("/wechat/cgi-bin/token", params=asked)).json()

    async def stable(self, **other) -> dict:
        """Fetch a stable access token."""
        app = self.shop.app
        asked = {"grant_type": "client_credential", "appid": app.app_key, "secret": app.secret, **other}
        return (await self.http.post("/wechat/cgi-bin/stable_token", json=asked)).json()

    async def call(self, path: str, token: str | None = None, **params) -> dict:
        """Call as the documents say."""
        shown = self.shop.grant.access_token if token is None else token
        answer = await self.http.post(f"/wechat/{path}", params={"access_token": shown}, json=params)
        assert answer.status_code == 200
        return answer.json()

    async def found(self, path: str, token: str | None = None, **params) -> dict:
        """Return the answer of a call that succeeds."""
        answer = await self.call(path, token, **params)
        assert (answer["errcode"], answer["errmsg"]) == (0, "ok"), answer
        return answer

    async def refused(self, path: str, token: str | None = None, **params) -> int:
        """Return the code of a call that fails."""
        return (await self.call(path, token, **params))["errcode"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.http.aclose()
    await made.market.pushes.http.aclose()
