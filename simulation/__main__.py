"""`python -m simulation --seeds 10000`: play seeds, print what they found; `--seed n` repeats one, event for event."""

import argparse
import os
import sys

from libs.testkit.simulation.run import Outcome
from simulation.mutants import MUTANTS
from simulation.run import Summary, play_seed, play_seeds

PROCESSES_LIMIT = 2


def main(arguments: list[str]) -> int:
    """Play what is asked for; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="play this one seed and print its last events")
    parser.add_argument("--mutant", help="with --seed: play it with this part of the protocol broken")
    parser.add_argument("--processes", type=int, default=min(PROCESSES_LIMIT, os.cpu_count() or 1))
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        return _one(asked.seed, asked.mutant)
    summary = play_seeds(range(asked.first, asked.first + asked.seeds), asked.processes, _progress)
    sys.stderr.write("\n")
    _report(summary)
    return 0 if summary.ok else 1


def _one(seed: int, name: str | None) -> int:
    mutant = next((mutant for mutant in MUTANTS if mutant.name == name), None)
    if name is not None and mutant is None:
        print("mutants are:", *[f"  {mutant.name}" for mutant in MUTANTS], sep="\n")
        return 2
    if mutant is None:
        outcome = play_seed(seed)
    else:
        with mutant.alive() as parts:
            outcome = play_seed(seed, parts)
    print(*outcome.tail, sep="\n")
    print(f"{outcome.scenario}, {outcome.events} events in {outcome.virtual_s:.1f} virtual s, {outcome.digest:08x}")
    _verdict(outcome)
    return 1 if outcome.failures else 0


def _verdict(outcome: Outcome) -> None:
    for failure in outcome.failures:
        print(f"seed {outcome.seed} ({outcome.scenario}): {failure}")
    if outcome.detected:
        print(f"seed {outcome.seed}: the broker lost records, and it was noticed: {outcome.detected}")


def _progress(summary: Summary) -> None:
    rate = summary.seeds / max(summary.took_s, 0.001)
    sys.stderr.write(f"\r{summary.seeds} seeds, {len(summary.failed)} failed, {rate:.0f}/s ")
    sys.stderr.flush()


def _report(summary: Summary) -> None:
    for outcome in summary.failed[:3]:
        print(*outcome.tail, sep="\n")
    for outcome in summary.failed:
        _verdict(outcome)
    for point, count in sorted(summary.hits.items()):
        print(f"{count:9}  {point}")
    hours, rate = summary.virtual_s / 3600, summary.seeds / max(summary.took_s, 0.001)
    print(
        f"{summary.seeds} seeds in {summary.took_s:.0f} s ({rate:.0f}/s): {hours:.1f} virtual hours, "
        f"{summary.events} events; {len(summary.failed)} failed, {summary.detected} lost records and noticed it"
    )
    if summary.never:
        print("never reached:", *summary.never, sep="\n  ")
    for outcome in summary.failed:
        print(f"repeat with: make simulate SEED={outcome.seed}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
