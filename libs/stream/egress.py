"""Outward calls: rows written with the decision, sent afterwards with retries, a breaker and an idempotency key."""

import asyncio
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from libs.decide import Delivered, Send
from libs.stream import metrics
from libs.stream.journal import Journal, JournalAway
from libs.stream.turns import Turns

POLL_MS = 1_000
# Those in flight are among the oldest. What is found behind them starts as they end, without another question.
CLAIMS_PER_PLACE = 4
SEND_TIMEOUT_S = 15.0
ATTEMPTS_LIMIT = 500
RETRY_FIRST_MS = 500
RETRY_LAST_MS = 60_000
BREAKER_FAILURES = 5
BREAKER_OPEN_S = 15.0
# The other side's words may hold anything; Postgres takes neither of these.
_UNSAVEABLE = re.compile("[\x00\ud800-\udfff]")


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
            self.open(now_s)

    def open(self, now_s: float) -> None:
        """Call nobody for a while, then one."""
        self.failures = max(self.failures, BREAKER_FAILURES)
        self.open_until_s = now_s + BREAKER_OPEN_S
        self.probing = False


@dataclass
class Egress:
    """The sender of one service's outward calls; runs only while the service holds its lease."""

    service: str
    journal: Journal
    senders: Mapping[str, Sender]
    deliver: Callable[[Delivered], Awaitable[None]]
    clock: Callable[[], datetime]
    in_flight_limit_calls: int  # of one destination
    in_order: Collection[str] = ()
    jitter: Callable[[], float] = random.random
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    _flying: dict[str, dict[str, asyncio.Task[None]]] = field(default_factory=dict)
    _landed: set[tuple[str, str]] = field(default_factory=set)
    _ready: dict[str, deque[tuple[Send, int]]] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: Turns = field(default_factory=Turns)
    _turns_loaded: bool = False

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
            for flying in self._flying.values():
                for task in flying.values():
                    task.cancel()
            # Whoever holds the lease next begins afresh: a cancelled probe or call left nothing to wait for.
            self._flying.clear()
            self._ready.clear()
            self._turns_loaded = False
            for breaker in self._breakers.values():
                breaker.probing = False

    async def _round(self) -> None:
        """Start what is known to wait; look for more where a destination could take it and nothing is known."""
        loop_now_s = asyncio.get_running_loop().time()
        open_to = [destination for destination in self.senders if self._start(destination, loop_now_s)]
        if not open_to:
            return
        if self.in_order and not self._turns_loaded:
            self._turns.load(await self.journal.delayed_sends(list(self.in_order)))
            self._turns_loaded = True
        # A call that ends while the database is asked may still be in the answer: it is looked at again next time.
        self._landed.clear()
        claims_limit = CLAIMS_PER_PLACE * self.in_flight_limit_calls
        now = self.clock()
        for send, attempts in await self.journal.waiting_sends(now, open_to, claims_limit):
            known = self._flying.get(send.destination, {})
            if send.send_id in known or (send.destination, send.send_id) in self._landed:
                continue
            if send.destination not in self.in_order or await self._has_turn(send, attempts, now):
                self._ready.setdefault(send.destination, deque()).append((send, attempts))
        for destination in open_to:
            self._start(destination, loop_now_s)

    async def _has_turn(self, send: Send, attempts: int, now: datetime) -> bool:
        """Tell whether a call may be made; one behind a call that waits to be tried again is put off with it."""
        waits = self._turns.take_place(send, now)
        if waits is None:
            return True
        first, due = waits
        if due > now:
            await self.journal.note_attempt(send, attempts, due, f"waits for {first}")
        return False

    def _start(self, destination: str, loop_now_s: float) -> bool:
        """Start calls that are ready, as many as may fly; returns whether more could be started than are known."""
        flying = self._flying.setdefault(destination, {})
        ready = self._ready.setdefault(destination, deque())
        breaker = self._breakers.setdefault(destination, Breaker())
        while len(flying) < self.in_flight_limit_calls:
            if not ready:
                return breaker.may_admit(loop_now_s)
            if not breaker.admits(loop_now_s):
                return False
            send, attempts = ready.popleft()
            flying[send.send_id] = asyncio.create_task(self._try(self.senders[destination], send, attempts + 1))
        return False

    async def _try(self, sender: Sender, send: Send, attempt: int) -> None:
        """Make one attempt, and record its end."""
        log = structlog.get_logger().bind(service=self.service, destination=send.destination, send_id=send.send_id)
        try:
            await self._attempt(sender, send, attempt)
        except JournalAway as error:
            log.warning("the outcome of a call is not recorded, it will be made again", error=str(error))
        except Exception:
            # Made again at once, it would fail again at once: the other side is not called without a pause.
            log.exception("the outcome of a call cannot be recorded")
            self._breakers[send.destination].open(asyncio.get_running_loop().time())
        finally:
            self._flying.get(send.destination, {}).pop(send.send_id, None)
            self._landed.add((send.destination, send.send_id))
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
        reason = _UNSAVEABLE.sub(" ", reason)
        # Being asked to wait is an answer: the destination lives, only this call is early.
        breaker.note(ok=outcome != "retry" or wait_s > 0, now_s=loop.time())
        metrics.EGRESS.labels(self.service, send.destination, outcome).inc()
        log.info("outward call", outcome=outcome, attempt=attempt, reason=reason)
        if outcome == "retry" and attempt < ATTEMPTS_LIMIT:
            back_off_ms = min(RETRY_FIRST_MS * 2 ** min(attempt - 1, 10), RETRY_LAST_MS) * (0.5 + self.jitter() / 2)
            next_try = self.clock() + timedelta(seconds=max(wait_s, back_off_ms / 1000))
            await self.journal.note_attempt(send, attempt, next_try, reason)
            if send.destination in self.in_order:
                self._turns.note_failure(send, next_try)
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
        if send.destination in self.in_order:
            self._turns.note_end(send)
