"""The port to a service's database: one transaction a batch carries positions, effects and outputs together."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from libs.decide import Delivered, Due, Key, Needs, Reply, Row, Send, State
from libs.stream.log import Outgoing, Place
from libs.stream.turns import Delayed


class Fenced(Exception):
    """Another worker owns the shard by now, or the positions moved: nothing was saved, start again from the lease."""


class JournalAway(Exception):
    """The database did not answer, or its answer to a commit was lost: reload what is durable and go on from there."""


class Unsaveable(Exception):
    """The database refuses what was decided (a constraint, a value it cannot hold): some message is to be parked."""


@dataclass
class Head:
    """Where a stream stands in one topic and partition: the next sequence number, and the last acknowledged one."""

    next_seq: int
    cursor: int


@dataclass
class Resume:
    """What the holder of a lease continues from: everything durable that the protocol needs in memory."""

    epoch: int
    batch_no: int
    decided_at: datetime
    offsets: dict[Place, int] = field(default_factory=dict)
    seqs: dict[tuple[str, int, str], int] = field(default_factory=dict)
    heads: dict[Place, Head] = field(default_factory=dict)
    parked_keys: set[str] = field(default_factory=set)
    next_due: datetime | None = None


@dataclass(frozen=True)
class Parked:
    """A message that could not be handled, with where it came from. `behind`: it only waits for an earlier one."""

    key: str
    topic: str
    partition: int
    offset: int
    source: str
    seq: int
    type: str
    value: bytes | None
    error: str
    behind: bool = False
    n: int = 0
    cause: str = ""
    parked_at: datetime | None = None


@dataclass(frozen=True)
class Answered:
    """A command that was decided, with the answer it got; `body` is what replay decides again."""

    idempotency_key: str
    kind: str
    fingerprint: bytes
    body: bytes
    reply: Reply


@dataclass
class Changes:
    """All that one batch saves, beside the rows in `state`. Everything happens, or nothing."""

    batch_no: int
    decided_at: datetime
    state: State
    offsets: dict[Place, tuple[int, int]] = field(default_factory=dict)
    seqs: dict[tuple[str, int, str], int] = field(default_factory=dict)
    heads: dict[Place, Head] = field(default_factory=dict)
    outbox: list[tuple[Outgoing, str, str]] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    timers_set: dict[tuple[str, str], datetime] = field(default_factory=dict)
    # With the time for which it had come, if it came: one that was set anew meanwhile stays.
    timers_gone: dict[tuple[str, str], datetime | None] = field(default_factory=dict)
    sends: list[Send] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    unparked: list[tuple[str, int]] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)


class Journal(Protocol):
    """One service's database. The worker is its only writer, but for the bookkeeping of `note_attempt`."""

    async def acquire(self, owner: str, lease_ms: int) -> Resume | None:
        """Take the lease if it is free, expired or already ours, with a higher epoch; None if another holds it."""
        ...

    async def renew(self, lease_ms: int, heads: Mapping[Place, Head]) -> None:
        """Keep the lease and note acknowledged cursors while there is nothing to commit; raises Fenced."""
        ...

    async def release(self) -> None:
        """Give the lease back, so that a successor need not wait for its end."""
        ...

    async def start_offsets(self, offsets: Mapping[Place, int]) -> None:
        """Record the first position of places never read before."""
        ...

    async def begin(self) -> None:
        """Begin a batch: what is loaded from here on is what it decides on."""
        ...

    async def load(self, wanted: Mapping[type[Row], Collection[Key]]) -> dict[type[Row], list[Row]]:
        """Return the rows of these keys, locked in key order."""
        ...

    async def commit(self, changes: Changes, lease_ms: int) -> None:
        """Save everything and commit; raises Fenced, Unsaveable (rolled back) or JournalAway (in doubt)."""
        ...

    async def rollback(self) -> None:
        """Forget the open transaction."""
        ...

    async def answers(self, keys: Sequence[str]) -> dict[str, Answered]:
        """Return the stored answers of these idempotency keys."""
        ...

    async def due(self, now: datetime, limit: int) -> tuple[list[Due], datetime | None]:
        """Return timers that have come, oldest first, and the time of the first one after them."""
        ...

    def unsent(self, heads: Mapping[Place, Head], chunk: int) -> AsyncIterator[list[tuple[Outgoing, str, str]]]:
        """Yield the outbox rows after each cursor, in order, in chunks: record (without headers), type, cause."""
        ...

    async def parked(self, key: str) -> list[Parked]:
        """Return the parked messages of a key, oldest first."""
        ...

    async def note_parked_attempt(self, key: str, n: int, error: str) -> None:
        """Count a failed redrive."""
        ...

    async def waiting_sends(
        self, now: datetime, destinations: Sequence[str], limit_each: int
    ) -> list[tuple[Send, int]]:
        """Return outward calls whose time has come, oldest first, with the attempts made so far."""
        ...

    async def delayed_sends(self, destinations: Sequence[str]) -> list[Delayed]:
        """Return outward calls that wait and were tried or put off, in the order they were written in."""
        ...

    async def note_attempt(self, send: Send, attempts: int, next_try_at: datetime, outcome: str) -> None:
        """Record a failed attempt of an outward call, to be tried again at `next_try_at`."""
        ...

    async def close(self) -> None:
        """Leave."""
        ...


async def fill(journal: Journal, state: State, needs: Needs) -> None:
    """Load what of `needs` the state does not have yet."""
    wanted = state.missing(needs)
    if wanted:
        for table, rows in (await journal.load(wanted)).items():
            state.fill(table, wanted[table], rows)
