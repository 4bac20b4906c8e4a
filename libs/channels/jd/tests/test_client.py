"""The calls to JOS against a gateway that checks signatures by itself: pages, shipments, stock, suppliers, refusals."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from libs.channels.channel import About, Cure, Parcel, PlatformRefused, StockOrder, Window
from libs.channels.jd import CHANNEL
from libs.channels.jd.supplier import Promised
from libs.channels.jd.tests.gateway import (
    APPLIED,
    GET,
    NOW,
    SEARCH,
    SHIP,
    STAMP,
    STOCK,
    VIEW,
    WINDOW,
    Orders,
    orders_of,
    speaking,
    walked,
)


async def test_pages_go_from_the_last_to_the_first():
    jd, gateway = speaking({SEARCH: Orders(range(1, 251))})
    pages = await walked(jd)
    asked = [each for _, each in gateway.asked]
    assert [each["page"] for each in asked] == ["1", "3", "2", "1"]
    assert [len(page.subjects) for page in pages] == [50, 100, 100]
    assert {subject for page in pages for subject, _ in page.subjects} == {str(n) for n in range(1, 251)}
    assert (asked[1]["start_date"], asked[1]["end_date"]) == ("2026-11-11 11:00:00", "2026-11-11 12:00:00")
    assert (asked[1]["dateType"], asked[1]["sortType"], asked[1]["page_size"]) == (0, 0, "100")
    assert "TRADE_CANCELED" in asked[1]["order_state"]
    assert pages[0].subjects[0][1] == datetime(2026, 11, 11, 3, 59, tzinfo=UTC)


async def test_orders_that_change_again_while_they_are_read_hide_none_of_the_others():
    def again(ids):
        ids.extend(ids[:30])
        del ids[:30]

    def away(ids):
        del ids[:40]

    orders = Orders(range(1, 331), {1: again, 2: away})
    jd, _ = speaking({SEARCH: orders})
    seen = {subject for page in await walked(jd) for subject, _ in page.subjects}
    # Those that moved to the end have a newer time of change: the next window's overlap finds them.
    assert seen >= {str(each) for each in range(1, 331)} - {str(each) for each in range(1, 71)}

    # The same shift does hide others from one who reads forward: the test can fail.
    forward, orders = set(), Orders(range(1, 331), {1: again, 2: away})
    for number in (1, 2, 3, 4):
        found = orders({"page": str(number), "page_size": "100"})["searchorderinfo_result"]["orderInfoList"]
        forward |= {each["orderId"] for each in found}
    assert not forward >= set(range(71, 331))


async def test_orders_that_came_in_after_the_count_are_found_behind_the_last_page():
    orders = Orders(range(1, 101))

    def counted_too_early(asked):
        answer = orders(asked)
        if asked["page_size"] == "1":
            orders.ids.extend(range(101, 151))
        return answer

    jd, gateway = speaking({SEARCH: counted_too_early})
    seen = {subject for page in await walked(jd) for subject, _ in page.subjects}
    assert seen == {str(n) for n in range(1, 151)}
    assert [asked["page"] for _, asked in gateway.asked] == ["1", "1", "2", "1"]


async def test_an_empty_window_the_count_and_no_day_numbers():
    jd, _ = speaking({SEARCH: Orders([])})
    assert [page.subjects for page in await walked(jd)] == [()]
    assert await jd.count(WINDOW) == 0
    assert await jd.day_numbers(NOW.date()) is None
    assert [message async for message in jd.messages()] == []
    await jd.confirm(["1"])


@pytest.mark.parametrize("total", [10_001, 10**12])
async def test_a_window_with_too_many_pages_is_to_be_asked_for_in_pieces(total):
    jd, gateway = speaking({SEARCH: orders_of([], total)})
    with pytest.raises(PlatformRefused) as caught:
        await walked(jd)
    assert caught.value.cure is Cure.SHORTEN
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("length_s", [-1, 0, 7 * 86_400 + 1])
async def test_a_window_that_is_too_long_or_none_is_the_callers_mistake(length_s):
    jd, gateway = speaking({})
    with pytest.raises(ValueError, match="window"):
        await walked(jd, window=Window(NOW - timedelta(seconds=length_s), NOW))
    assert gateway.asked == []


@pytest.mark.parametrize(
    "hostile",
    [
        orders_of([{"modified": STAMP}], 1),
        orders_of("x", 1),
        orders_of([5], 1),
        orders_of([], "many"),
        orders_of([], None),
        {"searchorderinfo_result": []},
        {},
    ],
)
async def test_a_hostile_page_never_passes_as_an_empty_one(hostile):
    jd, _ = speaking({SEARCH: hostile})
    with pytest.raises(PlatformRefused) as caught:
        await walked(jd)
    assert caught.value.cure is Cure.RETRY


def service(number, order_id=287, **bill):
    return {
        "afsRefundId": 1,
        "sameOrderServiceBill": {"serviceId": number, "orderId": order_id, "afsApplyTime": STAMP} | bill,
    }


async def test_services_come_whole():
    found = [service(1), service(2, order_id=None), {"afsRefundId": 3}, service(4)]
    view = {"pageResult": {"success": True, "totalCount": 4, "data": found}}
    nothing = {"queryResult": {"success": True, "totalCount": 0}}
    jd, gateway = speaking({VIEW: view, APPLIED: nothing})
    page, empty = await walked(jd, About.REFUND)
    assert empty.subjects == ()
    assert [subject for subject, _ in page.subjects] == ["287-1", "287-4"]
    assert [document.subject_id for document in page.documents] == ["287-1", "287-4"]
    assert CHANNEL.heard(page.documents[0])[0].refund_id == "1"
    assert gateway.asked[1][1]["applyTimeBegin"] == "2026-11-11 11:00:00"
    assert (await jd.document(About.REFUND, "287-4")).subject_id == "287-4"
    assert gateway.asked[-1][1]["orderId"] == 287
    with pytest.raises(PlatformRefused):
        await jd.document(About.REFUND, "287-9")


async def test_applications_to_cancel_come_whole():
    row = {"id": "17", "orderId": "287", "applyRefundSum": "100", "applyTime": STAMP, "status": 0}
    nothing = {"pageResult": {"success": True, "totalCount": 0}}
    listed = {"queryResult": {"success": True, "totalCount": 1, "result": [row]}}
    jd, gateway = speaking({VIEW: nothing, APPLIED: listed, "jingdong.pop.afs.soa.refundapply.queryById": listed})
    _, page = await walked(jd, About.REFUND)
    assert page.subjects == (("17", datetime(2026, 11, 11, 3, 59, tzinfo=UTC)),)
    assert CHANNEL.heard(page.documents[0])[0].amount == 100
    assert (await jd.document(About.REFUND, "17")).subject_id == "17"
    assert gateway.asked[-1][1] == {"id": 17}
    with pytest.raises(PlatformRefused):
        await jd.document(About.REFUND, "18")


def detail_of(**fields):
    return {
        "orderDetailInfo": {
            "apiResult": {"success": "true"},
            "orderInfo": {"orderId": "287", "modified": STAMP} | fields,
        }
    }


async def test_details():
    jd, gateway = speaking({GET: detail_of()})
    document = await jd.document(About.ORDER, "287")
    assert document.modified_at == datetime(2026, 11, 11, 3, 59, tzinfo=UTC)
    assert (
        json.loads(document.raw)["jingdong_pop_order_get_responce"]["orderDetailInfo"]["orderInfo"]["orderId"] == "287"
    )
    assert gateway.asked[0][1]["order_id"] == 287
    with pytest.raises(PlatformRefused):
        await jd.document(About.ORDER, "288")
    with pytest.raises(PlatformRefused) as caught:
        await jd.document(About.ORDER, "not a number")
    assert caught.value.cure is Cure.GIVE_UP


# ---- Back


PARCEL = Parcel("287", "p1", "SF", "SF1", (("1001", "A", 1),))
TWICE = {"sopjosshipment_result": {"success": False, "numberCode": "10400001", "chineseErrCode": "订单已出库"}}


async def test_shipments():
    jd, gateway = speaking({SHIP: {"sopjosshipment_result": {"success": "true"}}})
    assert "sopjosshipment_result" in await jd.upload(PARCEL)
    assert gateway.asked == [(SHIP, {"orderId": 287, "logiCoprId": "467", "logiNo": "SF1"})]
    with pytest.raises(PlatformRefused) as caught:
        await jd.upload(Parcel("287", "p1", "SF", "SF2", (), again=True))
    assert caught.value.cure is Cure.ASK


@pytest.mark.parametrize(("waybill", "done"), [("SF1", True), ("SF9,SF1|ZT2", True), ("SF11", False), ("", False)])
async def test_a_repeated_report_is_done_only_when_the_platform_has_this_very_waybill(waybill, done):
    jd, _ = speaking({SHIP: TWICE, GET: detail_of(waybill=waybill)})
    if done:
        assert await jd.upload(PARCEL) == "订单已出库"
    else:
        with pytest.raises(PlatformRefused, match="订单已出库") as caught:
            await jd.upload(PARCEL)
        assert (caught.value.cure, caught.value.code) == (Cure.GIVE_UP, "10400001")


def stock_answer(success=True, each=True):
    told = {
        "success": success,
        "obj": {"updateStockResult": [{"data": "1001", "success": each, "message": "库存错误"}]},
    }
    return {"returnType": told}


async def test_stock_is_told_sku_by_sku():
    jd, gateway = speaking({STOCK: stock_answer()})
    await jd.push_stock([StockOrder("9", "1001", 5, "c1"), StockOrder("9", "1002", 0, "c2")])
    assert [asked["req"]["skuStocks"][0]["stockNum"] for _, asked in gateway.asked] == [5, 0]
    for answer in (stock_answer(success=False), stock_answer(each=False)):
        with pytest.raises(PlatformRefused):
            await speaking({STOCK: answer})[0].push_stock([StockOrder("9", "1001", 5, "c1")])


async def test_stock_is_read_from_the_default_store():
    stores = {"skuStocks": [{"skuId": 1001, "storeId": 3, "stockNum": 1}, {"skuId": 1001, "storeId": 0, "stockNum": 7}]}
    assert await speaking({"jingdong.stock.read.findSkuStock": stores})[0].read_stock("9", "1001") == 7
    assert await speaking({"jingdong.stock.read.findSkuStock": {}})[0].read_stock("9", "1001") is None


# ---- Supplier orders


HEAD = {
    "order_id": 1776972492,
    "confirm_state": 0,
    "is_can_confirm": True,
    "total_price": "999.0000",
    "created_date": 1716884499000,
}
LINE = {"ware_id": 1, "deliver_center_id": 6, "original_num": 2, "purchase_price": "499.5000"}


async def test_supplier_orders_are_read_and_acknowledged():
    answers = {
        "jingdong.vc.getpurchaseorderlist": {"jos_order_result_dto": {"success": True, "purchase_order_list": [HEAD]}},
        "jingdong.vc.getdetailbyorderid": {
            "jos_detail_result_dto": {"success": True, "purchase_allocation_detail_list": [LINE]}
        },
        "jingdong.vc.confirmpurchaseorder": {"confirm_result": {"success": True}},
    }
    jd, gateway = speaking(answers)
    (order,) = [each async for each in jd.supplier_orders(Window(NOW - timedelta(days=90), NOW))]
    assert (order.order_id, order.total, order.lines[0].ordered) == ("1776972492", 99900, 2)
    await jd.acknowledge(order, [Promised("1", "6", 1, "缺货")])
    assert gateway.asked[-1][1]["confirm_num"] == "1"
    answers["jingdong.vc.confirmpurchaseorder"] = {"confirm_result": {"success": False, "result_message": "已回告"}}
    with pytest.raises(PlatformRefused, match="已回告"):
        await jd.acknowledge(order, [Promised("1", "6", 2)])
    with pytest.raises(ValueError, match="window"):
        await anext(jd.supplier_orders(Window(NOW - timedelta(days=91), NOW)))
