"""Calls to WeChat against a scripted transport: cursors, tokens, one re-ship, codes and what helps against them."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest

from libs.channels.channel import About, Access, Cure, Parcel, PlatformRefused, StockOrder, Window
from libs.channels.wechat import CHANNEL

NOW = datetime(2026, 11, 11, 4, tzinfo=UTC)
DAY = timedelta(days=1)
SHOP = {"token": "T"}
MINI = {"kind": "mini-program", "sender_contact": "0571-****1234"}


class Platform:
    """Answers by path, one after another when there is a list, and keeps what was asked."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def __call__(self, request):
        path = request.url.path.removeprefix("/wechat")
        body = json.loads(request.content)
        self.asked.append((path, body, request.url.params.get("access_token")))
        answer = self.answers[path]
        if callable(answer):
            answer = answer(body)
        elif isinstance(answer, list):
            answer = answer.pop(0)
        return httpx.Response(200, json={"errcode": 0, "errmsg": "ok", **answer})


def client(answers, secrets=SHOP):
    platform = Platform(answers)
    http = httpx.AsyncClient(transport=httpx.MockTransport(platform))
    access = Access(
        "wx-1", app_key="wx1", app_secret="s", access_token="old", secrets=secrets, gateway="http://d/wechat/"
    )
    return CHANNEL.client(access, http, lambda: NOW), platform


def no(code, text="no"):
    return {"errcode": code, "errmsg": text}


LIST = "/channels/ec/order/list/get"
REFUNDS = "/channels/ec/aftersale/getaftersalelist"
SEND = "/channels/ec/order/delivery/send"
GET = "/channels/ec/order/get"
TOKEN = "/cgi-bin/stable_token"
UPLOAD = "/wxa/sec/order/upload_shipping_info"
KNOWN = "/wxa/sec/order/get_order"
PARCEL = Parcel("3705", "p1", "sf", "SF1", (("5.6", "A", 1),))


async def test_pages_follow_the_cursor():
    caller, platform = client(
        {
            LIST: [
                {"order_id_list": ["1", "2"], "has_more": True, "next_key": "k1"},
                {"order_id_list": [3705115058471208928], "has_more": False, "next_key": "k2"},
            ]
        }
    )
    window = Window(NOW - DAY, NOW)
    pages = [page async for page in caller.pages(About.ORDER, window)]
    assert [[name for name, _ in page.subjects] for page in pages] == [["1", "2"], ["3705115058471208928"]]
    assert {moment for page in pages for _, moment in page.subjects} == {NOW}
    first, second = (body for _, body, _ in platform.asked)
    assert "next_key" not in first
    assert second["next_key"] == "k1"
    assert first["update_time_range"] == {"start_time": int((NOW - DAY).timestamp()), "end_time": int(NOW.timestamp())}


async def test_rows_of_a_routine_pull_carry_the_end_of_their_span():
    caller, platform = client({LIST: lambda body: {"order_id_list": [str(body["update_time_range"]["start_time"])]}})
    pages = [page async for page in caller.pages(About.ORDER, Window(NOW - timedelta(seconds=25), NOW))]
    newest = NOW - timedelta(seconds=15)
    assert [[moment for _, moment in page.subjects] for page in pages] == [[newest], [NOW]]
    assert all(page.bounds for page in pages)
    assert [body["update_time_range"]["end_time"] for _, body, _ in platform.asked] == [
        int(newest.timestamp()),
        int(NOW.timestamp()),
    ]


async def test_refunds_are_listed_by_the_day():
    caller, platform = client({REFUNDS: lambda body: {"after_sale_order_id_list": [str(body["begin_update_time"])]}})
    pages = [page async for page in caller.pages(About.REFUND, Window(NOW - 2.5 * DAY, NOW))]
    assert len(pages) == 3
    assert all(body["end_update_time"] - body["begin_update_time"] <= 86400 for _, body, _ in platform.asked)
    assert platform.asked[-1][1]["end_update_time"] == int(NOW.timestamp())


