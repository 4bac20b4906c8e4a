"""The virtual loop: time jumps, order is kept, and a run that can never end says so."""

import asyncio

import pytest

from libs.testkit.simulation.locks import Locks
from libs.testkit.simulation.loop import Stalled, VirtualLoop


def run(coroutine):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine), loop.time()
    finally:
        loop.close()


def test_an_hour_passes_in_no_time_and_in_order() -> None:
    async def naps() -> list[str]:
        woken: list[str] = []

        async def nap(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            woken.append(name)

        await asyncio.gather(nap("late", 3600), nap("soon", 1), nap("now", 0), nap("soon too", 1))
        return woken

    woken, now_s = run(naps())
    assert woken == ["now", "soon", "soon too", "late"]
    assert now_s == 3600


def test_a_time_limit_strikes_at_its_time() -> None:
    async def waits() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7.5):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(waits()) == (7.5, 7.5)


def test_waiting_for_nothing_is_said() -> None:
    loop = VirtualLoop()

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    task = loop.create_task(forever())
    with pytest.raises(Stalled):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_two_who_wait_for_each_other_are_a_deadlock() -> None:
    said: list[str] = []

    async def both() -> None:
        locks = Locks(said.append)

        async def one(owner: str, *rows: int) -> None:
            for row in rows:
                await asyncio.sleep(0)
                await locks.take(owner, int, row)
            locks.release(owner)

        await asyncio.gather(one("a", 1, 2), one("b", 2, 1), return_exceptions=True)

    run(both())
    assert len(said) == 1
    assert "deadlock" in said[0]
