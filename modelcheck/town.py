"""The services of all models, wired as their `app.py` does: what one model has seen decided, the next remembers."""

from libs.decide import Row
from libs.rules.defaults import read
from modelcheck.deciding import Alphabet, Counts, Service
from modelcheck.orders import NOW
from services.fulfillment.domain import Tolerance
from services.fulfillment.handlers import handlers as fulfillment_handlers
from services.ingestion.handlers import handlers as ingestion_handlers
from services.inventory.domain import ELSEWHERE, LedgerEntry, Policy
from services.inventory.handlers import handlers as inventory_handlers
from services.risk.handlers import handlers as risk_handlers
from services.routing.domain import RULES_TIMER, Knobs, RouteDecision
from services.routing.handlers import handlers as routing_handlers
from services.tower.domain import StageCount
from services.tower.handlers import handlers as tower_handlers

READERS = ("inventory", "routing", "risk", "fulfillment")
INVENTORY, ROUTING, RISK, FULFILLMENT = range(4)
CLAIM_LIMIT_SECONDS = 900
TOLERANCE = Tolerance(percent=5, floor_grams=50)
# Figures of a SKU and the catalogue: no order's way depends on who reads them.
FIGURES = ("StockLevelChanged", "SafetyLineCrossed", "InboundExpected", "SkuDefined", "WarehouseDefined")


class Town:
    """Every service once. The keys of append-only tables stand for the primary keys that Postgres holds them to."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.alphabet = alphabet = Alphabet(NOW)
        self.checked: set[tuple[int, int]] = set()
        self.batches: set[tuple[int, int, tuple[int, ...]]] = set()
        hands = fulfillment_handlers(claim_limit_seconds=CLAIM_LIMIT_SECONDS, tolerance=TOLERANCE, tell_wms=True)
        # Slow looks set themselves again for ever: for new rules, which nobody makes here, and for stock that the rules
        # here do not choose by.
        routes = routing_handlers(Knobs(shipped=read("routing")))
        ledger_key = {LedgerEntry: ("cause", "sku", "warehouse", "kind")}
        self.services = [
            Service(
                inventory_handlers(Policy()), alphabet, self.counts, once=ledger_key, unread=FIGURES, idle=(ELSEWHERE,)
            ),
            Service(routes, alphabet, self.counts, once={RouteDecision: ("order_id", "plan")}, idle=(RULES_TIMER,)),
            Service(risk_handlers(read("risk")), alphabet, self.counts),
            Service(hands, alphabet, self.counts),
        ]
        self.tower = Service(tower_handlers(), alphabet, self.counts, as_good_as_absent=_is_empty_count)
        self.ingestion = Service(ingestion_handlers(), alphabet, self.counts)


def _is_empty_count(row: Row) -> bool:
    return isinstance(row, StageCount) and row.orders == 0
