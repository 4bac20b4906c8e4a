"""Signed calls: what is refused, orders, day numbers, confirming in time, delivery, refunds, stock."""

import json

import pytest

from simulators.market import Want
from simulators.model import RefundStatus, Status


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"app_id": ""}, 701),
        ({"sig": ""}, 701),
        ({"app_id": "1"}, 702),
        ({"sig": "0" * 32}, 703),
        ({"order_id": "2"}, 703),
    ],
)
async def test_what_is_wrong_is_named(world, given, code):
    assert await world.refused("order/getOrderDetail", given=given, order_id=1) == code


async def test_other_refusals(world):
    assert await world.refused("order/getOrderDetail", order_id=1) == 806
    assert await world.refused("order/getOrderDetail", timestamp=1, order_id=1) == 705
    assert await world.refused("order/getOrderDetail", timestamp="now", order_id=1) == 705
    assert await world.refused("order/nothing") == 708
    assert await world.refused("order/getOrderDaySeq", app_poi_code="x") == 803
    other = world.market.create_shop("meituan")
    assert await world.refused("order/getOrderDaySeq", app_poi_code=other.seller_id) == 704
    world.market.dials["meituan"].busy_percent = 100
    assert await world.refused("order/getOrderDetail", order_id=1) == 711


async def test_an_order_is_written_in_meituans_way(world):
    tea = world.shop.listings["spu1", "m1"]
    wants = [Want(tea, 2, merchant_discount_fen=200, platform_discount_fen=100)]
    order = world.market.place(world.shop, wants, world.order().receiver, shipping_fee_fen=350, note="少冰")
    world.market.pay(world.shop, order)
    found = await world.found("order/getOrderDetail", order_id=order.order_id)
    assert found["order_id"] == int(order.order_id) > 2**53
    assert (found["total"], found["original_price"], found["shipping_fee"]) == (35.5, 38.5, 3.5)
    assert (found["status"], found["day_seq"], found["caution"]) == (2, 2, "少冰")
    [goods] = json.loads(found["detail"])
    assert (goods["app_food_code"], goods["sku_id"], goods["quantity"], goods["price"]) == ("spu1", "A1", 2, 17.5)
    [extra] = json.loads(found["extras"])
    assert (extra["reduce_fee"], extra["mt_charge"], extra["poi_charge"]) == (3.0, 1.0, 2.0)
    assert found["recipient_address"] == "望京东路6号@#北京市北京市朝阳区望京东路6号"
    assert "13912345678" not in json.dumps(found)


@pytest.mark.parametrize(("shown", "phone"), [("clear", "13912345678"), ("masked", "139*****678")])
async def test_receivers_follow_the_dial(world, shown, phone):
    world.market.dials["meituan"].receivers = shown
    order = world.order()
    assert (await world.found("order/getOrderDetail", order_id=order.order_id))["recipient_phone"] == phone


async def test_day_numbers_tell_what_is_missing(world):
    poi = world.shop.seller_id
    assert (await world.found("order/getOrderDaySeq", app_poi_code=poi)) == {"result": "ok", "day_seq": 0}
    world.order(pay=False)
    orders = [world.order() for _ in range(3)]
    assert (await world.found("order/getOrderDaySeq", app_poi_code=poi))["day_seq"] == 3
    asked = {"app_poi_code": poi, "date_time": 20231115}
    second = await world.found("order/getOrderIdByDaySeq", day_seq=2, **asked)
    assert second["order_id"] == int(orders[1].order_id)
    assert await world.refused("order/getOrderIdByDaySeq", day_seq=4, **asked) == 806
    both = await world.found("ecommerce/order/getOrderIdByDaySeq", day_seq_start=2, day_seq_end=9, **asked)
    assert both["order_ids"] == [int(order.order_id) for order in orders[1:]]
    world.market.clock.advance(24 * 3600)
    assert (await world.found("order/getOrderDaySeq", app_poi_code=poi))["day_seq"] == 0
    assert await world.refused("order/getOrderIdByDaySeq", app_poi_code=poi, date_time=99, day_seq=1) == 705


async def test_who_confirms_in_time_keeps_the_order(world):
    kept, lost = world.order(), world.order()
    world.market.clock.advance(14 * 60)
    assert await world.found("order/confirm", order_id=kept.order_id) == "ok"
    assert await world.refused("order/confirm", order_id=kept.order_id) == 808
    world.market.platforms["meituan"].tick(world.market)
    assert lost.status is Status.PAID
    world.market.clock.advance(61)
    world.market.platforms["meituan"].tick(world.market)
    assert (kept.status, lost.status, lost.close_reason) == (Status.PAID, Status.CLOSED, "timeout")
    assert await world.refused("order/confirm", order_id=lost.order_id) == 808
    assert (await world.found("order/viewstatus", order_id=lost.order_id))["status"] == 9
    assert (await world.found("order/viewstatus", order_id=kept.order_id))["status"] == 4


async def test_the_limit_is_a_dial(world):
    await world.http.patch("/meituan/dials", json={"accept_limit_s": 0, "repeat_of_confirm_is_error": False})
    order = world.order()
    world.market.clock.advance(10**6)
    world.market.platforms["meituan"].tick(world.market)
    assert await world.found("order/confirm", order_id=order.order_id) == "ok"
    assert await world.found("order/confirm", order_id=order.order_id) == "ok"


