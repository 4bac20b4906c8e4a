"""ordo.stock-levels.v1: how much of a SKU there is, for whoever shows or sells it."""

from typing import ClassVar

from contracts.envelope import Event, Moment, Part


class WarehouseLevel(Part, frozen=True, kw_only=True):
    """One warehouse's share: `assigned` units are owed to parcels already planned there."""

    warehouse: str
    on_hand: int
    assigned: int


class StockLevelChanged(Event, frozen=True, kw_only=True):
    """The newest numbers of a SKU; `atp` = on_hand - reserved + inbound x yield, `sellable` = may be promised now."""

    partition_by: ClassVar[str] = "sku"
    sku: str
    on_hand: int
    reserved: int
    inbound: int
    atp: int
    sellable: int
    warehouses: list[WarehouseLevel] = []


class SafetyLineCrossed(Event, frozen=True, kw_only=True):
    """ATP fell under the safety line; said once per crossing, with the purchase that would restore it."""

    partition_by: ClassVar[str] = "sku"
    sku: str
    atp: int
    safety_stock: int
    daily_sales_milli: int
    suggested_purchase: int


class InboundExpected(Event, frozen=True, kw_only=True):
    """A shipment is announced for a warehouse; `yield_percent` of it is counted into ATP."""

    partition_by: ClassVar[str] = "sku"
    sku: str
    warehouse: str
    inbound_id: str
    quantity: int
    yield_percent: int
    eta: Moment
