"""Tells whether a process id still means the process we once recorded, so that no stranger is ever signalled."""

import os
import subprocess
import sys
from pathlib import Path

PS_LIMIT_S = 5.0


def start_mark(pid: int) -> str | None:
    """What tells this process from any other that had or will have its id; None when it is gone or a zombie."""
    if sys.platform != "linux":
        return _from_ps(pid, "lstart=") if not (_from_ps(pid, "stat=") or "Z").startswith("Z") else None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything; what follows the last one is regular.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else f"{boot}:{fields[19]}"


def is_same_process(pid: int, mark: str) -> bool:
    """True when the recorded process is still alive."""
    return start_mark(pid) == mark


def command_line(pid: int) -> str:
    """The arguments a process runs with, joined by spaces; empty when it is gone."""
    if start_mark(pid) is None:
        return ""
    if sys.platform != "linux":
        return _from_ps(pid, "args=") or ""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def signal_if_same(pid: int, mark: str, signal_number: int) -> bool:
    """Signals the recorded process, and only it; False when it is gone already."""
    if not is_same_process(pid, mark):
        return False
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return False
    return True


def _from_ps(pid: int, column: str) -> str | None:
    shown = subprocess.run(
        ["/bin/ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, timeout=PS_LIMIT_S, check=False
    )
    return shown.stdout.strip() or None
