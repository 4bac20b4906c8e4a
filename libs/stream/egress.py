"""Outward calls: rows written with the decision, sent afterwards with retries, a breaker and an idempotency key."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from libs.decide import Delivered, Send
from libs.stream import metrics
from libs.stream.journal import Journal, JournalAway

POLL_MS = 1_000
IN_FLIGHT_LIMIT_PER_DESTINATION = 8
# Those in flight are among the oldest, so as many again are looked for behind them.
CLAIM_LIMIT_PER_DESTINATION = 2 * IN_FLIGHT_LIMIT_PER_DESTINATION
SEND_TIMEOUT_S = 15.0
ATTEMPTS_LIMIT = 500
RETRY_FIRST_MS = 500
RETRY_LAST_MS = 60_000
BREAKER_FAILURES = 5
BREAKER_OPEN_S = 15.0


class Refused(Exception):
    """The other side said no for good: no retry will help."""


class Retry(Exception):
    """The other side asks to come back later."""

    def __init__(self, reason: str, after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class Sender(Protocol):
    """Delivers one outward call. `send.send_id` is its idempotency key: the call may come more than once."""

    async def send(self, request: Send, attempt: int) -> str:
        """Return the other side's word; raise Refused to give up; any other exception is retried."""
        ...


@dataclass
class Breaker:
    """Stops calling a destination that keeps failing, then lets one probe through."""

    failures: int = 0
    open_until_s: float = 0.0
    probing: bool = False

    def may_admit(self, now_s: float) -> bool:
        """Tell whether a call might start now, without starting one."""
        return self.failures < BREAKER_FAILURES or (now_s >= self.open_until_s and not self.probing)

    def admits(self, now_s: float) -> bool:
        """Tell whether a call may start now; after the pause only one at a time."""
        if self.failures < BREAKER_FAILURES:
            return True
        if now_s < self.open_until_s or self.probing:
            return False
        self.probing = True
        return True

    def note(self, *, ok: bool, now_s: float) -> None:
        """Take in how a call ended."""
        self.probing = False
        self.failures = 0 if ok else self.failures + 1
        if self.failures >= BREAKER_FAILURES:
            self.open_until_s = now_s + BREAKER_OPEN_S


@dataclass
class Egress:
    """The sender of one service's outward calls; runs only while the service holds its lease."""

    service: str
    journal: Journal
    senders: Mapping[str, Sender]
    deliver: Callable[[Delivered], Awaitable[None]]
    clock: Callable[[], datetime]
    jitter: Callable[[], float] = random.random
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    _flying: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)
    _landed: set[tuple[str, str]] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def nudge(self) -> None:
        """Look now: a commit just wrote a call."""
        self._news.set()

    async def run(self) -> None:
        """Send what is due until cancelled; nothing is lost by a cancellation, only sent again."""
        log = structlog.get_logger().bind(service=self.service)
        try:
            while True:
                try:
                    await self._round()
                except JournalAway as error:
                    log.warning("egress waits for the database", error=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_MS / 1000):
                        await self._news.wait()
                self._news.clear()
        finally:
            for task in list(self._flying.values()):
                task.cancel()
            # Whoever holds the lease next begins afresh: a cancelled probe or call left nothing to wait for.
            self._flying.clear()
            for breaker in self._breakers.values():
                breaker.probing = False

    async def _round(self) -> None:
        now = self.clock()
        loop_now_s = asyncio.get_running_loop().time()
        per_destination: dict[str, int] = {}
        for destination, _ in self._flying:
            per_destination[destination] = per_destination.get(destination, 0) + 1
        # A call that ends while the database is asked may still be in the answer: it is looked at again next time.
        self._landed.clear()
        open_to = [
            destination
            for destination in self.senders
            if per_destination.get(destination, 0) < IN_FLIGHT_LIMIT_PER_DESTINATION
            and self._breakers.setdefault(destination, Breaker()).may_admit(loop_now_s)
        ]
        waiting = await self.journal.waiting_sends(now, open_to, CLAIM_LIMIT_PER_DESTINATION) if open_to else []
        for send, attempts in waiting:
            sender = self.senders[send.destination]
            place = (send.destination, send.send_id)
            flying = per_destination.get(send.destination, 0)
            if place in self._flying or place in self._landed:
                continue
            if flying >= IN_FLIGHT_LIMIT_PER_DESTINATION:
                continue
            if not self._breakers[send.destination].admits(loop_now_s):
                continue
            per_destination[send.destination] = flying + 1
            self._flying[place] = asyncio.create_task(self._try(sender, send, attempts + 1))

    async def _try(self, sender: Sender, send: Send, attempt: int) -> None:
        """Make one attempt, and record its end."""
        log = structlog.get_logger().bind(service=self.service, destination=send.destination, send_id=send.send_id)
        try:
            await self._attempt(sender, send, attempt)
        except JournalAway as error:
            log.warning("the outcome of a call is not recorded, it will be made again", error=str(error))
        finally:
            place = (send.destination, send.send_id)
            self._flying.pop(place, None)
            self._landed.add(place)
            self._news.set()

    async def _attempt(self, sender: Sender, send: Send, attempt: int) -> None:
        log = structlog.get_logger().bind(service=self.service, destination=send.destination, send_id=send.send_id)
        breaker = self._breakers[send.destination]
        loop = asyncio.get_running_loop()
        wait_s = 0.0
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                detail = await sender.send(send, attempt)
        except Refused as refusal:
            outcome, reason = "refused", str(refusal)
        except Retry as asked:
            outcome, reason, wait_s = "retry", str(asked), asked.after_seconds
        except Exception as error:  # noqa: BLE001 - a sender may fail in any way; the call is kept and tried again
            outcome, reason = "retry", type(error).__name__
        else:
            outcome, reason = "sent", detail
        # Being asked to wait is an answer: the destination lives, only this call is early.
        breaker.note(ok=outcome != "retry" or wait_s > 0, now_s=loop.time())
        metrics.EGRESS.labels(self.service, send.destination, outcome).inc()
        log.info("outward call", outcome=outcome, attempt=attempt, reason=reason)
        if outcome == "retry" and attempt < ATTEMPTS_LIMIT:
            back_off_ms = min(RETRY_FIRST_MS * 2 ** min(attempt - 1, 10), RETRY_LAST_MS) * (0.5 + self.jitter() / 2)
            next_try = self.clock() + timedelta(seconds=max(wait_s, back_off_ms / 1000))
            await self.journal.note_attempt(send, attempt, next_try, reason)
            return
        await self.deliver(
            Delivered(
                destination=send.destination,
                send_id=send.send_id,
                key=send.key,
                ok=outcome == "sent",
                detail=reason,
                attempts=attempt,
                body=send.body,
            )
        )
