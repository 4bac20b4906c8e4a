"""Sends what a platform says by itself: lost, doubled, reordered, late and retried as the dials say, and recorded."""

import asyncio
import heapq
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from simulators.clock import Clock
from simulators.quirks import Dials

SENT_LIMIT_ENTRIES = 50_000
SENDING_LIMIT_PUSHES = 16
WAIT_LIMIT_S = 0.2
OUTAGE_WAIT_S = 1.0
ANSWER_LIMIT_S = 5.0


@dataclass(frozen=True)
class Push:
    """One message. `send` delivers it once and tells whether it was accepted; it signs with the time of sending."""

    topic: str
    subject: str  # the order's or refund's id, for the books
    send: Callable[[datetime], Awaitable[bool]]
    retry_after_s: tuple[float, ...] = ()  # the platform's own schedule, in simulated seconds


@dataclass(frozen=True)
class HttpPush:
    """A push over HTTP, ready to be sent."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True)
class Sent:
    """What became of one attempt: `lost`, `accepted`, `refused` (wrong answer) or `failed` (no answer)."""

    at: datetime
    platform: str
    shop_id: str
    topic: str
    subject: str
    attempt: int
    outcome: str


@dataclass(order=True)
class _Due:
    due_s: float
    number: int
    platform: str = field(compare=False)
    shop_id: str = field(compare=False)
    push: Push = field(compare=False)
    attempt: int = field(compare=False, default=1)


class Pushes:
    """Schedules by the simulated clock. `run` sends in the background; `flush` sends what is due, for tests."""

    def __init__(self, clock: Clock, dice: random.Random, dials: Mapping[str, Dials]) -> None:
        self._clock = clock
        self._dice = dice
        self._dials = dials
        self._due: list[_Due] = []
        self._number = 0
        self._woken = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self.http: httpx.AsyncClient | None = None  # set while the program runs; tests may set their own
        self.sent: deque[Sent] = deque(maxlen=SENT_LIMIT_ENTRIES)
        self.counts: Counter[tuple[str, str]] = Counter()

    @property
    def waiting(self) -> int:
        """Return how many pushes are scheduled or under way."""
        return len(self._due) + len(self._sending)

    def schedule(self, platform: str, shop_id: str, push: Push) -> None:
        """Send soon, or later, or twice, or never."""
        dials, now_s = self._dials[platform], self._clock.now_s()
        if self._falls(dials.pushes_lost_percent):
            self._record(platform, shop_id, push, 1, "lost")
            return
        copies = 2 if self._falls(dials.pushes_doubled_percent) else 1
        for _copy in range(copies):
            delay_s = 0.0
            if self._falls(dials.pushes_reordered_percent):
                delay_s += self._dice.uniform(0, dials.push_reorder_s)
            if self._falls(dials.pushes_late_percent):
                delay_s += dials.push_late_s
            self._put(now_s + delay_s, platform, shop_id, push, 1)

    def wake(self) -> None:
        """Look at the clock again: it was shifted."""
        self._woken.set()

    async def run(self) -> None:
        """Send for ever; ends when cancelled, and takes what is under way with it."""
        try:
            while True:
                self._start_due()
                wait_s = WAIT_LIMIT_S
                if self._due and len(self._sending) < SENDING_LIMIT_PUSHES:
                    until_s = (self._due[0].due_s - self._clock.now_s()) / self._clock.rate
                    wait_s = min(wait_s, max(until_s, 0.001))
                try:
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()
                except TimeoutError:
                    pass
                self._woken.clear()
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def flush(self) -> None:
        """Send all that is due now, and wait until it is sent."""
        while self._start_due() or self._sending:
            await asyncio.gather(*self._sending)

    async def over_http(
        self, request: HttpPush, accepted: Callable[[int, bytes], bool], answer_limit_s: float = ANSWER_LIMIT_S
    ) -> bool:
        """Deliver one request; True when the answer is the one that this platform wants."""
        if self.http is None:
            return False
        response = await self.http.request(
            request.method, request.url, content=request.body, headers=dict(request.headers), timeout=answer_limit_s
        )
        return accepted(response.status_code, response.content)

    def _falls(self, percent: float) -> bool:
        return percent > 0 and self._dice.random() * 100 < percent

    def _put(self, due_s: float, platform: str, shop_id: str, push: Push, attempt: int) -> None:
        self._number += 1
        heapq.heappush(self._due, _Due(due_s, self._number, platform, shop_id, push, attempt))
        self._woken.set()

    def _start_due(self) -> int:
        now_s, started = self._clock.now_s(), 0
        while self._due and self._due[0].due_s <= now_s and len(self._sending) < SENDING_LIMIT_PUSHES:
            due = heapq.heappop(self._due)
            if self._dials[due.platform].is_down(now_s):
                self._put(now_s + OUTAGE_WAIT_S, due.platform, due.shop_id, due.push, due.attempt)
                continue
            task = asyncio.create_task(self._send(due))
            self._sending.add(task)
            task.add_done_callback(self._finished)
            started += 1
        return started

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._woken.set()

    async def _send(self, due: _Due) -> None:
        try:
            outcome = "accepted" if await due.push.send(self._clock.now()) else "refused"
        except (httpx.HTTPError, OSError):
            outcome = "failed"
        self._record(due.platform, due.shop_id, due.push, due.attempt, outcome)
        retries = due.push.retry_after_s if self._dials[due.platform].push_retries else ()
        if outcome != "accepted" and due.attempt <= len(retries):
            due_s = self._clock.now_s() + retries[due.attempt - 1]
            self._put(due_s, due.platform, due.shop_id, due.push, due.attempt + 1)

    def _record(self, platform: str, shop_id: str, push: Push, attempt: int, outcome: str) -> None:
        at = self._clock.now()
        self.sent.append(Sent(at, platform, shop_id, push.topic, push.subject, attempt, outcome))
        self.counts[platform, outcome] += 1
