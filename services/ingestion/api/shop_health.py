"""Judges a shop on a platform as operators and alarms see it: what its channel makes unavoidable is no lateness."""

from datetime import datetime

from libs.channels import registry
from libs.channels.outward.pulling import SKEW_S
from services.ingestion import store
from services.ingestion.domain import Health, Standing, health, waits_for
from services.ingestion.settings import Settings


def judged(found: store.Watched, settings: Settings, now: datetime) -> Health:
    """Return the shop's colour, and why."""
    return health(found.progress, _standing(found), now, settings.shop_late_after_s, settings.shop_red_after_s)


def awaited(found: store.Watched, now: datetime) -> str:
    """Return what the shop's watermark waits for."""
    return waits_for(found.progress, _standing(found), now)


def _standing(found: store.Watched) -> Standing:
    record = found.shop
    able = registry.channel(record.channel).capabilities
    return Standing(
        paused=record.paused,
        asks=record.asks,
        token_expires_at=record.token_expires_at,
        parked=found.parked,
        lists_late_s=able.pull_lag_s + SKEW_S if able.pulls_orders else 0.0,
    )
