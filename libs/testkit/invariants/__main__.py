"""`python -m libs.testkit.invariants`: one line an invariant; exits with 0 only if all of them hold."""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg
import msgspec

from libs.stream.log import FetchFailed
from libs.testkit.invariants.cut import SchemaMissing
from libs.testkit.invariants.findings import Finding
from libs.testkit.invariants.run import DRAIN_LIMIT_S, check_all

LOCAL_ENV = Path(os.environ.get("ORDO_STATE") or ".ordo") / "local.env"
UNREACHABLE = 2
GC_THRESHOLD = 100_000


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m libs.testkit.invariants", description=__doc__)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--drained", action="store_true", help="wait until nothing is under way, check all (the default)")
    way.add_argument("--safety-only", action="store_true", help="check what holds at any moment, without waiting")
    parser.add_argument("--drain-limit-s", type=float, default=DRAIN_LIMIT_S, help="how long to wait (%(default)s)")
    parser.add_argument("--acked", type=Path, help="ids of orders that clients were told are accepted, one a line")
    parser.add_argument("--sent", type=Path, help="ids of all orders that clients ever sent, one a line")
    parser.add_argument("--json", type=Path, help="write the findings to this file")
    return parser.parse_args(arguments)


def addresses(environ: Mapping[str, str], local_env: Path) -> tuple[str, str]:
    """Return where Postgres and Kafka are: from the environment, else from what `make up` wrote down."""
    known = dict(environ)
    if local_env.is_file():
        lines = [line.partition("=") for line in local_env.read_text().splitlines() if "=" in line]
        known = {name: value for name, _, value in lines} | known
    missing = [name for name in ("ORDO_POSTGRES", "ORDO_KAFKA") if not known.get(name)]
    if missing:
        sys.exit(f"{' and '.join(missing)} must be set, or a stack be up (`make up` writes {local_env})")
    return known["ORDO_POSTGRES"], known["ORDO_KAFKA"]


def ids(path: Path | None) -> list[str] | None:
    """Return the lines of a file of order ids."""
    return None if path is None else [line.strip() for line in path.read_text().splitlines() if line.strip()]


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return one line an invariant."""
    return [
        f"{finding.id:<5} {'ok   ' if finding.ok else 'WRONG'} {finding.title} [{finding.looked_at}]"
        + (f": {finding.detail}" if finding.detail else "")
        for finding in findings
    ]


def main(arguments: Sequence[str]) -> int:
    """Check, print, and return the exit code."""
    asked = parse(arguments)
    postgres, kafka = addresses(os.environ, LOCAL_ENV)
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    try:
        findings = asyncio.run(
            check_all(
                postgres,
                kafka,
                drained=not asked.safety_only,
                drain_limit_s=asked.drain_limit_s,
                acked=ids(asked.acked),
                sent=ids(asked.sent),
            )
        )
    except (SchemaMissing, FetchFailed, OSError, asyncpg.PostgresError) as error:
        print(f"the invariants cannot be checked: {error}", file=sys.stderr)
        return UNREACHABLE
    print("\n".join(lines(findings)))
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(findings)))
    wrong = [finding.id for finding in findings if not finding.ok]
    print(
        f"{len(findings) - len(wrong)} of {len(findings)} invariants hold"
        + (f", not {', '.join(wrong)}" if wrong else "")
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
