"""One task a shop, for as long as the shop wants it: a shop that fails is started again and stops no other."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import partial

from libs.stream.companions import Companion, accompany

TEND_POLL_S = 2.0
STOP_LIMIT_S = 5.0

Wanted = Callable[[], Awaitable[Mapping[str, Hashable]]]
Work = Callable[[str], Awaitable[None]]


async def tend(service: str, name: str, wanted: Wanted, work: Work, poll_s: float = TEND_POLL_S) -> None:
    """Run `work` for each wanted shop until cancelled; a shop whose value changes is begun afresh.

    The log calls the work of one shop by `name` and the shop's id.
    """
    running: dict[str, tuple[Hashable, asyncio.Task[None]]] = {}
    try:
        while True:
            now_wanted = await wanted()
            for shop_id, (value, task) in list(running.items()):
                if now_wanted.get(shop_id) != value:
                    await _stop([task])
                    del running[shop_id]
            for shop_id, value in sorted(now_wanted.items()):
                if shop_id not in running:
                    companion = Companion(name, partial(work, shop_id), shop_id)
                    running[shop_id] = (value, asyncio.create_task(accompany(service, companion)))
            await asyncio.sleep(poll_s)
    finally:
        await _stop([task for _, task in running.values()])


async def _stop(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_LIMIT_S)
