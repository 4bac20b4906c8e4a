"""What hands at a PDA and operators may ask for. `warehouse` is the caller's own; None for an operator."""

from contracts.envelope import Part
from libs.decide import Command


def order_of(task_id: str) -> str:
    """Return the order a task belongs to: a task id is `{order_id}/{n}`."""
    return task_id.rpartition("/")[0] or task_id


class TaskCommand(Command, frozen=True, kw_only=True):
    """A step of one task, by one device or person."""

    task_id: str
    by: str
    warehouse: str | None = None

    @property
    def key(self) -> str:
        """Steps keep their order with the order's events."""
        return order_of(self.task_id)


class ClaimTask(TaskCommand, frozen=True, kw_only=True):
    """Take the task; nobody else can until the claim ends."""


class HandBack(TaskCommand, frozen=True, kw_only=True):
    """Give the claimed task back unpicked."""


class ScanItem(TaskCommand, frozen=True, kw_only=True):
    """So many units of one barcode went into the basket."""

    barcode: str
    quantity: int = 1


class PackedItem(Part, frozen=True, kw_only=True):
    """So many units of one barcode lie in the parcel."""

    barcode: str
    quantity: int


class PackParcel(TaskCommand, frozen=True, kw_only=True):
    """What the pack check found."""

    items: list[PackedItem]


class WeighParcel(TaskCommand, frozen=True, kw_only=True):
    """The scale's reading; `recheck` confirms a reading outside the tolerance after looking again."""

    weight_grams: int
    recheck: bool = False


class ShipParcel(TaskCommand, frozen=True, kw_only=True):
    """The carrier has the parcel, under this waybill and with these services."""

    carrier: str
    waybill: str
    services: list[str] = []


class RegisterDevice(Command, frozen=True, kw_only=True):
    """Name a PDA and bind it to a warehouse; registering a revoked one lets it work again."""

    device_id: str
    warehouse: str
    label: str = ""

    @property
    def key(self) -> str:
        """A device's own changes keep their order."""
        return self.device_id


class RevokeDevice(Command, frozen=True, kw_only=True):
    """Refuse a PDA from now on, whatever its token says."""

    device_id: str

    @property
    def key(self) -> str:
        """A device's own changes keep their order."""
        return self.device_id
