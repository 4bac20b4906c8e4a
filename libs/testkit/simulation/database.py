"""The simulated database and its clients: answers that never come, commits in doubt, locks that wait for each other."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from libs.decide import Due, Key, Row, Send, key_of
from libs.stream.journal import Answered, Changes, Fenced, Head, JournalAway, Parked, Resume
from libs.stream.log import Outgoing, Place
from libs.stream.memory import MemoryJournal, Stored
from libs.stream.turns import Delayed
from libs.testkit.simulation.cluster import Stream, stream_of
from libs.testkit.simulation.locks import Locks

if TYPE_CHECKING:
    from libs.testkit.simulation.process import Process
    from libs.testkit.simulation.world import World


class SimDatabase:
    """One shard's database: survives its clients, and looks at every commit with the protocol's rules in hand."""

    def __init__(self, world: "World", service: str, shard: int, locks: Locks | None = None) -> None:
        self.world = world
        self.service = service
        self.shard = shard
        self.stored = Stored()
        self.down = False
        self.locks = locks
        self.accepted: dict[Stream, int] = {}
        self.outcomes: dict[tuple[str, str], int] = {}
        self.told: dict[str, Answered] = {}
        self.told_at: dict[str, datetime] = {}

    def committing(self, changes: Changes, epoch: int) -> None:
        """Check what a commit claims, just after it was saved."""
        world, name = self.world, f"{self.service}/{self.shard}"
        if epoch != self.stored.epoch:
            world.fail(f"{name}: a worker of epoch {epoch} committed, {self.stored.epoch} owns the shard")
        if changes.batch_no != len(self.stored.batches):
            world.fail(f"{name}: batch {changes.batch_no} is number {len(self.stored.batches)} of the log of batches")
        self._check_accepted(changes)
        for outgoing, kind, _ in changes.outbox:
            key = stream_of(outgoing)
            if key in world.committed:
                world.fail(f"{name}: number {key[1]} of {key[0]} was committed twice ({kind})")
            world.committed[key] = outgoing
        for answered in changes.answered:
            if answered.idempotency_key in self.told:
                world.fail(f"{name}: command {answered.idempotency_key} was decided twice")
            self.told[answered.idempotency_key] = answered
            self.told_at[answered.idempotency_key] = changes.decided_at
        for done in changes.delivered:
            place = (done.destination, done.send_id)
            self.outcomes[place] = self.outcomes.get(place, 0) + 1
            if self.outcomes[place] > 1:
                world.fail(f"{name}: the outcome of call {place} was committed {self.outcomes[place]} times")
        self.check_cursors(changes.heads)

    def _check_accepted(self, changes: Changes) -> None:
        """Apply the sequence rule independently to what the offsets passed, and compare."""
        records = self.world.cluster.records
        for place, (old, new) in changes.offsets.items():
            if place in self.world.cluster.lost:
                continue
            for record in records[place][old:new]:
                stream, seq = stream_of(record)
                last = self.accepted.get(stream, 0)
                if seq == last + 1:
                    self.accepted[stream] = seq
                else:
                    self.world.faults.hit("met: a repeated record" if seq <= last else "met: a gap in a sequence")
        for (topic, part, source), seq in changes.seqs.items():
            expected = self.accepted.get((source, topic, part), 0)
            if seq != expected and (topic, part) not in self.world.cluster.lost:
                self.world.fail(
                    f"{self.service} accepted number {seq} of {source} in {topic}/{part}, the rule gives {expected}"
                )

    def check_cursors(self, heads: Mapping[Place, Head]) -> None:
        """A durable cursor must lie within what a reader of the log can get."""
        source = f"{self.service}/{self.shard}/1"
        for place, head in heads.items():
            prefix = self.world.cluster.prefix.get((source, *place), 0)
            if head.cursor > prefix and place not in self.world.cluster.lost:
                self.world.fail(f"{source}: the cursor of {place} is {head.cursor}, readers can get {prefix}")


class SimJournal(MemoryJournal):
    """One process's client of a database. Every call may be slow, fail, or be the last thing its process does."""

    def __init__(self, process: "Process", database: SimDatabase) -> None:
        super().__init__(database.stored, process.world.now)
        self.process = process
        self.database = database
        self._world = process.world

    async def _call(self, *, beside: bool = False) -> None:
        """Reach the database, on the connection of the transaction or on the one beside it."""
        await self.process.gate()
        await asyncio.sleep(self._world.short())
        await self.process.gate()
        if self.database.down or self._world.faults.happens("journal: away"):
            if not beside:
                self._unlock()
            raise JournalAway("the database does not answer")

    async def _locked(self, table: type[Row], keys: Sequence[Key]) -> Sequence[Key]:
        """Lock rows one by one; returns those that were there when the statement began: it sees no others."""
        locks = self.database.locks
        if locks is None:
            return keys
        seen = [key for key in keys if key in self.stored.rows.get(table, {})]
        for key in seen:
            await asyncio.sleep(self._world.short())
            await self.process.gate()
            await locks.take(self, table, key)
        return seen

    def _unlock(self) -> None:
        if self.database.locks is not None:
            self.database.locks.release(self)

    def forget(self) -> None:
        """The client is gone: the server ends what it had open."""
        self._unlock()

    @property
    def holds_lease(self) -> bool:
        """Tell whether this client was the last to take the lease."""
        return 0 < self._epoch == self.stored.epoch

    @property
    def is_superseded(self) -> bool:
        """Tell whether somebody else took the lease since."""
        return 0 < self._epoch < self.stored.epoch

    async def acquire(self, owner: str, lease_ms: int) -> Resume | None:
        """Take the lease if it can be had."""
        await self._call()
        self._unlock()
        resume = await super().acquire(owner, lease_ms)
        if resume is None:
            self._world.faults.hits["met: a standby"] += 1
        else:
            self._world.note(f"{self.process.name} holds the lease, epoch {resume.epoch}, batch {resume.batch_no}")
        return resume

    async def renew(self, lease_ms: int, heads: Mapping[Place, Head]) -> None:
        """Keep the lease, note the cursors."""
        await self._call()
        self.process.crash_point("before the cursor")
        await super().renew(lease_ms, heads)
        self.database.check_cursors(heads)

    async def release(self) -> None:
        """Give the lease back."""
        await self._call()
        await super().release()

    async def start_offsets(self, offsets: Mapping[Place, int]) -> None:
        """Record first positions."""
        await self._call()
        await super().start_offsets(offsets)

    async def begin(self) -> None:
        """Open a transaction."""
        self.process.crash_point("before begin")
        await self._call()

    async def load(self, wanted: Mapping[type[Row], Collection[Key]]) -> dict[type[Row], list[Row]]:
        """Return rows, locked where shards share them."""
        await self._call()
        seen = {table: await self._locked(table, self.lock_order(keys)) for table, keys in wanted.items()}
        found = await super().load(seen)
        self.process.crash_point("after load")
        return found

    def lock_order(self, keys: Collection[Key]) -> list[Key]:
        """Return the order in which rows are locked: that of their keys."""
        return sorted(keys)

    async def commit(self, changes: Changes, lease_ms: int) -> None:
        """Save everything or nothing; the answer may be lost either way."""
        faults = self._world.faults
        await self._call()
        self.process.crash_point("before commit")
        if faults.happens("frozen: before commit"):
            self._world.freeze(self.process)
            await self.process.gate()
        if faults.happens("journal: commit refused"):
            self._unlock()
            raise JournalAway("the connection broke before the commit")
        try:
            self._check_inserts(changes)
            await super().commit(changes, lease_ms)
        except Fenced:
            faults.hit("met: a fenced commit")
            raise
        finally:
            self._unlock()
        self.database.committing(changes, self._epoch)
        self._world.note(f"{self.process.name} committed batch {changes.batch_no}, {len(changes.outbox)} events")
        if faults.happens("frozen: after commit, before its answer"):
            self._world.freeze(self.process)
        self.process.crash_point("after commit, before its answer")
        if faults.happens("journal: commit in doubt"):
            raise JournalAway("the answer to the commit was lost")
        await self.process.gate()

    def _check_inserts(self, changes: Changes) -> None:
        """A row that somebody else inserted meanwhile is a unique violation: between shards it passes."""
        for table, rows in changes.state.inserts():
            kept = self.stored.rows.get(table, {})
            for row in rows:
                if key_of(row) in kept and self.holds_lease:
                    if self.database.locks is None:
                        self._world.fail(f"{self.process.name} inserts {table.__name__} {key_of(row)} a second time")
                    raise JournalAway("duplicate key")

    async def rollback(self) -> None:
        """Forget the open transaction."""
        self._unlock()

    async def answers(self, keys: Sequence[str]) -> dict[str, Answered]:
        """Return stored answers."""
        await self._call()
        found = await super().answers(keys)
        if found:
            self._world.faults.hit("met: an answer from the log of commands")
        return found

    async def due(self, now: datetime, limit: int) -> tuple[list[Due], datetime | None]:
        """Return timers that have come."""
        await self._call()
        return await super().due(now, limit)

    async def unsent(self, heads: Mapping[Place, Head], chunk: int) -> AsyncIterator[list[tuple[Outgoing, str, str]]]:
        """Yield what is not known to be acknowledged."""
        await self._call(beside=True)
        async for rows in super().unsent(heads, chunk):
            self._world.faults.hit("met: a resend from the outbox")
            yield rows

    async def parked(self, key: str) -> list[Parked]:
        """Return parked messages."""
        await self._call(beside=True)
        return await super().parked(key)

    async def note_parked_attempt(self, key: str, n: int, error: str) -> None:
        """Count a failed redrive."""
        await self._call(beside=True)
        await super().note_parked_attempt(key, n, error)

    async def waiting_sends(
        self, now: datetime, destinations: Sequence[str], limit_each: int
    ) -> list[tuple[Send, int]]:
        """Return outward calls whose time has come."""
        await self._call(beside=True)
        return await super().waiting_sends(now, destinations, limit_each)

    async def delayed_sends(self, destinations: Sequence[str]) -> list[Delayed]:
        """Return outward calls that were tried or put off."""
        await self._call(beside=True)
        return await super().delayed_sends(destinations)

    async def note_attempt(self, send: Send, attempts: int, next_try_at: datetime, outcome: str) -> None:
        """Record a failed attempt."""
        await self._call(beside=True)
        await super().note_attempt(send, attempts, next_try_at, outcome)
