"""Splits one ZEN expression into tokens: enough to see which functions it calls and which facts it names."""

import re
from collections.abc import Generator, Iterator

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<text>"[^"]*"|'[^']*')
    | (?P<number>\d[\d_]*(?:\.(?!\.)[\d_]*)?(?:e[+-]?\d+)?)
    | (?P<name>[A-Za-z_$\#][\w$\#]*)
    | (?P<dots>\.\.)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LOOPED_RANGE = "a range of numbers may only stand after `in`"


def tokens(expression: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of every token but spaces; `${...}` in a template counts as an expression of its own."""
    place = 0
    while place < len(expression):
        if expression[place] == "`":
            place = yield from _template(expression, place + 1)
            continue
        place = yield from _token(expression, place)


def calls(expression: str) -> list[str]:
    """Return the names that `expression` calls as functions; methods (`x.name()`) come with their dot."""
    found = list(tokens(expression))
    names = []
    for place, (kind, text) in enumerate(found):
        if kind == "name" and place + 1 < len(found) and found[place + 1][1] == "(":
            names.append(f".{text}" if place and found[place - 1][1] == "." else text)
    return names


def paths(expression: str) -> list[tuple[str, ...]]:
    """Return every dotted path (`order.total`) that `expression` reads from its facts."""
    found = [*tokens(expression), ("other", "")]
    result: list[tuple[str, ...]] = []
    current: list[str] = []
    for place, (kind, text) in enumerate(found):
        before = found[place - 1][1] if place else ""
        if kind == "name" and before == "." and current:
            current.append(text)
        elif text != "." or not current:
            if current:
                result.append(tuple(current))
            current = [text] if kind == "name" and before != "." else []
    return result


def depth(expression: str) -> int:
    """Return how deep the brackets of `expression` stand in one another."""
    now = deepest = 0
    for kind, text in tokens(expression):
        if kind == "other" and text in "([{":
            now += 1
            deepest = max(deepest, now)
        elif kind == "other" and text in ")]}":
            now = max(0, now - 1)
    return deepest


def looped_range(expression: str, unary: bool) -> str | None:
    """Return why `expression` is refused if it builds a list out of a range, which could be endless; else None."""
    opened: list[str] = []
    before = ""
    for kind, text in tokens(expression):
        if text in "([{" and kind == "other":
            opened.append(before)
        elif text in ")]}" and kind == "other" and opened:
            opened.pop()
        elif kind == "dots":
            start = opened[-1] if opened else None
            if start != "in" and not (unary and start in ("", ",", "and", "or", "not")):
                return _LOOPED_RANGE
        before = text
    return None


def _token(expression: str, place: int) -> Generator[tuple[str, str], None, int]:
    found = _TOKEN.match(expression, place)
    assert found is not None, "the pattern's last branch takes any character"
    if found.lastgroup != "space":
        yield found.lastgroup or "other", found.group()
    return found.end()


def _template(expression: str, place: int) -> Generator[tuple[str, str], None, int]:
    # Its value is the place after the closing backtick. As in the engine, the first `}` or backtick that stands in no
    # text of its own ends a `${`.
    while place < len(expression):
        if expression[place] == "`":
            return place + 1
        if not expression.startswith("${", place):
            place += 1
            continue
        yield "other", "("
        place += 2
        while place < len(expression) and expression[place] not in "}`":
            place = yield from _token(expression, place)
        yield "other", ")"
        if expression.startswith("}", place):
            place += 1
    return place
