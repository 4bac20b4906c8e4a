"""The rules in force: the shipped ones until somebody replaces them, every version kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from libs.decide import Output, Reply, State, problem
from libs.rules import Graph, RuleRefused, compile_graph, digest, graph_of
from services.risk.domain.findings import VOCABULARY
from services.risk.domain.rows import RULES_NAME, ReplaceRules, RuleGraph, RuleVersion

SHIPPED_BY = "ordo"


class Rulebook:
    """Knows the content this release ships; the first decision ever made writes it down as version 1."""

    def __init__(self, shipped: Mapping[str, Any]) -> None:
        self.shipped = dict(shipped)
        self._hash = digest(self.shipped)

    def row(self, state: State, now: datetime) -> RuleGraph:
        """Return the rules in force as stored."""
        row = state.get(RuleGraph, RULES_NAME)
        if row is None:
            row = self.first(now)
            _keep(state, row, "shipped")
        return row

    def first(self, now: datetime) -> RuleGraph:
        """Return the shipped rules as version 1."""
        return RuleGraph(
            name=RULES_NAME,
            version=1,
            content_hash=self._hash,
            content=self.shipped,
            changed_at=now,
            changed_by=SHIPPED_BY,
        )

    def graph(self, row: RuleGraph) -> Graph:
        """Return the compiled rules; RuleFailed if an engine of another version no longer takes them."""
        return graph_of(row.content, row.version, row.content_hash)


def replace(command: ReplaceRules, state: State, now: datetime, *, rulebook: Rulebook) -> list[Output]:
    """Put new rules in force, if they are based on those in force now, compile, and keep their own promises."""
    current = rulebook.row(state, now)
    if command.base_version != current.version:
        detail = f"version {current.version} is in force, the change was based on {command.base_version}"
        return [problem(409, "the rules changed meanwhile", detail, version=current.version)]
    version = current.version + 1
    try:
        compile_graph(command.content, version, VOCABULARY)
    except RuleRefused as refused:
        return [problem(422, "the rules are refused", refused.reasons[0], reasons=refused.reasons)]
    content_hash = digest(command.content)
    if content_hash == current.content_hash:
        return [Reply(body={"version": current.version, "content_hash": content_hash, "changed": False})]
    row = RuleGraph(
        name=RULES_NAME,
        version=version,
        content_hash=content_hash,
        content=command.content,
        changed_at=now,
        changed_by=command.by,
    )
    _keep(state, row, command.why)
    return [Reply(body={"version": version, "content_hash": content_hash, "changed": True})]


def _keep(state: State, row: RuleGraph, why: str) -> None:
    state.put(row)
    entry = RuleVersion(
        name=row.name,
        version=row.version,
        content_hash=row.content_hash,
        content=row.content,
        changed_at=row.changed_at,
        changed_by=row.changed_by,
        why=why,
    )
    state.append(entry)
