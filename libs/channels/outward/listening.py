"""Listens to a platform's queue or socket: a message is confirmed once it is durable here, and not before."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from libs.channels.channel import Message, PlatformRefused
from libs.channels.outward.lines import PERSON_RETRY_S, Line, Lines, answer
from libs.stream.egress import Retry

QUEUE_LIMIT_MESSAGES = 200
TOGETHER_LIMIT_MESSAGES = 50
EMPTY_QUEUE_WAIT_S = 1.0

Keep = Callable[[Line, Sequence[Message]], Awaitable[None]]
"""Makes messages durable; returns once they are."""


async def listen(lines: Lines, keep: Keep, shop_id: str, empty_wait_s: float = EMPTY_QUEUE_WAIT_S) -> None:
    """Listen for one shop until cancelled; what is not confirmed comes again."""
    while True:
        line = await lines.find(shop_id)
        if line is None or line.paused:
            return
        try:
            await _drain(line, keep)
            wait_s = empty_wait_s
        except* PlatformRefused as group:
            wait_s = await _wait_after(lines, line, group)
        await asyncio.sleep(wait_s)


async def _drain(line: Line, keep: Keep) -> None:
    """Read until the queue or socket ends; reading waits while too much is unconfirmed."""
    waiting: asyncio.Queue[Message | None] = asyncio.Queue(maxsize=QUEUE_LIMIT_MESSAGES)

    async def read() -> None:
        async for message in line.client.messages():
            await waiting.put(message)
        await waiting.put(None)

    async def confirm() -> None:
        ended = False
        while not ended:
            taken = [await waiting.get()]
            while len(taken) < TOGETHER_LIMIT_MESSAGES and not waiting.empty():
                taken.append(waiting.get_nowait())
            messages = [each for each in taken if each is not None]
            ended = len(messages) < len(taken)
            if messages:
                await keep(line, messages)
                await line.client.confirm([each.receipt for each in messages])

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(confirm())


async def _wait_after(lines: Lines, line: Line, group: BaseExceptionGroup[PlatformRefused]) -> float:
    refused = group.exceptions[0]
    while isinstance(refused, BaseExceptionGroup):
        refused = refused.exceptions[0]
    outcome = await answer(lines, line, refused)
    return max(outcome.after_seconds, EMPTY_QUEUE_WAIT_S) if isinstance(outcome, Retry) else PERSON_RETRY_S
