"""Calls to Pinduoduo against a gateway that checks calls, shifts its pages, and says no in the platform's words."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from libs.channels.channel import About, Access, Cure, Parcel, PlatformRefused, StockOrder, Window
from libs.channels.pinduoduo import CHANNEL, cures
from libs.channels.pinduoduo.client import PinduoduoClient
from libs.stream.egress import ATTEMPTS_LIMIT

NOW = datetime(2023, 11, 15, 0, 0, 0, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(minutes=33), NOW - timedelta(minutes=3))
SN = "231115-123456789012345"
ACCESS = Access(
    "s1",
    app_key="client",
    app_secret="secret",
    access_token="token",
    refresh_token="again",
    seller_id="1",
    gateway="http://gateway/pinduoduo/",
    sign_in="http://sign-in/pinduoduo",
)


class Gateway:
    """Answers by method; each answer is a value or a function of the parameters. Checks the signature of every call."""

    def __init__(self, answers=None):
        self.answers = answers or {}
        self.calls = []

    def __call__(self, request):
        if request.url.path.endswith("/oauth/token"):
            params = json.loads(request.content)
            self.calls.append(("token", params))
            return self.answer("token", params)
        assert request.url.path == "/pinduoduo/api/router"
        params = dict(httpx.QueryParams(request.content.decode()))
        sign = params.pop("sign")
        text = "secret" + "".join(f"{name}{params[name]}" for name in sorted(params)) + "secret"
        assert sign == hashlib.md5(text.encode()).hexdigest().upper()
        assert params.pop("timestamp") == str(int(NOW.timestamp()))
        assert (params.pop("access_token"), params.pop("client_id"), params.pop("data_type")) == (
            "token",
            "client",
            "JSON",
        )
        params.pop("version")
        method = params.pop("type")
        self.calls.append((method, params))
        return self.answer(method, params)

    def answer(self, method, params):
        answer = self.answers[method]
        answer = answer(params) if callable(answer) else answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def client(self):
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return PinduoduoClient(ACCESS, http, lambda: NOW)


def no(code, words="", sub_code=None):
    return {"error_response": {"error_code": code, "error_msg": words, "sub_code": sub_code, "request_id": "r"}}


class Shelf:
    """A list sorted by time of change; `shift` rows change (and leave the window) after each page."""

    def __init__(self, count, shift=0, newest_first=False):
        self.rows = [{"order_sn": f"1-{n}", "updated_at": "2023-11-15 07:50:00"} for n in range(count)]
        self.shift = shift
        self.newest_first = newest_first

    def __call__(self, params):
        assert int(params["end_updated_at"]) - int(params["start_updated_at"]) == 1800
        rows, total = self.page(params)
        return {"order_sn_increment_get_response": {"total_count": total, "order_sn_list": rows}}

    def page(self, params):
        assert params["use_has_next"] == "false"
        size, page = int(params["page_size"]), int(params["page"])
        ordered = self.rows[::-1] if self.newest_first else self.rows
        rows, total = ordered[(page - 1) * size : page * size], len(ordered)
        del self.rows[: self.shift]
        return rows, total


ORDERS = "pdd.order.number.list.increment.get"
REFUNDS = "pdd.refund.list.increment.get"
REFUND = "pdd.refund.information.get"
DETAIL = "pdd.order.information.get"


async def collect(gateway, about=About.ORDER, window=WINDOW):
    return [page async for page in gateway.client().pages(about, window)]


@pytest.mark.parametrize("count", [0, 1, 100, 101, 350])
async def test_every_row_of_a_window_is_found(count):
    pages = await collect(Gateway({ORDERS: Shelf(count)}))
    assert {subject for page in pages for subject, _ in page.subjects} == {f"1-{n}" for n in range(count)}


async def test_pages_are_walked_from_the_last_to_the_first():
    gateway = Gateway({ORDERS: Shelf(250)})
    await collect(gateway)
    assert [params["page"] for _, params in gateway.calls] == ["1", "3", "2", "1"]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("shift", [1, 7, 60])
async def test_no_page_shift_hides_a_row_that_stays(shift, newest_first):
    shelf = Shelf(420, shift, newest_first)
    found = {subject for page in await collect(Gateway({ORDERS: shelf})) for subject, _ in page.subjects}
    assert {row["order_sn"] for row in shelf.rows} <= found


async def test_a_window_that_never_rests_is_given_back():
    shelf = Shelf(150)

    def grows(params):
        shelf.rows.insert(0, {"order_sn": f"2-{len(shelf.rows)}", "updated_at": ""})
        return shelf(params)

    with pytest.raises(PlatformRefused) as refused:
        await collect(Gateway({ORDERS: grows}))
    assert refused.value.cure is Cure.RETRY


@pytest.mark.parametrize(("since_min", "until_min"), [(33.1, 3), (10, 10), (5, 10), (20, 2.9), (20, 0), (20, -5)])
async def test_windows_beyond_the_platforms_limits_are_the_callers_mistake(since_min, until_min):
    window = Window(NOW - timedelta(minutes=since_min), NOW - timedelta(minutes=until_min))
    with pytest.raises(ValueError, match="window"):
        await collect(Gateway(), window=window)
    with pytest.raises(ValueError, match="window"):
        await Gateway().client().count(window)


async def test_the_newest_orders_come_by_another_list():
    shelf = Shelf(150)

    def paid(params):
        rows, total = shelf.page(params)
        return {"order_list_get_response": {"total_count": total, "order_list": rows}}

    gateway = Gateway({"pdd.order.list.get": paid})
    window = Window(NOW - timedelta(minutes=1), NOW)
    found = [page async for page in gateway.client().newest(window)]
    assert {subject for page in found for subject, _ in page.subjects} == {row["order_sn"] for row in shelf.rows}
    asked = [(params["start_confirm_at"], params["end_confirm_at"], params["page"]) for _, params in gateway.calls]
    seconds = [str(int(moment.timestamp())) for moment in (window.since, window.until)]
    assert asked == [(*seconds, page) for page in ("1", "2", "1")]


async def test_whole_rows_come_as_documents_but_not_those_with_an_open_refund():
    whole = {"order_sn": "1-1", "updated_at": "2023-11-15 07:50:00", "pay_amount": "1.00", "item_list": [{"sku_id": 1}]}
    rows = [whole, {**whole, "order_sn": "1-2", "refund_status": 2}, {"order_sn": "1-3", "updated_at": "soon"}]
    rows.append({**whole, "order_sn": "1-4", "refund_status": "?"})
    answer = {"order_sn_increment_get_response": {"total_count": 4, "order_sn_list": rows}}
    (page,) = await collect(Gateway({ORDERS: answer}))
    assert [subject for subject, _ in page.subjects] == ["1-1", "1-2", "1-3", "1-4"]
    assert page.subjects[0][1] == datetime(2023, 11, 14, 23, 50, tzinfo=UTC)
    assert [each.subject_id for each in page.documents] == ["1-1"]


def refunds(*rows):
    return {"refund_increment_get_response": {"total_count": len(rows), "refund_list": list(rows)}}


async def test_refunds_are_pulled_whole_and_named_with_their_order():
    row = {"id": 7, "order_sn": SN, "updated_time": "2023-11-15 07:50:00"}
    gateway = Gateway({REFUNDS: refunds(row)})
    (page,) = await collect(gateway, About.REFUND)
    assert page.subjects == ((f"{SN}:7", datetime(2023, 11, 14, 23, 50, tzinfo=UTC)),)
    assert json.loads(page.documents[0].raw) == row


async def test_a_refund_is_asked_for_with_its_order():
    row = {"id": 7, "order_sn": SN, "refund_amount": 19900}
    gateway = Gateway({REFUND: {"refund_information_get_response": row}})
    document = await gateway.client().document(About.REFUND, f"{SN}:7")
    assert (document.subject_id, json.loads(document.raw)) == (f"{SN}:7", row)
    assert gateway.calls == [(REFUND, {"order_sn": SN, "after_sales_id": "7"})]
    assert (await Gateway({REFUND: row}).client().document(About.REFUND, f"{SN}:7")).subject_id == f"{SN}:7"


@pytest.mark.parametrize(
    ("subject", "answer", "cure"),
    [
        ("7", {}, Cure.GIVE_UP),
        (f"{SN}:8", {"id": 7, "order_sn": SN}, Cure.RETRY),
        (f"{SN}:7", {}, Cure.RETRY),
        (f"{SN}:7", {"error_response": {"error_code": 50001, "sub_msg": "售后单不存在"}}, Cure.GIVE_UP),
    ],
)
async def test_a_refund_that_is_not_there(subject, answer, cure):
    with pytest.raises(PlatformRefused) as refused:
        await Gateway({REFUND: answer}).client().document(About.REFUND, subject)
    assert refused.value.cure is cure


async def test_a_detail_keeps_its_numbers():
    info = {"order_sn": SN, "goods_id": 9007199254740993, "pay_amount": "199.00", "updated_at": "2023-11-15 07:50:00"}
    gateway = Gateway({DETAIL: {"order_info_get_response": {"order_info": info}}})
    document = await gateway.client().document(About.ORDER, SN)
    assert json.loads(document.raw) == info
    assert document.modified_at == datetime(2023, 11, 14, 23, 50, tzinfo=UTC)
    assert gateway.calls == [(DETAIL, {"order_sn": SN})]


async def test_an_order_with_an_open_refund_is_read_with_it():
    info = {"order_sn": SN, "order_status": 1, "refund_status": 2}
    row = {"id": 7, "order_sn": SN}
    answers = {
        DETAIL: {"order_info_get_response": {"order_info": info}},
        REFUNDS: refunds(row, {"id": 8, "order_sn": "x"}),
    }
    document = await Gateway(answers).client().document(About.ORDER, SN)
    assert json.loads(document.raw)["refund_list"] == [row]


async def test_the_platforms_count():
    gateway = Gateway({ORDERS: Shelf(3)})
    assert await gateway.client().count(WINDOW) == 3
    assert gateway.calls[0][1]["page_size"] == "1"


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        (no(10019, "access_token已过期"), Cure.REFRESH),
        (no(70031, "调用过于频繁，请调整调用频率"), Cure.RETRY),
        (no(52101, "当前接口被限流，请稍后重试"), Cure.RETRY),
        (no(50001, "店铺风控", "50003"), Cure.ASK),
        (no(20032, "access_token或client_id错误"), Cure.REFRESH),
        (no(20004, "签名sign校验失败"), Cure.ASK),
        (no(99999, "refresh_token已过期"), Cure.ASK),
        (no(99999, "access_token无效"), Cure.REFRESH),
        (no(50001, "订单不存在"), Cure.GIVE_UP),
        ([], Cure.RETRY),
        ({}, Cure.RETRY),
        ({"order_info_get_response": []}, Cure.RETRY),
        (httpx.Response(502, text="<html>"), Cure.RETRY),
        (httpx.Response(200, text="<html>"), Cure.RETRY),
    ],
)
async def test_each_refusal_has_its_cure(answer, cure):
    with pytest.raises(PlatformRefused) as refused:
        await Gateway({DETAIL: answer}).client().document(About.ORDER, SN)
    assert refused.value.cure is cure


def parcel(**changed):
    return Parcel(**{
        "platform_order_id": SN, "parcel_id": "p-1", "carrier": "SF", "waybill": "SF1", "lines": (("l1", "A", 2),),
    } | changed)  # fmt: skip


SEND = "pdd.logistics.online.send"


@pytest.mark.parametrize("words", ["订单售后中，不能发货", "订单风控审核中，暂不能发货"])
async def test_an_order_that_may_not_leave_yet_is_tried_later_and_is_not_the_shops_trouble(words):
    with pytest.raises(PlatformRefused, match=words) as refused:
        await Gateway({SEND: no(50001, words, "50003")}).client().upload(parcel())
    assert (refused.value.cure, refused.value.after_seconds) == (Cure.RETRY, cures.LATER_WAIT_S)
    assert cures.LATER_WAIT_S * ATTEMPTS_LIMIT > 2 * 86_400, "as long as a merchant has to answer a refund"


def sent(done=True):
    return {"logistics_online_send_response": {"is_success": done}}


@pytest.mark.parametrize(("again", "kind"), [(False, {}), (True, {"redelivery_type": "2"})])
async def test_a_shipment_and_its_correction(again, kind):
    gateway = Gateway({SEND: sent()})
    assert await gateway.client().upload(parcel(again=again)) == "success"
    assert gateway.calls[0][1] == {
        "order_sn": SN,
        "logistics_id": "44",
        "tracking_number": "SF1",
        **kind,
    }
    await gateway.client().upload(parcel(again=again, company="384"))
    assert gateway.calls[-1][1]["logistics_id"] == "384"


@pytest.mark.parametrize(("waybill", "done"), [("SF1", True), ("SF2", False)])
async def test_shipped_already_counts_only_with_our_waybill(waybill, done):
    info = {"order_info_get_response": {"order_info": {"order_sn": SN, "tracking_number": waybill}}}
    gateway = Gateway({SEND: no(50001, "订单已发货"), DETAIL: info})
    if done:
        assert "已发货" in await gateway.client().upload(parcel())
    else:
        with pytest.raises(PlatformRefused, match="已发货"):
            await gateway.client().upload(parcel())


@pytest.mark.parametrize("answer", [sent(False), {}])
async def test_success_is_believed_only_when_said(answer):
    with pytest.raises(PlatformRefused) as refused:
        await Gateway({SEND: answer}).client().upload(parcel())
    assert refused.value.cure is Cure.RETRY


async def test_an_unknown_carrier_needs_a_person():
    with pytest.raises(PlatformRefused) as refused:
        await Gateway().client().upload(parcel(carrier="X"))
    assert refused.value.cure is Cure.ASK


async def test_stock_is_told_whole_or_as_a_difference_and_read_back():
    stock = "pdd.goods.quantity.update"
    detail = {"sku_list": [{"sku_id": 2, "sku_quantity": 4}, {"sku_id": 3}]}
    gateway = Gateway(
        {
            stock: {"goods_quantity_update_response": {"is_success": True}},
            "pdd.goods.information.get": {"goods_info_get_response": {"goods_info": detail}},
        }
    )
    client = gateway.client()
    await client.push_stock([StockOrder("1", "2", 0, "c1"), StockOrder("1", "A", -3, "c2", delta=True)])
    assert [params for _, params in gateway.calls] == [
        {"goods_id": "1", "sku_id": "2", "quantity": "0", "update_type": "1"},
        {"goods_id": "1", "outer_id": "A", "quantity": "-3", "update_type": "2"},
    ]
    assert await client.read_stock("1", "2") == 4
    assert await client.read_stock("1", "3") is None
    assert await client.read_stock("1", "9") is None


async def test_signing_in_and_refreshing():
    grant = {
        "access_token": "new", "expires_in": 86399, "refresh_token": "r2", "refresh_token_expires_in": 2591999,
        "scope": ["pdd.order.information.get"], "owner_id": "1", "owner_name": "shop",
    }  # fmt: skip
    gateway = Gateway({"token": grant})
    client = gateway.client()
    url = urlsplit(client.authorize_url("https://hub/callback", "st&ate"))
    assert (url.netloc, url.path) == ("sign-in", "/pinduoduo/open.html")
    assert parse_qs(url.query) == {
        "response_type": ["code"],
        "client_id": ["client"],
        "redirect_uri": ["https://hub/callback"],
        "state": ["st&ate"],
    }
    token = await client.exchange("code", "https://hub/callback")
    assert (token.access_token, token.refresh_token, token.seller_id) == ("new", "r2", "1")
    assert token.expires_at == NOW + timedelta(seconds=86399)
    assert token.scopes == ("pdd.order.information.get",)
    await client.refresh()
    assert [params["grant_type"] for _, params in gateway.calls] == ["authorization_code", "refresh_token"]
    assert gateway.calls[1][1]["refresh_token"] == "again"
    assert "new" not in repr(token)


@pytest.mark.parametrize("answer", [{}, no(99999, "refresh_token已过期")])
async def test_a_refresh_that_fails_needs_a_person(answer):
    with pytest.raises(PlatformRefused) as refused:
        await Gateway({"token": answer}).client().refresh()
    assert refused.value.cure is Cure.ASK


async def test_what_pinduoduo_has_not():
    assert await Gateway().client().day_numbers(NOW.date()) is None
    assert CHANNEL.receive is None
    assert CHANNEL.capabilities.has_queue
