"""Back: shipments once and within the platform's budget, parcels apart where allowed, stock that can be repeated."""

from dataclasses import replace

import pytest

from libs.channels.channel import Cure, PlatformRefused, StockOrder
from libs.channels.tests.conformance.check import check
from libs.channels.tests.conformance.entries import Entry
from libs.channels.tests.conformance.stand import Stand, refusal

FINAL = (Cure.GIVE_UP, Cure.ASK)


def _uploads(entry: Entry) -> bool:
    return entry.channel.capabilities.takes_shipment_upload


def _stocks(entry: Entry) -> bool:
    return entry.channel.capabilities.takes_stock_push


# ---- Shipments


@check(_uploads)
async def an_upload_that_is_repeated_ships_once(stand: Stand) -> None:
    """The platform's "already shipped" is no failure when it is shipped under this very waybill."""
    parcel = await stand.parcel((await stand.order())["order_id"], "SF30001")
    for _ in range(3):
        assert await stand.client.upload(parcel)
    truth = await stand.truth(parcel.platform_order_id)
    assert truth["status"] == "shipped"
    assert all(line["shipped"] == line["quantity"] for line in truth["lines"])
    assert await stand.waybills(parcel.platform_order_id) == ["SF30001"]


@check(lambda entry: _uploads(entry) and entry.channel.capabilities.parcels_limit != 1)
async def another_waybill_is_not_taken_for_the_same(stand: Stand) -> None:
    """Shipped already, but under another number: nobody may believe that ours is there."""
    parcel = await stand.parcel((await stand.order())["order_id"], "SF30002")
    await stand.client.upload(parcel)
    refused = await refusal(stand.client.upload(replace(parcel, waybill="SF39999")))
    assert refused.cure in FINAL, refused
    assert refused.text
    assert await stand.waybills(parcel.platform_order_id) == ["SF30002"]


@check(_uploads)
async def corrections_stay_within_the_budget(stand: Stand) -> None:
    """As many waybills are corrected as the channel declares; one more is refused for good and spends nothing."""
    parcel = await stand.parcel((await stand.order())["order_id"], "SF31000")
    await stand.client.upload(parcel)
    expected = ["SF31000"]
    limit = stand.channel.capabilities.reships_limit
    for number in range(2 if limit is None else limit):
        expected.append(f"SF3100{number + 1}")
        await stand.client.upload(replace(parcel, waybill=expected[-1], again=True))
        await stand.client.upload(replace(parcel, waybill=expected[-1], again=True))
    assert await stand.waybills(parcel.platform_order_id) == expected
    if limit is not None:
        refused = await refusal(stand.client.upload(replace(parcel, waybill="SF31009", again=True)))
        assert refused.cure in FINAL, refused
        assert await stand.waybills(parcel.platform_order_id) == expected


@check(lambda entry: entry.channel.capabilities.splits_parcels)
async def parcels_go_apart(stand: Stand) -> None:
    """The first parcel leaves the other lines unshipped; each is taken once, and its waybill can be corrected."""
    whole = await stand.parcel((await stand.order())["order_id"], "SF32000")
    first, second = (
        replace(whole, parcel_id=f"p{place}", waybill=f"SF3200{place}", lines=(line,), split=True, remaining=1 - place)
        for place, line in enumerate(whole.lines)
    )
    await stand.client.upload(first)
    await stand.client.upload(first)
    truth = await stand.truth(whole.platform_order_id)
    assert truth["status"] == "part_shipped"
    assert [line["shipped"] for line in truth["lines"]] == [whole.lines[0][2], 0]
    await stand.client.upload(second)
    truth = await stand.truth(whole.platform_order_id)
    assert truth["status"] == "shipped"
    assert await stand.waybills(whole.platform_order_id) == ["SF32000", "SF32001"]


@check(lambda entry: _uploads(entry) and not entry.channel.capabilities.splits_parcels)
async def what_goes_in_one_parcel_is_declared(stand: Stand) -> None:
    """Where parcels cannot be told apart the first upload ships everything, so it must be the last parcel's."""
    parcel = await stand.parcel((await stand.order())["order_id"], "SF33000")
    await stand.client.upload(parcel)
    truth = await stand.truth(parcel.platform_order_id)
    assert truth["status"] == "shipped"
    assert stand.channel.capabilities.parcels_limit in (None, 1)


@check(_uploads)
async def a_shipment_that_the_platform_forgot_is_reported_again(stand: Stand) -> None:
    """It said "done" and kept nothing: the connector remembers nothing by itself and tells it again."""
    parcel = await stand.parcel((await stand.order())["order_id"], "SF34000")
    await stand.dial(uploads_forgotten_percent=100)
    await stand.client.upload(parcel)
    assert await stand.waybills(parcel.platform_order_id) == []
    await stand.dial(uploads_forgotten_percent=0)
    await stand.client.upload(parcel)
    assert await stand.waybills(parcel.platform_order_id) == ["SF34000"]


