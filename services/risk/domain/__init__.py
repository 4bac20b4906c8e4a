"""Risk's decisions: whether an order may ship, and what a person or time changes about it; pure and total."""

from services.risk.domain.assess import assess, cost, expire, local_day, withdraw, withdraw_refund
from services.risk.domain.facts import FACTS, Fact, facts_of
from services.risk.domain.findings import VOCABULARY, Answer, Finding, findings_of
from services.risk.domain.review import allow, disallow, reject, release
from services.risk.domain.rows import (
    RULES_NAME,
    AllowBuyer,
    AllowedBuyer,
    BuyerDay,
    DisallowBuyer,
    OrderRisk,
    RejectOrder,
    ReleaseHold,
    ReplaceRules,
    RuleGraph,
    RuleVersion,
    SkuCost,
)
from services.risk.domain.rulebook import Rulebook, replace

__all__ = [
    "FACTS",
    "RULES_NAME",
    "VOCABULARY",
    "AllowBuyer",
    "AllowedBuyer",
    "Answer",
    "BuyerDay",
    "DisallowBuyer",
    "Fact",
    "Finding",
    "OrderRisk",
    "RejectOrder",
    "ReleaseHold",
    "ReplaceRules",
    "RuleGraph",
    "RuleVersion",
    "Rulebook",
    "SkuCost",
    "allow",
    "assess",
    "cost",
    "disallow",
    "expire",
    "facts_of",
    "findings_of",
    "local_day",
    "reject",
    "release",
    "replace",
    "withdraw",
    "withdraw_refund",
]
