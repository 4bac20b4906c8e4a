"""Work beside the loop that only the lease's holder may do: listening, pulling, refreshing; it ends with the lease."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from libs.stream import metrics

RETRY_FIRST_MS = 200
RETRY_LAST_MS = 10_000
CALM_S = 30.0

Companion = Callable[[], Awaitable[None]]
"""Runs until it is cancelled. Whatever it wants kept it submits as a command."""


async def accompany(service: str, companion: Companion) -> None:
    """Run a companion for ever; one that ends or fails is started again, later each time it fails soon."""
    line = structlog.get_logger().bind(service=service, companion=getattr(companion, "__qualname__", repr(companion)))
    loop = asyncio.get_running_loop()
    retry_ms = RETRY_FIRST_MS
    while True:
        began = loop.time()
        try:
            await companion()
            line.warning("a companion ended and is started again")
        except Exception as error:  # noqa: BLE001 - a companion may fail in any way; the worker goes on without it
            metrics.FAILURES.labels(service, "companion").inc()
            line.warning("a companion failed and is started again", error=f"{type(error).__name__}: {error}"[:300])
        if loop.time() - began > CALM_S:
            retry_ms = RETRY_FIRST_MS
        await asyncio.sleep(retry_ms / 1000)
        retry_ms = min(retry_ms * 2, RETRY_LAST_MS)
