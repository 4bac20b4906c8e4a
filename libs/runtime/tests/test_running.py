"""A process whose worker ended in silence must not live on behind an HTTP edge that answers 503 for ever."""

import asyncio
from typing import Any, cast

import pytest

from libs.runtime.service import Running


class Worker:
    """Ends as if something inside a client library had been cancelled."""

    async def run(self) -> None:
        raise asyncio.CancelledError


def running(worker: Any) -> Running:
    nothing = cast(Any, None)
    return Running(nothing, worker, nothing, nothing, nothing, nothing)


async def test_a_cancellation_that_nobody_asked_for_ends_the_process() -> None:
    async def process() -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(running(Worker())._run_worker())
            group.create_task(asyncio.Event().wait())

    with pytest.raises(ExceptionGroup) as caught:
        await process()
    assert "cancelled, but by nobody" in str(caught.value.exceptions[0])


async def test_a_cancellation_of_ours_is_one() -> None:
    begun = asyncio.Event()

    class Patient(Worker):
        async def run(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(running(Patient())._run_worker())
    async with asyncio.timeout(5):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
