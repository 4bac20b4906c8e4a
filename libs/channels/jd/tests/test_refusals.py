"""What JD refuses, what helps, and how a shop signs in."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from libs.channels.channel import About, Access, Cure, PlatformRefused
from libs.channels.jd import CHANNEL, client
from libs.channels.jd.tests.gateway import GET, NOW, SEARCH, WINDOW, Orders, refused, speaking

# ---- Refusals


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        (refused("19", "token已过期或者不存在，请重新授权访问"), Cure.REFRESH),
        (refused(19), Cure.REFRESH),
        (refused("7", "invalid access_token"), Cure.REFRESH),
        (refused("12", "无效签名"), Cure.ASK),
        (refused("2", "限制时间内调用失败次数"), Cure.RETRY),
        (refused("18", "缺少access_token参数"), Cure.ASK),
        (refused("21", "无效App Key"), Cure.ASK),
        (refused("24", "该商家无权调用API"), Cure.ASK),
        (refused("65", "系统处理超时！"), Cure.RETRY),
        (refused("2000", "调用频率超限"), Cure.RETRY),
        (refused("1", "service unavailable"), Cure.RETRY),
        (refused("15", "不存在的方法名"), Cure.GIVE_UP),
        ({"code": "103", "zh_desc": "非法参数"}, Cure.GIVE_UP),
        ({"orderDetailInfo": {"apiResult": {"success": False, "numberCode": "10100021"}}}, Cure.GIVE_UP),
        ({"orderDetailInfo": {"orderInfo": {"orderId": 287}}}, Cure.GIVE_UP),
        (httpx.Response(502, text="<html>"), Cure.RETRY),
        (httpx.Response(200, text="<html>"), Cure.RETRY),
        (httpx.Response(200, json=[]), Cure.RETRY),
        (httpx.Response(200, json={"code": "10500001"}), Cure.RETRY),
    ],
)
async def test_what_helps_against_a_refusal(answer, cure):
    jd, _ = speaking({GET: lambda asked: answer})
    with pytest.raises(PlatformRefused) as caught:
        await jd.document(About.ORDER, "287")
    assert caught.value.cure is cure
    assert "token-1" not in str(caught.value)
    assert "secret-1" not in str(caught.value)


async def test_a_token_in_the_platforms_complaint_is_not_kept():
    token = "12345678-b0e1-4d0c-9d10-a998d9597d75"
    jd, _ = speaking({GET: refused("19", f"token已过期或者不存在，请重新授权访问 {token}")})
    with pytest.raises(PlatformRefused, match="请重新授权访问 …") as caught:
        await jd.document(About.ORDER, "287")
    assert token not in caught.value.text


async def test_a_token_that_ends_in_the_middle_of_a_window_stops_it():
    orders = Orders(range(1, 251))

    def ending(asked):
        return refused("19") if orders.pages else orders(asked)

    pages = speaking({SEARCH: ending})[0].pages(About.ORDER, WINDOW)
    assert len((await anext(pages)).subjects) == 50
    with pytest.raises(PlatformRefused) as caught:
        await anext(pages)
    assert caught.value.cure is Cure.REFRESH


async def test_transport_errors_come_as_they_are():
    def broken(request):
        raise httpx.ReadTimeout("slow", request=request)

    with pytest.raises(httpx.ReadTimeout):
        await speaking(broken)[0].document(About.ORDER, "287")


# ---- Access


def test_where_to_sign_in():
    url = urlsplit(speaking({})[0].authorize_url("https://ordo.example/cb?a=1", "st&te"))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.path, query["app_key"], query["state"]) == ("/jd/oauth2/to_login", "key-1", "st&te")
    assert query["redirect_uri"] == "https://ordo.example/cb?a=1"
    own = speaking({}, Access("s1", "k", "s"))[0].authorize_url("https://o.example", "s")
    assert own.startswith("https://open-oauth.jd.com/oauth2/to_login?")
    assert client.GATEWAY == "https://api.jd.com"
    assert CHANNEL.receive is None


async def test_tokens_by_code_and_by_refresh():
    asked = []

    def answer(request):
        asked.append((request.method, request.url.path, dict(request.url.params)))
        token = {"access_token": "new", "expires_in": 3600, "refresh_token": "again", "scope": "a,b", "code": 0}
        return httpx.Response(200, json=token)

    jd, _ = speaking(answer)
    token = await jd.exchange("code-1", "https://ordo.example/cb")
    assert (token.access_token, token.refresh_token, token.scopes) == ("new", "again", ("a", "b"))
    assert token.expires_at == NOW + timedelta(hours=1)
    await jd.refresh()
    assert [each[:2] for each in asked] == [("GET", "/jd/oauth2/access_token"), ("GET", "/jd/oauth2/refresh_token")]
    assert asked[0][2]["grant_type"] == "authorization_code"
    assert asked[1][2]["refresh_token"] == "refresh-1"


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        (httpx.Response(400, json={"code": 400, "msg": "bad"}), Cure.ASK),
        (httpx.Response(200, json={"code": 404, "msg": "refresh_token expired"}), Cure.ASK),
        (httpx.Response(200, json=[]), Cure.ASK),
        (httpx.Response(503), Cure.RETRY),
    ],
)
async def test_a_refresh_that_is_refused(answer, cure):
    with pytest.raises(PlatformRefused) as caught:
        await speaking(lambda request: answer)[0].refresh()
    assert caught.value.cure is cure


async def test_nothing_to_refresh_with_asks_a_person():
    with pytest.raises(PlatformRefused) as caught:
        await speaking({}, Access("s1", "k", "s"))[0].refresh()
    assert caught.value.cure is Cure.ASK
