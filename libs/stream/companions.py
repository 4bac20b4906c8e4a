"""Work beside the loop that only the lease's holder may do: listening, pulling, refreshing; it ends with the lease."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from libs.stream import metrics
from libs.stream.causes import causes

RETRY_FIRST_MS = 200
RETRY_LAST_MS = 10_000
CALM_S = 30.0


@dataclass(frozen=True)
class Companion:
    """Runs until it is cancelled. Whatever it wants kept it submits as a command. `name` is what the log calls it."""

    name: str
    run: Callable[[], Awaitable[None]]
    shop_id: str | None = None  # the shop it works for, where there is one for each


async def accompany(service: str, companion: Companion) -> None:
    """Run a companion for ever; one that ends or fails is started again, later each time it fails soon."""
    line = structlog.get_logger().bind(service=service, companion=companion.name)
    if companion.shop_id is not None:
        line = line.bind(shop_id=companion.shop_id)
    loop = asyncio.get_running_loop()
    retry_ms = RETRY_FIRST_MS
    while True:
        began = loop.time()
        try:
            await companion.run()
            line.warning("a companion ended and is started again")
        except Exception as error:  # noqa: BLE001 - a companion may fail in any way; the worker goes on without it
            metrics.FAILURES.labels(service, "companion").inc()
            line.warning("a companion failed and is started again", causes=causes(error))
        if loop.time() - began > CALM_S:
            retry_ms = RETRY_FIRST_MS
        await asyncio.sleep(retry_ms / 1000)
        retry_ms = min(retry_ms * 2, RETRY_LAST_MS)
