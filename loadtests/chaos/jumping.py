"""`python -m loadtests.chaos.jumping FILE MODULE`: runs a service under a wall clock that can be made to jump."""

import mmap
import runpy
import struct
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from libs.runtime import clock

# Seconds by which the clock is to be wrong, and by which it was wrong when it was last read.
ASKED_AT, SEEN_AT, SIZE_BYTES = 0, 8, 16
_SECONDS = struct.Struct("<d")


class Offset:
    """The file through which a running service's clock is moved, shared with it in memory."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(SIZE_BYTES))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), SIZE_BYTES)

    @property
    def asked_s(self) -> float:
        """By how much the clock is to be wrong."""
        return float(_SECONDS.unpack_from(self._shared, ASKED_AT)[0])

    @asked_s.setter
    def asked_s(self, seconds: float) -> None:
        _SECONDS.pack_into(self._shared, ASKED_AT, seconds)

    @property
    def seen_s(self) -> float:
        """By how much it was wrong when the service last read it."""
        return float(_SECONDS.unpack_from(self._shared, SEEN_AT)[0])

    def note_seen(self, seconds: float) -> None:
        """Say what the service has read."""
        _SECONDS.pack_into(self._shared, SEEN_AT, seconds)


def jumping(offset: Offset, right: Callable[[], datetime]) -> Callable[[], datetime]:
    """Return a clock that is wrong by the offset."""

    def now() -> datetime:
        seconds = offset.asked_s
        offset.note_seen(seconds)
        return right() + timedelta(seconds=seconds)

    return now


def main(arguments: list[str]) -> None:
    """Put the clock in place of the real one before the service's modules ask for it, then be the service."""
    path, module, *rest = arguments
    clock.utc_now = jumping(Offset(Path(path)), clock.utc_now)
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
