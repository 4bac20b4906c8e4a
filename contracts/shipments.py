"""ordo.shipments.v1: what hands did to the goods, parcel by parcel."""

from contracts.envelope import Event
from contracts.stock import StockLine


class PickTaskCreated(Event, frozen=True, kw_only=True):
    """A warehouse has work: one task a parcel; `task_id` equals `parcel_id`."""

    order_id: str
    task_id: str
    warehouse: str
    lines: list[StockLine]
    requirements: list[str] = []
    expected_weight_grams: int | None = None


class PickTaskClaimed(Event, frozen=True, kw_only=True):
    """One picker took the task; nobody else can until the claim ends."""

    order_id: str
    task_id: str
    warehouse: str
    picker: str


class PickTaskUnclaimed(Event, frozen=True, kw_only=True):
    """The claim ended without the goods being picked. `reason`: expired or handed_back."""

    order_id: str
    task_id: str
    warehouse: str
    picker: str
    reason: str


class ItemsPicked(Event, frozen=True, kw_only=True):
    """Every unit of the task was scanned."""

    order_id: str
    task_id: str
    warehouse: str
    picker: str


class ParcelPacked(Event, frozen=True, kw_only=True):
    """The pack check found exactly what belongs in the parcel."""

    order_id: str
    task_id: str
    warehouse: str
    picker: str


class ParcelWeighed(Event, frozen=True, kw_only=True):
    """The scale's reading against the catalogue's. `accepted` false: the parcel waits for a recheck."""

    order_id: str
    task_id: str
    warehouse: str
    weight_grams: int
    expected_weight_grams: int | None = None
    accepted: bool = True
    rechecked_by: str | None = None


class ParcelShipped(Event, frozen=True, kw_only=True):
    """The parcel left with a carrier. `last`: it is the order's last open one. `sealed`: the recipient on its label."""

    order_id: str
    task_id: str
    warehouse: str
    lines: list[StockLine]
    carrier: str
    waybill: str
    services: list[str] = []
    last: bool = True
    sealed: str = ""


class FulfillmentCancelled(Event, frozen=True, kw_only=True):
    """The cancellation won for `cancelled_parcels`; `shipped_parcels` had left already."""

    order_id: str
    request_id: str
    cancelled_parcels: list[str]
    shipped_parcels: list[str] = []
    reason: str = ""


class CancelTooLate(Event, frozen=True, kw_only=True):
    """Every parcel had left when the cancellation came: it becomes a return."""

    order_id: str
    request_id: str
    shipped_parcels: list[str]


class AmendTooLate(Event, frozen=True, kw_only=True):
    """The change came after the warehouse was given the goods; `changed` could not be honoured."""

    order_id: str
    version: int
    changed: list[str]
