"""Brings a service's schema to its newest revision, with Alembic, in the schema named after the service."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from libs.runtime.settings import sqlalchemy_url

LOCK_TIMEOUT_MS = 10_000
SERVICES = Path(__file__).resolve().parents[2] / "services"


async def migrate(dsn: str, service: str, *, schema: str = "", revision: str = "head") -> None:
    """Create the schema if needed and migrate it up (or down) to `revision`; two at once wait for each other."""
    schema = schema or service
    engine = create_async_engine(sqlalchemy_url(dsn))
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"ordo {schema}"})
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            await connection.execute(text(f'SET LOCAL search_path TO "{schema}"'))
            await connection.run_sync(_run, service, schema, revision)
    finally:
        await engine.dispose()


def _run(connection: Connection, service: str, schema: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(SERVICES / service / "migrations"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    down = revision == "base"

    def steps(current: object, context: object) -> object:
        move = script._downgrade_revs if down else script._upgrade_revs
        return move(revision, current)  # type: ignore[arg-type]

    environment = EnvironmentContext(config, script, fn=steps, as_sql=False, destination_rev=revision)
    with environment:
        environment.configure(connection=connection, version_table_schema=schema, transactional_ddl=False)
        environment.run_migrations()
