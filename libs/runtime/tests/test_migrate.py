"""Migrating is safe to repeat, safe to do twice at once, and done or not done: never half."""

import asyncio

import asyncpg
import pytest

from libs.runtime import migrate as migrating
from libs.runtime.migrate import migrate

pytestmark = pytest.mark.postgres


async def fetch(dsn: str, sql: str, *arguments: object) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


async def tables(dsn: str, schema: str) -> set[object]:
    found = await fetch(dsn, "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", schema)
    return {row[0] for row in found}


async def test_migrating_again_changes_nothing(database: str) -> None:
    await migrate(database, "tower")
    once = await tables(database, "tower")
    assert {"stream_lease", "outbox", "alembic_version"} < once
    await fetch(database, "INSERT INTO tower.consumer_offset VALUES ('t', 0, 7)")
    await migrate(database, "tower")
    assert await tables(database, "tower") == once
    assert await fetch(database, "SELECT next_offset FROM tower.consumer_offset") == [(7,)]
    assert await fetch(database, "SELECT count(*) FROM tower.alembic_version") == [(1,)]


async def test_four_at_once_wait_for_each_other(database: str) -> None:
    await asyncio.gather(*[migrate(database, "risk") for _ in range(4)])
    assert await fetch(database, "SELECT count(*) FROM risk.alembic_version") == [(1,)]


async def test_services_side_by_side_keep_to_their_own_schema(database: str) -> None:
    for service in ("risk", "tower", "notification"):
        await migrate(database, service)
    assert "stream_lease" in await tables(database, "risk") & await tables(database, "notification")
    assert await tables(database, "public") == set()
    await migrate(database, "risk", revision="base")
    assert await tables(database, "risk") == {"alembic_version"}
    assert "stream_lease" in await tables(database, "tower")


async def test_a_service_can_be_built_a_second_time_in_another_schema(database: str) -> None:
    await migrate(database, "tower")
    await migrate(database, "tower", schema="tower_rebuilt")
    assert await tables(database, "tower") == await tables(database, "tower_rebuilt")


async def test_a_migration_that_fails_leaves_nothing_behind(database: str) -> None:
    await fetch(database, "CREATE SCHEMA risk")
    await fetch(database, "CREATE TABLE risk.timer (already text)")  # in the way of the stream's own
    with pytest.raises(Exception, match="timer"):
        await migrate(database, "risk")
    assert await tables(database, "risk") == {"timer"}
    await fetch(database, "DROP TABLE risk.timer")
    await migrate(database, "risk")
    assert "timer" in await tables(database, "risk")


async def test_a_migration_does_not_wait_for_ever_behind_a_stuck_one(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT_MS", 50)
    stuck = await asyncpg.connect(database)
    try:
        async with stuck.transaction():
            await stuck.execute("SELECT pg_advisory_xact_lock(hashtext('ordo risk'))")
            with pytest.raises(Exception, match="lock timeout"):
                await migrate(database, "risk")
        await migrate(database, "risk")
    finally:
        await stuck.close()
