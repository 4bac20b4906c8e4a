"""ordo.risk.v1: whether an order may ship, and every reason why not."""

from typing import Any

from contracts.envelope import Event, Moment, Part


class HoldReason(Part, frozen=True, kw_only=True):
    """One reason to hold: the rule and version that fired, the facts it saw, and one sentence in each language."""

    rule: str
    rule_version: int
    facts: dict[str, Any] = {}
    message_zh: str = ""
    message_en: str = ""
    until: Moment | None = None


class OrderCleared(Event, frozen=True, kw_only=True):
    """Nothing (or nothing any more) speaks against shipping. `requirements`: e.g. signature_on_delivery."""

    order_id: str
    version: int
    requirements: list[str] = []
    rule_version: int
    why_zh: str = ""
    why_en: str = ""


class OrderHeld(Event, frozen=True, kw_only=True):
    """The order waits until every one of `reasons` is resolved."""

    order_id: str
    version: int
    reasons: list[HoldReason]


class HoldResolved(Event, frozen=True, kw_only=True):
    """One reason is gone. `verdict`: released (by a person), expired (its time came), superseded (amended)."""

    order_id: str
    version: int
    rule: str
    verdict: str
    by: str
    why: str = ""


class OrderRejected(Event, frozen=True, kw_only=True):
    """A reviewer refused the order for good: the reservation is released and nothing ships."""

    order_id: str
    version: int
    by: str
    why: str
    rules: list[str] = []
