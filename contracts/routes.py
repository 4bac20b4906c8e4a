"""ordo.routes.v1: which warehouse ships which lines of an order, or why none can yet."""

from contracts.envelope import Event, Part
from contracts.stock import ParcelPlan


class TransferAdvice(Part, frozen=True, kw_only=True):
    """The move of goods that would cure a blocked order."""

    sku: str
    quantity: int
    from_warehouse: str
    to_warehouse: str


class MissingAt(Part, frozen=True, kw_only=True):
    """What the chosen warehouse lacks."""

    warehouse: str
    sku: str
    quantity: int


class RoutePlanned(Event, frozen=True, kw_only=True):
    """A plan for inventory to take or refuse. `plan` counts the attempts of this order from 1."""

    order_id: str
    version: int
    plan: int
    parcels: list[ParcelPlan]
    requirements: list[str] = []
    rule: str
    rule_version: int
    why_zh: str
    why_en: str


class RouteBlocked(Event, frozen=True, kw_only=True):
    """The chosen warehouse cannot ship the whole order: what is missing, and the transfer that would cure it."""

    order_id: str
    version: int
    plan: int
    warehouse: str
    missing: list[MissingAt]
    transfers: list[TransferAdvice] = []
    rule: str
    rule_version: int
    why_zh: str
    why_en: str
