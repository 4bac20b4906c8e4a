"""Refuses, before anything is evaluated, a graph that could use a clock, chance or the outside, or never end."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
import zen

from libs.rules.tokens import calls, depth, looped_range, paths

CONTENT_LIMIT_BYTES = 256 * 1024
GRAPH_LIMIT_NODES = 200
TABLE_LIMIT_RULES = 1_000
DEPTH_LIMIT_BRACKETS = 64
ALLOWED_NODES = ("inputNode", "outputNode", "decisionTableNode", "expressionNode", "switchNode")
# Every date function reads the machine's clock or time zone for some argument (`d("Asia/Shanghai")` means now).
CLOCK = frozenset(
    (
        *("d", "date", "time", "duration", "startOf", "endOf", "year", "dayOfWeek", "dayOfMonth", "dayOfYear"),
        *("weekOfYear", "monthOfYear", "monthString", "dateString", "weekdayString"),
    )
)
CLOCK_METHODS = frozenset((".isToday", ".isYesterday", ".isTomorrow"))
RANDOM = frozenset(("rand",))
UNORDERED = frozenset(("keys", "values"))  # larger objects come out in an order that differs from process to process


def screen(content: Any, names: Collection[str] = ()) -> list[str]:
    """Return why `content` is refused (nothing: it may be compiled). With `names`, an unknown fact is a reason too."""
    if not isinstance(content, dict) or not isinstance(content.get("jdm"), dict):
        return ["content must be an object with `jdm` (nodes and edges), `examples` and `parameters`"]
    unknown = sorted(set(content) - {"jdm", "examples", "parameters"})
    reasons = [f"unknown field `{name}`" for name in unknown]
    try:
        encoded = msgspec.json.encode(content)
    except (TypeError, ValueError, RecursionError):
        return [*reasons, "content is not plain JSON"]
    if b"\\u0000" in encoded:
        return [*reasons, "content holds a NUL character, which cannot be stored"]
    size_bytes = len(encoded)
    if size_bytes > CONTENT_LIMIT_BYTES:
        return [*reasons, f"content has {size_bytes} bytes, the limit is {CONTENT_LIMIT_BYTES}"]
    parameters = content.get("parameters", {})
    reasons.extend(_parameters(parameters))
    nodes, edges = content["jdm"].get("nodes"), content["jdm"].get("edges")
    if not isinstance(nodes, list) or not isinstance(edges, list):
        return [*reasons, "jdm must have the lists `nodes` and `edges`"]
    if len(nodes) > GRAPH_LIMIT_NODES:
        return [*reasons, f"jdm has {len(nodes)} nodes, the limit is {GRAPH_LIMIT_NODES}"]
    known = set(names) | ({f"parameters.{name}" for name in parameters} if isinstance(parameters, dict) else set())
    for place, node in enumerate(nodes):
        reasons.extend(_node(node, place, known if names else set()))
    return reasons


def _parameters(parameters: Any) -> Iterator[str]:
    if not isinstance(parameters, dict):
        yield "parameters must be an object"
        return
    for name, value in parameters.items():
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float | bool) for item in items):
            yield f"parameter `{name}` must be a number, a text, true, false or a list of these"


def _node(node: Any, place: int, known: Collection[str]) -> Iterator[str]:
    if not isinstance(node, dict):
        yield f"node {place} is not an object"
        return
    where = f"node `{node.get('name') or node.get('id') or place}`"
    kind, node_content = node.get("type"), node.get("content", {})
    if kind not in ALLOWED_NODES:
        yield f"{where}: type `{kind}` is not allowed (only {', '.join(ALLOWED_NODES)})"
        return
    if not isinstance(node_content, dict):
        yield f"{where}: content must be an object"
        return
    if kind in ("inputNode", "outputNode"):
        yield from (f"{where}: {reason}" for reason in _schema(node_content.get("schema")))
        return
    rules = node_content.get("rules", [])
    if isinstance(rules, list) and len(rules) > TABLE_LIMIT_RULES:
        yield f"{where}: {len(rules)} rows, the limit is {TABLE_LIMIT_RULES}"
        return
    try:
        found = list(_expressions(kind, node_content))
    except (AttributeError, KeyError, TypeError):
        yield f"{where}: content is not as the JDM format has it"
        return
    for label, expression, unary in found:
        yield from (f"{where}, {label}: {reason}" for reason in _expression(expression, unary, known))


def _schema(schema: Any) -> Iterator[str]:
    if not schema:
        return
    try:
        tree = msgspec.json.decode(schema) if isinstance(schema, str) else schema
    except msgspec.DecodeError:
        yield "schema is not JSON"
        return
    open_values = [tree]
    while open_values:
        value = open_values.pop()
        if isinstance(value, dict):
            if not str(value.get("$ref", "#")).startswith("#"):
                yield "schema may refer only to itself"
            open_values.extend(value.values())
        elif isinstance(value, list):
            open_values.extend(value)


def _expressions(kind: str, content: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    # Yields (where, expression, whether it is a table cell that tests its column's field).
    if content.get("inputField"):
        yield "input field", content["inputField"], False
    if kind == "expressionNode":
        for row in content["expressions"]:
            yield f"`{row['key']}`", row["value"], False
    elif kind == "switchNode":
        for row in content["statements"]:
            yield f"statement {row['id']}", row["condition"], False
    else:
        for column in content["inputs"]:
            if column.get("field"):
                yield f"column `{column.get('name', column['id'])}`", column["field"], False
        for number, rule in enumerate(content["rules"], start=1):
            for column in content["inputs"]:
                yield f"row {number}", rule.get(column["id"], ""), bool(column.get("field"))
            for column in content["outputs"]:
                yield f"row {number}", rule.get(column["id"], ""), False


def _cell_parts(expression: str) -> list[str]:
    """Return the alternatives of a table cell, `"a", "b"`: the engine takes such lists, its validator only one."""
    parts, depth, quote = [""], 0, ""
    for letter in expression:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'`":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _expression(expression: Any, unary: bool, known: Collection[str]) -> Iterator[str]:
    if not isinstance(expression, str):
        yield "an expression must be a text"
        return
    expression = expression.strip()
    if not expression:
        return
    # The engine follows them by recursion, and some thousands end the process: it is not even asked whether they fit.
    if depth(expression) > DEPTH_LIMIT_BRACKETS:
        yield f"brackets stand more than {DEPTH_LIMIT_BRACKETS} deep in one another"
        return
    for part in _cell_parts(expression) if unary else [expression]:
        error = zen.validate_unary_expression(part.strip()) if unary else zen.validate_expression(part)
        if error is not None:
            yield f"{error['type']}: {error['source']}"
            return
    for name in calls(expression):
        if name in CLOCK or name in CLOCK_METHODS:
            yield f"`{name}()` reads a clock or time zone: use the time facts instead"
        elif name in RANDOM:
            yield f"`{name}()` is random"
        elif name in UNORDERED:
            yield f"`{name}()` has no fixed order"
    endless = looped_range(expression, unary)
    if endless is not None:
        yield endless
    roots = {name.split(".")[0].removesuffix("[]") for name in known}
    for path in paths(expression):
        if len(path) > 1 and path[0] in roots and f"{path[0]}.{path[1]}" not in known:
            yield f"there is no fact `{'.'.join(path)}`"
