"""The time that the doubles live in: real time, shifted forward and sped up as the control API says."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8))
WALL_FORMAT = "%Y-%m-%d %H:%M:%S"
END_S = 4_102_444_800.0  # 2100: beyond it moments soon cannot be written any more, and nothing would answer


class Clock:
    """Never goes back, as lists of changes rely on it, and stands still when 2100 has come."""

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        self._real = real
        self._anchor_real_s = real()
        self._anchor_s = self._anchor_real_s
        self.rate = 1.0

    def now(self) -> datetime:
        """Return the simulated moment, in UTC."""
        return datetime.fromtimestamp(self.now_s(), UTC)

    def now_s(self) -> float:
        """Return the simulated moment as seconds since 1970."""
        return min(self._anchor_s + (self._real() - self._anchor_real_s) * self.rate, END_S)

    def advance(self, seconds: float) -> None:
        """Shift the simulated time forward."""
        to_s = self.now_s() + seconds
        if not (seconds >= 0 and to_s <= END_S):
            raise ValueError("the simulated clock only goes forward, and not beyond 2100")
        self._anchor_s, self._anchor_real_s = to_s, self._real()

    def run_at(self, rate: float) -> None:
        """Let `rate` simulated seconds pass in a real one."""
        if not 0 < rate <= 100_000:
            raise ValueError("the rate must be above 0 and at most 100000 simulated seconds a second")
        self.advance(0)
        self.rate = rate


def wall(moment: datetime) -> str:
    """Write a moment as a Shanghai wall clock, `2026-01-05 10:00:00`."""
    return moment.astimezone(SHANGHAI).strftime(WALL_FORMAT)


def of_wall(text: str) -> datetime:
    """Read a Shanghai wall clock; raises ValueError."""
    return datetime.strptime(text, WALL_FORMAT).replace(tzinfo=SHANGHAI).astimezone(UTC)
