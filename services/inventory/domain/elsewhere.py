"""Who waits at one warehouse hears when another has come to hold all of the order: rules may choose by stock."""

from datetime import datetime, timedelta

from libs.decide import Due, Output, State, Wake
from services.inventory.domain import figures, waiting
from services.inventory.domain.figures import Policy
from services.inventory.domain.rows import Pool, Reservation, Waiting


def look(due: Due, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Look through a warehouse's line, `retry_limit_orders` tickets at a time, and after a pause from its head again.

    Goods that come to a warehouse wake its own lines at once. What they make whole for orders in other lines is found
    here, slowly: few rules ask for it, and to find it at once an order would need a place for each of its SKUs. As many
    are told as the goods suffice for.
    """
    sku, warehouse, start = waiting.timer_parts(due.key)
    pool = state.get(Pool, sku)
    queue = None if pool is None else pool.waiting.get(warehouse)
    if queue is None:
        return []
    end = min(start + policy.retry_limit_orders, queue.next)
    outputs: list[Output] = []
    spent: dict[tuple[str, str], int] = {}
    for ticket in range(max(start, queue.first), end):
        entry = state.get(Waiting, sku, warehouse, ticket)
        if entry is not None:
            outputs.extend(_tell(entry, spent, state))
    if end < queue.next:
        # What was announced is taken, or not, before the next stretch is looked at.
        at = now + timedelta(milliseconds=policy.recheck_after_ms) if spent else now
        onward = waiting.timer_key(sku, warehouse, max(end, queue.first))
        return [*outputs, Wake(kind=waiting.ELSEWHERE, key=onward, at=at)]
    return [*outputs, waiting.look_later(sku, warehouse, now, policy)]


def _tell(entry: Waiting, spent: dict[tuple[str, str], int], state: State) -> list[Output]:
    """Announce an order that a warehouse can ship whole, unless routing knows; it keeps its place until planned."""
    row = state.get(Reservation, entry.order_id)
    assert row is not None, "a waiting order has a reservation"
    wanted = figures.quantities(row.lines)
    known = {place.warehouse for place in row.shippable if figures.quantities(place.items) == wanted}
    for name in _whole_at(wanted, spent, state):
        if name != entry.warehouse and name not in known:
            for sku, quantity in wanted.items():
                spent[sku, name] = spent.get((sku, name), 0) + quantity
            return [waiting.announce(row, "elsewhere", state)]
    return []


def _whole_at(wanted: dict[str, int], spent: dict[tuple[str, str], int], state: State) -> list[str]:
    """Return the warehouses that could ship all of `wanted` after what this round announced to others, by code."""
    found: set[str] | None = None
    for sku, quantity in wanted.items():
        pool = state.get(Pool, sku)
        levels = {} if pool is None else pool.warehouses
        having = {
            name for name, level in levels.items() if figures.free_at(level) - spent.get((sku, name), 0) >= quantity
        }
        found = having if found is None else found & having
    return sorted(found or ())
