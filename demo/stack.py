"""The demo's own stack: a fresh one in a folder of its own for each run, so that nothing of the user's is touched."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.layout import DEFAULT_PORT_BASE, Layout, layout_from
from libs.testkit.embedded.server import port_is_free

PORTS_OF_A_STACK = 13
PORT_BASES_TRIED_LIMIT = 20
FOLDER = "demo"
ROOT = Path(__file__).resolve().parents[1]


class StackFailed(RuntimeError):
    """The stack did not come up; it has said why."""


def demo_layout(environ: Mapping[str, str]) -> Layout:
    """Return the demo's state: a folder inside the state folder that `make up` would use."""
    return Layout(layout_from(environ).state / FOLDER)


def free_port_base(environ: Mapping[str, str]) -> str:
    """Return the base the user has set, else the first whose ports are all free: `make up` may be running."""
    if environ.get("ORDO_PORT_BASE"):
        return environ["ORDO_PORT_BASE"]
    for number in range(PORT_BASES_TRIED_LIMIT):
        base = DEFAULT_PORT_BASE + number * 20
        if all(port_is_free(base + offset) for offset in range(1, PORTS_OF_A_STACK)):
            return str(base)
    return str(DEFAULT_PORT_BASE)


def stack_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which every command on the demo's stack runs."""
    return {**environ, "ORDO_STATE": str(demo_layout(environ).state)}


async def start(environment: Mapping[str, str]) -> dict[str, str]:
    """Remove what an earlier run left, start everything, and return how to reach it."""
    if layout_from(environment).state.exists():
        await _command("reset", environment)
    # Only now, when the ports of an earlier run are free again.
    if await _command("up", {**environment, "ORDO_PORT_BASE": free_port_base(environment)}):
        raise StackFailed("the stack did not start")
    return read_env_file(layout_from(environment).env_file)


async def stop(environment: Mapping[str, str], *, keep_data: bool) -> None:
    """Stop everything; unless something went wrong and the logs are worth reading, remove its data."""
    await _command("down" if keep_data else "reset", environment)


def read_env_file(path: Path) -> dict[str, str]:
    """Return what `local.env` says."""
    if not path.exists():
        raise StackFailed(f"no stack runs here: {path} does not exist")
    lines = (line for line in path.read_text("utf-8").splitlines() if "=" in line)
    return dict(line.split("=", 1) for line in lines)


async def check_invariants(environment: Mapping[str, str]) -> tuple[int, str]:
    """Run the checks on the drained stack; return their exit code and what they print."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "libs.testkit.invariants",
        env=dict(environment),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None, "a process that was waited for has ended"
    return process.returncode, printed.decode("utf-8", "replace")


async def _command(action: str, environment: Mapping[str, str]) -> int:
    # In a session of its own, so that Ctrl-C reaches it once and from here, not also from the terminal.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.local", action, env=dict(environment), cwd=ROOT, start_new_session=True
    )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        # It cleans up after itself when interrupted; leaving it behind would leave half a stack.
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()
        raise


def exits(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the demo ends by itself."""
    return environ.get("DEMO_EXIT", "") not in ("", "0")
