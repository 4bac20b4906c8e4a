"""The seven services as the simulator runs them: their real handlers, with knobs that make time short."""

from functools import cache

from libs.decide import Handlers, Row
from libs.rules.defaults import read
from services.fulfillment import domain as fulfillment
from services.fulfillment.handlers import handlers as fulfillment_handlers
from services.ingestion.handlers import handlers as ingestion_handlers
from services.inventory import domain as inventory
from services.inventory.handlers import handlers as inventory_handlers
from services.notification import domain as notification
from services.notification.handlers import handlers as notification_handlers
from services.risk.handlers import handlers as risk_handlers
from services.routing import domain as routing
from services.routing.handlers import handlers as routing_handlers
from services.tower.handlers import handlers as tower_handlers

CLAIM_LIMIT_S = 6
DESTINATIONS = {
    "fulfillment": (fulfillment.WMS,),
    "notification": (notification.SMS, notification.DINGTALK),
}


@cache
def all_handlers() -> tuple[Handlers, ...]:
    """Return every service's handlers; they keep nothing, so one set serves all runs of a process."""
    return (
        ingestion_handlers(),
        risk_handlers(read("risk")),
        inventory_handlers(inventory.Policy(retry_limit_orders=2, recheck_after_ms=1_000, elsewhere_every_ms=3_000)),
        routing_handlers(
            routing.Knobs(
                shipped=read("routing"),
                replans_limit=2,
                rule_retry_seconds=3,
                replans_pause_seconds=4,
                blocked_look_seconds=5,
            )
        ),
        fulfillment_handlers(
            claim_limit_seconds=CLAIM_LIMIT_S,
            tolerance=fulfillment.Tolerance(percent=5, floor_grams=20),
            tell_wms=True,
        ),
        notification_handlers(notification.DigestLimits(interval_ms=1_500)),
        tower_handlers(),
    )


def constraint(row: Row) -> str | None:
    """Return the check constraint that a pool's row breaks: the database would refuse it."""
    if not isinstance(row, inventory.Pool):
        return None
    lean = row.on_hand + row.in_transit + row.allowance + row.deficit
    lean += row.inbound_points * row.sellable_inbound_percent // 10_000
    figures = (row.on_hand, row.reserved, row.deficit, row.inbound, row.inbound_points, row.in_transit, row.allowance)
    if min(figures) < 0:
        return "pool_not_negative"
    if row.reserved > lean:
        return "pool_not_oversold"
    for level in row.warehouses.values():
        if min(level.on_hand, level.assigned, level.deficit) < 0 or level.assigned > level.on_hand + level.deficit:
            return "pool_warehouses_not_overassigned"
    return None
