"""Asks a platform what changed, window by window without a gap, and closes each window as evidence."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Protocol, cast

import httpx
import structlog

from libs.channels.capabilities import Capabilities
from libs.channels.channel import About, Cure, ListsNewest, Page, PlatformRefused, Window
from libs.channels.outward.lines import PERSON_RETRY_S, Line, Lines, answer, plain
from libs.stream.causes import cause
from libs.stream.egress import Retry

# How far a platform's clock may be behind ours.
SKEW_S = 5
SHORT_OVERLAP_S = 15
LOOK_AHEAD = timedelta(minutes=1)
PAGES_TAKEN_AT_ONCE_LIMIT = 3
BEARABLE_LEAST_S, BEARABLE_GROWS = 60.0, 1.25
SECOND = timedelta(seconds=1)
RETRY_FIRST_S = 1.0
RETRY_LAST_S = 30.0
NUMBERS_TOGETHER_LIMIT = 200
DAY_GAPS_LIMIT = 20
ENDED_DAYS_TOGETHER_LIMIT = 6
# A day's last numbers may be given out a little after midnight.
DAY_ENDS_LATE = timedelta(hours=1)
CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a shop was pulled: the end of its last window, the number of its last piece of evidence, its days.

    `days_with_gaps` are those of which numbers were missing when they were last read, `waived` the gaps (as
    `close_days` names them) that nobody waits for any more.
    """

    covered_until: datetime
    step_number: int
    days: Mapping[str, int]
    days_since: datetime
    days_with_gaps: frozenset[str] = frozenset()
    waived: frozenset[str] = frozenset()

    def waived_of(self, day: date) -> set[int]:
        """Return the numbers of a day that are not waited for."""
        found = [gap.partition(" #") for gap in self.waived]
        return {int(number) for of_day, _, number in found if of_day == day.isoformat() and number}


class Evidence(Protocol):
    """Keeps what pulls find; each call returns once it is durable."""

    async def reached(self, line: Line) -> Reached:
        """Return how far the shop was pulled."""
        ...

    async def page(self, line: Line, about: About, step: int | None, page: Page, asked_at: datetime) -> None:
        """Take in a page."""
        ...

    async def numbers(self, line: Line, step: int, ids: Sequence[str], asked_at: datetime) -> None:
        """Take in orders that a day's list names."""
        ...

    async def close_pull(
        self, line: Line, step: int, window: Window, ended: datetime, listed: int, counted: int | None
    ) -> bool:
        """Close a window; False when it is no evidence."""
        ...

    async def close_days(
        self, line: Line, step: int, until: datetime, ended: datetime, counted: Mapping[str, int], gaps: Sequence[str]
    ) -> bool:
        """Close a reading of all day numbers up to `until`; False when numbers are missing.

        A gap is "2026-11-11 #3", or the day alone when none of its numbers could be had.
        """
        ...

    async def trouble(self, line: Line, why: str) -> None:
        """Say why there is no evidence now."""
        ...


def next_window(
    covered_until: datetime,
    now: datetime,
    capabilities: Capabilities,
    overlap_s: float | None = None,
    bearable_s: float = math.inf,
) -> Window | None:
    """Return the next window: it begins an overlap early, ends before what the platform may not show yet, and keeps
    to its limit and to what is `bearable_s` now; None when there is not a whole second to ask for."""
    until = (now - timedelta(seconds=capabilities.pull_lag_s + SKEW_S)).replace(microsecond=0)
    overlap = timedelta(seconds=capabilities.pull_overlap_s if overlap_s is None else overlap_s)
    limit_s = min(
        bearable_s, math.inf if capabilities.pull_window_limit_s is None else capabilities.pull_window_limit_s
    )
    if limit_s < math.inf:
        limit = timedelta(seconds=limit_s)
        overlap = min(overlap, limit / 2)
        until = min(until, (covered_until - overlap + limit).replace(microsecond=0))
    since = (covered_until - overlap).replace(microsecond=0)
    return Window(since, until) if until >= covered_until + SECOND else None


def days_between(since: datetime, now: datetime) -> list[date]:
    """Return the days in China whose numbers may have grown since then, up to today."""
    last = now.astimezone(CHINA).date()
    first = min((since - DAY_ENDS_LATE).astimezone(CHINA).date(), last)
    return [first + timedelta(days=place) for place in range((last - first).days + 1)]


def begin_of(day: date) -> datetime:
    """Return when a day begins in China."""
    return datetime(day.year, day.month, day.day, tzinfo=CHINA)


def counted_to(numbers: Sequence[int]) -> int:
    """Return the greatest number up to which none is missing."""
    present = set(numbers)
    reached = 0
    while reached + 1 in present:
        reached += 1
    return reached


