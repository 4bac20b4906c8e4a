"""The port to the log: fetch records, publish records, know where the ends are; Kafka and a memory double fill it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

Place = tuple[str, int]
"""A topic's name and a partition number."""
Headers = tuple[tuple[str, bytes], ...]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as read from the log. `timestamp_ms` is the event's time."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One record to publish; `seq` is its number in this writer's gapless sequence for the topic and partition."""

    topic: str
    partition: int
    seq: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: Headers


class PublishFailed(Exception):
    """Not every record was acknowledged: publish all of them again, in order, after `reset_publishing`."""


class FetchFailed(Exception):
    """The log did not answer: start reading again from the durable offsets."""


class PositionLost(Exception):
    """The log no longer holds what comes next (lost tail, expired records): a person decides, nothing is skipped."""


class Log(Protocol):
    """What the worker needs of a log. One fetch and one publish are under way at a time."""

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        ...

    async def beginnings(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return the first offset still held of each place."""
        ...

    async def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return the offset after the last record of each place."""
        ...

    async def read_from(self, positions: Mapping[Place, int]) -> None:
        """Read these places from these offsets on; raises PositionLost if the log ends before one of them."""
        ...

    async def fetch(self, max_records: int, timeout_ms: int) -> list[Record]:
        """Return up to `max_records` new records, waiting at most `timeout_ms` for the first."""
        ...

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append `records`, in order within each partition, and return once all are acknowledged."""
        ...

    async def reset_publishing(self) -> None:
        """Forget everything in flight, so that the next publish starts afresh."""
        ...

    async def close(self) -> None:
        """Leave."""
        ...
