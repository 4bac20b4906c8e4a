"""Calls out: paced, answered by what helps, repeated where that helps, and one shop's trouble stays its own."""

import asyncio
from dataclasses import replace

import pytest

from libs.channels.channel import About, Cure, Document, Hint, Message, PlatformRefused, Token
from libs.channels.outward.fetching import Fetcher
from libs.channels.outward.lines import WORDS_LIMIT_CHARACTERS, plain
from libs.channels.outward.listening import listen
from libs.channels.outward.refreshing import NOT_SIGNED_IN, Refresher, is_due, is_same
from libs.channels.outward.tending import tend
from libs.channels.outward.tests.doubles import NOW, FakeClient, FakeLines, at, ended, line
from libs.channels.pacing import Bucket
from libs.decide import Send
from libs.stream.desk import NotServing, Overloaded
from libs.stream.egress import Refused, Retry
from libs.testkit.waiting import until


def test_a_bucket_lets_a_burst_through_and_then_keeps_the_pace():
    bucket = Bucket(10)
    waits = [bucket.reserve(100.0) for _ in range(15)]
    assert waits[:10] == pytest.approx([-0.9 + 0.1 * n for n in range(10)])
    assert waits[14] == pytest.approx(0.5)
    assert bucket.reserve(101.0) == pytest.approx(-0.4)
    assert bucket.reserve(500.0) == pytest.approx(-0.9)


def test_words_of_platforms_are_bounded_and_printable():
    assert plain("a\x00b\ud800c\n") == "a b c "
    assert len(plain("x" * 1000)) == WORDS_LIMIT_CHARACTERS


SEND = Send(
    destination="fetch:fake",
    send_id="s1/order/1/1",
    key="1",
    body={"shop_id": "s1", "about": "order", "subject_id": "1", "fetch_no": 1},
)


@pytest.mark.parametrize(
    ("cure", "raised", "least_s", "refused", "asked"),
    [
        (Cure.RETRY, Retry, 7, [], []),
        (Cure.REFRESH, Retry, 7, ["s1"], []),
        (Cure.GIVE_UP, Refused, 0, [], []),
        (Cure.ASK, Retry, 60, [], [("s1", "27: no")]),
    ],
)
async def test_a_refused_fetch_is_answered_by_what_helps(cure, raised, least_s, refused, asked):
    lines = FakeLines(line(client=FakeClient(document=[PlatformRefused(cure, "27", "no", 7)])))
    with pytest.raises(raised) as found:
        await Fetcher(lines, None, lambda: NOW).send(SEND, 1)
    assert getattr(found.value, "after_seconds", 0) >= least_s
    assert (lines.refused, lines.asked) == (refused, asked)


async def test_a_fetch_hands_on_what_it_brought():
    document = Document(About.ORDER, "1", b"{}")
    taken = []

    async def take(*found):
        taken.append(found)
        return "taken"

    lines = FakeLines(line(client=FakeClient(document=[document])))
    assert await Fetcher(lines, take, lambda: NOW).send(SEND, 1) == "taken"
    assert taken == [(lines.lines["s1"], 1, document, NOW)]
    with pytest.raises(Refused):
        await Fetcher(FakeLines(), take, lambda: NOW).send(SEND, 1)
    with pytest.raises(Retry):
        await Fetcher(FakeLines(line(paused=True)), take, lambda: NOW).send(SEND, 1)


async def test_a_fetch_accepts_nothing_for_nothing_is_durable_yet():
    async def take(*found):
        return "taken"

    client = FakeClient(document=[Document(About.ORDER, "1", b"{}")])
    lines = FakeLines(line(client=client, able={"accept_limit_s": 900}))
    assert await Fetcher(lines, take, lambda: NOW).send(SEND, 1) == "taken"
    assert [call[0] for call in client.calls] == ["document"]


