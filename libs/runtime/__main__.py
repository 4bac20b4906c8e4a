"""`python -m libs.runtime token | erase`: a token for a device or a person; a shop's month made unreadable for good."""

import argparse
import asyncio
import os
import re
import sys
from datetime import timedelta

from libs.runtime.auth import ROLES, make_token
from libs.runtime.clock import utc_now
from libs.vault import KEY_AGE_LIMIT_S, Vault, VaultAway

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
SOURCE_ENV = "`set -a; . .ordo/local.env; set +a` after `make up`"


def main() -> int:
    """Run the command named on the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m libs.runtime")
    commands = parser.add_subparsers(dest="command", required=True)
    token = commands.add_parser("token", help="issue a bearer token (signed with ORDO_JWT_SECRET)")
    token.add_argument("--role", action="append", required=True, choices=sorted(ROLES))
    token.add_argument("--subject", required=True, help="who or which device this is")
    token.add_argument("--warehouse", help="the one warehouse of a picker's device")
    token.add_argument("--hours", type=float, default=12.0, help="lifetime, at most 720")
    erase = commands.add_parser("erase", help="destroy the key of the personal data that one shop's month holds")
    erase.add_argument("--shop", required=True, help="the shop's id")
    erase.add_argument("--month", required=True, help="YYYY-MM (UTC), one that is over")
    asked = parser.parse_args()
    return _token(asked, token) if asked.command == "token" else _erase(asked, erase)


def _token(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print a token signed with ORDO_JWT_SECRET."""
    secret = os.environ.get("ORDO_JWT_SECRET", "")
    if not secret:
        parser.error(f"ORDO_JWT_SECRET is not set: {SOURCE_ENV}")
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


def _erase(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Destroy a data key; 1 when there is none, 2 when the key table does not answer."""
    dsn, master_key = os.environ.get("ORDO_POSTGRES", ""), os.environ.get("ORDO_MASTER_KEY", "")
    if not dsn or not master_key:
        parser.error(f"ORDO_POSTGRES and ORDO_MASTER_KEY must be set: {SOURCE_ENV}")
    if not _MONTH.fullmatch(asked.month):
        parser.error(f"--month {asked.month}: must be YYYY-MM")
    if asked.month >= f"{utc_now():%Y-%m}":
        parser.error(f"--month {asked.month}: is not over, and what still comes in has to be sealed under its key")
    try:
        destroyed = asyncio.run(_destroyed(Vault(dsn, master_key), asked.shop, asked.month))
    except ValueError as error:
        parser.error(str(error))
    except VaultAway as error:
        print(f"the key table does not answer: {error}", file=sys.stderr)
        return 2
    if not destroyed:
        print(f"{asked.shop} has no key of {asked.month}: nothing was sealed then, or it was erased before")
        return 1
    print(f"erased; services that hold the key forget it within {KEY_AGE_LIMIT_S:.0f} s")
    return 0


async def _destroyed(vault: Vault, shop_id: str, month: str) -> bool:
    try:
        return await vault.destroy(shop_id, month)
    finally:
        await vault.close()


if __name__ == "__main__":
    sys.exit(main())