@pytest.mark.parametrize(("about", "path", "days"), [(About.ORDER, LIST, 7), (About.REFUND, REFUNDS, 1)])
async def test_parts_of_seconds_make_no_span_too_long_and_lose_nothing(about, path, days):
    caller, platform = client({path: {}})
    since = NOW - days * DAY + timedelta(microseconds=500)
    [page async for page in caller.pages(about, Window(since, NOW + timedelta(microseconds=400)))]
    spans = [
        (found["start_time"], found["end_time"])
        if (found := body.get("update_time_range"))
        else (body["begin_update_time"], body["end_update_time"])
        for _, body, _ in platform.asked
    ]
    assert all(0 < end - begin <= days * 86400 for begin, end in spans)
    assert spans[0][0] <= since.timestamp()
    assert spans[-1][1] > NOW.timestamp()
    assert all(earlier[1] == later[0] for earlier, later in pairwise(spans))


async def test_a_window_beyond_seven_days_is_the_callers_mistake():
    caller, _ = client({})
    with pytest.raises(ValueError, match="7 days"):
        [page async for page in caller.pages(About.ORDER, Window(NOW - 8 * DAY, NOW))]


@pytest.mark.parametrize("key", ["", "same"])
async def test_a_cursor_that_does_not_move_ends_the_pull(key):
    caller, platform = client({LIST: lambda body: {"order_id_list": [], "has_more": True, "next_key": key}})
    with pytest.raises(PlatformRefused):
        [page async for page in caller.pages(About.ORDER, Window(NOW - DAY, NOW))]
    assert len(platform.asked) <= 2


async def test_endless_pages_end(monkeypatch):
    monkeypatch.setattr("libs.channels.wechat.client.PAGES_LIMIT", 5)
    turn = iter(range(100))
    caller, platform = client({LIST: lambda body: {"order_id_list": [], "has_more": True, "next_key": str(next(turn))}})
    with pytest.raises(PlatformRefused, match="more than 5") as refused:
        [page async for page in caller.pages(About.ORDER, Window(NOW - DAY, NOW))]
    assert (refused.value.cure, len(platform.asked)) == (Cure.SHORTEN, 5)


async def test_details_come_whole():
    caller, platform = client({GET: {"order": {"order_id": 1, "update_time": 1794326400}}})
    document = await caller.document(About.ORDER, "1")
    assert document.modified_at == datetime.fromtimestamp(1794326400, UTC)
    assert json.loads(document.raw)["order"]["order_id"] == 1
    assert platform.asked[0][1:] == ({"order_id": "1"}, "old")
    caller, _ = client({"/channels/ec/aftersale/getaftersaleorder": {}})
    with pytest.raises(PlatformRefused):
        await caller.document(About.REFUND, "1")


@pytest.mark.parametrize(
    ("code", "cure", "after"),
    [
        (-1, Cure.RETRY, 1),
        (40001, Cure.REFRESH, 0),
        (42001, Cure.REFRESH, 0),
        (45009, Cure.RETRY, 60),
        (10020112, Cure.RETRY, 10),
        (48001, Cure.ASK, 0),
        (40097, Cure.GIVE_UP, 0),
    ],
)
async def test_each_code_has_its_cure_and_keeps_its_words(code, cure, after):
    caller, _ = client({GET: no(code, "原文 rid: 1")})
    with pytest.raises(PlatformRefused) as caught:
        await caller.document(About.ORDER, "1")
    refused = caught.value
    assert (refused.cure, refused.code, refused.text, refused.after_seconds) == (cure, str(code), "原文 rid: 1", after)


async def test_refresh_takes_the_stable_token_without_forcing_it():
    caller, platform = client({TOKEN: {"access_token": "new", "expires_in": 7200}})
    token = await caller.refresh()
    assert (token.access_token, token.expires_at) == ("new", NOW + timedelta(hours=2))
    _, body, sent = platform.asked[0]
    assert (body["force_refresh"], sent) == (False, None)
    assert (await caller.exchange("", "")).access_token == "new"


