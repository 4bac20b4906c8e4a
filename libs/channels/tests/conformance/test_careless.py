"""The kit can fail: a connector that ignores a quirk, here by one careless change, does not pass its check."""

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import httpx
import msgspec
import pytest

from libs.channels import douyin, jd, meituan, pinduoduo, taobao, wechat
from libs.channels.channel import About, Cure, Page, PlatformRefused
from libs.channels.own.inbound import RefundWithdrawn
from libs.channels.pinduoduo.client import LISTS
from libs.channels.refusals import OrderRefused
from libs.channels.tests.conformance import stand as stand_module
from libs.channels.tests.conformance.check import CHECKS
from libs.channels.tests.conformance.entries import ENTRIES
from libs.channels.tests.conformance.test_conformance import FAMILIES

FAILURES = (AssertionError, PlatformRefused, OrderRefused, httpx.TransportError, pytest.fail.Exception)
PATIENCE_S = 1.0  # what these variants are waited for does not come
BY_NAME = {entry.name: entry for entry in ENTRIES}
Careless = Callable[[pytest.MonkeyPatch], None]
CARELESS: dict[tuple[str, str, str], Careless] = {}


def careless(channel: str, name: str) -> Callable[[Careless], Careless]:
    """Enter a careless variant of a channel under the check that must find it out."""

    def enter(variant: Careless) -> Careless:
        CARELESS[channel, name, variant.__name__] = variant
        return variant

    return enter


def client_of(channel) -> type:
    """Return the class of a channel's client."""
    return channel.CHANNEL.client


