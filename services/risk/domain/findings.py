"""What the rules must answer, and the vocabulary in which they are written."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from contracts.orders import Destination, OrderLine, OrderPlaced
from contracts.risk import HoldReason
from libs.rules import Graph, RuleFailed, Vocabulary
from services.risk.domain.facts import FACTS, facts_of, utc

RULE_ERROR = "rule_error"
FINDINGS_LIMIT = 50
MESSAGE_LIMIT_CHARS = 500

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Message = Annotated[str, msgspec.Meta(min_length=1, max_length=MESSAGE_LIMIT_CHARS)]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the rules' answer: hold the order (`until` a time), or require something of its shipping."""

    rule: Name
    action: Literal["hold", "require"]
    message_zh: Message
    message_en: Message
    requirement: Name | None = None
    until: datetime | None = None
    facts: list[str] = []


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The rules' whole answer."""

    findings: Annotated[list[Finding], msgspec.Meta(max_length=FINDINGS_LIMIT)]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer in risk's own words, in the rules' order, each rule once; `unjudged` are the facts they failed on."""

    rule_version: int
    holds: list[HoldReason]
    requirements: list[str]
    why_zh: str = ""
    why_en: str = ""
    unjudged: Mapping[str, Any] = {}


def findings_of(answer: Mapping[str, Any]) -> list[Finding]:
    """Return the findings in `answer`, or raise RuleFailed where it is not what risk understands."""
    try:
        findings = msgspec.convert(answer, type=Answer).findings
    except msgspec.ValidationError as error:
        raise RuleFailed(f"the answer is not understood: {error}") from None
    for finding in findings:
        if (finding.action == "require") != (finding.requirement is not None):
            raise RuleFailed(f"rule {finding.rule}: a `require` names its requirement, a `hold` has none")
        if finding.rule == RULE_ERROR:
            raise RuleFailed(f"rule name {RULE_ERROR} is taken: it means that the rules failed")
    return findings


def judge(graph: Graph, facts: Mapping[str, Any], now: datetime) -> Verdict:
    """Return what the rules say; rules that fail hold the order, because nobody looked at it."""
    try:
        findings = findings_of(graph.evaluate(facts))
    except RuleFailed as failure:
        return failed(graph.version, str(failure), facts)
    if not findings:
        return Verdict(rule_version=graph.version, holds=[], requirements=[])
    holds: dict[str, HoldReason] = {}
    required: dict[str, Finding] = {}
    for finding in findings:
        if finding.requirement is not None:
            required.setdefault(finding.requirement, finding)
            continue
        until = None if finding.until is None else utc(finding.until)
        if until is not None and until <= now:
            continue
        reason = HoldReason(
            rule=finding.rule,
            rule_version=graph.version,
            facts=_seen(finding.facts, facts, graph.parameters),
            message_zh=finding.message_zh,
            message_en=finding.message_en,
            until=until,
        )
        holds.setdefault(finding.rule, reason)
    return Verdict(
        rule_version=graph.version,
        holds=list(holds.values()),
        requirements=sorted(required),
        why_zh="；".join([finding.message_zh for finding in required.values()]),
        why_en="; ".join([finding.message_en for finding in required.values()]),
    )


def failed(version: int, error: str, facts: Mapping[str, Any]) -> Verdict:
    """Return the verdict of rules that could not answer."""
    reason = HoldReason(
        rule=RULE_ERROR,
        rule_version=version,
        facts={"error": error},
        message_zh="风控规则执行失败，需人工审核",
        message_en="The risk rules failed: held for review",
    )
    return Verdict(rule_version=version, holds=[reason], requirements=[], unjudged=facts)


def _seen(names: list[str], facts: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    seen = {}
    for name in names:
        group, _, field = name.partition(".")
        found = parameters if group == "parameters" else facts.get(group)
        seen[name] = found.get(field) if isinstance(found, Mapping) else None
    return seen


_NAMES = frozenset(fact.name for fact in FACTS)


def _check(answer: dict[str, Any]) -> list[str]:
    try:
        findings = findings_of(answer)
    except RuleFailed as failure:
        return [str(failure)]
    named = [name for finding in findings for name in finding.facts]
    return [f"there is no fact `{name}`" for name in named if name not in _NAMES and not name.startswith("parameters.")]


# An order nothing speaks against; examples name only what differs from it.
UNREMARKABLE = facts_of(
    OrderPlaced(
        order_id="own.demo.1",
        version=1,
        channel="own",
        shop_id="demo",
        platform_order_id="1",
        placed_at=datetime(2026, 1, 1, tzinfo=UTC),
        paid_at=datetime(2026, 1, 1, tzinfo=UTC),
        currency="CNY",
        buyer_key="b",
        destination=Destination(
            resolved=True, province_code="420000", city_code="420100", district_code="420111", region="华中"
        ),
        lines=[OrderLine(line_id="1", sku="A", quantity=1, unit_price=1000)],
        total=1000,
    ),
    costs={},
    nth_of_day=1,
    allowed=False,
    now=datetime(2026, 1, 1, tzinfo=UTC),
)
VOCABULARY = Vocabulary(names=tuple(fact.name for fact in FACTS), neutral=UNREMARKABLE, check=_check)
