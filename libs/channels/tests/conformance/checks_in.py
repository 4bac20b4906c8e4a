"""In: orders as they are, unpaid ones silent, cancellations and refunds told, and nothing missing from a pull."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import msgspec
import pytest

from libs.channels.channel import About, Cure, Document, Heard, ListsNewest, PlatformRefused, Window
from libs.channels.own.inbound import AskedBack, Cancellation, LeftOrder, Order, Refund, RefundWithdrawn
from libs.channels.refusals import OrderRefused
from libs.channels.tests.conformance.check import check
from libs.channels.tests.conformance.entries import Entry
from libs.channels.tests.conformance.stand import ELSEWHERE, RECEIVER, Stand, refusal, refusal_of

BROKEN = (b"", b"{", b"[]", b"null", b'"a"', b"\xff\xfe", b'{"a":' * 2000, b"{}", b'{"order":{}}', b'{"status":2}')
BEYOND_A_PAGE = 15
BEFORE = timedelta(seconds=2)


def _pulls(entry: Entry) -> bool:
    return entry.channel.capabilities.pulls_orders


# ---- What a document says


@check()
async def an_order_is_told_whole(stand: Stand) -> None:
    """Ids, lines, money to the fen, times: as the platform has them; ids beyond 2**53 lose no digit."""
    truth = await stand.order()
    order = await stand.heard_order(truth["order_id"])
    assert order.platform_order_id == truth["order_id"]
    assert (order.total, order.shipping_fee) == (truth["total_fen"], truth["shipping_fee_fen"])
    assert [(line.sku, line.quantity, line.unit_price) for line in order.lines] == [
        (line["outer_id"], line["quantity"], line["unit_price_fen"]) for line in truth["lines"]
    ]
    assert sum(discount.amount for line in order.lines for discount in line.discounts) == 103
    assert order.paid_at is not None
    assert abs(order.paid_at - datetime.fromisoformat(truth["paid_at"])) < timedelta(seconds=1)
    assert abs(order.placed_at - datetime.fromisoformat(truth["created_at"])) < timedelta(seconds=1)
    assert "快点" in order.note


@check()
async def large_amounts_are_exact(stand: Stand) -> None:
    """A price with many digits and an uneven discount arrive to the fen."""
    line = {"outer_id": "CUP-3", "quantity": 7, "merchant_discount_fen": 1, "platform_discount_fen": 3333}
    truth = await stand.order(lines=[line], shipping_fee_fen=7)
    order = await stand.heard_order(truth["order_id"])
    assert order.total == truth["total_fen"] == 7 * 9_999_999 - 3334 + 7
    assert (order.lines[0].quantity, order.lines[0].unit_price) == (7, 9_999_999)


@check()
async def an_unpaid_order_says_nothing(stand: Stand) -> None:
    """Neither before it is paid, nor when it closes unpaid."""
    unpaid = (await stand.order(pay=False))["order_id"]
    assert await _said(stand, unpaid) == []
    await stand.act(unpaid, "pay")
    assert [type(each) for each in await _said(stand, unpaid)] == [Order]
    closed = (await stand.order(pay=False))["order_id"]
    await stand.act(closed, "cancel")
    assert await _said(stand, closed) == []


@check(lambda entry: entry.holds_risky)
async def an_order_under_review_says_nothing_yet(stand: Stand) -> None:
    """Paid, but the platform forbids its shipment until its own check has ended."""
    order_id = (await stand.order(risky=True))["order_id"]
    assert await _said(stand, order_id) == []
    await stand.act(order_id, "clear-risk")
    assert [type(each) for each in await _said(stand, order_id)] == [Order]


@check()
async def a_paid_order_that_closes_is_an_order_and_its_cancellation(stand: Stand) -> None:
    """Whoever hears of it late hears both, in this order."""
    order_id = (await stand.order())["order_id"]
    await stand.act(order_id, "cancel")
    said = await _said(stand, order_id)
    assert [type(each) for each in said] == [Order, Cancellation], said
    assert {each.platform_order_id for each in said} == {order_id}


@check(lambda entry: entry.channel.capabilities.takes_shipment_upload)
async def an_order_that_has_left_says_so(stand: Stand) -> None:
    """Whoever hears of it only then must not ship it again: neither while it is on its way, nor when it is done."""
    order_id = (await stand.order())["order_id"]
    assert type(await stand.heard_order(order_id)) is Order
    await stand.client.upload(await stand.parcel(order_id, "SF21000"))
    assert await _left(stand, order_id) == "whole"
    await stand.act(order_id, "finish")
    assert await _left(stand, order_id) == "whole"


@check(lambda entry: entry.channel.capabilities.splits_parcels)
async def an_order_that_has_left_in_part_says_so(stand: Stand) -> None:
    """The rest is still to go out, the first parcel is not."""
    whole = await stand.parcel((await stand.order())["order_id"], "SF22000")
    await stand.client.upload(replace(whole, lines=whole.lines[:1], split=True, remaining=1))
    assert await _left(stand, whole.platform_order_id) == "part"


@check()
async def a_new_address_is_told(stand: Stand) -> None:
    """The order's document holds the receiver of now."""
    await stand.dial(receivers="clear")
    order_id = (await stand.order())["order_id"]
    before = await stand.heard_order(order_id)
    await stand.act(order_id, "change-address", receiver=ELSEWHERE)
    after = await stand.heard_order(order_id)
    assert before.recipient != after.recipient
    assert after.recipient.province in ("", ELSEWHERE["province"])