async def test_messages_are_confirmed_after_they_are_kept_and_not_when_they_are_not():
    messages = [Message(f"m{n}", (Hint(About.ORDER, str(n)),), b"{}") for n in range(120)]
    client = FakeClient(messages=[messages])
    kept = []

    async def keep(line, found):
        assert len(kept) == sum(len(call[1]) for call in client.calls if call[0] == "confirm")
        kept.extend(each.receipt for each in found)

    task = asyncio.create_task(listen(FakeLines(line(client=client)), keep, "s1", 0.001))
    await until(lambda: sum(len(call[1]) for call in client.calls if call[0] == "confirm") == 120)
    await ended(task)
    assert kept == [each.receipt for each in messages]

    async def fail(line, found):
        raise OSError("database away")

    client = FakeClient(messages=[messages])
    with pytest.raises(ExceptionGroup):
        await listen(FakeLines(line(client=client)), fail, "s1", 0.001)
    assert [call for call in client.calls if call[0] == "confirm"] == []


async def test_a_queue_that_refuses_the_token_is_listened_to_again():
    client = FakeClient(messages=[PlatformRefused(Cure.REFRESH, "27", "session"), []])
    lines = FakeLines(line(client=client))
    task = asyncio.create_task(listen(lines, None, "s1", 0.001))
    await until(lambda: lines.refused == ["s1"])
    await until(lambda: len(client.calls) >= 2)
    await ended(task)


LIVES = {"token_lives_s": 86_400, "signs_in": True}


@pytest.mark.parametrize(
    ("able", "more", "due"),
    [
        ({}, {}, False),
        ({}, {"token_refused_at": NOW}, True),
        (LIVES, {"token_expires_at": at(86_000)}, False),
        (LIVES, {"token_expires_at": at(17_000)}, True),
        (LIVES, {"token_expires_at": at(86_000), "token_refused_at": NOW}, True),
        (LIVES, {"token_expires_at": None}, False),
        ({"token_lives_s": 7200}, {"token": ""}, True),
        ({}, {"token_expires_at": at(30)}, True),
    ],
)
def test_when_a_token_is_refreshed(able, more, due):
    assert is_due(line(able=able, **more), NOW) is due


async def test_one_refresh_at_a_time_and_what_it_gave_is_kept():
    gate, kept = asyncio.Event(), []
    client = FakeClient(refresh=[Token("newer")])

    async def keep(line, token):
        await gate.wait()
        kept.append((line.shop_id, token.access_token))

    refresher = Refresher(FakeLines(line(client=client, able=LIVES, token_refused_at=NOW)), keep, lambda: NOW)
    for _ in range(3):
        await refresher.round()
        await until(lambda: client.calls)
    gate.set()
    await refresher.settled()
    assert (kept, client.calls) == ([("s1", "newer")], [("refresh",)])


class Renewing(FakeClient):
    """A platform that gives the same token, and its end by the second, until so long before that end."""

    def __init__(self, clock, ends_s, renews_s):
        super().__init__()
        self.clock, self.ends_s, self.renews_s = clock, ends_s, renews_s

    async def refresh(self):
        self.calls.append(self.clock[0])
        renewed = self.ends_s - self.clock[0] <= self.renews_s
        return Token("newer", at(self.ends_s + 604_800)) if renewed else Token("old", at(self.ends_s + 0.7), "r")


@pytest.mark.parametrize(
    ("lives_s", "ahead_s", "renews_s"), [(604_800, 86_400, 3600), (7200, 1440, 300)], ids=["douyin", "wechat"]
)
async def test_a_token_that_is_given_again_is_asked_for_a_few_times_and_not_kept(lives_s, ahead_s, renews_s):
    clock, kept = [0], []
    client = Renewing(clock, ahead_s, renews_s)

    async def keep(line, token):
        kept.append((token.access_token, clock[0]))
        lines.lines["s1"] = replace(line, version="2", token_expires_at=token.expires_at)

    able = {"token_lives_s": lives_s}
    lines = FakeLines(line(client=client, able=able, version="1", token_expires_at=at(ahead_s)))
    refresher = Refresher(lines, keep, lambda: at(clock[0]))
    for clock[0] in range(0, ahead_s, 60):
        await refresher.round()
        await refresher.settled()
    [(token, kept_s)] = kept
    assert token == "newer"
    assert renews_s / 3 <= ahead_s - kept_s <= renews_s, "as soon as can be, and well before the end"
    assert len(client.calls) <= 6


