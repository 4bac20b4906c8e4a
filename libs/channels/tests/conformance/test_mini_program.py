"""WeChat's mini-programs only ship, by payment: parcels are kept together, and one correction is all there is."""

import json
from dataclasses import replace

import pytest

from libs.channels.channel import About, Cure, Parcel, PlatformRefused
from libs.channels.tests.conformance.entries import Entry

INDEXED_AFTER_S = 61  # so long the platform does not know a payment


@pytest.fixture
async def shipped(open_stand):
    """Open a mini-program's stand; returns it with an order's id, its payment's number, and its lines."""
    stand = await open_stand(Entry("wechat"))
    order_id = (await stand.order())["order_id"]
    lines = (await stand.parcel(order_id, "-")).lines
    document = await stand.client.document(About.ORDER, order_id)
    payment = json.loads(document.raw)["order"]["order_detail"]["pay_info"]["transaction_id"]
    stand.access = replace(
        stand.access, secrets={**stand.access.secrets, "kind": "mini-program", "sender_contact": "138****1234"}
    )
    return stand, order_id, payment, lines


async def test_parcels_are_told_one_by_one_and_the_last_ends_the_order(shipped):
    stand, order_id, payment, lines = shipped
    first = Parcel(payment, "p1", "SF", "SF1", lines[:1], split=True, remaining=1)
    with pytest.raises(PlatformRefused) as caught:
        await stand.client.upload(first)
    assert (caught.value.cure, caught.value.after_seconds) == (Cure.RETRY, 60)
    await stand.doubles.advance(INDEXED_AFTER_S)
    await stand.client.upload(first)
    await stand.client.upload(first)
    assert (await stand.truth(order_id))["status"] == "part_shipped"
    await stand.client.upload(Parcel(payment, "p2", "SF", "SF2", lines[1:], split=True))
    assert (await stand.truth(order_id))["status"] == "shipped"
    assert await stand.waybills(order_id) == ["SF1", "SF2"]


async def test_one_correction_is_all_there_is(shipped):
    stand, order_id, payment, lines = shipped
    await stand.doubles.advance(INDEXED_AFTER_S)
    parcel = Parcel(payment, "p1", "SF", "SF1", lines)
    for waybill in ("SF1", "SF1", "SF2", "SF2"):
        await stand.client.upload(replace(parcel, waybill=waybill, again=waybill != "SF1"))
    assert await stand.waybills(order_id) == ["SF1", "SF2"]
    with pytest.raises(PlatformRefused) as caught:
        await stand.client.upload(replace(parcel, waybill="SF3", again=True))
    assert caught.value.cure is Cure.ASK
    assert await stand.waybills(order_id) == ["SF1", "SF2"]
