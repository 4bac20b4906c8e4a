"""Whose turn it is, where outward calls of one key are made one after another, in the order they were written in."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from libs.decide import Send

# What keeps the order of calls that would be due at the same time: the journal finds them by when they are due.
TICK = timedelta(microseconds=1)
Delayed = tuple[str, str, str, datetime]
"""A waiting call that was tried or put off: destination, key, send id, and when it is due."""


class Turns:
    """The calls of each key that were met and have no outcome yet, in the order they were written in, and when due.

    The first of a line may be made. One behind it is put off until just after the one before: thousands that wait
    for their turn would else stand, due and not to be made, before all those whose turn it is.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], dict[str, datetime]] = {}

    def load(self, delayed: Iterable[Delayed]) -> None:
        """Begin with what an earlier owner tried or put off. What else is due is found in its order."""
        self._lines = {}
        for destination, key, send_id, due in delayed:
            self._lines.setdefault((destination, key), {})[send_id] = due

    def take_place(self, send: Send, now: datetime) -> tuple[str, datetime] | None:
        """Return None if it is the turn of a call that is due, else which one it waits for and when to look again.

        That is now if the one before is being made just now: then whoever looks again is told by its end.
        """
        line = self._lines.setdefault((send.destination, send.key), {})
        first, due = "", now
        for send_id, its_due in line.items():
            if send_id == send.send_id:
                break
            first = first or send_id
            due = max(due, its_due + TICK) if its_due > now else due
        line[send.send_id] = due
        return (first, due) if first else None

    def note_failure(self, send: Send, due: datetime) -> None:
        """The call keeps its place until it is tried again."""
        self._lines.setdefault((send.destination, send.key), {})[send.send_id] = due

    def note_end(self, send: Send) -> None:
        """The call has its outcome, and it is recorded: the next one's turn."""
        line = self._lines.get((send.destination, send.key), {})
        line.pop(send.send_id, None)
        if not line:
            self._lines.pop((send.destination, send.key), None)
