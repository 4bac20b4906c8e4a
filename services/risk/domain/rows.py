"""What risk remembers, and what people may ask of it."""

from datetime import datetime
from typing import Any, ClassVar

from contracts.risk import HoldReason
from libs.decide import Command, Entry, Row

RULES_NAME = "risk"


class RuleGraph(Row, kw_only=True):
    """The rules in force: proven content, named by its hash so that a process compiles it once."""

    row_key: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    version: int
    content_hash: str
    content: dict[str, Any]
    changed_at: datetime
    changed_by: str


class RuleVersion(Entry, frozen=True, kw_only=True):
    """Every version of the rules there ever was."""

    name: str
    version: int
    content_hash: str
    content: dict[str, Any]
    changed_at: datetime
    changed_by: str
    why: str


class OrderRisk(Row, kw_only=True):
    """One order: `reasons` are its open holds; `released` maps a rule that a person overruled to the facts it saw.

    `unjudged` are the facts that the rules failed on, as long as that holds the order.
    `state`: held, cleared, rejected or closed (cancelled; also the mark of a cancellation that came first).
    `nth_of_day`: which order of its buyer on its local day it was, 0 when not counted.
    """

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    version: int
    state: str
    rule_version: int = 0
    nth_of_day: int = 0
    held_at: datetime | None = None
    reasons: list[HoldReason] = []
    requirements: list[str] = []
    released: dict[str, dict[str, Any]] = {}
    unjudged: dict[str, Any] = {}


class BuyerDay(Row, kw_only=True):
    """How many orders a buyer placed on one day of the merchant's time zone."""

    row_key: ClassVar[tuple[str, ...]] = ("buyer_key", "local_day")
    buyer_key: str
    local_day: str
    orders: int = 0


class SkuCost(Row, kw_only=True):
    """What one unit of a SKU costs the merchant; null when nobody said."""

    row_key: ClassVar[tuple[str, ...]] = ("sku",)
    sku: str
    cost: int | None = None


class AllowedBuyer(Row, kw_only=True):
    """A buyer who may order as often as they like."""

    row_key: ClassVar[tuple[str, ...]] = ("buyer_key",)
    buyer_key: str
    allowed_by: str
    allowed_at: datetime
    why: str = ""


class ReleaseHold(Command, frozen=True, kw_only=True):
    """A reviewer lifts one hold of an order, or all of them; `version` is the content that was looked at."""

    order_id: str
    by: str
    why: str
    rule: str | None = None
    version: int | None = None

    @property
    def key(self) -> str:
        """The order."""
        return self.order_id


class RejectOrder(Command, frozen=True, kw_only=True):
    """A reviewer refuses a held order for good; `version` is the content that was looked at."""

    order_id: str
    by: str
    why: str
    version: int | None = None

    @property
    def key(self) -> str:
        """The order."""
        return self.order_id


class ReplaceRules(Command, frozen=True, kw_only=True):
    """An operator puts new rules in the place of version `base_version`."""

    content: dict[str, Any]
    base_version: int
    by: str
    why: str = ""

    @property
    def key(self) -> str:
        """One key for all: replacements happen one after the other."""
        return RULES_NAME


class AllowBuyer(Command, frozen=True, kw_only=True):
    """An operator puts a buyer on the allow list."""

    buyer_key: str
    by: str
    why: str = ""

    @property
    def key(self) -> str:
        """The buyer."""
        return self.buyer_key


class DisallowBuyer(Command, frozen=True, kw_only=True):
    """An operator takes a buyer off the allow list."""

    buyer_key: str
    by: str

    @property
    def key(self) -> str:
        """The buyer."""
        return self.buyer_key
