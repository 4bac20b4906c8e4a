"""Every law holds in every state of the daily slice, and the search itself leaves nothing out."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelcheck.model import CLAIM_ENDS, CURSORS, Model
from modelcheck.scenarios import full, quick
from modelcheck.search import LimitReached, Search, check
from modelcheck.telling import story_of
from modelcheck.town import Town

TOWN = Town()
QUICK = list(quick())


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.name)
def test_every_law_holds(scenario):
    found = check(scenario, TOWN)
    assert found.broken is None, "\n".join(story_of(found))
    assert found.states > 100
    assert found.ends


def test_the_race_of_the_title_ends_in_both_ways():
    found = check(QUICK[0], TOWN)
    assert set(found.ends) == {"cancelled", "shipped"}


def test_the_number_of_states_is_the_same_each_time():
    runs = [check(QUICK[4], Town()) for _ in range(2)]
    assert runs[0].states == runs[1].states
    assert runs[0].transitions == runs[1].transitions
    assert runs[0].ends == runs[1].ends


@pytest.mark.parametrize("number", [0, 4, 7])
def test_what_is_left_out_of_the_search_changes_no_end(number):
    ends = []
    for reduced in (True, False):
        model = Model(QUICK[number], TOWN, reduced=reduced)
        search = Search(model, 1_000_000, batches=False)
        search.run()
        where = [*range(6), CURSORS, CLAIM_ENDS]
        ends.append({tuple(_told(model, place, state[place]) for place in where) for state in search.rests})
    assert ends[0] == ends[1]


def _told(model, place, number):
    """A number means the same in both models where services are concerned; what was said is numbered by each."""
    return model.said[number] if place == 5 else model.cursors[number] if place == CURSORS else number


def test_more_states_than_the_limit_are_no_result():
    with pytest.raises(LimitReached):
        check(QUICK[0], TOWN, states_limit=100)


def test_names_are_unique_and_every_kind_of_story_is_told():
    names = [scenario.name for scenario in full()]
    assert len(names) == len(set(names))
    assert {scenario.parcels for scenario in full()} == {1, 2}
    asked = {ask for scenario in full() for ask in scenario.asks}
    assert {"place", "pay", "address", "fewer", "more", "pickup", "cancel", "refund", "return"} <= asked
    assert any(scenario.claim_ends_limit for scenario in full())


def test_the_command_prints_states_and_the_verdict():
    command = [sys.executable, "-m", "modelcheck", "--quick", "--only", "2 parcels", "--processes", "1"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 scenarios: " in done.stdout
    assert done.stdout.rstrip().endswith("every law holds")
