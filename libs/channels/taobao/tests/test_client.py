"""The calls to TOP against a gateway that checks signatures by itself: pages, queue, shipments, stock, refusals."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from libs.channels.channel import About, Access, Cure, Parcel, PlatformRefused, StockOrder, Window
from libs.channels.taobao import CHANNEL, client
from libs.channels.taobao.capabilities import PAGE_LIMIT_ORDERS

NOW = datetime(2026, 11, 11, 4, 0, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(minutes=30), NOW)
ACCESS = Access(
    "s1",
    "12345678",
    "helloworld",
    "session-1",
    "refresh-1",
    "2074082786",
    {"tmc_group": "g1"},
    "http://x/taobao",
    "http://x/taobao",
)
STAMP = "2026-11-11 11:59:00"


class Gateway:
    """Answers by method; keeps what was asked."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def __call__(self, request):
        form = {name: values[0] for name, values in parse_qs(request.content.decode(), keep_blank_values=True).items()}
        assert (request.method, request.url.path) == ("POST", "/taobao/router/rest")
        unsigned = "".join(name + form[name] for name in sorted(form) if name != "sign")
        assert form["sign"] == hmac.new(b"helloworld", unsigned.encode(), hashlib.md5).hexdigest().upper()
        assert form["sign_method"] == "hmac"
        assert form["timestamp"] == "2026-11-11 12:00:00"
        assert all(form.values())
        self.asked.append(form)
        method = form["method"]
        answer = self.answers[method]
        answer = answer(form) if callable(answer) else answer
        if isinstance(answer, httpx.Response):
            return answer
        key = method.removeprefix("taobao.").replace(".", "_") + "_response"
        return httpx.Response(200, json=answer if "error_response" in answer else {key: answer})


def speaking(answers, access=ACCESS):
    gateway = answers if callable(answers) else Gateway(answers)
    http = httpx.AsyncClient(transport=httpx.MockTransport(gateway))
    return CHANNEL.client(access, http, lambda: NOW), gateway


def refused(code, sub_code="", sub_msg="", msg="no"):
    return {"error_response": {"code": code, "msg": msg, "sub_code": sub_code, "sub_msg": sub_msg, "request_id": "r"}}


class Trades:
    """A list sorted newest first; `after` changes it after so many pages were read."""

    def __init__(self, ids, after=None):
        self.ids, self.after, self.pages = list(ids), after or {}, 0

    def __call__(self, form):
        size, number = int(form["page_size"]), int(form["page_no"])
        if form["use_has_next"] == "false":
            return {"total_results": len(self.ids)}
        part = self.ids[(number - 1) * size : number * size]
        answer = {
            "has_next": number * size < len(self.ids),
            "trades": {"trade": [{"tid": each, "modified": STAMP} for each in part]},
        }
        self.pages += 1
        self.after.get(self.pages, lambda ids: None)(self.ids)
        return answer


async def walked(taobao, about=About.ORDER, window=WINDOW):
    return [page async for page in taobao.pages(about, window)]


async def test_pages_go_from_the_last_to_the_first():
    taobao, gateway = speaking({"taobao.trades.sold.increment.get": Trades(range(1, 121))})
    pages = await walked(taobao)
    assert [form["page_no"] for form in gateway.asked if form["use_has_next"] == "true"] == ["3", "2", "1"]
    assert [len(page.subjects) for page in pages] == [20, 50, 50]
    assert {subject for page in pages for subject, _ in page.subjects} == {str(n) for n in range(1, 121)}
    asked = gateway.asked[-1]
    assert (asked["start_modified"], asked["end_modified"]) == ("2026-11-11 11:30:00", "2026-11-11 12:00:00")
    assert "step" in asked["type"].split(",")
    assert asked["session"] == "session-1"
    assert pages[0].subjects[0][1] == datetime(2026, 11, 11, 3, 59, tzinfo=UTC)


