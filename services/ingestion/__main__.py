"""`python -m services.ingestion`: serve (the default), migrate, or import an order file into a running service."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx

from libs.runtime.auth import make_token
from libs.runtime.clock import utc_now
from libs.runtime.main import main
from services.ingestion.app import build
from services.ingestion.settings import Settings

IMPORT_TIMEOUT_SECONDS = 600
TOKEN_MINUTES = 15


def import_file(arguments: Sequence[str]) -> int:
    """Post a file to the running service and print its report; 1 when a row was refused, 2 when the file was."""
    parser = argparse.ArgumentParser(prog="python -m services.ingestion import")
    parser.add_argument("file", type=Path, help="an order file in CSV, UTF-8 or GB18030")
    parser.add_argument("--shop", required=True, help="the shop the orders belong to")
    asked = parser.parse_args(arguments)
    url, secret = os.environ.get("ORDO_URL_INGESTION", ""), os.environ.get("ORDO_JWT_SECRET", "")
    if not url or not secret:
        parser.error("ORDO_URL_INGESTION and ORDO_JWT_SECRET must be set: `set -a; . .ordo/local.env; set +a`")
    if not asked.file.is_file():
        parser.error(f"there is no file {asked.file}")
    token = make_token(
        secret,
        subject="import",
        roles=["operator"],
        warehouse=None,
        now=utc_now(),
        lifetime=timedelta(minutes=TOKEN_MINUTES),
    )
    try:
        with asked.file.open("rb") as file:
            answer = httpx.post(
                f"{url.rstrip('/')}/imports",
                headers={"Authorization": f"Bearer {token}"},
                data={"shop_id": asked.shop},
                files={"file": (asked.file.name, file, "text/csv")},
                timeout=IMPORT_TIMEOUT_SECONDS,
                trust_env=False,
            )
        report = answer.json()
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        print(f"ingestion does not answer at {url}: {type(error).__name__}", file=sys.stderr)
        return 2
    if answer.status_code != httpx.codes.OK:
        words = (report.get("title"), report.get("field"), report.get("detail"))
        print(": ".join(each for each in words if each), file=sys.stderr)
        return 2
    for row in report["refused_rows"]:
        print(f"line {row['line']}: {row['field']}: {row['reason']} (order {row['platform_order_id'] or '?'})")
    if report["refused_rows_not_listed"]:
        print(f"and {report['refused_rows_not_listed']} more refused rows")
    print(", ".join(f"{name} {report[name]}" for name in ("accepted", "amended", "unchanged", "refused")))
    return 1 if report["refused"] else 0


if __name__ == "__main__":
    main(Settings, build, {"import": import_file})
