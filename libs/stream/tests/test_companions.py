"""A companion runs only while its worker serves, and comes back after it failed."""

import asyncio

import pytest

from libs.stream.companions import accompany


async def test_one_that_fails_is_started_again_and_one_that_is_cancelled_is_not() -> None:
    runs = 0
    again = asyncio.Event()

    async def listens() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise OSError("the other side hung up")
        again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(accompany("test", listens))
    async with asyncio.timeout(5):
        await again.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs == 2