async def test_rows_that_leave_the_window_while_it_is_read_hide_none_of_the_others():
    leaving = {1: lambda ids: ids.__delitem__(slice(0, 30)), 2: lambda ids: ids.__delitem__(slice(0, 10))}
    trades = Trades(range(1, 161), leaving)
    taobao, _ = speaking({"taobao.trades.sold.increment.get": trades})
    seen = {subject for page in await walked(taobao) for subject, _ in page.subjects}
    assert seen >= {str(each) for each in trades.ids}

    # The same shift does hide rows from one who reads forward: the test can fail.
    forward, trades = set(), Trades(range(1, 161), leaving)
    for number in (1, 2, 3, 4):
        form = {"page_size": str(PAGE_LIMIT_ORDERS), "page_no": str(number), "use_has_next": "true"}
        forward |= {each["tid"] for each in trades(form)["trades"]["trade"]}
    assert not forward >= set(trades.ids)


async def test_rows_that_came_in_after_the_count_are_found_behind_the_last_page():
    trades = Trades(range(1, 101))
    late = trades.__call__

    def counted_too_early(form):
        answer = late(form)
        if form["use_has_next"] == "false":
            trades.ids.extend(range(101, 161))
        return answer

    taobao, gateway = speaking({"taobao.trades.sold.increment.get": counted_too_early})
    seen = {subject for page in await walked(taobao) for subject, _ in page.subjects}
    assert seen == {str(n) for n in range(1, 161)}
    assert [form["page_no"] for form in gateway.asked[1:]] == ["2", "3", "4", "3", "2", "1"]


async def test_an_empty_window_and_the_count():
    taobao, _ = speaking({"taobao.trades.sold.increment.get": Trades([])})
    assert [page.subjects for page in await walked(taobao)] == [()]
    assert await taobao.count(WINDOW) == 0
    assert await taobao.day_numbers(NOW.date()) is None


async def test_refund_pages():
    def answer(form):
        if form["use_has_next"] == "false":
            return {"total_results": 1}
        return {"refunds": {"refund": [{"refund_id": "17", "tid": 4, "modified": STAMP}]}, "has_next": False}

    taobao, _ = speaking({"taobao.refunds.receive.get": answer})
    assert [[s for s, _ in page.subjects] for page in await walked(taobao, About.REFUND)] == [["17"]]


@pytest.mark.parametrize("length_s", [-1, 0, 1801, 86_400])
async def test_a_window_that_is_too_long_or_none_is_the_callers_mistake(length_s):
    taobao, gateway = speaking({})
    with pytest.raises(ValueError, match="window"):
        await walked(taobao, window=Window(NOW - timedelta(seconds=length_s), NOW))
    assert gateway.asked == []


async def test_a_part_of_a_second_at_the_end_is_asked_for():
    taobao, gateway = speaking({"taobao.trades.sold.increment.get": Trades([])})
    await taobao.count(Window(NOW - timedelta(seconds=10.5), NOW - timedelta(seconds=0.5)))
    asked = gateway.asked[0]
    assert (asked["start_modified"], asked["end_modified"]) == ("2026-11-11 11:59:49", "2026-11-11 12:00:00")


async def test_pages_without_end_are_given_up(monkeypatch):
    monkeypatch.setattr(client, "PAGES_LIMIT", 5)
    endless = {"total_results": 1, "has_next": True, "trades": {"trade": []}}
    taobao, gateway = speaking({"taobao.trades.sold.increment.get": endless})
    with pytest.raises(PlatformRefused) as caught:
        await walked(taobao)
    assert caught.value.cure is Cure.GIVE_UP
    assert len(gateway.asked) == 6


@pytest.mark.parametrize(
    "hostile",
    [
        {"total_results": 1, "trades": {"trade": [{"modified": STAMP}]}},
        {"total_results": 1, "trades": {"trade": "x"}},
        {"total_results": 1, "trades": {"trade": [5]}},
        {"total_results": "many"},
        {},
    ],
)
async def test_a_hostile_page_never_passes_as_an_empty_one(hostile):
    taobao, _ = speaking({"taobao.trades.sold.increment.get": hostile})
    with pytest.raises(PlatformRefused) as caught:
        await walked(taobao)
    assert caught.value.cure is Cure.RETRY


async def test_a_row_with_an_unreadable_time_is_still_a_row():
    rows = {"total_results": 1, "trades": {"trade": [{"tid": 5, "modified": "soon"}]}}
    taobao, _ = speaking({"taobao.trades.sold.increment.get": rows})
    assert (await walked(taobao))[0].subjects == (("5", WINDOW.until),)


