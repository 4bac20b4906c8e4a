"""One service as the stream runs it: its real handlers over rows that are never changed in place, each step once.

A local state is everything the service would hold in Postgres for the orders at hand. The real `accept`, `decide` and
`changes_of` of the stream take one step from it; the result is remembered, because the same state and message can only
give the same again. That is not taken on trust: each step is decided twice, which is what happens after a commit was
lost, and each record is offered twice, which is what happens after a redelivery.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec

from contracts import envelope
from contracts.envelope import Event
from contracts.topics import EVENT_TYPES, TOPIC_OF
from libs.decide import Command, Due, Handlers, Needs, Row, State, key_of
from libs.stream.batch import (
    Input,
    Poisoned,
    Writer,
    changes_of,
    decide,
    more_needs_of,
    needs_of,
)
from libs.stream.journal import Changes
from libs.stream.log import Record
from libs.stream.reader import Acceptance, Reader
from modelcheck.interning import Book

R = TypeVar("R", bound=Row)
RowKey = tuple[str, tuple[Any, ...]]
PARTITIONS = 1
REFUSED_FROM_STATUS = 400
_pack = msgspec.msgpack.Encoder(order="deterministic").encode
_encode = msgspec.json.Encoder().encode


class Broken(Exception):
    """A law does not hold: which one, and what was seen."""

    def __init__(self, law: str, seen: str) -> None:
        super().__init__(f"{law}: {seen}")
        self.law = law
        self.seen = seen


class Letter(NamedTuple):
    """Something a service is given to decide: an event, a command or a timer (as JSON), and the time it sees."""

    kind: str
    body: bytes
    now: datetime


class Local(NamedTuple):
    """All that one service remembers: rows by table and key, timers, and what may be booked only once."""

    rows: tuple[tuple[RowKey, bytes], ...] = ()
    timers: tuple[tuple[str, str, datetime], ...] = ()
    booked: frozenset[tuple[Any, ...]] = frozenset()


class Step(NamedTuple):
    """What deciding a letter led to: the next local state, the events said, a command's answer (0: no command)."""

    local: int
    events: tuple[int, ...]
    status: int


