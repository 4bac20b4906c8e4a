"""The supervisor's record of its processes, replaced in one step: what status shows and what a clean-up may end."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from deploy.local.layout import Layout, write_private

Phase = Literal["starting", "running", "stopping", "stopped", "failed"]
ChildState = Literal["waiting", "starting", "running", "backoff", "done", "failed", "stopped"]


@dataclass
class ProcessRecord:
    """One child as last seen: `mark` ties the pid to this very process."""

    name: str
    state: ChildState = "waiting"
    pid: int = 0
    mark: str = ""
    started_at_s: float = 0.0
    restarts: int = 0
    last_exit: int | None = None
    stop_signal: int = 15
    stop_stage: int = 0
    stop_grace_s: float = 10.0


@dataclass
class StackRecord:
    """The supervisor and its children."""

    phase: Phase = "starting"
    pid: int = 0
    mark: str = ""
    started_at_s: float = 0.0
    problem: str = ""
    children: list[ProcessRecord] = field(default_factory=list)

    def child(self, name: str) -> ProcessRecord | None:
        return next((child for child in self.children if child.name == name), None)


def write_record(layout: Layout, record: StackRecord) -> None:
    write_private(layout.record_file, json.dumps(asdict(record)))


def read_record(path: Path) -> StackRecord | None:
    """The record, or None when there is none, a crash of the machine left half of one, or other code wrote it."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return StackRecord(**{**raw, "children": [ProcessRecord(**child) for child in raw["children"]]})
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None
