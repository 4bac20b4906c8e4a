"""Calls of one key, where their order matters: none passes another, whatever fails, and no other key waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from libs.decide import Send
from libs.stream.egress import Refused, Retry
from libs.stream.memory import Stored
from libs.stream.tests.calls import IN_FLIGHT, Bench, Far, held, running
from libs.testkit.waiting import until

TOLD = frozenset({"out"})
TEN_MINUTES_S = 600.0


def bench_of(far: Far, stored: Stored | None = None) -> Bench:
    return Bench({"out": far}, stored, in_order=TOLD)


def refusing(*send_ids: str, by: Exception) -> Callable[[Send, int], Awaitable[str]]:
    async def answer(request: Send, attempt: int) -> str:
        if request.send_id in send_ids:
            raise by
        return "taken"

    return answer


def made(far: Far) -> list[str]:
    return [send_id for send_id, _ in far.calls]


@pytest.mark.parametrize("failure", [OSError("away"), Retry("no such route", TEN_MINUTES_S)])
async def test_a_later_call_of_a_key_waits_until_the_one_before_has_its_outcome(failure: Exception) -> None:
    far = Far(refusing("created", by=failure))
    bench = bench_of(far)
    bench.write("created", "cancelled")
    for _ in range(4):
        await bench.rounds()
        bench.clock.forward(TEN_MINUTES_S)
    assert made(far) == ["created"] * 4, "hours may pass"
    assert bench.stored.egress["out", "cancelled"]["outcome"] == "waits for created"
    far.answer = "taken"
    await bench.rounds()
    bench.clock.forward(1)
    await bench.rounds()
    assert [(result.send_id, result.ok, result.attempts) for result in bench.desk.results] == [
        ("created", True, 5),
        ("cancelled", True, 1),
    ]
    assert not bench.egress._turns._lines, "nothing is remembered of what ended"


async def test_a_call_written_while_another_is_made_waits_for_its_answer() -> None:
    gate = asyncio.Event()
    far = held(gate)
    bench = bench_of(far)
    bench.write("created")
    async with running(bench):
        await until(lambda: made(far) == ["created"])
        bench.write("cancelled", "shipped")
        bench.write("other", key="o2")
        await until(lambda: made(far) == ["created", "other"])
        gate.set()
        await until(lambda: len(bench.desk.results) == 4)
    assert made(far) == ["created", "other", "cancelled", "shipped"]
    assert bench.row("cancelled") == (1, None), "put off by nothing: it went as soon as it could"


async def test_a_refusal_is_an_outcome_too() -> None:
    far = Far(refusing("created", by=Refused("too long")))
    bench = bench_of(far)
    bench.write("created", "cancelled")
    await bench.rounds()
    assert [(result.send_id, result.ok) for result in bench.desk.results] == [("created", False), ("cancelled", True)]


async def test_where_nobody_asked_for_order_a_call_passes_one_that_waits() -> None:
    far = Far(refusing("first", by=Retry("quota", TEN_MINUTES_S)))
    bench = Bench({"out": far})
    bench.write("first", "second")
    await bench.rounds()
    assert [result.send_id for result in bench.desk.results] == ["second"]
    assert bench.row("first") == (1, TEN_MINUTES_S)


async def test_many_that_wait_their_turn_hide_nobody_whose_turn_it_is() -> None:
    many = range(20 * IN_FLIGHT)
    far = Far(refusing(*[f"created {n}" for n in many], by=Retry("no such route", TEN_MINUTES_S)))
    bench = bench_of(far)
    for n in many:
        bench.write(f"created {n}", f"packed {n}", f"shipped {n}", key=f"o{n}")
    for n in many:
        bench.write(f"fresh {n}", key=f"p{n}")
    async with running(bench):
        await until(lambda: len(bench.desk.results) == len(many))
    assert {result.send_id for result in bench.desk.results} == {f"fresh {n}" for n in many}
    assert sorted(made(far)) == sorted(f"{what} {n}" for what in ("created", "fresh") for n in many)
    assert far.most_inside <= IN_FLIGHT
    far.answer = "taken"
    bench.clock.forward(TEN_MINUTES_S + 1)
    async with running(bench):
        await until(lambda: len(bench.desk.results) == 4 * len(many))
    for n in many:
        its = [result.send_id for result in bench.desk.results if result.key == f"o{n}"]
        assert its == [f"created {n}", f"packed {n}", f"shipped {n}"]


async def test_whoever_takes_over_keeps_the_order() -> None:
    first = bench_of(Far(Retry("no such route", TEN_MINUTES_S)))
    first.write("created")
    await first.rounds()
    first.write("packed")
    await first.rounds()
    far = Far("taken")
    second = bench_of(far, first.stored)
    second.write("shipped")
    await second.rounds()
    assert far.calls == []
    second.clock.forward(TEN_MINUTES_S + 1)
    await second.rounds(5)
    assert made(far) == ["created", "packed", "shipped"]


async def test_an_answer_that_is_not_recorded_is_no_outcome() -> None:
    far = Far()
    bench = bench_of(far)
    bench.desk.away = True
    bench.write("created", "cancelled")
    await bench.rounds()
    assert set(made(far)) == {"created"}
    bench.desk.away = False
    await bench.rounds()
    assert made(far)[-1] == "cancelled"


async def test_a_call_put_off_is_due_right_after_the_one_before() -> None:
    bench = bench_of(Far(Retry("no such route", TEN_MINUTES_S)))
    bench.write("created", "packed", "shipped")
    await bench.rounds()
    dues = [bench.stored.egress["out", send_id]["next_try_at"] for send_id in ("created", "packed", "shipped")]
    assert [due - dues[0] for due in dues] == [timedelta(microseconds=n) for n in range(3)]
    assert [bench.row(send_id)[0] for send_id in ("created", "packed", "shipped")] == [1, 0, 0], "no attempt is counted"
