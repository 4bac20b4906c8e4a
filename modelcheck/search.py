"""Every state that can be reached, nearest first, so that what is found wrong comes with its shortest story."""

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from modelcheck.deciding import Broken
from modelcheck.model import TOWER, Model, Move, State
from modelcheck.rest import check_rest
from modelcheck.scenarios import Scenario
from modelcheck.tower import check_interleavings
from modelcheck.town import Town

STATES_LIMIT = 3_000_000


@dataclass
class Found:
    """What a search saw."""

    scenario: Scenario
    states: int = 0
    transitions: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    tower_states: int = 0
    deepest: int = 0
    seconds: float = 0.0
    broken: Broken | None = None
    story: list[Move] = field(default_factory=list)
    model: Model | None = None


class LimitReached(Exception):
    """There are more states than the search may hold: the scenario is not checked."""


class Search:
    """A breadth-first walk over all states of one model."""

    def __init__(self, model: Model, states_limit: int, *, batches: bool) -> None:
        self.model = model
        self.states_limit = states_limit
        self.batches = batches
        self.numbers: dict[State, int] = {}
        self.parents = array("I")
        self.moves: list[Move | None] = []
        self.depths = array("H")
        self.targets = array("I")
        self.offsets = array("I")
        self.ends: dict[str, int] = {}
        self.rests: list[State] = []
        self.tower_states = 0
        self.at = 0

    def run(self) -> None:
        """Visit every state; raises Broken at the first law that does not hold, `at` says where."""
        todo: list[State] = []
        self._visit(self.model.start(), 0, None, todo)
        for number, state in enumerate(todo):
            self.at = number
            self.offsets.append(len(self.targets))
            resting = True
            for move, after in self.model.moves(state):
                resting = resting and move.ends_claim
                if after == state:
                    raise Broken("every run ends", f"{self.model.alphabet.letters[move.letter].kind} changes nothing")
                self.targets.append(self._visit(after, number, move, todo))
            if self.batches:
                self.model.check_batches(state)
            if resting:
                stage = check_rest(self.model, state)
                if stage not in self.ends:
                    self.tower_states += check_interleavings(self.model, self.story(), state[TOWER])
                self.ends[stage] = self.ends.get(stage, 0) + 1
                self.rests.append(state)
        self.offsets.append(len(self.targets))
        self._check_progress()

    def _visit(self, state: State, parent: int, move: Move | None, todo: list[State]) -> int:
        number = self.numbers.get(state)
        if number is None:
            number = self.numbers[state] = len(todo)
            if number >= self.states_limit:
                raise LimitReached(f"{self.model.scenario.name}: more than {self.states_limit} states")
            todo.append(state)
            self.parents.append(parent)
            self.moves.append(move)
            self.depths.append(self.depths[parent] + 1 if number else 0)
        return number

    def _check_progress(self) -> None:
        """No state comes back: with that, every run ends, and all ends were checked."""
        total = len(self.parents)
        arriving = array("I", bytes(4 * total))
        for target in self.targets:
            arriving[target] += 1
        free = [number for number in range(total) if not arriving[number]]
        passed = 0
        while free:
            number = free.pop()
            passed += 1
            for place in range(self.offsets[number], self.offsets[number + 1]):
                target = self.targets[place]
                arriving[target] -= 1
                if not arriving[target]:
                    free.append(target)
        if passed != total:
            self.at = min(number for number in range(total) if arriving[number])
            raise Broken("every run ends", f"{total - passed} states can come back to themselves")

    def story(self) -> list[Move]:
        """Return the shortest way to the state at hand."""
        moves: list[Move] = []
        number = self.at
        while number:
            move = self.moves[number]
            assert move is not None, "only the first state was not moved to"
            moves.append(move)
            number = self.parents[number]
        return moves[::-1]


def check(
    scenario: Scenario,
    town: Town | None = None,
    *,
    states_limit: int = STATES_LIMIT,
    batches: bool = True,
    reduced: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Found:
    """Search one scenario. A law that does not hold is part of the answer, with the story that led there."""
    began = clock()
    model = Model(scenario, town or Town(), reduced=reduced)
    search = Search(model, states_limit, batches=batches)
    found = Found(scenario=scenario, model=model)
    try:
        search.run()
    except Broken as broken:
        found.broken, found.story = broken, search.story()
    found.states, found.transitions = len(search.parents), len(search.targets)
    found.ends, found.deepest = search.ends, max(search.depths, default=0)
    found.tower_states = search.tower_states
    found.seconds = clock() - began
    return found
