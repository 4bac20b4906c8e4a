"""Walks a list that its platform counts and sorts by change, so that no row is missed while rows move."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from libs.channels.channel import Cure, PlatformRefused

WINDOW_LIMIT_PAGES = 500
WALKS_LIMIT = 3

Row = dict[str, Any]
Ask = Callable[[int], Awaitable[tuple[list[Row], int]]]
"""Asks for a page by its place, from 0; returns its rows and how many rows the platform counts in all."""


async def from_last_to_first(ask: Ask, page_limit_rows: int) -> AsyncIterator[list[Row]]:
    """Yield the pages of a window that has ended, the last one first.

    A row that changes while we read leaves such a window and pulls all rows behind it one place towards the front: into
    pages we have yet to read, where they are seen (at worst twice). Read from the front, the row that slips over a
    page's edge would never be seen.
    """
    for _ in range(WALKS_LIMIT):
        rows, before = await ask(0)
        last = -(-before // page_limit_rows) - 1
        if last >= WINDOW_LIMIT_PAGES:
            raise PlatformRefused(Cure.SHORTEN, "window", f"holds {before} rows: ask for a shorter one")
        after = before
        for place in range(last, -1, -1):
            if last > 0:
                rows, after = await ask(place)
            if rows:
                yield rows
        # Rows can only leave a window that has ended. If it grew nevertheless, the platform's index was late and
        # pushed rows towards the pages that were read already: all are read again.
        if after <= before:
            return
    raise PlatformRefused(Cure.RETRY, "window", f"was still growing when it was read {WALKS_LIMIT} times")


def counted_rows(answer: Mapping[str, Any], rows_name: str, total_name: str) -> tuple[list[Row], int]:
    """Return an answer's rows and the platform's count of all; one without them must not pass as an empty page."""
    rows, total = answer.get(rows_name) or [], answer.get(total_name)
    if not isinstance(rows, list) or not isinstance(total, int) or not all(isinstance(row, dict) for row in rows):
        raise PlatformRefused(Cure.RETRY, "answer", f"holds no {rows_name} with a {total_name}")
    return rows, total
