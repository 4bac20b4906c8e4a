"""Every order as the topics tell it and as each service has it: small state, so that a hundred thousand fit."""

from collections.abc import Iterable
from typing import Any

import msgspec

from contracts.stock import StockLine

MASK = (1 << 61) - 1
TERMINAL = ("shipped", "cancelled", "rejected")
OPEN, SHIPPED, CANCELLED = "open", "shipped", "cancelled"


def goods_of(lines: Iterable[Any]) -> int:
    """Return a fingerprint of lines that adds up: an order's is the sum of its parcels', however lines are split."""
    total: int = sum([hash((line.line_id, line.sku)) * line.quantity for line in lines])
    return total & MASK


def skus_of(lines: Iterable[Any]) -> int:
    """Return such a fingerprint by SKU alone, as the ledger books it."""
    total: int = sum([hash(line.sku) * line.quantity for line in lines])
    return total & MASK


def units_of(lines: Iterable[StockLine]) -> int:
    """Return how many units lines hold."""
    return sum([line.quantity for line in lines])


class ParcelStory(msgspec.Struct, gc=False):
    """One parcel. First what the topics say, then what the ledger booked, then the services' rows."""

    warehouse: str = ""
    planned: bool = False
    goods: int = 0
    units: int = 0
    stock: str = ""
    task: str = ""
    task_goods: int = 0
    left_goods: int = 0
    left_units: int = 0
    stock_goods: int = 0
    taken_units: int = 0
    booked: str = ""
    reservation_row: str = ""
    task_row: str = ""
    task_row_goods: int = 0
    task_row_warehouse: str = ""
    file_row: str = ""
    notice: str = ""
    notice_row: str = ""


class Copies(msgspec.Struct, gc=False):
    """What each service's own row says of an order; empty where it has none."""

    platform: str = ""
    platform_version: int = 0
    placed_intakes: int = 0
    amended_intakes: int = 0
    risk: str = ""
    risk_version: int = 0
    reservation: str = ""
    reservation_goods: int = 0
    reservation_skus: int = 0
    waits: bool = False
    in_line: bool = False
    route: str = ""
    route_version: int = 0
    route_timer: bool = False
    file: str = ""
    file_version: int = 0
    recipient: bool = False
    stage: str = ""
    view_version: int = 0


class Story(msgspec.Struct, gc=False):
    """One order as the topics tell it. `contents` and `promised` hold the goods of each version."""

    order_id: str
    placed: int = 0
    contents: list[int] = []
    requests: int = 0
    refunded: int = 0
    highest_total: int = 0
    risk: str = ""
    risk_version: int = 0
    stock: str = ""
    stock_version: int = 0
    promised: dict[int, int] = {}
    assigned_version: int = 0
    release: str = ""
    route: str = ""
    plan: int = 0
    parcels: dict[str, ParcelStory] = {}
    stops: int = 0
    too_late: int = 0
    held_units: int = 0
    held_skus: int = 0
    copies: Copies = msgspec.field(default_factory=Copies)

    @property
    def version(self) -> int:
        """The newest content's version."""
        return len(self.contents)

    def parcel(self, parcel_id: str) -> ParcelStory:
        """Return a parcel, beginning its story if nobody named it before."""
        found = self.parcels.get(parcel_id)
        if found is None:
            found = self.parcels[parcel_id] = ParcelStory()
        return found

    @property
    def end(self) -> str:
        """The stage in which the topics say that the order ended; empty while it has not."""
        if self.stock != "ended":
            # A refusal may overtake the order: then nothing was ever reserved for it.
            return "rejected" if self.risk == "rejected" and not self.stock else ""
        if any(parcel.stock == SHIPPED for parcel in self.parcels.values()):
            return SHIPPED
        return "rejected" if "rejected" in (self.risk, self.release) else CANCELLED


class Stories(dict[str, Story]):
    """All orders by id."""

    def of(self, order_id: str) -> Story:
        """Return an order's story, beginning it if nobody named the order before."""
        found = self.get(order_id)
        if found is None:
            found = self[order_id] = Story(order_id)
        return found


def order_of(parcel_id: str) -> str:
    """Return the order a parcel belongs to: a parcel's id is `{order_id}/{n}`."""
    return parcel_id.rpartition("/")[0]
