"""Broken variants of the protocol, each with one guard less. The simulator must find every one of them."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import msgspec

from contracts.topics import POSITION
from libs.decide import Delivered, Handlers, Key, On, Output, Row, State, key_of
from libs.stream import desk, egress, turns, worker
from libs.stream.batch import Input
from libs.stream.journal import Answered, Changes, Head, Resume
from libs.stream.log import Outgoing, Place, PublishFailed, Record
from libs.stream.publisher import Publisher
from libs.stream.reader import Acceptance, Reader
from libs.stream.worker import Worker
from libs.testkit.simulation.cluster import SimLog, stream_of
from libs.testkit.simulation.database import SimJournal
from libs.testkit.simulation.world import Parts

Seqs = dict[tuple[str, int, str], int]
_accept = Reader.accept


@dataclass(frozen=True)
class Mutant:
    """One broken variant: parts that are swapped, and names that are replaced while it lives."""

    name: str
    parts: Parts = field(default_factory=Parts)
    patches: tuple[tuple[Any, str, Any], ...] = ()

    @contextmanager
    def alive(self) -> Iterator[Parts]:
        """Break the code for as long as the block lasts."""
        broken = [patch.object(where, name, what) for where, name, what in self.patches]
        for one in broken:
            one.start()
        try:
            yield self.parts
        finally:
            for one in reversed(broken):
                one.stop()


# -- what is read --------------------------------------------------------------------------------------------------


def accept_any_later(
    reader: Reader, records: Sequence[Record], seqs: Seqs, base: Callable[[Place], int], counts: Acceptance
) -> list[Input]:
    """Accept every number greater than the last: a gap is passed over, and what fills it later is dropped."""
    inputs = []
    for record in sorted(records, key=lambda r: (POSITION[r.topic], r.partition, r.offset)):
        (source, topic, part), seq = stream_of(record)
        if seq > seqs.get((topic, part, source), 0):
            seqs[(topic, part, source)] = seq - 1
        inputs += _accept(reader, [record], seqs, base, counts)
    return inputs


def accept_everything(
    reader: Reader, records: Sequence[Record], seqs: Seqs, base: Callable[[Place], int], counts: Acceptance
) -> list[Input]:
    """Accept repeats too."""
    inputs = []
    for record in sorted(records, key=lambda r: (POSITION[r.topic], r.partition, r.offset)):
        (source, topic, part), seq = stream_of(record)
        seqs[(topic, part, source)] = seq - 1
        inputs += _accept(reader, [record], seqs, base, counts)
    return inputs


def accept_first_as_base(
    reader: Reader, records: Sequence[Record], seqs: Seqs, base: Callable[[Place], int], counts: Acceptance
) -> list[Input]:
    """Take the first record of a log as the reader's base, whatever its number."""
    for record in records:
        (source, topic, part), seq = stream_of(record)
        if record.offset == base((topic, part)):
            seqs.setdefault((topic, part, source), seq - 1)
    return _accept(reader, records, seqs, base, counts)


def accept_in_silence(
    reader: Reader, records: Sequence[Record], seqs: Seqs, base: Callable[[Place], int], counts: Acceptance
) -> list[Input]:
    """Say nothing of gaps."""
    inputs = _accept(reader, records, seqs, base, counts)
    counts.gaps = 0
    return inputs


class ResetToEnd(SimLog):
    """Goes on at the end of a log that became shorter, as a consumer with a reset policy does."""

    async def read_from(self, positions: Mapping[Place, int]) -> None:
        """Clamp the positions."""
        ends = {place: len(self.cluster.records.get(place, ())) for place in positions}
        await super().read_from({place: min(at, ends[place]) for place, at in positions.items()})

    def _some(self, max_records: int) -> list[Record]:
        for place, at in self._positions.items():
            self._positions[place] = min(at, len(self.cluster.records.get(place, ())))
        return super()._some(max_records)


# -- what is published ---------------------------------------------------------------------------------------------


