"""`python -m libs.runtime token`: issue a token for a device, an operator or a test."""

import argparse
import os
import sys
from datetime import timedelta

from libs.runtime.auth import ROLES, make_token
from libs.runtime.clock import utc_now


def main() -> int:
    """Print a token signed with ORDO_JWT_SECRET."""
    parser = argparse.ArgumentParser(prog="python -m libs.runtime")
    commands = parser.add_subparsers(dest="command", required=True)
    token = commands.add_parser("token", help="issue a bearer token (signed with ORDO_JWT_SECRET)")
    token.add_argument("--role", action="append", required=True, choices=sorted(ROLES))
    token.add_argument("--subject", required=True, help="who or which device this is")
    token.add_argument("--warehouse", help="the one warehouse of a picker's device")
    token.add_argument("--hours", type=float, default=12.0, help="lifetime, at most 720")
    asked = parser.parse_args()
    secret = os.environ.get("ORDO_JWT_SECRET", "")
    if not secret:
        parser.error("ORDO_JWT_SECRET is not set: `set -a; . .ordo/local.env; set +a` after `make up`")
    if not 0 < asked.hours <= 720:
        parser.error("--hours must lie between 0 and 720")
    try:
        made = make_token(
            secret,
            subject=asked.subject,
            roles=asked.role,
            warehouse=asked.warehouse,
            now=utc_now(),
            lifetime=timedelta(hours=asked.hours),
        )
    except ValueError as error:
        parser.error(str(error))
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