async def test_a_token_that_is_refused_is_refreshed_though_it_was_just_given_again():
    kept = []
    client = FakeClient(refresh=[Token("old", at(9000)), Token("forced", at(9000))])

    async def keep(line, token):
        kept.append(token.access_token)

    lines = FakeLines(line(client=client, able=LIVES, token_expires_at=at(9000)))
    refresher = Refresher(lines, keep, lambda: NOW)
    for _ in range(2):
        await refresher.round()
        await refresher.settled()
    assert (kept, client.calls) == ([], [("refresh",)])
    lines.lines["s1"] = replace(lines.lines["s1"], token_refused_at=NOW)
    await refresher.round()
    await refresher.settled()
    assert kept == ["forced"]


@pytest.mark.parametrize(
    ("token", "more", "same"),
    [
        (Token("old", at(9000)), {}, True),
        (Token("old", at(9001), "r"), {}, True),
        (Token("newer", at(9000)), {}, False),
        (Token("old", at(9000), "another"), {}, False),
        (Token("old", at(90_000)), {}, False),
        (Token("old"), {}, False),
        (Token("old", at(9000)), {"token_expires_at": None}, False),
        (Token("old", at(9000)), {"token_refused_at": NOW}, False),
        (Token("old", at(9000)), {"asks": "sign in again"}, False),
    ],
)
def test_what_is_the_same_token(token, more, same):
    assert is_same(line(**{"token_expires_at": at(9000)} | more), token) is same


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({"token": ""}, NOT_SIGNED_IN),
        ({"client": FakeClient(refresh=[PlatformRefused(Cure.ASK, "40006", "revoked")])}, "revoked"),
        ({"client": FakeClient(refresh=[PlatformRefused(Cure.RETRY, "HTTP 503", "away")])}, None),
    ],
)
async def test_what_no_refresh_can_help_asks_a_person(more, asked):
    lines = FakeLines(line(able=LIVES, token_refused_at=NOW, **more))
    refresher = Refresher(lines, None, lambda: NOW)
    for _ in range(2):
        await refresher.round()
        await refresher.settled()
    assert len(lines.asked) == (0 if asked is None else 1)
    assert asked is None or asked in lines.asked[0][1]


async def test_what_a_refresh_gave_is_kept_though_nobody_takes_it_at_first():
    answers, kept = [NotServing("the database is away"), Overloaded(), None], []
    client = FakeClient(refresh=[Token("newer"), PlatformRefused(Cure.GIVE_UP, "31009", "refresh_token used")])

    async def keep(line, token):
        if (answer := answers.pop(0)) is not None:
            raise answer
        kept.append(token.access_token)

    lines = FakeLines(line(client=client, able=LIVES, token_refused_at=NOW))
    refresher = Refresher(lines, keep, lambda: NOW, keep_retry_s=0.001)
    await refresher.round()
    await refresher.settled()
    assert (kept, client.calls, lines.asked) == (["newer"], [("refresh",)], [])


async def test_a_refresh_token_that_is_used_up_says_what_to_do():
    client = FakeClient(refresh=[PlatformRefused(Cure.GIVE_UP, "31009", "refresh_token used")])
    lines = FakeLines(line(client=client, able=LIVES, token_refused_at=NOW))
    refresher = Refresher(lines, None, lambda: NOW)
    await refresher.round()
    await refresher.settled()
    assert lines.asked == [("s1", "sign the shop in again: the token cannot be refreshed: 31009: refresh_token used")]


async def test_each_shop_is_tended_alone():
    wanted, running, fails = {"a": 1, "b": 1}, [], []

    async def work(shop_id):
        if shop_id == "b":
            fails.append(shop_id)
            raise OSError("its platform is away")
        running.append(shop_id)
        try:
            await asyncio.Event().wait()
        finally:
            running.remove(shop_id)

    async def now_wanted():
        return dict(wanted)

    task = asyncio.create_task(tend("test", "worker", now_wanted, work, 0.002))
    await until(lambda: running == ["a"] and fails)
    wanted["c"] = 1
    await until(lambda: running == ["a", "c"])
    wanted["a"] = 2
    await until(lambda: running == ["c", "a"])
    del wanted["c"]
    await until(lambda: running == ["a"])
    await ended(task)
    assert running == []
