"""The calls to TOP against a gateway that checks signatures by itself: pages, queue, shipments, stock, refusals."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from libs.channels.channel import About, Cure, Parcel, PlatformRefused, StockOrder, Window
from libs.channels.taobao import client
from libs.channels.taobao.capabilities import PAGE_LIMIT_ORDERS
from libs.channels.taobao.tests.gateway import NOW, STAMP, WINDOW, Trades, refused, speaking, walked


async def test_pages_go_from_the_last_to_the_first():
    taobao, gateway = speaking({"taobao.trades.sold.increment.get": Trades(range(1, 121))})
    pages = await walked(taobao)
    assert [form["page_no"] for form in gateway.asked if form["use_has_next"] == "true"] == ["3", "2", "1"]
    assert [len(page.subjects) for page in pages] == [20, 50, 50]
    assert {subject for page in pages for subject, _ in page.subjects} == {str(n) for n in range(1, 121)}
    asked = gateway.asked[-1]
    assert (asked["start_modified"], asked["end_modified"]) == ("2026-11-11 11:30:00", "2026-11-11 12:00:00")
    assert "step" in asked["type"].split(",")
    assert asked["session"] == "session-1"
    assert pages[0].subjects[0][1] == datetime(2026, 11, 11, 3, 59, tzinfo=UTC)


async def test_rows_that_leave_the_window_while_it_is_read_hide_none_of_the_others():
    leaving = {1: lambda ids: ids.__delitem__(slice(0, 30)), 2: lambda ids: ids.__delitem__(slice(0, 10))}
    trades = Trades(range(1, 161), leaving)
    taobao, _ = speaking({"taobao.trades.sold.increment.get": trades})
    seen = {subject for page in await walked(taobao) for subject, _ in page.subjects}
    assert seen >= {str(each) for each in trades.ids}

    # The same shift does hide rows from one who reads forward: the test can fail.
    forward, trades = set(), Trades(range(1, 161), leaving)
    for number in (1, 2, 3, 4):
        form = {"page_size": str(PAGE_LIMIT_ORDERS), "page_no": str(number), "use_has_next": "true"}
        forward |= {each["tid"] for each in trades(form)["trades"]["trade"]}
    assert not forward >= set(trades.ids)


async def test_rows_that_came_in_after_the_count_are_found_behind_the_last_page():
    trades = Trades(range(1, 101))
    late = trades.__call__

    def counted_too_early(form):
        answer = late(form)
        if form["use_has_next"] == "false":
            trades.ids.extend(range(101, 161))
        return answer

    taobao, gateway = speaking({"taobao.trades.sold.increment.get": counted_too_early})
    seen = {subject for page in await walked(taobao) for subject, _ in page.subjects}
    assert seen == {str(n) for n in range(1, 161)}
    assert [form["page_no"] for form in gateway.asked[1:]] == ["2", "3", "4", "3", "2", "1"]


async def test_an_empty_window_and_the_count():
    taobao, _ = speaking({"taobao.trades.sold.increment.get": Trades([])})
    assert [page.subjects for page in await walked(taobao)] == [()]
    assert await taobao.count(WINDOW) == 0
    assert await taobao.day_numbers(NOW.date()) is None


async def test_refund_pages():
    def answer(form):
        if form["use_has_next"] == "false":
            return {"total_results": 1}
        return {"refunds": {"refund": [{"refund_id": "17", "tid": 4, "modified": STAMP}]}, "has_next": False}

    taobao, _ = speaking({"taobao.refunds.receive.get": answer})
    assert [[s for s, _ in page.subjects] for page in await walked(taobao, About.REFUND)] == [["17"]]


@pytest.mark.parametrize("length_s", [-1, 0, 1801, 86_400])
async def test_a_window_that_is_too_long_or_none_is_the_callers_mistake(length_s):
    taobao, gateway = speaking({})
    with pytest.raises(ValueError, match="window"):
        await walked(taobao, window=Window(NOW - timedelta(seconds=length_s), NOW))
    assert gateway.asked == []


async def test_a_part_of_a_second_at_the_end_is_asked_for():
    taobao, gateway = speaking({"taobao.trades.sold.increment.get": Trades([])})
    await taobao.count(Window(NOW - timedelta(seconds=10.5), NOW - timedelta(seconds=0.5)))
    asked = gateway.asked[0]
    assert (asked["start_modified"], asked["end_modified"]) == ("2026-11-11 11:59:49", "2026-11-11 12:00:00")


async def test_pages_without_end_are_given_up(monkeypatch):
    monkeypatch.setattr(client, "PAGES_LIMIT", 5)
    endless = {"total_results": 1, "has_next": True, "trades": {"trade": []}}
    taobao, gateway = speaking({"taobao.trades.sold.increment.get": endless})
    with pytest.raises(PlatformRefused) as caught:
        await walked(taobao)
    assert caught.value.cure is Cure.SHORTEN
    assert len(gateway.asked) == 6


async def test_a_window_with_too_many_pages_is_not_begun():
    many = {"total_results": client.PAGES_LIMIT * 50 + 1, "trades": {"trade": []}}
    taobao, gateway = speaking({"taobao.trades.sold.increment.get": many})
    with pytest.raises(PlatformRefused) as caught:
        await walked(taobao)
    assert (caught.value.cure, len(gateway.asked)) == (Cure.SHORTEN, 1)


@pytest.mark.parametrize(
    "hostile",
    [
        {"total_results": 1, "trades": {"trade": [{"modified": STAMP}]}},
        {"total_results": 1, "trades": {"trade": "x"}},
        {"total_results": 1, "trades": {"trade": [5]}},
        {"total_results": "many"},
        {},
    ],
)
async def test_a_hostile_page_never_passes_as_an_empty_one(hostile):
    taobao, _ = speaking({"taobao.trades.sold.increment.get": hostile})
    with pytest.raises(PlatformRefused) as caught:
        await walked(taobao)
    assert caught.value.cure is Cure.RETRY


async def test_a_row_with_an_unreadable_time_is_still_a_row():
    rows = {"total_results": 1, "trades": {"trade": [{"tid": 5, "modified": "soon"}]}}
    taobao, _ = speaking({"taobao.trades.sold.increment.get": rows})
    assert (await walked(taobao))[0].subjects == (("5", WINDOW.until),)


async def test_details():
    trade = {"trade": {"tid": 4159283746501827364, "modified": STAMP}}
    refund = {"refund": {"refund_id": 17, "modified": STAMP}}
    taobao, gateway = speaking({"taobao.trade.fullinfo.get": trade, "taobao.refund.get": refund})
    document = await taobao.document(About.ORDER, "4159283746501827364")
    assert document.modified_at == datetime(2026, 11, 11, 3, 59, tzinfo=UTC)
    assert json.loads(document.raw)["trade_fullinfo_get_response"]["trade"]["tid"] == 4159283746501827364
    asked = gateway.asked[0]
    # The platform makes an OAID only when it is asked for these as well.
    assert {"receiver_name", "receiver_address", "created", "receiver_mobile", "receiver_phone"} <= set(
        asked["fields"].split(",")
    )
    assert asked["include_oaid"] == "include_oaid"
    assert (await taobao.document(About.REFUND, "17")).about is About.REFUND


async def test_another_orders_detail_is_not_taken():
    taobao, _ = speaking({"taobao.trade.fullinfo.get": {"trade": {"tid": 2}}})
    with pytest.raises(PlatformRefused):
        await taobao.document(About.ORDER, "1")


# ---- The queue


def tmc(number, tid, owner=2074082786):
    content = json.dumps({"tid": tid})
    return {
        "id": number,
        "topic": "taobao_trade_TradeBuyerPay",
        "content": content,
        "pub_time": STAMP,
        "user_id": owner,
    }


async def test_the_queue_yields_ours_waits_when_empty_and_ends_after_a_long_silence(monkeypatch):
    pauses = []

    async def paused(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(client.asyncio, "sleep", paused)
    monkeypatch.setattr(client, "EMPTY_POLLS_LIMIT", 3)
    batches = [[], [tmc(1, 11), tmc(2, 12, owner=999), {"topic": "x"}], [tmc(3, 13)]]

    def consume(form):
        assert form["group_name"] == "g1"
        assert "session" not in form
        assert 10 <= int(form["quantity"]) <= 200
        return {"messages": {"tmc_message": batches.pop(0)}} if batches else {}

    permitted = {"taobao.tmc.user.permit": {"is_success": True}}
    taobao, gateway = speaking({"taobao.tmc.messages.consume": consume, **permitted})
    messages = [message async for message in taobao.messages()]
    assert [(message.receipt, message.hints[0].subject_id) for message in messages] == [("1", "11"), ("3", "13")]
    assert pauses == [0.1, 0.1, 0.2, 0.4]
    assert gateway.asked[0]["session"] == "session-1"
    assert "taobao_refund_RefundCreated" in gateway.asked[0]["topics"]


async def test_without_permission_nothing_is_awaited():
    taobao, _ = speaking({"taobao.tmc.user.permit": {"is_success": False}})
    with pytest.raises(PlatformRefused):
        await anext(taobao.messages())


async def test_confirmations_go_in_parts_of_two_hundred():
    taobao, gateway = speaking({"taobao.tmc.messages.confirm": {"is_success": True}})
    await taobao.confirm([str(n) for n in range(450)])
    assert [form["s_message_ids"].count(",") + 1 for form in gateway.asked] == [200, 200, 50]
    taobao, _ = speaking({"taobao.tmc.messages.confirm": {"is_success": False}})
    with pytest.raises(PlatformRefused):
        await taobao.confirm(["1"])
    await taobao.confirm([])


# ---- Back


def parcel(**changes):
    fields = {
        "platform_order_id": "415",
        "parcel_id": "p1",
        "carrier": "SF",
        "waybill": "SF1",
        "lines": (("7", "A", 1),),
    }
    return Parcel(**fields | changes)


SENT = {"shipping": {"is_success": True}}
TWICE = refused(15, "isv.logistics-offline-service-error:B04", "订单状态不对,不能重复发货")


async def test_shipments_whole_split_and_again():
    taobao, gateway = speaking({"taobao.logistics.offline.send": SENT, "taobao.logistics.consign.resend": SENT})
    assert "is_success" in await taobao.upload(parcel())
    await taobao.upload(parcel(split=True))
    await taobao.upload(parcel(again=True))
    whole, split, again = gateway.asked
    assert "is_split" not in whole
    assert (split["is_split"], split["sub_tid"]) == ("1", "7")
    assert again["method"] == "taobao.logistics.consign.resend"


@pytest.mark.parametrize(
    ("lines", "split", "done"),
    [
        ([{"oid": 7, "invoice_no": "SF1"}], False, True),
        ([{"oid": 7, "invoice_no": "SF1"}, {"oid": 8}], True, True),
        ([{"oid": 8, "invoice_no": "SF1"}, {"oid": 7}], True, False),
        ([{"oid": 7, "invoice_no": "SF2"}], False, False),
        ([], False, False),
    ],
)
async def test_a_repeated_report_is_done_only_when_the_platform_has_this_very_waybill(lines, split, done):
    trade = {"trade": {"tid": 415, "orders": {"order": lines}}}
    taobao, _ = speaking({"taobao.logistics.offline.send": TWICE, "taobao.trade.fullinfo.get": trade})
    if done:
        assert "不能重复发货" in await taobao.upload(parcel(split=split))
    else:
        with pytest.raises(PlatformRefused) as caught:
            await taobao.upload(parcel(split=split))
        assert caught.value.cure is Cure.GIVE_UP
        assert "不能重复发货" in caught.value.text


async def test_a_shipment_that_was_not_taken_is_repeated():
    taobao, _ = speaking({"taobao.logistics.offline.send": {"shipping": {"is_success": False}}})
    with pytest.raises(PlatformRefused) as caught:
        await taobao.upload(parcel())
    assert caught.value.cure is Cure.RETRY


async def test_stock_is_told_and_read():
    answers = {
        "taobao.skus.quantity.update": {"item": {"num_iid": 1}},
        "taobao.item.sku.get": {"sku": {"sku_id": 5, "quantity": 12}},
        "taobao.item.seller.get": {"item": {"num": 3}},
    }
    taobao, gateway = speaking(answers)
    await taobao.push_stock([StockOrder("1", "5", 12, "c1"), StockOrder("1", "6", 0, "c2")])
    assert gateway.asked[0]["skuid_quantities"] == "5:12;6:0"
    assert await taobao.read_stock("1", "5") == 12
    assert await taobao.read_stock("1", "") == 3
    assert await speaking({"taobao.item.sku.get": {}})[0].read_stock("1", "5") is None
