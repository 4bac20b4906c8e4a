"""A slice of the simulator's seeds: they find nothing, reach every point, and repeat event for event."""

import subprocess
import sys
from pathlib import Path

import pytest

from libs.testkit.simulation.chain import Chain
from libs.testkit.simulation.run import play
from simulation.run import play_seed, play_seeds
from simulation.whole import Whole

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(7_000, 7_160)


def test_some_hundred_seeds_find_nothing_and_reach_every_point() -> None:
    summary = play_seeds(SEEDS)
    told = [f"seed {outcome.seed}: {outcome.failures[0]}" for outcome in summary.failed]
    assert not told, "\n".join([*told, *summary.failed[0].tail])
    assert not summary.never
    assert summary.detected, "a broker lost its tail in some of them"


@pytest.mark.parametrize(("name", "make", "seed"), [("chain", Chain, 11), ("whole", Whole, 25)])
def test_the_same_seed_gives_the_same_run(name, make, seed) -> None:
    first, second, other = play(name, make, seed), play(name, make, seed), play(name, make, seed + 1)
    assert (first.digest, first.events, first.hits) == (second.digest, second.events, second.hits)
    assert first.events > 50
    assert other.digest != first.digest


def test_a_seed_is_the_same_in_another_process() -> None:
    """Nothing hangs on the order of sets, which differs from process to process."""
    here = play_seed(25)
    done = subprocess.run(
        [sys.executable, "-m", "simulation", "--seed", "25"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env={"PYTHONHASHSEED": "77"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{here.events} events in {here.virtual_s:.1f} virtual s, {here.digest:08x}" in done.stdout


def test_whole_orders_end_in_all_ways() -> None:
    """Clean runs are no use if nothing happens in them."""
    from services.tower.domain import OrderView

    stages: set[str] = set()

    class Watched(Whole):
        def check(self) -> None:
            super().check()
            stages.update(row.stage for row in self.world.database("tower").stored.all_rows(OrderView))

    for seed in range(0, 100, 5):
        play("whole", Watched, seed)
    assert stages == {"shipped", "cancelled", "rejected"}
