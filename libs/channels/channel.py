"""What every connector offers, in our words: who speaks, what a push hints at, what a pull finds, what we tell back."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

import httpx

from libs.channels.capabilities import Capabilities
from libs.channels.leaving import cut
from libs.channels.own.inbound import AskedBack, Cancellation, Order, Refund, RefundWithdrawn

Heard = Order | AskedBack | Cancellation | Refund | RefundWithdrawn
"""What a platform's document says, one fact each, in the shape of the own channel."""


@dataclass(frozen=True, slots=True)
class Access:
    """All that a connector needs to speak for one shop. Secrets are clear here and are never printed."""

    shop_id: str
    app_key: str = ""
    app_secret: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    seller_id: str = ""  # the shop's id on the platform: seller, mall, app_poi_code, AppID
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # what only this platform has, by name
    gateway: str = ""  # base URL of the API; empty: the platform's own
    sign_in: str = ""  # base URL of OAuth; empty: the platform's own


@dataclass(frozen=True, slots=True)
class Token:
    """What signing in or refreshing gave. A token without an end has `expires_at` None."""

    access_token: str = field(repr=False)
    expires_at: datetime | None = None
    refresh_token: str = field(default="", repr=False)
    refresh_expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    seller_id: str = ""


class Cure(StrEnum):
    """What helps against a platform's refusal."""

    RETRY = "retry"  # the same call later
    REFRESH = "refresh"  # a new access token, then the same call
    SHORTEN = "ask for less"  # the same for a shorter time: this window holds more than its list can show
    GIVE_UP = "give up"  # nothing: this call is wrong for good
    ASK = "ask a person"  # somebody has to sign in again, lift a limit, or decide


class PlatformRefused(Exception):
    """The platform said no. `text` is its own wording and is kept; `after_seconds` is when to ask again, if it said.

    Written out, as logs, books and lists do, its wording lacks what may be a telephone, an account or a mail address.
    """

    def __init__(self, cure: Cure, code: str, text: str, after_seconds: float = 0.0) -> None:
        super().__init__(f"{code}: {cut(text)}")
        self.cure = cure
        self.code = code
        self.text = text
        self.after_seconds = after_seconds


class PushRefused(ValueError):
    """A push is not proven to come from the platform; the text says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class PushRequest:
    """A push exactly as it came: `url` is our own address as the platform knows it, `query` the raw query string."""

    method: str
    url: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class About(StrEnum):
    """What a hint says has changed; the detail tells the rest."""

    ORDER = "order"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Hint:
    """Something changed: ask for its detail. `subject_id` is the order's id, or the refund's for `About.REFUND`."""

    about: About
    subject_id: str
    message_id: str = ""  # the platform's own id of the message, when it has one
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer a push, in the platform's own words."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Pushed:
    """A genuine push: what it hints at, documents that it already carried whole, and its answer."""

    answer: Answer
    hints: tuple[Hint, ...] = ()
    documents: tuple["Document", ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A platform's document as it came (`raw`, JSON): an order's detail, or a refund's with `About.REFUND`."""

    about: About
    subject_id: str
    raw: bytes
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What a queue or socket of the platform delivered; it is confirmed by `receipt` once its hints are durable."""

    receipt: str
    hints: tuple[Hint, ...]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a pull: ids that changed, newest change of each; `documents` when they came with it.

    `bounds`: the list tells no times of change, and those here are what no change of the row is later than.
    """

    subjects: tuple[tuple[str, datetime], ...]
    documents: tuple[Document, ...] = ()
    bounds: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """From (inclusive) to (exclusive), by the platform's time of change."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Parcel:
    """A shipped parcel to report. `remaining` tells how many parcels of the order are still to come."""

    platform_order_id: str
    parcel_id: str
    carrier: str  # our carrier code; the connector has the platform's
    waybill: str
    lines: tuple[tuple[str, str, int], ...]  # line_id, sku, quantity
    split: bool = False  # the order leaves in several parcels
    again: bool = False  # the platform already has another waybill for this parcel
    remaining: int = 0  # parcels of the order that are still to be reported; 0: with this one all is delivered
    company: str = ""  # the platform's code of the carrier where the shop has its own for it; it comes before any table


@dataclass(frozen=True, slots=True)
class StockOrder:
    """How much of a listing the platform may sell. `change_id` is the same in every attempt."""

    listing_id: str  # item or SPU
    listing_sku: str
    quantity: int  # the new value, or the difference when `delta`
    change_id: str
    delta: bool = False


class Client(Protocol):
    """Calls to the platform for one shop. Each raises PlatformRefused; transport errors come as httpx has them."""

    def authorize_url(self, redirect_uri: str, state: str) -> str | None:
        """Return where an operator signs in; None where the platform has no such page."""
        ...

    async def exchange(self, code: str, redirect_uri: str) -> Token:
        """Trade the callback's code for tokens."""
        ...

    async def refresh(self) -> Token:
        """Return newer tokens (possibly the same access token, where the platform does that)."""
        ...

    def pages(self, about: About, window: Window) -> AsyncIterator[Page]:
        """Yield all that changed in the window, in the direction in which no page shift can hide a row."""
        ...

    async def document(self, about: About, subject_id: str) -> Document:
        """Return an order's or refund's detail."""
        ...

    async def count(self, window: Window) -> int | None:
        """Return how many orders changed in the window by a separate count of the platform; None where it has none."""
        ...

    async def day_numbers(self, day: date) -> Sequence[tuple[int, str]] | None:
        """Return the day's order numbers and ids; None where the platform numbers no days.

        A number that was given out, but whose order the platform does not show, comes without an id if it is the last.
        """
        ...

    def messages(self) -> AsyncIterator[Message]:
        """Yield what the platform's queue or socket holds, until it ends or fails; empty where it has none."""
        ...

    async def confirm(self, receipts: Sequence[str]) -> None:
        """Tell the queue or socket that these messages are safe here."""
        ...

    async def accept(self, platform_order_id: str) -> str:
        """Accept an order, due within `accept_limit_s`; "" where orders need no acceptance, and nothing is called."""
        ...

    async def upload(self, parcel: Parcel) -> str:
        """Report a shipment; returns the platform's word. A repeat of what it already has counts as done."""
        ...

    async def push_stock(self, orders: Sequence[StockOrder]) -> str:
        """Tell the platform how much it may sell."""
        ...

    async def read_stock(self, listing_id: str, listing_sku: str) -> int | None:
        """Return what the platform believes it may sell; None where it cannot be read."""
        ...


class ListsNewest(Protocol):
    """What the client of a channel that `lists_newest` can do as well."""

    def newest(self, window: Window) -> AsyncIterator[Page]:
        """Yield the orders paid in the window, which may end now. It tells no later change, so it is no evidence."""
        ...


@dataclass(frozen=True)
class Channel:
    """One connector, whole: what it can, how it hears, how it asks, and how it translates."""

    capabilities: Capabilities
    client: Callable[[Access, httpx.AsyncClient, Callable[[], datetime]], Client]
    receive: Callable[[PushRequest, Access, datetime], Pushed] | None  # None: the platform does not push over HTTP
    heard: Callable[[Document], list[Heard]]  # pure; an unpaid order says nothing yet; raises OrderRefused