class SkippingPublisher(Publisher):
    """Goes on after a failed publish as if it had been acknowledged."""

    async def _publish_some(self) -> None:
        records = self._waiting.popleft()
        try:
            await self._log.publish(records)
        except PublishFailed as error:
            self._failed(error)
        for record in records:
            self._acked((record.topic, record.partition), record.seq)
        self.unsent_records -= len(records)
        self._room.set()


class HopefulPublisher(Publisher):
    """Moves the cursor when records are queued, ahead of what the log acknowledged."""

    def offer(self, records: Sequence[Outgoing]) -> None:
        """Count queued records as acknowledged."""
        super().offer(records)
        for record in records:
            self._acked((record.topic, record.partition), record.seq)


class PublishFirst(SimJournal):
    """Publishes a batch before it is committed."""

    async def commit(self, changes: Changes, lease_ms: int) -> None:
        """Publish, then commit."""
        try:
            await self.process.log.publish([outgoing for outgoing, _, _ in changes.outbox])
        except PublishFailed:
            self.process.world.note("published too early, and not even that")
        await super().commit(changes, lease_ms)


class NoResend(SimJournal):
    """Never looks at what its predecessor left unpublished."""

    async def acquire(self, owner: str, lease_ms: int) -> Resume | None:
        """Pretend that everything was acknowledged."""
        resume = await super().acquire(owner, lease_ms)
        if resume is not None:
            resume.heads = {place: Head(head.next_seq, head.next_seq - 1) for place, head in resume.heads.items()}
        return resume


class OwnNumbers(SimJournal):
    """Numbers its events anew in every process."""

    async def acquire(self, owner: str, lease_ms: int) -> Resume | None:
        """Forget the heads."""
        resume = await super().acquire(owner, lease_ms)
        if resume is not None:
            resume.heads = {}
        return resume


# -- what is committed ---------------------------------------------------------------------------------------------


class NoEpoch(SimJournal):
    """Checks positions, but not whether the lease is still held."""

    def _guard(self) -> None:
        """Let everybody in."""


class NoCompare(SimJournal):
    """Writes whatever the worker believes, without comparing the old positions."""

    def _guard(self) -> None:
        """Let everybody in."""

    async def commit(self, changes: Changes, lease_ms: int) -> None:
        """Make the comparison pass."""
        changes.batch_no = self.stored.batch_no + 1
        self.stored.offsets.update({place: old for place, (old, _) in changes.offsets.items()})
        await super().commit(changes, lease_ms)


class UnorderedLocks(SimJournal):
    """Locks rows in whatever order they come."""

    def lock_order(self, keys: Collection[Key]) -> list[Key]:
        """Return them in no order."""
        found = sorted(keys)
        self.process.world.dice.shuffle(found)
        return found


class ForgetfulJournal(SimJournal):
    """Does not remember which commands were answered."""

    async def answers(self, keys: Sequence[str]) -> dict[str, Answered]:
        """Know nothing."""
        return {}


class EagerAnswers(SimJournal):
    """Answers commands before they are committed."""

    async def commit(self, changes: Changes, lease_ms: int) -> None:
        """Answer, then commit."""
        for answered in changes.answered:
            self.process.worker._desk.settle(answered.idempotency_key, answered.reply)
        await super().commit(changes, lease_ms)


# -- what is decided -----------------------------------------------------------------------------------------------


class StaleRows(SimJournal):
    """Keeps rows between batches: what it loads was read before the last batch was saved, or by another worker."""

    async def load(self, wanted: Mapping[type[Row], Collection[Key]]) -> dict[type[Row], list[Row]]:
        """Return what was kept, and ask for the rest only."""
        kept: dict[tuple[type[Row], Key], bytes] = self.__dict__.setdefault("_kept", {})
        found: dict[type[Row], list[Row]] = {}
        for table, keys in wanted.items():
            absent = {key for key in keys if (table, key) not in kept}
            fresh = (await super().load({table: absent})).get(table, []) if absent else []
            kept.update({(table, key_of(row)): msgspec.msgpack.encode(row) for row in fresh})
            known = sorted(set(keys) - absent)
            found[table] = [*fresh, *(msgspec.msgpack.decode(kept[(table, key)], type=table) for key in known)]
        return found


