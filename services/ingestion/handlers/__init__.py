"""Which message is decided by which function: orders in, connections to platforms, and what goes back to them."""

from collections.abc import Iterable
from datetime import datetime

from libs.decide import Handlers, Output, State
from services.ingestion.handlers.connections import connections
from services.ingestion.handlers.orders import orders
from services.ingestion.handlers.outward import following_sales, outward


def handlers() -> Handlers:
    """Return everything that ingestion decides."""
    return following_sales(_merged((orders(), connections(), outward())))


def _merged(parts: Iterable[Handlers]) -> Handlers:
    """Put parts together; a message decided by two of them would be a mistake, and fails at the start."""
    every = list(parts)
    for kinds in ([part.on for part in every], [part.timers for part in every], [part.delivered for part in every]):
        named = [kind for part in kinds for kind in part]
        if len(named) != len(set(named)):
            raise ValueError(f"decided by two parts: {named}")
    settles = [part.settle for part in every if part.settle is not None]

    def settle(state: State, now: datetime) -> list[Output]:
        return [output for each in settles for output in each(state, now)]

    return Handlers(
        service="ingestion",
        on={kind: on for part in every for kind, on in part.on.items()},
        timers={kind: on for part in every for kind, on in part.timers.items()},
        delivered={kind: on for part in every for kind, on in part.delivered.items()},
        settle=settle if settles else None,
        rows=tuple(dict.fromkeys(row for part in every for row in part.rows)),
        entries=tuple(dict.fromkeys(entry for part in every for entry in part.entries)),
    )
