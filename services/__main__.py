"""`python -m services`: all seven in one process, what they need created, or a recorded run again."""

import argparse
import importlib
import os
import sys

import uvloop

from contracts.topics import SERVICES
from libs.rules import defaults
from libs.runtime.logging import configure_logging
from libs.runtime.main import prepare, read_settings, serve
from libs.runtime.replaying import Changed, rebuild, replay
from libs.runtime.service import Running, assemble, tune_garbage_collector
from libs.runtime.settings import ServiceSettings

FIRST_PORT = 7401


def _running(name: str) -> tuple[Running, int]:
    place = SERVICES.index(name)
    port = int(os.environ.get(f"ORDO_PORT_{name.upper()}", str(FIRST_PORT + place)))
    settings = read_settings(importlib.import_module(f"services.{name}.settings").Settings)
    return assemble(importlib.import_module(f"services.{name}.app").build(settings)), port


async def _serve_all() -> None:
    await serve([_running(name) for name in SERVICES])


def _again(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m services")
    commands = parser.add_subparsers(dest="command", required=True)
    again = commands.add_parser("replay", help="decide a recorded run again and compare byte for byte")
    made = commands.add_parser("rebuild", help="rebuild a schema beside the live one and compare")
    for command in (again, made):
        command.add_argument("service", choices=SERVICES)
    again.add_argument("--from", dest="first", default="", help="a batch number or a time")
    again.add_argument("--to", dest="last", default="", help="a batch number or a time")
    again.add_argument(
        "--with", dest="changed", default="", help='a JSON file: {"settings": {...}, "parameters": {...}}'
    )
    made.add_argument("--swap", action="store_true", help="put the rebuilt schema in the live one's place")
    asked = parser.parse_args(words)
    app = importlib.import_module(f"services.{asked.service}.app")
    settings = read_settings(importlib.import_module(f"services.{asked.service}.settings").Settings)
    configure_logging("WARNING")
    tune_garbage_collector()
    if asked.command == "rebuild":
        return uvloop.run(rebuild(app.build(settings), swap=asked.swap))
    changed = Changed.read(asked.changed)
    settings = type(settings)(**{**settings.model_dump(), **changed.settings})
    if changed.parameters:
        service = app.build(settings, changed.rules(defaults.read(asked.service)))
    else:
        service = app.build(settings)
    return uvloop.run(replay(service, asked.first, asked.last, changed))


def main() -> None:
    """Run the command named on the command line."""
    command = sys.argv[1] if len(sys.argv) > 1 else "all"
    if command in ("replay", "rebuild"):
        sys.exit(_again(sys.argv[1:]))
    settings = read_settings(ServiceSettings)
    configure_logging(settings.log_level)
    if command == "migrate":
        uvloop.run(prepare(settings, SERVICES))
    elif command == "all":
        uvloop.run(_serve_all())
    else:
        sys.exit(f"no command {command!r}: there are all, migrate, replay, rebuild")


if __name__ == "__main__":
    main()
