"""Tokens of service providers' applications."""


async def test_one_s_own_application_needs_no_token(world):
    await world.found("order/getOrderDaySeq", app_poi_code=world.shop.seller_id)


async def test_a_service_provider_shows_a_token_and_refreshes_it(world):
    await world.http.patch("/meituan/dials", json={"needs_token": True})
    poi = world.shop.seller_id
    assert await world.refused("order/getOrderDaySeq", app_poi_code=poi) == 701
    token = await world.call("oauth/authorize", app_poi_code=poi, response_type="token", state="s1")
    assert (token["status"], token["state"], token["expires_in"]) == (0, "s1", 30 * 24 * 3600)
    asked = {"app_poi_code": poi, "access_token": token["access_token"]}
    await world.found("order/getOrderDaySeq", **asked)
    world.market.clock.advance(30 * 24 * 3600)
    assert await world.refused("order/getOrderDaySeq", **asked) == 4001
    renewal = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    renewed = await world.call("oauth/token", "POST", **renewal)
    await world.found("order/getOrderDaySeq", app_poi_code=poi, access_token=renewed["access_token"])
    assert (await world.call("oauth/token", "POST", **renewal))["status"] == 4001


async def test_signing_in_for_a_stranger_s_shop_is_refused(world):
    other = world.market.create_shop("meituan")
    assert await world.refused("oauth/authorize", app_poi_code=other.seller_id, response_type="token") == 704
    assert await world.refused("oauth/authorize", app_poi_code=world.shop.seller_id, response_type="code") == 705
