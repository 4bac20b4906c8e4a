"""An event loop whose clock is virtual: where nothing is ready it jumps to the next timer, so a run is a function."""

import asyncio
import heapq
from asyncio import events
from typing import Any

STEPS_LIMIT = 3_000_000


class Stalled(Exception):
    """Nothing is ready, no timer is set, and yet somebody waits: no event could ever wake them."""


class Endless(Exception):
    """The run took more steps than any healthy one: something spins."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks first in, first out, and timers in order of time. It never sleeps, and knows no files."""

    _ready: Any
    _scheduled: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self.steps = 0

    def time(self) -> float:
        """Return the virtual time in seconds; it moves only while nothing is ready."""
        return self._now_s

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise Stalled
            self._now_s = max(self._now_s, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now_s:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                self.steps += 1
                handle._run()
        if self.steps > STEPS_LIMIT:
            raise Endless(f"{self.steps} steps by virtual second {self._now_s:.1f}")

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """Cancelled timers leave the heap when their time comes."""

    def _write_to_self(self) -> None:
        """Nothing sleeps here, so there is nothing to wake."""
