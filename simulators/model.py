"""What a platform knows, in no platform's words: shops, listings, orders, refunds, what it was told, its tokens."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from simulators.queues import MessageQueue


class Status(StrEnum):
    """Where an order stands."""

    UNPAID = "unpaid"
    PAID = "paid"
    PART_SHIPPED = "part_shipped"
    SHIPPED = "shipped"
    DONE = "done"
    CLOSED = "closed"


class RefundStatus(StrEnum):
    """Where a refund stands."""

    APPLIED = "applied"
    AGREED = "agreed"
    SUCCEEDED = "succeeded"
    CLOSED = "closed"


class ChangeKind(StrEnum):
    """What has just happened to an order."""

    CREATED = "created"
    PAID = "paid"
    ACCEPTED = "accepted"
    ADDRESS_CHANGED = "address_changed"
    MEMO_CHANGED = "memo_changed"
    PART_SHIPPED = "part_shipped"
    SHIPPED = "shipped"
    DONE = "done"
    CLOSED = "closed"
    REFUND_CREATED = "refund_created"
    REFUND_AGREED = "refund_agreed"
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_CLOSED = "refund_closed"


@dataclass
class Receiver:
    """Who gets the parcel, in clear; a platform masks or encrypts it as the dials say."""

    name: str
    phone: str
    province: str
    city: str
    district: str
    address: str
    town: str = ""
    postcode: str = ""


@dataclass(frozen=True)
class StockTold:
    """A stock update that the platform answered with success."""

    at: datetime
    kind: Literal["set", "delta"]
    quantity: int
    before: int
    after: int
    key: str = ""
    forgotten: bool = False
    repeated: bool = False


@dataclass
class Listing:
    """One sellable SKU of a shop. `stock` is what the platform would still sell."""

    listing_id: str
    sku_id: str
    outer_id: str  # the merchant's own SKU; may be empty
    title: str
    price_fen: int
    stock: int
    sold: int = 0
    sold_out: int = 0  # buyers who were turned away
    told: list[StockTold] = field(default_factory=list)


@dataclass
class Line:
    """Units of one SKU in an order; discounts are of the whole line."""

    line_id: str
    listing_id: str
    sku_id: str
    outer_id: str
    title: str
    quantity: int
    unit_price_fen: int
    merchant_discount_fen: int = 0
    platform_discount_fen: int = 0
    shipped: int = 0

    @property
    def total_fen(self) -> int:
        """Return what the line costs after its discounts."""
        return self.unit_price_fen * self.quantity - self.merchant_discount_fen - self.platform_discount_fen


@dataclass(frozen=True)
class Payment:
    """Money that came."""

    at: datetime
    amount_fen: int
    method: str = "alipay"


@dataclass
class Refund:
    """Money that a buyer wants back; without a `line_id` it is about the whole order."""

    refund_id: str
    order_id: str
    amount_fen: int
    reason: str
    created_at: datetime
    modified_at: datetime
    status: RefundStatus = RefundStatus.APPLIED
    line_id: str = ""
    after_shipping: bool = False
    cancels: bool = False  # the order closes when it succeeds
    page_shifts: int = 0


@dataclass(frozen=True)
class Upload:
    """A shipment that the merchant reported and that was answered with success."""

    at: datetime
    carrier: str
    waybill: str
    lines: tuple[tuple[str, int], ...] = ()  # line ids and quantities; empty: all
    kind: Literal["first", "repeated", "corrected", "forgotten"] = "first"


@dataclass
class PlatformOrder:
    """An order as the platform sees it."""

    order_id: str
    shop_id: str
    buyer_id: str  # the platform's anonymous token of the buyer
    buyer_nick: str
    created_at: datetime
    modified_at: datetime
    lines: list[Line]
    receiver: Receiver
    shipping_fee_fen: int = 0
    status: Status = Status.UNPAID
    payments: list[Payment] = field(default_factory=list)
    paid_at: datetime | None = None
    accepted_at: datetime | None = None
    shipped_at: datetime | None = None
    ended_at: datetime | None = None
    close_reason: str = ""
    risky: bool = False  # the platform itself still checks it: it must not be shipped
    day_number: int = 0  # counted per shop and Shanghai day, at payment
    note: str = ""  # the buyer's words
    memo: str = ""  # the seller's words
    uploads: list[Upload] = field(default_factory=list)
    uploads_refused: int = 0
    refunds: list[Refund] = field(default_factory=list)
    history: list[tuple[datetime, str]] = field(default_factory=list)
    change_no: int = 0  # grows with every change of any order of the market
    page_shifts: int = 0
    extra: dict[str, Any] = field(default_factory=dict)  # what only one platform keeps

    @property
    def goods_fen(self) -> int:
        """Return what the lines cost after their discounts."""
        return sum(line.total_fen for line in self.lines)

    @property
    def total_fen(self) -> int:
        """Return what the buyer pays."""
        return self.goods_fen + self.shipping_fee_fen

    def left_fen(self, line: Line | None = None) -> int:
        """Return what of the order's money, or of one line's, was neither given back nor asked for."""
        asked = [refund for refund in self.refunds if refund.status is not RefundStatus.CLOSED]
        left_fen = self.total_fen - sum(refund.amount_fen for refund in asked)
        if line is None:
            return left_fen
        of_line = sum(refund.amount_fen for refund in asked if refund.line_id == line.line_id)
        return min(left_fen, line.total_fen - of_line)

    def is_refunded(self, line: Line) -> bool:
        """Tell whether a line's money went back before it was shipped: nobody waits for it any more."""
        return any(
            refund.line_id == line.line_id and refund.status is RefundStatus.SUCCEEDED and not refund.after_shipping
            for refund in self.refunds
        )

    @property
    def is_paid(self) -> bool:
        """Tell whether it was ever paid."""
        return self.paid_at is not None


