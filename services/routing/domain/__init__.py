"""Routing's decisions: which warehouse ships which lines of an order, or why none can yet."""

from services.routing.domain.commands import override, replace_rules, waits_for
from services.routing.domain.coverage import missing_at, split, transfers_for, wanted_units
from services.routing.domain.orders import (
    assigned,
    cancel_requested,
    cleared,
    content_came,
    figures_changed,
    looked_at_again,
    refused,
    rejected,
    released,
    reserved,
    retried,
    short,
)
from services.routing.domain.planning import RETRY_TIMER, RULES_TIMER
from services.routing.domain.rows import (
    GRAPH,
    OrderRoute,
    OverrideRoute,
    ReplaceRules,
    RouteDecision,
    RuleGraph,
    RuleVersion,
)
from services.routing.domain.rules import ANSWER, FACTS, SHIPPED, VOCABULARY, Fact, Knobs, check_answer, shipped_rules

__all__ = [
    "ANSWER",
    "FACTS",
    "GRAPH",
    "RETRY_TIMER",
    "RULES_TIMER",
    "SHIPPED",
    "VOCABULARY",
    "Fact",
    "Knobs",
    "OrderRoute",
    "OverrideRoute",
    "ReplaceRules",
    "RouteDecision",
    "RuleGraph",
    "RuleVersion",
    "assigned",
    "cancel_requested",
    "check_answer",
    "cleared",
    "content_came",
    "figures_changed",
    "looked_at_again",
    "missing_at",
    "override",
    "refused",
    "rejected",
    "released",
    "replace_rules",
    "reserved",
    "retried",
    "shipped_rules",
    "short",
    "split",
    "transfers_for",
    "waits_for",
    "wanted_units",
]
