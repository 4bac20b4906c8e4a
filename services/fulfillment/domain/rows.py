"""What fulfillment remembers: one file per order, one task per parcel, what SKUs weigh, which waybills are taken."""

from datetime import datetime
from typing import ClassVar

from contracts.envelope import Part
from contracts.stock import StockLine
from libs.decide import Row

# An order, as far as the warehouse is concerned.
WAITING = "waiting"
ASSIGNED = "assigned"
ORDER_CANCELLED = "cancelled"
CLOSED = "closed"

# A pick task, from the shelf to the carrier.
OPEN = "open"
CLAIMED = "claimed"
PICKED = "picked"
PACKED = "packed"
WEIGHED = "weighed"
RECHECK = "recheck"
SHIPPED = "shipped"
CANCELLED = "cancelled"
TASK_STATES = (OPEN, CLAIMED, PICKED, PACKED, WEIGHED, RECHECK, SHIPPED, CANCELLED)

# The label is printed when the parcel goes on the scale: from then on its recipient is shown, and its address is fixed.
# Not a step earlier, or an address that is taken meanwhile would not be the one that is printed.
LABEL_STATES = (RECHECK, WEIGHED, SHIPPED)


class TaskRef(Part, frozen=True, kw_only=True):
    """A task as its order knows it: open until it is shipped or cancelled."""

    task_id: str
    state: str = OPEN


class OrderFile(Row, kw_only=True):
    """One order. `version` is that of the newest content heard, `assigned_version` that of the goods given (0: none).

    `cleared_version` is the newest amendment that risk has cleared, `cleared_requirements` what it requires; what the
    goods were given for was cleared before, and they brought its requirements along.
    `request_id` is a cancellation that came before the goods were assigned. `amended_goods` are the lines of an
    amendment that came before them too. `too_late` are the requests that were answered with CancelTooLate.
    """

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    state: str = WAITING
    version: int = 0
    assigned_version: int = 0
    cleared_version: int = 0
    cleared_requirements: list[str] = []
    sealed: str = ""
    tasks: list[TaskRef] = []
    request_id: str | None = None
    request_reason: str = ""
    amended_version: int = 0
    amended_goods: list[StockLine] = []
    too_late: list[str] = []


class PickLine(Part, frozen=True, kw_only=True):
    """So many units of a SKU to fetch, and how many were scanned."""

    line_id: str
    sku: str
    quantity: int
    scanned: int = 0


class PickTask(Row, kw_only=True):
    """One parcel's work. `picker` and `claim_until` are set while claimed; `picker` stays once everything is picked."""

    row_key: ClassVar[tuple[str, ...]] = ("task_id",)
    task_id: str
    order_id: str
    warehouse: str
    lines: list[PickLine]
    requirements: list[str] = []
    state: str = OPEN
    picker: str | None = None
    claim_until: datetime | None = None
    expected_weight_grams: int | None = None
    weight_grams: int | None = None
    carrier: str | None = None
    waybill: str | None = None
    services: list[str] = []
    created_at: datetime


class Item(Row, kw_only=True):
    """What the scanner and the scale need to know of a SKU."""

    row_key: ClassVar[tuple[str, ...]] = ("sku",)
    sku: str
    barcode: str = ""
    weight_grams: int | None = None


class Device(Row, kw_only=True):
    """A PDA known by name. A token is enough to work; a device revoked or moved here is refused all the same."""

    row_key: ClassVar[tuple[str, ...]] = ("device_id",)
    device_id: str
    warehouse: str
    label: str = ""
    revoked: bool = False


class Waybill(Row, kw_only=True):
    """A carrier's waybill number and the one task it was used for."""

    row_key: ClassVar[tuple[str, ...]] = ("carrier", "waybill")
    carrier: str
    waybill: str
    task_id: str