async def test_details():
    trade = {"trade": {"tid": 4159283746501827364, "modified": STAMP}}
    refund = {"refund": {"refund_id": 17, "modified": STAMP}}
    taobao, gateway = speaking({"taobao.trade.fullinfo.get": trade, "taobao.refund.get": refund})
    document = await taobao.document(About.ORDER, "4159283746501827364")
    assert document.modified_at == datetime(2026, 11, 11, 3, 59, tzinfo=UTC)
    assert json.loads(document.raw)["trade_fullinfo_get_response"]["trade"]["tid"] == 4159283746501827364
    asked = gateway.asked[0]
    # The platform makes an OAID only when it is asked for these as well.
    assert {"receiver_name", "receiver_address", "created", "receiver_mobile", "receiver_phone"} <= set(
        asked["fields"].split(",")
    )
    assert asked["include_oaid"] == "include_oaid"
    assert (await taobao.document(About.REFUND, "17")).about is About.REFUND


async def test_another_orders_detail_is_not_taken():
    taobao, _ = speaking({"taobao.trade.fullinfo.get": {"trade": {"tid": 2}}})
    with pytest.raises(PlatformRefused):
        await taobao.document(About.ORDER, "1")


# ---- The queue


def tmc(number, tid, owner=2074082786):
    content = json.dumps({"tid": tid})
    return {
        "id": number,
        "topic": "taobao_trade_TradeBuyerPay",
        "content": content,
        "pub_time": STAMP,
        "user_id": owner,
    }


