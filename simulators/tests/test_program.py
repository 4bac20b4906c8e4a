"""The market, the control API, the books, the buyers and the push scheduler."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from simulators.app import create_app, known_platforms
from simulators.clock import Clock, of_wall, wall
from simulators.goods import real_addresses, real_orders
from simulators.market import Market
from simulators.persons import masked, shown
from simulators.pushes import HttpPush, Push

Call = Callable[..., Awaitable[Any]]
START_LIMIT_S = 30


def test_clock_goes_forward_only() -> None:
    real = [1_700_000_000.0]
    clock = Clock(lambda: real[0])
    clock.advance(14_400)
    clock.run_at(60)
    real[0] += 1
    assert clock.now_s() == 1_700_014_460.0
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    moment = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
    assert wall(moment) == "2026-01-05 10:00:00"
    assert of_wall(wall(moment)) == moment


def test_data() -> None:
    assert len(real_orders()) > 1_500
    assert len(real_addresses()) == 1_500
    assert all(1 <= len(order.lines) <= 4 for order in real_orders())


def test_a_masked_receiver_says_little(program_free_market: Market) -> None:
    from simulators.goods import receiver_of

    receiver = receiver_of(5)
    hidden = masked(receiver)
    assert (hidden.province, hidden.city) == (receiver.province, receiver.city)
    assert receiver.phone not in hidden.phone
    assert receiver.address not in hidden.address
    sealed = shown(receiver, "encrypted", "clear", "order")
    assert receiver.name not in sealed.name
    assert shown(receiver, "", "clear", "order") == receiver


@pytest.fixture
def program_free_market() -> Market:
    return create_app(3, known_platforms(("taobao",))).state.market  # type: ignore[no-any-return]


async def test_control_refuses_what_makes_no_sense(new_shop: Call, order: Call, control: Call) -> None:
    await control("POST", "/shops", {"platform": "nowhere"}, status=404)
    await new_shop("taobao")
    await control("POST", "/shops", {"platform": "taobao", "shop_id": "s1"}, status=409)
    await control("PATCH", "/dials/taobao", {"pushes_lost": 5}, status=422)
    await control("PATCH", "/dials/taobao", {"outage": "maybe"}, status=422)
    await control("POST", "/clock", {"advance_s": -1}, status=422)
    placed = await order("taobao")
    for action, status in (("pay", 409), ("finish", 409), ("dance", 404)):
        await control("POST", f"/orders/taobao/s1/{placed['order_id']}/{action}", status=status)
    wanted = {"platform": "taobao", "shop_id": "s1", "lines": [{"outer_id": "SKU1", "quantity": 99}]}
    assert (await control("POST", "/orders", wanted, status=409))["detail"] == "sold out"
    rows = await control("GET", "/shops/taobao/s1/listings")
    assert (rows[0]["stock"], rows[0]["sold"], rows[0]["sold_out"]) == (98, 2, 1)


async def test_books_follow_changes(new_shop: Call, order: Call, control: Call) -> None:
    await new_shop("taobao")
    first, second = await order("taobao"), await order("taobao", pay=False)
    books = await control("GET", "/books/taobao/s1")
    assert [entry["order_id"] for entry in books["orders"]] == [first["order_id"], second["order_id"]]
    assert (books["counts"]["paid"], books["orders"][1]["paid_at"]) == (1, None)
    nothing = await control("GET", f"/books/taobao/s1?after={books['cursor']}")
    assert (nothing["orders"], nothing["cursor"]) == ([], books["cursor"])
    await control("POST", f"/orders/taobao/s1/{first['order_id']}/change-address")
    later = await control("GET", f"/books/taobao/s1?after={books['cursor']}")
    assert [entry["order_id"] for entry in later["orders"]] == [first["order_id"]]


async def test_stock_of_cancelled_orders(new_shop: Call, order: Call, control: Call) -> None:
    await new_shop("taobao")
    for dial, pay, stock in ((False, False, 100), (False, True, 98), (True, True, 98)):
        await control("PATCH", "/dials/taobao", {"returns_stock_of_cancelled": dial})
        placed = await order("taobao", pay=pay)
        await control("POST", f"/orders/taobao/s1/{placed['order_id']}/cancel")
        assert (await control("GET", "/shops/taobao/s1/listings"))[0]["stock"] == stock


async def test_buyers_at_a_rate(program: SimpleNamespace, control: Call) -> None:
    for platform in ("taobao", "pinduoduo", "jd"):
        await control("POST", "/shops", {"platform": platform, "shop_id": "b1", "catalogue": 400})
    mix = {"unpaid_percent": 20, "cancel_percent": 10, "refund_percent": 10, "address_percent": 10, "act_after_s": 1}
    await control("POST", "/buyers", {"rate_per_s": 500, "count": 120, "mix": mix})
    await asyncio.wait([each.task for each in program.app.state.crowds.values()], timeout=20)
    (crowd,) = await control("GET", "/buyers")
    assert (crowd["running"], crowd["failure"]) == (False, "")
    assert crowd["placed"] == 120
    books = [await control("GET", f"/books/{name}/b1") for name in ("taobao", "pinduoduo", "jd")]
    assert [book["counts"]["orders"] for book in books] == [40, 40, 40]
    paid = sum(book["counts"]["paid"] for book in books)
    assert 70 < paid < 115
    closed = [entry for book in books for entry in book["orders"] if entry["status"] == "closed"]
    assert len(closed) > 5
    assert "doubles" in (await program.http.get("/")).text


async def test_scheduler_doubles_retries_and_reorders(program_free_market: Market) -> None:
    market = program_free_market
    asked: list[str] = []
    answers = iter([500, 500, 200] + [200] * 100)
    transport = httpx.MockTransport(lambda request: asked.append(request.url.path) or httpx.Response(next(answers)))
    market.pushes.http = httpx.AsyncClient(transport=transport)

    def push(path: str) -> Push:
        async def send(now: datetime) -> bool:
            return await market.pushes.over_http(HttpPush(f"http://h/{path}", b"{}"), lambda status, _b: status == 200)

        return Push("topic", path, send, retry_after_s=(10, 60))

    market.pushes.schedule("taobao", "s", push("a"))
    for advance_s in (0, 9, 2, 61):
        market.clock.advance(advance_s)
        await market.pushes.flush()
    assert asked == ["/a"] * 3
    assert [sent.outcome for sent in market.pushes.sent] == ["refused", "refused", "accepted"]
    market.dials["taobao"].pushes_doubled_percent = 100
    market.pushes.schedule("taobao", "s", push("b"))
    await market.pushes.flush()
    assert asked[3:] == ["/b", "/b"]
    market.dials["taobao"].pushes_doubled_percent = 0
    market.dials["taobao"].pushes_reordered_percent = 100
    for number in range(20):
        market.pushes.schedule("taobao", "s", push(str(number)))
    for _second in range(4):
        market.clock.advance(1)
        await market.pushes.flush()
    assert sorted(asked[5:], key=lambda path: int(path[1:])) == [f"/{number}" for number in range(20)]
    assert asked[5:] != [f"/{number}" for number in range(20)]
    await market.pushes.http.aclose()


async def test_pushes_wait_for_an_outage_to_end(program_free_market: Market) -> None:
    market = program_free_market
    sent: list[str] = []

    async def send(now: datetime) -> bool:
        sent.append("sent")
        return True

    market.dials["taobao"].outage = "503"
    market.pushes.schedule("taobao", "s", Push("t", "x", send))
    await market.pushes.flush()
    assert sent == []
    market.dials["taobao"].outage = ""
    market.clock.advance(2)
    await market.pushes.flush()
    assert sent == ["sent"]


def test_as_a_program() -> None:
    command = [sys.executable, "-m", "simulators", "--port", "0", "--platforms", "jd"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            url = line.split()[3]
            answer = httpx.get(f"{url}/control/dials", trust_env=False, timeout=START_LIMIT_S)
            assert set(answer.json()) == {"jd"}
        finally:
            process.terminate()


async def test_the_pages_ask_no_other_host(program: SimpleNamespace) -> None:
    page = await program.http.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; connect-src 'self';")
    assert "//" not in page.text
    named = re.findall(r"(?:src|href)=['\"]?([^'\" >]+)", page.text)
    assert {name.rsplit("/")[-1] for name in named} >= {"swagger-ui-bundle.js", "swagger-ui.css"}
    for each in [*named, "openapi.json"]:
        assert (await program.http.get(f"/{each}")).status_code == 200
    assert "//" not in (await program.http.get("/")).text
