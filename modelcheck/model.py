"""The system in small: services that decide for real, between them a queue for each topic and reader.

A state is a tuple of numbers: one for each service's local state, what was said so far, how far each person is, how
often a claim may still end, and one for each queue. A transition is one service deciding one letter: the first of one
of its queues, a timer, or a command. Topics race with one another and readers with one another; within a topic order
is kept.

What is no transition, and why nothing is lost by that:
- A crash between deciding and committing, or a worker that is fenced: nothing was saved and nothing published, so the
  state is the one before. `Service.step` checks at each step that deciding again gives the same.
- A crash after the commit, before or while publishing: the outbox is durable and is published again, so readers see
  it later or twice. Later is a queue not read yet; twice is dropped by its number, checked at each record read.
- Larger batches: `check_batches` checks that deciding all that waits in one transaction equals one by one.
- The platform acting later: a reader that reads an event late cannot tell it from one that was written late. So the
  whole log of orders stands in the queues from the beginning, and each reader falls behind for himself.
- The tower: it says nothing, so when it reads matters to nobody else, and it reads at once. `tower.py` checks that it
  shows the same at the end, however topics reach it.
- Risk while no person and no timer can move it: it has one queue, and whoever reads its topic may do so later.
"""

from collections.abc import Iterator
from typing import NamedTuple

from contracts.envelope import Event
from contracts.topics import TOPIC_OF, topics_read_by
from libs.decide import Due
from modelcheck import hands, laws
from modelcheck.deciding import REFUSED_FROM_STATUS, Broken, Service
from modelcheck.interning import Book
from modelcheck.orders import GRAMS, NOW, orders_log
from modelcheck.scenarios import Scenario
from modelcheck.town import FULFILLMENT, READERS, RISK, Town
from services.fulfillment.domain import PickTask, ShipParcel

TOWER, SAID, CURSORS, CLAIM_ENDS, FIRST_QUEUE = 4, 5, 6, 7, 8
ORDER_TOPICS = ("orders", "risk", "stock", "routes", "shipments")
QUEUES: tuple[tuple[int, str], ...] = tuple(
    (READERS.index(name), topic.name)
    for name in READERS
    for topic in topics_read_by(name)
    if topic.name.split(".")[1] in ORDER_TOPICS
)
# The queues of one reader stand side by side, in the order in which a batch decides them.
OWN_QUEUES: tuple[tuple[int, int], ...] = tuple(
    (FIRST_QUEUE + owners.index(reader), FIRST_QUEUE + len(owners) - owners[::-1].index(reader))
    for owners in [[owner for owner, _ in QUEUES]]
    for reader in range(len(READERS))
)
RISK_QUEUE = next(n for n, (reader, _) in enumerate(QUEUES, FIRST_QUEUE) if reader == RISK)

State = tuple[int, ...]


class Move(NamedTuple):
    """One transition: who decides which letter; `queue` is where it was read from, `script` who gave the command."""

    reader: int
    letter: int
    queue: int = 0
    script: int = -1
    ends_claim: bool = False


class Told(NamedTuple):
    """One decision as a story tells it; `events` are what it said."""

    reader: int
    letter: int
    events: tuple[int, ...]