async def test_the_queue_yields_ours_waits_when_empty_and_ends_after_a_long_silence(monkeypatch):
    pauses = []

    async def paused(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(client.asyncio, "sleep", paused)
    monkeypatch.setattr(client, "EMPTY_POLLS_LIMIT", 3)
    batches = [[], [tmc(1, 11), tmc(2, 12, owner=999), {"topic": "x"}], [tmc(3, 13)]]

    def consume(form):
        assert form["group_name"] == "g1"
        assert "session" not in form
        assert 10 <= int(form["quantity"]) <= 200
        return {"messages": {"tmc_message": batches.pop(0)}} if batches else {}

    permitted = {"taobao.tmc.user.permit": {"is_success": True}}
    taobao, gateway = speaking({"taobao.tmc.messages.consume": consume, **permitted})
    messages = [message async for message in taobao.messages()]
    assert [(message.receipt, message.hints[0].subject_id) for message in messages] == [("1", "11"), ("3", "13")]
    assert pauses == [0.1, 0.1, 0.2, 0.4]
    assert gateway.asked[0]["session"] == "session-1"
    assert "taobao_refund_RefundCreated" in gateway.asked[0]["topics"]


async def test_without_permission_nothing_is_awaited():
    taobao, _ = speaking({"taobao.tmc.user.permit": {"is_success": False}})
    with pytest.raises(PlatformRefused):
        await anext(taobao.messages())


async def test_confirmations_go_in_parts_of_two_hundred():
    taobao, gateway = speaking({"taobao.tmc.messages.confirm": {"is_success": True}})
    await taobao.confirm([str(n) for n in range(450)])
    assert [form["s_message_ids"].count(",") + 1 for form in gateway.asked] == [200, 200, 50]
    taobao, _ = speaking({"taobao.tmc.messages.confirm": {"is_success": False}})
    with pytest.raises(PlatformRefused):
        await taobao.confirm(["1"])
    await taobao.confirm([])


# ---- Back


def parcel(**changes):
    fields = {
        "platform_order_id": "415",
        "parcel_id": "p1",
        "carrier": "SF",
        "waybill": "SF1",
        "lines": (("7", "A", 1),),
    }
    return Parcel(**fields | changes)


SENT = {"shipping": {"is_success": True}}
TWICE = refused(15, "isv.logistics-offline-service-error:B04", "订单状态不对,不能重复发货")


async def test_shipments_whole_split_and_again():
    taobao, gateway = speaking({"taobao.logistics.offline.send": SENT, "taobao.logistics.consign.resend": SENT})
    assert "is_success" in await taobao.upload(parcel())
    await taobao.upload(parcel(split=True))
    await taobao.upload(parcel(again=True))
    whole, split, again = gateway.asked
    assert "is_split" not in whole
    assert (split["is_split"], split["sub_tid"]) == ("1", "7")
    assert again["method"] == "taobao.logistics.consign.resend"


@pytest.mark.parametrize(
    ("lines", "split", "done"),
    [
        ([{"oid": 7, "invoice_no": "SF1"}], False, True),
        ([{"oid": 7, "invoice_no": "SF1"}, {"oid": 8}], True, True),
        ([{"oid": 8, "invoice_no": "SF1"}, {"oid": 7}], True, False),
        ([{"oid": 7, "invoice_no": "SF2"}], False, False),
        ([], False, False),
    ],
)
async def test_a_repeated_report_is_done_only_when_the_platform_has_this_very_waybill(lines, split, done):
    trade = {"trade": {"tid": 415, "orders": {"order": lines}}}
    taobao, _ = speaking({"taobao.logistics.offline.send": TWICE, "taobao.trade.fullinfo.get": trade})
    if done:
        assert "不能重复发货" in await taobao.upload(parcel(split=split))
    else:
        with pytest.raises(PlatformRefused) as caught:
            await taobao.upload(parcel(split=split))
        assert caught.value.cure is Cure.GIVE_UP
        assert "不能重复发货" in caught.value.text


async def test_a_shipment_that_was_not_taken_is_repeated():
    taobao, _ = speaking({"taobao.logistics.offline.send": {"shipping": {"is_success": False}}})
    with pytest.raises(PlatformRefused) as caught:
        await taobao.upload(parcel())
    assert caught.value.cure is Cure.RETRY


async def test_stock_is_told_and_read():
    answers = {
        "taobao.skus.quantity.update": {"item": {"num_iid": 1}},
        "taobao.item.sku.get": {"sku": {"sku_id": 5, "quantity": 12}},
        "taobao.item.seller.get": {"item": {"num": 3}},
    }
    taobao, gateway = speaking(answers)
    await taobao.push_stock([StockOrder("1", "5", 12, "c1"), StockOrder("1", "6", 0, "c2")])
    assert gateway.asked[0]["skuid_quantities"] == "5:12;6:0"
    assert await taobao.read_stock("1", "5") == 12
    assert await taobao.read_stock("1", "") == 3
    assert await speaking({"taobao.item.sku.get": {}})[0].read_stock("1", "5") is None


# ---- Refusals


@pytest.mark.parametrize(
    ("answer", "cure", "after_s"),
    [
        (refused(15, "isp.top-remote-connection-timeout"), Cure.RETRY, 1.0),
        (refused(15, "isp.remote-service-error"), Cure.RETRY, 1.0),
        (
            refused(7, "accesscontrol.limited-by-api-access-count", "This ban will last for 5 more seconds"),
            Cure.RETRY,
            5,
        ),
        (
            refused(7, "accesscontrol.limited-by-app-access-count", "This ban will last for 999999 more seconds"),
            Cure.RETRY,
            86_400,
        ),
        (refused(10), Cure.RETRY, 1.0),
        (refused(27, "invalid-sessionkey", "非法的sessionkey"), Cure.REFRESH, 0),
        (refused(27, "isv.invalid-parameter"), Cure.REFRESH, 0),
        (refused(27), Cure.REFRESH, 0),
        (refused(53, "session-expired"), Cure.REFRESH, 0),
        (refused(26, "isv.missing-session"), Cure.ASK, 0),
        (refused(25), Cure.ASK, 0),
        (refused(11, "isv.permission-api-package-limit"), Cure.ASK, 0),
        (refused(29), Cure.ASK, 0),
        (refused(15, "isv.trade-not-exist"), Cure.GIVE_UP, 0),
        (refused(15, "isv.logistics-offline-service-error:B150"), Cure.RETRY, 1.0),
        (refused(15, "isv.logistics-offline-service-error:B60"), Cure.ASK, 0),
        (refused(41, "isv.invalid-parameter"), Cure.GIVE_UP, 0),
        (refused(9999), Cure.GIVE_UP, 0),
        (httpx.Response(502, text="<html>"), Cure.RETRY, 1.0),
        (httpx.Response(429, headers={"retry-after": "7"}), Cure.RETRY, 7),
        (httpx.Response(200, text="<html>busy</html>"), Cure.RETRY, 0),
        (httpx.Response(200, json=[]), Cure.RETRY, 0),
        (httpx.Response(200, json={"other_response": {}}), Cure.RETRY, 0),
    ],
)
async def test_what_helps_against_a_refusal(answer, cure, after_s):
    taobao, _ = speaking({"taobao.trade.fullinfo.get": lambda form: answer})
    with pytest.raises(PlatformRefused) as caught:
        await taobao.document(About.ORDER, "1")
    assert (caught.value.cure, caught.value.after_seconds) == (cure, after_s)
    assert "session-1" not in str(caught.value)
    assert "helloworld" not in str(caught.value)


async def test_the_platforms_words_are_kept():
    taobao, _ = speaking({"taobao.trade.fullinfo.get": refused(15, "isv.trade-not-exist", "交易不存在")})
    with pytest.raises(PlatformRefused, match="交易不存在") as caught:
        await taobao.document(About.ORDER, "1")
    assert caught.value.code == "isv.trade-not-exist"


async def test_a_token_that_ends_in_the_middle_of_a_window_stops_it():
    trades = Trades(range(1, 121))

    def ending(form):
        return refused(27, "invalid-sessionkey") if trades.pages else trades(form)

    taobao, _ = speaking({"taobao.trades.sold.increment.get": ending})
    pages = taobao.pages(About.ORDER, WINDOW)
    assert len((await anext(pages)).subjects) == 20
    with pytest.raises(PlatformRefused) as caught:
        await anext(pages)
    assert caught.value.cure is Cure.REFRESH


async def test_transport_errors_come_as_they_are():
    def broken(request):
        raise httpx.ConnectTimeout("slow", request=request)

    taobao, _ = speaking(broken)
    with pytest.raises(httpx.ConnectTimeout):
        await taobao.document(About.ORDER, "1")


# ---- Access


TOKEN = {
    "access_token": "new",
    "expires_in": 86_400,
    "refresh_token": "again",
    "re_expires_in": 172_800,
    "taobao_user_id": "2074082786",
}


def test_where_to_sign_in():
    taobao, _ = speaking({})
    url = urlsplit(taobao.authorize_url("https://ordo.example/cb?a=1", "st&te"))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.path, query["client_id"], query["response_type"]) == ("/taobao/authorize", "12345678", "code")
    assert (query["state"], query["redirect_uri"]) == ("st&te", "https://ordo.example/cb?a=1")


