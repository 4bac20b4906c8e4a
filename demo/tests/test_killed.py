"""Kill any process while the demo plays: the final figures are those of an undisturbed run, and all invariants hold."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.local.layout import ROOT, SERVICES
from deploy.local.record import read_record
from libs.testkit.waiting import until_now

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
PLAY_LIMIT_S = 280
VICTIMS = ("kafka", "postgres", *SERVICES)


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
            killed = kill_each(state, victims, demo)
            status = demo.wait(PLAY_LIMIT_S)
        finally:
            if demo.poll() is None:
                demo.send_signal(signal.SIGTERM)
                demo.wait(60)
    assert status == 0, (state / "demo.out").read_text("utf-8")[-3000:]
    return json.loads(figures.read_text("utf-8")), killed


def kill_each(state: Path, victims: tuple[str, ...], demo: "subprocess.Popen[bytes]") -> list[str]:
    """Send SIGKILL to each victim in turn while orders come, the next one once the last runs again."""
    killed: list[str] = []
    record, said = state / "demo" / "processes.json", state / "demo.out"

    def orders_come() -> bool:
        assert demo.poll() is None, "the demo ended before orders came"
        return all_run(record) and b"orders of " in said.read_bytes()

    if victims:
        until_now(orders_come, PLAY_LIMIT_S, 0.2)
    for victim in victims:
        until_now(lambda: demo.poll() is not None or victim in pids(record), PLAY_LIMIT_S, 0.1)
        if demo.poll() is not None:
            break
        pid = pids(record)[victim]
        os.kill(pid, signal.SIGKILL)
        killed.append(victim)
        until_now(lambda: demo.poll() is not None or pids(record).get(victim, pid) != pid, PLAY_LIMIT_S, 0.1)
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
