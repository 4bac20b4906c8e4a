"""Where a stack keeps its state and which ports it listens on: one folder and one port base tell two stacks apart."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVICES = ("ingestion", "inventory", "routing", "risk", "fulfillment", "notification", "tower")
ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
DEFAULT_PORT_BASE = 7400
LOWEST_PORT_BASE, HIGHEST_PORT_BASE = 1024, 65_000


class WrongSetting(ValueError):
    """A setting that the user gave cannot be used; the message names it."""


@dataclass(frozen=True)
class Ports:
    """Every port of a stack, counted from its base."""

    base: int

    def of_service(self, service: str) -> int:
        return self.base + 1 + SERVICES.index(service)

    @property
    def postgres(self) -> int:
        return self.base + 10

    @property
    def kafka(self) -> int:
        return self.base + 11

    @property
    def kafka_controller(self) -> int:
        return self.base + 12

    def url_of(self, service: str) -> str:
        return f"http://{HOST}:{self.of_service(service)}"


@dataclass(frozen=True)
class Layout:
    """The files below a stack's state folder."""

    state: Path

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def kafka_data(self) -> Path:
        return self.state / "kafka"

    @property
    def postgres_data(self) -> Path:
        return self.state / "postgres"

    @property
    def env_file(self) -> Path:
        return self.state / "local.env"

    @property
    def plan_file(self) -> Path:
        return self.state / "plan.json"

    @property
    def record_file(self) -> Path:
        return self.state / "processes.json"

    @property
    def supervisor_lock(self) -> Path:
        return self.state / "supervisor.lock"

    @property
    def command_lock(self) -> Path:
        return self.state / "command.lock"

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def layout_from(environ: Mapping[str, str]) -> Layout:
    """The state folder: `ORDO_STATE`, else `.ordo` beside the code."""
    chosen = environ.get("ORDO_STATE")
    return Layout(Path(chosen).absolute() if chosen else ROOT / ".ordo")


def ports_from(environ: Mapping[str, str]) -> Ports:
    """The ports: counted from `ORDO_PORT_BASE`, 7400 when it is not set."""
    text = environ.get("ORDO_PORT_BASE") or str(DEFAULT_PORT_BASE)
    if not text.isdecimal() or not LOWEST_PORT_BASE <= int(text) <= HIGHEST_PORT_BASE:
        raise WrongSetting(f"ORDO_PORT_BASE={text!r} is no port between {LOWEST_PORT_BASE} and {HIGHEST_PORT_BASE}")
    return Ports(int(text))


def make_folders(layout: Layout) -> None:
    """Makes the state folder and its own sub-folders; secrets are for their owner alone."""
    for folder in (layout.state, layout.logs):
        folder.mkdir(parents=True, exist_ok=True)
    layout.secrets.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step with one that only its owner can read."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
    scratch.replace(path)
