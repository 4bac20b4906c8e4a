"""Waits in tests: for a condition, with a limit, and with words for what did not come."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

from libs.stream.worker import Worker

T = TypeVar("T")

LIMIT_S = 10.0
EVERY_S = 0.01


async def until(
    condition: Callable[[], object],
    limit_s: float = LIMIT_S,
    every_s: float = EVERY_S,
    missing: Callable[[], str] | None = None,
) -> Any:
    """Ask, and await the answer where it has to be, until it is true, and return it; AssertionError when time is over.

    `every_s` is the pause between two questions: longer where each costs a request, 0 to let the others take one turn.
    `missing` says what did not come; without it the last answer is told.
    """
    found: object = None
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            while True:
                answer = condition()
                found = await answer if inspect.isawaitable(answer) else answer
                if found:
                    return found
                await asyncio.sleep(every_s)
    except TimeoutError:
        # A question may end with a TimeoutError of its own, which says more.
        if not limit.expired():
            raise
    raise AssertionError(f"not within {limit_s} s: {missing() if missing else f'the last answer was {found!r}'}")


async def until_ready(worker: Worker, limit_s: float = LIMIT_S) -> None:
    """Wait until a worker that was started owns its partitions and keeps up."""

    async def ready() -> bool:
        return (await worker.readiness()).ready

    await until(ready, limit_s)


def until_now(condition: Callable[[], T], limit_s: float = LIMIT_S, every_s: float = EVERY_S) -> T:
    """`until` for a test without an event loop."""
    ends_s = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() >= ends_s:
            raise AssertionError(f"not within {limit_s} s: the last answer was {found!r}")
        time.sleep(every_s)
    return found
