"""Taobao: signatures, sessions, limits, pulling under a page shift, the queue, shipments, stock, signing in."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from simulators.clock import wall

Call = Callable[..., Awaitable[Any]]
FIELDS = "tid,tid_str,status,payment,modified,receiver_name,receiver_mobile,receiver_address,orders"
INCREMENT, DETAIL = "taobao.trades.sold.increment.get", "taobao.trade.fullinfo.get"
CONSUME, CONFIRM = "taobao.tmc.messages.consume", "taobao.tmc.messages.confirm"
SHIP = "taobao.logistics.offline.send"


async def test_detail_is_exact_and_masked(new_shop: Call, order: Call, taobao: Call) -> None:
    shop = await new_shop("taobao")
    placed = await order("taobao", shipping_fee_fen=500)
    trade = (await taobao(shop, DETAIL, tid=placed["order_id"], fields=FIELDS))["trade"]
    assert trade["tid"] == int(placed["order_id"]) > 2**53
    assert trade["status"] == "WAIT_SELLER_SEND_GOODS"
    assert trade["payment"] == "45.00"
    assert [o["outer_sku_id"] for o in trade["orders"]["order"]] == ["SKU1", "SKU2"]
    assert trade["receiver_address"] == "***"
    assert "测试" not in trade["receiver_name"]
    assert "created" not in trade  # it was not asked for


async def test_clear_and_encrypted_receivers(new_shop: Call, order: Call, taobao: Call, control: Call) -> None:
    shop = await new_shop("taobao")
    placed = await order("taobao")
    seen = []
    for how in ("clear", "encrypted"):
        await control("PATCH", "/dials/taobao", {"receivers": how})
        trade = (await taobao(shop, DETAIL, tid=placed["order_id"], fields=FIELDS))["trade"]
        seen.append(trade["receiver_mobile"])
    assert seen[0].startswith("1990")
    assert seen[1].startswith("~")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sign": "0" * 32}, 25),
        ({"app_key": "1"}, 29),
        ({"session": "nobody"}, 27),
        ({"session": ""}, 26),
        ({"method": "taobao.no.such"}, 22),
        ({"timestamp": "2020-01-01 00:00:00"}, 31),
        ({"timestamp": "now"}, 31),
        ({"tid": ""}, 40),
        ({"v": "1.0"}, 33),
        ({"sign_method": "rsa"}, 25),
    ],
)
async def test_refuses(new_shop: Call, taobao: Call, change: dict[str, str], code: int) -> None:
    shop = await new_shop("taobao")
    given = {"tid": "1", "fields": "tid", **change}
    answer = await taobao(shop, given.pop("method", DETAIL), **given)
    assert answer["code"] == code


async def test_timestamps_may_be_ten_minutes_off(program: SimpleNamespace, new_shop: Call, taobao: Call) -> None:
    shop = await new_shop("taobao")
    now = program.market.now()
    ok = await taobao(shop, CONSUME, timestamp=wall(now - timedelta(minutes=9)))
    late = await taobao(shop, CONSUME, timestamp=wall(now - timedelta(minutes=11)))
    assert "code" not in ok
    assert late["code"] == 31


async def test_token_dies_mid_call_and_is_refreshed(
    program: SimpleNamespace, new_shop: Call, taobao: Call, control: Call
) -> None:
    shop = await new_shop("taobao")
    await control("PATCH", "/dials/taobao", {"token_expires_after_calls": 2})
    calls = [await taobao(shop, "taobao.logistics.companies.get", fields="code") for _ in range(3)]
    assert [call.get("sub_code") for call in calls] == [None, None, "session-expired"]
    form = {
        "grant_type": "refresh_token",
        "client_id": shop["app_key"],
        "client_secret": shop["app_secret"],
        "refresh_token": shop["refresh_token"],
    }
    fresh = (await program.http.post("/taobao/token", data=form)).json()
    assert fresh["access_token"] != shop["access_token"]
    assert "code" not in await taobao({**shop, **fresh}, "taobao.logistics.companies.get", fields="code")
    again = await program.http.post("/taobao/token", data=form)
    assert again.status_code == 400  # the refresh token was used up


async def test_signing_in(program: SimpleNamespace, new_shop: Call) -> None:
    shop = await new_shop("taobao")
    query = {"response_type": "code", "client_id": shop["app_key"], "redirect_uri": "http://h/back", "state": "s"}
    page = await program.http.get("/taobao/authorize", params=query)
    found = parse_qs(urlsplit(page.headers["location"]).query)
    assert found["state"] == ["s"]
    form = {
        "grant_type": "authorization_code",
        "client_id": shop["app_key"],
        "client_secret": shop["app_secret"],
        "code": found["code"][0],
    }
    token = (await program.http.post("/taobao/token", data=form)).json()
    assert token["taobao_user_id"] == shop["seller_id"]
    assert (await program.http.post("/taobao/token", data=form)).status_code == 400  # a code is good once


async def test_rate_limit_and_busy(new_shop: Call, taobao: Call, control: Call) -> None:
    shop = await new_shop("taobao")
    await control("PATCH", "/dials/taobao", {"calls_per_s": 1})
    answers = [await taobao(shop, CONSUME) for _ in range(4)]
    assert answers[-1]["sub_code"] == "accesscontrol.limited-by-api-access-count"
    await control("PATCH", "/dials/taobao", {"reset": True, "busy_percent": 100})
    assert (await taobao(shop, CONSUME))["sub_code"].startswith("isp.")


@pytest.mark.parametrize("backwards", [True, False])
async def test_page_shift_hides_rows_from_who_walks_forward(
    program: SimpleNamespace, new_shop: Call, order: Call, taobao: Call, control: Call, backwards: bool
) -> None:
    shop = await new_shop("taobao")
    for _ in range(8):
        await order("taobao")
    await control("POST", "/clock", {"advance_s": 10})
    window_end = program.market.now()
    await control("POST", "/clock", {"advance_s": 10})
    changed_before = set(program.market.shops["taobao", "s1"].orders)
    await control("PATCH", "/dials/taobao", {"page_shift_rows": 1, "page_shift_limit_per_order": 1})
    window = {"start_modified": wall(window_end - timedelta(hours=1)), "end_modified": wall(window_end)}
    first = await taobao(shop, INCREMENT, fields="tid", page_size="2", page_no="1", use_has_next="false", **window)
    pages = list(range(1, first["total_results"] // 2 + 1))
    found: set[str] = set()
    for page in reversed(pages) if backwards else pages:
        answer = await taobao(shop, INCREMENT, fields="tid", page_size="2", page_no=str(page), **window)
        found |= {str(trade["tid"]) for trade in answer.get("trades", {"trade": []})["trade"]}
    later = {"start_modified": wall(window_end), "end_modified": wall(program.market.now())}
    moved = await taobao(shop, INCREMENT, fields="tid", page_size="100", **later)
    found |= {str(trade["tid"]) for trade in moved.get("trades", {"trade": []})["trade"]}
    # What left the window is in the next one; what nobody moved is lost for who walks forward.
    assert (found == changed_before) is backwards


async def test_windows_pages_and_lag(
    program: SimpleNamespace, new_shop: Call, order: Call, taobao: Call, control: Call
) -> None:
    shop = await new_shop("taobao")
    await order("taobao")
    now = program.market.now()
    wide = {"start_modified": wall(now - timedelta(days=2)), "end_modified": wall(now)}
    assert (await taobao(shop, INCREMENT, fields="tid", **wide))["sub_code"].startswith("isv.invalid-parameter")
    assert (await taobao(shop, INCREMENT, fields="tid", end_modified=wall(now)))["sub_code"].startswith("isv.missing")
    fair = {"start_modified": wall(now - timedelta(hours=1)), "end_modified": wall(now)}
    assert (await taobao(shop, INCREMENT, fields="tid", page_size="101", **fair))["code"] == 41
    assert (await taobao(shop, INCREMENT, fields="tid", **fair))["total_results"] == 1
    await control("PATCH", "/dials/taobao", {"list_lag_s": 60})
    assert (await taobao(shop, INCREMENT, fields="tid", **fair))["total_results"] == 0


async def _consumed(program: SimpleNamespace, taobao: Call, shop: Any) -> list[dict[str, Any]]:
    await program.market.pushes.flush()
    return (await taobao(shop, CONSUME, group_name="default")).get("messages", {"tmc_message": []})["tmc_message"]


async def test_queue_redelivers_until_confirmed(
    program: SimpleNamespace, new_shop: Call, order: Call, taobao: Call, control: Call
) -> None:
    shop = await new_shop("taobao")
    placed = await order("taobao")
    first = await _consumed(program, taobao, shop)
    assert [m["topic"] for m in first] == ["taobao_trade_TradeCreate", "taobao_trade_TradeBuyerPay"]
    assert json.loads(first[1]["content"])["tid"] == int(placed["order_id"])
    assert await _consumed(program, taobao, shop) == []
    assert (await taobao(shop, CONFIRM, s_message_ids=str(first[0]["id"])))["is_success"]
    await control("POST", "/clock", {"advance_s": 601})
    assert [m["id"] for m in await _consumed(program, taobao, shop)] == [first[1]["id"]]


async def test_pushes_lost_doubled_thin(
    program: SimpleNamespace, new_shop: Call, order: Call, taobao: Call, control: Call
) -> None:
    shop = await new_shop("taobao")
    await control("PATCH", "/dials/taobao", {"pushes_lost_percent": 100})
    await order("taobao")
    assert await _consumed(program, taobao, shop) == []
    await control("PATCH", "/dials/taobao", {"reset": True, "pushes_thin": True, "pushes_late_percent": 100})
    await order("taobao", pay=False)
    assert await _consumed(program, taobao, shop) == []
    await control("POST", "/clock", {"advance_s": 61})
    (late,) = await _consumed(program, taobao, shop)
    assert set(json.loads(late["content"])) == {"tid", "oid"}
    assert (await control("GET", "/sent"))["counts"]["taobao lost"] == 2


async def test_shipping_whole_split_and_again(new_shop: Call, order: Call, taobao: Call, control: Call) -> None:
    shop = await new_shop("taobao")
    placed = await order("taobao")
    tid, oids = placed["order_id"], [line["line_id"] for line in placed["lines"]]
    parcel = {"tid": tid, "company_code": "SF", "is_split": "1"}
    assert (await taobao(shop, SHIP, **parcel, out_sid="SF1", sub_tid=oids[0]))["shipping"]["is_success"]
    trade = (await taobao(shop, DETAIL, tid=tid, fields=FIELDS))["trade"]
    assert trade["status"] == "SELLER_CONSIGNED_PART"
    repeated = await taobao(shop, SHIP, **parcel, out_sid="SF1", sub_tid=oids[0])
    assert repeated["sub_code"] == "isv.logistics-offline-service-error:B04"
    assert (await taobao(shop, SHIP, **parcel, out_sid="SF2", sub_tid="7"))["sub_code"].endswith("P38")
    assert (await taobao(shop, SHIP, **parcel, out_sid="SF2", sub_tid=oids[1]))["shipping"]["is_success"]
    resent = await taobao(shop, "taobao.logistics.consign.resend", tid=tid, company_code="YTO", out_sid="YT3")
    assert resent["shipping"]["is_success"]
    entry = await control("GET", f"/orders/taobao/s1/{tid}")
    assert entry["status"] == "shipped"
    assert [upload["kind"] for upload in entry["uploads"]] == ["first", "repeated", "first", "corrected"]


async def test_shipping_an_unpaid_or_closed_order_fails(
    new_shop: Call, order: Call, taobao: Call, control: Call
) -> None:
    shop = await new_shop("taobao")
    unpaid = await order("taobao", pay=False)
    closed = await order("taobao")
    await control("POST", f"/orders/taobao/s1/{closed['order_id']}/cancel")
    for one in (unpaid, closed):
        answer = await taobao(shop, SHIP, tid=one["order_id"], company_code="SF", out_sid="SF1")
        assert answer["sub_code"].endswith("B04")
        assert (await control("GET", f"/orders/taobao/s1/{one['order_id']}"))["uploads_refused"] == 1


async def test_stock_set_delta_and_forgotten(new_shop: Call, taobao: Call, control: Call) -> None:
    shop = await new_shop("taobao")
    (listing, *_rest) = await control("GET", "/shops/taobao/s1/listings")
    ids = {"num_iid": listing["listing_id"], "sku_id": listing["sku_id"]}
    method = "taobao.item.quantity.update"
    assert (await taobao(shop, method, **ids, quantity="7"))["item"]["skus"]["sku"][0]["quantity"] == 7
    assert (await taobao(shop, method, **ids, quantity="-2", type="2"))["item"]["num"] == 5
    assert (await taobao(shop, method, **ids, quantity="-9", type="2"))["code"] == 15
    await control("PATCH", "/dials/taobao", {"stock_forgotten_percent": 100})
    assert "item" in await taobao(shop, method, **ids, quantity="50")
    assert (await taobao(shop, "taobao.item.sku.get", **ids, fields="quantity"))["sku"]["quantity"] == 5
    (stock,) = (await control("GET", "/books/taobao/s1"))["stock"]
    assert [(told["kind"], told["after"], told["forgotten"]) for told in stock["told"]] == [
        ("set", 7, False),
        ("delta", 5, False),
        ("set", 5, True),
    ]


async def test_refunds(program: SimpleNamespace, new_shop: Call, order: Call, taobao: Call, control: Call) -> None:
    shop = await new_shop("taobao")
    placed = await order("taobao")
    refund = await control("POST", f"/orders/taobao/s1/{placed['order_id']}/refund")
    fields = "refund_id,tid,status,refund_fee"
    rows = await taobao(shop, "taobao.refunds.receive.get", fields=fields)
    assert [r["status"] for r in rows["refunds"]["refund"]] == ["WAIT_SELLER_AGREE"]
    await control("POST", f"/refunds/taobao/s1/{refund['refund_id']}/succeeded")
    detail = await taobao(shop, "taobao.refund.get", refund_id=refund["refund_id"], fields=fields)
    assert detail["refund"]["status"] == "SUCCESS"
    trade = (await taobao(shop, DETAIL, tid=placed["order_id"], fields=FIELDS))["trade"]
    assert trade["status"] == "TRADE_CLOSED"


async def test_outages(program: SimpleNamespace, new_shop: Call, taobao: Call, control: Call) -> None:
    shop = await new_shop("taobao")
    await control("PATCH", "/dials/taobao", {"outage": "cut"})
    with pytest.raises(httpx.TransportError):
        await taobao(shop, CONSUME)
    until_s = program.market.clock.now_s() + 4 * 3600
    await control("PATCH", "/dials/taobao", {"outage": "503", "outage_until_s": until_s})
    assert (await program.http.post("/taobao/router/rest")).status_code == 503
    await control("POST", "/clock", {"advance_s": 4 * 3600 + 1})
    assert "code" not in await taobao(shop, CONSUME)


async def test_an_answer_is_lost_after_the_work_was_done(
    new_shop: Call, order: Call, taobao: Call, control: Call
) -> None:
    shop = await new_shop("taobao")
    placed = await order("taobao")
    await control("PATCH", "/dials/taobao", {"answers_lost_percent": 100})
    with pytest.raises(json.JSONDecodeError):
        await taobao(shop, SHIP, tid=placed["order_id"], company_code="SF", out_sid="SF1")
    assert (await control("GET", f"/orders/taobao/s1/{placed['order_id']}"))["status"] == "shipped"


async def test_a_refunded_line_leaves_the_order(new_shop: Call, order: Call, taobao: Call, control: Call) -> None:
    shop = await new_shop("taobao")
    placed = await order("taobao")
    tid, first = placed["order_id"], placed["lines"][0]["line_id"]
    refund = await control("POST", f"/orders/taobao/s1/{tid}/refund", {"line_id": first})
    assert refund["amount_fen"] == 2_000
    await control("POST", f"/refunds/taobao/s1/{refund['refund_id']}/succeeded")
    lines = (await taobao(shop, DETAIL, tid=tid, fields=FIELDS))["trade"]["orders"]["order"]
    assert [line["status"] for line in lines] == ["TRADE_CLOSED", "WAIT_SELLER_SEND_GOODS"]
    assert (await taobao(shop, SHIP, tid=tid, company_code="SF", out_sid="SF1"))["shipping"]["is_success"]
    lines = (await taobao(shop, DETAIL, tid=tid, fields=FIELDS))["trade"]["orders"]["order"]
    assert [line.get("invoice_no") for line in lines] == [None, "SF1"]
    assert [line["shipped"] for line in (await control("GET", f"/orders/taobao/s1/{tid}"))["lines"]] == [0, 1]
