"""A whole stack of its own to be timed: own folder, free ports, and the CPU of each of its processes."""

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local import stack
from deploy.local.__main__ import prepare_launch
from deploy.local.layout import SERVICES, Layout, Ports
from deploy.local.measure import measure
from deploy.local.record import read_record
from libs.testkit.client import read_env
from libs.testkit.embedded.server import port_is_free

PROGRAMS = (*SERVICES, "kafka", "postgres")
FIRST_BASE, LAST_BASE, PORTS_EACH = 15_000, 19_900, 60
MEMORY_SAMPLE_S = 0.1
Say = Callable[[str], None]


@dataclass
class Rig:
    """The stack under test."""

    layout: Layout
    ports: Ports
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls) -> "Rig":
        """Choose a folder and free ports; nothing is started yet."""
        layout = Layout(Path(tempfile.mkdtemp(prefix="ordo-bench-")))
        # Postgres runs under another account and must be able to pass through.
        layout.state.chmod(0o755)
        base = next(b for b in range(FIRST_BASE, LAST_BASE, PORTS_EACH) if all(port_is_free(b + n) for n in range(20)))
        return cls(layout, Ports(base))

    def copied(self) -> "Rig":
        """Copy the stopped stack, its data included; both use the same ports, so one of them may run at a time."""
        other = Rig(Layout(Path(tempfile.mkdtemp(prefix="ordo-bench-"))), self.ports)
        # Owners stay (Postgres' files are not ours), and holes in Kafka's index files stay holes.
        copy = ("cp", "--archive", "--sparse=always", f"{self.layout.state}/.", str(other.layout.state))
        subprocess.run(copy, check=True)
        os.sync()
        return other

    def up(self, say: Say) -> float:
        """Bring the stack up; returns the seconds until every service was ready."""
        began = time.monotonic()
        stack.up(self.layout, lambda: prepare_launch(self.layout, self.ports), say)
        self.env = {**os.environ, **read_env(self.layout.env_file)}
        return time.monotonic() - began

    def down(self, say: Say) -> None:
        """Stop it; its data stays."""
        stack.down(self.layout, say)

    def remove(self, say: Say) -> None:
        """Stop it and leave nothing."""
        self.down(say)
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def pid(self, program: str) -> int:
        """Return the process of a program; 0 when it is not running."""
        record = read_record(self.layout.record_file)
        child = record.child(program) if record else None
        return child.pid if child is not None else 0

    def cpu_ms(self) -> dict[str, float]:
        """Return the CPU time every program has used, its descendants (Postgres' sessions) included."""
        return {program: family_cpu_ms(self.pid(program)) for program in PROGRAMS}

    def memory_mib(self) -> dict[str, float]:
        """Return the memory of every program and of the supervisor, whose pages they share; each is counted once."""
        pids = {program: self.pid(program) for program in PROGRAMS}
        record = read_record(self.layout.record_file)
        supervisor = record.pid if record else 0
        costs = measure(pids.values(), [supervisor], MEMORY_SAMPLE_S)
        return {program: costs[pid].memory_mib for program, pid in (pids | {"supervisor": supervisor}).items()}


def family_cpu_ms(pid: int) -> float:
    """Return what a process and its children have used; children that ended count through their parent."""
    try:
        process = psutil.Process(pid)
        members = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    spent = 0.0
    for member in members:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
        if member.pid == pid:
            spent += times.children_user + times.children_system
    return spent * 1000


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what each program used in between."""
    return {program: after[program] - before[program] for program in before}


def commit_and_machine() -> dict[str, str]:
    """Return what a figure must be read with: commit, cores, processor, memory, and which build of Python."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    python = f"{platform.python_version()} ({', '.join(platform.python_build())}, {platform.python_compiler()})"
    return {
        "commit": commit.stdout.strip(),
        "cores": str(os.cpu_count()),
        "processor": model,
        "memory": memory,
        "python": python,
    }