@check()
async def receivers_are_taken_however_they_are_shown(stand: Stand) -> None:
    """Clear, masked or encrypted: the order is never refused for it, and its region is kept."""
    for shown in ("clear", "masked", "encrypted", ""):
        await stand.dial(receivers=shown)
        recipient = (await stand.heard_order((await stand.order())["order_id"])).recipient
        assert recipient.name, shown
        assert recipient.phone, shown
        assert recipient.address, shown
        assert recipient.province in ("", RECEIVER["province"]), shown


@check()
async def a_broken_document_is_refused_by_name(stand: Stand) -> None:
    """Whatever a document holds, it is taken or refused: nothing else may come out of the translation."""
    whole = (await stand.client.document(About.ORDER, (await stand.order())["order_id"])).raw
    spoiled = [whole[:length] for length in range(0, len(whole), max(len(whole) // 40, 1))]
    spoiled += [whole.replace(old, new) for old, new in ((b":", b":null,"), (b'"', b""), (b"1", b"-"), (b"0", b"1e9"))]
    spoiled += [whole.replace(b"19.90", b"1e99999"), whole.replace(b"1990", b"1e9999999")]
    for about in About:
        for raw in (*BROKEN, *spoiled):
            try:
                stand.channel.heard(Document(about, "1", raw))
            except OrderRefused:
                continue
            except (msgspec.MsgspecError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
                raise AssertionError(f"{about}: {type(error).__name__} for {raw[:60]!r}") from error


# ---- Refunds


@check()
async def a_wish_for_money_is_told(stand: Stand) -> None:
    """Before shipping: its order, its amount to the fen, not after shipping; one that is withdrawn says only that."""
    order_id = (await stand.order())["order_id"]
    asked = await stand.act(order_id, "refund", amount_fen=1234)
    subject, refund = await _refund(stand, order_id)
    assert refund.platform_order_id == order_id
    assert (refund.amount, refund.after_shipping) == (1234, False)
    assert refund.refund_id.endswith(asked["refund_id"])
    await stand.settle(asked["refund_id"], "closed")
    assert await stand.heard(subject, About.REFUND) == [_withdrawn(refund)]


@check(lambda entry: entry.channel.capabilities.takes_shipment_upload)
async def a_refund_after_shipping_is_told(stand: Stand) -> None:
    """At the latest when the money went back its amount is known; where the platform says so, the goods had left."""
    order_id = (await stand.order())["order_id"]
    await stand.client.upload(await stand.parcel(order_id, "SF20001"))
    asked = await stand.act(order_id, "refund", amount_fen=555)
    await stand.settle(asked["refund_id"], "succeeded")
    _, refund = await _refund(stand, order_id)
    assert (refund.platform_order_id, refund.amount) == (order_id, 555)
    assert refund.after_shipping or not stand.entry.tells_shipped


@check(lambda entry: entry.channel.capabilities.refunds_lines)
async def a_refund_of_one_line_names_it_and_the_line_leaves(stand: Stand) -> None:
    """The rest of the order goes on, its sum still explained; a refund that is withdrawn brings the line back."""
    order_id = (await stand.order())["order_id"]
    whole = await stand.heard_order(order_id)
    gone, *rest = whole.lines
    asked = await stand.refund_line(order_id, 0, amount_fen=1234)
    subject, refund = await _refund(stand, order_id)
    assert refund.line_ids == [gone.line_id]
    assert [line.line_id for line in (await stand.heard_order(order_id)).lines] == [line.line_id for line in rest]
    await stand.settle(asked["refund_id"], "closed")
    assert await stand.heard(subject, About.REFUND) == [_withdrawn(refund)]
    assert await stand.heard_order(order_id) == whole
    asked = await stand.refund_line(order_id, 0, amount_fen=1234)
    await stand.settle(asked["refund_id"], "succeeded")
    assert [line.line_id for line in (await stand.heard_order(order_id)).lines] == [line.line_id for line in rest]


@check(lambda entry: entry.channel.capabilities.refunds_lines)
async def an_order_whose_lines_are_asked_back_one_by_one_is_asked_back(stand: Stand) -> None:
    """With the last line the document says so, and not before; its content brings nobody's line back."""
    order_id = (await stand.order())["order_id"]
    lines = [line.line_id for line in (await stand.heard_order(order_id)).lines]
    for place in range(len(lines)):
        (found,) = await stand.heard(order_id)
        assert not isinstance(found, AskedBack)
        asked = await stand.refund_line(order_id, place, amount_fen=100)
    (found,) = await stand.heard(order_id)
    assert isinstance(found, AskedBack)
    assert found.order.platform_order_id == order_id
    await stand.settle(asked["refund_id"], "closed")
    assert [line.line_id for line in (await stand.heard_order(order_id)).lines] == lines[-1:]


def _withdrawn(refund: Refund) -> RefundWithdrawn:
    return RefundWithdrawn(platform_order_id=refund.platform_order_id, refund_id=refund.refund_id)


async def _refund(stand: Stand, order_id: str) -> tuple[str, Refund]:
    """Find the refund of an order the way that the channel has: in the list by time, or by a push's hint."""
    if stand.channel.capabilities.pulls_refunds:
        until = await stand.rested()
        subjects = await stand.pulled(About.REFUND, Window(stand.opened_at - BEFORE, until))
        assert subjects, "the list of refunds is empty"
    else:
        await stand.until(lambda: any(about is About.REFUND for about, _ in stand.hints()), "no refund was pushed")
        subjects = [subject for about, subject in stand.hints() if about is About.REFUND]
    for subject in subjects:
        for each in await stand.heard(subject, About.REFUND):
            if isinstance(each, Refund) and each.platform_order_id == order_id:
                return subject, each
    raise AssertionError(f"no refund of the order is told by {subjects}")


# ---- Pulling


@check(_pulls)
async def pages_that_shift_hide_no_order(stand: Stand) -> None:
    """Orders change while the window is read, and leave it: every order is in this window or in the next."""
    placed = await stand.orders((stand.channel.capabilities.page_limit_orders or 100) + BEYOND_A_PAGE)
    overlap = timedelta(seconds=stand.channel.capabilities.pull_overlap_s)
    await stand.doubles.advance(overlap.total_seconds())  # so that the next window does not hold them all again
    until = await stand.rested()
    await stand.dial(page_shift_rows=5, page_shift_limit_per_order=1)
    found = await stand.pulled(About.ORDER, Window(stand.opened_at - BEFORE, until))
    await stand.dial(page_shift_rows=0)
    later = await stand.rested()
    found += await stand.pulled(About.ORDER, Window(until - overlap, later))
    missing = set(placed) - set(found)
    assert not missing, f"{len(missing)} of {len(placed)} orders are missing"


@check(_pulls)
async def windows_that_meet_hide_no_order(stand: Stand) -> None:
    """One window ends at the very moment at which an order changed, the next begins there."""
    truth = await stand.order()
    changed = datetime.fromisoformat(truth["modified_at"])
    until = await stand.rested()
    found = await stand.pulled(About.ORDER, Window(stand.opened_at - BEFORE, changed))
    found += await stand.pulled(About.ORDER, Window(changed, until))
    assert truth["order_id"] in found


@check(lambda entry: entry.channel.capabilities.pull_window_limit_s is not None)
async def the_largest_window_is_taken_and_a_larger_one_is_our_mistake(stand: Stand) -> None:
    """The declared limit is one that the platform really takes, for orders and for refunds."""
    placed = (await stand.order())["order_id"]
    until = (await stand.rested() - timedelta(seconds=1)).replace(microsecond=500_000)
    limit = timedelta(seconds=stand.channel.capabilities.pull_window_limit_s or 0)
    assert placed in await stand.pulled(About.ORDER, Window(until - limit, until))
    if stand.channel.capabilities.pulls_refunds:
        await stand.pulled(About.REFUND, Window(until - limit, until))
    with pytest.raises(ValueError, match=r"\w"):
        await stand.pulled(About.ORDER, Window(until - limit - timedelta(seconds=1), until))


@check(_pulls)
async def a_list_that_lags_is_waited_for(stand: Stand) -> None:
    """Lists that are as late as the channel declares hide nothing from a window that ends so long ago."""
    placed = (await stand.order())["order_id"]
    await stand.dial(list_lag_s=stand.channel.capabilities.pull_lag_s)
    until = await stand.rested()
    assert placed in await stand.pulled(About.ORDER, Window(stand.opened_at - BEFORE, until))


@check(lambda entry: entry.channel.capabilities.lists_newest)
async def the_newest_list_tells_an_order_at_once(stand: Stand) -> None:
    """What the lists of changes keep back for minutes is told by the one of payments."""
    placed = (await stand.order())["order_id"]
    now = stand.doubles.now()
    newest = cast("ListsNewest", stand.client).newest(Window(now - timedelta(minutes=1), now + timedelta(seconds=1)))
    assert placed in [subject_id async for page in newest for subject_id, _ in page.subjects]


@check(_pulls)
async def a_pull_goes_on_after_a_token_ended_in_it(stand: Stand) -> None:
    """REFRESH comes out of the middle of a pull; the same window, asked again with the new token, is whole."""
    placed = await stand.orders(3)
    until = await stand.rested()
    window = Window(stand.opened_at - BEFORE, until)
    await stand.dial(token_expires_after_calls=1)
    # A small window may be read by one call: then the next pull meets the end.
    refused = await refusal_of(stand.pulled(About.ORDER, window))
    refused = refused or await refusal(stand.pulled(About.ORDER, window))
    assert refused.cure is Cure.REFRESH, refused
    await stand.dial(token_expires_after_calls=0)
    stand.renewed(await stand.client.refresh())
    assert set(placed) <= set(await stand.pulled(About.ORDER, window))


@check(lambda entry: not entry.channel.capabilities.pulls_orders)
async def what_cannot_be_pulled_says_so(stand: Stand) -> None:
    """An empty pull would look like "nothing missing"."""
    window = Window(stand.opened_at - BEFORE, stand.doubles.now())
    with pytest.raises(PlatformRefused) as caught:
        await stand.pulled(About.ORDER, window)
    assert caught.value.cure is Cure.GIVE_UP


@check()
async def counts_are_true_or_absent(stand: Stand) -> None:
    """A separate count closes a window: it is the platform's, or it is said that there is none."""
    placed = await stand.orders(3)
    until = await stand.rested()
    count = await stand.client.count(Window(stand.opened_at - BEFORE, until))
    assert count == (len(placed) if stand.channel.capabilities.counts_orders else None)


@check()
async def the_days_numbers_are_true_or_absent(stand: Stand) -> None:
    """The day's running numbers name every paid order, whatever was pushed."""
    placed = await stand.orders(4)
    truths = [await stand.truth(order_id) for order_id in placed]
    day = (datetime.fromisoformat(truths[0]["paid_at"]) + timedelta(hours=8)).date()
    told: Sequence[tuple[int, str]] | None = await stand.client.day_numbers(day)
    if not stand.channel.capabilities.numbers_days:
        assert told is None
        return
    assert told is not None
    assert dict(told) == {truth["day_number"]: truth["order_id"] for truth in truths}
    await stand.orders(1)
    more = await stand.client.day_numbers(day)
    assert more is not None
    assert len(more) == 5


@check(lambda entry: entry.channel.capabilities.accept_limit_s is not None)
async def an_order_is_accepted_once(stand: Stand) -> None:
    """The platform cancels what nobody accepts; a repeat counts as done; a closed order cannot be accepted."""
    order_id = (await stand.order())["order_id"]
    assert await stand.client.accept(order_id)
    accepted_at = (await stand.truth(order_id))["accepted_at"]
    assert accepted_at is not None
    assert await stand.client.accept(order_id)
    assert (await stand.truth(order_id))["accepted_at"] == accepted_at
    closed = (await stand.order())["order_id"]
    await stand.act(closed, "cancel")
    refused = await refusal(stand.client.accept(closed))
    assert refused.cure is Cure.GIVE_UP, refused


@check(lambda entry: entry.channel.capabilities.accept_limit_s is None)
async def nothing_is_called_where_orders_need_no_acceptance(stand: Stand) -> None:
    """The word is empty, even while the platform is away."""
    await stand.dial(outage="cut")
    assert await stand.client.accept("1") == ""


async def _left(stand: Stand, order_id: str) -> str:
    """Return how much of an order has left by its document, which says nothing else."""
    [order] = await stand.heard(order_id)
    assert isinstance(order, LeftOrder), order
    return order.left


async def _said(stand: Stand, order_id: str) -> list[Heard]:
    """Return what an order's document says; a platform that shows no such order says nothing."""
    refused = await refusal_of(stand.client.document(About.ORDER, order_id))
    if refused is None:
        return await stand.heard(order_id)
    assert refused.cure is Cure.GIVE_UP, refused
    return []
