"""The checkers can fail: each broken variant of the protocol is found within some seeds."""

import pytest

from libs.testkit.simulation.chain import Chain
from libs.testkit.simulation.run import play
from simulation.mutants import MUTANTS, Mutant

SEEDS_LIMIT = 400


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_simulator_kills(mutant: Mutant) -> None:
    for seed in range(SEEDS_LIMIT):
        with mutant.alive() as parts:
            outcome = play("chain", Chain, seed, parts)
        if outcome.failures:
            assert not play("chain", Chain, seed).failures, "the seed finds nothing once the mutant is gone"
            return
    pytest.fail(f"{mutant.name!r} survived {SEEDS_LIMIT} seeds")
