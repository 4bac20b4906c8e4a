"""Orders, refunds, shipments and stock over the gateway."""

import pytest

from simulators.market import Want
from simulators.model import RefundStatus, Status

SHIPPED = {"company_code": "shunfeng", "logistics_code": "SF1"}


async def test_an_order_is_written_in_douyins_way(world):
    listing = next(iter(world.shop.listings.values()))
    wants = [Want(listing, 3, merchant_discount_fen=70, platform_discount_fen=30)]
    order = world.market.place(world.shop, wants, world.order().receiver, shipping_fee_fen=800, note="快点")
    world.market.pay(world.shop, order)
    found = (await world.found("/order/orderDetail", {"shop_order_id": order.order_id}))["shop_order_detail"]
    assert (found["order_id"], found["shop_id"]) == (order.order_id, int(world.shop.seller_id))
    assert int(order.order_id) > 2**53
    assert (found["order_status"], found["pay_amount"], found["post_amount"]) == (2, 3 * 1990 - 100 + 800, 800)
    assert found["order_amount"] - found["promotion_amount"] == found["pay_amount"]
    [line] = found["sku_order_list"]
    assert (line["code"], line["item_num"], line["origin_amount"]) == ("A1", 3, 1990)
    assert (line["promotion_shop_amount"], line["promotion_platform_amount"]) == (70, 30)
    assert line["order_id"] == order.order_id  # the first line has its order's id
    assert isinstance(line["sku_id"], int)
    assert found["buyer_words"] == "快点"


async def test_receivers_are_encrypted_and_only_the_platform_decrypts(world):
    order = world.order()
    detail = {"shop_order_id": order.order_id}
    found = (await world.found("/order/orderDetail", detail))["shop_order_detail"]
    assert found["post_receiver"] == found["post_tel"] == ""
    assert found["mask_post_receiver"] == "张**"
    assert found["post_addr"]["town"]["name"] == "南山区"
    assert "科技路" not in str(found)
    cipher = [
        {"auth_id": order.order_id, "cipher_text": found["encrypt_post_tel"]},
        {"auth_id": "1", "cipher_text": "x"},
    ]
    good, bad = (await world.found("/order/batchDecrypt", {"cipher_infos": cipher}))["decrypt_infos"]
    assert good["decrypt_text"] == "13812345678"
    assert bad["err_no"] != 0
    world.market.dials["douyin"].receivers = "clear"
    found = (await world.found("/order/orderDetail", detail))["shop_order_detail"]
    assert found["post_receiver"] == "张三丰"


async def test_unknown_orders_are_refused(world):
    assert (await world.refused("/order/orderDetail", {"shop_order_id": "1"}))[0] == 50002
    assert await world.refused("/order/orderDetail", {}) == (40002, "isv.parameter-missing")


async def test_pages_are_counted_and_sorted(world):
    ids = []
    for _ in range(5):
        ids.append(world.order(1).order_id)
        world.market.clock.advance(10)
    now_s = int(world.market.clock.now_s())
    asked = {"update_time_start": now_s - 100, "update_time_end": now_s, "size": 2, "order_by": "update_time"}
    pages = [await world.found("/order/searchList", {**asked, "page": n, "order_asc": True}) for n in range(4)]
    assert [page["total"] for page in pages] == [5, 5, 5, 5]
    assert [o["order_id"] for page in pages for o in page["shop_order_list"]] == ids
    newest = await world.found("/order/searchList", {**asked, "page": 0})
    assert newest["shop_order_list"][0]["order_id"] == ids[-1]
    paid = await world.found("/order/searchList", {"page": 0, "size": 9, "combine_status": [{"order_status": "1,4"}]})
    assert paid["total"] == 0


async def test_a_page_shift_hides_rows_from_who_reads_newest_first(world):
    world.market.dials["douyin"].page_shift_rows = 2
    ids = set()
    for _ in range(6):
        ids.add(world.order(1).order_id)
        world.market.clock.advance(10)
    now_s = int(world.market.clock.now_s())
    world.market.clock.advance(60)
    asked = {"update_time_start": now_s - 100, "update_time_end": now_s, "size": 2, "order_by": "update_time"}
    seen = set()
    for page in range(3):
        found = await world.found("/order/searchList", {**asked, "page": page})
        seen |= {order["order_id"] for order in found["shop_order_list"]}
    assert seen < ids


