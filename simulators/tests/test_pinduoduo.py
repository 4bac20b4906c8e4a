"""Pinduoduo: signatures, tokens, half-hour windows, the message socket, shipments, stock, signing in."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import websockets

Call = Callable[..., Awaitable[Any]]
INCREMENT, DETAIL = "pdd.order.number.list.increment.get", "pdd.order.information.get"
SHIP, STOCK = "pdd.logistics.online.send", "pdd.goods.quantity.update"


async def test_detail_is_encrypted(new_shop: Call, order: Call, pinduoduo: Call, control: Call) -> None:
    shop = await new_shop("pinduoduo")
    placed = await order("pinduoduo")
    info = (await pinduoduo(shop, DETAIL, order_sn=placed["order_id"]))["order_info"]
    assert (info["order_status"], info["refund_status"], info["risk_control_status"]) == (1, 1, 0)
    assert info["pay_amount"] == 40.0
    assert info["receiver_name"].startswith("~")
    assert [item["outer_id"] for item in info["item_list"]] == ["SKU1", "SKU2"]
    await control("PATCH", "/dials/pinduoduo", {"receivers": "masked"})
    info = (await pinduoduo(shop, DETAIL, order_sn=placed["order_id"]))["order_info"]
    assert "****" in info["receiver_phone"]


async def test_unpaid_orders_are_not_there(new_shop: Call, order: Call, pinduoduo: Call) -> None:
    shop = await new_shop("pinduoduo")
    placed = await order("pinduoduo", pay=False)
    assert (await pinduoduo(shop, DETAIL, order_sn=placed["order_id"]))["error_code"] == 50001


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client_id": "1"}, 10016),
        ({"access_token": "nobody"}, 20032),
        ({"access_token": ""}, 20007),
        ({"type": "pdd.no.such"}, 10001),
        ({"timestamp": "1"}, 10001),
        ({"order_sn": ""}, 20007),
    ],
)
async def test_refuses(new_shop: Call, pinduoduo: Call, change: dict[str, str], code: int) -> None:
    shop = await new_shop("pinduoduo")
    given = {"order_sn": "1", **change}
    assert (await pinduoduo(shop, given.pop("type", DETAIL), **given))["error_code"] == code


async def test_a_wrong_signature_is_refused(new_shop: Call, pinduoduo: Call) -> None:
    shop = await new_shop("pinduoduo")
    assert (await pinduoduo({**shop, "app_secret": "other"}, DETAIL, order_sn="1"))["error_code"] == 20004


async def test_token_expires_and_is_refreshed(
    program: SimpleNamespace, new_shop: Call, pinduoduo: Call, control: Call
) -> None:
    shop = await new_shop("pinduoduo")
    await control("POST", "/clock", {"advance_s": 86_401})
    assert (await pinduoduo(shop, "pdd.logistics.companies.get"))["error_code"] == 10019
    fresh = await pinduoduo(shop, "pdd.pop.auth.token.refresh", access_token="", refresh_token=shop["refresh_token"])
    assert "error_code" not in await pinduoduo({**shop, **fresh}, "pdd.logistics.companies.get")


async def test_rate_limit_and_busy(new_shop: Call, pinduoduo: Call, control: Call) -> None:
    shop = await new_shop("pinduoduo")
    await control("PATCH", "/dials/pinduoduo", {"calls_per_s": 1})
    assert [await pinduoduo(shop, "pdd.time.get") for _ in range(3)][-1]["error_code"] == 70031
    await control("PATCH", "/dials/pinduoduo", {"reset": True, "busy_percent": 100})
    assert (await pinduoduo(shop, "pdd.time.get"))["error_code"] == 52101


async def test_windows(program: SimpleNamespace, new_shop: Call, order: Call, pinduoduo: Call, control: Call) -> None:
    shop = await new_shop("pinduoduo")
    placed = await order("pinduoduo")
    now_s = int(program.market.clock.now_s())
    asked = {"order_status": 5, "refund_status": 5, "is_lucky_flag": 1, "page": 1, "page_size": 50}
    wide = await pinduoduo(shop, INCREMENT, start_updated_at=now_s - 1801, end_updated_at=now_s, **asked)
    assert wide["error_code"] == 10000
    early = await pinduoduo(shop, INCREMENT, start_updated_at=now_s - 1800, end_updated_at=now_s, **asked)
    assert early["error_code"] == 10000, "it must end three minutes ago"
    await control("POST", "/clock", {"advance_s": 180})
    fair = await pinduoduo(shop, INCREMENT, start_updated_at=now_s - 1800, end_updated_at=now_s, **asked)
    assert [row["order_sn"] for row in fair["order_sn_list"]] == [placed["order_id"]]
    await control("PATCH", "/dials/pinduoduo", {"windows_enforced": False})
    wide = await pinduoduo(shop, INCREMENT, start_updated_at=now_s - 9000, end_updated_at=now_s, **asked)
    assert wide["total_count"] == 1


async def test_a_cancelled_order_shows_as_refunded(
    program: SimpleNamespace, new_shop: Call, order: Call, pinduoduo: Call, control: Call
) -> None:
    shop = await new_shop("pinduoduo")
    placed = await order("pinduoduo")
    await control("POST", f"/orders/pinduoduo/s1/{placed['order_id']}/cancel")
    info = (await pinduoduo(shop, DETAIL, order_sn=placed["order_id"]))["order_info"]
    assert info["refund_status"] == 4
    now_s = int(program.market.clock.now_s())
    asked = {"after_sales_type": 1, "after_sales_status": 1, "start_updated_at": now_s - 60, "end_updated_at": now_s}
    rows = (await pinduoduo(shop, "pdd.refund.list.increment.get", **asked))["refund_list"]
    assert [(row["order_sn"], row["after_sales_status"]) for row in rows] == [(placed["order_id"], 10)]


async def test_shipping(new_shop: Call, order: Call, pinduoduo: Call, control: Call) -> None:
    shop = await new_shop("pinduoduo")
    risky, fine = await order("pinduoduo", risky=True), await order("pinduoduo")
    parcel = {"logistics_id": 44, "tracking_number": "SF1"}
    assert (await pinduoduo(shop, SHIP, order_sn=risky["order_id"], **parcel))["sub_code"] == "50003"
    assert (await pinduoduo(shop, SHIP, order_sn=fine["order_id"], **parcel))["is_success"]
    again = {**parcel, "tracking_number": "SF2"}
    assert (await pinduoduo(shop, SHIP, order_sn=fine["order_id"], **parcel))["sub_code"] == "50004"
    assert (await pinduoduo(shop, SHIP, order_sn=fine["order_id"], **again))["sub_code"] == "50004"
    assert (await pinduoduo(shop, SHIP, order_sn=fine["order_id"], **again, redelivery_type=2))["is_success"]
    kinds = (await control("GET", f"/orders/pinduoduo/s1/{fine['order_id']}"))["uploads"]
    assert [upload["kind"] for upload in kinds] == ["first", "repeated", "corrected"]


async def test_stock(new_shop: Call, pinduoduo: Call, control: Call) -> None:
    shop = await new_shop("pinduoduo")
    (listing, *_rest) = await control("GET", "/shops/pinduoduo/s1/listings")
    goods = {"goods_id": int(listing["listing_id"])}
    assert (await pinduoduo(shop, STOCK, **goods, outer_id="SKU1", quantity=7))["is_success"]
    assert (await pinduoduo(shop, STOCK, **goods, sku_id=int(listing["sku_id"]), quantity=-2, update_type=2))[
        "is_success"
    ]
    found = (await pinduoduo(shop, "pdd.goods.information.get", **goods))["goods_info"]
    assert found["sku_list"][0]["sku_quantity"] == 5


def _socket_url(program: SimpleNamespace, shop: dict[str, Any], secret: str = "") -> str:
    ts_ms = str(int(program.market.clock.now_s() * 1000))
    text = hashlib.md5(f"{shop['app_key']}{ts_ms}{secret or shop['app_secret']}".encode()).hexdigest()
    digest = quote(base64.b64encode(text.encode()), safe="")
    return f"ws://{urlsplit(program.url).netloc}/pinduoduo/message/{shop['app_key']}/{ts_ms}/{digest}"


async def _frame(socket: Any, kind: str = "Common") -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if frame["commandType"] == kind:
                return frame


async def test_socket_redelivers_without_ack(
    program: SimpleNamespace, new_shop: Call, order: Call, control: Call
) -> None:
    shop = await new_shop("pinduoduo")
    await control("PATCH", "/dials/pinduoduo", {"queue_redelivery_s": 30})
    async with websockets.connect(_socket_url(program, shop), proxy=None) as socket:
        placed = await order("pinduoduo")
        frame = await _frame(socket)
        assert frame["message"]["type"] == "pdd_trade_TradeConfirmed"
        assert json.loads(frame["message"]["content"])["tid"] == placed["order_id"]
        await socket.send(json.dumps({"id": 1, "commandType": "HeartBeat", "time": 1}))
        assert (await _frame(socket, "HeartBeat"))["id"] == 1
        await control("POST", "/clock", {"advance_s": 31})
        assert (await _frame(socket))["id"] == frame["id"]
    async with websockets.connect(_socket_url(program, shop), proxy=None) as socket:
        assert (await _frame(socket))["id"] == frame["id"]  # a new connection gets it at once
        await socket.send(json.dumps({"id": frame["id"], "commandType": "Ack", "type": frame["message"]["type"]}))
        queue = program.market.apps["pinduoduo", shop["app_key"]].queue
        await socket.send(json.dumps({"id": 2, "commandType": "HeartBeat", "time": 2}))
        assert (await _frame(socket, "HeartBeat"))["id"] == 2, "one frame after the other: the Ack was read before"
        assert not queue.waiting
        assert queue.confirmed == 1
        assert queue.redelivered >= 2


async def test_socket_refuses_a_wrong_digest_and_breaks_in_an_outage(
    program: SimpleNamespace, new_shop: Call, control: Call
) -> None:
    shop = await new_shop("pinduoduo")
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(_socket_url(program, shop, "other"), proxy=None)
    async with websockets.connect(_socket_url(program, shop), proxy=None) as socket:
        await control("PATCH", "/dials/pinduoduo", {"outage": "503"})
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(5):
                await socket.recv()
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(_socket_url(program, shop), proxy=None)


async def test_signing_in(program: SimpleNamespace, new_shop: Call) -> None:
    shop = await new_shop("pinduoduo")
    query = {"response_type": "code", "client_id": shop["app_key"], "redirect_uri": "http://h/back", "state": "s"}
    page = await program.http.get("/pinduoduo/open.html", params=query)
    code = page.headers["location"].split("code=")[1].split("&")[0]
    asked = {"client_id": shop["app_key"], "client_secret": shop["app_secret"]}
    asked |= {"grant_type": "authorization_code", "code": code}
    token = (await program.http.post("/pinduoduo/oauth/token", json=asked)).json()
    assert token["owner_id"] == shop["seller_id"]
    assert "error_response" in (await program.http.post("/pinduoduo/oauth/token", json=asked)).json()


async def test_a_closed_order_gives_back_what_is_left(new_shop: Call, order: Call, control: Call) -> None:
    await new_shop("pinduoduo")
    placed = await order("pinduoduo")
    path = f"/orders/pinduoduo/s1/{placed['order_id']}"
    await control("POST", f"{path}/refund", {"line_id": placed["lines"][0]["line_id"]})
    closed = await control("POST", f"{path}/cancel")
    assert [refund["amount_fen"] for refund in closed["refunds"]] == [2_000, 2_000]
