"""What clients were told is done, written down outside the system the moment they were told."""

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One acknowledgement: `log_key` names it in the service's log of commands, `order_id` the order it concerns."""

    what: str
    service: str
    log_key: str
    status: int
    answer: Any = None
    order_id: str = ""


class NotebookTaken(Exception):
    """Another run writes to this file now: neither run could be judged."""


class Notebook:
    """A file of acknowledgements, one JSON line each, handed to the operating system before anything follows.

    Raises NotebookTaken when another run has the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise NotebookTaken(f"another run writes {path}") from error
        self._file.truncate(0)
        self.count = 0

    def write(self, told: Told) -> None:
        """Note one acknowledgement."""
        self._file.write(msgspec.json.encode(told) + b"\n")
        self.count += 1

    def close(self) -> None:
        """Close the file; it stays."""
        self._file.close()


def read_told(path: Path) -> Iterator[Told]:
    """Read the acknowledgements back."""
    decode = msgspec.json.Decoder(Told).decode
    with path.open("rb") as file:
        for line in file:
            yield decode(line)
