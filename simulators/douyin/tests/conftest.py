"""A Douyin of one shop whose calls are signed by hand, and whose pushes are caught."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from simulators.app import create_app
from simulators.clock import Clock
from simulators.douyin import PLATFORM
from simulators.market import Want
from simulators.model import Listing, Receiver

PERSON = Receiver("张三丰", "13812345678", "广东省", "深圳市", "南山区", "科技路1号", "粤海街道")


class World:
    """What a test holds."""

    def __init__(self) -> None:
        self.real_s = 1_700_000_000.0
        app = create_app(platforms={"douyin": PLATFORM}, clock=Clock(lambda: self.real_s))
        self.market = app.state.market
        self.shop = self.market.create_shop(
            "douyin",
            push_url="http://hub/push/douyin/s1",
            listings=[
                Listing("3600000001", "1700000001", "A1", "茶", 1990, 100),
                Listing("3600000002", "1700000002", "B2", "杯", 500, 50),
            ],
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://double")
        self.pushed: list[httpx.Request] = []
        self.answer = httpx.Response(200, json={"code": 0, "msg": "success"})
        self.market.pushes.http = httpx.AsyncClient(transport=httpx.MockTransport(self.catch))

    def catch(self, request: httpx.Request) -> httpx.Response:
        self.pushed.append(request)
        return self.answer

    async def messages(self) -> list[list[dict]]:
        """Return the arrays that were pushed by now."""
        await self.market.pushes.flush()
        return [json.loads(request.content) for request in self.pushed]

    def order(self, quantity: int = 2, pay: bool = True, **more):
        wants = [Want(listing, quantity) for listing in self.shop.listings.values()]
        order = self.market.place(self.shop, wants, PERSON, **more)
        if pay:
            self.market.pay(self.shop, order)
        return order

    async def call(self, path: str, params: dict | None = None, **query) -> dict:
        """Call as the documents say; whatever `query` names is used instead."""
        body = json.dumps(params or {}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        body = query.pop("body", body)
        sent = {
            "app_key": self.shop.app.app_key,
            "method": path.strip("/").replace("/", "."),
            "access_token": self.shop.grant.access_token,
            "timestamp": str(int(self.market.clock.now_s())),
            "v": "2",
            "sign_method": "hmac-sha256",
            **query,
        }
        secret = self.shop.app.secret
        text = f"app_key{sent['app_key']}method{sent['method']}param_json{body}timestamp{sent['timestamp']}v2"
        by = hashlib.sha256 if sent["sign_method"] == "hmac-sha256" else hashlib.md5
        wrapped = (secret + text + secret).encode()
        signed = hmac.new(secret.encode(), wrapped, by).hexdigest() if by is hashlib.sha256 else by(wrapped).hexdigest()
        answer = await self.http.post(f"/douyin{path}", params={"sign": signed, **sent}, content=body.encode())
        assert answer.status_code == 200
        return answer.json()

    async def found(self, path: str, params: dict | None = None, **query):
        """Return the data of a call that succeeds."""
        answer = await self.call(path, params, **query)
        assert (answer["code"], answer["msg"], answer["err_no"]) == (10000, "success", 0), answer
        return answer["data"]

    async def refused(self, path: str, params: dict | None = None, **query) -> tuple[int, str]:
        """Return code and sub_code of a call that fails."""
        answer = await self.call(path, params, **query)
        assert answer["data"] is None
        return answer["code"], answer["sub_code"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.http.aclose()
    await made.market.pushes.http.aclose()
