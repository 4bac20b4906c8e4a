"""`python -m services.<name>`: serve (the default), migrate, or one of the service's own commands."""

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog
import uvloop
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contracts.topics import TOPICS
from libs.runtime.logging import configure_logging
from libs.runtime.protocol import allow_open_files
from libs.runtime.service import Running, Service, assemble, tune_garbage_collector
from libs.runtime.settings import ServiceSettings
from libs.stream.kafka_admin import create_topics
from libs.vault import create_vault

S = TypeVar("S", bound=ServiceSettings)


def main(
    settings_type: type[S],
    build: Callable[[S], Service],
    commands: Mapping[str, Callable[[Sequence[str]], int]] | None = None,
) -> None:
    """Run the command named on the command line, and exit with its status."""
    command, *rest = sys.argv[1:] or ["serve"]
    known = {"serve", "migrate", *(commands or {})}
    if command not in known:
        sys.exit(f"no command {command!r}: there are {', '.join(sorted(known))}")
    if commands and command in commands:
        sys.exit(commands[command](rest))
    service = build(read_settings(settings_type))
    configure_logging(service.settings.log_level)
    if command == "migrate":
        uvloop.run(prepare(service.settings, [service.name]))
    else:
        uvloop.run(serve([(assemble(service), None)]))


def read_settings(settings_type: type[S]) -> S:
    """Read the settings from the environment; what is missing or wrong is named, and nothing starts."""
    try:
        return settings_type()
    except ValidationError as error:
        sys.exit("these settings are missing or wrong:\n" + "\n".join(f"  {_told(each)}" for each in error.errors()))


def _told(wrong: ErrorDetails) -> str:
    """Return which setting it is and why; what several of them fail together names them itself."""
    where = ".".join(str(part) for part in wrong["loc"])
    why = str(wrong["ctx"]["error"]) if wrong["type"] == "value_error" else wrong["msg"]
    return f"{where}: {why}" if where else why


async def prepare(settings: ServiceSettings, services: Sequence[str]) -> None:
    """Create schemas, tables, the vault and topics: everything a service finds ready when it starts."""
    await create_vault(settings.postgres)
    await asyncio.gather(
        create_topics(settings.kafka, TOPICS, settings.partitions, settings.replication),
        _migrate_all(settings.postgres, services),
    )


async def _migrate_all(dsn: str, services: Sequence[str]) -> None:
    # Alembic takes a fourth of a service's start, and only this command needs it.
    from libs.runtime.migrate import migrate

    for name in services:
        await migrate(dsn, name)


async def serve(runnings: Sequence[tuple[Running, int | None]]) -> None:
    """Run services in this process until SIGTERM or SIGINT, or until one of them fails."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for running, _ in runnings:
            running.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    tune_garbage_collector()
    allow_open_files()
    async with asyncio.TaskGroup() as group:
        for running, port in runnings:
            group.create_task(running.run(port))
    structlog.get_logger().info("stopped")
