"""Carries the schedule out against a running rig, waits for health in between, and takes the times."""

import asyncio
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from loadtests.chaos.faults import inflict
from loadtests.chaos.health import Health, NotHealthy
from loadtests.chaos.rig import Rig
from loadtests.chaos.schedule import Fault, points

WELL_AGAIN_LIMIT_S = 120.0
AT_ONCE_LIMIT = 5
FIRST_GUESS_S = 9.0
AT_LEAST_S = 0.2


@dataclass
class Damage:
    """What was done, and how long it took to be well again."""

    hits: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    unwell: list[str] = field(default_factory=list)


@dataclass
class Driver:
    """Inflicts faults until the time is up; more at once where the time would not suffice one by one."""

    rig: Rig
    health: Health
    schedule: Iterator[Fault]
    wanted: int
    say: Callable[[str], None]
    damage: Damage = field(default_factory=Damage)
    _ended_s: dict[Fault, float] = field(default_factory=dict)
    _put_off: list[Fault] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """Run for so long; raises NotHealthy when the system does not come back."""
        started_s = time.monotonic()
        done = 0
        while (left_s := seconds - (time.monotonic() - started_s)) > 0:
            each_s = (seconds - left_s) / done if done else FIRST_GUESS_S
            at_once = min(AT_ONCE_LIMIT, max(1, math.ceil((self.wanted - done) * each_s / left_s)))
            burst = self._take(at_once)
            self.say(
                f"{seconds - left_s:6.1f} s  " + " + ".join(f"{fault.point} {fault.hold_s:.1f}" for fault in burst)
            )
            await asyncio.gather(*[self._inflict(fault) for fault in burst])
            done += len(burst)
            if not burst[0].overlaps:
                await self._well_again()
        await self._well_again()

    def _take(self, count: int) -> list[Fault]:
        """Take the next faults; two never hurt the same process at once."""
        burst: list[Fault] = []
        put_off, self._put_off = self._put_off, []
        for _ in range(len(put_off) + len(points())):
            fault = put_off.pop(0) if put_off else next(self.schedule)
            if any(fault.target == other.target for other in burst):
                self._put_off.append(fault)
            else:
                burst.append(fault)
            if len(burst) == count:
                break
        self._put_off += put_off
        return burst

    async def _inflict(self, fault: Fault) -> None:
        hit = await inflict(self.rig, fault)
        self._ended_s[fault] = time.monotonic()
        (self.damage.hits if hit else self.damage.misses)[fault.point] += 1
        if not hit:
            self.say(f"          {fault.point} did not bite")

    async def _well_again(self) -> None:
        try:
            await self.health.wait(WELL_AGAIN_LIMIT_S)
        except NotHealthy as error:
            names = ", ".join(fault.point for fault in self._ended_s)
            self.damage.unwell.append(f"after {names}: {error}")
            raise
        now_s = time.monotonic()
        for fault, ended_s in self._ended_s.items():
            self.damage.recovery_s[fault.point].append(max(AT_LEAST_S, now_s - ended_s))
        self._ended_s.clear()
