"""Events in the envelope and in clear, their retries, and the echo of a new address."""

import json

import httpx
import pytest

from simulators.model import RefundStatus
from simulators.wechat.signing import opened, signature


async def events(world):
    """Return the messages that were pushed by now, verified and opened."""
    await world.market.pushes.flush()
    found = []
    for request in world.pushed:
        query, body = request.url.params, json.loads(request.content)
        settings = world.shop.settings
        assert query["signature"] == signature(settings["token"], query["timestamp"], query["nonce"])
        if "Encrypt" in body:
            parts = (settings["token"], query["timestamp"], query["nonce"], body["Encrypt"])
            assert query["msg_signature"] == signature(*parts)
            assert query["encrypt_type"] == "aes"
            message, app_id = opened(settings["aes_key"], body["Encrypt"])
            assert app_id == world.shop.app.app_key
            body = json.loads(message)
        found.append(body)
    return found


@pytest.mark.parametrize("mode", ["aes", "plain"])
async def test_events_are_signed_in_both_modes(world, mode):
    await world.http.patch("/wechat/dials", json={"push_mode": mode})
    order = world.order()
    created, paid = await events(world)
    assert [each["Event"] for each in (created, paid)] == ["channels_ec_order_new", "channels_ec_order_pay"]
    assert paid["order_info"]["order_id"] == int(order.order_id)
    assert paid["order_info"]["pay_time"] == 1_700_000_000
    assert (b"Encrypt" in world.pushed[0].content) == (mode == "aes")


async def test_every_change_has_its_event(world):
    order = world.order()
    world.market.change_address(world.shop, order, order.receiver)
    refund = world.market.ask_refund(world.shop, order)
    world.market.settle_refund(world.shop, refund, RefundStatus.SUCCEEDED)
    other = world.order()
    world.market.upload(world.shop, other, "SF", "W1", [(other.lines[0].line_id, 2)])
    world.market.upload(world.shop, other, "SF", "W2")
    world.market.finish(world.shop, other)
    found = await events(world)
    assert [each["Event"].removeprefix("channels_ec_") for each in found] == [
        "order_new",
        "order_pay",
        "order_ext_info_update",
        "aftersale_update",
        "aftersale_update",
        "order_cancel",
        "order_new",
        "order_pay",
        "order_deliver",
        "order_deliver",
        "order_confirm",
    ]
    told = found[3]["finder_shop_aftersale_status_update"]
    assert (told["order_id"], told["status"]) == (order.order_id, "MERCHANT_PROCESSING")
    assert found[5]["order_info"]["cancel_type"] == 3
    assert [each["order_info"]["finish_delivery"] for each in found[8:10]] == [0, 1]


async def test_status_events_may_say_all_again(world):
    await world.http.patch("/wechat/dials", json={"status_events_too": True})
    world.market.dials["wechat"].pushes_thin = True
    world.order(pay=False)
    created, again = await events(world)
    assert created["order_info"].keys() == {"order_id"}
    assert (again["Event"], again["order_info"]["status"]) == ("product_order_status_update", 10)


async def test_unanswered_events_come_again_by_the_documented_schedule(world):
    world.answer = httpx.Response(200, content=b"fail")
    world.order(pay=False)
    for wait_s in (0, 0, 0, 10, 60, 300, 1800, 3600, 3600, 3600, 3600):
        world.market.clock.advance(wait_s)
        await world.market.pushes.flush()
    assert len(world.pushed) == 10
    assert len({request.url.params["timestamp"] for request in world.pushed}) > 5


async def test_a_new_address_must_return_the_echo(world):
    def echo(request):
        world.pushed.append(request)
        return httpx.Response(200, content=request.url.params["echostr"].encode())

    world.market.pushes.http = httpx.AsyncClient(transport=httpx.MockTransport(echo))
    platform = world.market.platforms["wechat"]
    platform.tick(world.market)
    platform.tick(world.market)
    await world.market.pushes.flush()
    [request] = world.pushed
    query = request.url.params
    assert request.method == "GET"
    assert query["signature"] == signature(world.shop.settings["token"], query["timestamp"], query["nonce"])
    assert [sent.outcome for sent in world.market.pushes.sent] == ["accepted"]


async def test_empty_and_encrypted_answers_count_too(world):
    for content, outcome in ((b"", "accepted"), (b'{"Encrypt":"x"}', "accepted"), (b"ok", "refused")):
        world.answer = httpx.Response(200, content=content)
        world.market.dials["wechat"].push_retries = False
        world.order(pay=False)
        await world.market.pushes.flush()
        assert world.market.pushes.sent[-1].outcome == outcome
