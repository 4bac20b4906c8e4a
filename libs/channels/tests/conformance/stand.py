"""A connector on its stand: a shop of the doubles, which run in a process of their own, and what is true there."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from libs.channels.channel import (
    About,
    Access,
    Channel,
    Client,
    Heard,
    Parcel,
    PlatformRefused,
    Pushed,
    PushRefused,
    PushRequest,
    StockOrder,
    Token,
    Window,
)
from libs.channels.own.inbound import Order
from libs.channels.tests.conformance.entries import Entry
from libs.testkit.waiting import until

ROOT = Path(__file__).resolve().parents[4]
START_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
WAIT_LIMIT_S = 8.0
POLL_S = 0.05
SKUS = (("CUP-1", 1990), ("CUP-2", 500), ("CUP-3", 9_999_999))
RECEIVER = {
    "name": "张三丰",
    "phone": "13800001234",
    "province": "浙江省",
    "city": "杭州市",
    "district": "西湖区",
    "address": "文三路1号",
}
ELSEWHERE = {
    "name": "李四光",
    "phone": "13900005678",
    "province": "广东省",
    "city": "广州市",
    "district": "天河区",
    "address": "体育西路2号",
}
LINES = (
    {"outer_id": "CUP-1", "quantity": 3, "merchant_discount_fen": 70, "platform_discount_fen": 33},
    {"outer_id": "CUP-2", "quantity": 1},
)


class Doubles:
    """The program that plays the platforms, driven by its control API only."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url, self.http = url, http
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the doubles' time."""
        return datetime.now(UTC) + self._ahead

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API."""
        answer = await self.http.request(method, f"{self.url}/control{path}", json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        told = await self.control("POST", "/clock", {"advance_s": seconds})
        self._ahead = datetime.fromtimestamp(told["now_s"], UTC) - datetime.now(UTC)


@asynccontextmanager
async def doubles() -> AsyncIterator[Doubles]:
    """Start the doubles on a free port, and end them."""
    command = (sys.executable, "-m", "simulators", "--port", "0", "--seed", "5")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_LIMIT_S):
            first = (await process.stdout.readline()).decode()
        assert "http://" in first, "the doubles did not start"
        async with httpx.AsyncClient(trust_env=False, timeout=START_LIMIT_S) as http:
            yield Doubles("http://" + first.split("http://")[1].split()[0], http)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_LIMIT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


@dataclass
class Caught:
    """A push as it came, and what the connector made of it: None when it was refused."""

    request: PushRequest
    pushed: Pushed | None
    refused: str = ""


@dataclass
class Stand:
    """One shop of one channel."""

    entry: Entry
    doubles: Doubles
    http: httpx.AsyncClient
    access: Access
    push_url: str
    opened_at: datetime
    caught: list[Caught] = field(default_factory=list)

    @property
    def channel(self) -> Channel:
        """Return the connector."""
        return self.entry.channel

    @property
    def client(self) -> Client:
        """Return a new client with the tokens of now."""
        return self.channel.client(self.access, self.http, self.doubles.now)

    def renewed(self, token: Token) -> None:
        """Use new tokens from now on."""
        refresh_token = token.refresh_token or self.access.refresh_token
        self.access = replace(self.access, access_token=token.access_token, refresh_token=refresh_token)

    # ---- What happens on the platform

    async def order(self, **more: Any) -> dict[str, Any]:
        """Place an order, paid unless `pay=False`; returns the platform's truth about it."""
        wanted = {"lines": LINES, "receiver": RECEIVER, "shipping_fee_fen": 801, "note": "快点"} | more
        named = {"platform": self.entry.name, "shop_id": self.access.shop_id}
        placed: dict[str, Any] = await self.doubles.control("POST", "/orders", named | wanted)
        return placed

    async def orders(self, count: int) -> list[str]:
        """Let many buyers place a paid order each, of which nothing is pushed; returns the ids."""
        shop = [self.entry.name, self.access.shop_id]
        await self.dial(pushes_lost_percent=100)
        crowd = await self.doubles.control("POST", "/buyers", {"rate_per_s": 10_000, "count": count, "shops": [shop]})

        async def gone() -> Any:
            rows = await self.doubles.control("GET", "/buyers")
            found = next(row for row in rows if row["buyers"] == crowd["buyers"])
            return None if found["running"] else found

        crowd = await until(gone, WAIT_LIMIT_S, POLL_S)
        await self.dial(pushes_lost_percent=0)
        assert crowd["placed"] == count, crowd
        told = await self.doubles.control("GET", f"/books/{self.entry.name}/{self.access.shop_id}?stock=false")
        return [order["order_id"] for order in told["orders"]]

    async def act(self, order_id: str, action: str, **more: Any) -> dict[str, Any]:
        """Let something happen to an order: pay, cancel, refund, change-address, clear-risk."""
        path = f"/orders/{self.entry.name}/{self.access.shop_id}/{order_id}/{action}"
        told: dict[str, Any] = await self.doubles.control("POST", path, more)
        return told

    async def refund_line(self, order_id: str, place: int, *, amount_fen: int) -> dict[str, Any]:
        """Ask for money for the line at `place` back; not every channel names lines as we do."""
        line_id = (await self.truth(order_id))["lines"][place]["line_id"]
        return await self.act(order_id, "refund", amount_fen=amount_fen, line_id=line_id)

    async def settle(self, refund_id: str, status: str) -> None:
        """End a refund: succeeded or closed."""
        path = f"/refunds/{self.entry.name}/{self.access.shop_id}/{refund_id}/{status}"
        await self.doubles.control("POST", path)

    async def truth(self, order_id: str) -> dict[str, Any]:
        """Return what is true about an order."""
        path = f"/orders/{self.entry.name}/{self.access.shop_id}/{order_id}"
        told: dict[str, Any] = await self.doubles.control("GET", path)
        return told

    async def waybills(self, order_id: str) -> list[str]:
        """Return the waybills that the platform kept, oldest first, without repeats of one."""
        uploads = (await self.truth(order_id))["uploads"]
        return [upload["waybill"] for upload in uploads if upload["kind"] in ("first", "corrected")]

    async def listing(self, outer_id: str) -> dict[str, Any]:
        """Return a listing of the shop, with its true stock."""
        rows = await self.doubles.control("GET", f"/shops/{self.entry.name}/{self.access.shop_id}/listings")
        found: dict[str, Any] = next(row for row in rows if row["outer_id"] == outer_id)
        return found

    async def dial(self, **turned: Any) -> None:
        """Turn dials that every double has."""
        await self.doubles.control("PATCH", f"/dials/{self.entry.name}", turned)

    async def own_dials(self, turned: Mapping[str, object]) -> dict[str, object]:
        """Turn dials that only this double has; returns what they were."""
        url = f"{self.doubles.url}/{self.entry.name}/dials"
        before = (await self.doubles.http.get(url)).json()
        (await self.doubles.http.patch(url, json=dict(turned))).raise_for_status()
        return {name: before[name] for name in turned}

    async def expire(self, refresh: bool = False) -> None:
        """End the tokens."""
        path = f"/shops/{self.entry.name}/{self.access.shop_id}/expire"
        await self.doubles.control("POST", path + ("?refresh=true" if refresh else ""))

    # ---- What the connector says

    async def heard(self, subject_id: str, about: About = About.ORDER) -> list[Heard]:
        """Fetch a document and translate it."""
        return self.channel.heard(await self.client.document(about, subject_id))

    async def heard_order(self, order_id: str) -> Order:
        """Return the order that an order's document says."""
        [order, *_] = await self.heard(order_id)
        assert isinstance(order, Order), order
        return order

    async def rested(self) -> datetime:
        """Let time pass until a window may end at the moment that is returned, after all that happened."""
        lag_s = self.channel.capabilities.pull_lag_s
        await self.doubles.advance(lag_s + 2)
        return self.doubles.now() - timedelta(seconds=lag_s)

    async def pulled(self, about: About, window: Window) -> list[str]:
        """Return the ids of all pages of a window."""
        return [subject for page in [p async for p in self.client.pages(about, window)] for subject, _ in page.subjects]

    async def parcel(self, order_id: str, waybill: str, **more: Any) -> Parcel:
        """Return a parcel of the whole order; channels that want orders accepted have accepted it."""
        await self.client.accept(order_id)
        order = await self.heard_order(order_id)
        lines = tuple((line.line_id, line.sku, line.quantity) for line in order.lines)
        whole = Parcel(order_id, f"parcel-{waybill}", "SF", waybill, lines)
        return replace(whole, **more)

    async def stock_order(self, outer_id: str, quantity: int, change_id: str, delta: bool = False) -> StockOrder:
        """Return how much of a listing may be sold."""
        row = await self.listing(outer_id)
        return StockOrder(row["listing_id"], row[self.entry.skus_named_by], quantity, change_id, delta)

    # ---- What is pushed

    def catch(self, request: PushRequest) -> Caught:
        """Take a push as the service would."""
        assert self.channel.receive is not None
        try:
            caught = Caught(request, self.channel.receive(request, self.access, self.doubles.now()))
        except PushRefused as refused:
            caught = Caught(request, None, str(refused))
        self.caught.append(caught)
        return caught

    def hints(self) -> list[tuple[About, str]]:
        """Return what all pushes hinted at, in the order of their arrival."""
        return [(hint.about, hint.subject_id) for each in self.caught if each.pushed for hint in each.pushed.hints]

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for a condition."""

        def missing() -> str:
            refused = {each.refused for each in self.caught if each.refused}
            return f"{what}; refused: {refused}"

        await until(holds, WAIT_LIMIT_S, missing=missing)


async def refusal_of(called: Awaitable[Any]) -> PlatformRefused | None:
    """Return how the platform's no was told; None when it said yes."""
    try:
        await called
    except PlatformRefused as refused:
        return refused
    return None


async def refusal(called: Awaitable[Any]) -> PlatformRefused:
    """Return how the platform's no was told."""
    refused = await refusal_of(called)
    assert refused is not None, "the call was not refused"
    return refused
