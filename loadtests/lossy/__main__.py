"""`python -m loadtests.lossy`: twenty thousand orders over six lossy platforms, and not one may be missing."""

import argparse
import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from rich.console import Console

from deploy.local.layout import ROOT
from loadtests.lossy.report import passed, show, write_json
from loadtests.lossy.rig import Rig
from loadtests.lossy.run import Wish, play

BUILD = ROOT / "build"
FAILED = 1
KEPT_SETTINGS = frozenset({"ORDO_CACHE"})


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.lossy", description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=100.0, help="orders in a second, over all six platforms")
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--outage-hours", type=float, default=4.0, help="simulated; 0: no outage")
    parser.add_argument("--calm", action="store_true", help="nothing is lost, killed or away: how soon orders are here")
    parser.add_argument("--calls-per-token", type=int, default=1500, help="an access token dies after so many calls")
    parser.add_argument("--patience-s", type=float, default=240.0, help="before simulated time is moved at the end")
    parser.add_argument("--json", type=Path, default=BUILD / "lossy.json")
    chosen = parser.parse_args(arguments)
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(1_000_000)
    return chosen


def main(arguments: list[str]) -> int:
    """Run, report, and return the exit code."""
    chosen = parse(arguments)
    for name in [name for name in os.environ if name.startswith("ORDO_") and name not in KEPT_SETTINGS]:
        # A stack of ours must not be led to somebody's Kafka, Postgres or secrets.
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(FAILED))
    outage_hours = 0.0 if chosen.calm else chosen.outage_hours
    wish = Wish(
        chosen.orders, chosen.rate, chosen.seed, outage_hours, chosen.calls_per_token, chosen.patience_s, chosen.calm
    )
    rig = Rig.make(wish.seed)
    say(f"seed {wish.seed}, {wish.orders} orders at {wish.rate:g}/s; the stack lives in {rig.layout.state}")
    try:
        rig.start(say)
        run = asyncio.run(play(rig, wish, say))
    finally:
        rig.remove(BUILD / "lossy-logs", say)
    write_json(chosen.json, run)
    show(run, Console() if sys.stdout.isatty() else Console(width=160))
    return 0 if passed(run) else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
