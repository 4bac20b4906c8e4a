"""Wires ingestion: the only place where its pieces are put together."""

from functools import partial

from libs.runtime.service import Service
from services.ingestion import api, handlers, store
from services.ingestion.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service for these settings."""
    return Service(
        name="ingestion",
        title="Ordo ingestion 接单",
        settings=settings,
        handlers=handlers.handlers(),
        tables=store.TABLES,
        routers=partial(api.routers, settings.own_keys),
        vault=True,
        uploads=("/imports", "/orders/batch"),
    )
