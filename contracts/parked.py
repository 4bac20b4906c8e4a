"""ordo.parked-<service>.v1: a published copy of what could not be handled, with where it came from and why."""

from typing import ClassVar

from contracts.envelope import Event


class MessageParked(Event, frozen=True, kw_only=True):
    """The message itself stays in the service's `parked` table until an operator redrives it."""

    partition_by: ClassVar[str] = "message_key"
    message_key: str
    service: str = ""
    origin_topic: str
    origin_partition: int
    origin_offset: int
    origin_source: str
    origin_seq: int
    message_type: str
    error: str
    behind: bool = False
