"""Outward calls, attempt by attempt: back-off, breaker, refusals, limits, and a restart that calls again."""

import asyncio
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest

from libs.decide import Send
from libs.stream import egress as module
from libs.stream.egress import Breaker, Refused, Retry
from libs.stream.journal import JournalAway
from libs.stream.tests.calls import IN_FLIGHT, START, Bench, Far, held, running
from libs.testkit.waiting import until


async def test_a_call_is_made_once_and_its_answer_delivered() -> None:
    far = Far("message 7")
    bench = Bench({"out": far})
    bench.write("s1", "s1")
    await bench.rounds()
    assert far.calls == [("s1", 1)]
    (result,) = bench.desk.results
    assert (result.ok, result.detail, result.attempts, result.key, result.body) == (
        True,
        "message 7",
        1,
        "o1",
        {"n": 1},
    )
    assert bench.row("s1") == (1, None)


async def test_a_refusal_is_final() -> None:
    far = Far(Refused("no such number"))
    bench = Bench({"out": far})
    bench.write("s1")
    await bench.rounds()
    bench.clock.forward(10_000)
    await bench.rounds()
    (result,) = bench.desk.results
    assert (len(far.calls), result.ok, result.detail) == (1, False, "no such number")
    assert bench.egress._breakers["out"].failures == 0, "a no is an answer: the destination lives"


