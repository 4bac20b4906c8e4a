"""A check: what every connector that can do something must do, whichever platform it speaks to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from libs.channels.tests.conformance.entries import Entry
from libs.channels.tests.conformance.stand import Stand

Run = Callable[[Stand], Awaitable[None]]
Applies = Callable[[Entry], bool]


@dataclass(frozen=True)
class Check:
    """One check. It raises AssertionError, or lets through what the connector raised against its interface."""

    name: str
    run: Run
    applies: Applies


CHECKS: dict[str, Check] = {}


def always(entry: Entry) -> bool:
    """Every connector takes this check."""
    return True


def check(applies: Applies = always) -> Callable[[Run], Run]:
    """Enter a check under its function's name; `applies` asks the capabilities whether a channel takes it."""

    def enter(run: Run) -> Run:
        CHECKS[run.__name__] = Check(run.__name__, run, applies)
        return run

    return enter
