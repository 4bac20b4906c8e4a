"""Proves how far a shop's orders are complete: evidence in, a time out, and never past an order that is not here.

A pull up to `until`, walked until `ended`, lists every order that changed before `until` and has not changed since.
An order that it does not list changed again between the two, so it is listed by a pull that reaches past `ended`,
unless it changed once more while that one was walked. `HIDDEN_CHANGES` such hops are waited for before a time counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal

import msgspec

from libs.decide import Output, Reply, Row, State, problem
from services.ingestion.domain.shops import ShopCommand

HIDDEN_CHANGES = 2
STEPS_LIMIT = 64
OPEN_LIMIT = 64
GAPS_SHOWN_LIMIT = 20
GAPS_KEPT_LIMIT = 200
DAYS_KEPT_LIMIT = 3
LEAST_WINDOW_S = 1.0
NEVER = 2**62
PULL, DAYS = "pull", "days"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence: a pull, or a day's list of numbers, that was walked to its end."""

    number: int
    kind: str
    until: datetime
    ended: datetime


class Waived(msgspec.Struct, frozen=True, kw_only=True):
    """A gap in the day numbers that an operator vouches for: no order ever had it."""

    gap: str
    by: str
    why: str
    at: datetime


class Progress(Row, kw_only=True):
    """How far a shop's orders are known. `open` counts, by step, the documents it told of that are not here yet.

    `gaps` are waited for, `waived` ones (the newest) are not.
    """

    row_key: ClassVar[tuple[str, ...]] = ("shop_id",)
    shop_id: str
    channel: str
    evidence: list[str]
    since: datetime
    covered_until: datetime
    complete_until: datetime | None = None
    step_number: int = 0
    steps: list[Step] = []
    open: dict[str, int] = {}
    days: dict[str, int] = {}
    gaps: list[str] = []
    waived: list[Waived] = []
    late_orders: int = 0
    trouble: str | None = None
    trouble_since: datetime | None = None
    told_at: datetime | None = None


class ClosePull(ShopCommand, frozen=True, kw_only=True):
    """A pull was walked to its end. `counted` is the platform's separate count of the same window, if it has one."""

    number: int
    since: datetime
    until: datetime
    ended: datetime
    listed: int
    counted: int | None = None


class CloseDays(ShopCommand, frozen=True, kw_only=True):
    """The platform's day numbers were read: how far each day is counted, and which numbers it does not show.

    A gap is "2026-11-11 #3", or the day alone when none of its numbers could be had.
    """

    number: int
    until: datetime
    ended: datetime
    counted: dict[str, int]
    gaps: list[str]


class WaiveGaps(ShopCommand, frozen=True, kw_only=True):
    """Wait no longer for day numbers that were never given out. A number that is shown all the same is heard."""

    gaps: list[str]
    by: str
    why: str


class NoteTrouble(ShopCommand, frozen=True, kw_only=True):
    """Evidence could not be had."""

    why: str


