"""Orders, refunds, deliveries and stock of the shop."""

from simulators.market import Want
from simulators.model import RefundStatus, Status

LIST, GET = "channels/ec/order/list/get", "channels/ec/order/get"
SEND, UPDATE = "channels/ec/order/delivery/send", "channels/ec/order/deliveryinfo/update"
STOCK, READ = "channels/ec/product/stock/update", "channels/ec/product/stock/get"


def parcel(waybill, *goods):
    infos = [{"product_id": product, "sku_id": sku, "product_cnt": count} for product, sku, count in goods]
    return {"deliver_type": 1, "delivery_id": "SF", "waybill_id": waybill, "product_infos": infos}


async def walk(world, asked, limit=20):
    """Return the ids of all pages."""
    found, key = [], ""
    for _page in range(limit):
        page = await world.found(LIST, **asked, next_key=key)
        found.append(page["order_id_list"])
        key = page["next_key"]
        if not page["has_more"]:
            return found
    raise AssertionError("the pages have no end")


async def test_orders_are_listed_by_key_and_no_page_shift_hides_one(world):
    ids = []
    for _ in range(5):
        ids.append(world.order(1).order_id)
        world.market.clock.advance(10)
    now_s = int(world.market.clock.now_s())
    world.market.clock.advance(60)
    asked = {"update_time_range": {"start_time": now_s - 100, "end_time": now_s}, "page_size": 2}
    assert [len(page) for page in await walk(world, asked)] == [2, 2, 1]
    world.market.dials["wechat"].page_shift_rows = 1
    seen = [order_id for page in await walk(world, asked) for order_id in page]
    assert set(seen) == set(ids)
    created = {"create_time_range": {"start_time": now_s - 100, "end_time": now_s}, "page_size": 2, "status": 20}
    assert [i for page in await walk(world, created) for i in page] == ids[::-1]


async def test_windows_and_pages_have_limits(world):
    week = {"start_time": 1_700_000_000 - 8 * 24 * 3600, "end_time": 1_700_000_000}
    assert await world.refused(LIST, update_time_range=week) == 40097
    world.market.dials["wechat"].windows_enforced = False
    await world.found(LIST, update_time_range=week)
    assert await world.refused(LIST, update_time_range=week, page_size=101) == 40097
    assert await world.refused(LIST, update_time_range=week, next_key="x") == 40097
    assert await world.refused(LIST) == 40097
    assert await world.refused(LIST, update_time_range={"start_time": 2, "end_time": 1}) == 40097


async def test_an_order_is_written_in_wechats_way(world):
    tea = world.shop.listings["1001", "2001"]
    wants = [Want(tea, 2, merchant_discount_fen=80)]
    order = world.market.place(world.shop, wants, world.order().receiver, shipping_fee_fen=600, note="谢谢")
    world.market.pay(world.shop, order)
    found = (await world.found(GET, order_id=order.order_id))["order"]
    assert int(order.order_id) > 2**53
    assert (found["order_id"], found["status"], found["openid"]) == (order.order_id, 20, order.buyer_id)
    price = found["order_detail"]["price_info"]
    assert (price["order_price"], price["freight"], price["discounted_price"]) == (2 * 1990 - 80 + 600, 600, 80)
    [goods] = found["order_detail"]["product_infos"]
    assert (goods["sku_code"], goods["sku_cnt"], goods["sale_price"], goods["real_price"]) == ("A1", 2, 1990, 3900)
    place = found["order_detail"]["delivery_info"]["address_info"]
    assert (place["user_name"], place["tel_number"], place["county_name"]) == ("王**", "137****5678", "西湖区")
    clear = await world.found("channels/ec/order/sensitiveinfo/decode", order_id=order.order_id)
    assert clear["address_info"]["tel_number"] == "13712345678"
    assert await world.refused(GET, order_id="1") == 100002
    assert await world.refused(GET) == 40097


async def test_parcels_name_their_goods(world):
    order = world.order(2)
    first, second = ("1001", "2001"), ("1002", "2002")
    too_many = parcel("W0", (*first, 3))
    assert await world.refused(SEND, order_id=order.order_id, delivery_list=[too_many]) == 100013
    await world.found(SEND, order_id=order.order_id, delivery_list=[parcel("W1", (*first, 2), (*second, 1))])
    assert (await world.found(GET, order_id=order.order_id))["order"]["status"] == 21
    await world.found(SEND, order_id=int(order.order_id), delivery_list=[parcel("W2", (*second, 1))])
    detail = (await world.found(GET, order_id=order.order_id))["order"]
    sent = detail["order_detail"]["delivery_info"]["delivery_product_info"]
    assert (detail["status"], [each["waybill_id"] for each in sent]) == (30, ["W1", "W2"])
    again = parcel("W2", (*second, 1))
    assert await world.refused(SEND, order_id=order.order_id, delivery_list=[again]) == 100013
    change = [{"deliver_type": 1, "delivery_id": "SF", "waybill_id": "W3"}]
    assert await world.refused(UPDATE, order_id=order.order_id, delivery_list=change) == 100013


