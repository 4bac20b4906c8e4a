"""Wires routing: settings, shipped rules, handlers, tables and routes."""

from collections.abc import Mapping
from typing import Any

from libs.rules import compile_graph
from libs.rules.defaults import read
from libs.runtime.service import Service
from services.routing import api, handlers, store
from services.routing.domain import VOCABULARY, Knobs
from services.routing.settings import Settings


def build(settings: Settings, rules: Mapping[str, Any] | None = None) -> Service:
    """Return the service, ready to run; shipped rules that fail their own examples stop it here."""
    shipped = dict(rules or read("routing"))
    compile_graph(shipped, 1, VOCABULARY)
    knobs = Knobs(
        shipped=shipped,
        replans_limit=settings.replans_limit,
        rule_retry_seconds=settings.rule_retry_seconds,
        replans_pause_seconds=settings.replans_pause_seconds,
        blocked_look_seconds=settings.blocked_look_seconds,
    )
    return Service(
        name="routing",
        settings=settings,
        handlers=handlers.handlers(knobs),
        tables=store.TABLES,
        routers=api.routers,
    )
