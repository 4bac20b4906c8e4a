"""Says why something failed, group by group, in words that can be logged: what, where, and no data that it held."""

import re
from types import TracebackType

CAUSES_LIMIT = 8
DEPTH_LIMIT = 16
TEXT_LIMIT_CHARACTERS = 200
OUR_PACKAGES = ("libs.", "services.")
# Their texts repeat the value at fault, which may be anybody's name; where they were raised tells as much.
REPEATS_DATA = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
_LONG_NUMBER_OR_ADDRESS = re.compile(r"\+?\d(?:[ \-.]?\d){6,}|[^\s@]+@[^\s@]+")


def causes(error: BaseException) -> list[str]:
    """Return what lies at the bottom of an error, one line for each member of a group, at most `CAUSES_LIMIT`."""
    found: list[str] = []
    _gather(error, found, DEPTH_LIMIT)
    if len(found) > CAUSES_LIMIT:
        found = [*found[: CAUSES_LIMIT - 1], f"and {len(found) - CAUSES_LIMIT + 1} more"]
    return found


def cause(error: BaseException) -> str:
    """Return one error in words: its kind, its own text unless that may repeat data, and where it was raised."""
    words = type(error).__name__
    text = "" if isinstance(error, REPEATS_DATA) else str(error)
    if text:
        shown = "".join(letter if letter.isprintable() else " " for letter in text[:TEXT_LIMIT_CHARACTERS])
        words += f": {_LONG_NUMBER_OR_ADDRESS.sub('…', shown)}"
    place = _place(error.__traceback__)
    return f"{words} ({place})" if place else words


def _gather(error: BaseException, found: list[str], depth: int) -> None:
    if isinstance(error, BaseExceptionGroup) and depth > 0:
        for each in error.exceptions:
            _gather(each, found, depth - 1)
    else:
        found.append(cause(error))


def _place(trace: TracebackType | None) -> str:
    """Return the innermost place in our own code: module, function and line."""
    place = ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(OUR_PACKAGES):
            place = f"{module}.{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
