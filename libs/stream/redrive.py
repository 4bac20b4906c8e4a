"""Decides parked messages again, in their order, when an operator asks for it."""

from collections.abc import Awaitable, Callable

from libs.decide import Handlers, Reply, problem
from libs.stream.batch import ERROR_TEXT_LIMIT, Input, Poisoned
from libs.stream.journal import Journal, Unsaveable
from libs.stream.reader import redriven


async def redrive(key: str, handlers: Handlers, journal: Journal, again: Callable[[Input], Awaitable[None]]) -> Reply:
    """Decide a key's messages one by one; the first that fails again stays, with those behind it.

    `again` commits one message in a transaction of its own; raises Poisoned or Unsaveable.
    """
    done = 0
    for parked in await journal.parked(key):
        item = redriven(handlers, parked)
        error = item.park or ""
        if not error:
            try:
                await again(item)
            except (Poisoned, Unsaveable) as failure:
                await journal.rollback()
                error = str(failure)[:ERROR_TEXT_LIMIT]
        if error:
            await journal.note_parked_attempt(key, parked.n, error)
            return problem(409, "the message cannot be handled yet", error, redriven=done)
        done += 1
    if not done:
        return problem(404, "nothing is parked there")
    return Reply(status=200, body={"key": key, "redriven": done})