@dataclass(frozen=True)
class Change:
    """What a platform may want to tell the merchant about."""

    kind: ChangeKind
    order: PlatformOrder
    at: datetime
    refund: Refund | None = None


@dataclass(frozen=True)
class TokenRules:
    """How long a platform's tokens live, and what a refresh does."""

    access_life_s: int
    refresh_life_s: int
    refresh_rotates: bool = True  # the refresh token is replaced, too
    same_until_s: int = 0  # a refresh earlier than so long before the end returns the same access token
    old_lives_s: int = 0  # so long the replaced access token still works


@dataclass
class Grant:
    """The tokens of a shop. Old access tokens stay until their own end."""

    access_token: str
    refresh_token: str
    access_until: datetime
    refresh_until: datetime
    calls: int = 0
    refreshes: int = 0
    old: dict[str, datetime] = field(default_factory=dict)

    def accepts(self, token: str, now: datetime) -> bool:
        """Tell whether an access token is good."""
        if token == self.access_token:
            return now < self.access_until
        return token in self.old and now < self.old[token]

    def expire(self, now: datetime) -> None:
        """End all access tokens."""
        self.access_until = now - timedelta(seconds=1)
        self.old.clear()


@dataclass
class App:
    """An application at the platform's open gateway; several shops may use one."""

    app_key: str
    secret: str
    permitted: set[str] = field(default_factory=set)  # shop ids that subscribed to messages
    tokens_left: float = 0.0  # of the rate limit
    counted_at_s: float = 0.0
    queue: MessageQueue = field(default_factory=MessageQueue)  # where the platform has one per application


@dataclass
class Shop:
    """A merchant's shop on one platform."""

    shop_id: str  # in the control API and in the books
    platform: str
    name: str
    seller_id: str
    app: App
    grant: Grant
    push_url: str = ""
    settings: dict[str, str] = field(default_factory=dict)  # what only this platform needs (WeChat: token, aes_key)
    listings: dict[tuple[str, str], Listing] = field(default_factory=dict)  # by listing and SKU id
    orders: dict[str, PlatformOrder] = field(default_factory=dict)
    by_change: dict[str, PlatformOrder] = field(default_factory=dict)  # least recently changed first
    refunds: dict[str, Refund] = field(default_factory=dict)
    refunds_by_change: dict[str, Refund] = field(default_factory=dict)
    day_counts: dict[str, int] = field(default_factory=dict)
    codes: dict[str, datetime] = field(default_factory=dict)  # OAuth codes and their ends
    calls: dict[str, int] = field(default_factory=dict)  # per method and outcome
    extra: dict[str, Any] = field(default_factory=dict)  # what only one platform keeps

    def count(self, what: str) -> None:
        """Count a call."""
        self.calls[what] = self.calls.get(what, 0) + 1
