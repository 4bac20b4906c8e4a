"""Calls to Douyin against a gateway that checks what comes, shifts its pages, and says no in the platform's words."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from libs.channels.channel import About, Access, Cure, Parcel, PlatformRefused, StockOrder, Window
from libs.channels.douyin import CHANNEL, cures
from libs.channels.douyin.client import DouyinClient
from libs.stream.egress import ATTEMPTS_LIMIT

NOW = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(hours=1), NOW)
ACCESS = Access(
    "s1",
    app_key="6800000000000000001",
    app_secret="secret",
    access_token="token",
    refresh_token="again",
    seller_id="4463798",
    gateway="http://gateway/douyin/",
    sign_in="http://sign-in/douyin",
)


class Gateway:
    """Answers by path; each answer is a value or a function of the parameters. Checks the signature of every call."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []

    def __call__(self, request):
        query = dict(request.url.params)
        body = request.content.decode()
        path = request.url.path.removeprefix("/douyin")
        text = f"app_key{query['app_key']}method{path.strip('/').replace('/', '.')}param_json{body}"
        text = f"secret{text}timestamp{query['timestamp']}v2secret"
        assert query["sign"] == hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest()
        assert query["timestamp"] == str(int(NOW.timestamp()))
        assert query["sign_method"] == "hmac-sha256"
        assert ("access_token" in query) != path.startswith("/token/")
        params = json.loads(body)
        self.calls.append((path, params))
        answer = self.answers[path.strip("/").replace("/", "_")]
        answer = answer(params) if callable(answer) else answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def client(self):
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return DouyinClient(ACCESS, http, lambda: NOW)


def ok(data):
    return {"code": 10000, "msg": "success", "sub_code": "", "sub_msg": "", "data": data}


def no(code, sub_code="", sub_msg=""):
    return {"code": code, "msg": "no", "sub_code": sub_code, "sub_msg": sub_msg}


class Shelf:
    """A list that is sorted by time of change; `shift` rows change (and leave the window) after each page."""

    def __init__(self, count, shift=0):
        self.rows = [{"order_id": str(n), "update_time": 1699996400 + n} for n in range(count)]
        self.shift = shift

    def __call__(self, params):
        assert params["order_asc"] is True
        assert params["update_time_start"] == int(WINDOW.since.timestamp())
        start = params["page"] * params["size"]
        page, total = self.rows[start : start + params["size"]], len(self.rows)
        del self.rows[: self.shift]
        return ok({"shop_order_list": page, "total": total, "page": params["page"], "size": params["size"]})


async def collect(client, about=About.ORDER):
    return [page async for page in client.pages(about, WINDOW)]


@pytest.mark.parametrize("count", [0, 1, 100, 101, 350])
async def test_every_row_of_a_window_is_found(count):
    pages = await collect(Gateway(order_searchList=Shelf(count)).client())
    assert {subject for page in pages for subject, _ in page.subjects} == {str(n) for n in range(count)}


async def test_pages_are_walked_from_the_last_to_the_first():
    gateway = Gateway(order_searchList=Shelf(250))
    await collect(gateway.client())
    assert [params["page"] for _, params in gateway.calls] == [0, 2, 1, 0]


@pytest.mark.parametrize("shift", [1, 7, 60])
async def test_no_page_shift_hides_a_row_that_stays(shift):
    shelf = Shelf(420, shift)
    pages = await collect(Gateway(order_searchList=shelf).client())
    found = {subject for page in pages for subject, _ in page.subjects}
    assert {row["order_id"] for row in shelf.rows} <= found


async def test_a_window_that_grew_is_read_again():
    shelf = Shelf(150)
    late = iter([True])

    def grows(params):
        answer = shelf(params)
        if params["page"] == 1 and next(late, False):
            shelf.rows.insert(20, {"order_id": "late", "update_time": 1699996420})
        return answer

    pages = await collect(Gateway(order_searchList=grows).client())
    assert {"late", *(str(n) for n in range(150))} == {subject for page in pages for subject, _ in page.subjects}


async def test_a_window_that_never_rests_is_given_back():
    shelf = Shelf(150)

    def grows(params):
        shelf.rows.insert(0, {"order_id": f"n{len(shelf.rows)}", "update_time": 1699996400})
        return shelf(params)

    with pytest.raises(PlatformRefused) as refused:
        await collect(Gateway(order_searchList=grows).client())
    assert refused.value.cure is Cure.RETRY


async def test_a_whole_row_comes_as_a_document_and_a_bare_one_as_an_id():
    whole = {"order_id": "1", "update_time": 1699996400, "order_status": 2, "sku_order_list": [{"order_id": "1"}]}
    rows = [whole, {"order_id": "2", "update_time": 1699996401}]
    gateway = Gateway(order_searchList=ok({"shop_order_list": rows, "total": 2}))
    (page,) = await collect(gateway.client())
    assert [each.subject_id for each in page.documents] == ["1"]
    assert json.loads(page.documents[0].raw) == whole


