"""One whole stack for the system lane: seven processes, a real Kafka and a real Postgres, in a folder of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from libs.testkit.client import Merchant, read_env
from libs.testkit.embedded.server import port_is_free

ROOT = Path(__file__).resolve().parents[2]
COMMAND_LIMIT_S = 240


def local(state: Path, base: int, *words: str, **settings: str) -> None:
    """Run a command of the local stack in a state folder of its own; no settings of ours but those given."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ORDO_")}
    if "ORDO_CACHE" in os.environ:
        env["ORDO_CACHE"] = os.environ["ORDO_CACHE"]
    env |= {"ORDO_STATE": str(state), "ORDO_PORT_BASE": str(base)} | settings
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local", *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def free_base() -> int:
    """Return a port base whose ports are free now."""
    return next(base for base in range(20_000, 30_000, 20) if all(port_is_free(base + n) for n in range(13)))


@pytest.fixture(scope="session")
def stack() -> Iterator[Path]:
    """The state folder of a running stack; stopped and removed at the end."""
    state, base = Path(tempfile.mkdtemp(prefix="ordo-system-")), free_base()
    try:
        local(state, base, "up")
        yield state
    finally:
        local(state, base, "reset")
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
async def merchant(stack: Path) -> AsyncIterator[Merchant]:
    """Somebody who works with the stack."""
    someone = Merchant(read_env(stack / "local.env"))
    await someone.define_warehouses()
    yield someone
    await someone.close()