@pytest.mark.parametrize("failure", [OSError("away"), TimeoutError(), ValueError("odd"), Retry("busy")])
async def test_a_failure_is_tried_again_with_back_off(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BREAKER_FAILURES", 1_000)
    far = Far(failure)
    bench = Bench({"out": far})
    bench.write("s1")
    waits = []
    for attempt in range(1, 12):
        await bench.rounds()
        attempts, due_s = bench.row("s1")
        assert (attempts, len(far.calls)) == (attempt, attempt), "one attempt each time it is due"
        assert due_s is not None
        waits.append(due_s)
        bench.clock.forward(due_s - 0.001)
        await bench.rounds()
        assert len(far.calls) == attempt, "not a millisecond early"
        bench.clock.forward(0.001)
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    far.answer = "taken"
    await bench.rounds()
    (result,) = bench.desk.results
    assert (result.ok, result.attempts) == (True, 12)


async def test_jitter_shortens_a_wait_by_at_most_half() -> None:
    bench = Bench({"out": Far(OSError())})
    bench.egress.jitter = lambda: 0.0
    bench.write("s1")
    await bench.rounds()
    assert bench.row("s1") == (1, 0.25)


async def test_whoever_asks_for_time_gets_it_and_is_not_thought_dead() -> None:
    far = Far(Retry("quota", after_seconds=90))
    bench = Bench({"out": far})
    bench.write(*[f"s{n}" for n in range(8)])
    await bench.rounds()
    assert len(far.calls) == 8, "an answer is an answer: the breaker stays closed"
    assert {bench.row(f"s{n}") for n in range(8)} == {(1, 90.0)}
    bench.clock.forward(90)
    far.answer = "taken"
    await bench.rounds()
    assert [result.ok for result in bench.desk.results] == [True] * 8


async def test_after_the_last_attempt_it_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS_LIMIT", 3)
    bench = Bench({"out": Far(OSError("13800000000"))})
    bench.write("s1")
    for _ in range(5):
        await bench.rounds()
        bench.clock.forward(100)
    (result,) = bench.desk.results
    assert (result.ok, result.attempts, result.detail) == (False, 3, "OSError"), "its text may hold anything"


async def test_a_call_is_not_made_before_its_time() -> None:
    far = Far()
    bench = Bench({"out": far})
    bench.write("later", not_before=START + timedelta(seconds=60))
    bench.write("now")
    await bench.rounds()
    assert far.calls == [("now", 1)]
    bench.clock.forward(60)
    await bench.rounds()
    assert far.calls == [("now", 1), ("later", 1)]


async def test_a_destination_nobody_serves_waits_and_holds_up_nobody() -> None:
    far = Far()
    bench = Bench({"out": far})
    bench.write("s1", to="nowhere")
    bench.write("s2")
    await bench.rounds()
    assert far.calls == [("s2", 1)]
    assert bench.row("s1", "nowhere") == (0, 0.0)


# -- the breaker -----------------------------------------------------------------------------------------------------


def test_the_breaker_opens_lets_one_probe_through_and_closes() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.note(ok=False, now_s=0)
        assert breaker.admits(0)
    breaker.note(ok=False, now_s=0)
    assert not breaker.admits(14.9)
    assert breaker.admits(15), "half open"
    assert not breaker.admits(15), "one probe at a time"
    breaker.note(ok=False, now_s=16)
    assert not breaker.admits(30.9)
    assert breaker.admits(31)
    breaker.note(ok=True, now_s=31)
    assert [breaker.admits(31) for _ in range(3)] == [True] * 3


def test_a_success_in_between_keeps_it_closed() -> None:
    breaker = Breaker()
    for _ in range(20):
        for _ in range(4):
            breaker.note(ok=False, now_s=0)
        breaker.note(ok=True, now_s=0)
        assert breaker.admits(0)


async def test_a_dead_destination_is_left_alone_and_the_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BREAKER_OPEN_S", 1_000.0)
    dead, alive = Far(OSError()), Far()
    bench = Bench({"out": dead, "ops": alive})
    bench.write(*[f"s{n:02}" for n in range(40)])
    bench.write("ding", to="ops")
    await bench.rounds(10)
    assert 5 <= len(dead.calls) <= IN_FLIGHT
    assert alive.calls == [("ding", 1)]
    called = len(dead.calls)
    bench.clock.forward(600)
    await bench.rounds(10)
    assert len(dead.calls) == called, "open"
    bench.egress._breakers["out"].open_until_s = 0.0
    await bench.rounds(1)
    assert len(dead.calls) == called + 1, "half open: one probe"
    bench.egress._breakers["out"].open_until_s = 0.0
    bench.clock.forward(1)
    dead.answer = "back"
    await bench.rounds(10)
    assert {result.send_id for result in bench.desk.results if result.ok} == {"ding", *[f"s{n:02}" for n in range(40)]}


# -- limits and restarts ---------------------------------------------------------------------------------------------


async def test_a_long_queue_for_one_keeps_nobody_else_waiting() -> None:
    gone, there = Far(ConnectionError()), Far()
    bench = Bench({"gone": gone, "there": there})
    bench.write(*[f"g{n}" for n in range(500)], to="gone")
    bench.clock.forward(1)
    bench.write("s1", to="there")
    await bench.rounds(1)
    assert there.calls == [("s1", 1)], "five hundred older calls to somebody who is away"


async def test_calls_in_flight_are_bounded_for_each_destination() -> None:
    gate = asyncio.Event()
    slow, quick = held(gate), Far()
    bench = Bench({"out": slow, "ops": quick})
    bench.write(*[f"s{n:02}" for n in range(30)])
    bench.write("ding", to="ops")
    async with running(bench):
        await until(lambda: bool(quick.calls) and slow.inside == IN_FLIGHT)
        bench.write("dong", to="ops")
        await until(lambda: len(quick.calls) == 2)
        assert slow.inside == IN_FLIGHT, "it was looked again, and nothing more was started there"
        gate.set()
        await until(lambda: len(bench.desk.results) == 32)
    assert slow.most_inside == IN_FLIGHT
    assert sorted(slow.calls) == [(f"s{n:02}", 1) for n in range(30)], "each call once"


async def test_a_call_that_hangs_ends_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_TIMEOUT_S", 0.01)
    bench = Bench({"out": held(asyncio.Event())})
    bench.write("s1")
    async with running(bench):
        await until(lambda: bench.row("s1")[0] == 1)
    assert bench.row("s1") == (1, 0.5)
    assert bench.stored.egress[("out", "s1")]["outcome"] == "TimeoutError"


async def test_a_commit_wakes_the_sender_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_MS", 3_600_000)
    far = Far()
    bench = Bench({"out": far})
    looks = AsyncMock(side_effect=bench.journal.waiting_sends)
    monkeypatch.setattr(bench.journal, "waiting_sends", looks)
    async with running(bench):
        await until(lambda: looks.await_count == 1)
        bench.write("s1")
        await until(lambda: far.calls == [("s1", 1)])


async def test_a_restart_makes_the_call_again_that_nobody_knows_the_end_of() -> None:
    far = held(asyncio.Event())
    bench = Bench({"out": far})
    bench.write("s1")
    async with running(bench):
        await until(lambda: far.calls == [("s1", 1)])
    assert bench.desk.results == []
    assert bench.row("s1") == (0, 0.0), "no trace of it"
    second = Bench({"out": Far("taken")}, bench.stored)
    await second.rounds()
    (result,) = second.desk.results
    assert (result.send_id, result.ok, result.attempts) == ("s1", True, 1)


async def test_an_answer_that_could_not_be_recorded_is_asked_for_again() -> None:
    far = Far()
    bench = Bench({"out": far})
    bench.desk.away = True
    bench.write("s1")
    await bench.rounds(1)
    assert bench.row("s1") == (0, 0.0)
    bench.desk.away = False
    await bench.rounds()
    assert far.calls == [("s1", 1), ("s1", 1)]
    assert [result.ok for result in bench.desk.results] == [True]


async def test_a_database_that_is_away_stops_nothing_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_MS", 1)
    far = Far()
    bench = Bench({"out": far})
    bench.write("s1")
    asked = bench.journal.waiting_sends
    failures = 3

    async def away(*arguments: Any) -> list[tuple[Send, int]]:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise JournalAway("not now")
        return await asked(*arguments)

    monkeypatch.setattr(bench.journal, "waiting_sends", away)
    async with running(bench):
        await until(lambda: len(bench.desk.results) == 1)
    assert far.calls == [("s1", 1)]


@pytest.mark.parametrize("answer", ["taken \x00", Refused("no \x00 \ud800"), Retry("busy \x00", 60)])
async def test_what_no_database_holds_is_taken_out_of_the_other_sides_words(answer: str | Exception) -> None:
    bench = Bench({"out": Far(answer)})
    bench.write("s1")
    await bench.rounds()
    said = [result.detail for result in bench.desk.results] + [bench.stored.egress[("out", "s1")]["outcome"]]
    assert not any("\x00" in words or "\ud800" in words for words in said)


async def test_an_end_that_cannot_be_recorded_does_not_call_again_without_a_pause() -> None:
    far = Far(Retry("later", 60))
    bench = Bench({"out": far})

    async def broken(*_: Any) -> None:
        raise ValueError("not a thing to record")

    bench.journal.note_attempt = broken  # type: ignore[method-assign]
    bench.write("s1")
    await bench.rounds(50)
    assert len(far.calls) == 1, "the destination rests"
