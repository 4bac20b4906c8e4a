"""The routing rules: the facts they see, what they must answer, and which version is in force."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from libs.decide import State
from libs.rules import RuleFailed, Vocabulary, digest, graph_of
from services.routing.domain.rows import GRAPH, OrderRoute, RuleGraph, RuleVersion
from services.routing.domain.words import Why, plain

SHIPPED = "shipped"
NAME_LIMIT_CHARS = 64
WHY_LIMIT_CHARS = 300


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    """What the decisions are given at start: the shipped rules and the limits."""

    shipped: dict[str, Any]
    replans_limit: int = 5
    rule_retry_seconds: int = 30
    replans_pause_seconds: int = 300
    blocked_look_seconds: int = 300


class Choice(NamedTuple):
    """What the rules answered: a warehouse, by which rule, and the beginning of the sentence that says why."""

    warehouse: str
    rule: str
    why: Why


class Fact(NamedTuple):
    """One fact as a merchant reads it in the rule editor."""

    name: str
    type: str
    unit: str
    zh: str
    en: str


FACTS = (
    Fact("order.region", "text or null", "", "收货地区（华北、东北、华东、华中、华南、西南、西北）；地址未解析时为空",
         "region of the destination, one of seven; null when the address is unresolved"),
    Fact("order.province_code", "text or null", "", "收货省份代码（6 位）",
         "province code of the destination, 6 digits"),
    Fact("order.city_code", "text or null", "", "收货城市代码（6 位）", "city code of the destination, 6 digits"),
    Fact("order.district_code", "text or null", "", "收货区县代码（6 位）",
         "district code of the destination, 6 digits"),
    Fact("order.channel", "text", "", "渠道", "sales channel"),
    Fact("order.kind", "text", "", "订单类型：normal、presale、exchange、reissue",
         "kind of order: normal, presale, exchange or reissue"),
    Fact("order.total", "integer", "minor units (分)", "订单总额", "total of the order"),
    Fact("order.lines", "integer", "lines", "订单行数", "number of lines"),
    Fact("order.units", "integer", "units", "商品件数合计", "number of units over all lines"),
    Fact("order.requirements", "list of text", "", "发货要求，例如 signature_on_delivery（签收）",
         "requirements of the clearance, such as signature_on_delivery"),
    Fact("stock.complete", "list of text", "", "可发齐整单的仓库代码，按代码排序",
         "warehouses that can ship the whole order, sorted by code"),
    Fact("stock.percent", "object: warehouse to integer", "percent of units",
         "各仓可发件数占订单件数的百分比（向下取整）；无货的仓库不出现",
         "share of the order's units each warehouse can ship, rounded down; absent when it has none"),
)  # fmt: skip
ANSWER = (
    Fact("warehouse", "text", "", "发货仓库代码", "code of the warehouse that is to ship the order"),
    Fact("rule", "text", "", "命中规则的名称", "name of the rule that decided"),
    Fact("why_zh", "text", "", "中文原因（不带句号，系统补上地区、仓库和数量）",
         "the reason in Chinese, without a full stop: region, warehouse and figures are added"),
    Fact("why_en", "text", "", "英文原因（不带句号）", "the reason in English, without a full stop"),
)  # fmt: skip


def check_answer(answer: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with an answer of the rules; nothing means that it names a warehouse."""
    wrong = []
    warehouse = answer.get("warehouse")
    if not isinstance(warehouse, str) or not warehouse.strip() or len(warehouse) > NAME_LIMIT_CHARS:
        wrong.append(f"`warehouse` must be a warehouse code of 1 to {NAME_LIMIT_CHARS} characters")
    for name, limit in (("rule", NAME_LIMIT_CHARS), ("why_zh", WHY_LIMIT_CHARS), ("why_en", WHY_LIMIT_CHARS)):
        text = answer.get(name)
        if not isinstance(text, str) or not plain(text) or len(text) > limit:
            wrong.append(f"`{name}` must be a text of 1 to {limit} characters")
    return wrong


VOCABULARY = Vocabulary(
    names=tuple(fact.name for fact in FACTS),
    neutral={
        "order": {
            "region": "华东",
            "province_code": "310000",
            "city_code": "310100",
            "district_code": "310115",
            "channel": "own",
            "kind": "normal",
            "total": 10000,
            "lines": 1,
            "units": 1,
            "requirements": [],
        },
        "stock": {"complete": [], "percent": {}},
    },
    check=check_answer,
)


def facts_of(row: OrderRoute, wanted: Mapping[str, int]) -> dict[str, Any]:
    """Return what the rules may know of an order; a merchant reads these names, so they only grow."""
    units = sum(wanted.values())
    percent: dict[str, int] = {}
    # By code, because a row comes back from its table with its keys in another order.
    for warehouse, items in sorted(row.shippable.items()):
        covered = sum([min(items.get(sku, 0), quantity) for sku, quantity in wanted.items()])
        percent[warehouse] = covered * 100 // units if units else 0
    return {
        "order": {
            "region": row.region,
            "province_code": row.province_code,
            "city_code": row.city_code,
            "district_code": row.district_code,
            "channel": row.channel,
            "kind": row.kind,
            "total": row.total,
            "lines": len(row.lines),
            "units": units,
            "requirements": row.requirements,
        },
        "stock": {
            "complete": [warehouse for warehouse, share in percent.items() if share == 100],
            "percent": percent,
        },
    }


def in_force(state: State, knobs: Knobs, now: datetime) -> RuleGraph:
    """Return the rules in force. The shipped ones become version 1 when they are first needed, and stay on record."""
    rules = state.get(RuleGraph, GRAPH)
    if rules is None:
        rules = shipped_rules(knobs.shipped, now)
        state.put(rules)
        state.append(version_of(rules, ""))
    return rules


def shipped_rules(content: dict[str, Any], now: datetime) -> RuleGraph:
    """Return version 1."""
    return RuleGraph(
        name=GRAPH,
        version=1,
        content_hash=digest(content),
        content=content,
        changed_at=now,
        changed_by=SHIPPED,
    )


def version_of(rules: RuleGraph, why: str) -> RuleVersion:
    """Return the record that is kept of rules for good."""
    return RuleVersion(
        name=rules.name,
        version=rules.version,
        content_hash=rules.content_hash,
        content=rules.content,
        changed_at=rules.changed_at,
        changed_by=rules.changed_by,
        why=why,
    )


def choose(row: OrderRoute, wanted: Mapping[str, int], rules: RuleGraph) -> Choice:
    """Return the rules' choice for an order, or raise RuleFailed with one sentence without data."""
    answer = graph_of(rules.content, rules.version, rules.content_hash).evaluate(facts_of(row, wanted))
    wrong = check_answer(answer)
    if wrong:
        raise RuleFailed("; ".join(wrong))
    return Choice(answer["warehouse"].strip(), answer["rule"], Why(plain(answer["why_zh"]), plain(answer["why_en"])))
