"""Access tokens, and who loses his when another fetches one."""

LIST = "channels/ec/order/list/get"
RANGE = {"update_time_range": {"start_time": 1_699_999_000, "end_time": 1_700_000_000}}


async def test_a_new_token_kills_the_one_before_after_five_minutes(world):
    first = (await world.token())["access_token"]
    second = await world.token()
    assert second["expires_in"] == 7200
    await world.found(LIST, first, **RANGE)
    await world.found(LIST, second["access_token"], **RANGE)
    world.market.clock.advance(301)
    assert await world.refused(LIST, first, **RANGE) == 40001
    await world.found(LIST, second["access_token"], **RANGE)


async def test_how_long_the_old_one_lives_is_a_dial(world):
    await world.http.patch("/wechat/dials", json={"old_token_lives_s": 0})
    first = (await world.token())["access_token"]
    await world.token()
    assert await world.refused(LIST, first, **RANGE) == 40001


async def test_a_token_ends_by_time_or_mid_call(world):
    world.market.clock.advance(7201)
    assert await world.refused(LIST, **RANGE) == 42001
    await world.token()
    world.market.dials["wechat"].token_expires_after_calls = 1
    await world.found(LIST, **RANGE)
    assert await world.refused(LIST, **RANGE) == 42001


async def test_stable_tokens_stay_and_disturb_nobody(world):
    plain = (await world.token())["access_token"]
    stable = (await world.stable())["access_token"]
    assert (await world.stable())["access_token"] == stable != plain
    world.market.clock.advance(1000)
    assert (await world.stable())["expires_in"] == 6200
    await world.found(LIST, plain, **RANGE)
    forced = (await world.stable(force_refresh=True))["access_token"]
    assert await world.refused(LIST, stable, **RANGE) == 40001
    await world.found(LIST, forced, **RANGE)
    world.market.clock.advance(7200 - 301)
    assert (await world.stable())["access_token"] == forced
    world.market.clock.advance(2)
    last = await world.stable()
    assert (last["access_token"] != forced, last["expires_in"]) == (True, 7200)
    await world.found(LIST, forced, **RANGE)
    world.market.clock.advance(300)
    assert await world.refused(LIST, forced, **RANGE) == 40001


async def test_wrong_credentials_are_named(world):
    assert (await world.token(grant_type="x"))["errcode"] == 40002
    assert (await world.token(appid="x"))["errcode"] == 40013
    assert (await world.token(secret="x"))["errcode"] == 40125
    assert await world.refused(LIST, "", **RANGE) == 41001
    assert await world.refused(LIST, "x", **RANGE) == 40001
    assert (await world.http.get(f"/wechat/{LIST}")).json()["errcode"] == 43002
    assert await world.refused("no/such/call") == 48001


async def test_limits_answer_45009(world):
    await world.http.patch("/wechat/dials", json={"tokens_per_day": 1})
    await world.token()
    assert (await world.token())["errcode"] == 45009
    assert not world.shop.calls, "a quota is no call"
    world.market.dials["wechat"].calls_per_s = 1
    codes = [(await world.call(LIST, **RANGE))["errcode"] for _ in range(3)]
    assert 45009 in codes


async def test_a_body_must_be_an_object(world):
    token = world.shop.grant.access_token
    for body in (b"[]", b"{", b"\xff"):
        answer = await world.http.post(f"/wechat/{LIST}", params={"access_token": token}, content=body)
        assert answer.json()["errcode"] == 47001
    assert (await world.http.patch("/wechat/dials", json={"push_mode": "xml"})).status_code == 422


async def test_every_stable_token_dies_after_calls_of_its_own(world):
    world.market.dials["wechat"].token_expires_after_calls = 2
    for _ in range(2):
        token = (await world.stable())["access_token"]
        for _ in range(2):
            await world.found(LIST, token, **RANGE)
        assert await world.refused(LIST, token, **RANGE) in (40001, 42001)
    assert world.shop.grant.refreshes == 2
