"""How a shop on a platform is connected: once per state, one token after the other, and stuck only in plain words."""

import pytest

from services.ingestion.domain import (
    AskPerson,
    BeginSignIn,
    Connection,
    KeepToken,
    Progress,
    PutShop,
    RefuseToken,
    TokenKept,
    UseSignIn,
)
from services.ingestion.tests.platform_samples import CHANNEL, SHOP, at, connect, connected
from services.ingestion.tests.samples import NOW


@pytest.fixture
def bench():
    return connected()


def shop(bench):
    return bench.row(Connection, SHOP)


def own(shop_id):
    asked = {"shop_id": shop_id, "channel": "own", "paused": False, "rotate": False}
    return PutShop(**asked, secret_id="s", secret_wrapped="w", previous_valid_hours=1)


def token(wrapped, **more):
    return TokenKept(wrapped=wrapped, **more)


def test_a_shop_is_made_once_and_complete_from_then_on(bench):
    assert shop(bench).token_version == 1
    assert bench.row(Progress, SHOP).complete_until == NOW
    assert bench.handle(connect(paused=True, access_wrapped="", token=None), at(9))[-1].status == 200
    assert shop(bench).paused
    assert (shop(bench).access_wrapped, bench.row(Progress, SHOP).since) == ("wrapped", NOW)


def test_carriers_change_alone_and_stay_when_they_are_not_named(bench):
    bench.handle(connect(access_wrapped="", token=None, carriers={"JD": "JDKD"}), NOW)
    assert shop(bench).carriers == {"JD": "JDKD"}
    bench.handle(connect(), NOW)
    assert shop(bench).carriers == {"JD": "JDKD"}
    bench.handle(connect(access_wrapped="", token=None, carriers={}), NOW)
    assert shop(bench).carriers == {}
    wanted = connect(carriers={"JD": "JDKD"})
    assert wanted.sameness != connect().sameness, "another request under the same key is refused"


def test_a_shop_keeps_its_channel_and_its_id(bench):
    assert bench.handle(connect(channel="jd"), NOW)[-1].status == 409
    assert bench.handle(own(SHOP), NOW)[-1].body["channel"] == CHANNEL
    bench.handle(own("mine"), NOW)
    assert bench.handle(connect(shop_id="mine"), NOW)[-1].status == 409
    assert bench.handle(connect(shop_id="new", access_wrapped=""), NOW)[-1].status == 422


def test_the_same_access_again_keeps_the_token_that_was_refreshed_since(bench):
    bench.handle(KeepToken(shop_id=SHOP, token=token("second"), instead_of=1), NOW)
    bench.handle(connect(), NOW)
    assert (shop(bench).token_wrapped, shop(bench).token_version) == ("second", 2)
    bench.handle(connect(access_digest="d2", token=token("third")), NOW)
    assert (shop(bench).token_wrapped, shop(bench).token_version) == ("third", 3)


def test_two_refreshers_cannot_both_win(bench):
    assert bench.handle(KeepToken(shop_id=SHOP, token=token("a"), instead_of=1), NOW)[-1].status == 200
    assert bench.handle(KeepToken(shop_id=SHOP, token=token("b"), instead_of=1), NOW)[-1].status == 409
    assert shop(bench).token_wrapped == "a"


def test_another_seller_cannot_sign_in(bench):
    answer = bench.handle(KeepToken(shop_id=SHOP, token=token("a", seller_id="10")), NOW)[-1]
    assert (answer.status, answer.body["field"]) == (409, "seller_id")
    # A refresh cannot: some platforms name the account there by another id.
    refreshed = KeepToken(shop_id=SHOP, token=token("a", seller_id="wx9"), instead_of=1)
    assert bench.handle(refreshed, NOW)[-1].status == 200
    assert shop(bench).seller_id == "9"


@pytest.mark.parametrize(
    ("channel", "seconds", "times", "status"),
    [(CHANNEL, 10, 1, 200), (CHANNEL, 10, 2, 400), (CHANNEL, 901, 1, 400), ("jd", 10, 1, 400)],
)
def test_a_state_is_good_once_in_time_and_for_its_channel(bench, channel, seconds, times, status):
    bench.handle(BeginSignIn(shop_id=SHOP, state_hash="h"), NOW)
    for _ in range(times):
        answer = bench.handle(UseSignIn(channel=channel, state_hash="h"), at(seconds))[-1]
    assert answer.status == status
    assert bench.handle(UseSignIn(channel=channel, state_hash="other"), at(seconds))[-1].status == 400


def test_a_refused_token_is_noted_once_and_a_newer_one_ends_it(bench):
    refused = RefuseToken(shop_id=SHOP, token_version=1)
    assert bench.handle(refused, NOW)[-1].body == {"refresh": True}
    assert shop(bench).token_refused_at == NOW
    bench.handle(refused, at(5))
    assert shop(bench).token_refused_at == NOW
    bench.handle(KeepToken(shop_id=SHOP, token=token("a"), instead_of=1), at(6))
    assert shop(bench).token_refused_at is None
    assert bench.handle(refused, at(7))[-1].body == {"refresh": False}


def test_who_needs_a_person_says_so_until_one_acts(bench):
    ask = AskPerson(shop_id=SHOP, token_version=1, why="sign in again")
    bench.handle(ask, NOW)
    bench.handle(ask, at(5))
    assert (shop(bench).asks, shop(bench).asks_since) == ("sign in again", NOW)
    bench.handle(KeepToken(shop_id=SHOP, token=token("a")), at(6))
    assert shop(bench).asks is None
    bench.handle(ask, at(7))
    assert shop(bench).asks is None, "it is about a token that is gone"


def test_unknown_shops_are_refused(bench):
    for command in (
        BeginSignIn(shop_id="x", state_hash="h"),
        KeepToken(shop_id="x", token=token("a")),
    ):
        assert bench.handle(command, NOW)[-1].status == 404
