"""Values as platforms write them: documents, ids, texts, wall clocks, amounts by a table of units; pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import msgspec

from libs.channels.channel import Document
from libs.channels.money import fen, fen_of_yuan
from libs.channels.own.inbound import YEAR_FIRST, YEAR_LAST
from libs.channels.refusals import OrderRefused
from libs.channels.wire import decode

SHANGHAI = timezone(timedelta(hours=8))
WALL_CLOCK = "%Y-%m-%d %H:%M:%S"
HIDDEN = "***"  # stands for what a platform withholds altogether
NOTE_LIMIT_CHARACTERS = 2000
REASON_LIMIT_CHARACTERS = 200
NUMBER_LIMIT_CHARACTERS = 40

Units = Mapping[str, Literal["yuan", "fen"]]
"""Which unit a platform writes each of its amounts in; an amount that is not listed is never read."""

# No exponents: a few characters would stand for a number of a million digits.
_PLAIN_AMOUNT = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_BREAKS = re.compile(r"[\r\n\t]+")


# ---- Documents


def opened(document: Document) -> dict[str, Any]:
    """Return the object that a document is; OrderRefused when it is none."""
    try:
        value = decode(document.raw)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        raise OrderRefused("", "the document is not valid JSON") from None
    if not isinstance(value, dict):
        raise OrderRefused("", "the document is not an object")
    return value


def inside(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return what stands inside these names, one in the other, as far as the answer has them."""
    for name in names:
        if isinstance(answer.get(name), dict):
            answer = answer[name]
    return answer


# ---- Ids and texts


def number_or_none(value: Any) -> str | None:
    """Return an id as text, whichever way JSON carried it; None when it is no whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= NUMBER_LIMIT_CHARACTERS:
        return value
    return None


def number_of(field: str, value: Any) -> str:
    """Return an id as text; OrderRefused when it is no whole number."""
    number = number_or_none(value)
    if number is None:
        raise OrderRefused(field, "is not a number")
    return number


def written(row: Mapping[str, Any], name: str) -> str:
    """Return a text or a whole number as it is written, without blanks around it; "" for anything else."""
    value = row.get(name)
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def text_of(row: Mapping[str, Any], name: str) -> str:
    """Return a text as one line without control characters; "" when there is none."""
    return _CONTROL_IN_LINE.sub(" ", written(row, name)).strip()


def plain(text: str) -> str:
    """Return a text as one line; a break between its lines becomes a single blank."""
    return _CONTROL.sub(" ", _LINE_BREAKS.sub(" ", text)).strip()


def fitting(text: str, limit_characters: int) -> str:
    """Return a text that is no longer than it can be: longer ones are ciphers, of which a part is worth nothing."""
    return text if len(text) <= limit_characters else ""


def note_of(row: Mapping[str, Any], headed: Sequence[tuple[str, str]]) -> str:
    """Return an order's note from (heading, field) pairs; its lines stay, other control characters do not."""
    said = [
        (heading, _CONTROL.sub(" ", words).strip())
        for heading, name in headed
        if isinstance(words := row.get(name), str)
    ]
    return "\n".join(heading + words for heading, words in said if words)[:NOTE_LIMIT_CHARACTERS]


# ---- Times and amounts


def wall_clock(moment: datetime) -> str:
    """Return a moment as platforms write it: Shanghai's clock, whole seconds."""
    return moment.astimezone(SHANGHAI).strftime(WALL_CLOCK)


def moment_or_none(value: Any) -> datetime | None:
    """Return the moment of a Shanghai wall clock; None for anything else and for years that cannot be meant."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.strptime(value.strip(), WALL_CLOCK).replace(tzinfo=SHANGHAI)
    except ValueError:
        return None
    # A time that does not exist yet may be written as the year 1.
    return moment.astimezone(UTC) if YEAR_FIRST < moment.year < YEAR_LAST else None


def amount_of(units: Units, field: str, value: Any) -> int:
    """Return an amount in fen by the field's unit."""
    if not _PLAIN_AMOUNT.fullmatch(str(value)):
        raise OrderRefused(field, "is not an amount with at most two decimals")
    return fen_of_yuan(field, value) if units[field] == "yuan" else fen(field, value)
