"""Everything the checks look at, as loaded from one database snapshot and the topics behind it."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from contracts import catalog, notices, stock_levels
from contracts.envelope import Event
from libs.stream.log import Place
from libs.testkit.invariants.findings import Seen
from libs.testkit.invariants.ledger import Documents, LedgerFold
from libs.testkit.invariants.sequences import BatchFold, OutboxFold, Sequences
from libs.testkit.invariants.steps import STEPS
from libs.testkit.invariants.stories import SHIPPED, Stories

OPERATIONS = "operations"
SHIPPED_NOTICE = "shipped:"


class Level(msgspec.Struct):
    """One warehouse's share of a pool."""

    on_hand: int = 0
    assigned: int = 0
    deficit: int = 0


class Queue(msgspec.Struct):
    """One line of waiting orders, as the pool counts it."""

    length: int = 0


class PoolRow(msgspec.Struct):
    """One SKU's row."""

    sku: str
    defined: bool
    on_hand: int
    reserved: int
    inbound: int
    inbound_points: int
    in_transit: int
    warehouses: dict[str, Level]
    waiting: dict[str, Queue]


@dataclass
class Protocol:
    """One service's tables of the stream protocol; ages in seconds by the database's clock."""

    service: str
    offsets: dict[Place, int] = field(default_factory=dict)
    seqs: dict[tuple[str, int, str], int] = field(default_factory=dict)
    heads: dict[tuple[int, str, int], tuple[int, int]] = field(default_factory=dict)
    batch_nos: dict[int, int] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    due_timers: int = 0
    due_timer_age_s: float = 0.0
    waiting_sends: int = 0
    waiting_send_age_s: float = 0.0
    egress_rows: int = 0
    egress_unknown: int = 0
    unexplained_causes: list[str] = field(default_factory=list)


@dataclass
class Stock:
    """Inventory's rows beside its orders. `open_units` and `owed_units` are summed over open reservations."""

    pools: dict[str, PoolRow] = field(default_factory=dict)
    documents: Documents = field(default_factory=Documents)
    ledger_key: tuple[str, ...] = ()
    open_units: dict[str, int] = field(default_factory=dict)
    owed_units: dict[tuple[str, str], int] = field(default_factory=dict)
    transit_units: dict[str, int] = field(default_factory=dict)
    lost_units: int = 0
    tickets: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    places: dict[tuple[str, str], int] = field(default_factory=dict)
    reservations: int = 0


@dataclass
class Copied:
    """What services copied from topics beside orders: the catalogue and the newest levels, by topic and by row."""

    skus: dict[str, tuple[str, int | None, int | None]] = field(default_factory=dict)
    inventory_skus: dict[str, tuple[str, int | None, int | None]] = field(default_factory=dict)
    items: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    costs: dict[str, int | None] = field(default_factory=dict)
    levels: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    notices: dict[int, str] = field(default_factory=dict)
    notice_rows: dict[int, str] = field(default_factory=dict)
    notices_without_egress: list[str] = field(default_factory=list)
    stage_counts: dict[str, int] = field(default_factory=dict)
    stage_rows: dict[str, int] = field(default_factory=dict)
    folded_orders: int = 0


@dataclass
class Facts:
    """One consistent cut through the system. `seen` holds what was wrong already while it was read."""

    sequences: Sequences
    drained: bool = True
    seen: Seen = field(default_factory=Seen)
    stories: Stories = field(default_factory=Stories)
    protocols: dict[str, Protocol] = field(default_factory=dict)
    ends: dict[Place, int] = field(default_factory=dict)
    stock: Stock = field(default_factory=Stock)
    copied: Copied = field(default_factory=Copied)
    ledger: LedgerFold | None = None
    outboxes: list[OutboxFold] = field(default_factory=list)
    batches: list[BatchFold] = field(default_factory=list)
    acked: set[str] | None = None
    sent: set[str] | None = None

    def take(self, event: Event) -> None:
        """Take in an event, the first time it is read."""
        step = STEPS.get(type(event))
        if step is not None:
            step(self.stories.of(event.key), event, self.seen)
        elif isinstance(event, notices.NoticeSent | notices.NoticeFailed):
            self._told(event)
        elif isinstance(event, stock_levels.StockLevelChanged):
            self.copied.levels[event.sku] = (event.on_hand, event.reserved, event.inbound)
        elif isinstance(event, catalog.SkuDefined):
            self.copied.skus[event.sku] = (event.barcode, event.weight_grams, event.cost)

    def _told(self, event: Any) -> None:
        said = "sent" if isinstance(event, notices.NoticeSent) else "failed"
        key = hash((event.order_id, event.notice_id))
        if key in self.copied.notices:
            self.seen["I-17"].add(f"{event.order_id}: notice {event.notice_id} has two outcomes")
        self.copied.notices[key] = said
        if event.notice_id.startswith(SHIPPED_NOTICE) and event.order_id != OPERATIONS:
            self.stories.of(event.order_id).parcel(event.notice_id.removeprefix(SHIPPED_NOTICE)).notice = said


def left(facts: Facts) -> int:
    """Return how many parcels left, as fulfillment says."""
    return sum(parcel.task == SHIPPED for story in facts.stories.values() for parcel in story.parcels.values())
