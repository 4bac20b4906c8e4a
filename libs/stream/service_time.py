"""The time that decisions see: the wall clock, except that it never goes back and never stands still."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

# A clock that was wrong once would stop every timer until the world has caught up. At half its pace, time goes on, and
# the world catches up all the same.
SLOWED = 0.5


class ServiceTime:
    """Follows `clock`; behind what was decided already, it goes on from there at half the pace until both agree."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last: datetime | None = None
        self._at_s = 0.0

    def keep(self, decided_at: datetime) -> None:
        """Never show less than this again."""
        self._last = decided_at
        self._at_s = asyncio.get_running_loop().time()

    def __call__(self) -> datetime:
        """Return the time that the next decision sees."""
        wall = self._clock()
        if self._last is None or wall >= self._last:
            return wall
        passed_s = asyncio.get_running_loop().time() - self._at_s
        return max(wall, self._last + timedelta(seconds=passed_s * SLOWED))

    def seconds_until(self, at: datetime) -> float:
        """Return how long to wait until it is `at` here."""
        now = self()
        left_s = max(0.0, (at - now).total_seconds())
        return left_s if self._clock() >= now else left_s / SLOWED
