"""The log and the journal in memory: the same ports, the same guarantees, nothing durable; for tests and simulation."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.decide import Due, Entry, Key, Row, Send, key_of
from libs.stream.journal import Answered, Changes, Fenced, Head, Parked, Resume, Unsaveable
from libs.stream.log import Outgoing, Place, PositionLost, Record
from libs.stream.rows import kept
from libs.stream.turns import Delayed


@dataclass
class MemoryCluster:
    """The records of all topics, shared by the logs that read and write them."""

    partitions: int = 4
    records: dict[Place, list[Record]] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, place: Place) -> list[Record]:
        """Return the records of one partition."""
        return self.records.setdefault(place, [])

    def append(self, record: Outgoing) -> None:
        """Add one record to the end of its partition and wake the readers."""
        held = self.at((record.topic, record.partition))
        held.append(
            Record(
                record.topic,
                record.partition,
                len(held),
                record.timestamp_ms,
                record.key,
                record.value,
                record.headers,
            )
        )
        self.news.set()
        self.news = asyncio.Event()


class MemoryLog:
    """One client of a `MemoryCluster`."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster
        self._positions: dict[Place, int] = {}

    async def partitions(self, topic: str) -> int:
        """Return how many partitions every topic has."""
        return self.cluster.partitions

    async def beginnings(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return zero for each place: nothing expires here."""
        return dict.fromkeys(places, 0)

    async def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return the number of records of each place."""
        return {place: len(self.cluster.at(place)) for place in places}

    async def read_from(self, positions: Mapping[Place, int]) -> None:
        """Read from these offsets on."""
        for place, offset in positions.items():
            if offset > len(self.cluster.at(place)):
                raise PositionLost(f"{place} ends at {len(self.cluster.at(place))}, before {offset}")
        self._positions = dict(positions)

    async def fetch(self, max_records: int, timeout_ms: int) -> list[Record]:
        """Return what is new, waiting for the first record."""
        found = self._new(max_records)
        if found or timeout_ms == 0:
            return found
        news = self.cluster.news
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await news.wait()
        except TimeoutError:
            return []
        return self._new(max_records)

    def _new(self, max_records: int) -> list[Record]:
        found: list[Record] = []
        for place, offset in self._positions.items():
            some = self.cluster.at(place)[offset : offset + max_records - len(found)]
            self._positions[place] = offset + len(some)
            found.extend(some)
        return found

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append all records at once."""
        for record in records:
            self.cluster.append(record)

    async def reset_publishing(self) -> None:
        """Nothing is in flight here."""

    async def close(self) -> None:
        """Nothing is open here."""


@dataclass
class Stored:
    """What a memory database holds: survives its journals, as a server survives its clients."""

    owner: str = ""
    epoch: int = 0
    expires_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    batch_no: int = 0
    decided_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    offsets: dict[Place, int] = field(default_factory=dict)
    seqs: dict[tuple[str, int, str], int] = field(default_factory=dict)
    heads: dict[Place, Head] = field(default_factory=dict)
    rows: dict[type[Row], dict[Key, bytes]] = field(default_factory=dict)
    entries: dict[type[Entry], list[Entry]] = field(default_factory=dict)
    outbox: list[tuple[Outgoing, str, str]] = field(default_factory=list)
    commands: dict[str, Answered] = field(default_factory=dict)
    timers: dict[tuple[str, str], datetime] = field(default_factory=dict)
    egress: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    parked: list[Parked] = field(default_factory=list)
    batches: list[tuple[int, datetime, dict[str, Any]]] = field(default_factory=list)
    check: Callable[[Row], str | None] = lambda row: None

    def row(self, table: type[Row], *key: Any) -> Any:
        """Return a stored row."""
        raw = self.rows.get(table, {}).get(key)
        return None if raw is None else msgspec.msgpack.decode(raw, type=table)

    def all_rows(self, table: type[Row]) -> list[Any]:
        """Return all stored rows of a table, sorted by key."""
        return [msgspec.msgpack.decode(raw, type=table) for _, raw in sorted(self.rows.get(table, {}).items())]


class MemoryJournal:
    """One client of a `Stored` database."""

    def __init__(self, stored: Stored, clock: Callable[[], datetime]) -> None:
        self.stored = stored
        self._clock = clock
        self._epoch = 0

    async def acquire(self, owner: str, lease_ms: int) -> Resume | None:
        """Take the lease if it is free, expired or ours."""
        s = self.stored
        if s.owner and s.owner != owner and s.expires_at > self._clock():
            return None
        s.owner, s.epoch = owner, s.epoch + 1
        s.expires_at = self._clock() + timedelta(milliseconds=lease_ms)
        self._epoch = s.epoch
        return Resume(
            epoch=s.epoch,
            batch_no=s.batch_no,
            decided_at=s.decided_at,
            offsets=dict(s.offsets),
            seqs=dict(s.seqs),
            heads={place: Head(head.next_seq, head.cursor) for place, head in s.heads.items()},
            parked_keys={parked.key for parked in s.parked},
            next_due=min(s.timers.values(), default=None),
        )

    def _guard(self) -> None:
        if self.stored.epoch != self._epoch:
            raise Fenced(f"epoch {self._epoch} is over, {self.stored.epoch} owns the shard")

    async def renew(self, lease_ms: int, heads: Mapping[Place, Head]) -> None:
        """Keep the lease and note acknowledged cursors."""
        self._guard()
        self.stored.expires_at = self._clock() + timedelta(milliseconds=lease_ms)
        for place, head in heads.items():
            known = self.stored.heads.get(place)
            if known is not None:
                known.cursor = max(known.cursor, head.cursor)

    async def release(self) -> None:
        """Give the lease back."""
        if self.stored.epoch == self._epoch:
            self.stored.expires_at = self._clock()

    async def start_offsets(self, offsets: Mapping[Place, int]) -> None:
        """Record first positions."""
        for place, offset in offsets.items():
            self.stored.offsets.setdefault(place, offset)

    async def begin(self) -> None:
        """Nothing to open: a commit is one step here."""

    async def load(self, wanted: Mapping[type[Row], Collection[Key]]) -> dict[type[Row], list[Row]]:
        """Return copies of the rows of these keys."""
        found: dict[type[Row], list[Row]] = {}
        for table, keys in wanted.items():
            rows = self.stored.rows.get(table, {})
            found[table] = [msgspec.msgpack.decode(rows[key], type=table) for key in sorted(keys) if key in rows]
        return found

    async def commit(self, changes: Changes, lease_ms: int) -> None:
        """Save everything in one step, or nothing."""
        s = self.stored
        self._guard()
        if changes.batch_no != s.batch_no + 1 or any(
            s.offsets.get(p) != old for p, (old, _) in changes.offsets.items()
        ):
            raise Fenced("the positions moved under this batch")
        for _, rows in (*changes.state.inserts(), *changes.state.updates()):
            for row in rows:
                reason = s.check(row)
                if reason:
                    raise Unsaveable(reason)
        self._apply(changes)
        s.expires_at = self._clock() + timedelta(milliseconds=lease_ms)

    def _apply(self, changes: Changes) -> None:
        s, state = self.stored, changes.state
        for table, rows in (*state.inserts(), *state.updates()):
            s.rows.setdefault(table, {}).update({key_of(row): kept(row) for row in rows})
        for table, keys in state.deletes():
            for key in keys:
                del s.rows[table][key]
        for entry_type, entries in state.appended():
            s.entries.setdefault(entry_type, []).extend(entries)
        s.batch_no, s.decided_at = changes.batch_no, changes.decided_at
        s.batches.append((changes.batch_no, changes.decided_at, changes.inputs))
        s.offsets.update({place: new for place, (_, new) in changes.offsets.items()})
        s.seqs.update(changes.seqs)
        for place, head in changes.heads.items():
            known = s.heads.get(place)
            s.heads[place] = Head(head.next_seq, max(head.cursor, known.cursor if known else 0))
        s.outbox.extend(changes.outbox)
        s.commands.update({answered.idempotency_key: answered for answered in changes.answered})
        for timer, at in changes.timers_gone.items():
            if at is None or s.timers.get(timer) == at:
                s.timers.pop(timer, None)
        s.timers.update(changes.timers_set)
        for send in changes.sends:
            due = send.not_before or changes.decided_at
            s.egress.setdefault(
                (send.destination, send.send_id),
                {"send": send, "attempts": 0, "next_try_at": due, "outcome": "waiting"},
            )
        for done in changes.delivered:
            row = s.egress[(done.destination, done.send_id)]
            row.update(attempts=done.attempts, next_try_at=None, outcome="sent" if done.ok else "refused")
        gone = set(changes.unparked)
        s.parked = [parked for parked in s.parked if (parked.key, parked.n) not in gone]
        base = max((parked.n for parked in s.parked), default=0)
        s.parked += [_stored(p, base + i, changes.decided_at) for i, p in enumerate(changes.parked, 1)]

    async def rollback(self) -> None:
        """Nothing is open here."""

    async def answers(self, keys: Sequence[str]) -> dict[str, Answered]:
        """Return the stored answers of these idempotency keys."""
        return {key: self.stored.commands[key] for key in keys if key in self.stored.commands}

    async def due(self, now: datetime, limit: int) -> tuple[list[Due], datetime | None]:
        """Return timers that have come, and the time of the first one after them."""
        ordered = sorted((at, kind, key) for (kind, key), at in self.stored.timers.items())
        come = [Due(kind=kind, key=key, at=at) for at, kind, key in ordered[:limit] if at <= now]
        rest = ordered[len(come) :]
        return come, rest[0][0] if rest else None

    async def unsent(self, heads: Mapping[Place, Head], chunk: int) -> AsyncIterator[list[tuple[Outgoing, str, str]]]:
        """Yield the outbox rows after each cursor, in order."""
        cursors = {place: head.cursor for place, head in heads.items()}
        # A successor may have written to places that a worker without its lease never heard of.
        waiting = [
            (record, kind, cause)
            for record, kind, cause in self.stored.outbox
            if record.seq > cursors.get((record.topic, record.partition), record.seq)
        ]
        waiting.sort(key=lambda row: (row[0].topic, row[0].partition, row[0].seq))
        for start in range(0, len(waiting), chunk):
            yield waiting[start : start + chunk]

    async def parked(self, key: str) -> list[Parked]:
        """Return the parked messages of a key, oldest first."""
        return [parked for parked in self.stored.parked if parked.key == key]

    async def note_parked_attempt(self, key: str, n: int, error: str) -> None:
        """A failed redrive changes nothing that matters here."""

    async def waiting_sends(
        self, now: datetime, destinations: Sequence[str], limit_each: int
    ) -> list[tuple[Send, int]]:
        """Return outward calls whose time has come, the oldest of each destination."""
        due = [
            row for row in self.stored.egress.values() if row["next_try_at"] is not None and row["next_try_at"] <= now
        ]
        due.sort(key=lambda row: row["next_try_at"])
        found = []
        for destination in destinations:
            its = [row for row in due if row["send"].destination == destination]
            found += [(row["send"], row["attempts"]) for row in its[:limit_each]]
        return found

    async def delayed_sends(self, destinations: Sequence[str]) -> list[Delayed]:
        """Return outward calls that wait and were tried or put off, in the order they were written in."""
        found = []
        for row in self.stored.egress.values():
            send, due = row["send"], row["next_try_at"]
            if send.destination in destinations and due is not None and row["outcome"] != "waiting":
                found.append((send.destination, send.key, send.send_id, due))
        return found

    async def note_attempt(self, send: Send, attempts: int, next_try_at: datetime, outcome: str) -> None:
        """Record a failed attempt, unless the call has its outcome already."""
        row = self.stored.egress[(send.destination, send.send_id)]
        if row["next_try_at"] is not None:
            row.update(attempts=attempts, next_try_at=next_try_at, outcome=outcome)

    async def close(self) -> None:
        """Nothing is open here."""


def _stored(parked: Parked, n: int, at: datetime) -> Parked:
    return replace(parked, n=n, parked_at=at)
