"""Promises: every line of an order is reserved in the pool or none is, and given back at most once."""

from collections.abc import Iterable
from datetime import datetime

from contracts.orders import OrderAmended, OrderCancelRequested, OrderContent, OrderPlaced, RefundRequested
from contracts.risk import OrderRejected
from contracts.stock import StockLine, StockReleased, StockReserved, StockShort
from libs.decide import Output, State
from services.inventory.domain import figures, waiting
from services.inventory.domain.figures import Policy
from services.inventory.domain.rows import (
    ASSIGNED,
    POOL_QUEUE,
    PROMISED,
    RELEASED,
    RESERVED,
    SHORT,
    LedgerEntry,
    Pool,
    Reservation,
)


def reserve(event: OrderPlaced, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Reserve a new order, or queue it for what is missing."""
    if state.get(Reservation, event.order_id) is not None:
        return []
    row = Reservation(order_id=event.order_id, version=event.version, lines=lines_of(event))
    return _promise(row, state, now, policy)


def amend(event: OrderAmended, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Exchange what an order reserved for its new content, while no warehouse owes it yet."""
    row = state.get(Reservation, event.order_id)
    if row is None:
        row = Reservation(order_id=event.order_id, version=event.version, lines=lines_of(event))
        return _promise(row, state, now, policy)
    if event.version <= row.version or row.state not in (RESERVED, SHORT, ASSIGNED):
        return []
    lines = lines_of(event)
    unchanged = lines == row.lines
    if row.state == ASSIGNED:
        # A new address leaves the goods where they are; new goods come too late, and fulfillment says so.
        if unchanged:
            row.version = event.version
            state.put(row)
        return []
    if row.state == SHORT:
        return _amend_short(row, event.version, lines, state, now, policy)
    if not unchanged:
        return _exchange(row, event.version, lines, state, now, policy)
    waiting.leave(row, state)
    row.version = event.version
    row.shippable = figures.shippable(figures.quantities(lines), state)
    state.put(row)
    return [StockReserved(order_id=row.order_id, version=row.version, lines=row.lines, shippable=row.shippable)]


def cancel(event: OrderCancelRequested, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Give back what an order reserved; once a warehouse owes it, fulfillment decides instead."""
    return _withdraw(event.order_id, 0, "cancelled", state, now, policy)


def refund(event: RefundRequested, state: State, now: datetime, policy: Policy) -> list[Output]:
    """A refund before shipping is a cancellation; one after shipping is no matter of stock.

    Neither is one of some lines only: an amendment takes them out.
    """
    if event.after_shipping or event.line_ids:
        return []
    return _withdraw(event.order_id, 0, "refunded", state, now, policy)


def reject(event: OrderRejected, state: State, now: datetime, policy: Policy) -> list[Output]:
    """A reviewer refused the order: nothing of it ships."""
    return _withdraw(event.order_id, event.version, "rejected", state, now, policy)


def lines_of(content: OrderContent) -> list[StockLine]:
    """Return what an order wants, line by line; a quantity below one cannot be handled and must not be guessed."""
    lines = []
    for line in content.lines:
        if line.quantity < 1:
            raise ValueError(f"line {line.line_id} of {content.order_id} wants {line.quantity} units")
        lines.append(StockLine(line_id=line.line_id, sku=line.sku, quantity=line.quantity))
    return lines


def give_back(wanted: dict[str, int], cause: str, state: State, now: datetime, policy: Policy) -> None:
    """Return reserved units to the pool; the caller eases the deficit and wakes who waits."""
    day = figures.sales_day_of(now)
    for sku, quantity in wanted.items():
        pool = state.get(Pool, sku)
        assert pool is not None, "what is reserved has a pool"
        pool.reserved -= quantity
        figures.note_sale(pool, -quantity, day, policy.sales_window_days)
        state.put(pool)
        state.append(LedgerEntry(cause=cause, sku=sku, warehouse="", kind=PROMISED, delta=-quantity, at=now))


def ease(skus: Iterable[str], state: State) -> None:
    """Let the deficit of these SKUs fall to what is still owed and absent."""
    for sku in skus:
        pool = state.get(Pool, sku)
        if pool is not None and pool.deficit:
            figures.ease_deficit(pool)
            state.put(pool)


def _promise(row: Reservation, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Reserve everything, or queue for the first thing that is missing."""
    wanted = figures.quantities(row.lines)
    missing = waiting.shortages(wanted, {}, state, comes_now=True)
    if not missing:
        return [waiting.take(row, wanted, state, now, policy)]
    row.state = SHORT
    row.shippable = []
    waiting.join(row, missing[0].sku, POOL_QUEUE, [], state, now, policy)
    state.put(row)
    return [StockShort(order_id=row.order_id, version=row.version, missing=missing)]


def _amend_short(
    row: Reservation, version: int, lines: list[StockLine], state: State, now: datetime, policy: Policy
) -> list[Output]:
    """Try again with the new content; an order that still wants the same keeps its place in the line."""
    missing = waiting.shortages(figures.quantities(lines), {}, state, comes_now=True)
    row.version = version
    if missing and lines == row.lines:
        state.put(row)
        return [StockShort(order_id=row.order_id, version=version, missing=missing)]
    waiting.leave(row, state)
    row.lines = lines
    return _promise(row, state, now, policy)


def _exchange(
    row: Reservation, version: int, lines: list[StockLine], state: State, now: datetime, policy: Policy
) -> list[Output]:
    """Release the old content and reserve the new in one decision: units wanted by both are never up for grabs."""
    waiting.leave(row, state)
    released = StockReleased(order_id=row.order_id, version=row.version, reason="amended", lines=row.lines, final=False)
    cause = f"{row.order_id}@{row.version}/released"
    held = figures.quantities(row.lines)
    wanted = figures.quantities(lines)
    missing = waiting.shortages(wanted, held, state)
    row.version = version
    row.lines = lines
    give_back(held, cause, state, now, policy)
    if missing:
        ease(held, state)
        outcome = _promise(row, state, now, policy)
    else:
        outcome = [waiting.take(row, wanted, state, now, policy)]
        ease(held, state)
    return [released, *outcome, *waiting.wake_all(held, "", "released", state, now)]


def _withdraw(order_id: str, version: int, reason: str, state: State, now: datetime, policy: Policy) -> list[Output]:
    """End an order that no warehouse owes yet; anything else is a no-op."""
    row = state.get(Reservation, order_id)
    if row is None:
        # The refusal overtook the order on another topic: remember it, so that nothing is ever reserved.
        state.put(Reservation(order_id=order_id, version=version, state=RELEASED))
        return []
    if row.state not in (RESERVED, SHORT):
        return []
    waiting.leave(row, state)
    lines = row.lines if row.state == RESERVED else []
    cause = f"{order_id}@{row.version}/released"
    held = figures.quantities(lines)
    give_back(held, cause, state, now, policy)
    ease(held, state)
    row.state = RELEASED
    state.put(row)
    released = StockReleased(order_id=order_id, version=row.version, reason=reason, lines=lines)
    return [released, *waiting.wake_all(held, "", "released", state, now)]
