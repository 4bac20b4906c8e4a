"""Who goes first where the processor is short: a program gives way as its niceness says, and with it its sessions."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import psutil

_CLIENT_PORT = re.compile(rb"\((\d+)\)")


def give_way(pid: int, niceness: int) -> bool:
    """Let others go before a process; returns False when the system wants to be asked again later.

    Linux may share the processor out by session first: each program leads one, and each session of Postgres as well,
    and their niceness is what counts then. Whoever is not root may set only ten of those a second.
    """
    try:
        if os.getpriority(os.PRIO_PROCESS, pid) < niceness:
            os.setpriority(os.PRIO_PROCESS, pid, niceness)
        shared = Path(f"/proc/{pid}/autogroup")  # a system without such sharing has no such file
        if not shared.read_text("ascii").endswith(f" nice {niceness}\n"):
            shared.write_text(str(niceness), "ascii")
    except BlockingIOError:
        return False
    except OSError:
        pass  # it has ended, or is not ours: then it goes as it likes
    return True


class Sessions:
    """The sessions that programs have in Postgres: half of what a decision costs is worked off there.

    Postgres names the client's port in a session's title. Who has which port is looked up when sessions are new.
    """

    def __init__(self) -> None:
        self._settled: set[int] = set()

    def give_way(self, postgres: int, port: int, niceness: Mapping[int, int]) -> bool:
        """Let new sessions give way as their programs (by process id) do; False when some are to be set later."""
        children = _children(postgres)
        self._settled &= children
        new = {pid: client for pid in children - self._settled if (client := _client_port(pid))}
        if not new:
            return True
        by_port = {mine: niceness[pid] for pid in niceness for mine in _ports_to(port, pid)}
        for pid, client in new.items():
            if not by_port.get(client) or give_way(pid, by_port[client]):
                self._settled.add(pid)
        return self._settled >= new.keys()


def _children(pid: int) -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()}
    except OSError:
        return set()


def _client_port(session: int) -> int:
    """Return the port a session's client has; 0 for a process that serves none (yet)."""
    try:
        found = _CLIENT_PORT.search(Path(f"/proc/{session}/cmdline").read_bytes())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _ports_to(port: int, pid: int) -> list[int]:
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, OSError, RuntimeError):  # it has ended, or what it is read from changed meanwhile
        return []
    return [each.laddr.port for each in found if each.raddr and each.raddr.port == port]
