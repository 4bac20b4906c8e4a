"""What the lossy run stands on: Kafka, Postgres and ingestion under a clock that can be moved, and the doubles."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.local import stack
from deploy.local.__main__ import prepare_launch
from deploy.local.layout import ROOT, Layout, Ports
from deploy.local.plan import Plan
from deploy.local.record import read_record
from libs.testkit.client import read_env
from libs.testkit.embedded.processes import is_same_process, signal_if_same
from libs.testkit.embedded.server import port_is_free
from loadtests.chaos.jumping import Offset

SERVICE = "ingestion"
PROGRAMS = ("postgres", "kafka", "migrate", SERVICE)
FIRST_BASE, LAST_BASE, PORTS_EACH = 20_000, 24_900, 60
DOUBLES_START_LIMIT_S = 60.0
DOUBLES_STOP_LIMIT_S = 10.0
Say = Callable[[str], None]


class DoublesDidNotStart(Exception):
    """The doubles' program ended, or said nothing, before it listened."""


@dataclass
class Rig:
    """The stack under test, the doubles' process, and the handles by which both are moved."""

    layout: Layout
    ports: Ports
    clock: Offset
    seed: int
    env: dict[str, str] = field(default_factory=dict)
    doubles_url: str = ""
    _doubles: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def make(cls, seed: int) -> "Rig":
        """Choose a folder and free ports; nothing is started yet."""
        layout = Layout(Path(tempfile.mkdtemp(prefix="ordo-lossy-")))
        # Postgres runs under another account and must be able to pass through.
        layout.state.chmod(0o755)
        base = next(b for b in range(FIRST_BASE, LAST_BASE, PORTS_EACH) if all(port_is_free(b + n) for n in range(20)))
        return cls(layout, Ports(base), Offset(layout.state / f"{SERVICE}.clock"), seed)

    def start(self, say: Say) -> None:
        """Bring both up; returns when ingestion is ready and the doubles listen."""
        stack.up(self.layout, self._launch, say)
        self.env = {**os.environ, **read_env(self.layout.env_file)}
        self._start_doubles()
        say(f"the doubles play on {self.doubles_url}")

    @property
    def url(self) -> str:
        """Where ingestion answers."""
        return self.ports.url_of(SERVICE)

    def kill(self) -> bool:
        """Kill ingestion without a warning; the supervisor starts it again. False: it was not running."""
        record = read_record(self.layout.record_file)
        child = record.child(SERVICE) if record else None
        if child is None or not child.pid or not is_same_process(child.pid, child.mark):
            return False
        return signal_if_same(child.pid, child.mark, signal.SIGKILL)

    def remove(self, keep_logs: Path, say: Say) -> None:
        """Stop everything and leave nothing but the logs."""
        if self._doubles is not None:
            self._doubles.terminate()
            try:
                self._doubles.wait(DOUBLES_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._doubles.kill()
                self._doubles.wait(DOUBLES_STOP_LIMIT_S)
            if self._doubles.stdout is not None:
                self._doubles.stdout.close()
        stack.down(self.layout, say)
        shutil.rmtree(keep_logs, ignore_errors=True)
        shutil.copytree(self.layout.logs, keep_logs)
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def _launch(self) -> stack.Launch:
        launch = prepare_launch(self.layout, self.ports)
        clock = str(self.layout.state / f"{SERVICE}.clock")
        under_the_clock = (sys.executable, "-m", "loadtests.chaos.jumping", clock)
        children = tuple(
            replace(child, argv=(*under_the_clock, child.argv[-1]), forks=False) if child.name == SERVICE else child
            for child in launch.plan.children
            if child.name in PROGRAMS
        )
        return replace(launch, plan=Plan(children, launch.plan.folder))

    def _start_doubles(self) -> None:
        with self.layout.log_of("simulators").open("ab") as log:
            process = subprocess.Popen(
                (sys.executable, "-m", "simulators", "--port", "0", "--seed", str(self.seed)),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._doubles = process
        assert process.stdout is not None
        until_s = time.monotonic() + DOUBLES_START_LIMIT_S
        said = b""
        while b"\n" not in said:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, until_s - time.monotonic()))
            part = os.read(process.stdout.fileno(), 4096) if ready else b""
            if not part:
                raise DoublesDidNotStart(said.decode(errors="replace") or "no word from the doubles")
            said += part
        self.doubles_url = "http://" + said.decode().split("http://", 1)[1].split()[0]
