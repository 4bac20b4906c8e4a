"""Wires inventory: settings, policy, handlers, tables and routes."""

from libs.runtime.service import Service
from services.inventory import api, handlers, store
from services.inventory.domain import Policy
from services.inventory.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service, ready to run."""
    policy = Policy(
        safety_percent=settings.safety_percent,
        sales_window_days=settings.sales_window_days,
        lead_cover_days=settings.lead_cover_days,
        retry_limit_orders=settings.retry_limit_orders,
        recheck_after_ms=settings.recheck_after_ms,
        elsewhere_every_ms=settings.elsewhere_every_ms,
        levels_every_ms=settings.levels_every_ms,
    )
    return Service(
        name="inventory",
        settings=settings,
        handlers=handlers.handlers(policy),
        tables=store.TABLES,
        routers=api.routers,
    )
