"""Which message is decided by which of risk's decisions, and which rows it needs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from contracts.catalog import SkuDefined
from contracts.orders import OrderAmended, OrderCancelRequested, OrderContent, OrderPlaced, RefundRequested
from libs.decide import Due, Handlers, Needs, On
from services.risk import domain
from services.risk.domain import AllowedBuyer, BuyerDay, OrderRisk, RuleGraph, RuleVersion, SkuCost

RULES: Needs = {RuleGraph: [(domain.RULES_NAME,)]}


def order_needs(event: OrderContent, utc_offset_minutes: int) -> Needs:
    """Name what judging an order looks at."""
    needs: dict[Any, Any] = {
        OrderRisk: [(event.order_id,)],
        SkuCost: [(line.sku,) for line in event.lines],
        **RULES,
    }
    if event.buyer_key:
        needs[BuyerDay] = [(event.buyer_key, domain.local_day(event.placed_at, utc_offset_minutes))]
        needs[AllowedBuyer] = [(event.buyer_key,)]
    return needs


def _of_order(message: Any) -> Needs:
    return {OrderRisk: [(message.order_id,)]}


def _of_release(command: domain.ReleaseHold) -> Needs:
    return {**_of_order(command), **RULES}


def _of_timer(due: Due) -> Needs:
    return {OrderRisk: [(due.key,)]}


def _of_buyer(message: Any) -> Needs:
    return {AllowedBuyer: [(message.buyer_key,)]}


def _of_sku(message: SkuDefined) -> Needs:
    return {SkuCost: [(message.sku,)]}


def _of_rules(message: domain.ReplaceRules) -> Needs:
    return RULES


def handlers(shipped_rules: Mapping[str, Any], utc_offset_minutes: int = 480) -> Handlers:
    """Return risk's handlers; `shipped_rules` are in force until an operator replaces them."""
    rulebook = domain.Rulebook(shipped_rules)
    judge = On(
        partial(domain.assess, rulebook=rulebook, utc_offset_minutes=utc_offset_minutes),
        needs=partial(order_needs, utc_offset_minutes=utc_offset_minutes),
    )
    return Handlers(
        service="risk",
        on={
            OrderPlaced: judge,
            OrderAmended: judge,
            OrderCancelRequested: On(domain.withdraw, needs=_of_order),
            RefundRequested: On(domain.withdraw_refund, needs=_of_order),
            SkuDefined: On(domain.cost, needs=_of_sku),
            domain.ReleaseHold: On(partial(domain.release, rulebook=rulebook), needs=_of_release),
            domain.RejectOrder: On(domain.reject, needs=_of_order),
            domain.ReplaceRules: On(partial(domain.replace, rulebook=rulebook), needs=_of_rules),
            domain.AllowBuyer: On(domain.allow, needs=_of_buyer),
            domain.DisallowBuyer: On(domain.disallow, needs=_of_buyer),
        },
        timers={"hold": On(domain.expire, needs=_of_timer)},
        rows=(RuleGraph, OrderRisk, BuyerDay, SkuCost, AllowedBuyer),
        entries=(RuleVersion,),
    )
