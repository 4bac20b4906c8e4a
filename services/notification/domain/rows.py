"""What notification remembers: recipients, notices, the digest to come, and who wants no messages."""

from datetime import datetime
from typing import ClassVar

import msgspec

from contracts.notices import NoticeFailed, NoticeSent
from libs.decide import Entry, Output, Row

BUYER = "buyer"
# Digests concern many orders at once, so their notices are kept (and published) under this key instead of an order's.
OPERATIONS = "operations"
SMS = "sms"
DINGTALK = "dingtalk"


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel that left before its order was known here; `sealed` is whom its label names, empty when not said."""

    task_id: str
    carrier: str
    waybill: str
    sealed: str = ""


class Recipient(Row, kw_only=True):
    """Whom an order's buyer notices go to, sealed. `waiting` holds parcels seen before the order itself."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    known: bool = False
    sealed: str = ""
    buyer_key: str = ""
    waiting: list[Parcel] = []


class Notice(Row, kw_only=True):
    """One message to one audience. `state`: sending, sent, failed, opted_out."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id", "notice_id")
    order_id: str
    notice_id: str
    audience: str
    medium: str
    template: str
    template_version: int
    state: str
    at: datetime
    detail: str = ""
    attempts: int = 0


class Lines(msgspec.Struct, kw_only=True):
    """What one section of the next digest says: how many things happened, and the first of them in words.

    `again` once a digest with this section was refused.
    """

    count: int = 0
    first: list[str] = []
    again: bool = False


class Digest(Row, kw_only=True):
    """What operations will be told next. One digest is under way at a time, so an outage ends with one message."""

    row_key: ClassVar[tuple[str, ...]] = ("channel",)
    channel: str
    number: int = 0
    in_flight: bool = False
    waking: bool = False
    last_at: datetime | None = None
    pending: dict[str, Lines] = {}


class Template(Row, kw_only=True):
    """The wording of a notice in force; `provider_code` names the approved text at the SMS provider."""

    row_key: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    version: int
    text: str
    provider_code: str = ""


class TemplateVersion(Entry, frozen=True, kw_only=True):
    """Every wording that ever was in force."""

    name: str
    version: int
    text: str
    provider_code: str
    by: str
    at: datetime


class OptOut(Row, kw_only=True):
    """A buyer who wants no messages."""

    row_key: ClassVar[tuple[str, ...]] = ("buyer_key",)
    buyer_key: str
    at: datetime
    by: str


def settled(notice: Notice, *, ok: bool, detail: str, attempts: int) -> list[Output]:
    """Record on a notice what became of it, and say so."""
    notice.state = "sent" if ok else "failed"
    notice.detail = detail
    notice.attempts = attempts
    if ok:
        return [
            NoticeSent(
                order_id=notice.order_id,
                notice_id=notice.notice_id,
                audience=notice.audience,
                medium=notice.medium,
                template=notice.template,
            )
        ]
    return [
        NoticeFailed(
            order_id=notice.order_id,
            notice_id=notice.notice_id,
            audience=notice.audience,
            medium=notice.medium,
            template=notice.template,
            reason=detail,
            attempts=attempts,
        )
    ]
