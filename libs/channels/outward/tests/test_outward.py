"""Calls out: paced, answered by what helps, repeated where that helps, and one shop's trouble stays its own."""

import asyncio
from contextlib import suppress
from datetime import date

import pytest

from libs.channels.capabilities import Capabilities
from libs.channels.channel import About, Cure, Document, Hint, Message, Page, PlatformRefused, Token
from libs.channels.outward.fetching import Fetcher
from libs.channels.outward.lines import WORDS_LIMIT_CHARACTERS, plain
from libs.channels.outward.listening import listen
from libs.channels.outward.pulling import Puller, Reached, counted_to, days_between, next_window
from libs.channels.outward.refreshing import NOT_SIGNED_IN, Refresher, is_due
from libs.channels.outward.tending import tend
from libs.channels.outward.tests.doubles import ABLE, NOW, FakeClient, FakeLines, at, line
from libs.channels.pacing import Bucket
from libs.decide import Send
from libs.stream.desk import NotServing, Overloaded
from libs.stream.egress import Refused, Retry
from libs.testkit.waiting import until


async def ended(task):
    task.cancel()
    await asyncio.wait([task])


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


@pytest.mark.parametrize(
    ("able", "covered", "now", "window"),
    [
        ({}, 0, 100, (-300, 95)),
        ({"pull_lag_s": 10}, 0, 100, (-300, 85)),
        ({}, 0, 5, None),
        ({}, 94.5, 100, None),
        ({"pull_window_limit_s": 1800}, 0, 90_000, (-300, 1500)),
        ({"pull_window_limit_s": 300, "pull_overlap_s": 600}, 0, 90_000, (-150, 150)),
    ],
)
def test_windows_overlap_and_keep_to_the_limits(able, covered, now, window):
    found = next_window(at(covered), at(now), Capabilities(**ABLE | able))
    assert (None if found is None else (found.since, found.until)) == (window and (at(window[0]), at(window[1])))


def test_days_are_those_of_china_and_yesterday_counts_for_an_hour():
    assert days_between(at(-60), NOW) == [date(2026, 11, 11)]
    midnight = NOW.replace(hour=16)
    assert days_between(midnight.replace(minute=30), midnight.replace(minute=31)) == [
        date(2026, 11, 11),
        date(2026, 11, 12),
    ]
    assert len(days_between(at(-90 * 86400), NOW)) == 7
    assert [counted_to(numbers) for numbers in ([], [1, 2], [2], [1, 2, 4])] == [0, 2, 0, 2]


class Kept:
    """Evidence in memory."""

    def __init__(self):
        self.covered, self.number, self.days, self.said = at(0), 0, {}, []
        self.refuse = 0

    async def reached(self, line):
        return Reached(self.covered, self.number, self.days, at(0))

    async def page(self, line, about, step, page, asked_at):
        self.said.append(("page", about.value, step, [each for each, _ in page.subjects]))

    async def numbers(self, line, step, ids, asked_at):
        self.said.append(("numbers", step, list(ids)))

    async def close_pull(self, line, step, window, ended, listed, counted):
        self.said.append(("close", step, listed, counted))
        if self.refuse:
            self.refuse -= 1
            return False
        self.covered, self.number = window.until, step
        return True

    async def close_days(self, line, step, until, ended, counted, gaps):
        self.said.append(("days", step, dict(counted), list(gaps)))
        return True

    async def trouble(self, line, why):
        self.said.append(("trouble", why))


async def test_a_round_walks_orders_and_refunds_counts_and_closes():
    able = {"pulls_orders": True, "pulls_refunds": True, "counts_orders": True, "pull_window_limit_s": 1800}
    client = FakeClient(pages=[[[("1", NOW), ("2", NOW)], [("1", NOW)]], [[("r1", NOW)]]], count=[2])
    evidence = Kept()
    found = line(client=client, able=able)
    assert await Puller(FakeLines(found), evidence, lambda: at(9000), 10).round(found), "more windows wait"
    assert evidence.said == [
        ("page", "order", 1, ["1", "2"]),
        ("page", "order", 1, ["1"]),
        ("page", "refund", None, ["r1"]),
        ("close", 1, 2, 2),
    ], "the newest minute had nothing"
    assert (client.calls[0][2].since, client.calls[0][2].until) == (at(-300), at(1500))