@check(_uploads)
async def a_closed_order_is_not_shipped(stand: Stand) -> None:
    """The refusal is final and in the platform's own words."""
    parcel = await stand.parcel((await stand.order())["order_id"], "SF35000")
    await stand.act(parcel.platform_order_id, "cancel")
    refused = await refusal(stand.client.upload(parcel))
    assert refused.cure in FINAL, refused
    assert refused.text
    assert await stand.waybills(parcel.platform_order_id) == []


# ---- Stock


@check(lambda entry: _stocks(entry) and entry.channel.capabilities.stock_push == "set")
async def a_full_value_can_be_repeated(stand: Stand) -> None:
    """The platform sells as much as it was told, however often it was told; zero is a value."""
    for quantity in (41, 41, 0, 7):
        told = await stand.stock_order("CUP-1", quantity, f"change-{quantity}")
        await stand.client.push_stock([told])
        assert await _read(stand, told) == quantity
        assert (await stand.listing("CUP-1"))["stock"] == quantity


@check(lambda entry: _stocks(entry) and entry.channel.capabilities.stock_push == "delta")
async def a_difference_is_added(stand: Stand) -> None:
    """Up and down; one that is told again under its change id counts once, where the platform knows such ids."""
    before = (await stand.listing("CUP-1"))["stock"]
    less = await stand.stock_order("CUP-1", -30, "change-1", delta=True)
    more = await stand.stock_order("CUP-1", 12, "change-2", delta=True)
    await stand.client.push_stock([less, more])
    assert await _read(stand, less) == before - 18
    if stand.entry.delta_has_key:
        await stand.client.push_stock([less])
        await stand.client.push_stock([more, less])
        assert (await stand.listing("CUP-1"))["stock"] == before - 18


@check(lambda entry: _stocks(entry) and (entry.delta_has_key or entry.channel.capabilities.stock_push == "set"))
async def a_lost_answer_changes_stock_once(stand: Stand) -> None:
    """The change was made, the answer was a 502: the repeat of the same change changes nothing more."""
    delta = stand.channel.capabilities.stock_push == "delta"
    before = (await stand.listing("CUP-2"))["stock"]
    told = await stand.stock_order("CUP-2", -5 if delta else 77, "change-3", delta=delta)
    await stand.dial(answers_lost_percent=100)
    refused = await refusal(stand.client.push_stock([told]))
    assert refused.cure is Cure.RETRY, refused
    await stand.dial(answers_lost_percent=0)
    await stand.client.push_stock([told])
    assert await _read(stand, told) == (before - 5 if delta else 77)


@check(lambda entry: _stocks(entry) and entry.channel.capabilities.reads_stock)
async def a_platform_that_forgets_is_found_out(stand: Stand) -> None:
    """It said "done" and kept the old value: reading back shows what it believes, not what it was told."""
    before = (await stand.listing("CUP-1"))["stock"]
    delta = stand.channel.capabilities.stock_push == "delta"
    told = await stand.stock_order("CUP-1", -9 if delta else 9, "change-4", delta=delta)
    await stand.dial(stock_forgotten_percent=100)
    client = stand.client
    await client.push_stock([told])
    assert await client.read_stock(told.listing_id, told.listing_sku) == before
    await stand.dial(stock_forgotten_percent=0)
    await client.push_stock([replace(told, change_id="change-5")])
    assert await client.read_stock(told.listing_id, told.listing_sku) == (before - 9 if delta else 9)


@check(_stocks)
async def several_listings_are_told_in_one_go(stand: Stand) -> None:
    """Each listing gets its own value, also when a SKU comes twice: then the later one holds."""
    delta = stand.channel.capabilities.stock_push == "delta"
    rows = (("CUP-1", 100), ("CUP-2", 200), ("CUP-1", 101))
    orders = [
        await stand.stock_order(outer_id, -1 if delta else quantity, f"several-{place}", delta=delta)
        for place, (outer_id, quantity) in enumerate(rows)
    ]
    await stand.client.push_stock(orders)
    found = [(await stand.listing(outer_id))["stock"] for outer_id in ("CUP-1", "CUP-2", "CUP-3")]
    assert found == ([9_998, 9_999, 10_000] if delta else [101, 200, 10_000])


@check(_stocks)
async def a_listing_that_is_not_there_is_no_success(stand: Stand) -> None:
    """Also where the platform answers "ok" and names what failed beside it; nothing is asked for ever."""
    delta = stand.channel.capabilities.stock_push == "delta"
    known = await stand.stock_order("CUP-1", 1, "change-6", delta=delta)
    unknown = StockOrder("111111111111", "2222222222222", 1, "change-7", delta)
    with pytest.raises(PlatformRefused) as caught:
        await stand.client.push_stock([known, unknown])
    assert caught.value.cure in FINAL, caught.value


async def _read(stand: Stand, told: StockOrder) -> int | None:
    """Read back where that is possible, else look at the platform's truth."""
    if stand.channel.capabilities.reads_stock:
        return await stand.client.read_stock(told.listing_id, told.listing_sku)
    rows = await stand.doubles.control("GET", f"/shops/{stand.entry.name}/{stand.access.shop_id}/listings")
    named = stand.entry.skus_named_by
    return next(int(row["stock"]) for row in rows if row[named] == told.listing_sku)