async def test_a_refused_token_that_comes_again_is_replaced_by_force():
    caller, platform = client(
        {
            GET: no(40001),
            TOKEN: lambda body: {"access_token": "new" if body["force_refresh"] else "old", "expires_in": 100},
        }
    )
    assert (await caller.refresh()).access_token == "old"
    with pytest.raises(PlatformRefused):
        await caller.document(About.ORDER, "1")
    assert (await caller.refresh()).access_token == "new"
    assert [body["force_refresh"] for path, body, _ in platform.asked if path == TOKEN] == [False, False, True]


async def test_a_wrong_secret_asks_a_person():
    caller, _ = client({TOKEN: no(40125)})
    with pytest.raises(PlatformRefused) as caught:
        await caller.refresh()
    assert caught.value.cure is Cure.ASK
    caller, _ = client({TOKEN: {"access_token": ""}})
    with pytest.raises(PlatformRefused, match="no token"):
        await caller.refresh()


async def test_a_shop_ships_and_a_repeat_counts_as_done():
    caller, platform = client({SEND: {}})
    assert await caller.upload(PARCEL) == "ok"
    assert platform.asked[0][1]["delivery_list"][0]["waybill_id"] == "SF1"
    sent = {"order": {"order_detail": {"delivery_info": {"delivery_product_info": [{"waybill_id": "SF1"}]}}}}
    caller, _ = client({SEND: no(101100), GET: sent})
    assert await caller.upload(PARCEL) == "already there"
    caller, _ = client({SEND: no(101100), GET: {"order": {}}})
    with pytest.raises(PlatformRefused):
        await caller.upload(PARCEL)
    caller, _ = client({SEND: no(606005), GET: {"order": {}}})
    with pytest.raises(PlatformRefused):
        await caller.upload(PARCEL)


async def test_a_shops_correction_goes_its_own_way():
    caller, platform = client({"/channels/ec/order/deliveryinfo/update": [{}, no(606041)]})
    again = Parcel("3705", "p1", "sf", "SF2", (("5.6", "A", 1),), again=True)
    assert await caller.upload(again) == "ok"
    with pytest.raises(PlatformRefused) as caught:
        await caller.upload(again)
    assert caught.value.cure is Cure.ASK
    assert len(platform.asked) == 2


def known(*waybills, **more):
    entries = [{"tracking_no": each, "express_company": "SF", "goods_desc": "书"} for each in waybills]
    return {"order": {"openid": "OPENID", "description": "书*1", "shipping": {"shipping_list": entries}, **more}}


async def test_a_mini_program_ships():
    caller, platform = client({KNOWN: known(), UPLOAD: {}}, MINI)
    assert await caller.upload(Parcel("4200", "p1", "sf", "SF1", ())) == "ok"
    assert platform.asked[0][1] == {"transaction_id": "4200"}
    body = platform.asked[1][1]
    assert body["order_key"] == {"order_number_type": 2, "transaction_id": "4200"}
    assert (body["delivery_mode"], body["payer"]) == (1, {"openid": "OPENID"})
    assert body["upload_time"] == "2026-11-11T12:00:00.000+08:00"
    assert body["shipping_list"] == [
        {
            "tracking_no": "SF1",
            "express_company": "SF",
            "item_desc": "书*1",
            "contact": {"consignor_contact": "0571-****1234"},
        }
    ]


async def test_a_mini_program_by_merchant_number():
    caller, platform = client({KNOWN: known(), UPLOAD: {}}, {**MINI, "mchid": "16"})
    await caller.upload(Parcel("P1", "p1", "sf", "SF1", ()))
    assert platform.asked[0][1] == {"merchant_id": "16", "merchant_trade_no": "P1"}
    assert platform.asked[1][1]["order_key"] == {"order_number_type": 1, "mchid": "16", "out_trade_no": "P1"}


async def test_what_a_mini_program_reported_before_spends_no_reship():
    caller, platform = client({KNOWN: known("SF1")}, MINI)
    assert await caller.upload(Parcel("4200", "p1", "sf", "SF1", ())) == "already there"
    assert [path for path, _, _ in platform.asked] == [KNOWN]
    caller, _ = client({KNOWN: known(), UPLOAD: no(10060023)}, MINI)
    assert await caller.upload(Parcel("4200", "p1", "sf", "SF1", ())) == "already there"


