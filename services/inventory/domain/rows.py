"""The rows inventory keeps: one per SKU on the hot path, one per order, and an append-only ledger of every change."""

from datetime import datetime
from typing import ClassVar

import msgspec

from contracts.stock import SkuQuantity, StockLine, WarehouseShippable
from libs.decide import Entry, Row

# States of a reservation.
RESERVED = "reserved"
SHORT = "short"
ASSIGNED = "assigned"
RELEASED = "released"
CLOSED = "closed"

# States of a parcel.
OPEN = "open"
SHIPPED = "shipped"
CANCELLED = "cancelled"

# States of a transfer and of an announced inbound shipment.
IN_TRANSIT = "in_transit"
RECEIVED = "received"

# What a ledger entry changes.
ON_HAND = "on_hand"
PROMISED = "reserved"
OWED = "assigned"
INBOUND = "inbound"

# The queue of a SKU's pool; a warehouse's queue carries the warehouse's code.
POOL_QUEUE = ""
# The queue of orders that goods arriving at any warehouse may cure.
ANYWHERE = "*"


class Level(msgspec.Struct, kw_only=True):
    """One warehouse's share of a SKU: 0 <= assigned <= on_hand + deficit."""

    on_hand: int = 0
    assigned: int = 0
    deficit: int = 0


class Queue(msgspec.Struct, kw_only=True):
    """A line of waiting orders: tickets `first` to `next - 1`, `length` of them taken; `cause` last moved it.

    `trying` is the ticket from which it is tried next since goods came, 0 once everybody before `until` was, who stood
    there when they came. `least` is the smallest number of units that somebody in the line may want, 0 if not known.
    """

    first: int = 1
    next: int = 1
    length: int = 0
    cause: str = ""
    trying: int = 0
    until: int = 0
    least: int = 0


class Pool(Row, kw_only=True):
    """Everything a promise about one SKU needs, in one row. `defined` false: wanted by an order, unknown to us.

    `inbound_points` is the sum of units x yield percent of all announced shipments, so that ATP needs no second row.
    `in_transit` left one warehouse for another and is in neither. `deficit` is owed but absent since a correction.
    """

    row_key: ClassVar[tuple[str, ...]] = ("sku",)
    sku: str
    defined: bool = False
    on_hand: int = 0
    reserved: int = 0
    deficit: int = 0
    inbound: int = 0
    inbound_points: int = 0
    in_transit: int = 0
    sellable_inbound_percent: int = 0
    allowance: int = 0
    safety_percent: int | None = None
    crossed: bool = False
    sales_since_day: int = 0
    sales_day: int = 0
    sales: list[int] = []
    warehouses: dict[str, Level] = {}
    waiting: dict[str, Queue] = {}
    published: str = ""


class Telling(Row, kw_only=True):
    """When levels were told last, and the SKUs whose levels changed since: they are told together when it is time."""

    row_key: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    told_at: datetime | None = None
    skus: list[str] = []


class Sku(Row, kw_only=True):
    """The catalogue's facts of a SKU, kept off the hot path."""

    row_key: ClassVar[tuple[str, ...]] = ("sku",)
    sku: str
    title: str = ""
    barcode: str = ""
    cost: int | None = None
    weight_grams: int | None = None


class Warehouse(Row, kw_only=True):
    """A warehouse that may hold stock."""

    row_key: ClassVar[tuple[str, ...]] = ("warehouse",)
    warehouse: str
    name: str = ""
    region: str = ""
    province_code: str = ""


class Parcel(msgspec.Struct, kw_only=True):
    """A parcel of a taken plan; its state moves once, from open to shipped or cancelled."""

    parcel_id: str
    warehouse: str
    lines: list[StockLine]
    state: str = OPEN


class Portion(msgspec.Struct, kw_only=True):
    """What must be free, at a warehouse or in all of them together, before a blocked order is worth planning again."""

    sku: str
    warehouse: str
    quantity: int


class Wait(msgspec.Struct, kw_only=True):
    """Where an order waits: its ticket at one SKU's pool or at one warehouse; `portions` when it is blocked."""

    sku: str
    warehouse: str
    ticket: int
    portions: list[Portion] = []


class Reservation(Row, kw_only=True):
    """What one order was promised and what became of it. `shippable` is what routing was last told."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    version: int
    state: str = RESERVED
    plan: int = 0
    lines: list[StockLine] = []
    shippable: list[WarehouseShippable] = []
    parcels: list[Parcel] = []
    requirements: list[str] = []
    wait: Wait | None = None


class Waiting(Row, kw_only=True):
    """One place in a queue. `skus` names everything the order wants, so that a retry can load it in one step."""

    row_key: ClassVar[tuple[str, ...]] = ("sku", "warehouse", "ticket")
    sku: str
    warehouse: str
    ticket: int
    order_id: str
    skus: list[str]


class Inbound(Row, kw_only=True):
    """A shipment announced for a warehouse; `quantity - received` is still expected while it is open."""

    row_key: ClassVar[tuple[str, ...]] = ("inbound_id",)
    inbound_id: str
    sku: str
    warehouse: str
    quantity: int
    yield_percent: int
    eta: datetime
    received: int = 0
    state: str = OPEN


class Transfer(Row, kw_only=True):
    """Goods on their way between two warehouses; received once, in full or short."""

    row_key: ClassVar[tuple[str, ...]] = ("transfer_id",)
    transfer_id: str
    from_warehouse: str
    to_warehouse: str
    items: list[SkuQuantity]
    received: list[SkuQuantity] = []
    state: str = IN_TRANSIT
    eta: datetime | None = None
    sent_at: datetime
    received_at: datetime | None = None


class LedgerEntry(Entry, frozen=True, kw_only=True):
    """One change of one figure: the rows above are the fold of these. `cause` + sku + warehouse + kind is unique."""

    cause: str
    sku: str
    warehouse: str
    kind: str
    delta: int
    at: datetime
