"""Who goes first where the processor is short: a program gives way as its niceness says, and with it its sessions."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import psutil

_CLIENT_PORT = re.compile(rb"\((\d+)\)")
_VACUUM = b"postgres: autovacuum worker"
# After a rush it takes a fourth of a core for a minute. Nobody waits for it, and it catches up when all is quiet.
VACUUM_NICENESS = 12


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
    Its own vacuum gives way as well.
    """

    def __init__(self) -> None:
        self._settled: set[int] = set()

    def give_way(self, postgres: int, port: int, niceness: Mapping[int, int]) -> bool:
        """Let new sessions give way as their programs (by process id) do; False when some are to be set later."""
        children = _children(postgres)
        self._settled &= children
        titles = {pid: _title(pid) for pid in children - self._settled}
        wanted = {pid: VACUUM_NICENESS for pid, title in titles.items() if title.startswith(_VACUUM)}
        clients = {pid: int(found[1]) for pid, title in titles.items() if (found := _CLIENT_PORT.search(title))}
        if clients:
            by_port = {mine: niceness[pid] for pid in niceness for mine in _ports_to(port, pid)}
            wanted |= {pid: by_port.get(client, 0) for pid, client in clients.items()}
        self._settled |= {pid for pid, nice in wanted.items() if not nice or give_way(pid, nice)}
        return self._settled >= wanted.keys()


def _children(pid: int) -> set[int]:
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()}
    except OSError:
        return set()


def _title(pid: int) -> bytes:
    """Return what a process of Postgres says it is; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _ports_to(port: int, pid: int) -> list[int]:
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, OSError, RuntimeError):  # it has ended, or what it is read from changed meanwhile
        return []
    return [each.laddr.port for each in found if each.raddr and each.raddr.port == port]
