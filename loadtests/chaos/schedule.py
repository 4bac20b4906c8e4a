"""What goes wrong, when and how: drawn from one seed, so that a run can be asked for again."""

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from deploy.local.layout import SERVICES

KILL, STOP, RESET, TWINS, CLOCK, DISK = "kill", "stop", "reset", "twins", "clock", "disk full"
EVERYTHING = (*SERVICES, "kafka", "postgres")
TARGETS: Mapping[str, tuple[str, ...]] = {
    KILL: EVERYTHING,
    STOP: EVERYTHING,
    RESET: EVERYTHING,
    TWINS: SERVICES,
    CLOCK: SERVICES,
    f"{DISK} kafka": ("kafka",),
    f"{DISK} postgres": ("postgres",),
}
KINDS = tuple(TARGETS)
LEASE_S = 3.0
HITS_OF_A_KIND = 5
# From so many minutes on a run must hit every kind five times, and from so many every point of every kind.
KINDS_MINUTES, POINTS_MINUTES = 5, 10


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `hold_s` is how long it lasts, `chance` (0 to 1) settles how exactly."""

    kind: str
    target: str
    hold_s: float
    chance: float
    overlaps: bool

    @property
    def point(self) -> str:
        """The name under which it is counted."""
        return self.kind if self.kind.startswith(DISK) else f"{self.kind} {self.target}"


def points(kinds: Collection[str] = KINDS) -> list[str]:
    """Return every place where something can go wrong."""
    return [Fault(kind, target, 0, 0, overlaps=False).point for kind in kinds for target in TARGETS[kind]]


def faults(seed: int, kinds: Collection[str] = KINDS) -> Iterator[Fault]:
    """Yield faults for ever: first one of each kind, then five of each, then every point, then again from there."""
    dice = random.Random(seed)
    targets = {kind: _turns(kind, dice) for kind in kinds}
    first = dice.sample(list(kinds), len(kinds))
    yield from (_fault(kind, next(targets[kind]), dice) for kind in first)
    rest = [kind for kind in kinds for _ in range(HITS_OF_A_KIND - 1)]
    yield from (_fault(kind, next(targets[kind]), dice) for kind in dice.sample(rest, len(rest)))
    missing = [kind for kind in kinds for _ in range(len(TARGETS[kind]) - HITS_OF_A_KIND)]
    yield from (_fault(kind, next(targets[kind]), dice) for kind in dice.sample(missing, len(missing)))
    while True:
        kind = dice.choice(list(kinds))
        yield _fault(kind, next(targets[kind]), dice)


def _turns(kind: str, dice: random.Random) -> Iterator[str]:
    """Yield the targets of a kind in turns, each turn in another order."""
    while True:
        yield from dice.sample(TARGETS[kind], len(TARGETS[kind]))


def _fault(kind: str, target: str, dice: random.Random) -> Fault:
    hold_s = dice.uniform(0.3, 2 * LEASE_S) if kind == STOP else dice.uniform(0.5, 4.0)
    return Fault(kind, target, hold_s, dice.random(), overlaps=dice.random() < 0.25)


def missing(hits: Mapping[str, int], minutes: float, kinds: Collection[str] = KINDS) -> list[str]:
    """Say what a run of this length had to hit and did not."""
    wanted = HITS_OF_A_KIND if minutes >= KINDS_MINUTES else max(1, int(minutes))
    lacking = []
    for kind in kinds:
        names = points([kind])
        count = sum(hits.get(name, 0) for name in names)
        if count < wanted:
            lacking.append(f"{kind}: {count} of {wanted}")
        elif minutes >= POINTS_MINUTES:
            lacking.extend(f"{name}: never" for name in names if not hits.get(name))
    return lacking