Colour = Literal["green", "yellow", "red", "grey"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What may delay or stop a shop, besides its evidence."""

    paused: bool
    asks: str | None
    token_expires_at: datetime | None
    parked: int
    lists_late_s: float = 0.0  # how far the platform's lists are behind now, however well all goes


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What operators see of a shop at a glance."""

    colour: Colour
    lag_s: float | None
    reasons: list[str]


def completed(steps: Sequence[Step], open_steps: Iterable[int], evidence: Sequence[str]) -> datetime | None:
    """Return the time before which every paid order is here, or None when the evidence does not say.

    Steps count only up to the first one that told of a document still missing. Where a platform offers more than one
    kind of evidence, each of them has to reach as far.
    """
    first_open = min(open_steps, default=NEVER)
    closed = sorted((step for step in steps if step.number < first_open), key=lambda step: step.number)
    reached: list[datetime] = []
    for kind in evidence:
        of_kind = [step for step in closed if step.kind == kind]
        until = _pulled(of_kind) if kind == PULL else max((step.until for step in of_kind), default=None)
        if until is None:
            return None
        reached.append(until)
    return min(reached, default=None)


def _pulled(pulls: Sequence[Step]) -> datetime | None:
    """Return the newest window end from which enough further hops can be made, each past the end of a walk."""
    for place in range(len(pulls) - 1, -1, -1):
        at: int | None = place
        for _ in range(HIDDEN_CHANGES):
            assert at is not None
            ended = pulls[at].ended
            at = next((later for later in range(at + 1, len(pulls)) if pulls[later].until >= ended), None)
            if at is None:
                break
        if at is not None:
            return pulls[place].until
    return None


def advance(progress: Progress) -> None:
    """Move the watermark as far as the evidence goes, never back; forget evidence that is behind it."""
    reached = completed(progress.steps, [int(number) for number in progress.open], progress.evidence)
    if reached is not None and (progress.complete_until is None or reached > progress.complete_until):
        progress.complete_until = reached
    behind = progress.complete_until
    if behind is not None:
        progress.steps = [step for step in progress.steps if step.until >= behind]
    if len(progress.steps) > STEPS_LIMIT:
        # Without every other of the older ones the watermark moves in larger strides, and never too far.
        half = len(progress.steps) // 2
        progress.steps = progress.steps[:half:2] + progress.steps[half:]


def opened(progress: Progress, number: int) -> int:
    """Count one more document that a step told of; returns the step it is counted under (that one, or an older)."""
    if str(number) not in progress.open and len(progress.open) >= OPEN_LIMIT:
        number = max(int(known) for known in progress.open)
    progress.open[str(number)] = progress.open.get(str(number), 0) + 1
    return number


def resolved(progress: Progress, number: int) -> None:
    """Count one document less, and move on if it was the last."""
    left = progress.open.pop(str(number), 1) - 1
    if left > 0:
        progress.open[str(number)] = left
    advance(progress)


def close_pull(command: ClosePull, state: State, now: datetime) -> list[Output]:
    """Take a pull as evidence; one that leaves a gap, or lists less than the platform counts, is none."""
    progress = state.get(Progress, command.shop_id)
    if progress is None:
        return [problem(404, "no such shop on a platform", field="shop_id")]
    if command.number != progress.step_number + 1 or command.since > progress.covered_until:
        return [problem(409, "another pull came first", step_number=progress.step_number)]
    if command.counted is not None and command.counted > command.listed:
        missing = command.counted - command.listed
        _trouble(progress, f"the platform counts {missing} more changed orders than it listed", now)
        state.put(progress)
        return [Reply(body={"closed": False})]
    progress.covered_until = max(progress.covered_until, command.until)
    _step(progress, Step(number=command.number, kind=PULL, until=command.until, ended=command.ended), now)
    state.put(progress)
    return [Reply(body={"closed": True})]


def close_days(command: CloseDays, state: State, now: datetime) -> list[Output]:
    """Take day numbers as evidence when none is missing among them, nor among those that were missed before.

    Nothing tells where an ended day stops, so a reading may stop at a hole: only a number that is counted fills it.
    """
    progress = state.get(Progress, command.shop_id)
    if progress is None:
        return [problem(404, "no such shop on a platform", field="shop_id")]
    if command.number != progress.step_number + 1:
        return [problem(409, "another pull came first", step_number=progress.step_number)]
    still = [gap for gap in progress.gaps if gap not in command.gaps and _is_open(gap, command.counted)]
    waived = {each.gap for each in progress.waived}  # perhaps while they were read
    progress.gaps = [*still, *(gap for gap in command.gaps if gap not in waived)][:GAPS_KEPT_LIMIT]
    days = {**progress.days, **command.counted}
    kept = days_with_gaps(progress.gaps).union(sorted(days)[-DAYS_KEPT_LIMIT:])
    progress.days = {day: days[day] for day in sorted(days) if day in kept}
    if progress.gaps:
        _trouble(progress, f"the platform's day numbers leave out {len(progress.gaps)}", now)
    else:
        _step(progress, Step(number=command.number, kind=DAYS, until=command.until, ended=command.ended), now)
    state.put(progress)
    return [Reply(body={"closed": not progress.gaps})]


def waive_gaps(command: WaiveGaps, state: State, now: datetime) -> list[Output]:
    """Take an operator's word for gaps that are waited for; the next reading of the day numbers moves the watermark."""
    progress = state.get(Progress, command.shop_id)
    if progress is None:
        return [problem(404, "no such shop on a platform", field="shop_id")]
    unknown = [gap for gap in command.gaps if gap not in progress.gaps]
    if unknown:
        return [problem(409, "nobody waits for these", field="gaps", unknown=unknown, gaps=progress.gaps)]
    progress.gaps = [gap for gap in progress.gaps if gap not in command.gaps]
    waived = [Waived(gap=gap, by=command.by, why=command.why, at=now) for gap in dict.fromkeys(command.gaps)]
    progress.waived = [*progress.waived, *waived][-GAPS_KEPT_LIMIT:]
    state.put(progress)
    return [Reply(body={"shop_id": progress.shop_id, "waived": command.gaps, "gaps": progress.gaps})]


def days_with_gaps(gaps: Iterable[str]) -> frozenset[str]:
    """Return the days of which numbers are missing."""
    return frozenset(gap.partition(" #")[0] for gap in gaps)


def _is_open(gap: str, counted: Mapping[str, int]) -> bool:
    day, _, number = gap.partition(" #")
    return day not in counted or counted[day] < int(number or 0)


def note_trouble(command: NoteTrouble, state: State, now: datetime) -> list[Output]:
    """Keep why evidence is missing; the watermark stands still by itself."""
    progress = state.get(Progress, command.shop_id)
    if progress is None:
        return [problem(404, "no such shop on a platform", field="shop_id")]
    if progress.trouble != command.why:
        _trouble(progress, command.why, now)
        state.put(progress)
    return [Reply(body={"trouble": command.why})]


def _trouble(progress: Progress, why: str, now: datetime) -> None:
    progress.trouble = why
    progress.trouble_since = progress.trouble_since or now


def _step(progress: Progress, step: Step, now: datetime) -> None:
    progress.step_number = step.number
    progress.steps = [*progress.steps, step]
    progress.trouble = progress.trouble_since = None
    progress.told_at = now
    advance(progress)


def health(progress: Progress, standing: Standing, now: datetime, late_after_s: float, red_after_s: float) -> Health:
    """Judge a shop: green when complete up to a moment ago, yellow when late, red when evidence or a person is needed.

    Grey is a channel that offers no way to ask what is missing: nothing is claimed of it.
    """
    until = progress.complete_until
    lag_s = None if until is None else max(0.0, (now - until).total_seconds())
    # Each hop that a time waits for ends so far behind now: what cannot be earlier is not late.
    bearable_s = standing.lists_late_s * (1 + HIDDEN_CHANGES)
    is_late = lag_s is not None and lag_s > late_after_s + bearable_s
    red: list[str] = []
    yellow: list[str] = []
    if standing.asks:
        red.append(f"a person is needed: {standing.asks}")
    if standing.token_expires_at is not None and standing.token_expires_at <= now:
        red.append("the access token has expired")
    if progress.late_orders:
        yellow.append(f"{progress.late_orders} orders came after the time they should have been complete by")
    if standing.parked:
        yellow.append(f"complete but for {standing.parked} parked documents")
    if standing.paused:
        yellow.append("paused by an operator")
    missing = red if lag_s is not None and lag_s > red_after_s + bearable_s else yellow
    if progress.trouble:
        missing.append(f"evidence is missing: {progress.trouble}")
    if is_late:
        missing.append(waits_for(progress, standing, now))
    if red:
        return Health(colour="red", lag_s=lag_s, reasons=red + yellow)
    if not progress.evidence:
        return Health(colour="grey", lag_s=None, reasons=[waits_for(progress, standing, now), *yellow])
    return Health(colour="yellow" if yellow else "green", lag_s=lag_s, reasons=yellow)


def waits_for(progress: Progress, standing: Standing, now: datetime) -> str:
    """Say in words what the watermark waits for."""
    if not progress.evidence:
        return "the channel has no way to ask what is missing"
    if progress.open:
        number = sum(progress.open.values())
        return f"waits for {number} documents that the platform told of"
    if progress.gaps:
        return f"waits for the day numbers {', '.join(progress.gaps[:GAPS_SHOWN_LIMIT])}"
    late_s = standing.lists_late_s
    first_at = progress.covered_until + timedelta(seconds=late_s + LEAST_WINDOW_S)
    if late_s and progress.step_number == 0 and now < first_at:
        behind = f"{late_s / 60:.0f} min" if late_s >= 60 else f"{late_s:.0f} s"
        return f"lists run {behind} behind: the first window closes at {first_at:%H:%M:%S} UTC"
    return f"waits for the next {' and '.join(progress.evidence)} of the platform's orders"
