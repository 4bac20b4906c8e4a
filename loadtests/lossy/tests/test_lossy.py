"""The lossy run in short: a few hundred orders, everything else as in the long one."""

import json
import subprocess
import sys

import pytest

from deploy.local.layout import ROOT

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
LIMIT_S = 240
WISHES = ("--orders", "240", "--rate", "24", "--seed", "7", "--patience-s", "3", "--calls-per-token", "60")


def test_nothing_is_missing_doubled_or_promised_too_early(tmp_path):
    told = tmp_path / "lossy.json"
    run = subprocess.run(
        [sys.executable, "-m", "loadtests.lossy", *WISHES, "--json", str(told)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    found = json.loads(told.read_text("utf-8"))
    assert found["paid"] == found["placed"] > 200
    assert found["uploaded"] > 100
    assert found["kills"] >= 1
    assert found["checks_of_T"] >= 10
