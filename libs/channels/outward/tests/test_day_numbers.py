"""Day numbers: what is new is asked for, what is missing is named, and no day is forgotten or read for ever."""

from datetime import date

import pytest

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.outward.pulling import Puller, counted_to, days_between
from libs.channels.outward.tests.doubles import NOW, FakeClient, FakeLines, Kept, at, line


def test_days_are_those_of_china_and_yesterday_counts_for_an_hour():
    assert days_between(at(-60), NOW) == [date(2026, 11, 11)]
    midnight = NOW.replace(hour=16)
    assert days_between(midnight.replace(minute=30), midnight.replace(minute=31)) == [
        date(2026, 11, 11),
        date(2026, 11, 12),
    ]
    assert len(days_between(at(-90 * 86400), NOW)) == 91, "none is left out, however long ago"
    assert days_between(at(2 * 86400), NOW) == [date(2026, 11, 11)], "a clock may be behind"
    assert [counted_to(numbers) for numbers in ([], [1, 2], [2], [1, 2, 4])] == [0, 2, 0, 2]


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


async def test_a_number_given_out_whose_order_is_not_shown_is_a_gap():
    evidence = Kept()
    found = line(client=FakeClient(day_numbers=[[(1, "a"), (3, "")]]), able={"numbers_days": True})
    await Puller(FakeLines(found), evidence, lambda: at(60), 10).round(found)
    assert evidence.said == [
        ("numbers", 1, ["a"]),
        ("days", 1, {"2026-11-11": 1}, ["2026-11-11 #2", "2026-11-11 #3"]),
    ]


class Numbered(FakeClient):
    """Numbers one order a day; `away` are days that cannot be had, `holed` have an order 3 as well."""

    def __init__(self, away=(), holed=()):
        super().__init__()
        self.away, self.holed, self.asked = away, holed, []

    async def day_numbers(self, day):
        self.asked.append(day.day)
        if day.day in self.away:
            raise PlatformRefused(Cure.GIVE_UP, "705", "too long ago")
        return [(1, str(day)), *[(3, f"{day}#3")] * (day.day in self.holed)]


async def rounds(client, evidence, count):
    found = line(client=client, able={"numbers_days": True})
    puller = Puller(FakeLines(found), evidence, lambda: at(60), 10)
    asked = []
    for _ in range(count):
        client.asked.clear()
        await puller.round(found)
        asked.append(list(client.asked))
    return asked


async def test_after_a_long_absence_days_are_closed_in_pieces_from_the_oldest():
    evidence = Kept()
    evidence.since = at(-9 * 86_400)
    asked = await rounds(Numbered(), evidence, 2)
    assert asked[0] == [2, 3, 4, 5, 6, 7, 11, 8, 9, 10, 11], "and today with each"
    midnight = NOW.replace(hour=16)
    assert [until for until, _, _ in evidence.closed[:2]] == [midnight.replace(day=7), at(55)]
    assert evidence.closed[0][1][0] == "2026-11-02"
    assert asked[1] == [11], "what ended and is whole is read once"


@pytest.mark.parametrize(("kind", "gap"), [("holed", "2026-11-03 #2"), ("away", "2026-11-03")])
async def test_a_day_that_is_not_whole_is_named_and_read_again_and_the_others_are_read_on(kind, gap):
    evidence = Kept()
    evidence.since = at(-9 * 86_400)
    client = Numbered(**{kind: (3,)})
    asked = await rounds(client, evidence, 2)
    assert set(asked[0]) == set(range(2, 12))
    assert asked[1] == [3, 11]
    assert [gaps for _, _, gaps in evidence.closed] == [[gap], [], [gap]]
    client.away = client.holed = ()
    assert (await rounds(client, evidence, 1))[0][0] == 2, "another process reads all of them"


async def test_a_waived_number_is_counted_and_heard_all_the_same_if_it_comes():
    evidence = Kept()
    evidence.days, evidence.waived = {"2026-11-11": 1}, frozenset({"2026-11-11 #2", "2026-11-10 #4", "2026-11-09"})
    client = FakeClient(day_numbers=[[(1, "a"), (3, "c"), (5, "e")], [(1, "a"), (2, "b"), (3, "c")]])
    found = line(client=client, able={"numbers_days": True})
    puller = Puller(FakeLines(found), evidence, lambda: at(60), 10)
    await puller.round(found)
    assert evidence.said == [("numbers", 1, ["c", "e"]), ("days", 1, {"2026-11-11": 3}, ["2026-11-11 #4"])]
    evidence.days = {"2026-11-11": 3}
    await puller.round(found)
    assert evidence.said[2:] == [("numbers", 1, ["b"]), ("days", 1, {"2026-11-11": 3}, [])]


async def test_a_waived_day_that_cannot_be_had_is_read_once_and_is_no_gap():
    evidence = Kept()
    evidence.since, evidence.waived = at(-9 * 86_400), frozenset({"2026-11-03"})
    asked = await rounds(Numbered(away=(3,)), evidence, 2)
    assert 3 in asked[0]
    assert asked[1] == [11]
    assert all(gaps == [] for _, _, gaps in evidence.closed)


async def test_a_gap_of_an_earlier_process_is_looked_for_though_the_day_ends_before_it_now():
    evidence = Kept()
    evidence.since, evidence.gaps = at(-3 * 86_400), {"2026-11-09"}
    assert (await rounds(Numbered(), evidence, 2))[1] == [9, 11]


async def test_today_that_cannot_be_had_is_said_in_the_platforms_words():
    with pytest.raises(PlatformRefused, match="too long ago"):
        await rounds(Numbered(away=(11,)), Kept(), 1)
