"""Wires risk: settings, shipped rules, handlers, tables and routes."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from libs.rules import compile_graph
from libs.rules.defaults import read
from libs.runtime.service import Service
from services.risk import api, handlers, store
from services.risk.domain import VOCABULARY
from services.risk.settings import Settings


def build(settings: Settings, rules: Mapping[str, Any] | None = None) -> Service:
    """Return the service, ready to run; shipped rules that fail their own examples stop it here."""
    shipped = dict(rules or read("risk"))
    compile_graph(shipped, 1, VOCABULARY)
    return Service(
        name="risk",
        settings=settings,
        handlers=handlers.handlers(shipped, settings.local_utc_offset_minutes),
        tables=store.TABLES,
        routers=partial(api.routers, shipped=shipped),
    )
