"""Kill any process while the demo plays: the final figures are those of an undisturbed run, and all invariants hold."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.local.layout import ROOT, SERVICES
from deploy.local.record import read_record
from libs.testkit.waiting import until_now

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
PLAY_LIMIT_S = 280
VICTIMS = ("kafka", "postgres", *SERVICES)
FIRST_KILL_AFTER_ORDERS_S = 2.0
BETWEEN_KILLS_S = 3.0


def play(state: Path, victims: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    """Play one month of the demo in a state folder of its own, killing `victims` one after the other meanwhile."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ORDO_") or name == "ORDO_CACHE"}
    env |= {"ORDO_STATE": str(state), "DEMO_EXIT": "1"}
    figures = state / "figures.json"
    state.mkdir()
    with (state / "demo.out").open("wb") as out:
        words = [sys.executable, "-m", "demo", "--months", "1", "--figures", str(figures)]
        demo = subprocess.Popen(words, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            killed = kill_each(state / "demo" / "processes.json", victims, demo)
            status = demo.wait(PLAY_LIMIT_S)
        finally:
            if demo.poll() is None:
                demo.send_signal(signal.SIGTERM)
                demo.wait(60)
    assert status == 0, (state / "demo.out").read_text("utf-8")[-3000:]
    return json.loads(figures.read_text("utf-8")), killed


def kill_each(record: Path, victims: tuple[str, ...], demo: "subprocess.Popen[bytes]") -> list[str]:
    """Send SIGKILL to each victim in turn once everything runs, as long as the demo plays."""
    killed: list[str] = []

    def stack_runs() -> bool:
        assert demo.poll() is None, "the demo ended before its stack ran"
        return all_run(record)

    if victims:
        until_now(stack_runs, PLAY_LIMIT_S, 0.2)
    pause = FIRST_KILL_AFTER_ORDERS_S
    for victim in victims:
        time.sleep(pause)
        pause = BETWEEN_KILLS_S
        pid = pids(record).get(victim)
        if demo.poll() is not None:
            break
        if pid:
            os.kill(pid, signal.SIGKILL)
            killed.append(victim)
    return killed


def pids(record: Path) -> dict[str, int]:
    """Return the process ids that the stack's supervisor recorded as running."""
    found = read_record(record)
    return {child.name: child.pid for child in found.children if child.state == "running"} if found else {}


def all_run(record: Path) -> bool:
    """Tell whether every victim runs."""
    return set(VICTIMS) <= set(pids(record))


def test_the_figures_do_not_depend_on_who_was_killed(tmp_path: Path) -> None:
    undisturbed, _ = play(tmp_path / "undisturbed", ())
    disturbed, killed = play(tmp_path / "killed", VICTIMS)
    assert len(killed) >= len(VICTIMS) - 2, f"only {killed} were killed in time"
    assert disturbed["figures"] == undisturbed["figures"]
    assert disturbed["invariants held"] is True
