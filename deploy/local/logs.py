"""Shows the end of a stack's logs, and follows them until Ctrl-C."""

import time
from collections.abc import Callable
from pathlib import Path

from deploy.local.layout import Layout
from libs.testkit.embedded.server import log_tail

FOLLOW_POLL_S = 0.3
READ_LIMIT_BYTES = 256 * 1024


def log_names(layout: Layout) -> list[str]:
    return sorted(path.stem for path in layout.logs.glob("*.log"))


def show_logs(layout: Layout, names: list[str], lines_limit: int, show: Callable[[str], None]) -> None:
    """The last lines of each log, under its name when there are several."""
    for name in names:
        if len(names) > 1:
            show(f"--- {name}")
        show(log_tail(layout.log_of(name), lines_limit))


def follow_logs(layout: Layout, names: list[str], show: Callable[[str], None]) -> None:
    """Prints what is added, line by line, until interrupted; copes with logs that are emptied when they are rotated."""
    paths = {name: layout.log_of(name) for name in names}
    at = {name: _size_bytes(path) for name, path in paths.items()}
    while True:
        for name, path in paths.items():
            at[name] = _show_added(path, at[name], f"{name}: " if len(names) > 1 else "", show)
        time.sleep(FOLLOW_POLL_S)


def _show_added(path: Path, at_byte: int, prefix: str, show: Callable[[str], None]) -> int:
    size_bytes = _size_bytes(path)
    if size_bytes < at_byte:
        at_byte = 0
    if size_bytes == at_byte:
        return at_byte
    with path.open("rb") as log:
        log.seek(at_byte)
        added = log.read(READ_LIMIT_BYTES)
    whole = added[: added.rfind(b"\n") + 1] or (added if len(added) == READ_LIMIT_BYTES else b"")
    for line in whole.decode("utf-8", "replace").splitlines():
        show(prefix + line)
    return at_byte + len(whole)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
