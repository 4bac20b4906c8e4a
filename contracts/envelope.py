"""What every event carries beside its own fields: who said it, in which place of its sequence, and because of what."""

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

# CloudEvents 1.0, Kafka protocol binding, binary mode; source + id identify an event (CloudEvents section "id").
SPEC_VERSION = b"1.0"
HEADER_SPEC_VERSION = "ce_specversion"
HEADER_TYPE = "ce_type"
HEADER_SOURCE = "ce_source"
HEADER_ID = "ce_id"
HEADER_CAUSE = "ce_causationid"


Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone; UTC when we write it."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A value inside an event. Writers cannot set unknown fields; readers ignore those they do not know."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A past-tense fact. Amounts are minor units (分), weights grams, times UTC; a published shape only grows."""

    partition_by: ClassVar[str] = "order_id"

    @property
    def key(self) -> str:
        """The record key: the order, SKU or warehouse whose order of events must be kept."""
        return str(getattr(self, self.partition_by))


def source_name(service: str, stream: int, stream_epoch: int) -> str:
    """Return `service/stream/epoch`: the writer of one gapless sequence per topic and partition."""
    return f"{service}/{stream}/{stream_epoch}"