async def test_refunds_are_pulled_with_their_documents():
    item = {"aftersale_info": {"aftersale_id": 7061, "update_time": 1699996400}}
    gateway = Gateway(afterSale_List=ok({"items": [item], "total": 1}))
    (page,) = await collect(gateway.client(), About.REFUND)
    assert page.subjects == (("7061", datetime.fromtimestamp(1699996400, UTC)),)
    assert gateway.calls[0][1]["update_start_time"] == int(WINDOW.since.timestamp())


async def test_a_window_backwards_is_the_callers_mistake():
    client = Gateway().client()
    with pytest.raises(ValueError, match="window"):
        [page async for page in client.pages(About.ORDER, Window(NOW, NOW))]


async def test_a_detail_keeps_its_numbers():
    detail = {"order_id": "9", "update_time": 1699996400, "p": 4781320682406083640}
    gateway = Gateway(order_orderDetail=ok({"shop_order_detail": detail}))
    document = await gateway.client().document(About.ORDER, "9")
    assert json.loads(document.raw) == detail
    assert document.modified_at == datetime.fromtimestamp(1699996400, UTC)
    assert gateway.calls == [("/order/orderDetail", {"shop_order_id": "9"})]


async def test_a_refund_is_asked_for_by_its_id():
    gateway = Gateway(afterSale_List=ok({"items": [{"aftersale_info": {"aftersale_id": "7"}}], "total": 1}))
    assert (await gateway.client().document(About.REFUND, "7")).subject_id == "7"
    missing = Gateway(afterSale_List=ok({"items": [], "total": 0}))
    with pytest.raises(PlatformRefused):
        await missing.client().document(About.REFUND, "7")


async def test_the_platforms_count():
    gateway = Gateway(order_searchList=Shelf(3))
    assert await gateway.client().count(WINDOW) == 3
    assert gateway.calls[0][1]["size"] == 1


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        (no(40003, "isv.access-token-expired", "access_token已过期"), Cure.REFRESH),
        (no(40003, "isv.access-token-no-existed"), Cure.REFRESH),
        (no(40003, "isv.signature-invalid"), Cure.ASK),
        (no(30001, "dop.authorization-closed"), Cure.ASK),
        (no(50001, "dop.token-generate-failed:token-expired"), Cure.ASK),
        (no(60000), Cure.RETRY),
        (no(20000, "isp.service-error:12"), Cure.RETRY),
        (no(50002, "isv.business-failed:4000"), Cure.GIVE_UP),
        (no(50002, "isv.business-failed:2001051", "订单有退款需要处理，拒绝发货"), Cure.RETRY),
        (no(40004), Cure.GIVE_UP),
        ({"err_no": 30005, "message": "access_token已过期"}, Cure.REFRESH),
        ({"err_no": 7, "message": "no"}, Cure.GIVE_UP),
        ([], Cure.RETRY),
        ({}, Cure.GIVE_UP),
        (ok({}), Cure.RETRY),
        (httpx.Response(502, text="<html>"), Cure.RETRY),
        (httpx.Response(200, text="<html>"), Cure.RETRY),
        (httpx.Response(429, text=""), Cure.RETRY),
        (httpx.Response(403, text=""), Cure.GIVE_UP),
    ],
)
async def test_each_refusal_has_its_cure(answer, cure):
    with pytest.raises(PlatformRefused) as refused:
        await Gateway(order_orderDetail=answer).client().document(About.ORDER, "9")
    assert refused.value.cure is cure
    assert "token=" not in str(refused.value)


async def test_an_open_refund_holds_its_order_and_not_the_shop():
    refused_by = no(50002, "isv.business-failed:2001051", "订单有退款需要处理，拒绝发货")
    with pytest.raises(PlatformRefused, match="退款需要处理") as refused:
        await Gateway(order_logisticsAdd=refused_by).client().upload(parcel())
    assert (refused.value.cure, refused.value.after_seconds) == (Cure.RETRY, cures.OPEN_REFUND_WAIT_S)
    assert cures.OPEN_REFUND_WAIT_S * ATTEMPTS_LIMIT > 2 * 86_400, "as long as a merchant has to answer"


async def test_an_older_method_says_success_with_err_no():
    answer = {"err_no": 0, "message": "success", "data": {"shop_order_detail": {"order_id": "9"}}}
    assert (await Gateway(order_orderDetail=answer).client().document(About.ORDER, "9")).subject_id == "9"


def parcel(**changed):
    return Parcel(**{
        "platform_order_id": "9", "parcel_id": "p-1", "carrier": "SF", "waybill": "SF1", "lines": (("l1", "A", 2),),
    } | changed)  # fmt: skip


async def test_a_whole_order_is_shipped_with_one_call():
    gateway = Gateway(order_logisticsAdd=ok({}))
    assert await gateway.client().upload(parcel()) == "success"
    sent = {"order_id": "9", "company_code": "shunfeng", "logistics_code": "SF1"}
    assert gateway.calls == [("/order/logisticsAdd", sent)]
    await gateway.client().upload(parcel(carrier="PIGEON", company="gezi"))
    assert gateway.calls[-1][1]["company_code"] == "gezi"