class Model:
    """All services of one scenario, and where each letter may go from each state."""

    def __init__(self, scenario: Scenario, town: Town, *, reduced: bool = True) -> None:
        self.scenario = scenario
        self.town = town
        self.reduced = reduced
        self.alphabet = town.alphabet
        self.services, self.tower = town.services, town.tower
        self.queues: Book[tuple[int, ...]] = Book()
        self.said: Book[frozenset[laws.Fact]] = Book()
        self.cursors: Book[tuple[int, ...]] = Book()
        self.told: list[Told] | None = None
        self._scripts = [
            [(READERS.index(who), self.alphabet.message(command)) for who, command in script]
            for script in scenario.scripts
        ]
        self._pushes: dict[tuple[int, tuple[int, ...]], int] = {}
        self._pops: dict[int, tuple[int, int]] = {}
        self._routes: dict[tuple[int, ...], tuple[tuple[int, tuple[int, ...]], ...]] = {}
        self._sayings: dict[tuple[int, tuple[int, ...]], int] = {}
        self._batched: set[tuple[int, ...]] = set()
        self._own: dict[tuple[int, int], tuple[Move, ...]] = {}
        self.log = orders_log(town.ingestion, self.alphabet, scenario.asks, scenario.content)

    def start(self) -> State:
        """Return the state in which the warehouse is stocked and the platform's whole log waits to be read."""
        state = [service.start for service in self.services]
        for reader, message in laws.setting(self.scenario.stock, GRAMS):
            letter = self.alphabet.message(message)
            state[reader] = self.services[reader].step(state[reader], letter).local
        nothing = self.queues.number(())
        cursors = self.cursors.number(tuple(0 for _ in self._scripts))
        state += [self.tower.start, self.said.number(frozenset()), cursors, self.scenario.claim_ends_limit]
        state += [nothing for _ in QUEUES]
        return self._settled(self._published(state, tuple(self.log)))

    # -- where it may go ---------------------------------------------------------------------------------------------

    def moves(self, state: State) -> Iterator[tuple[Move, State]]:
        """Yield every transition from `state` that changes anything."""
        for place, (reader, _) in enumerate(QUEUES, FIRST_QUEUE):
            if self.queues[state[place]]:
                letter, rest = self._popped(state[place])
                yield self._taken(state, Move(reader, letter, queue=place), rest)
        for reader in range(len(READERS)):
            for move in self._own_moves(reader, state[reader]):
                if not move.ends_claim or state[CLAIM_ENDS]:
                    yield self._taken(state, move, 0)
        cursors = self.cursors[state[CURSORS]]
        for script, cursor in enumerate(cursors):
            if cursor < len(self._scripts[script]):
                reader, letter = self._scripts[script][cursor]
                if self._accepts(reader, state[reader], letter):
                    yield self._taken(state, Move(reader, letter, script=script), 0)

    def _accepts(self, reader: int, local: int, letter: int) -> bool:
        service = self.services[reader]
        step = service.step(local, letter)
        if step.status >= REFUSED_FROM_STATUS and (step.events or step.local != local):
            raise Broken("a refusal changes nothing", f"{service.name} refused {self.alphabet.letters[letter].kind}")
        return step.status < REFUSED_FROM_STATUS

    def _own_moves(self, reader: int, local: int) -> tuple[Move, ...]:
        """Return the timers and the picker's steps that a local state allows, whatever stands in the queues."""
        found = self._own.get((reader, local))
        if found is None:
            moves = [
                Move(reader, self.alphabet.message(Due(kind=kind, key=key, at=at), max(at, NOW)))
                for kind, key, at in self.services[reader].locals[local].timers
                if reader != FULFILLMENT
            ]
            if reader == FULFILLMENT:
                for task in self.services[reader].rows(local, PickTask):
                    moves.extend(self._hand_moves(local, task))
            found = self._own[reader, local] = tuple(moves)
        return found

    def _hand_moves(self, local: int, task: PickTask) -> Iterator[Move]:
        service = self.services[FULFILLMENT]
        for command in hands.next_steps(task, weighs_wrong=self.scenario.weighs_wrong):
            letter = self.alphabet.message(command)
            if self._accepts(FULFILLMENT, local, letter):
                yield Move(FULFILLMENT, letter)
            elif not isinstance(command, ShipParcel):
                raise Broken("a picker can go on", f"{type(command).__name__} of {task.task_id} is refused")
        for message, now in hands.endings(task):
            yield Move(FULFILLMENT, self.alphabet.message(message, now), ends_claim=True)
        for command in hands.out_of_turn(task):
            step = service.step(local, self.alphabet.message(command))
            if step.local != local or step.events:
                name = type(command).__name__
                raise Broken("a step out of turn changes nothing", f"{name} of {task.task_id} while {task.state}")

    def follow(self, moves: list[Move]) -> list[Told]:
        """Take these moves from the beginning and return every decision on the way."""
        self.told = []
        try:
            state = self.start()
            for move in moves:
                rest = self._popped(state[move.queue])[1] if move.queue else 0
                _, state = self._taken(state, move, rest)
        finally:
            told, self.told = self.told, None
        return told

    # -- one transition ----------------------------------------------------------------------------------------------

    def _taken(self, state: State, move: Move, rest: int) -> tuple[Move, State]:
        step = self.services[move.reader].step(state[move.reader], move.letter)
        if step.events and isinstance(self.alphabet.messages[move.letter], ShipParcel):
            laws.check_leaving(self.services[FULFILLMENT], state[FULFILLMENT], self.said[state[SAID]])
        if self.told is not None:
            self.told.append(Told(move.reader, move.letter, step.events))
        after = list(state)
        after[move.reader] = step.local
        self._check(move.reader, step.local)
        if move.queue:
            after[move.queue] = rest
        if move.script >= 0:
            cursors = list(self.cursors[state[CURSORS]])
            cursors[move.script] += 1
            after[CURSORS] = self.cursors.number(tuple(cursors))
        after[CLAIM_ENDS] -= move.ends_claim
        return move, self._settled(self._published(after, step.events))

    def _published(self, state: list[int], events: tuple[int, ...]) -> list[int]:
        """Append events to the queues of all who read them; the tower and the record of what was said read at once."""
        if not events:
            return state
        for place, letters in self._routed(events):
            key = (state[place], letters)
            queue = self._pushes.get(key)
            if queue is None:
                queue = self._pushes[key] = self.queues.number(self.queues[state[place]] + letters)
            state[place] = queue
        for event in events:
            state[TOWER] = self.tower.step(state[TOWER], event).local
            self._check(TOWER, state[TOWER])
        said = self._sayings.get((state[SAID], events))
        if said is None:
            facts = self.said[state[SAID]]
            for event in events:
                message = self.alphabet.messages[event]
                assert isinstance(message, Event), "only events are published"
                facts = laws.noted(facts, message)
            said = self._sayings[state[SAID], events] = self.said.number(facts)
        state[SAID] = said
        return state

    def _settled(self, state: list[int]) -> State:
        """Let risk read on while its one queue is all that can move it."""
        while self.reduced and self.queues[state[RISK_QUEUE]] and not self._reviewable(state):
            letter, state[RISK_QUEUE] = self._popped(state[RISK_QUEUE])
            step = self.services[RISK].step(state[RISK], letter)
            if self.told is not None:
                self.told.append(Told(RISK, letter, step.events))
            state[RISK] = step.local
            self._check(RISK, step.local)
            state = self._published(state, step.events)
        return tuple(state)

    def _check(self, place: int, local: int) -> None:
        """Check a local state the first time it is met."""
        if (place, local) not in self.town.checked:
            laws.check_local(self.tower if place == TOWER else self.services[place], local)
            self.town.checked.add((place, local))

    def _reviewable(self, state: list[int]) -> bool:
        if self.services[RISK].locals[state[RISK]].timers:
            return True
        for script, cursor in enumerate(self.cursors[state[CURSORS]]):
            steps = self._scripts[script][cursor:]
            if steps and steps[0][0] == RISK and self._accepts(RISK, state[RISK], steps[0][1]):
                return True
        return False

    def _popped(self, queue: int) -> tuple[int, int]:
        found = self._pops.get(queue)
        if found is None:
            letters = self.queues[queue]
            found = self._pops[queue] = (letters[0], self.queues.number(letters[1:]))
        return found

    def _routed(self, events: tuple[int, ...]) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Return which queues get which of the events. One that its reader ignores in every state is left out."""
        found = self._routes.get(events)
        if found is None:
            by_queue: dict[int, list[int]] = {}
            for event in events:
                message = self.alphabet.messages[event]
                assert isinstance(message, Event), "only events are published"
                for place, (reader, topic) in enumerate(QUEUES, FIRST_QUEUE):
                    if TOPIC_OF[type(message)].name == topic and not self.services[reader].ignores(event):
                        by_queue.setdefault(place, []).append(event)
            found = self._routes[events] = tuple((place, tuple(letters)) for place, letters in by_queue.items())
        return found

    # -- batches -----------------------------------------------------------------------------------------------------

    def check_batches(self, state: State) -> None:
        """Check that a worker which takes everything at once decides the same as one that takes it one by one."""
        for reader, (first, last) in enumerate(OWN_QUEUES):
            waiting = (reader, state[reader], *state[first:last])
            if waiting in self._batched:
                continue
            self._batched.add(waiting)
            letters = [letter for queue in state[first:last] for letter in self.queues[queue]]
            # A batch sees one time: timers of later moments come in batches of their own.
            own = [move.letter for move in self._own_moves(reader, state[reader])]
            letters.extend(letter for letter in own if self.alphabet.letters[letter].now == NOW)
            batch = (reader, state[reader], tuple(letters))
            if len(letters) > 1 and batch not in self.town.batches:
                self.town.batches.add(batch)
                self._check_batch(self.services[reader], state[reader], letters)

    def _check_batch(self, service: Service, local: int, letters: list[int]) -> None:
        single, said = local, list[int]()
        for letter in letters:
            step = service.step(single, letter)
            single = step.local
            said.extend(step.events)
        together = service.batch(local, letters)
        if together.local != single or list(together.events) != said:
            names = ", ".join(self.alphabet.letters[letter].kind for letter in letters)
            raise Broken("a batch decides as its messages do one by one", f"{service.name}: {names}")