async def test_a_waybill_is_synced_and_corrected(world):
    order = world.order()
    asked = {"order_id": order.order_id, "third_carrier_order_id": "SF1", "logistics_provider_code": 10001}
    sync = "ecommerce/order/logistics/sync"
    assert await world.refused(sync, "POST", **asked) == 808
    await world.found("order/confirm", order_id=order.order_id)
    await world.found("order/preparationMealComplete", order_id=order.order_id)
    await world.found(sync, "POST", **asked, logistics_status=10)
    assert order.status is Status.PAID
    await world.found(sync, "POST", **asked)
    await world.found(sync, "POST", **asked, logistics_status=20)
    assert [upload.kind for upload in order.uploads] == ["first", "repeated"]
    await world.found(sync, "POST", **{**asked, "third_carrier_order_id": "SF2"}, logistics_status=40)
    assert (order.uploads[-1].kind, order.status) == ("corrected", Status.DONE)
    assert await world.refused(sync, "POST", **asked, logistics_status=7) == 705
    assert await world.refused("order/cancel", order_id=order.order_id) == 1022


async def test_ones_own_courier(world):
    order = world.order(accept=True)
    await world.found("order/delivering", order_id=order.order_id)
    assert order.status is Status.SHIPPED
    assert await world.refused("order/cancel", order_id=order.order_id) == 808
    await world.found("order/arrived", order_id=order.order_id)
    assert order.status is Status.DONE


async def test_a_shop_cancels(world):
    order = world.order()
    await world.found("order/cancel", order_id=order.order_id, reason="缺货", reason_code=2009)
    assert order.status is Status.CLOSED


async def test_refunds_are_agreed_to_or_rejected(world):
    order = world.order(accept=True)
    refund = world.market.ask_refund(world.shop, order)
    assert await world.refused("order/refund/reject", order_id=order.order_id) == 701
    await world.found("order/refund/reject", order_id=order.order_id, reason="已做好")
    assert refund.status is RefundStatus.CLOSED
    part = world.market.ask_refund(world.shop, order, line_id=order.lines[0].line_id)
    [whole, partial] = await world.found("ecommerce/order/getOrderRefundDetail", wm_order_id_view=order.order_id)
    assert (whole["refund_type"], whole["res_type"], whole["money"]) == (1, 1, order.total_fen / 100)
    assert (partial["refund_type"], partial["refund_id"]) == (2, int(part.refund_id))
    assert partial["wmAppRetailForOrderPartRefundList"][0]["sku_id"] == "A1"
    asked = {"wm_order_id_view": order.order_id, "refund_type": 2}
    assert len(await world.found("ecommerce/order/getOrderRefundDetail", **asked)) == 1
    await world.found("order/refund/agree", order_id=order.order_id, reason="好")
    assert part.status is RefundStatus.SUCCEEDED
    assert await world.refused("order/refund/agree", order_id=order.order_id) == 808


async def test_stock_is_set_and_read(world):
    poi = world.shop.seller_id

    async def told(products):
        return await world.call("retail/sku/stock", "POST", app_poi_code=poi, food_data=json.dumps(products))

    both = [
        {"app_spu_code": "spu1", "skus": [{"sku_id": "A1", "stock": "7"}]},
        {"app_food_code": "spu2", "skus": [{"sku_id": "m2", "stock": 8}]},
    ]
    assert await told(both) == {"data": "ok"}
    assert [listing.stock for listing in world.shop.listings.values()] == [7, 8]
    some = await told([*both, {"app_spu_code": "spu1", "skus": [{"sku_id": "no", "stock": 1}]}])
    assert (some["data"], json.loads(some["msg"])[0]["sku_id"]) == ("ok", "no")
    assert (await told([{"app_spu_code": "no", "skus": [{"sku_id": "no", "stock": 1}]}]))["error"]["code"] == 805
    for wrong in (
        [],
        {},
        [{"app_spu_code": "spu1"}],
        [{"app_spu_code": "spu1", "skus": [{"sku_id": "A1", "stock": -1}]}],
    ):
        assert (await told(wrong))["error"]["code"] == 705
    read = await world.found("retail/get", app_poi_code=poi, app_food_code="spu1")
    assert json.loads(read["skus"])[0] == {"sku_id": "A1", "stock": "7", "price": "17.50"}
    assert await world.refused("retail/get", app_poi_code=poi, app_food_code="no") == 805


async def test_the_books_count_calls(world):
    order = world.order()
    for _ in range(2):
        await world.call("order/viewstatus", order_id=order.order_id)
    await world.call("retail/get", app_poi_code=world.shop.seller_id, app_food_code="spu1")
    await world.call("retail/get", app_poi_code="nobody", app_food_code="spu1")
    await world.call("no/such", app_poi_code=world.shop.seller_id)
    assert world.shop.calls == {"order/viewstatus": 2, "retail/get": 1}


async def test_its_own_dials_have_ends(world):
    for value in (b"NaN", b"-1", b"1e300", b"Infinity"):
        answer = await world.http.patch("/meituan/dials", content=b'{"accept_limit_s": ' + value + b"}")
        assert answer.status_code == 422
    assert (await world.http.get("/meituan/dials")).json()["accept_limit_s"] == 900
