"""ordo.stock.v1: what was promised to an order, from where, and what became of it."""

from contracts.envelope import Event, Part


class StockLine(Part, frozen=True, kw_only=True):
    """So many units of a SKU for one order line."""

    line_id: str
    sku: str
    quantity: int


class SkuQuantity(Part, frozen=True, kw_only=True):
    """So many units of a SKU."""

    sku: str
    quantity: int


class WarehouseShippable(Part, frozen=True, kw_only=True):
    """What one warehouse could ship of an order now, no SKU beyond what the order asks."""

    warehouse: str
    items: list[SkuQuantity]


class ParcelPlan(Part, frozen=True, kw_only=True):
    """The lines that leave one warehouse together. `parcel_id` is `{order_id}/{n}` and never used twice."""

    parcel_id: str
    warehouse: str
    lines: list[StockLine]


class Shortage(Part, frozen=True, kw_only=True):
    """A SKU the pool cannot promise: `wanted` by the order, `sellable` now. `reason`: short or unknown_sku."""

    sku: str
    wanted: int
    sellable: int
    reason: str = "short"


class StockReserved(Event, frozen=True, kw_only=True):
    """All lines are reserved in the pool; `shippable` tells routing what each warehouse could ship."""

    order_id: str
    version: int
    lines: list[StockLine]
    shippable: list[WarehouseShippable]


class StockShort(Event, frozen=True, kw_only=True):
    """Not all lines can be promised, so none is; the order queues for stock and is tried again by itself."""

    order_id: str
    version: int
    missing: list[Shortage]


class ShippableChanged(Event, frozen=True, kw_only=True):
    """Fresh numbers for a reserved order that routing could not place: plan it again."""

    order_id: str
    version: int
    shippable: list[WarehouseShippable]
    cause: str


class StockAssigned(Event, frozen=True, kw_only=True):
    """The plan is taken: these warehouses owe these lines. From here fulfillment arbitrates cancellations."""

    order_id: str
    version: int
    plan: int
    parcels: list[ParcelPlan]
    requirements: list[str] = []


class AssignmentRefused(Event, frozen=True, kw_only=True):
    """The plan met stock that was gone; `shippable` holds fresh numbers for the next one."""

    order_id: str
    version: int
    plan: int
    shippable: list[WarehouseShippable]
    reason: str


class StockReleased(Event, frozen=True, kw_only=True):
    """What was reserved is free again. `reason`: cancelled, refunded, rejected, amended, fulfillment_cancelled."""

    order_id: str
    version: int
    reason: str
    lines: list[StockLine]
    parcel_ids: list[str] = []
    final: bool = True


class StockShipped(Event, frozen=True, kw_only=True):
    """A parcel left: its units are gone from on hand and from reserved."""

    order_id: str
    parcel_id: str
    warehouse: str
    lines: list[StockLine]
