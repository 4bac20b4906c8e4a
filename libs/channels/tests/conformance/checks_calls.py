"""Calls: signatures, tokens, rates, outages. Each no is told with the cure that helps."""

from dataclasses import replace
from datetime import datetime
from typing import cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from libs.channels.channel import About, Client, Cure, Token
from libs.channels.outward.lines import Line, Lines
from libs.channels.outward.refreshing import AHEAD_MOST, AHEAD_PARTS, Refresher
from libs.channels.tests.conformance.check import check
from libs.channels.tests.conformance.entries import Entry
from libs.channels.tests.conformance.stand import Stand, refusal, refusal_of

CALLBACK = "https://hub.example/callback?from=platform"
STATE = "a b&c=1/+%"
STEPS_TO_THE_END = 100


@check()
async def a_wrong_secret_asks_a_person(stand: Stand) -> None:
    """No repeat and no refresh helps against a secret that is another; where calls are not signed, tokens need it."""
    order = await stand.order()
    stand.access = replace(stand.access, app_secret="another")
    refused = await refusal_of(stand.client.document(About.ORDER, order["order_id"]))
    refused = refused or await refusal(stand.client.refresh())
    assert refused.cure is Cure.ASK, refused


@check(lambda entry: entry.channel.capabilities.signs_in)
async def an_operator_signs_in(stand: Stand) -> None:
    """The page is named with our address and state, its code yields tokens that work, once."""
    order = await stand.order()
    page = stand.client.authorize_url(CALLBACK, STATE)
    assert page is not None
    sent_back = await stand.http.get(page, follow_redirects=False)
    assert sent_back.status_code == 302, sent_back.text
    target = urlsplit(sent_back.headers["location"])
    query = parse_qs(target.query)
    assert target.hostname == "hub.example"
    assert query["from"] == ["platform"]
    assert query["state"] == [STATE]
    token = await stand.client.exchange(query["code"][0], CALLBACK)
    assert token.access_token != stand.access.access_token
    assert token.expires_at is None or token.expires_at > stand.doubles.now()
    stand.renewed(token)
    await stand.client.document(About.ORDER, order["order_id"])
    refused = await refusal(stand.client.exchange(query["code"][0], CALLBACK))
    assert refused.cure is Cure.ASK, refused


@check(lambda entry: not entry.channel.capabilities.signs_in)
async def a_shop_without_a_page_gets_its_token_by_a_call(stand: Stand) -> None:
    """There is no page to sign in at, and the token that is asked for works."""
    order = await stand.order()
    assert stand.client.authorize_url(CALLBACK, STATE) is None
    stand.renewed(await stand.client.exchange("", CALLBACK))
    await stand.client.document(About.ORDER, order["order_id"])


@check()
async def a_token_that_ends_between_calls_is_refreshed(stand: Stand) -> None:
    """The call says REFRESH, the refreshed token works, and a dead refresh token asks a person or is not needed."""
    before = await stand.own_dials(stand.entry.token_dials) if stand.entry.token_dials else {}
    try:
        order_id = (await stand.order())["order_id"]
        await stand.dial(token_expires_after_calls=1)
        await stand.client.document(About.ORDER, order_id)
        refused = await refusal(stand.client.document(About.ORDER, order_id))
        assert refused.cure is Cure.REFRESH, refused
        await stand.dial(token_expires_after_calls=0)
        token = await stand.client.refresh()
        assert token.expires_at is None or token.expires_at > stand.doubles.now()
        stand.renewed(token)
        await stand.client.document(About.ORDER, order_id)
        await stand.expire(refresh=True)
        dead = await refusal_of(stand.client.refresh())
        assert dead is None or dead.cure is Cure.ASK, dead
    finally:
        if before:
            await stand.own_dials(before)


class _Renewed:
    """A shop whose token is kept new: which it has, when each was kept, and how often the platform was asked."""

    def __init__(self, stand: Stand, token: Token) -> None:
        self.stand, self.token = stand, token
        self.asked = 0
        self.kept: list[datetime] = []
        stand.renewed(token)

    async def refresh(self) -> Token:
        self.asked += 1
        return await self.stand.client.refresh()

    async def keep(self, line: Line, token: Token) -> None:
        self.stand.renewed(token)
        self.token = token
        self.kept.append(self.stand.doubles.now())

    async def all(self) -> list[Line]:
        entry, access = self.stand.entry, self.stand.access
        version, ends = str(len(self.kept)), self.token.expires_at
        client = cast("Client", self)
        return [Line(access.shop_id, entry.name, entry.channel, access, client, version=version, token_expires_at=ends)]