@careless("pinduoduo", "pages_that_shift_hide_no_order")
def reads_pages_forward(patch):
    async def pages(self, about, window):
        rows, total = await self._rows(LISTS[about], window, 1)
        for number in range(1, -(-total // 100) + 1):
            rows, _ = await self._rows(LISTS[about], window, number)
            yield Page(tuple((row["order_sn"], window.until) for row in rows))

    patch.setattr(client_of(pinduoduo), "pages", pages)


@careless("pinduoduo", "the_newest_list_tells_an_order_at_once")
def asks_for_what_is_three_minutes_old(patch):
    async def newest(self, window):
        async for page in self._pages(About.ORDER, LISTS[About.ORDER], window):
            yield page

    patch.setattr(client_of(pinduoduo), "newest", newest)


@careless("taobao", "pages_that_shift_hide_no_order")
def reads_the_first_page_only(patch):
    async def pages(self, about, window):
        found, _ = await self._page(about, window, 1)
        yield Page(found)

    patch.setattr(client_of(taobao), "pages", pages)


@careless("taobao", "windows_that_meet_hide_no_order")
def rounds_windows_inwards(patch):
    import libs.channels.taobao.client as client

    honest, second = client.wall_clock, timedelta(seconds=1)
    patch.setattr(client, "wall_clock", lambda moment: honest(moment + second))
    patch.setattr(client, "_whole", lambda moment: moment - 2 * second)


@careless("jd", "the_largest_window_is_taken_and_a_larger_one_is_our_mistake")
def declares_a_window_that_is_too_large(patch):
    import libs.channels.jd.client as client

    patch.setattr(client, "_check", lambda window, limit_s: None)


@careless("pinduoduo", "a_token_that_ends_between_calls_is_refreshed")
def gives_up_on_a_dead_token(patch):
    import libs.channels.pinduoduo.cures as cures

    patch.setattr(cures, "CURES_BY_CODE", {**cures.CURES_BY_CODE, "10019": Cure.GIVE_UP})


@careless("douyin", "a_token_that_is_given_again_is_kept_once")
def takes_the_same_token_for_another(patch):
    import libs.channels.outward.refreshing as refreshing

    patch.setattr(refreshing, "is_same", lambda line, token: False)


@careless("wechat", "a_pull_goes_on_after_a_token_ended_in_it")
def takes_a_failed_list_for_an_empty_one(patch):
    honest = client_of(wechat)._ask

    async def ask(self, path, body):
        try:
            return await honest(self, path, body)
        except PlatformRefused:
            return {}, b"{}"

    patch.setattr(client_of(wechat), "_ask", ask)


@careless("douyin", "too_many_calls_wait")
def calls_again_at_once(patch):
    import libs.channels.douyin.cures as cures

    patch.setattr(cures, "LIMITED_WAIT_S", 0.0)


@careless("jd", "an_outage_leaves_nothing_half_done")
def believes_an_outage_to_be_success(patch):
    honest = client_of(jd).upload

    async def upload(self, parcel):
        try:
            return await honest(self, parcel)
        except httpx.TransportError:
            return "ok"

    patch.setattr(client_of(jd), "upload", upload)


@careless("taobao", "an_upload_that_is_repeated_ships_once")
def takes_its_own_repeat_for_a_failure(patch):
    import libs.channels.taobao.client as client

    patch.setattr(client, "ALREADY_SHIPPED", "another code")


@careless("douyin", "another_waybill_is_not_taken_for_the_same")
def takes_any_already_shipped_for_done(patch):
    async def has(self, parcel):
        return True

    patch.setattr(client_of(douyin), "_has_waybill", has)


@careless("wechat", "corrections_stay_within_the_budget")
def believes_in_more_corrections(patch):
    declared = wechat.CHANNEL.capabilities
    patch.setattr(declared.__class__, "reships_limit", 3, raising=True)
    patch.setitem(declared.__dict__, "reships_limit", 3)


@careless("taobao", "parcels_go_apart")
def ships_everything_with_the_first_parcel(patch):
    import libs.channels.taobao.client as client

    honest = client.shipment_parameters

    def whole(parcel):
        return {name: value for name, value in honest(parcel).items() if name not in ("is_split", "sub_tid")}

    patch.setattr(client, "shipment_parameters", whole)


@careless("douyin", "a_difference_is_added")
def names_each_attempt_anew(patch):
    import libs.channels.douyin.mapping as mapping

    honest, attempts = mapping.stock, iter(range(100))
    patch.setattr(mapping, "stock", lambda order: honest(order) | {"idempotent_id": f"attempt-{next(attempts)}"})


@careless("wechat", "a_platform_that_forgets_is_found_out")
def reads_back_what_it_told(patch):
    honest, told = client_of(wechat).push_stock, {}

    async def push_stock(self, orders):
        for order in orders:
            told[order.listing_sku] = 10_000 + order.quantity
        return await honest(self, orders)

    async def read_stock(self, listing_id, listing_sku):
        return told[listing_sku]

    patch.setattr(client_of(wechat), "push_stock", push_stock)
    patch.setattr(client_of(wechat), "read_stock", read_stock)


@careless("meituan", "a_listing_that_is_not_there_is_no_success")
def trusts_the_ok(patch):
    async def push_stock(self, orders):
        from libs.channels.meituan.mapping import stock_params

        await self._call("POST", "retail/sku/stock", stock_params(self._access.seller_id, orders))
        return "ok"

    patch.setattr(client_of(meituan), "push_stock", push_stock)


@careless("taobao", "an_order_is_told_whole")
def reads_integers_as_floats(patch):
    import libs.channels.values as values

    patch.setattr(values, "decode", lambda raw: json.loads(raw, parse_int=lambda digits: int(float(digits))))


@careless("meituan", "an_order_is_told_whole")
def takes_yuan_for_fen(patch):
    import libs.channels.meituan.mapping as mapping

    patch.setattr(mapping, "fen_of_yuan", lambda field, value: int(float(value)))


@careless("jd", "a_wish_for_money_is_told")
def takes_fen_for_yuan(patch):
    import libs.channels.jd.mapping as mapping

    patch.setattr(mapping, "UNITS", {**mapping.UNITS, "applyRefundSum": "yuan"})


@careless("douyin", "a_refund_of_one_line_names_it_and_the_line_leaves")
def ships_what_is_paid_back(patch):
    import libs.channels.douyin.mapping as mapping

    patch.setattr(mapping, "_asked_back", lambda detail: set())


@careless("wechat", "a_wish_for_money_is_told")
def passes_over_a_withdrawn_refund(patch):
    _heard(patch, wechat, lambda said: [each for each in said if not isinstance(each, RefundWithdrawn)])


@careless("taobao", "an_order_whose_lines_are_asked_back_one_by_one_is_asked_back")
def takes_a_last_line_asked_back_for_an_order(patch):
    _heard(patch, taobao, lambda said: [getattr(each, "order", each) for each in said])


@careless("taobao", "an_unpaid_order_says_nothing")
def hears_unpaid_orders(patch):
    import libs.channels.taobao.mapping as mapping

    patch.setattr(mapping, "SILENT", frozenset())
    patch.setattr(mapping, "PAID", mapping.PAID | {"WAIT_BUYER_PAY"})


@careless("pinduoduo", "an_order_under_review_says_nothing_yet")
def hears_orders_under_review(patch):
    import libs.channels.pinduoduo.mapping as mapping

    patch.setattr(mapping, "IN_REVIEW", -1)


@careless("pinduoduo", "an_order_that_has_left_says_so")
def places_what_the_platform_shipped(patch):
    import libs.channels.pinduoduo.mapping as mapping

    patch.setattr(mapping, "_has_left", lambda info: False)


@careless("taobao", "an_order_that_has_left_in_part_says_so")
def takes_a_part_for_all_of_it(patch):
    import libs.channels.taobao.mapping as mapping

    patch.setattr(mapping, "SHIPPED_IN_PART", "another status")


@careless("jd", "a_paid_order_that_closes_is_an_order_and_its_cancellation")
def forgets_the_cancellation(patch):
    _heard(patch, jd, lambda said: said[:1])


@careless("pinduoduo", "receivers_are_taken_however_they_are_shown")
def insists_on_a_phone_number(patch):
    def digits(said):
        if not all(getattr(each, "recipient", None) is None or each.recipient.phone.isdigit() for each in said):
            raise OrderRefused("receiver_phone", "is no phone number")
        return said

    _heard(patch, pinduoduo, digits)


@careless("wechat", "a_broken_document_is_refused_by_name")
def lets_the_decoders_error_out(patch):
    _heard(patch, wechat, lambda said: said, before=msgspec.json.decode)


@careless("douyin", "a_forged_push_is_refused")
def checks_no_signature(patch):
    import libs.channels.douyin.inbound as inbound

    patch.setattr(inbound, "hmac", SimpleNamespace(compare_digest=lambda expected, offered: True))


@careless("douyin", "what_is_signed_must_not_be_there_twice")
def takes_the_first_of_two_headers(patch):
    import libs.channels.douyin.inbound as inbound

    def first(headers, name):
        return next((value for key, value in headers if key.lower() == name), None)

    patch.setattr(inbound, "_header", first)


@careless("meituan", "a_push_hints_at_its_order_and_is_answered")
def decodes_values_once(patch):
    import libs.channels.meituan.inbound as inbound

    patch.setattr(inbound, "unquote_plus", lambda value: value)


@careless("wechat", "pushes_that_are_doubled_thin_or_late_say_the_same")
def needs_what_thin_pushes_lack(patch):
    import libs.channels.wechat.inbound as inbound

    honest = inbound._hints

    def hints(message):
        return honest(message) if "cancel_type" in message.get("order_info", {}) else ()

    patch.setattr(inbound, "_hints", hints)


@careless("douyin", "a_push_hints_at_its_order_and_is_answered")
def answers_in_its_own_words(patch):
    import libs.channels.douyin.inbound as inbound
    from libs.channels.channel import Answer

    patch.setattr(inbound, "PUSH_ANSWER", Answer(b"ok"))


@careless("taobao", "unconfirmed_messages_come_again_and_confirmed_ones_do_not")
def confirms_nothing(patch):
    async def confirm(self, receipts):
        return

    patch.setattr(client_of(taobao), "confirm", confirm)


@careless("meituan", "the_days_numbers_are_true_or_absent")
def stops_before_the_newest_number(patch):
    honest = client_of(meituan)._newest_number

    async def newest(self):
        return await honest(self) - 1

    patch.setattr(client_of(meituan), "_newest_number", newest)


def _heard(patch, channel, change, before=lambda raw: None) -> None:
    """Let a channel say something else than its documents do."""
    honest = channel.CHANNEL.heard

    def heard(document):
        before(document.raw)
        return change(honest(document))

    patch.setitem(channel.CHANNEL.__dict__, "heard", heard)


@pytest.mark.parametrize(("channel", "name", "variant"), CARELESS, ids=lambda each: each)
async def test_the_kit_finds_it_out(open_stand, monkeypatch, channel, name, variant):
    check = CHECKS[name]
    assert check.applies(BY_NAME[channel])
    CARELESS[channel, name, variant](monkeypatch)
    monkeypatch.setattr(stand_module, "WAIT_LIMIT_S", PATIENCE_S)
    stand = await open_stand(BY_NAME[channel])
    with pytest.raises(FAILURES):
        await check.run(stand)


def test_every_family_of_checks_has_been_seen_to_fail():
    failed = {CHECKS[name].run.__module__ for _, name, _ in CARELESS}
    assert failed == {family.__name__ for family in FAMILIES}
    assert {channel for channel, _, _ in CARELESS} == set(BY_NAME)
