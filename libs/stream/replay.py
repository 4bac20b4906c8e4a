"""Decides a recorded run again: the same inputs in the same order and time, into any journal; nothing is published."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from libs.decide import Command, Delivered, Due, Handlers, State
from libs.stream.batch import (
    Input,
    Writer,
    changes_of,
    decide,
    more_needs_of,
    needs_of,
    own_input,
)
from libs.stream.journal import Changes, Head, Journal, fill
from libs.stream.log import Log, Place, Record
from libs.stream.reader import Acceptance, Reader, redriven

FETCH_RECORDS = 2_000
FETCH_TIMEOUT_MS = 1_000
EMPTY_FETCHES_LIMIT = 30
LEASE_MS = 600_000


class RecordingIncomplete(Exception):
    """The log or the journal no longer holds what a recorded batch read."""


@dataclass(frozen=True)
class RecordedCommand:
    """A command as it was answered."""

    idempotency_key: str
    kind: str
    fingerprint: bytes
    body: bytes


@dataclass(frozen=True)
class RecordedBatch:
    """One row of `batch_log`, with its commands in their order."""

    batch_no: int
    decided_at: datetime
    inputs: dict[str, Any]
    commands: Sequence[RecordedCommand] = ()

    @property
    def reads(self) -> list[tuple[Place, int, int]]:
        """Return what was read: place, first and last offset."""
        return [((topic, part), first, last) for topic, part, first, last in self.inputs.get("read", [])]


@dataclass
class Replay:
    """Decides recorded batches with `handlers` into `journal`, which starts empty.

    `adjust` may change a command (other rule parameters, say); without it every event must come out as it did.
    """

    handlers: Handlers
    journal: Journal
    log: Log
    partitions: int
    adjust: Callable[[Command], Command] | None = None
    _commands: dict[str, type[Command]] = field(default_factory=dict)
    _seqs: dict[tuple[str, int, str], int] = field(default_factory=dict)
    _firsts: dict[Place, int] = field(default_factory=dict)
    _held: dict[Place, list[Record]] = field(default_factory=dict)
    _heads: dict[Place, Head] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reader = Reader(self.handlers)

    async def start(self, firsts: dict[Place, int]) -> None:
        """Read the log from the first offsets the service ever read, and take the empty journal."""
        self._firsts = dict(firsts)
        self._commands = {kind.__name__: kind for kind in self.handlers.on if issubclass(kind, Command)}
        await self.journal.acquire("replay", LEASE_MS)
        await self.journal.start_offsets(firsts)
        await self.log.read_from(firsts)

    async def decide(self, batch: RecordedBatch) -> Changes:
        """Decide one recorded batch again and save it; returns what it saved."""
        inputs = await self._inputs(batch)
        for place, error, behind in batch.inputs.get("parked", []):
            inputs[place].park, inputs[place].behind = error, behind
        writer = Writer(self.handlers.service, 0, 1, self.partitions, self._heads)
        await self.journal.begin()
        state = State()
        await fill(self.journal, state, needs_of(self.handlers, inputs))
        await fill(self.journal, state, more_needs_of(self.handlers, inputs, state))
        decided = decide(self.handlers, inputs, state, batch.decided_at)
        changes = changes_of(inputs, decided, state, writer, batch.batch_no, batch.decided_at)
        for head in changes.heads.values():
            head.cursor = head.next_seq - 1
        await self.journal.commit(changes, LEASE_MS)
        self._heads.update(changes.heads)
        return changes

    async def _inputs(self, batch: RecordedBatch) -> list[Input]:
        records: list[Record] = []
        for place, first, last in batch.reads:
            records += await self._records(place, first, last)
        inputs = self._reader.accept(records, self._seqs, self._firsts.__getitem__, Acceptance())
        inputs += [self._command(command) for command in batch.commands]
        again = batch.inputs.get("redriven", [])
        if not again:  # a redrive is a batch by itself; older recordings name its timer or call a second time
            for kind, key, at in batch.inputs.get("timers", []):
                inputs.append(own_input(Due(kind=kind, key=key, at=msgspec.convert(at, datetime))))
            inputs += [own_input(msgspec.convert(raw, Delivered)) for raw in batch.inputs.get("delivered", [])]
        for key, n in again:
            parked = next((found for found in await self.journal.parked(key) if found.n == n), None)
            if parked is None:
                raise RecordingIncomplete(f"batch {batch.batch_no} redrove {key}/{n}, which is not parked")
            inputs.append(redriven(self.handlers, parked))
        return inputs

    def _command(self, recorded: RecordedCommand) -> Input:
        command = msgspec.json.decode(recorded.body, type=self._commands[recorded.kind])
        if self.adjust is not None:
            command = self.adjust(command)
        return Input(
            key=command.key,
            cause=f"command:{recorded.idempotency_key}",
            message=command,
            type=recorded.kind,
            idempotency_key=recorded.idempotency_key,
            fingerprint=recorded.fingerprint,
            body=recorded.body,
        )

    async def _records(self, place: Place, first: int, last: int) -> list[Record]:
        """Return the records of one range, fetching on; what is fetched of other places waits for its batch."""
        empty = 0
        while not (held := self._held.setdefault(place, [])) or held[-1].offset < last:
            fetched = await self.log.fetch(FETCH_RECORDS, FETCH_TIMEOUT_MS)
            empty = 0 if fetched else empty + 1
            if empty >= EMPTY_FETCHES_LIMIT:
                raise RecordingIncomplete(f"the log does not give {place[0]}/{place[1]} up to {last}")
            for record in fetched:
                self._held.setdefault((record.topic, record.partition), []).append(record)
        count = last - first + 1
        found, self._held[place] = held[:count], held[count:]
        if found[0].offset != first or found[-1].offset != last:
            raise RecordingIncomplete(f"{place[0]}/{place[1]} holds {found[0].offset} where {first} was read")
        return found