async def test_a_split_keeps_the_parcels_before_and_ends_at_fifteen():
    caller, platform = client({KNOWN: known("SF1"), UPLOAD: {}}, MINI)
    await caller.upload(Parcel("4200", "p2", "sf", "SF2", (), split=True, remaining=1))
    body = platform.asked[1][1]
    assert [each["tracking_no"] for each in body["shipping_list"]] == ["SF1", "SF2"]
    assert (body["delivery_mode"], body["is_all_delivered"]) == (2, False)
    caller, platform = client({KNOWN: known("SF1", "SF2"), UPLOAD: {}}, MINI)
    await caller.upload(Parcel("4200", "p3", "sf", "SF3", (), split=True))
    assert platform.asked[1][1]["is_all_delivered"] is True
    caller, platform = client({KNOWN: known(*(f"SF{n}" for n in range(15)))}, MINI)
    with pytest.raises(PlatformRefused, match="15"):
        await caller.upload(Parcel("4200", "p16", "sf", "SF99", (), split=True))
    assert len(platform.asked) == 1


@pytest.mark.parametrize(
    ("code", "cure", "after"), [(10060001, Cure.RETRY, 60), (10060003, Cure.ASK, 0), (40001, Cure.REFRESH, 0)]
)
async def test_a_mini_programs_refusals(code, cure, after):
    caller, _ = client({KNOWN: known(), UPLOAD: no(code)}, MINI)
    with pytest.raises(PlatformRefused) as caught:
        await caller.upload(Parcel("4200", "p1", "sf", "SF1", ()))
    assert (caught.value.cure, caught.value.after_seconds) == (cure, after)


async def test_a_payment_that_is_not_indexed_is_asked_for_a_minute_later():
    caller, _ = client({KNOWN: {"order": {}}}, MINI)
    with pytest.raises(PlatformRefused) as caught:
        await caller.upload(Parcel("4200", "p1", "sf", "SF1", ()))
    assert (caught.value.cure, caught.value.after_seconds) == (Cure.RETRY, 60)


async def test_sf_needs_the_senders_contact():
    caller, _ = client({KNOWN: known(), UPLOAD: {}}, {"kind": "mini-program"})
    with pytest.raises(PlatformRefused) as caught:
        await caller.upload(Parcel("4200", "p1", "sf", "SF1", ()))
    assert caught.value.cure is Cure.ASK
    assert await caller.upload(Parcel("4200", "p1", "yto", "YT1", ())) == "ok"


async def test_a_mini_program_has_nothing_but_shipping():
    caller, _ = client({}, MINI)
    with pytest.raises(PlatformRefused):
        await caller.document(About.ORDER, "1")
    with pytest.raises(PlatformRefused):
        [page async for page in caller.pages(About.ORDER, Window(NOW - DAY, NOW))]
    with pytest.raises(PlatformRefused):
        await caller.push_stock([])


async def test_stock_is_told_in_differences_and_read_back():
    update, read = "/channels/ec/product/stock/update", "/channels/ec/product/stock/get"
    caller, platform = client({update: {}, read: {"data": {"normal_stock_num": 7, "total_stock_num": 9}}})
    orders = [StockOrder("1", "2", -3, "c1", delta=True), StockOrder("1", "3", 0, "c2", delta=True)]
    await caller.push_stock([*orders, StockOrder("1", "4", 8, "c3")])
    assert [(body["sku_id"], body["diff_type"], body["num"]) for _, body, _ in platform.asked] == [
        ("2", 2, 3),
        ("4", 3, 8),
    ]
    assert await caller.read_stock("1", "2") == 7
    caller, _ = client({read: {}})
    assert await caller.read_stock("1", "2") is None


async def test_what_wechat_does_not_have():
    caller, _ = client({})
    assert caller.authorize_url("", "") is None
    assert await caller.count(Window(NOW, NOW)) is None
    assert await caller.day_numbers(NOW.date()) is None
    assert [message async for message in caller.messages()] == []
    await caller.confirm([])
    limits = CHANNEL.capabilities
    assert (limits.parcels_limit, limits.reships_limit, limits.stock_push) == (15, 1, "delta")
