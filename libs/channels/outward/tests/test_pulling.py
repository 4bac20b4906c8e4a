"""Pulls: windows without a gap, pages that overlap, pieces after trouble, and nothing closed before it is durable."""

import asyncio
from contextlib import suppress
from functools import partial

import httpx
import pytest

from libs.channels.capabilities import Capabilities
from libs.channels.channel import About, Cure, Page, PlatformRefused
from libs.channels.outward.pulling import Puller, next_window
from libs.channels.outward.tests.doubles import ABLE, NOW, FakeClient, FakeLines, Kept, at, ended, line
from libs.testkit.waiting import until


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


async def test_who_was_held_up_by_a_rush_looks_only_at_what_came_meanwhile():
    now = [9000]
    client = FakeClient(pages=[[[("1", NOW)]], [[("2", NOW)]]])
    walk = client.pages

    async def takes_30_s(about, window):
        async for page in walk(about, window):
            yield page
        now[0] += 30

    client.pages = takes_30_s
    evidence = Kept()
    evidence.covered = at(8900)
    found = line(client=client, able={"pulls_orders": True})
    assert await Puller(FakeLines(found), evidence, lambda: at(now[0]), 10).round(found)
    assert [(call[2].since, call[2].until) for call in client.calls] == [(at(8600), at(8995)), (at(8980), at(9025))]


async def test_a_list_without_lag_is_read_every_round_and_is_no_evidence():
    client = FakeClient(pages=[[[("1", NOW)]], [[("2", NOW)]]])
    client.newest = partial(client.pages, About.ORDER)
    evidence = Kept()
    found = line(client=client, able={"pulls_orders": True, "pull_lag_s": 180, "lists_newest": True})
    assert not await Puller(FakeLines(found), evidence, lambda: at(300), 10).round(found), "nothing more waits"
    assert evidence.said == [("page", "order", 1, ["1"]), ("close", 1, 1, None), ("page", "order", None, ["2"])]
    assert [(call[2].since, call[2].until) for call in client.calls] == [(at(-300), at(115)), (at(240), at(300))]
    assert evidence.covered == at(115)


async def test_a_list_that_may_not_be_asked_is_done_without():
    client = FakeClient(pages=[[], []])
    asked = []

    async def refused(window):
        asked.append(window)
        raise PlatformRefused(Cure.ASK, "10019", "no permission")
        yield

    client.newest = refused
    evidence, now = Kept(), [300]
    found = line(client=client, able={"pulls_orders": True, "pull_lag_s": 180, "lists_newest": True})
    puller = Puller(FakeLines(found), evidence, lambda: at(now[0]), 10)
    for now[0] in (300, 310):
        await puller.round(found)
    assert [each[0] for each in evidence.said] == ["close", "close"]
    assert len(asked) == 1


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


class Crowded(FakeClient):
    """A list that shows no window of more than `most_s` seconds; orders may be few and refunds many."""

    def __init__(self, most_s, crowd=About.ORDER):
        super().__init__()
        self.most_s, self.crowd, self.lengths_s = most_s, crowd, []

    async def pages(self, about, window):
        length_s = (window.until - window.since).total_seconds()
        if about is About.ORDER:
            self.lengths_s.append(length_s)
        if about is self.crowd and length_s > self.most_s:
            raise PlatformRefused(Cure.SHORTEN, "pages", "more than 100")
        for page in ():
            yield page


@pytest.mark.parametrize("crowd", About)
async def test_a_window_that_holds_too_much_is_asked_for_in_pieces_without_a_pause(crowd):
    client, evidence = Crowded(1800, crowd), Kept()
    found = line(client=client, able={"pulls_orders": True, "pulls_refunds": True})
    lines = FakeLines(found)
    task = asyncio.create_task(Puller(lines, evidence, lambda: at(14_400), 600).run("s1"))
    await until(lambda: evidence.covered == at(14_395))
    await ended(task)
    assert client.lengths_s[:2] == [14_695, 60], "between them who buys now was read"
    pulls_s = [length_s for length_s in client.lengths_s if length_s != 60]
    assert pulls_s[:4] == [14_695, 7_347, 3_673, 1_836]
    assert not [said for said in evidence.said if said[0] == "trouble"], "it helps itself"
    assert lines.asked == []


async def test_who_can_show_not_even_a_minute_asks_a_person():
    client, evidence = Crowded(1), Kept()
    lines = FakeLines(line(client=client, able={"pulls_orders": True, "lists_newest": True}))
    client.newest = partial(FakeClient().pages, About.ORDER)
    task = asyncio.create_task(Puller(lines, evidence, lambda: at(14_400), 10).run("s1"))
    await until(lambda: lines.asked)
    await ended(task)
    assert lines.asked == [("s1", "pages: more than 100, and 60 s is short")]
    assert client.lengths_s[-1] == 60
    assert evidence.covered == at(0), "nothing is passed over"


async def test_a_platform_that_was_away_is_asked_for_all_of_it_at_once():
    lengths_s, away = [], [httpx.ConnectError("away"), PlatformRefused(Cure.RETRY, "HTTP 503", "")] * 4

    class Back(FakeClient):
        """Away for some calls."""

        async def pages(self, about, window):
            lengths_s.append((window.until - window.since).total_seconds())
            if away:
                raise away.pop()
            yield Page(())

    evidence = Kept()
    found = line(client=Back(), able={"pulls_orders": True})
    puller = Puller(FakeLines(found), evidence, lambda: at(14_400), 10)
    for _ in range(9):
        with suppress(PlatformRefused, httpx.ConnectError):
            await puller.round(found)
    assert lengths_s == [14_695] * 9
    assert evidence.covered == at(14_395)


@pytest.mark.parametrize(("pushes", "queue", "pause_s"), [(False, False, 5), (True, False, 10), (False, True, 10)])
def test_who_tells_nothing_is_asked_twice_as_often(pushes, queue, pause_s):
    found = line(client=FakeClient(), able={"pushes_orders": pushes, "has_queue": queue})
    assert Puller(FakeLines(found), Kept(), lambda: at(10), 10)._pause_s(found) == pause_s
