"""JD: signatures, tokens, search by change, applications to cancel, after-sale documents, shipments, stock."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from simulators.clock import wall

Call = Callable[..., Awaitable[Any]]
SEARCH, DETAIL, SHIP = "jingdong.pop.order.search", "jingdong.pop.order.get", "jingdong.pop.order.shipment"
FIELDS = "orderId,orderState,orderPayment,modified,itemInfoList,consigneeInfo,couponDetailList"
STATES = "WAIT_SELLER_STOCK_OUT,WAIT_GOODS_RECEIVE_CONFIRM,FINISHED_L,TRADE_CANCELED,LOCKED"


async def _state(jd: Call, shop: Any, order_id: str) -> str:
    answer = await jd(shop, DETAIL, order_id=order_id, optional_fields="orderState")
    return str(answer["orderDetailInfo"]["orderInfo"]["orderState"])


async def test_search_and_detail(program: SimpleNamespace, new_shop: Call, order: Call, jd: Call) -> None:
    shop = await new_shop("jd")
    placed = await order("jd", shipping_fee_fen=600)
    now = program.market.now()
    window = {"start_date": wall(now - timedelta(hours=1)), "end_date": wall(now)}
    asked = {"order_state": STATES, "optional_fields": FIELDS, "page": "1", "page_size": "100", "dateType": "0"}
    found = (await jd(shop, SEARCH, **window, **asked))["searchorderinfo_result"]
    assert found["apiResult"]["success"]
    assert found["orderTotal"] == 1
    (row,) = found["orderInfoList"]
    assert (row["orderId"], row["orderState"], row["orderPayment"]) == (
        placed["order_id"],
        "WAIT_SELLER_STOCK_OUT",
        "46.00",
    )
    assert [item["outerSkuId"] for item in row["itemInfoList"]] == ["SKU1", "SKU2"]
    assert row["consigneeInfo"]["fullname"].startswith("~")
    assert "orderStartTime" not in row
    contained = await jd(shop, SEARCH, paramOrderJSFQuery={**window, **asked})
    assert contained["searchorderinfo_result"]["orderTotal"] == 1
    wide = {"start_date": wall(now - timedelta(days=32)), "end_date": wall(now)}
    assert (await jd(shop, SEARCH, **wide, **asked))["code"] == "61"
    assert (await jd(shop, SEARCH, **window, **{**asked, "page_size": "101"}))["code"] == "61"


async def test_search_both_ways(program: SimpleNamespace, new_shop: Call, order: Call, jd: Call) -> None:
    shop = await new_shop("jd")
    placed = [(await order("jd"))["order_id"] for _ in range(3)]
    now = program.market.now()
    asked = {"start_date": wall(now - timedelta(hours=1)), "end_date": wall(now), "order_state": STATES}
    asked |= {"optional_fields": "orderId", "page": "1", "page_size": "2"}
    for sort, expected in (("1", placed[::-1][:2]), ("2", placed[:2])):
        rows = (await jd(shop, SEARCH, **asked, sortType=sort))["searchorderinfo_result"]["orderInfoList"]
        assert [row["orderId"] for row in rows] == expected


async def test_refuses(program: SimpleNamespace, new_shop: Call, jd: Call, control: Call) -> None:
    shop = await new_shop("jd")
    asked = {"order_id": "1", "optional_fields": "orderId"}
    assert (await jd({**shop, "app_secret": "other"}, DETAIL, **asked))["code"] == "12"
    assert (await jd({**shop, "app_key": "1"}, DETAIL, **asked))["code"] == "21"
    assert (await jd({**shop, "access_token": "nobody"}, DETAIL, **asked))["code"] == "19"
    assert (await jd({**shop, "access_token": ""}, DETAIL, **asked))["code"] == "18"
    assert (await jd(shop, "jingdong.no.such", **asked))["code"] == "15"
    assert not (await jd(shop, DETAIL, **asked))["orderDetailInfo"]["apiResult"]["success"]
    await control("PATCH", "/dials/jd", {"busy_percent": 100})
    assert (await jd(shop, DETAIL, **asked))["code"] == "65"
    await control("PATCH", "/dials/jd", {"reset": True, "calls_per_s": 1})
    assert [await jd(shop, DETAIL, **asked) for _ in range(3)][-1]["code"] == "2"


@pytest.mark.parametrize(("offset_s", "code"), [(-350, "0"), (350, "0"), (-370, "8"), (370, "8")])
async def test_timestamps_may_be_six_minutes_off(
    program: SimpleNamespace, new_shop: Call, jd: Call, offset_s: int, code: str
) -> None:
    shop = await new_shop("jd")
    sent = wall(program.market.now() + timedelta(seconds=offset_s))
    answer = await jd(shop, DETAIL, at=sent, order_id="1", optional_fields="orderId")
    assert answer["code"] == code


async def test_cancelling_and_refunding(
    program: SimpleNamespace, new_shop: Call, order: Call, jd: Call, control: Call
) -> None:
    shop = await new_shop("jd")
    placed = await order("jd")
    refund = await control("POST", f"/orders/jd/s1/{placed['order_id']}/refund")
    assert await _state(jd, shop, placed["order_id"]) == "LOCKED"
    now = program.market.now()
    window = {"applyTimeStart": wall(now - timedelta(hours=1)), "applyTimeEnd": wall(now)}
    asked = {**window, "pageIndex": 1, "pageSize": 50}
    listed = (await jd(shop, "jingdong.pop.afs.soa.refundapply.queryPageList", **asked))["queryResult"]
    assert [(row["orderId"], row["status"], row["applyRefundSum"]) for row in listed["result"]] == [
        (placed["order_id"], 0, "4000")
    ]
    blocked = await jd(shop, SHIP, orderId=placed["order_id"], logiCoprId="467", logiNo="SF1")
    assert not blocked["sopjosshipment_result"]["success"]
    await control("POST", f"/refunds/jd/s1/{refund['refund_id']}/succeeded")
    assert await _state(jd, shop, placed["order_id"]) == "TRADE_CANCELED"
    shipped = await order("jd")
    await jd(shop, SHIP, orderId=shipped["order_id"], logiCoprId="467", logiNo="SF2")
    refund = await control("POST", f"/orders/jd/s1/{shipped['order_id']}/refund")
    await control("POST", f"/refunds/jd/s1/{refund['refund_id']}/succeeded")
    window = {"applyTimeBegin": wall(now - timedelta(hours=1)), "applyTimeEnd": wall(program.market.now())}
    view = (await jd(shop, "jingdong.asc.serviceAndRefund.view", **window, pageNumber=1, pageSize=50))["pageResult"]
    assert [(row["status"], row["refoundAmount"]) for row in view["data"]] == [(13, "40.00")]
    wide = {"applyTimeBegin": wall(now - timedelta(days=8)), "applyTimeEnd": wall(now)}
    assert (await jd(shop, "jingdong.asc.serviceAndRefund.view", **wide))["code"] == "61"


async def test_shipping(new_shop: Call, order: Call, jd: Call, control: Call) -> None:
    shop = await new_shop("jd")
    placed = await order("jd")
    parcel = {"orderId": placed["order_id"], "logiCoprId": "467"}
    assert (await jd(shop, SHIP, **{**parcel, "logiCoprId": "SF"}, logiNo="SF1"))["code"] == "61"
    assert (await jd(shop, SHIP, **parcel, logiNo="SF1,SF2"))["sopjosshipment_result"]["success"]
    assert await _state(jd, shop, placed["order_id"]) == "WAIT_GOODS_RECEIVE_CONFIRM"
    again = (await jd(shop, SHIP, **parcel, logiNo="SF1"))["sopjosshipment_result"]
    assert (again["success"], again["errorCode"]) == (False, "10400001")
    entry = await control("GET", f"/orders/jd/s1/{placed['order_id']}")
    assert [upload["waybill"] for upload in entry["uploads"]] == ["SF1", "SF2", "SF1"]
    assert (entry["uploads_first"], entry["uploads_repeated"]) == (2, 1)
    assert [line["shipped"] for line in entry["lines"]] == [2, 1]


async def test_stock(new_shop: Call, jd: Call, control: Call) -> None:
    shop = await new_shop("jd")
    (listing, *_rest) = await control("GET", "/shops/jd/s1/listings")
    sku = {"skuId": listing["sku_id"]}
    assert (await jd(shop, "jingdong.ware.stock.sku.set", **sku, stockNum=7))["success"]
    assert (await jd(shop, "jingdong.ware.stock.sku.set", req={"skuStocks": [{**sku, "stockNum": 6}]}))["success"]
    assert (await jd(shop, "jingdong.stock.read.findSkuStock", **sku))["skuStocks"][0]["stockNum"] == 6
    assert not (await jd(shop, "jingdong.ware.stock.sku.set", skuId="1", stockNum=7))["success"]


async def test_signing_in_and_refreshing(program: SimpleNamespace, new_shop: Call, jd: Call, control: Call) -> None:
    shop = await new_shop("jd")
    query = {"response_type": "code", "app_key": shop["app_key"], "redirect_uri": "http://h/back", "state": "s"}
    page = await program.http.get("/jd/oauth2/to_login", params=query)
    code = page.headers["location"].split("code=")[1].split("&")[0]
    keys = {"app_key": shop["app_key"], "app_secret": shop["app_secret"]}
    asked = {**keys, "grant_type": "authorization_code", "code": code}
    token = (await program.http.get("/jd/oauth2/access_token", params=asked)).json()
    await control("POST", "/shops/jd/s1/expire")
    asked = {"order_id": "1", "optional_fields": "orderId"}
    assert (await jd({**shop, **token}, DETAIL, **asked))["code"] == "19"
    asked_anew = {**keys, "grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    fresh = (await program.http.get("/jd/oauth2/refresh_token", params=asked_anew)).json()
    assert (await jd({**shop, **fresh}, DETAIL, **asked))["code"] == "0"


async def test_supplier_orders(program: SimpleNamespace, new_shop: Call, jd: Call) -> None:
    shop = await new_shop("jd")
    wanted = {"lines": [{"ware_id": 11, "quantity": 5}, {"ware_id": 12, "quantity": 3, "center_id": 7}]}
    placed = (await program.http.post("/jd/supplier-orders/s1", json=wanted)).json()
    now = program.market.now()
    window = {"created_date_start": wall(now - timedelta(hours=1)), "created_date_end": wall(now)}
    listed = (await jd(shop, "jingdong.vc.getpurchaseorderlist", **window))["jos_order_result_dto"]
    assert [(p["order_id"], p["is_can_confirm"]) for p in listed["purchase_order_list"]] == [(placed["order_id"], True)]
    number = {"order_id": placed["order_id"]}
    rows = (await jd(shop, "jingdong.vc.getdetailbyorderid", **number))["jos_detail_result_dto"]
    assert [r["original_num"] for r in rows["purchase_allocation_detail_list"]] == [5, 3]
    told = {**number, "ware_id": "11,12", "deliver_center_id": "6,7", "back_explanation": ",缺货"}
    method = "jingdong.vc.confirmpurchaseorder"
    answers = [await jd(shop, method, **told, confirm_num=numbers) for numbers in ("6,0", "5,1", "5,1")]
    assert [answer["jos_operate_result_dto"]["success"] for answer in answers] == [False, True, False]
    (entry,) = (await program.http.get("/jd/supplier-orders/s1")).json()
    assert [(ware["confirmed"], ware["reason"]) for ware in entry["wares"]] == [(5, ""), (1, "缺货")]
    assert entry["acknowledgements"] == 1
