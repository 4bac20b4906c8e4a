"""What the hostile tests run against: all services in one process, or a whole stack of their own."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from libs.testkit.client import Merchant, read_env
from libs.testkit.fixtures import PARTITIONS
from services.tests.conftest import free_base, local
from services.tests.hostile.town import Town


@pytest.fixture(scope="session")
def town(new_database: Callable[[], str]) -> Iterator[Town]:
    """Seven services on a real Postgres, the log in memory; whatever a test does to them, they must be alive after."""
    found = Town(new_database())
    found.start()
    yield found
    found.stop()


@pytest.fixture
async def visitor(town: Town) -> AsyncIterator[Merchant]:
    """Somebody who works with the services of the town."""
    someone = town.merchant()
    await someone.define_warehouses()
    yield someone
    await someone.close()
    assert town.alive, town.logs()[-4000:]


@pytest.fixture(scope="session")
def ruin() -> Iterator[Path]:
    """The state folder of a whole stack that hostile tests may leave spoilt: nobody else uses it."""
    state = Path(tempfile.mkdtemp(prefix="ordo-hostile-"))
    base = free_base()
    try:
        # More than one, so that what poisons one can be seen to leave the others alone.
        local(state, base, "up", ORDO_PARTITIONS=str(PARTITIONS))
        yield state
    finally:
        local(state, base, "reset")
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
async def survivor(ruin: Path) -> AsyncIterator[Merchant]:
    """Somebody who works with that stack; no process of it may end meanwhile."""
    someone = Merchant(read_env(ruin / "local.env"))
    await someone.define_warehouses()
    before = processes(ruin)
    yield someone
    await someone.close()
    assert processes(ruin) == before, "a process ended"


def processes(state: Path) -> dict[str, tuple[int, int]]:
    """Return the pid and the number of restarts of every process of a stack."""
    children = json.loads((state / "processes.json").read_text("utf-8"))["children"]
    return {child["name"]: (child["pid"], child["restarts"]) for child in children}
