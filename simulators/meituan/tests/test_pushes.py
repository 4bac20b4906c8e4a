"""Signed forms whose values are encoded twice."""

import json
from urllib.parse import parse_qsl

import httpx
import pytest

from simulators.meituan.signing import signature
from simulators.model import RefundStatus

PUSH_URL = "http://hub/push/meituan/s1"


async def test_an_unpaid_order_is_silent_and_a_paid_one_is_pushed_whole(world):
    order = world.order(pay=False, note="50%+少冰 & 快")
    assert await world.forms() == []
    world.market.pay(world.shop, order)
    [form] = await world.forms()
    assert (form["order_id"], form["status"], form["day_seq"]) == (order.order_id, "2", "1")
    assert form["caution"] == "50%+少冰 & 快"
    assert [goods["quantity"] for goods in json.loads(form["detail"])] == [2, 2]
    sig = form.pop("sig")
    assert sig == signature(PUSH_URL, form, world.shop.app.secret)


async def test_values_stand_in_the_form_encoded_once_more(world):
    world.order()
    await world.forms()
    raw = dict(parse_qsl(world.pushed[0].content.decode()))
    assert raw["detail"].startswith("%5B%7B%22app_food_code%22")
    assert b"%255B%257B%2522app_food_code" in world.pushed[0].content


@pytest.mark.parametrize("dial", [{"values_encoded_twice": False}, {"signs_encoded_values": True}])
async def test_both_encodings_and_both_signatures_can_be_played(world, dial):
    await world.http.patch("/meituan/dials", json=dial)
    world.order()
    await world.forms()
    raw = dict(parse_qsl(world.pushed[0].content.decode(), keep_blank_values=True))
    sig = raw.pop("sig")
    assert sig == signature(PUSH_URL, raw, world.shop.app.secret)
    assert raw["detail"].startswith("[{") == ("values_encoded_twice" in dial)


async def test_every_change_is_told_by_its_fields(world):
    order = world.order(accept=True)
    part = world.market.ask_refund(world.shop, order, line_id=order.lines[0].line_id)
    world.market.settle_refund(world.shop, part, RefundStatus.CLOSED)
    world.market.cancel(world.shop, order)
    paid, confirmed, asked, rejected, cancelled = await world.forms()
    assert (paid["status"], confirmed["status"]) == ("2", "4")
    assert (asked["notify_type"], asked["refund_id"], asked["money"]) == ("part", part.refund_id, "35.0")
    assert rejected["notify_type"] == "reject"
    assert (cancelled["reason_code"], cancelled["deal_op_type"]) == ("1102", "1")
    assert all(form["app_poi_code"] == world.shop.seller_id for form in (paid, asked, cancelled))


async def test_a_whole_refund_closes_the_order(world):
    order = world.order(accept=True)
    refund = world.market.ask_refund(world.shop, order)
    world.market.settle_refund(world.shop, refund, RefundStatus.SUCCEEDED)
    asked, agreed, cancelled = (await world.forms())[2:]
    assert (asked["notify_type"], agreed["notify_type"], cancelled["reason_code"]) == ("apply", "agree", "1103")


async def test_a_late_order_is_cancelled_by_the_system(world):
    world.order()
    world.market.clock.advance(901)
    world.market.platforms["meituan"].tick(world.market)
    form = (await world.forms())[1]
    assert (form["reason_code"], form["deal_op_type"]) == ("1001", "5")


async def test_thin_pushes_hold_no_goods(world):
    world.market.dials["meituan"].pushes_thin = True
    world.order()
    [form] = await world.forms()
    assert {"order_id", "status"} < form.keys()
    assert "detail" not in form


async def test_a_new_address_is_probed_without_an_order(world):
    world.market.platforms["meituan"].tick(world.market)
    world.market.platforms["meituan"].tick(world.market)
    [form] = await world.forms()
    assert form.keys() == {"app_id", "timestamp", "sig"}


async def test_only_the_documented_answer_counts(world):
    world.answer = httpx.Response(200, json={"data": "OK"})
    world.order()
    await world.forms()
    assert [sent.outcome for sent in world.market.pushes.sent] == ["refused"]