async def test_a_split_parcel_goes_with_its_request_id():
    gateway = Gateway(order_logisticsAddMultiPack=ok({}))
    for _ in range(2):
        await gateway.client().upload(parcel(split=True))
    assert [params["request_id"] for _, params in gateway.calls] == ["p-1", "p-1"]


@pytest.mark.parametrize(("waybill", "done"), [("SF1", True), ("SF2", False)])
async def test_shipped_already_counts_only_with_our_waybill(waybill, done):
    detail = {"order_id": "9", "logistics_info": [{"tracking_no": waybill}]}
    refusal = no(50002, "isv.business-failed:1", "订单已发货，请勿重复发货")
    gateway = Gateway(order_logisticsAdd=refusal, order_orderDetail=ok({"shop_order_detail": detail}))
    if done:
        assert "已发货" in await gateway.client().upload(parcel())
    else:
        with pytest.raises(PlatformRefused, match="已发货"):
            await gateway.client().upload(parcel())


async def test_a_waybill_is_corrected_whole_and_by_pack():
    gateway = Gateway(order_logisticsEdit=ok({}))
    await gateway.client().upload(parcel(again=True))
    packs = [
        {"delivery_id": "d1", "product_info": [{"sku_order_id": "other"}]},
        {"delivery_id": "d2", "product_info": [{"sku_order_id": "l1"}]},
    ]
    detail = ok({"shop_order_detail": {"order_id": "9", "logistics_info": packs}})
    gateway = Gateway(order_orderDetail=detail, order_logisticsEditByPack=ok({}))
    await gateway.client().upload(parcel(again=True, split=True))
    assert gateway.calls[-1][1]["pack_id"] == "d2"
    with pytest.raises(PlatformRefused) as refused:
        await gateway.client().upload(parcel(again=True, split=True, lines=(("l9", "A", 1),)))
    assert refused.value.cure is Cure.ASK


async def test_an_unknown_carrier_needs_a_person():
    with pytest.raises(PlatformRefused) as refused:
        await Gateway().client().upload(parcel(carrier="X"))
    assert refused.value.cure is Cure.ASK


async def test_stock_is_told_once_by_its_change_id():
    answers = iter([ok({}), no(40003, "isv.idempotent-id-existed"), no(60000)])
    gateway = Gateway(sku_syncStock=lambda _: next(answers))
    orders = [StockOrder("1", "2", -3, "c1", delta=True), StockOrder("1", "2", 5, "c2")]
    assert await gateway.client().push_stock(orders) == "success"
    assert [(p["idempotent_id"], p["incremental"], p["stock_num"]) for _, p in gateway.calls] == [
        ("c1", True, -3),
        ("c2", False, 5),
    ]
    with pytest.raises(PlatformRefused) as refused:
        await gateway.client().push_stock(orders)
    assert refused.value.cure is Cure.RETRY
    assert refused.value.after_seconds > 0


async def test_stock_is_read_back():
    assert await Gateway(sku_stockNum=ok({"stock_num": 4})).client().read_stock("1", "2") == 4
    assert await Gateway(sku_stockNum=ok({})).client().read_stock("1", "2") is None


def grant(token="token"):
    return ok({"access_token": token, "expires_in": 604800, "refresh_token": "r2", "shop_id": 4463798, "scope": "a,b"})


async def test_signing_in():
    gateway = Gateway(token_create=grant("new"))
    client = gateway.client()
    url = urlsplit(client.authorize_url("https://hub/callback", "st&ate"))
    assert (url.netloc, url.path) == ("sign-in", "/douyin/authorize")
    assert parse_qs(url.query)["state"] == ["st&ate"]
    token = await client.exchange("code", "https://hub/callback")
    assert (token.access_token, token.seller_id, token.scopes) == ("new", "4463798", ("a", "b"))
    assert token.expires_at == NOW + timedelta(days=7)
    assert token.refresh_expires_at == NOW + timedelta(days=14)
    assert gateway.calls[0][1] == {"grant_type": "authorization_code", "code": "code"}
    await client.exchange("", "")
    assert gateway.calls[1][1]["grant_type"] == "authorization_self"


async def test_a_refresh_may_return_the_same_token():
    gateway = Gateway(token_refresh=grant())
    token = await gateway.client().refresh()
    assert (token.access_token, token.refresh_token) == ("token", "r2")
    assert gateway.calls[0][1] == {"grant_type": "refresh_token", "refresh_token": "again"}
    assert "r2" not in repr(token)


async def test_an_answer_without_a_token_needs_a_person():
    with pytest.raises(PlatformRefused) as refused:
        await Gateway(token_refresh=ok({})).client().refresh()
    assert refused.value.cure is Cure.ASK


async def test_what_douyin_has_not():
    client = Gateway().client()
    assert [message async for message in client.messages()] == []
    await client.confirm([])
    with pytest.raises(ValueError, match="queue"):
        await client.confirm(["x"])
    assert await client.day_numbers(NOW.date()) is None
    assert CHANNEL.capabilities.channel == "douyin"
