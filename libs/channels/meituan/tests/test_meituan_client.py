"""Calls to Meituan against a scripted transport: signatures, gaps of a day, errors and what helps against them."""

import json
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl

import httpx
import pytest

from libs.channels.channel import About, Access, Cure, Parcel, PlatformRefused, StockOrder, Window
from libs.channels.meituan import CHANNEL
from libs.channels.meituan.client import NUMBERS_AFTER_MISS_LIMIT
from libs.channels.meituan.signing import fits

NOW = datetime(2026, 11, 11, 4, tzinfo=UTC)
BASE = "http://double/meituan"


class Platform:
    """Answers by path and keeps what was asked; every signature is checked."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def __call__(self, request):
        path = request.url.path.removeprefix("/meituan/api/v1/")
        params = dict(request.url.params) | dict(parse_qsl(request.content.decode()))
        assert fits(f"{BASE}/api/v1/{path}", params, "secret")
        self.asked.append((request.method, path, params))
        answer = self.answers.get(path, error(708))
        found = answer(params) if callable(answer) else answer
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)


def client(answers, now=NOW, **access):
    platform = Platform(answers)
    http = httpx.AsyncClient(transport=httpx.MockTransport(platform))
    fields = {"app_key": "77", "app_secret": "secret", "seller_id": "poi-1", "gateway": BASE, **access}
    return CHANNEL.client(Access("mt-1", **fields), http, lambda: now), platform


def error(code, text="no"):
    return {"data": "ng", "error": {"code": code, "msg": text}}


async def test_detail_keeps_the_whole_order():
    caller, platform = client({"order/getOrderDetail": {"data": {"order_id": 2700130123456789012, "total": 38.5}}})
    document = await caller.document(About.ORDER, "2700130123456789012")
    assert b"2700130123456789012" in document.raw
    assert platform.asked[0][0] == "GET"
    assert "access_token" not in platform.asked[0][2]


async def test_an_isv_signs_with_its_token():
    caller, platform = client({"order/getOrderDetail": {"data": {"order_id": 1}}}, access_token="t")
    await caller.document(About.ORDER, "1")
    assert platform.asked[0][2]["access_token"] == "t"


async def test_another_shops_order_is_not_taken():
    caller, _ = client({"order/getOrderDetail": {"data": {"order_id": 1, "app_poi_code": "poi-2"}}})
    with pytest.raises(PlatformRefused, match="another shop"):
        await caller.document(About.ORDER, "1")


async def test_a_refund_is_found_in_its_orders_list():
    records = [{"refund_id": 8, "ctime": 1}, {"refund_id": 9, "ctime": 2, "utime": 3}]
    caller, _ = client({"ecommerce/order/getOrderRefundDetail": {"data": records}})
    assert json.loads((await caller.document(About.REFUND, "27:8")).raw)["refund_id"] == 8
    assert json.loads((await caller.document(About.REFUND, "27:")).raw) == {**records[1], "order_id": "27"}
    with pytest.raises(PlatformRefused) as caught:
        await caller.document(About.REFUND, "27:10")
    assert caught.value.cure is Cure.RETRY


async def test_day_numbers_of_today_are_asked_once():
    ids = {"1": 101, "2": 102, "3": 103}
    caller, platform = client(
        {
            "order/getOrderDaySeq": {"data": {"result": "ok", "day_seq": 3}},
            "order/getOrderIdByDaySeq": lambda params: {"data": {"order_id": ids[params["day_seq"]]}},
        }
    )
    expected = [(1, "101"), (2, "102"), (3, "103")]
    assert await caller.day_numbers(date(2026, 11, 11)) == expected
    assert platform.asked[-1][2]["date_time"] == "20261111"
    before = len(platform.asked)
    assert await caller.day_numbers(date(2026, 11, 11)) == expected
    assert len(platform.asked) == before + 1


def numbering(*shown, newest=0):
    """Answers of a shop that shows these numbers of any day."""

    def order_of(params):
        number = int(params["day_seq"])
        return {"data": {"order_id": 100 + number}} if number in shown else error(806)

    return {"order/getOrderIdByDaySeq": order_of, "order/getOrderDaySeq": {"data": {"day_seq": newest}}}


@pytest.mark.parametrize("shown", [(), (1, 2, 3, 4), (1, 2, 4), (1, 2, 2 + NUMBERS_AFTER_MISS_LIMIT)])
async def test_another_day_goes_on_behind_a_number_that_is_missing(shown):
    caller, platform = client(numbering(*shown))
    assert [number for number, _ in await caller.day_numbers(date(2026, 11, 10))] == list(shown)
    singles = [params["day_seq"] for _, path, params in platform.asked if path == "order/getOrderIdByDaySeq"]
    assert int(singles[-1]) == max(shown, default=0) + NUMBERS_AFTER_MISS_LIMIT
    assert "order/getOrderDaySeq" not in {path for _, path, _ in platform.asked}


async def test_another_day_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr("libs.channels.meituan.client.DAY_NUMBERS_LIMIT", 5)
    caller, _ = client(numbering(1, 2, 3, 4, 5, 6))
    with pytest.raises(PlatformRefused, match="more than 5") as caught:
        await caller.day_numbers(date(2026, 11, 10))
    assert caught.value.cure is Cure.GIVE_UP


async def test_a_number_that_was_given_out_is_told_though_its_order_is_not_shown():
    caller, _ = client(numbering(1, 2, newest=4))
    assert await caller.day_numbers(date(2026, 11, 11)) == [(1, "101"), (2, "102"), (4, "")]
    caller, _ = client(numbering())
    assert await caller.day_numbers(date(2026, 11, 11)) == []


async def test_a_day_that_ended_on_meituans_clock_first_is_read_on():
    answers = numbering(1, 2, 3, newest=2)
    caller, _ = client(answers)
    assert await caller.day_numbers(date(2026, 11, 11)) == [(1, "101"), (2, "102")]
    answers["order/getOrderDaySeq"] = {"data": {"day_seq": 0}}
    assert await caller.day_numbers(date(2026, 11, 11)) == [(1, "101"), (2, "102"), (3, "103")]


@pytest.mark.parametrize(("seconds", "newest_is_asked"), [(1, False), (59, False), (61, True)])
async def test_just_after_midnight_the_newest_number_may_still_be_yesterdays(seconds, newest_is_asked):
    midnight = datetime(2026, 11, 10, 16, tzinfo=UTC)  # in China
    caller, platform = client(numbering(1, 2, newest=40), now=midnight + timedelta(seconds=seconds))
    listed = await caller.day_numbers(date(2026, 11, 11))
    assert [number for number, _ in listed] == ([1, 2, 40] if newest_is_asked else [1, 2])
    assert ("order/getOrderDaySeq" in {path for _, path, _ in platform.asked}) == newest_is_asked


async def test_day_numbers_come_in_spans_where_the_shop_may():
    def span(params):
        first, last = int(params["day_seq_start"]), int(params["day_seq_end"])
        return {"data": {"result": "ok", "order_ids": [100 + n for n in range(first, min(last, 110) + 1)]}}

    caller, platform = client(
        {
            "order/getOrderDaySeq": {"data": {"day_seq": 112}},
            "ecommerce/order/getOrderIdByDaySeq": span,
            "order/getOrderIdByDaySeq": lambda params: {"data": {"order_id": 100 + int(params["day_seq"])}},
        }
    )
    found = await caller.day_numbers(date(2026, 11, 11))
    assert found == [(number, str(100 + number)) for number in range(1, 113)]
    singles = [path for _, path, _ in platform.asked if path == "order/getOrderIdByDaySeq"]
    assert len(singles) == 12


@pytest.mark.parametrize("hole", [0, "0", None, "", "none"])
async def test_a_number_for_which_a_span_shows_no_order_is_asked_for_by_itself(hole):
    caller, _ = client(
        {
            "order/getOrderDaySeq": {"data": {"day_seq": 3}},
            "ecommerce/order/getOrderIdByDaySeq": {"data": {"result": "ok", "order_ids": [101, hole, 103]}},
            "order/getOrderIdByDaySeq": {"data": {"order_id": 102}},
        }
    )
    assert await caller.day_numbers(date(2026, 11, 11)) == [(1, "101"), (2, "102"), (3, "103")]


async def test_a_number_that_fails_is_asked_again_and_the_rest_is_remembered():
    broken = {"2"}

    def order_of(params):
        return error(700) if params["day_seq"] in broken else {"data": {"order_id": 100 + int(params["day_seq"])}}

    caller, platform = client({"order/getOrderDaySeq": {"data": {"day_seq": 2}}, "order/getOrderIdByDaySeq": order_of})
    with pytest.raises(PlatformRefused):
        await caller.day_numbers(date(2026, 11, 11))
    broken.clear()
    assert len(await caller.day_numbers(date(2026, 11, 11))) == 2
    single = "order/getOrderIdByDaySeq"
    assert [params["day_seq"] for _, path, params in platform.asked if path == single] == ["1", "2", "2"]


async def test_accept():
    caller, platform = client({"order/confirm": {"data": "ok"}})
    assert await caller.accept("27") == "ok"
    assert platform.asked[0][2]["order_id"] == "27"


@pytest.mark.parametrize(("status", "done"), [(4, True), (8, True), (2, False), (9, False)])
async def test_accepting_twice_counts_as_done_and_a_cancelled_order_does_not(status, done):
    caller, _ = client({"order/confirm": error(808), "order/viewstatus": {"data": {"status": status}}})
    if done:
        assert await caller.accept("27") == "already accepted"
        return
    with pytest.raises(PlatformRefused) as caught:
        await caller.accept("27")
    assert caught.value.code == "808"


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (700, Cure.RETRY),
        (711, Cure.RETRY),
        (703, Cure.ASK),
        (806, Cure.GIVE_UP),
        (4001, Cure.REFRESH),
        (9, Cure.GIVE_UP),
    ],
)
async def test_each_error_has_its_cure_and_keeps_its_words(code, cure):
    caller, _ = client({"ecommerce/order/logistics/sync": error(code, "原文")})
    with pytest.raises(PlatformRefused) as caught:
        await caller.upload(Parcel("27", "p", "sf", "SF1", ()))
    assert (caught.value.cure, caught.value.code, caught.value.text) == (cure, str(code), "原文")


async def test_a_call_that_waited_too_long_is_made_again_and_a_wrong_field_is_not():
    for words, cure in (("timestamp已过期", Cure.RETRY), ("参数格式错误", Cure.GIVE_UP)):
        caller, _ = client({"order/getOrderDetail": error(705, words)})
        with pytest.raises(PlatformRefused) as caught:
            await caller.document(About.ORDER, "1")
        assert caught.value.cure is cure


@pytest.mark.parametrize("answer", [httpx.Response(502, text="<html>"), httpx.Response(200, text="<html>")])
async def test_a_gateways_error_page_passes(answer):
    caller, _ = client({"order/getOrderDetail": answer})
    with pytest.raises(PlatformRefused) as caught:
        await caller.document(About.ORDER, "1")
    assert caught.value.cure is Cure.RETRY


async def test_upload_posts_and_refuses_to_split():
    caller, platform = client({"ecommerce/order/logistics/sync": {"data": "ok"}})
    assert await caller.upload(Parcel("27", "p", "sf", "SF1", ())) == "ok"
    assert platform.asked[0][0] == "POST"
    with pytest.raises(PlatformRefused):
        await caller.upload(Parcel("27", "p", "sf", "SF1", (), split=True))


async def test_stock_in_batches_and_a_failure_in_part():
    caller, platform = client({"retail/sku/stock": {"data": "ok"}})
    await caller.push_stock([StockOrder("A", str(n), n, f"c{n}") for n in range(450)])
    assert [len(json.loads(params["food_data"])[0]["skus"]) for _, _, params in platform.asked] == [200, 200, 50]
    caller, _ = client({"retail/sku/stock": {"data": "ok", "msg": "A1: 不存在"}})
    with pytest.raises(PlatformRefused, match="不存在"):
        await caller.push_stock([StockOrder("A", "A", 1, "c")])


@pytest.mark.parametrize("as_text", [True, False])
async def test_stock_is_read_back(as_text):
    skus = [{"sku_id": "A-1", "stock": "7"}, {"sku_id": "A-2", "stock": "*"}]
    caller, _ = client({"retail/get": {"data": {"skus": json.dumps(skus) if as_text else skus}}})
    assert await caller.read_stock("A", "A-1") == 7
    assert await caller.read_stock("A", "A-2") is None
    assert await caller.read_stock("A", "A-3") is None


async def test_tokens_of_an_isv():
    token = {"status": 0, "access_token": "a", "expires_in": 3600, "refresh_token": "r", "re_expires_in": 7200}
    caller, platform = client({"oauth/authorize": token, "oauth/token": token}, refresh_token="old")
    first = await caller.exchange("", "")
    assert (first.access_token, first.refresh_token, first.seller_id) == ("a", "r", "poi-1")
    assert (first.expires_at - NOW).total_seconds() == 3600
    await caller.refresh()
    assert platform.asked[1][2]["refresh_token"] == "old"
    assert caller.authorize_url("", "") is None
    lonely, _ = client({})
    with pytest.raises(PlatformRefused) as caught:
        await lonely.refresh()
    assert caught.value.cure is Cure.ASK
    refused, _ = client({"oauth/authorize": {"status": 3, "message": "no"}})
    with pytest.raises(PlatformRefused):
        await refused.exchange("", "")


async def test_what_meituan_does_not_have():
    caller, _ = client({})
    window = Window(NOW, NOW)
    with pytest.raises(PlatformRefused, match="numbers"):
        [page async for page in caller.pages(About.ORDER, window)]
    assert await caller.count(window) is None
    assert [message async for message in caller.messages()] == []
    await caller.confirm([])
    assert CHANNEL.capabilities.accept_limit_s == 900