class Puller:
    """Pulls one shop after the other's pattern: orders, refunds, the count that closes them, and day numbers."""

    def __init__(self, lines: Lines, evidence: Evidence, clock: Callable[[], datetime], interval_s: float) -> None:
        self._lines = lines
        self._evidence = evidence
        self._clock = clock
        self._interval_s = interval_s
        self._looked_back: dict[str, datetime] = {}
        self._bearable_s: dict[str, float] = {}
        self._without_newest: set[str] = set()
        self._days_read: dict[str, set[date]] = {}

    async def run(self, shop_id: str) -> None:
        """Pull a shop until cancelled or until it is gone or paused; failures are waited out and shown."""
        retry_s = RETRY_FIRST_S
        while True:
            line = await self._lines.find(shop_id)
            if line is None or line.paused:
                return
            try:
                behind = await self.round(line)
                wait_s, retry_s = 0.0 if behind else self._pause_s(line), RETRY_FIRST_S
            except PlatformRefused as refused:
                outcome = await answer(self._lines, line, refused)
                wait_s = max(outcome.after_seconds, retry_s) if isinstance(outcome, Retry) else PERSON_RETRY_S
                await self._evidence.trouble(line, plain(str(refused)))
            except (httpx.HTTPError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
                # A page that no connector foresaw is trouble like any other: it may read better the next time.
                wait_s = retry_s
                await self._evidence.trouble(line, plain(cause(error)))
            if wait_s == retry_s:
                retry_s = min(retry_s * 2, RETRY_LAST_S)
            await asyncio.sleep(wait_s)

    def _pause_s(self, line: Line) -> float:
        """Return how long to rest: half as long where pulls are all there is, and no push or message comes first."""
        able = line.channel.capabilities
        return self._interval_s / (1 if able.pushes_orders or able.has_queue else 2)

    async def round(self, line: Line) -> bool:
        """Pull one window and read the day's numbers; returns whether more windows wait already."""
        capabilities = line.channel.capabilities
        behind = await self._pull(line) if capabilities.pulls_orders else False
        if behind or (capabilities.lists_newest and line.shop_id not in self._without_newest):
            await self._look_ahead(line)
        if capabilities.numbers_days and not behind:
            await self._number(line)
        return behind

    async def _pull(self, line: Line) -> bool:
        capabilities = line.channel.capabilities
        reached = await self._evidence.reached(line)
        began = self._clock()
        bearable_s = self._bearable_s.get(line.shop_id, math.inf)
        window = next_window(reached.covered_until, began, capabilities, self._overlap_s(line, began), bearable_s)
        if window is None:
            return False
        length_s = (window.until - window.since).total_seconds()
        try:
            closed, ended = await self._walk(line, reached.step_number + 1, window, length_s)
        except PlatformRefused as refused:
            if refused.cure is not Cure.SHORTEN:
                raise
            if length_s <= BEARABLE_LEAST_S:
                raise PlatformRefused(
                    Cure.ASK, refused.code, f"{refused.text}, and {length_s:.0f} s is short"
                ) from None
            self._halve(line, length_s)
            structlog.get_logger().info("asks for less at once", shop_id=line.shop_id, was_s=length_s)
            return True
        if closed:
            self._bearable_s[line.shop_id] = max(bearable_s, length_s) * BEARABLE_GROWS
        if closed and window.since <= reached.covered_until - timedelta(seconds=capabilities.pull_overlap_s):
            self._looked_back[line.shop_id] = began
        later = window.until + timedelta(seconds=self._interval_s)
        return closed and next_window(later, ended, capabilities) is not None

    async def _walk(self, line: Line, step: int, window: Window, length_s: float) -> tuple[bool, datetime]:
        """Read a window to its end and close it; returns whether it is evidence, and when its orders were read."""
        capabilities = line.channel.capabilities
        listed = await self._take(line, About.ORDER, step, self._begun(line, window, length_s))
        ended = self._clock()
        if capabilities.pulls_refunds:
            await self._take(line, About.REFUND, None, line.client.pages(About.REFUND, window))
        counted = await line.client.count(window) if capabilities.counts_orders else None
        return await self._evidence.close_pull(line, step, window, ended, len(listed), counted), ended

    async def _begun(self, line: Line, window: Window, length_s: float) -> AsyncIterator[Page]:
        """Yield a window's pages; once one is read it was too much at once, until it closes.

        A token that ends within each pull must not stop them all. A platform that is away says nothing about that.
        """
        try:
            async for page in line.client.pages(About.ORDER, window):
                self._halve(line, length_s)
                yield page
        except PlatformRefused as refused:
            if refused.cure is Cure.REFRESH:
                self._halve(line, length_s)
            raise

    def _halve(self, line: Line, length_s: float) -> None:
        self._bearable_s[line.shop_id] = max(length_s / 2, BEARABLE_LEAST_S)

    async def _look_ahead(self, line: Line) -> None:
        """Read a shop's newest minute: no evidence, but who buys now need not wait until lists are caught up with.

        In a rush, what came while the last window was read is less than a minute: the rest of it was just read.
        """
        capabilities = line.channel.capabilities
        lag_s = 0 if capabilities.lists_newest else capabilities.pull_lag_s + SKEW_S
        until = (self._clock() - timedelta(seconds=lag_s)).replace(microsecond=0)
        window = Window(until - LOOK_AHEAD, until)
        if not capabilities.lists_newest:
            reached = await self._evidence.reached(line)
            since = max(window.since, reached.covered_until - timedelta(seconds=SHORT_OVERLAP_S))
            await self._take(line, About.ORDER, None, line.client.pages(About.ORDER, Window(since, until)))
            return
        try:
            await self._take(line, About.ORDER, None, cast("ListsNewest", line.client).newest(window))
        except PlatformRefused as refused:
            if refused.cure in (Cure.RETRY, Cure.REFRESH):
                raise
            # It may not be ours to call: orders are complete without it, only later.
            self._without_newest.add(line.shop_id)
            structlog.get_logger().warning(
                "done without the newest list", shop_id=line.shop_id, why=plain(str(refused))
            )

    async def _take(self, line: Line, about: About, step: int | None, pages: AsyncIterator[Page]) -> set[str]:
        """Take in pages, and ask for the next while those before become durable; returns what they list."""
        listed: set[str] = set()
        taking: deque[asyncio.Task[None]] = deque()
        asked_at = self._clock()
        try:
            async for page in pages:
                listed.update(subject_id for subject_id, _ in page.subjects)
                taking.append(asyncio.create_task(self._evidence.page(line, about, step, page, asked_at)))
                if len(taking) > PAGES_TAKEN_AT_ONCE_LIMIT:
                    await taking.popleft()
                asked_at = self._clock()
            while taking:
                await taking.popleft()
        finally:
            for task in taking:
                task.cancel()
            await asyncio.gather(*taking, return_exceptions=True)
        return listed

    def _overlap_s(self, line: Line, now: datetime) -> float:
        """Look back far only twice per overlap: rows that a platform shows late are found, at a bearable price."""
        whole_s = line.channel.capabilities.pull_overlap_s
        before = self._looked_back.get(line.shop_id)
        far = before is None or now - before >= timedelta(seconds=whole_s / 2)
        return whole_s if far else min(whole_s, SHORT_OVERLAP_S)

    async def _number(self, line: Line) -> None:
        """Read the numbers of all days that T has not passed, some at a time, each time as far as that proves.

        A day that was read without a gap after it had ended is not read again. Who buys now does not wait: today is
        read with every piece.
        """
        reached = await self._evidence.reached(line)
        asked_at = self._clock()
        *ended, today = days_between(reached.days_since, asked_at)
        read = self._days_read.setdefault(line.shop_id, set())
        read.intersection_update(day for day in ended if day.isoformat() not in reached.days_with_gaps)
        left = [day for day in ended if day not in read]
        for place in range(0, max(len(left), 1), ENDED_DAYS_TOGETHER_LIMIT):
            days = left[place : place + ENDED_DAYS_TOGETHER_LIMIT]
            following = left[place + ENDED_DAYS_TOGETHER_LIMIT :]
            late = timedelta(seconds=line.channel.capabilities.pull_lag_s + SKEW_S)
            until = begin_of(following[0]) if following else asked_at - late
            read.update(await self._number_days(line, [*days, today], until, asked_at))

    async def _number_days(
        self, line: Line, days: Sequence[date], until: datetime, asked_at: datetime
    ) -> Sequence[date]:
        """Read days, the last of them today, and close them; returns those that will not grow any more."""
        reached = await self._evidence.reached(line)
        step = reached.step_number + 1
        counted: dict[str, int] = {}
        gaps: list[str] = []
        whole: list[date] = []
        for day in days:
            try:
                listed = await line.client.day_numbers(day)
            except PlatformRefused as refused:
                if refused.cure is not Cure.GIVE_UP or day == days[-1]:
                    raise
                # Perhaps it was too long ago to be told of: the other days are read all the same, and T waits.
                why = plain(str(refused))
                structlog.get_logger().warning("a day cannot be read", shop_id=line.shop_id, day=str(day), why=why)
                if day.isoformat() in reached.waived:
                    whole.append(day)
                else:
                    gaps.append(day.isoformat())
                continue
            if listed is None:
                continue
            known = reached.days.get(day.isoformat(), 0)
            waived = reached.waived_of(day)
            fresh = sorted(
                (number, subject_id)
                for number, subject_id in listed
                if subject_id and (number > known or number in waived)
            )
            for place in range(0, len(fresh), NUMBERS_TOGETHER_LIMIT):
                ids = [subject_id for _, subject_id in fresh[place : place + NUMBERS_TOGETHER_LIMIT]]
                await self._evidence.numbers(line, step, ids, asked_at)
            present = {number for number, _ in fresh} | set(range(1, known + 1)) | waived
            counted[day.isoformat()] = counted_to(sorted(present))
            highest = max((number for number, _ in listed), default=0)
            missing = [number for number in range(known + 1, highest + 1) if number not in present]
            gaps += [f"{day.isoformat()} #{number}" for number in missing[:DAY_GAPS_LIMIT]]
            if not missing and begin_of(day + timedelta(days=1)) + DAY_ENDS_LATE <= asked_at:
                whole.append(day)
        await self._evidence.close_days(line, step, until, self._clock(), counted, gaps)
        return whole