@pytest.mark.parametrize("asked", [{"size": 101, "page": 0}, {"size": 10, "page": -1}, {"size": 0, "page": 0}])
async def test_pages_have_limits(world, asked):
    assert (await world.refused("/order/searchList", asked))[0] == 40004


async def test_windows_have_limits(world):
    asked = {"size": 10, "page": 0, "update_time_start": 1, "update_time_end": 1_700_000_000}
    assert (await world.refused("/order/searchList", asked))[0] == 40004
    world.market.dials["douyin"].windows_enforced = False
    await world.found("/order/searchList", asked)


async def test_lists_may_lag_behind_details(world):
    order = world.order()
    world.market.dials["douyin"].list_lag_s = 60
    asked = {"size": 10, "page": 0, "update_time_start": 1_699_999_000}
    assert (await world.found("/order/searchList", asked))["total"] == 0
    await world.found("/order/orderDetail", {"shop_order_id": order.order_id})
    world.market.clock.advance(61)
    assert (await world.found("/order/searchList", asked))["total"] == 1


async def test_refunds_are_listed_with_text_ids_and_detailed_with_numbers(world):
    order = world.order()
    refund = world.market.ask_refund(world.shop, order)
    [row] = (await world.found("/afterSale/List", {"page": 0, "size": 10}))["items"]
    assert row["aftersale_info"]["aftersale_id"] == refund.refund_id
    assert (row["aftersale_info"]["aftersale_status"], row["aftersale_info"]["aftersale_type"]) == (6, 2)
    assert row["aftersale_info"]["refund_amount"] == order.total_fen
    detail = await world.found("/afterSale/Detail", {"after_sale_id": refund.refund_id})
    assert detail["process_info"]["after_sale_info"]["after_sale_id"] == int(refund.refund_id)
    assert detail["order_info"]["shop_order_id"] == int(order.order_id)
    world.market.settle_refund(world.shop, refund, RefundStatus.SUCCEEDED)
    found = (await world.found("/order/orderDetail", {"shop_order_id": order.order_id}))["shop_order_detail"]
    assert (found["order_status"], found["main_status"]) == (4, 21)


async def test_one_parcel_ships_an_order_and_a_repeat_is_an_error(world):
    order = world.order()
    asked = {"order_id": order.order_id, **SHIPPED}
    await world.found("/order/logisticsAdd", asked)
    assert order.status is Status.SHIPPED
    assert (await world.refused("/order/logisticsAdd", asked))[0] == 50002
    world.market.clock.advance(1)
    await world.found("/order/logisticsEdit", {**asked, "logistics_code": "SF2"})
    found = (await world.found("/order/orderDetail", {"shop_order_id": order.order_id}))["shop_order_detail"]
    assert [parcel["tracking_no"] for parcel in found["logistics_info"]] == ["SF2"]


async def test_unpaid_orders_do_not_ship(world):
    order = world.order(pay=False)
    assert (await world.refused("/order/logisticsAdd", {"order_id": order.order_id, **SHIPPED}))[0] == 50002


async def test_several_parcels_are_taken_once_per_request(world):
    order = world.order(2)
    first, second = order.lines

    def pack(waybill, line, count):
        info = [{"shipped_order_id": line.line_id, "shipped_num": count}]
        return {"company_code": "zhongtong", "logistics_code": waybill, "shipped_order_info": info}

    path, asked = "/order/logisticsAddMultiPack", {"order_id": order.order_id, "request_id": "r1"}
    asked["pack_list"] = [pack("Z1", first, 2), pack("Z2", second, 1)]
    answer = await world.found(path, asked)
    assert order.status is Status.PART_SHIPPED
    assert await world.found(path, asked) == answer
    assert len(order.uploads) == 2
    wrong = {**asked, "request_id": "r2", "pack_list": [pack("Z3", second, 2)]}
    assert (await world.refused(path, wrong))[0] == 50002
    await world.found(path, {**wrong, "pack_list": [pack("Z3", second, 1)]})
    assert order.status is Status.SHIPPED
    found = (await world.found("/order/orderDetail", {"shop_order_id": order.order_id}))["shop_order_detail"]
    assert [len(parcel["product_info"]) for parcel in found["logistics_info"]] == [1, 1, 1]
    assert (await world.refused(path, {"order_id": order.order_id, "pack_list": []}))[0] == 40002


