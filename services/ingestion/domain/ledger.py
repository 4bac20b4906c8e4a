"""The rows of the exposure ledger: a SKU, its listings, and the one call under way for each."""

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from libs.decide import Row
from services.ingestion.domain.allocation import Policy


@dataclass(frozen=True)
class Channels:
    """What the channels' capabilities say about stock: who takes it, who wants differences, who can be asked."""

    takes: frozenset[str] = frozenset()
    delta: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Patience:
    """Times and tolerances of the ledger. `clock_skew_ms` is how far a platform's clock may be off from ours."""

    clock_skew_ms: int = 5_000
    figures_late_ms: int = 10_000
    settle_check_ms: int = 5_000
    retry_first_ms: int = 1_000
    retry_last_ms: int = 60_000
    reread_ms: int = 6 * 3_600_000
    tolerance_percent: int = 10


class Flight(msgspec.Struct, kw_only=True):
    """The one call under way for a listing. `ended_ms` is set once it is answered but waits to be trusted."""

    change_id: str
    kind: str
    value: int
    sent_ms: int
    started: int = 0
    ended_ms: int | None = None
    certain: bool = True
    between: int = 0  # units of sales that may have come before or after what the platform did
    after: int = 0  # units of sales that surely came after its answer


class Listing(msgspec.Struct, kw_only=True):
    """A SKU in one shop: what it is there, what it may get, and where the platform's number stands at worst."""

    shop_id: str
    channel: str
    listing_id: str
    listing_sku: str
    policy: Policy
    active: bool = True
    known: bool = False  # the platform's own number is unknown until it was read or set for the first time
    offered: int = 0  # at most, apart from what is under way, less sales heard since
    sold: int = 0  # units of orders heard, ever
    unshown: int = 0  # of these, units that no figures came after
    unshown_ms: int = 0  # when the newest of them was heard
    recent: list[tuple[int, int]] = []  # sales that figures came after but may not show yet: when heard, units
    restored: int = 0  # units of cancelled orders that the platform may offer again
    restored_ms: int = 0
    number: int = 0
    flight: Flight | None = None
    told: int | None = None  # the quantity last asked for, as the platform should show it
    acknowledged: int | None = None
    wants_read: bool = False
    read_ms: int = 0  # when it was last asked for a reading because time had passed
    unsure: bool = False  # a difference may have been applied or not
    drift: int = 0  # what the last reading found beyond the ledger
    drifts: int = 0
    failures: int = 0
    retry_ms: int = 0
    word: str = ""  # the platform's, when it last refused


class Exposure(Row, kw_only=True):
    """One SKU on all its channels, with the newest figures heard. `budget` bounds what may be oversold at worst."""

    row_key: ClassVar[tuple[str, ...]] = ("sku",)
    sku: str
    budget: int = 0
    atp: int | None = None
    sellable: int = 0
    figures_no: int = 0
    figures_ms: int = 0
    wake_ms: int = 0
    listings: list[Listing] = []


class SoldOrder(Row, kw_only=True):
    """What an order took of listed SKUs, kept until a cancellation may give it back."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    shop_id: str
    units: dict[str, int]
