"""Which event is folded how: as of its own time, into its order's row, the stages' counters and the timeline."""

from typing import Any

from contracts.envelope import Event
from contracts.parked import MessageParked
from libs.decide import Command, Handlers, Needs, On
from services.tower import domain
from services.tower.domain import OrderView, ParkedCount, StageCount

# A set keeps its members' hashes, and every event asks for these.
_ALL_STAGES = frozenset((stage,) for stage in domain.STAGES)


def _order_needs(event: Event) -> Needs:
    return {OrderView: ((event.key,),), StageCount: _ALL_STAGES}


def _no_needs(event: Event) -> Needs:
    return {}


def _parked_needs(event: MessageParked) -> Needs:
    return {ParkedCount: ((event.origin_topic,),)}


def handlers() -> Handlers:
    """Return the fold of every event that concerns an order; of the others the tower only moves its position."""
    on: dict[type[Event] | type[Command], On[Any]] = {
        kind: On(domain.fold_of(kind), needs=_order_needs, own_time=True) for kind in domain.CHANGES
    }
    on.update({kind: On(domain.note_told, needs=_no_needs, own_time=True) for kind in domain.TOLD})
    # It is about a message that nobody could read, which the tower may have had to set aside as well: it never waits.
    on[MessageParked] = On(domain.note_parked, needs=_parked_needs, own_time=True, waits=False)
    return Handlers(
        service="tower",
        on=on,
        settle=domain.name_warehouses,
        rows=(OrderView, StageCount, ParkedCount),
        entries=(domain.TimelineEntry, domain.PickLatency),
    )
