"""What is kept of a platform's orders and refunds, and the commands in which news of them arrives."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from libs.decide import Command, Entry, Row
from services.ingestion.domain.orders import CancelOrder, PlaceOrder
from services.ingestion.domain.refunds import RequestRefund
from services.ingestion.domain.shops import ShopCommand

ORDER, REFUND = "order", "refund"
FETCH = "fetch:"
Said = PlaceOrder | CancelOrder | RequestRefund


class Subject(Row, kw_only=True):
    """An order or refund of a platform: what is known of it, and whether it is being asked for.

    `modified_at` is the newest document's own time of change, `known_at` the newest change that is surely taken in.
    `listed_at` is the newest time that a list gave, `change_at` the newest of those that are times of change.
    `again` means that something changed after the call under way was asked for; `open_step` is the pull that waits.
    """

    row_key: ClassVar[tuple[str, ...]] = ("shop_id", "about", "subject_id")
    shop_id: str
    about: str
    subject_id: str
    channel: str
    modified_at: datetime | None = None
    read_at: datetime | None = None
    listed_at: datetime | None = None
    change_at: datetime | None = None
    known_at: datetime | None = None
    pending: bool = False
    pending_since: datetime | None = None
    again: bool = False
    fetch_no: int = 0
    open_step: int | None = None
    waits: int = 0
    parked: bool = False
    message_ids: list[str] = []


class ParkedDocument(Row, kw_only=True):
    """A document that could not be taken: which field is at fault and why, and the document itself, sealed."""

    row_key: ClassVar[tuple[str, ...]] = ("shop_id", "about", "subject_id")
    shop_id: str
    about: str
    subject_id: str
    channel: str
    field: str
    reason: str
    raw_sealed: str = ""
    attempts: int = 1
    parked_at: datetime


class Push(Entry, frozen=True, kw_only=True):
    """A push or queue message as it came, sealed, with how many hints it held."""

    push_id: str
    shop_id: str
    source: str
    hints: int
    received_at: datetime
    raw_sealed: str


class HintHeard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something changed. `message_id` is the platform's own; one that was heard before says nothing new."""

    about: str
    subject_id: str
    message_id: str = ""


class DocumentHeard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A document in our words, or why it could not be said in them. The words are sealed where they name persons.

    The document itself is here alone, not in each thing that is `said` in it.
    """

    about: str
    subject_id: str
    modified_at: datetime | None = None
    said: list[Said] = []
    refused_field: str = ""
    refused_reason: str = ""
    raw_sealed: str = ""

    @property
    def sameness(self) -> list[object]:
        """What it says, however it was sealed."""
        words = [each.sameness for each in self.said]
        return [self.about, self.subject_id, self.modified_at, words, self.refused_field, self.refused_reason]


class TakeHints(Command, frozen=True, kw_only=True):
    """A push or queue message: its hints, and the documents that it carried whole."""

    push_id: str
    shop_id: str
    channel: str
    source: str
    raw_sealed: str
    hints: list[HintHeard] = []
    documents: list[DocumentHeard] = []
    read_at: datetime

    @property
    def key(self) -> str:
        """The push itself: its orders have no key in common."""
        return f"push:{self.shop_id}:{self.push_id}"

    @property
    def sameness(self) -> bytes:
        """What was pushed, however it was sealed."""
        return msgspec.json.encode([self.shop_id, self.hints, [each.sameness for each in self.documents]])


class TakeDocument(Command, frozen=True, kw_only=True):
    """What the platform answered to the call `fetch_no`, asked at `read_at`."""

    shop_id: str
    channel: str
    fetch_no: int
    document: DocumentHeard
    read_at: datetime

    @property
    def key(self) -> str:
        """The shop's document."""
        return f"document:{self.shop_id}:{self.document.about}:{self.document.subject_id}"

    @property
    def sameness(self) -> bytes:
        """What it says, however it was sealed."""
        return msgspec.json.encode([self.shop_id, self.fetch_no, self.document.sameness])


class Listed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of a pull: what changed, and when if it is said; `bound`: that is only a time which is surely later."""

    subject_id: str
    modified_at: datetime | None = None
    bound: bool = False


class HearPage(ShopCommand, frozen=True, kw_only=True):
    """A page of a pull or of a day's numbers; `step` is the evidence it is going to be part of."""

    channel: str
    about: str
    step: int | None
    listed: list[Listed]
    documents: list[DocumentHeard] = []
    read_at: datetime

    @property
    def sameness(self) -> bytes:
        """What was listed, however its documents were sealed."""
        words = [each.sameness for each in self.documents]
        return msgspec.json.encode([self.shop_id, self.about, self.step, self.listed, words])


class RetryParked(Command, frozen=True, kw_only=True):
    """An operator wants a parked document to be asked for again."""

    shop_id: str
    about: str
    subject_id: str

    @property
    def key(self) -> str:
        """The shop's document."""
        return f"document:{self.shop_id}:{self.about}:{self.subject_id}"


def order_numbers(said: Sequence[Said]) -> list[str]:
    """Return the platform's numbers of the orders that refunds are about."""
    return sorted({each.order_id.split(".", 2)[2] for each in said if isinstance(each, RequestRefund)})
