"""Kafka in: which event is decided by which function, and which rows it needs."""

from functools import partial
from typing import Any

from contracts.orders import OrderAmended, OrderCancelRequested, OrderPlaced, RefundRequested
from contracts.risk import OrderCleared, OrderRejected
from contracts.stock import (
    AssignmentRefused,
    ShippableChanged,
    StockAssigned,
    StockReleased,
    StockReserved,
    StockShort,
)
from libs.decide import Due, Handlers, Needs, On
from services.routing import domain
from services.routing.domain import (
    Knobs,
    OrderRoute,
    OverrideRoute,
    ReplaceRules,
    RouteDecision,
    RuleGraph,
    RuleVersion,
)

_RULES = ((domain.GRAPH,),)


def handlers(knobs: Knobs) -> Handlers:
    """Return everything routing decides."""

    def planning(decide: Any) -> On[Any]:
        return On(partial(decide, knobs=knobs), needs=_order_and_rules)

    def noting(decide: Any) -> On[Any]:
        return On(partial(decide, knobs=knobs), needs=_order)

    return Handlers(
        service="routing",
        on={
            OrderPlaced: planning(domain.content_came),
            OrderAmended: planning(domain.content_came),
            OrderCancelRequested: noting(domain.cancel_requested),
            RefundRequested: noting(domain.cancel_requested),
            OrderCleared: planning(domain.cleared),
            OrderRejected: noting(domain.rejected),
            StockReserved: planning(domain.reserved),
            StockShort: noting(domain.short),
            ShippableChanged: planning(domain.figures_changed),
            AssignmentRefused: planning(domain.refused),
            StockAssigned: noting(domain.assigned),
            StockReleased: noting(domain.released),
            OverrideRoute: planning(domain.override),
            ReplaceRules: On(partial(domain.replace_rules, knobs=knobs), needs=lambda _: {RuleGraph: _RULES}),
        },
        timers={
            domain.RETRY_TIMER: On(partial(domain.retried, knobs=knobs), needs=_due_order),
            domain.RULES_TIMER: On(partial(domain.looked_at_again, knobs=knobs), needs=_due_order),
        },
        rows=(OrderRoute, RuleGraph),
        entries=(RouteDecision, RuleVersion),
    )


def _order(message: Any) -> Needs:
    return {OrderRoute: ((message.order_id,),)}


def _order_and_rules(message: Any) -> Needs:
    return {OrderRoute: ((message.order_id,),), RuleGraph: _RULES}


def _due_order(due: Due) -> Needs:
    return {OrderRoute: ((due.key,),), RuleGraph: _RULES}
