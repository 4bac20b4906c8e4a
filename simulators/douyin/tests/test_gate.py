"""What the gateway refuses before any order is looked at, and how tokens live."""

import pytest


async def test_a_call_signed_by_the_rule_is_let_in(world):
    assert (await world.found("/order/searchList", {"page": 0, "size": 10}))["total"] == 0
    assert (await world.found("/order/searchList", {"page": 0, "size": 10}, sign_method=""))["total"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"app_key": ""}, (40001, "isv.app-id-missing")),
        ({"app_key": "1"}, (40003, "isv.app-id-invalid")),
        ({"sign": ""}, (40001, "isv.signature-missing")),
        ({"sign": "0" * 64}, (40003, "isv.signature-invalid")),
        ({"method": "order.other"}, (70000, "isp.api-service-off")),
        ({"timestamp": "yesterday"}, (40003, "isv.timestamp-format-error")),
        ({"timestamp": "1600000000"}, (40003, "isv.timestamp-invalid")),
        ({"access_token": ""}, (40001, "isv.access-token-missing")),
        ({"access_token": "x"}, (40003, "isv.access-token-no-existed")),
        ({"body": '{"size":1,"page":0}'}, (40003, "isv.signature-invalid")),
        ({"body": "[]"}, (40003, "isv.signature-invalid")),
    ],
)
async def test_what_is_wrong_is_named(world, query, code):
    assert await world.refused("/order/searchList", {"page": 0, "size": 10}, **query) == code


async def test_unsorted_parameters_pass_when_the_dial_says_so(world):
    answer = await world.http.patch("/douyin/dials", json={"canonical_params": False})
    assert answer.json()["canonical_params"] is False
    assert (await world.found("/order/searchList", body='{"size":1,"page":0}'))["size"] == 0
    assert (await world.http.patch("/douyin/dials", json={"no_such": 1})).status_code == 422


async def test_an_unknown_method_is_offline(world):
    assert await world.refused("/order/nothing") == (70000, "isp.api-service-off")


async def test_another_application_may_not_use_the_token(world):
    other = world.market.create_shop("douyin")
    refused = await world.refused("/order/searchList", {}, access_token=other.grant.access_token)
    assert refused == (40003, "isv.access-token-invalid")


async def test_rate_limits_have_their_own_code(world):
    world.market.dials["douyin"].busy_percent = 100
    assert (await world.refused("/order/searchList", {}))[0] == 60000


async def test_a_token_expires_mid_call_and_is_refreshed(world):
    world.market.dials["douyin"].token_expires_after_calls = 1
    params = {"page": 0, "size": 10}
    await world.found("/order/searchList", params)
    assert await world.refused("/order/searchList", params) == (40003, "isv.access-token-expired")
    asked = {"grant_type": "refresh_token", "refresh_token": world.shop.grant.refresh_token}
    token = await world.found("/token/refresh", asked, access_token="")
    assert token["access_token"] == world.shop.grant.access_token
    await world.found("/order/searchList", params)


async def test_an_early_refresh_answers_the_same_token_and_a_late_one_another(world):
    first = world.shop.grant.access_token
    asked = {"grant_type": "refresh_token", "refresh_token": world.shop.grant.refresh_token}
    early = await world.found("/token/refresh", asked)
    assert (early["access_token"], early["expires_in"]) == (first, 7 * 24 * 3600)
    world.market.clock.advance(7 * 24 * 3600 - 1800)
    late = await world.found("/token/refresh", asked)
    assert late["access_token"] != first
    assert late["shop_id"] == int(world.shop.seller_id)
    world.market.clock.advance(1700)
    await world.found("/order/searchList", {"page": 0, "size": 1}, access_token=first)
    world.market.clock.advance(2000)
    refused = await world.refused("/order/searchList", {"page": 0, "size": 1}, access_token=first)
    assert refused[1] == "isv.access-token-expired"
    assert (await world.refused("/token/refresh", asked))[1] == "dop.token-generate-failed:token-expired"


async def test_signing_in_yields_a_code_for_one_exchange(world):
    query = {"service_id": world.shop.app.app_key, "state": "s1", "redirect_uri": "http://hub/callback"}
    answer = await world.http.get("/douyin/authorize", params=query)
    assert answer.status_code == 302
    sent = dict(part.split("=") for part in answer.headers["location"].split("?")[1].split("&"))
    assert sent["state"] == "s1"
    asked = {"grant_type": "authorization_code", "code": sent["code"]}
    token = await world.found("/token/create", asked)
    assert token["access_token"] == world.shop.grant.access_token
    assert (await world.refused("/token/create", asked))[0] == 50001
    assert (await world.http.get("/douyin/authorize", params={"service_id": "0"})).status_code == 400


async def test_an_own_shop_needs_no_code(world):
    asked = {"grant_type": "authorization_self", "shop_id": world.shop.seller_id}
    assert (await world.found("/token/create", asked))["access_token"] == world.shop.grant.access_token
    assert (await world.refused("/token/create", {"grant_type": "other"}))[0] == 50001
