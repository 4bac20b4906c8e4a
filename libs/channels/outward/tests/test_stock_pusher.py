"""A stock call is made at most once where a repeat would do harm, and its outcome is never guessed."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest

from libs.channels.channel import Cure, PlatformRefused, StockOrder
from libs.channels.outward import stock_pusher
from libs.channels.outward.stock_pusher import StockPusher, outcome
from libs.decide import Delivered, Send
from libs.stream.egress import Refused, Retry


def call(kind="delta", value=5, shop_id="s1"):
    body = {
        "shop_id": shop_id,
        "sku": "A",
        "listing_id": "L",
        "listing_sku": "S",
        "change_id": "s1/A/1",
        "kind": kind,
        "value": value,
    }
    return Send(destination="stock:wechat", send_id="s1/A/1", key="A", body=body)


class Shop:
    """A line whose platform answers as told, and a book of attempts."""

    def __init__(self, answer="ok", paused=False):
        self.orders, self.answer, self.paused, self.shop_id, self.begun = [], answer, paused, "s1", []
        self.client = SimpleNamespace(push_stock=self.push_stock, read_stock=self.read_stock)

    async def find(self, shop_id):
        return self if shop_id == "s1" else None

    async def token_refused(self, line):
        pass

    async def begin(self, request, attempt):
        first = attempt not in self.begun
        self.begun.append(attempt)
        return first

    async def push_stock(self, orders):
        self.orders += orders
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def read_stock(self, listing_id, listing_sku):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def send(self, request, attempt=1):
        return await StockPusher(self, self.begin).send(request, attempt)


async def test_a_difference_is_told_once_even_if_nobody_knows_whether_it_was():
    shop = Shop()
    assert await shop.send(call()) == "ok"
    assert shop.orders == [StockOrder(listing_id="L", listing_sku="S", quantity=5, change_id="s1/A/1", delta=True)]
    with pytest.raises(Refused, match=r"^unknown: "):
        await shop.send(call())
    assert len(shop.orders) == 1


async def test_nothing_may_be_told_as_often_as_one_likes():
    shop = Shop()
    for _ in range(2):
        assert await shop.send(call("set", 0)) == "ok"
    assert (shop.begun, len(shop.orders)) == ([], 2)


@pytest.mark.parametrize(
    ("answer", "fate", "words"),
    [
        (PlatformRefused(Cure.GIVE_UP, "1", "no such item 13912345678"), Refused, "^not done: 1: no such item …$"),
        (PlatformRefused(Cure.RETRY, "10020112", "slow down"), Retry, "slow down"),
        (PlatformRefused(Cure.REFRESH, "42001", "expired"), Retry, "expired"),
        (PlatformRefused(Cure.RETRY, "HTTP 502", "bad gateway"), Refused, "^unknown: HTTP 502"),
        (PlatformRefused(Cure.RETRY, "answer", "is not JSON"), Refused, "^unknown: answer"),
        (httpx.ReadTimeout("x"), Refused, "^unknown: ReadTimeout$"),
        (httpx.RemoteProtocolError("x"), Refused, "^unknown: "),
        (ConnectionResetError("x"), Refused, "^unknown: "),
        (httpx.ConnectError("x"), httpx.ConnectError, "x"),
        (httpx.ConnectTimeout("x"), httpx.ConnectTimeout, "x"),
    ],
)
async def test_what_may_have_happened_is_unknown_and_what_did_not_is_said(answer, fate, words):
    with pytest.raises(fate, match=words):
        await Shop(answer).send(call())


async def test_a_call_that_hangs_is_unknown(monkeypatch):
    monkeypatch.setattr(stock_pusher, "CALL_TIMEOUT_S", 0.01)
    with pytest.raises(Refused, match=r"^unknown: TimeoutError"):
        await Shop(None).send(call())


async def test_reading():
    assert await Shop(7).send(call("read", 0)) == "read 7"
    with pytest.raises(Refused, match=r"^not done: "):
        await Shop(None).send(call("read", 0))
    with pytest.raises(Refused, match=r"^not done: 9: gone"):
        await Shop(PlatformRefused(Cure.GIVE_UP, "9", "gone")).send(call("read", 0))


async def test_a_paused_shop_waits_and_one_that_is_gone_is_told_nothing():
    with pytest.raises(Retry):
        await Shop(paused=True).send(call())
    with pytest.raises(Refused, match=r"^not done: "):
        await Shop().send(call(shop_id="s2"))


@pytest.mark.parametrize(
    ("ok", "detail", "kind", "found"),
    [
        (True, "ok", "delta", ("done", None)),
        (True, "read 7", "read", ("done", 7)),
        (True, "read 7", "delta", ("done", None)),
        (True, "read ²", "read", ("done", None)),
        (False, "not done: x", "set", ("not done", None)),
        (False, "unknown: x", "set", ("unknown", None)),
        (False, "ConnectError", "set", ("unknown", None)),
    ],
)
def test_how_a_call_ended(ok, detail, kind, found):
    message = Delivered(destination="d", send_id="s", key="k", ok=ok, detail=detail, body={"kind": kind})
    assert outcome(message) == found