async def test_tokens_by_code_and_by_refresh():
    asked = []

    def answer(request):
        assert (request.method, request.url.path) == ("POST", "/taobao/token")
        asked.append({name: values[0] for name, values in parse_qs(request.content.decode()).items()})
        return httpx.Response(200, json=TOKEN)

    taobao, _ = speaking(answer)
    token = await taobao.exchange("code-1", "https://ordo.example/cb")
    assert (token.access_token, token.refresh_token, token.seller_id) == ("new", "again", "2074082786")
    assert token.expires_at == NOW + timedelta(days=1)
    assert token.refresh_expires_at == NOW + timedelta(days=2)
    assert (asked[0]["grant_type"], asked[0]["code"]) == ("authorization_code", "code-1")
    await taobao.refresh()
    assert (asked[1]["grant_type"], asked[1]["refresh_token"]) == ("refresh_token", "refresh-1")
    assert "new" not in repr(token)


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), Cure.ASK),
        (httpx.Response(200, json={"error": "invalid_grant", "error_description": "code expired"}), Cure.ASK),
        (httpx.Response(200, json=[]), Cure.ASK),
        (httpx.Response(503), Cure.RETRY),
    ],
)
async def test_a_refresh_that_is_refused(answer, cure):
    taobao, _ = speaking(lambda request: answer)
    with pytest.raises(PlatformRefused) as caught:
        await taobao.refresh()
    assert caught.value.cure is cure


async def test_nothing_to_refresh_with_asks_a_person():
    taobao, _ = speaking({}, Access("s1", "k", "s"))
    with pytest.raises(PlatformRefused) as caught:
        await taobao.refresh()
    assert caught.value.cure is Cure.ASK


def test_the_platforms_own_addresses_are_the_default():
    taobao, _ = speaking({}, Access("s1", "k", "s"))
    assert taobao.authorize_url("https://o.example", "s").startswith("https://oauth.taobao.com/authorize?")
    assert CHANNEL.receive is None
