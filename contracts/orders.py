"""ordo.orders.v1: what the platforms' buyers asked for, in our words, with nobody's name in it."""

from contracts.envelope import Event, Moment, Part


class Discount(Part, frozen=True, kw_only=True):
    """A reduction of one line's amount. `funder` is who pays for it: merchant, platform or influencer."""

    funder: str
    amount: int


class OrderLine(Part, frozen=True, kw_only=True):
    """`unit_price` is before discounts; `discounts[].amount` is for the whole line, not for a unit."""

    line_id: str
    sku: str
    quantity: int
    unit_price: int
    discounts: list[Discount] = []


class Destination(Part, frozen=True, kw_only=True):
    """Where the goods go, as codes. `resolved` false means nobody guessed: risk holds the order."""

    resolved: bool
    province_code: str | None = None
    city_code: str | None = None
    district_code: str | None = None
    region: str | None = None
    is_pickup_point: bool = False
    why_unresolved: str = ""


class OrderContent(Event, frozen=True, kw_only=True):
    """What a decision needs to know of an order. `version` counts its contents: 1 as placed, then each amendment."""

    order_id: str
    version: int
    channel: str
    shop_id: str
    platform_order_id: str
    placed_at: Moment
    paid_at: Moment | None = None
    currency: str
    buyer_key: str | None = None
    buyer_vip: bool = False
    destination: Destination
    lines: list[OrderLine]
    shipping_fee: int = 0
    total: int
    kind: str = "normal"
    available_from: Moment | None = None
    ship_by: Moment | None = None
    sealed: str = ""
    has_note: bool = False


class OrderPlaced(OrderContent, frozen=True, kw_only=True):
    """A new order. `kind`: normal, presale (with `available_from`), exchange, reissue."""


class OrderAmended(OrderContent, frozen=True, kw_only=True):
    """The whole new content of an order placed before; `changed` names the fields that differ."""

    changed: list[str] = []


class OrderCancelRequested(Event, frozen=True, kw_only=True):
    """The buyer or platform wants the order cancelled or refunded before shipping."""

    order_id: str
    request_id: str
    requested_at: Moment
    reason: str = ""


class RefundRequested(Event, frozen=True, kw_only=True):
    """The buyer wants money back: before shipping a cancellation, or of `line_ids`, which an amendment takes out."""

    order_id: str
    request_id: str
    requested_at: Moment
    amount: int
    after_shipping: bool = False
    reason: str = ""
    line_ids: list[str] = []
