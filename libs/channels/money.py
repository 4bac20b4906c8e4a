"""Amounts as platforms write them, into whole fen; nothing is rounded and nothing is guessed."""

from decimal import Decimal, InvalidOperation
from typing import Any

from libs.channels.refusals import OrderRefused

FEN_PER_YUAN = 100
YUAN_LIMIT_CHARACTERS = 20


def fen_of_yuan(field: str, value: Any) -> int:
    """Return fen for yuan ("12.30", 12, Decimal); more than two decimals or anything else is refused by field name."""
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise OrderRefused(field, "is not an amount in yuan")
    text = str(value).strip()
    try:
        fen = Decimal(text) * FEN_PER_YUAN if len(text) <= YUAN_LIMIT_CHARACTERS else Decimal("NaN")
    except InvalidOperation:
        fen = Decimal("NaN")
    if not fen.is_finite() or fen != fen.to_integral_value():
        raise OrderRefused(field, "is not an amount in yuan with at most two decimals")
    return int(fen)


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