async def test_two_lines_of_one_sku_share_a_parcel(world):
    tea = world.shop.listings["1001", "2001"]
    order = world.market.place(world.shop, [Want(tea, 1), Want(tea, 2)], world.order().receiver)
    world.market.pay(world.shop, order)
    await world.found(SEND, order_id=order.order_id, delivery_list=[parcel("W1", ("1001", "2001", 3))])
    assert [line.shipped for line in order.lines] == [1, 2]


async def test_one_parcel_may_be_corrected_once(world):
    order = world.order(1)
    await world.found(
        SEND, order_id=order.order_id, delivery_list=[parcel("W1", ("1001", "2001", 1), ("1002", "2002", 1))]
    )
    change = [{"deliver_type": 1, "delivery_id": "YTO", "waybill_id": "W2"}]
    await world.found(UPDATE, order_id=order.order_id, delivery_list=change)
    change[0]["waybill_id"] = "W3"
    assert await world.refused(UPDATE, order_id=order.order_id, delivery_list=change) == 100013
    detail = (await world.found(GET, order_id=order.order_id))["order"]["order_detail"]
    assert [each["waybill_id"] for each in detail["delivery_info"]["delivery_product_info"]] == ["W2"]


async def test_refunds_are_listed_within_a_day(world):
    order = world.order()
    refund = world.market.ask_refund(world.shop, order, line_id=order.lines[1].line_id)
    world.market.clock.advance(1)
    now_s = int(world.market.clock.now_s()) + 1
    path = "channels/ec/aftersale/getaftersalelist"
    for kind in ("create", "update"):
        window = {f"begin_{kind}_time": now_s - 1000, f"end_{kind}_time": now_s}
        assert (await world.found(path, **window))["after_sale_order_id_list"] == [refund.refund_id]
        window[f"begin_{kind}_time"] = now_s - 25 * 3600
        assert await world.refused(path, **window) == 40097
    one = "channels/ec/aftersale/getaftersaleorder"
    found = (await world.found(one, after_sale_order_id=refund.refund_id))["after_sale_order"]
    assert (found["status"], found["refund_info"]["amount"]) == ("MERCHANT_PROCESSING", refund.amount_fen)
    assert found["product_info"]["sku_id"] == "2002"
    world.market.settle_refund(world.shop, refund, RefundStatus.CLOSED)
    found = (await world.found(one, after_sale_order_id=refund.refund_id))["after_sale_order"]
    assert found["status"] == "USER_CANCELD"
    assert await world.refused(one, after_sale_order_id="1") == 100002


async def test_a_whole_refund_ends_in_its_own_status(world):
    order = world.order()
    world.market.settle_refund(world.shop, world.market.ask_refund(world.shop, order), RefundStatus.SUCCEEDED)
    assert order.status is Status.CLOSED
    assert (await world.found(GET, order_id=order.order_id))["order"]["status"] == 200


async def test_stock_is_added_taken_and_set(world):
    sku = {"product_id": "1001", "sku_id": "2001"}
    await world.found(STOCK, **sku, diff_type=1, num=5)
    await world.found(STOCK, **sku, diff_type=2, num=15)
    assert (await world.found(READ, **sku))["data"]["normal_stock_num"] == 90
    assert await world.refused(STOCK, **sku, diff_type=2, num=91) == 10020054
    assert await world.refused(STOCK, **sku, diff_type=1, num=0) == 10020054
    await world.found(STOCK, **sku, diff_type=3, num=0)
    assert (await world.found(READ, **sku))["data"]["total_stock_num"] == 0
    assert await world.refused(STOCK, product_id="1", sku_id="2001", diff_type=3, num=0) == 10020052
    assert await world.refused(STOCK, **sku, diff_type=4, num=0) == 40097
    await world.http.patch("/wechat/dials", json={"stock_busy_percent": 100})
    assert await world.refused(STOCK, **sku, diff_type=3, num=1) == 10020112


async def test_the_books_count_calls(world):
    order = world.order()
    for _ in range(2):
        await world.call("channels/ec/order/get", order_id=order.order_id)
    await world.call("channels/ec/order/get", order_id=order.order_id, token="unknown")
    await world.call("channels/ec/no/such")
    assert world.shop.calls == {"channels/ec/order/get": 2}