class Unqueued(Worker):
    """Lets later messages of a parked key pass."""

    def _accepted(self, records: Sequence[Record]) -> list[Input]:
        self._resume.parked_keys = set()
        return super()._accepted(records)


def with_a_clock(handlers: Handlers) -> Handlers:
    """Return handlers whose decisions read a clock of their own instead of the batch's time."""

    def clocked(on: On[Any]) -> On[Any]:
        def decide(message: Any, state: State, now: datetime) -> list[Output]:
            now_s = asyncio.get_running_loop().time()
            return on.decide(message, state, datetime.fromtimestamp(1_794_355_200 + now_s, UTC))

        return replace(on, decide=decide)

    return replace(handlers, on={kind: clocked(on) for kind, on in handlers.on.items()})


# -- what goes outside ---------------------------------------------------------------------------------------------


class Careless(egress.Egress):
    """Records a call as made before it is made."""

    async def _attempt(self, sender: egress.Sender, send: Any, attempt: int) -> None:
        await self.deliver(
            Delivered(destination=send.destination, send_id=send.send_id, key=send.key, ok=True, detail="hopefully")
        )
        try:
            await sender.send(send, attempt)
        except (OSError, TimeoutError, egress.Retry, egress.Refused):
            self._news.set()
        self._turns.note_end(send)


def let_pass(_: turns.Turns, send: Any, now: datetime) -> None:
    """Let every call go as soon as it is due."""


def forget_the_line(_: turns.Turns, delayed: Any) -> None:
    """Begin with nothing that an earlier owner tried."""


def keep_deliveries(_: desk.Desk) -> None:
    """Keep the results of calls whose worker lost its lease meanwhile."""


MUTANTS: tuple[Mutant, ...] = (
    Mutant("dedupe by seq > last", patches=((Reader, "accept", accept_any_later),)),
    Mutant("no dedupe", patches=((Reader, "accept", accept_everything),)),
    Mutant("the first record is the base", patches=((Reader, "accept", accept_first_as_base),)),
    Mutant("losses make no alarm", Parts(log=ResetToEnd), ((Reader, "accept", accept_in_silence),)),
    Mutant("a failed publish is skipped", patches=((worker, "Publisher", SkippingPublisher),)),
    Mutant("the cursor runs ahead of the acknowledged prefix", patches=((worker, "Publisher", HopefulPublisher),)),
    Mutant("publish before commit", Parts(journal=PublishFirst)),
    Mutant("no resend from the outbox", Parts(journal=NoResend)),
    Mutant("numbers of its own in every process", Parts(journal=OwnNumbers)),
    Mutant("commit without the epoch", Parts(journal=NoEpoch)),
    Mutant("commit without comparing positions", Parts(journal=NoCompare)),
    Mutant("locks in no order", Parts(journal=UnorderedLocks)),
    Mutant("commands are not remembered", Parts(journal=ForgetfulJournal)),
    Mutant("answers before the commit", Parts(journal=EagerAnswers)),
    Mutant("rows saved before they are loaded again", Parts(journal=StaleRows)),
    Mutant("messages pass a parked one", Parts(worker=Unqueued)),
    Mutant("decisions read a clock", Parts(handlers=with_a_clock)),
    Mutant("calls are recorded before they are made", patches=((worker, "Egress", Careless),)),
    Mutant("a call passes one of its key that failed", patches=((turns.Turns, "take_place", let_pass),)),
    Mutant("a new owner forgets which calls failed", patches=((turns.Turns, "load", forget_the_line),)),
    Mutant("results of calls outlive the lease", patches=((desk.Desk, "drop_deliveries", keep_deliveries),)),
)
