"""A whole stack of its own for chaos: own folder, own small disks, clocks that can jump; nothing of it stays."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from deploy.local import stack
from deploy.local.__main__ import prepare_launch
from deploy.local.layout import ROOT, SERVICES, Layout, Ports
from deploy.local.plan import Plan
from deploy.local.record import read_record
from libs.testkit.client import read_env
from libs.testkit.embedded.processes import is_same_process, signal_if_same, start_mark
from libs.testkit.embedded.server import port_is_free
from loadtests.chaos.disks import SmallDisk
from loadtests.chaos.jumping import Offset

SERVERS = ("kafka", "postgres")
FIRST_BASE, LAST_BASE, PORTS_EACH = 10_000, 14_900, 60
COPIES_FROM = 13
COPIES_LIMIT = 40
DISK_MIB = {"kafka": 6_000, "postgres": 12_000}
COPY_END_LIMIT_S = 15.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Member:
    """One process as it was seen: the mark ties the id to this very process."""

    pid: int
    mark: str

    @property
    def alive(self) -> bool:
        """Tell whether it is still the same process."""
        return is_same_process(self.pid, self.mark)

    def send(self, number: int) -> bool:
        """Signal it, and only it."""
        return signal_if_same(self.pid, self.mark, number)


@dataclass
class Copy:
    """A second process of a service, outside the supervisor."""

    service: str
    url: str
    process: "subprocess.Popen[bytes]"

    def end(self, *, gently: bool) -> None:
        """End it and wait until it has ended."""
        if gently:
            self.process.terminate()
            try:
                self.process.wait(COPY_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        else:
            self.process.kill()
        self.process.wait(COPY_END_LIMIT_S)


@dataclass
class Rig:
    """The stack under test and the handles by which it is hurt."""

    layout: Layout
    ports: Ports
    disks: dict[str, SmallDisk]
    clocks: dict[str, Offset]
    env: dict[str, str] = field(default_factory=dict)
    _copies: int = 0

    @classmethod
    def make(cls) -> "Rig":
        """Choose a folder and free ports; nothing is started yet."""
        layout = Layout(Path(tempfile.mkdtemp(prefix="ordo-chaos-")))
        # Postgres runs under another account and must be able to pass through.
        layout.state.chmod(0o755)
        base = next(
            base
            for base in range(FIRST_BASE, LAST_BASE, PORTS_EACH)
            if all(port_is_free(base + n) for n in range(COPIES_FROM + COPIES_LIMIT))
        )
        folders = {"kafka": layout.kafka_data, "postgres": layout.postgres_data}
        disks = {
            name: SmallDisk(layout.state / f"{name}.disk", folder, DISK_MIB[name]) for name, folder in folders.items()
        }
        clocks = {service: Offset(layout.state / f"{service}.clock") for service in SERVICES}
        return cls(layout, Ports(base), disks, clocks)

    def start(self, say: Say) -> None:
        """Mount the disks and bring the stack up; returns when every service is ready."""
        for disk in self.disks.values():
            disk.mount()
        stack.up(self.layout, self._launch, say)
        self.env = {**os.environ, **read_env(self.layout.env_file)}

    def _launch(self) -> stack.Launch:
        launch = prepare_launch(self.layout, self.ports)
        under_the_clock = (sys.executable, "-m", "loadtests.chaos.jumping")
        children = tuple(
            replace(child, argv=(*under_the_clock, self._clock(child.name), child.argv[-1]), forks=False)
            if child.name in SERVICES
            else child
            for child in launch.plan.children
        )
        return replace(launch, plan=Plan(children, launch.plan.folder))

    def _clock(self, service: str) -> str:
        return str(self.layout.state / f"{service}.clock")

    def remove(self, keep_logs: Path, say: Say) -> None:
        """Stop everything, unmount, and remove the folder; the logs are kept elsewhere."""
        stack.down(self.layout, say)
        for disk in self.disks.values():
            disk.unmount()
        shutil.rmtree(keep_logs, ignore_errors=True)
        shutil.copytree(self.layout.logs, keep_logs)
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def member(self, name: str) -> Member | None:
        """Return the supervised process of this name, while it lives."""
        record = read_record(self.layout.record_file)
        child = record.child(name) if record else None
        if child is None or not child.pid or not is_same_process(child.pid, child.mark):
            return None
        return Member(child.pid, child.mark)

    def family(self, name: str) -> list[Member]:
        """Return the process and its descendants (Postgres' sessions are such), the process itself first."""
        main = self.member(name)
        if main is None:
            return []
        try:
            pids = [child.pid for child in psutil.Process(main.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            pids = []
        return [main, *[Member(pid, mark) for pid in pids if (mark := start_mark(pid)) is not None]]

    def spawn_copy(self, service: str) -> Copy:
        """Start one more process of a service, on a port of its own."""
        self._copies += 1
        port = self.ports.base + COPIES_FROM + self._copies % COPIES_LIMIT
        with self.layout.log_of(f"{service}-copy").open("ab") as log:
            process = subprocess.Popen(
                (sys.executable, "-m", f"services.{service}"),
                env={**self.env, "ORDO_PORT": str(port), "PYTHONUNBUFFERED": "1"},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Copy(service, f"http://127.0.0.1:{port}", process)

    def port_of(self, server: str) -> int:
        """Return where Kafka or Postgres listens."""
        return self.ports.kafka if server == "kafka" else self.ports.postgres

    def connections(self, target: str) -> list[tuple[int, int]]:
        """Return the open connections of a service as (own port, other port)."""
        main = self.member(target)
        if main is None:
            return []
        try:
            found = psutil.Process(main.pid).net_connections(kind="tcp")
        except psutil.Error:
            return []
        return [(each.laddr.port, each.raddr.port) for each in found if each.status == psutil.CONN_ESTABLISHED]

    def heal(self) -> None:
        """Undo whatever may still be in force."""
        for disk in self.disks.values():
            disk.free()
        for offset in self.clocks.values():
            offset.asked_s = 0.0
        for name in (*SERVICES, *SERVERS):
            for member in self.family(name):
                member.send(signal.SIGCONT)
