"""A run as a person reads it: who decides what, what is said because of it, and the law that it broke."""

from typing import Any

import msgspec

from contracts.envelope import Event
from libs.decide import Command, Due
from modelcheck.model import Model, Move, Told
from modelcheck.search import Found
from modelcheck.town import READERS

# Fields that tell one message from another; the rest only makes a line long.
SHOWN = (
    "version",
    "plan",
    "request_id",
    "task_id",
    "parcel_id",
    "reason",
    "changed",
    "final",
    "accepted",
    "by",
    "picker",
)
LISTED = ("parcels", "cancelled_parcels", "shipped_parcels", "parcel_ids", "missing", "lines")
WIDTH = 118


def story_of(found: Found) -> list[str]:
    """Return the shortest way to what is wrong, one decision a line, with what it said."""
    assert found.model is not None, "a search has a model"
    assert found.broken is not None, "a story ends with what is wrong"
    model = found.model
    lines = [f"  {found.scenario.name}", "  the platform wrote:"]
    lines += [f"       {describe(model.alphabet.messages[letter])}" for letter in model.log]
    for number, told in enumerate(_followed(model, found.story), 1):
        message = model.alphabet.messages[told.letter]
        verb = {Event: "reads", Command: "is asked", Due: "is due:"}
        does = next(word for kind, word in verb.items() if isinstance(message, kind))
        lines.append(f"  {number:3}. {READERS[told.reader]} {does} {describe(message)}"[:WIDTH])
        lines += [f"         says {describe(model.alphabet.messages[event])}"[:WIDTH] for event in told.events]
    return [*lines, f"  BROKEN  {found.broken.law}", f"          {found.broken.seen}"]


def _followed(model: Model, story: list[Move]) -> list[Told]:
    return model.follow(story)


def describe(message: Event | Command | Due) -> str:
    """Return a message's type and the fields that matter in a story."""
    if isinstance(message, Due):
        return f"timer {message.kind} {message.key}"
    words = [type(message).__name__]
    fields: dict[str, Any] = msgspec.to_builtins(message)
    words += [f"{name}={fields[name]}" for name in SHOWN if fields.get(name) not in (None, "", [])]
    words += [f"{name}={_short(fields[name])}" for name in LISTED if fields.get(name)]
    return " ".join(words)


def _short(items: list[Any]) -> str:
    texts = []
    for item in items:
        if not isinstance(item, dict):
            texts.append(str(item))
        elif "parcel_id" in item:
            texts.append(f"{item['parcel_id']}@{item['warehouse']}")
        else:
            units = item.get("quantity", item.get("wanted"))
            texts.append(f"{units} {item['sku']}")
    return ", ".join(texts)
