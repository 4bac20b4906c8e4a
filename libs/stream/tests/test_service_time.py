"""Time never goes back, and never stands still."""

import asyncio
from datetime import UTC, datetime, timedelta

from libs.stream.service_time import ServiceTime
from libs.testkit.simulation.loop import VirtualLoop

NOW = datetime(2026, 11, 11, tzinfo=UTC)


def play(coroutine):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def _after_a_jump() -> None:
    wall = [NOW]
    time = ServiceTime(lambda: wall[0])
    time.keep(NOW + timedelta(hours=1))
    first = time()
    assert first == NOW + timedelta(hours=1), "what was decided was decided"
    await asyncio.sleep(600)
    wall[0] += timedelta(seconds=600)
    assert time() - first == timedelta(seconds=300), "half the pace"
    due = first + timedelta(seconds=400)
    await asyncio.sleep(time.seconds_until(due))
    assert abs((time() - due).total_seconds()) < 0.01, "a timer comes, though the wall is far behind"
    wall[0] = NOW + timedelta(hours=3)
    assert time() == wall[0], "the wall is true again"


def test_behind_what_was_decided_time_goes_on_at_half_the_pace() -> None:
    play(_after_a_jump())


def test_without_a_past_it_is_the_walls() -> None:
    assert ServiceTime(lambda: NOW)() == NOW
