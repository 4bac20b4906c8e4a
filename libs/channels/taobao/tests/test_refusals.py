"""What Taobao refuses, what helps, and how a shop signs in."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from libs.channels.channel import About, Access, Cure, PlatformRefused
from libs.channels.taobao import CHANNEL
from libs.channels.taobao.tests.gateway import NOW, WINDOW, Trades, refused, speaking

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
