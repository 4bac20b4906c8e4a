"""`python -m services`: all seven in one process (all), or everything they need created (migrate)."""

import importlib
import os
import sys

import uvloop

from contracts.topics import SERVICES
from libs.runtime.logging import configure_logging
from libs.runtime.main import prepare, read_settings, serve
from libs.runtime.service import Running, assemble
from libs.runtime.settings import ServiceSettings

DEFAULT_PORT_BASE = 7401


def _running(name: str) -> tuple[Running, int]:
    place = SERVICES.index(name)
    port = int(os.environ.get(f"ORDO_PORT_{name.upper()}", str(DEFAULT_PORT_BASE + place)))
    settings = read_settings(importlib.import_module(f"services.{name}.settings").Settings)
    return assemble(importlib.import_module(f"services.{name}.app").build(settings)), port


async def _serve_all() -> None:
    await serve([_running(name) for name in SERVICES])


def main() -> None:
    """Run `all` or `migrate`."""
    command = sys.argv[1] if len(sys.argv) > 1 else "all"
    settings = read_settings(ServiceSettings)
    configure_logging(settings.log_level)
    if command == "migrate":
        uvloop.run(prepare(settings, SERVICES))
    elif command == "all":
        uvloop.run(_serve_all())
    else:
        sys.exit(f"no command {command!r}: there are all, migrate")


if __name__ == "__main__":
    main()
