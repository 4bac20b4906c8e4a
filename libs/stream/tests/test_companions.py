"""A companion runs only while its worker serves, and comes back after it failed."""

import asyncio
from functools import partial

import pytest
from structlog.testing import capture_logs

from libs.stream.causes import causes
from libs.stream.companions import Companion, accompany
from libs.testkit.waiting import until


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

    task = asyncio.create_task(accompany("test", Companion("listener", listens)))
    async with asyncio.timeout(5):
        await again.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs == 2


async def test_the_log_calls_it_by_its_name_and_tells_every_cause() -> None:
    async def read() -> None:
        raise ConnectionError("the other side hung up")

    async def confirm() -> None:
        raise ValueError("invalid literal for int(): '张三'")

    async def listens() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            group.create_task(confirm())

    with capture_logs() as told:
        task = asyncio.create_task(accompany("test", Companion("listener", partial(listens), "t1")))
        await until(lambda: told)
        task.cancel()
        await asyncio.wait([task])
    assert (told[0]["service"], told[0]["companion"], told[0]["shop_id"]) == ("test", "listener", "t1")
    first, second = told[0]["causes"]
    assert first.startswith("ConnectionError: the other side hung up (libs.stream.tests.test_companions.")
    assert second.startswith("ValueError (libs.stream.tests.test_companions.")


def test_causes_are_bounded_and_hold_no_telephone() -> None:
    deep = ExceptionGroup("all", [ExceptionGroup("some", [OSError("tel 139 1234 5678\n")]) for _ in range(20)])
    found = causes(deep)
    assert found[0] == "OSError: tel … "
    assert (len(found), found[-1]) == (8, "and 13 more")
