"""Calls out: paced, answered by what helps, repeated where that helps, and one shop's trouble stays its own."""

import asyncio

import pytest

from libs.channels.channel import About, Cure, Document, Hint, Message, PlatformRefused, Token
from libs.channels.outward.fetching import Fetcher
from libs.channels.outward.lines import WORDS_LIMIT_CHARACTERS, plain
from libs.channels.outward.listening import listen
from libs.channels.outward.refreshing import NOT_SIGNED_IN, Refresher, is_due
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
