"""What operators ask of inventory; each carries the id that its ledger entries name as their cause."""

from datetime import datetime

from contracts.stock import SkuQuantity
from libs.decide import Command


class DefineSku(Command, frozen=True, kw_only=True):
    """The facts of a SKU as they are now; a policy left out stays as it was."""

    sku: str
    title: str = ""
    barcode: str = ""
    cost: int | None = None
    weight_grams: int | None = None
    sellable_inbound_percent: int | None = None
    allowance: int | None = None
    safety_percent: int | None = None

    @property
    def key(self) -> str:
        """The SKU."""
        return self.sku


class DefineWarehouse(Command, frozen=True, kw_only=True):
    """The facts of a warehouse as they are now."""

    warehouse: str
    name: str = ""
    region: str = ""
    province_code: str = ""

    @property
    def key(self) -> str:
        """The warehouse."""
        return self.warehouse


class ReceiveStock(Command, frozen=True, kw_only=True):
    """Goods came in. With `inbound_id` they are (part of) that shipment, and by default the last of it."""

    command_id: str
    warehouse: str
    items: list[SkuQuantity]
    inbound_id: str | None = None
    closes_inbound: bool = True
    by: str = ""

    @property
    def key(self) -> str:
        """The warehouse."""
        return self.warehouse


class CountStock(Command, frozen=True, kw_only=True):
    """Somebody counted what a warehouse really has of a SKU."""

    command_id: str
    warehouse: str
    sku: str
    counted: int
    by: str = ""

    @property
    def key(self) -> str:
        """The SKU."""
        return self.sku


class AnnounceInbound(Command, frozen=True, kw_only=True):
    """A shipment is on its way; `yield_percent` of it is counted into ATP."""

    inbound_id: str
    sku: str
    warehouse: str
    quantity: int
    yield_percent: int
    eta: datetime
    by: str = ""

    @property
    def key(self) -> str:
        """The SKU."""
        return self.sku


class SendTransfer(Command, frozen=True, kw_only=True):
    """Goods leave one warehouse for another; only units owed to no parcel may go."""

    transfer_id: str
    from_warehouse: str
    to_warehouse: str
    items: list[SkuQuantity]
    eta: datetime | None = None
    by: str = ""

    @property
    def key(self) -> str:
        """The transfer."""
        return self.transfer_id


class ReceiveTransfer(Command, frozen=True, kw_only=True):
    """A transfer arrived: whole if `items` is absent, else with these quantities, and the rest is lost."""

    transfer_id: str
    items: list[SkuQuantity] | None = None
    by: str = ""

    @property
    def key(self) -> str:
        """The transfer."""
        return self.transfer_id
