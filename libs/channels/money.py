"""Amounts as platforms write them, into whole fen; nothing is rounded and nothing is guessed."""

import re
from decimal import Decimal
from typing import Any

from libs.channels.refusals import OrderRefused

FEN_PER_YUAN = 100
YUAN_LIMIT_CHARACTERS = 20

# No exponents: a few characters would stand for a number of a million digits.
_PLAIN = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


def fen_of_yuan(field: str, value: Any) -> int:
    """Return fen for yuan ("12.30", 12, Decimal); more than two decimals or anything else is refused by field name."""
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise OrderRefused(field, "is not an amount in yuan")
    text = _written(value)
    fen = Decimal(text) * FEN_PER_YUAN if _PLAIN.fullmatch(text) else None
    if fen is None or fen != fen.to_integral_value():
        raise OrderRefused(field, "is not an amount in yuan with at most two decimals")
    return int(fen)


def _written(value: str | int | Decimal) -> str:
    """Return the amount as text; "" when it is longer than an amount can be."""
    if isinstance(value, int) and abs(value) >= 10**YUAN_LIMIT_CHARACTERS:
        return ""  # to write a number of a million digits out would take minutes
    text = str(value).strip()
    return text if len(text) <= YUAN_LIMIT_CHARACTERS else ""


def fen(field: str, value: Any) -> int:
    """Return an amount that is in fen already; a fraction is refused by field name."""
    if (
        isinstance(value, str)
        and value.isascii()
        and value.lstrip("-").isdigit()
        and len(value) <= YUAN_LIMIT_CHARACTERS
    ):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise OrderRefused(field, "is not a whole amount in fen")
    return value
