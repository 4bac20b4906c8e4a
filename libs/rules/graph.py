"""One compiled decision graph: the same facts give the same answer, and a failure is one short, data-free sentence."""

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import zen

GRAPH_CACHE_LIMIT_GRAPHS = 16
ERROR_LIMIT_CHARS = 300
_KEY = "rules"

_graphs: dict[tuple[str, int], "Graph"] = {}


class RuleFailed(Exception):
    """The rules could not answer: which node failed, and why. The caller says what that means for its order."""


def digest(content: Mapping[str, Any]) -> str:
    """Return the hash that names `content`: equal content, equal name, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def graph_of(content: Mapping[str, Any], version: int, content_hash: str) -> "Graph":
    """Return the compiled graph of content proven earlier; compiled once a process, found by `content_hash`."""
    key = (content_hash, version)
    graph = _graphs.get(key)
    if graph is None:
        graph = Graph(content, version)
        if len(_graphs) >= GRAPH_CACHE_LIMIT_GRAPHS:
            _graphs.pop(next(iter(_graphs)))
        _graphs[key] = graph
    return graph


class Graph:
    """Compiled rules and their parameters. It trusts `content`: what comes from outside goes through `compile_graph`.

    The engine asks its loader for the compiled content on each evaluation; a decision object costs twenty times that.
    """

    __slots__ = ("_evaluate", "parameters", "version")

    def __init__(self, content: Mapping[str, Any], version: int = 0) -> None:
        self.version = version
        self.parameters: dict[str, Any] = dict(content.get("parameters", {}))
        try:
            compiled = zen.ZenDecisionContent(msgspec.json.encode(content["jdm"]).decode())
            engine = zen.ZenEngine({"loader": lambda _key: compiled})
            engine.create_decision(compiled).validate()
        except Exception as error:  # noqa: BLE001 - whatever the engine says of content is a refusal
            raise RuleFailed(f"the graph does not compile: {_sentence(error)}") from None
        self._evaluate = engine.evaluate

    def evaluate(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the rules answer to `facts` (`parameters` are added); numbers may come back as floats."""
        try:
            answer = self._evaluate(_KEY, {**facts, "parameters": self.parameters})["result"]
        except Exception as error:  # noqa: BLE001 - the engine raises Exception itself for numbers it cannot hold
            raise RuleFailed(_sentence(error)) from None
        if not isinstance(answer, dict):
            raise RuleFailed("the rules gave no result: no path through the graph reached its end")
        return cast("dict[str, Any]", answer)


def _sentence(error: Exception) -> str:
    # The engine appends a stack trace with addresses, which differ from run to run: a replay must see equal words.
    text = str(error).partition("\n\nStack backtrace")[0].strip()
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return " ".join(text.split())[:ERROR_LIMIT_CHARS]
    parts: list[str] = []
    while isinstance(found, dict):
        node, kind = found.get("nodeId"), found.get("type")
        parts.append(f"node {node}" if node else str(kind or "error"))
        found = found.get("source", found.get("error"))
    if found is not None:
        parts.append(str(found))
    return ": ".join(parts)[:ERROR_LIMIT_CHARS]
