"""The read model: one row an order, one counter a stage, and the timeline that led there."""

from datetime import datetime
from typing import ClassVar

from libs.decide import Entry, Row

STAGES = (
    "received",
    "held",
    "short",
    "blocked",
    "assigned",
    "picking",
    "packed",
    "shipped",
    "cancelled",
    "rejected",
)
# Stages that still wait for somebody; an order leaves the others only by a new fact about it.
WAITING_STAGES = STAGES[:7]
# What a parcel's newest event makes of it; the order of the open ones is how far they have come.
OPEN_STAGES = ("assigned", "picking", "packed")
SHIPPED = "shipped"
CANCELLED = "cancelled"
REJECTED = "rejected"


class OrderView(Row, kw_only=True):
    """Where one order stands. Each topic writes fields of its own, so topics may arrive in any order.

    orders: channel to cancel_requested, accepted_at; risk: `risk`; stock: `stock`, `assigned`; routes: `route`;
    shipments: `tasks`, pick_task_at. `assigned` maps a parcel to its warehouse, `tasks` to its stage and warehouse.
    """

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    channel: str = ""
    shop_id: str = ""
    placed_at: datetime | None = None
    total: int | None = None
    version: int = 0
    cancel_requested: bool = False
    risk: str = ""
    stock: str = ""
    route: str = ""
    assigned: dict[str, str] = {}
    tasks: dict[str, tuple[str, str]] = {}
    warehouses: list[str] = []
    stage: str = ""
    stage_since: datetime | None = None
    accepted_at: datetime | None = None
    pick_task_at: datetime | None = None


class StageCount(Row, kw_only=True):
    """How many orders stand in a stage."""

    row_key: ClassVar[tuple[str, ...]] = ("stage",)
    stage: str
    orders: int = 0


class ParkedCount(Row, kw_only=True):
    """How many messages of a topic the other services ever set aside, and how many only queued behind another."""

    row_key: ClassVar[tuple[str, ...]] = ("origin_topic",)
    origin_topic: str
    messages: int = 0
    behind: int = 0
    last_at: datetime | None = None


class TimelineEntry(Entry, frozen=True, kw_only=True):
    """One event of an order as JSON, as it was published but for the sealed recipient; `at` is its own time.

    Its topic and its reason follow from it, so they are told when it is read (`told`), not stored with each.
    """

    order_id: str
    at: datetime
    type: str
    payload: bytes


class PickLatency(Entry, frozen=True, kw_only=True):
    """From an order's arrival to its first pick task, as ingestion and fulfillment decided them."""

    order_id: str
    accepted_at: datetime
    pick_task_at: datetime


def stage_of(view: OrderView) -> str:
    """Return the one stage an order is in, from what each topic last said.

    Goods in hand decide first (the least advanced open parcel), then what never ships, then what the order waits for.
    """
    least = len(OPEN_STAGES)
    left = False
    # Once inventory has released the goods, a task is over although fulfillment's word may still be on its way here.
    released = view.stock in (CANCELLED, REJECTED)
    for parcel, (stage, _) in view.tasks.items():
        if stage == SHIPPED:
            left = True
        elif stage != CANCELLED and not (released and parcel not in view.assigned):
            least = min(least, OPEN_STAGES.index(stage))
    if any(parcel not in view.tasks for parcel in view.assigned):
        least = 0
    if least < len(OPEN_STAGES):
        return OPEN_STAGES[least]
    if left:
        return SHIPPED
    if REJECTED in (view.risk, view.stock):
        return REJECTED
    if view.stock == CANCELLED or view.tasks:
        return CANCELLED
    if view.risk == "held":
        return "held"
    if view.stock == "short":
        return "short"
    return "blocked" if view.route == "blocked" else "received"
