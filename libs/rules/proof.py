"""A graph from outside becomes rules only after it was screened, compiled and gave what its own examples promise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from libs.rules.graph import Graph, RuleFailed
from libs.rules.screen import screen

EXAMPLES_LIMIT = 200


class RuleRefused(Exception):
    """The content is not taken as rules; `reasons` says everything that is wrong with it."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class Vocabulary:
    """What a service's rules may speak of: fact names, facts of an unremarkable case, and what an answer must be."""

    names: tuple[str, ...] = ()
    neutral: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[dict[str, Any]], list[str]] | None = None

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return `given` with every fact it leaves out taken from the unremarkable case."""
        return _merged(self.neutral, given)


def compile_graph(content: Any, version: int = 0, vocabulary: Vocabulary | None = None) -> Graph:
    """Return the compiled rules, or raise RuleRefused with every reason. Pure: equal content, equal verdict."""
    words = vocabulary or Vocabulary()
    reasons = screen(content, words.names)
    if reasons:
        raise RuleRefused(reasons)
    try:
        graph = Graph(content, version)
    except RuleFailed as failure:
        raise RuleRefused([str(failure)]) from None
    reasons = prove(graph, content.get("examples"), words)
    if reasons:
        raise RuleRefused(reasons)
    return graph


def prove(graph: Graph, examples: Any, words: Vocabulary) -> list[str]:
    """Return what the graph's own examples say against it."""
    if not isinstance(examples, list) or not examples:
        return ["give at least one example: {name, given, expect}"]
    if len(examples) > EXAMPLES_LIMIT:
        return [f"{len(examples)} examples, the limit is {EXAMPLES_LIMIT}"]
    reasons: list[str] = []
    if words.neutral:
        reasons.extend(_try(graph, "(an unremarkable case)", {}, {}, words))
    for place, example in enumerate(examples, start=1):
        if not isinstance(example, dict) or set(example) - {"name", "given", "expect", "note"}:
            reasons.append(f"example {place} must be an object with name, given, expect (and note)")
            continue
        given, expect = example.get("given"), example.get("expect")
        if not isinstance(given, dict) or not isinstance(expect, dict):
            reasons.append(f"example {place}: given and expect must be objects")
            continue
        reasons.extend(_try(graph, str(example.get("name", place)), given, expect, words))
    return reasons


def _try(graph: Graph, name: str, given: Mapping[str, Any], expect: Mapping[str, Any], words: Vocabulary) -> list[str]:
    try:
        answer = graph.evaluate(words.complete(given))
    except RuleFailed as failure:
        return [f"example `{name}` fails: {failure}"]
    wrong = words.check(answer) if words.check is not None else []
    difference = differs(expect, answer)
    if difference:
        wrong.append(difference)
    return [f"example `{name}`: {reason}" for reason in wrong]


def differs(expect: Any, answer: Any, path: str = "") -> str:
    """Return where `answer` is not what `expect` says (fields that `expect` does not name are free); '' if nowhere."""
    if isinstance(expect, dict) and isinstance(answer, dict):
        for name, value in expect.items():
            found = differs(value, answer.get(name), f"{path}.{name}" if path else name)
            if found:
                return found
        return ""
    if isinstance(expect, list) and isinstance(answer, list):
        if len(expect) != len(answer):
            return f"{path or 'result'} has {len(answer)} items, expected {len(expect)}"
        for place, (wanted, got) in enumerate(zip(expect, answer, strict=True)):
            found = differs(wanted, got, f"{path}[{place}]")
            if found:
                return found
        return ""
    same = expect == answer and isinstance(expect, bool) == isinstance(answer, bool)
    return "" if same else f"{path or 'result'} is {answer!r}, expected {expect!r}"


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
