"""Toy stacks: small programs in the place of the services, on free ports, in a folder of their own."""

import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent

import pytest

from deploy.local import stack
from deploy.local.layout import Layout, Ports, make_folders
from deploy.local.plan import Child, Plan
from deploy.local.record import ProcessRecord, read_record
from libs.testkit.embedded.processes import is_same_process
from libs.testkit.embedded.server import free_ports

# Notes its start and its gentle end in a file, and answers /readyz like a service.
TOY = """
import http.server, json, os, signal, sys, time
name, port, notes = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def note(what):
    with open(notes, "a") as out: out.write(f"{what} {name}\\n")
def leave(*_):
    note("end"); os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in name else leave)
class Answer(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        body = json.dumps({"ready": True, "reasons": [], "lag_records": 7, "lag_ms": 1500}).encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
server = http.server.HTTPServer(("127.0.0.1", port), Answer)
note("start"); print(f"{name} serves", flush=True)
server.serve_forever()
"""


class ToyStack:
    """A stack of toys and what a test wants to know about it."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder / ".ordo")
        make_folders(self.layout)
        self.notes = folder / "notes"
        self.said: list[str] = []

    def toy(self, name: str, after: tuple[str, ...] = (), stop_stage: int = 0, stop_grace_s: float = 5.0) -> Child:
        port = free_ports(1)[0]
        return Child(
            name, (sys.executable, "-S", "-c", TOY, name, str(port), str(self.notes)), after=after, port=port,
            health={name: f"http://127.0.0.1:{port}"}, stop_stage=stop_stage, stop_grace_s=stop_grace_s,
        )  # fmt: skip

    def program(self, name: str, code: str, **more: object) -> Child:
        return Child(name, (sys.executable, "-S", "-c", code), **more)  # type: ignore[arg-type]

    def forked(self, name: str) -> Child:
        """A toy that the supervisor loads and forks once a server runs, as that takes a moment."""
        made = self.toy(name, after=("server",))
        module = self.notes.parent / "modules" / name
        module.mkdir(parents=True)
        (module / "__main__.py").write_text(f"if __name__ == '__main__':\n{indent(TOY, '    ')}")
        return dataclasses.replace(made, argv=(sys.executable, "-m", name, *made.argv[-3:]), forks=True)

    def up(self, *children: Child, ready_limit_s: float = 20.0) -> None:
        plan = Plan(children)
        environment = {**os.environ, "PYTHONPATH": str(self.notes.parent / "modules")}
        launch = stack.Launch(plan, environment, "ORDO_KAFKA=x\n", Ports(7400), plan.ports)
        stack.up(self.layout, lambda: launch, self.said.append, ready_limit_s)

    def down(self) -> None:
        stack.down(self.layout, self.said.append)

    def records(self) -> list[ProcessRecord]:
        record = read_record(self.layout.record_file)
        assert record is not None
        return record.children

    def record(self, name: str) -> ProcessRecord:
        return next(child for child in self.records() if child.name == name)

    def supervisor(self) -> tuple[int, str]:
        record = read_record(self.layout.record_file)
        assert record is not None
        return record.pid, record.mark

    def living(self) -> list[str]:
        record = read_record(self.layout.record_file)
        if record is None:
            return []
        found = [(child.name, child.pid, child.mark) for child in record.children]
        found.append(("supervisor", record.pid, record.mark))
        return [name for name, pid, mark in found if pid and is_same_process(pid, mark)]


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[[str], ToyStack]]:
    made: list[ToyStack] = []

    def make(name: str) -> ToyStack:
        (tmp_path / name).mkdir()
        made.append(ToyStack(tmp_path / name))
        return made[-1]

    yield make
    for each in made:
        each.down()
        for record in each.records() if each.layout.record_file.exists() else []:
            if record.pid and is_same_process(record.pid, record.mark):
                os.kill(record.pid, signal.SIGKILL)


@pytest.fixture
def toys(make_stack: Callable[[str], ToyStack]) -> ToyStack:
    return make_stack("toys")
