"""schemathesis against every service: no server error, and every answer as its OpenAPI document says."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from contracts.topics import SERVICES
from services.tests.hostile.town import Town, everybody

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]

# ORDO_HOSTILE_EXAMPLES=20 makes more examples an operation, and adds every boundary of every schema one by one.
EXAMPLES = int(os.environ.get("ORDO_HOSTILE_EXAMPLES", "0"))
FEW_EXAMPLES = 4
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
RUN_LIMIT_S = 800


@pytest.mark.parametrize("service", SERVICES)
def test_generated_requests_meet_no_server_error(town: Town, service: str, tmp_path: Path) -> None:
    phases = "examples,coverage,fuzzing" if EXAMPLES else "examples,fuzzing"
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"),
            *("--phases", phases, "--checks", CHECKS, "--max-examples", str(EXAMPLES or FEW_EXAMPLES)),
            *("--header", f"Authorization: {everybody()}", "--seed", "20261111", "--no-shrink", "--warnings", "off"),
            *("--continue-on-failure", "--generation-database", "none", "--no-color"),
            town.url(service, "/openapi.json"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout, "nothing was tried"
    assert town.alive, town.logs()[-4000:]
    assert httpx.get(town.url(service, "/readyz")).status_code == 200
