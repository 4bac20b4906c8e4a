"""What Douyin says by itself."""

import hashlib
import json

import httpx

from simulators.model import RefundStatus


def data_of(message):
    return json.loads(message["data"])


async def test_a_paid_order_is_pushed_as_a_signed_array_with_big_numbers(world):
    order = world.order()
    created, paid = await world.messages()
    assert [message["tag"] for message in created] == ["100"]
    assert [message["tag"] for message in paid] == ["101", "100"]  # the message before comes again, behind the newest
    data = data_of(paid[0])
    assert data["p_id"] == int(order.order_id)
    assert data["s_ids"] == [int(line.line_id) for line in order.lines]
    assert data["pay_amount"] == order.total_fen
    request = world.pushed[-1]
    app = world.shop.app
    signed = hashlib.md5(app.app_key.encode() + request.content + app.secret.encode()).hexdigest()
    assert request.headers["event-sign"] == signed
    assert request.headers["app-id"] == app.app_key


async def test_arrays_hold_one_message_when_the_dial_says_so(world):
    await world.http.patch("/douyin/dials", json={"arrays_repeat": False})
    world.order()
    assert [len(array) for array in await world.messages()] == [1, 1]


async def test_every_change_has_its_tag(world):
    await world.http.patch("/douyin/dials", json={"arrays_repeat": False})
    order = world.order()
    world.market.change_address(world.shop, order, order.receiver)
    refund = world.market.ask_refund(world.shop, order)
    world.market.settle_refund(world.shop, refund, RefundStatus.AGREED)
    world.market.settle_refund(world.shop, refund, RefundStatus.SUCCEEDED)
    arrays = await world.messages()
    assert [array[0]["tag"] for array in arrays] == ["100", "101", "105", "200", "201", "206", "106"]
    said = data_of(arrays[3][0])
    assert said["aftersale_id"] == int(refund.refund_id)
    assert said["update_time"].endswith("+00:00")
    assert data_of(arrays[2][0])["receiver_msg"]["encrypt_tel"]
    assert "13812345678" not in str(arrays)


async def test_a_checked_order_waits_under_another_tag(world):
    world.order(risky=True)
    assert (await world.messages())[1][0]["tag"] == "110"


async def test_thin_pushes_say_hardly_more_than_ids(world):
    world.market.dials["douyin"].pushes_thin = True
    world.order()
    assert data_of((await world.messages())[1][0]).keys() == {"p_id", "shop_id", "order_status"}


async def test_lost_and_doubled_pushes(world):
    dials = world.market.dials["douyin"]
    dials.pushes_lost_percent = 100
    world.order()
    assert await world.messages() == []
    dials.pushes_lost_percent, dials.pushes_doubled_percent = 0, 100
    world.order()
    arrays = await world.messages()
    assert len(arrays) == 4
    assert len({array[0]["msg_id"] for array in arrays}) == 2


async def test_reordered_pushes_overtake(world):
    dials = world.market.dials["douyin"]
    dials.pushes_reordered_percent, dials.push_reorder_s = 50, 10
    for _ in range(8):
        world.order(1, pay=False)
    await world.market.pushes.flush()
    world.market.clock.advance(20)
    tags = [int(data_of(array[0])["p_id"]) for array in await world.messages()]
    assert tags != [int(order_id) for order_id in world.shop.orders]
    assert sorted(tags) == sorted(int(order_id) for order_id in world.shop.orders)


async def test_only_the_documented_answer_counts(world):
    world.answer = httpx.Response(200, json={"code": 1, "msg": "fail"})
    world.order(pay=False)
    await world.messages()
    assert [sent.outcome for sent in world.market.pushes.sent] == ["refused"]


async def test_a_new_address_is_probed_once(world):
    platform = world.market.platforms["douyin"]
    platform.tick(world.market)
    platform.tick(world.market)
    [array] = await world.messages()
    assert array[0]["tag"] == "0"