async def test_who_catches_up_looks_at_the_newest_minute_too_and_that_is_no_evidence():
    client = FakeClient(pages=[[[("1", NOW)]], [[("2", NOW)]]])
    evidence = Kept()
    found = line(client=client, able={"pulls_orders": True, "pull_window_limit_s": 1800, "pull_lag_s": 5})
    assert await Puller(FakeLines(found), evidence, lambda: at(9010), 10).round(found)
    assert evidence.said == [("page", "order", 1, ["1"]), ("close", 1, 1, None), ("page", "order", None, ["2"])]
    assert [(call[2].since, call[2].until) for call in client.calls] == [(at(-300), at(1500)), (at(8940), at(9000))]
    assert evidence.covered == at(1500)


async def test_it_looks_back_far_only_now_and_then():
    evidence, clock = Kept(), [at(0)]
    client = FakeClient()
    found = line(client=client, able={"pulls_orders": True})
    puller = Puller(FakeLines(found), evidence, lambda: clock[0], 10)
    for seconds in (60, 80, 100, 230):
        clock[0] = at(seconds)
        await puller.round(found)
    overlaps = [
        (before - call[2].since).total_seconds()
        for before, call in zip([at(0), at(55), at(75), at(95)], client.calls, strict=True)
    ]
    assert overlaps == [300, 15, 15, 300]


async def test_day_numbers_ask_for_what_is_new_and_name_the_gaps():
    evidence = Kept()
    evidence.days = {"2026-11-11": 2}
    client = FakeClient(day_numbers=[[(1, "a"), (2, "b"), (3, "c"), (5, "e")]])
    found = line(client=client, able={"numbers_days": True})
    assert not await Puller(FakeLines(found), evidence, lambda: at(60), 10).round(found)
    assert evidence.said == [
        ("numbers", 1, ["c", "e"]),
        ("days", 1, {"2026-11-11": 3}, ["2026-11-11 #4"]),
    ]


async def test_a_pull_that_fails_is_shown_and_made_again():
    refused = PlatformRefused(Cure.RETRY, "HTTP 503", "away")
    client = FakeClient(pages=[refused, ValueError("not a number: 13800000000")])
    evidence = Kept()
    lines = FakeLines(line(client=client, able={"pulls_orders": True}))
    task = asyncio.create_task(Puller(lines, evidence, lambda: at(60), 0.001).run("s1"))
    await until(lambda: ("close", 1, 0, None) in evidence.said)
    await ended(task)
    assert evidence.said[0] == ("trouble", "HTTP 503: away")
    what, why = evidence.said[1]
    assert (what, why.partition(" (")[0]) == ("trouble", "ValueError")
    assert "libs.channels.outward" in why, "where it was raised tells what its text may not"


async def test_pages_are_asked_for_while_those_before_become_durable_and_nothing_closes_sooner():
    durable = asyncio.Event()

    class Slow(Kept):
        async def page(self, line, about, step, page, asked_at):
            await durable.wait()
            await super().page(line, about, step, page, asked_at)

    asked = []

    class Listing(FakeClient):
        async def pages(self, about, window):
            for number in ("1", "2", "3", "4", "5"):
                asked.append(number)
                yield Page(((number, NOW),))

    evidence = Slow()
    found = line(client=Listing(), able={"pulls_orders": True})
    pull = asyncio.create_task(Puller(FakeLines(found), evidence, lambda: at(60), 10).round(found))
    await until(lambda: asked == ["1", "2", "3", "4"])
    assert evidence.said == [], "a few at once, and no more"
    durable.set()
    await pull
    assert evidence.said[-1] == ("close", 1, 5, None)
    assert [ids for what, _, _, ids in evidence.said[:-1]] == [["1"], ["2"], ["3"], ["4"], ["5"]]


async def test_a_pull_that_is_too_much_at_once_is_made_in_pieces_that_grow_again():
    lengths_s = []

    class Short(FakeClient):
        """Its token ends within any pull of more than half an hour."""

        async def pages(self, about, window):
            lengths_s.append((window.until - window.since).total_seconds())
            if lengths_s[-1] > 1800:
                raise PlatformRefused(Cure.REFRESH, "expired", "token")
            yield Page(())

    evidence = Kept()
    found = line(client=Short(), able={"pulls_orders": True})
    puller = Puller(FakeLines(found), evidence, lambda: at(14_400), 10)
    for _ in range(40):
        with suppress(PlatformRefused):
            await puller.round(found)
    assert evidence.covered == at(14_395)
    assert lengths_s[:4] == [14_695, 7_347, 3_673, 1_836]
    assert sum(length_s > 1800 for length_s in lengths_s) < 10, "most pulls close"


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
        await asyncio.sleep(0)
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
