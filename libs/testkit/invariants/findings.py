"""What a check says: one finding an invariant, with everything wrong counted and the first of it told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

EXAMPLES_LIMIT = 5
EXAMPLE_LIMIT_CHARACTERS = 240


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One invariant: whether it holds, what speaks against it, and how much was looked at to say so."""

    id: str
    title: str
    ok: bool
    detail: str = ""
    looked_at: str = ""


class Wrong:
    """Everything that speaks against one invariant: all of it counted, the first of it kept in words."""

    __slots__ = ("count", "examples")

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[str] = []

    def add(self, text: str) -> None:
        """Take in one thing that is wrong."""
        self.count += 1
        if len(self.examples) < EXAMPLES_LIMIT:
            self.examples.append(text[:EXAMPLE_LIMIT_CHARACTERS])

    def expect(self, holds: object, text: str) -> None:
        """Take `text` in unless `holds`."""
        if not holds:
            self.add(text)

    def text(self) -> str:
        """Return what is wrong in one line."""
        rest = self.count - len(self.examples)
        return "; ".join(self.examples) + (f"; and {rest} more" if rest > 0 else "")


class Seen(dict[str, Wrong]):
    """What was seen to be wrong while facts streamed by, invariant by invariant."""

    def __missing__(self, invariant: str) -> Wrong:
        found = self[invariant] = Wrong()
        return found


@dataclass(frozen=True)
class Check:
    """One invariant. `safety` ones hold at any moment, the others once everything that was said has been heard.

    `run` adds to what streaming saw and returns what it looked at.
    """

    id: str
    title: str
    safety: bool
    run: Callable[[Any, Wrong], str]

    def finding(self, facts: Any, seen: Seen) -> Finding:
        """Return the finding of this check over loaded facts."""
        wrong = Wrong()
        before = seen.get(self.id)
        if before is not None:
            wrong.count, wrong.examples = before.count, list(before.examples)
        looked_at = self.run(facts, wrong)
        return Finding(id=self.id, title=self.title, ok=not wrong.count, detail=wrong.text(), looked_at=looked_at)

    def unheld(self, reason: str) -> Finding:
        """Return the finding of a check that could not be made."""
        return Finding(id=self.id, title=self.title, ok=False, detail=reason, looked_at="nothing")
