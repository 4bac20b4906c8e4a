"""Wires risk: settings, shipped rules, handlers, tables and routes."""

from functools import partial

from libs.rules import compile_graph
from libs.rules.defaults import read
from libs.runtime.service import Service
from services.risk import api, handlers, store
from services.risk.domain import VOCABULARY
from services.risk.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service, ready to run; shipped rules that fail their own examples stop it here."""
    shipped = read("risk")
    compile_graph(shipped, 1, VOCABULARY)
    return Service(
        name="risk",
        settings=settings,
        handlers=handlers.handlers(shipped, settings.local_utc_offset_minutes),
        tables=store.TABLES,
        routers=partial(api.routers, shipped=shipped),
    )
