"""Every point where a simulated run can go wrong, how likely each is, and how often it was really reached."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any
from zlib import crc32

TAIL_LIMIT_EVENTS = 60

# Chances per occasion, once a seed has chosen the point. Occasions differ: a publish, a commit, an outward call.
BY_CHANCE: dict[str, float] = {
    "log: publish refused": 0.08,
    "log: publish torn": 0.08,
    "log: acknowledgement lost": 0.08,
    "log: publish lands late": 0.06,
    "log: fetch fails": 0.02,
    "log: records delayed": 0.3,
    "journal: away": 0.01,
    "journal: commit refused": 0.04,
    "journal: commit in doubt": 0.06,
    "crash: before begin": 0.02,
    "crash: after load": 0.02,
    "crash: before commit": 0.02,
    "crash: after commit, before its answer": 0.03,
    "crash: in the middle of a publish": 0.03,
    "crash: after publish, before its acknowledgement": 0.03,
    "crash: before the cursor": 0.05,
    "frozen: before commit": 0.015,
    "frozen: after commit, before its answer": 0.015,
    "frozen: before publish": 0.02,
    "outside: fails": 0.2,
    "outside: slow": 0.15,
    "outside: answer lost": 0.15,
    "outside: asks to wait": 0.1,
    "outside: refuses": 0.05,
    "client: answer lost": 0.15,
    "client: impatient": 0.2,
}
# Things that happen at some moment rather than on an occasion; the number is how often relative to the others.
BY_TIME: dict[str, float] = {
    "log: broker restarts": 1.0,
    "log: broker loses its tail": 0.15,
    "journal: restarts": 1.0,
    "crash: any time": 3.0,
    "stopped: in good order": 1.0,
    "frozen: any time": 2.5,
    "copies: two at once": 2.0,
    "clock: jumps": 1.5,
}
# Situations that follow from faults: a run of many seeds that never met one of them tests less than it says.
SITUATIONS = (
    "met: a repeated record",
    "met: a gap in a sequence",
    "met: a zombie after its lease was gone",
    "met: a fenced commit",
    "met: an answer from the log of commands",
    "met: a resend from the outbox",
    "met: a call made twice",
    "met: a lost position",
    "met: a standby",
)
ALL_POINTS = (*BY_CHANCE, *BY_TIME, *SITUATIONS)


class Trace:
    """What happened, in order: the last of it in words, all of it as one number that two equal runs share."""

    def __init__(self) -> None:
        self.digest = 0
        self.count = 0
        self._tail: list[tuple[float, str]] = []

    def note(self, now_s: float, text: str) -> None:
        """Take in one event."""
        self.count += 1
        self.digest = crc32(f"{now_s:.6f} {text}".encode(), self.digest)
        self._tail.append((now_s, text))
        if len(self._tail) > 4 * TAIL_LIMIT_EVENTS:
            del self._tail[:-TAIL_LIMIT_EVENTS]

    def tail(self) -> list[str]:
        """Return the last events."""
        return [f"{now_s:10.4f}s  {text}" for now_s, text in self._tail[-TAIL_LIMIT_EVENTS:]]


class Faults:
    """Rolls the dice. A seed enables some points only (a swarm of different mixes finds more than one even mix)."""

    def __init__(self, dice: Random, note: Any, *, share: float = 0.6, only: Mapping[str, float] | None = None) -> None:
        self.on = True
        self.hits: Counter[str] = Counter()
        self._dice = dice
        self._note = note
        intensity = dice.choice((0.5, 1.0, 1.0, 2.0))
        chosen = BY_CHANCE if only is None else only
        self.chances = {
            name: min(0.9, chance * intensity) for name, chance in chosen.items() if dice.random() < share or only
        }
        self.moments = {name: weight for name, weight in BY_TIME.items() if only is None and dice.random() < share}

    def happens(self, point: str) -> bool:
        """Tell whether the fault strikes this time."""
        chance = self.chances.get(point)
        if chance is None or not self.on or self._dice.random() >= chance:
            return False
        self.hit(point)
        return True

    def hit(self, point: str) -> None:
        """Count a point that was reached."""
        self.hits[point] += 1
        self._note(point)

    def moment(self) -> str | None:
        """Return what happens next by itself, None if this seed has no such thing."""
        if not self.moments:
            return None
        (found,) = self._dice.choices(list(self.moments), list(self.moments.values()))
        return found
