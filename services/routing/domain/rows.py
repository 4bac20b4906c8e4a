"""What routing remembers: one narrow row per order, the rules in force, and an entry for every decision it took."""

from datetime import datetime
from typing import Any, ClassVar

from contracts.routes import MissingAt, TransferAdvice
from contracts.stock import ParcelPlan, StockLine
from libs.decide import Command, Entry, Row

WAITING = "waiting"
PLANNED = "planned"
ASSIGNED = "assigned"
BLOCKED = "blocked"
CLOSED = "closed"
GRAPH = "routing"

Shippable = dict[str, dict[str, int]]


class OrderRoute(Row, kw_only=True):
    """One order as routing sees it. Versions are 0 until the event that brings them has come.

    `lines` and `shippable` are what inventory reserved at `reserved_version`; they are dropped once a plan is taken.
    `blocked_at` is set exactly while `state` is blocked. `ended` names what stops planning for good.
    """

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    state: str = WAITING
    version: int = 0
    cleared_version: int = 0
    reserved_version: int = 0
    reserved: bool = False
    plan: int = 0
    plan_version: int = 0
    replans: int = 0
    region: str | None = None
    province_code: str | None = None
    city_code: str | None = None
    district_code: str | None = None
    channel: str = ""
    kind: str = "normal"
    total: int = 0
    requirements: list[str] = []
    lines: list[StockLine] = []
    shippable: Shippable = {}
    override_warehouse: str | None = None
    override_split: bool = False
    override_by: str = ""
    blocked_by: str | None = None
    blocked_at: datetime | None = None
    blocked_rule_version: int = 0
    ended: str = ""


class RuleGraph(Row, kw_only=True):
    """The rules in force: `content` as an operator gave it, found compiled by its hash."""

    row_key: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    version: int
    content_hash: str
    content: dict[str, Any]
    changed_at: datetime
    changed_by: str


class RuleVersion(Entry, frozen=True, kw_only=True):
    """Rules that were in force once, and who put them there with what reason."""

    name: str
    version: int
    content_hash: str
    content: dict[str, Any]
    changed_at: datetime
    changed_by: str
    why: str


class RouteDecision(Entry, frozen=True, kw_only=True):
    """One decision of one order, planned or blocked, with everything that explains it."""

    order_id: str
    plan: int
    version: int
    decided_at: datetime
    outcome: str
    warehouse: str
    rule: str
    rule_version: int
    why_zh: str
    why_en: str
    parcels: list[ParcelPlan]
    missing: list[MissingAt]
    transfers: list[TransferAdvice]
    decided_by: str


class OverrideRoute(Command, frozen=True, kw_only=True):
    """An operator decides for one blocked order: this warehouse, or as few parcels as possible."""

    order_id: str
    warehouse: str | None = None
    split: bool = False
    by: str

    @property
    def key(self) -> str:
        """The order."""
        return self.order_id


class ReplaceRules(Command, frozen=True, kw_only=True):
    """An operator puts a new graph in the place of version `base_version`."""

    content: dict[str, Any]
    base_version: int
    by: str
    why: str = ""

    @property
    def key(self) -> str:
        """One key for all: replacements happen one after the other."""
        return GRAPH