async def test_one_parcel_of_several_gets_another_waybill(world):
    order = world.order(2)
    packs = [
        {
            "company_code": "zhongtong",
            "logistics_code": f"Z{n}",
            "shipped_order_info": [{"shipped_order_id": line.line_id, "shipped_num": line.quantity}],
        }
        for n, line in enumerate(order.lines)
    ]
    asked = {"order_id": order.order_id, "request_id": "r1", "pack_list": packs}
    [first, _] = (await world.found("/order/logisticsAddMultiPack", asked))["pack_list"]
    edit = {"order_id": order.order_id, "pack_id": first["pack_id"], **SHIPPED}
    await world.found("/order/logisticsEditByPack", edit)
    found = (await world.found("/order/orderDetail", {"shop_order_id": order.order_id}))["shop_order_detail"]
    assert [parcel["tracking_no"] for parcel in found["logistics_info"]] == ["SF1", "Z1"]
    assert (await world.refused("/order/logisticsEditByPack", {**edit, "pack_id": "0"}))[0] == 50002
    assert (await world.refused("/order/logisticsEditByPack", {**edit, "logistics_code": "Z1"}))[0] == 50002


async def test_what_was_forgotten_is_not_remembered_by_its_request(world):
    order = world.order(1)
    world.market.dials["douyin"].uploads_forgotten_percent = 100
    info = [{"shipped_order_id": line.line_id, "shipped_num": 1} for line in order.lines]
    pack = {"company_code": "zhongtong", "logistics_code": "Z1", "shipped_order_info": info}
    asked = {"order_id": order.order_id, "request_id": "r1", "pack_list": [pack]}
    await world.found("/order/logisticsAddMultiPack", asked)
    assert order.status is Status.PAID
    world.market.dials["douyin"].uploads_forgotten_percent = 0
    await world.found("/order/logisticsAddMultiPack", asked)
    assert order.status is Status.SHIPPED


async def test_an_open_refund_stops_a_shipment_unless_it_is_rejected(world):
    order = world.order()
    refund = world.market.ask_refund(world.shop, order, amount_fen=100)
    asked = {"order_id": order.order_id, **SHIPPED}
    assert (await world.refused("/order/logisticsAdd", asked))[0] == 50002
    await world.found("/order/logisticsAdd", {**asked, "is_reject_refund": True})
    assert refund.status is RefundStatus.CLOSED


async def test_increments_need_a_key_and_happen_once(world):
    asked = {"sku_id": 1700000001, "stock_num": -3, "incremental": True}
    assert await world.refused("/sku/syncStock", asked) == (40002, "isv.parameter-missing")
    asked["idempotent_id"] = "k1"
    await world.found("/sku/syncStock", asked)
    assert await world.refused("/sku/syncStock", asked) == (40003, "isv.idempotent-id-existed")
    assert (await world.found("/sku/stockNum", {"code": "A1"}))["stock_num"] == 97
    await world.http.patch("/douyin/dials", json={"repeat_of_increment_is_error": False})
    await world.found("/sku/syncStock", asked)
    assert (await world.found("/sku/stockNum", {"code": "A1"}))["stock_num"] == 97


async def test_stock_is_set_alone_or_in_batches(world):
    await world.found("/sku/syncStock", {"code": "A1", "stock_num": 8, "incremental": False})
    assert (await world.refused("/sku/syncStock", {"code": "A1", "stock_num": -1}))[0] == 40004
    less = {"code": "A1", "stock_num": -9, "incremental": True, "idempotent_id": "k2"}
    assert (await world.refused("/sku/syncStock", less))[0] == 50002
    batch = {"product_id": 3600000002, "sku_sync_list": [{"sku_id": 1700000002, "stock_num": 7}]}
    await world.found("/sku/syncStockBatch", batch)
    assert [listing.stock for listing in world.shop.listings.values()] == [8, 7]
    assert (await world.refused("/sku/syncStock", {"sku_id": 1, "stock_num": 1}))[0] == 50002
    world.market.dials["douyin"].stock_forgotten_percent = 100
    await world.found("/sku/syncStock", {"code": "A1", "stock_num": 1})
    assert (await world.found("/sku/stockNum", {"code": "A1"}))["stock_num"] == 8


async def test_the_books_count_calls(world):
    order = world.order()
    for _ in range(2):
        await world.call("/order/orderDetail", {"shop_order_id": order.order_id})
    await world.call("/order/orderDetail", {"shop_order_id": order.order_id}, access_token="unknown")
    await world.call("/no/such")
    assert world.shop.calls == {"order.orderDetail": 2}
