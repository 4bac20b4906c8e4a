"""The mini-program's shipping report: a minute of ignorance, fifteen parcels, one chance to replace them."""

import pytest

from simulators.model import Status

UPLOAD, GET = "wxa/sec/order/upload_shipping_info", "wxa/sec/order/get_order"


async def payment(world, order):
    found = await world.found("channels/ec/order/get", order_id=order.order_id)
    return found["order"]["order_detail"]["pay_info"]["transaction_id"]


async def report(world, order, *waybills, **other):
    """Return the parameters of a report: whole with one waybill, split with several."""
    parcels = [{"tracking_no": w, "express_company": "SF", "item_desc": "茶"} for w in waybills]
    split = {"delivery_mode": 2, "is_all_delivered": True} if len(waybills) > 1 else {"delivery_mode": 1}
    return {
        "order_key": {"order_number_type": 2, "transaction_id": await payment(world, order)},
        "logistics_type": 1,
        "shipping_list": parcels,
        "upload_time": "2023-11-15T06:15:00.000+08:00",
        "payer": {"openid": order.buyer_id},
        **split,
        **other,
    }


@pytest.fixture
async def order(world):
    made = world.order()
    world.market.clock.advance(61)
    return made


async def test_a_young_payment_is_not_known_yet(world):
    order = world.order()
    asked = await report(world, order, "W1")
    assert await world.refused(UPLOAD, **asked) == 10060001
    world.market.clock.advance(59)
    assert await world.refused(UPLOAD, **asked) == 10060001
    world.market.clock.advance(2)
    await world.found(UPLOAD, **asked)
    assert order.status is Status.SHIPPED
    other = world.order()
    await world.http.patch("/wechat/dials", json={"payment_unknown_s": 0})
    await world.found(UPLOAD, **await report(world, other, "W2"))


async def test_one_chance_to_ship_again(world, order):
    await world.found(UPLOAD, **await report(world, order, "W1"))
    assert await world.refused(UPLOAD, **await report(world, order, "W1")) == 10060023
    await world.found(UPLOAD, **await report(world, order, "W2"))
    assert await world.refused(UPLOAD, **await report(world, order, "W3")) == 10060003
    found = (await world.found(GET, transaction_id=await payment(world, order)))["order"]
    assert (found["order_state"], found["shipping"]["finish_shipping_count"]) == (2, 2)
    assert [each["tracking_no"] for each in found["shipping"]["shipping_list"]] == ["W2"]
    assert [upload.kind for upload in order.uploads] == ["first", "corrected"]


async def test_parcels_add_up_to_fifteen(world, order):
    first = [f"W{n}" for n in range(10)]
    await world.found(UPLOAD, **await report(world, order, *first, is_all_delivered=False))
    assert order.status is Status.PART_SHIPPED
    same = await report(world, order, *first, is_all_delivered=False)
    assert await world.refused(UPLOAD, **same) == 10060023
    more = [f"V{n}" for n in range(6)]
    assert await world.refused(UPLOAD, **await report(world, order, *more, is_all_delivered=False)) == 10060024
    await world.found(UPLOAD, **await report(world, order, *more[:5]))
    assert order.status is Status.SHIPPED
    assert len(order.uploads) == 15
    sixteen = [f"U{n}" for n in range(16)]
    assert await world.refused(UPLOAD, **await report(world, order, *sixteen)) == 10060024


async def test_the_end_may_be_told_without_another_parcel(world, order):
    await world.found(UPLOAD, **await report(world, order, "W1", "W2", is_all_delivered=False))
    await world.found(UPLOAD, **await report(world, order, "W1", "W2"))
    assert order.status is Status.SHIPPED


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"order_key": {"order_number_type": 3}}, 268485194),
        ({"order_key": {"order_number_type": 2}}, 268485195),
        ({"order_key": {"order_number_type": 2, "transaction_id": "42"}}, 10060001),
        ({"delivery_mode": 3}, 268485224),
        ({"logistics_type": 9}, 10060005),
        ({"delivery_mode": 2, "logistics_type": 4, "is_all_delivered": True}, 10060006),
        ({"delivery_mode": 2}, 10060007),
        ({"shipping_list": []}, 10060014),
        ({"shipping_list": [{"tracking_no": "W", "express_company": "SF"}]}, 10060008),
        ({"shipping_list": [{"tracking_no": "W", "express_company": "SF", "item_desc": "茶" * 121}]}, 10060009),
        ({"shipping_list": [{"express_company": "SF", "item_desc": "茶"}]}, 10060014),
        ({"upload_time": "2023-11-15 06:15:00"}, 268485216),
        ({"upload_time": "today"}, 268485216),
        ({"payer": {"openid": "other"}}, 10060031),
    ],
)
async def test_what_is_wrong_is_named(world, order, wrong, code):
    assert await world.refused(UPLOAD, **await report(world, order, "W1", **wrong)) == code


async def test_a_merchants_own_number_is_known_too(world, order):
    key = {"order_number_type": 1, "mchid": "1900000109", "out_trade_no": order.order_id}
    await world.found(UPLOAD, **await report(world, order, "W1", order_key=key))
    found = await world.found("wxa/sec/order/get_order_list", page_size=10)
    assert [each["merchant_trade_no"] for each in found["order_list"]] == [order.order_id]
    assert found["has_more"] is False


async def test_a_closed_order_can_not_be_shipped(world, order):
    world.market.cancel(world.shop, order)
    assert await world.refused(UPLOAD, **await report(world, order, "W1")) == 10060004


async def test_a_platform_may_forget(world, order):
    world.market.dials["wechat"].uploads_forgotten_percent = 100
    await world.found(UPLOAD, **await report(world, order, "W1"))
    assert (await world.found(GET, transaction_id=await payment(world, order)))["order"]["order_state"] == 1
    world.market.dials["wechat"].uploads_forgotten_percent = 0
    await world.found(UPLOAD, **await report(world, order, "W1"))
    assert order.status is Status.SHIPPED