class Alphabet:
    """Every letter and event that was ever written, by number; shared by all services of a model."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.letters: Book[Letter] = Book()
        self.messages: dict[int, Event | Command | Due] = {}

    def event(self, kind: str, body: bytes) -> int:
        """Return the number of an event as it is read from a topic."""
        number = self.letters.number(Letter(kind, body, self.now))
        if number not in self.messages:
            self.messages[number] = msgspec.json.decode(body, type=EVENT_TYPES[kind])
        return number

    def message(self, message: Event | Command | Due, now: datetime | None = None) -> int:
        """Return the number of a message that is handed in directly."""
        number = self.letters.number(Letter(type(message).__name__, _encode(message), now or self.now))
        self.messages.setdefault(number, message)
        return number


class Counts:
    """How much real deciding stands behind a search."""

    def __init__(self) -> None:
        self.decisions = 0
        self.decided_again = 0
        self.redelivered = 0
        self.batches = 0


class Service:
    """The real decisions of one service, one remembered step at a time."""

    def __init__(
        self,
        handlers: Handlers,
        alphabet: Alphabet,
        counts: Counts,
        once: Mapping[Any, tuple[str, ...]] | None = None,
        unread: tuple[str, ...] = (),
        as_good_as_absent: Callable[[Row], bool] | None = None,
        idle: tuple[str, ...] = (),
    ) -> None:
        self.handlers = handlers
        self.name = handlers.service
        self.alphabet = alphabet
        self.counts = counts
        self.locals: Book[Local] = Book()
        self.start = self.locals.number(Local())
        self._once = dict(once or {})
        self._unread = frozenset(unread)
        self._idle = frozenset(idle)
        self._as_good_as_absent = as_good_as_absent or (lambda row: False)
        self._tables = {table.__name__: table for table in handlers.rows}
        self._steps: dict[tuple[int, int], Step] = {}
        self._rows: dict[tuple[int, RowKey], Row | None] = {}

    def step(self, local: int, letter: int) -> Step:
        """Return what deciding `letter` in state `local` leads to."""
        found = self._steps.get((local, letter))
        if found is None:
            found = self._steps[local, letter] = self._decided(local, (letter,))
        return found

    def batch(self, local: int, letters: Sequence[int]) -> Step:
        """Decide several letters in one transaction, as the worker does with whatever it finds waiting."""
        self.counts.batches += 1
        return self._decided(local, tuple(letters))

    def ignores(self, letter: int) -> bool:
        """Tell whether an event changes nothing in any state.

        Either there is no decision about its type, or the decision looks at no row at all (it would not be loaded), so
        that what it does in one state it does in every state.
        """
        message = self.alphabet.messages[letter]
        on = self.handlers.find(message)
        if on is None:
            return True
        if on.needs(message) or on.then is not None or self.handlers.settle is not None:
            return False
        return self.step(self.start, letter) == Step(self.start, (), 0)

    def row(self, local: int, table: type[R], *key: Any) -> R | None:
        """Return a row of a local state; it is shared, so nobody may change it."""
        place = (local, (table.__name__, key))
        if place not in self._rows:
            raw = dict(self.locals[local].rows).get(place[1])
            self._rows[place] = None if raw is None else msgspec.msgpack.decode(raw, type=table)
        found = self._rows[place]
        assert found is None or isinstance(found, table), "a key belongs to one table"
        return found

    def rows(self, local: int, table: type[R]) -> list[R]:
        """Return all rows of a table in a local state."""
        name = table.__name__
        return [msgspec.msgpack.decode(raw, type=table) for (of, _), raw in self.locals[local].rows if of == name]

    def _decided(self, local: int, letters: tuple[int, ...]) -> Step:
        first = self._transaction(local, letters)
        # The commit of the first was lost: the next holder of the lease decides the same inputs over the same rows.
        again = self._transaction(local, letters)
        self.counts.decisions += 1
        self.counts.decided_again += 1
        if first != again:
            raise Broken("deciding again after a lost commit gives the same", f"{self.name} gave {first}, then {again}")
        after, events, status = first
        return Step(self.locals.number(after), tuple([self.alphabet.event(*event) for event in events]), status)

    def _transaction(self, local: int, letters: tuple[int, ...]) -> tuple[Local, list[tuple[str, bytes]], int]:
        before = self.locals[local]
        inputs = [self._input(self.alphabet.letters[letter], self.alphabet.messages[letter]) for letter in letters]
        now = self.alphabet.letters[letters[-1]].now
        stored = dict(before.rows)
        state = State()
        try:
            self._load(state, stored, needs_of(self.handlers, inputs))
            self._load(state, stored, more_needs_of(self.handlers, inputs, state))
            decided = decide(self.handlers, inputs, state, now)
        except Poisoned as poison:
            name = self.alphabet.letters[letters[poison.place]].kind
            raise Broken("nothing is parked", f"{self.name} cannot decide {name}: {poison.error}") from poison
        changes = changes_of(inputs, decided, state, self._writer(), 1, now)
        after = self._saved(before, stored, state, changes)
        said = [(kind, outgoing.value) for outgoing, kind, _ in changes.outbox if kind not in self._unread]
        statuses = [reply.status for reply in decided.replies.values()]
        return after, said, statuses[-1] if statuses else 0

    def _writer(self) -> Writer:
        return Writer(self.name, 0, 1, PARTITIONS, {})

    def _input(self, letter: Letter, message: Event | Command | Due) -> Input:
        if isinstance(message, Event):
            return self._accepted(letter.kind, letter.body, message)
        decoded = msgspec.json.decode(letter.body, type=type(message))
        if isinstance(decoded, Due):
            return Input(key=decoded.key, cause="timer", message=decoded, type=letter.kind)
        return Input(key=decoded.key, cause="command", message=decoded, type=letter.kind, idempotency_key="k")

    def _accepted(self, kind: str, body: bytes, event: Event) -> Input:
        """Let the stream accept the record, and the same record again: of the second only the position may count."""
        topic = TOPIC_OF[type(event)]
        headers = (
            (envelope.HEADER_TYPE, kind.encode()),
            (envelope.HEADER_SOURCE, envelope.source_name(topic.writer, 0, 1).encode()),
            (envelope.HEADER_ID, b"1"),
        )
        twice = [Record(topic.name, 0, offset, 0, event.key.encode(), body, headers) for offset in (0, 1)]
        counts = Acceptance()
        found = Reader(self.handlers).accept(twice, {}, lambda _: 0, counts)
        self.counts.redelivered += 1
        if counts.accepted != 1 or counts.repeated != 1 or found[1].message is not None:
            raise Broken("a redelivered record is dropped", f"{self.name} took {kind} {counts.accepted} times")
        return found[0]

    def _load(self, state: State, stored: dict[RowKey, bytes], needs: Needs) -> None:
        for table, keys in state.missing(needs).items():
            name = table.__name__
            if name not in self._tables:
                raise Broken("a service loads its own rows", f"{self.name} has no table {name}")
            found = [stored[name, key] for key in sorted(keys) if (name, key) in stored]
            state.fill(table, keys, [msgspec.msgpack.decode(raw, type=table) for raw in found])

    def _saved(self, before: Local, rows: dict[RowKey, bytes], state: State, changes: Changes) -> Local:
        for batch in (state.inserts(), state.updates()):
            for table, found in batch:
                for row in found:
                    rows[table.__name__, key_of(row)] = _pack(row)
                    if self._as_good_as_absent(row):
                        del rows[table.__name__, key_of(row)]
        for table, keys in state.deletes():
            for key in keys:
                del rows[table.__name__, key]
        timers = {(kind, key): at for kind, key, at in before.timers if (kind, key) not in changes.timers_gone}
        timers.update({timer: at for timer, at in changes.timers_set.items() if timer[0] not in self._idle})
        booked = set(before.booked)
        for entry_type, entries in state.appended():
            names = self._once.get(entry_type)
            if names is None:
                continue
            for entry in entries:
                mark = (*[getattr(entry, name) for name in names], getattr(entry, "delta", 0))
                if any(known[: len(names)] == mark[: len(names)] for known in booked):
                    raise Broken("nothing is booked twice", f"{self.name} books {mark} a second time")
                booked.add(mark)
        return Local(
            tuple(sorted(rows.items())),
            tuple(sorted((kind, key, at) for (kind, key), at in timers.items())),
            frozenset(booked),
        )