@check(lambda entry: entry.channel.capabilities.token_lives_s is not None)
async def a_token_that_is_given_again_is_kept_once(stand: Stand) -> None:
    """Platforms give a token again until it is nearly over: they are asked a few times, the next is there in time."""
    order_id = (await stand.order())["order_id"]
    shop = _Renewed(stand, await stand.client.refresh())
    first, ends = shop.token.access_token, shop.token.expires_at
    assert ends is not None
    left_s = (ends - stand.doubles.now()).total_seconds()
    ahead_s = min(left_s / AHEAD_PARTS, AHEAD_MOST.total_seconds())
    await stand.doubles.advance(left_s - ahead_s)
    refresher = Refresher(cast("Lines", shop), shop.keep, stand.doubles.now)
    for _ in range(STEPS_TO_THE_END):
        await refresher.round()
        await refresher.settled()
        await stand.doubles.advance(ahead_s / STEPS_TO_THE_END)
    assert [kept < ends for kept in shop.kept] == [True]
    assert shop.token.access_token != first
    assert shop.asked <= 8, "each time in half of what is left"
    await stand.client.document(About.ORDER, order_id)


@check()
async def too_many_calls_wait(stand: Stand) -> None:
    """The platform's code for too many calls is RETRY, and says after how long."""
    order_id = (await stand.order())["order_id"]
    await stand.dial(calls_per_s=0.001)
    await refusal_of(stand.client.document(About.ORDER, order_id))
    refused = await refusal(stand.client.document(About.ORDER, order_id))
    assert refused.cure is Cure.RETRY, refused
    assert 0 < refused.after_seconds <= 3600, refused.after_seconds


@check()
async def a_busy_platform_is_asked_again(stand: Stand) -> None:
    """The platform's own "try again" is RETRY."""
    order_id = (await stand.order())["order_id"]
    await stand.dial(busy_percent=100)
    refused = await refusal(stand.client.document(About.ORDER, order_id))
    assert refused.cure is Cure.RETRY, refused


def _uploads(entry: Entry) -> bool:
    return entry.channel.capabilities.takes_shipment_upload


@check(_uploads)
async def an_outage_leaves_nothing_half_done(stand: Stand) -> None:
    """A broken connection is a transport error, a 503 is RETRY; afterwards the same upload is taken once."""
    parcel = await stand.parcel((await stand.order())["order_id"], "SF10001")
    await stand.dial(outage="cut")
    with pytest.raises(httpx.TransportError):
        await stand.client.upload(parcel)
    await stand.dial(outage="503")
    refused = await refusal(stand.client.upload(parcel))
    assert refused.cure is Cure.RETRY, refused
    await stand.dial(outage="")
    assert await stand.waybills(parcel.platform_order_id) == []
    await stand.client.upload(parcel)
    assert await stand.waybills(parcel.platform_order_id) == ["SF10001"]


@check(_uploads)
async def an_answer_that_got_lost_is_no_second_shipment(stand: Stand) -> None:
    """The work was done, the answer was a 502: the repeat counts as done and ships nothing again."""
    parcel = await stand.parcel((await stand.order())["order_id"], "SF10002")
    await stand.dial(answers_lost_percent=100)
    refused = await refusal(stand.client.upload(parcel))
    assert refused.cure is Cure.RETRY, refused
    await stand.dial(answers_lost_percent=0)
    assert await stand.client.upload(parcel)
    assert await stand.waybills(parcel.platform_order_id) == ["SF10002"]


@check()
async def what_does_not_exist_is_not_asked_for_ever(stand: Stand) -> None:
    """An order that the platform does not know is given up, or a person decides."""
    known = (await stand.order())["order_id"]
    unknown = known[:-3] + ("111" if known[-3:] != "111" else "222")
    refused = await refusal(stand.client.document(About.ORDER, unknown))
    assert refused.cure in (Cure.GIVE_UP, Cure.ASK), refused
    assert refused.text
