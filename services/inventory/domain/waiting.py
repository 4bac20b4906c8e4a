"""Who waits for stock: a FIFO line per SKU and per warehouse, retried a bounded number of orders at a time.

An order waits in one line only: at the first thing it lacks. When that comes and something else lacks, it moves on.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from contracts.stock import ShippableChanged, Shortage, StockReserved
from libs.decide import Due, Output, State, Wake
from services.inventory.domain import figures
from services.inventory.domain.figures import Policy
from services.inventory.domain.rows import (
    ANYWHERE,
    POOL_QUEUE,
    PROMISED,
    RESERVED,
    SHORT,
    LedgerEntry,
    Pool,
    Portion,
    Queue,
    Reservation,
    Wait,
    Waiting,
)

RETRY = "retry"
RECHECK = "recheck"
ELSEWHERE = "elsewhere"


def timer_key(sku: str, warehouse: str, ticket: int) -> str:
    """Return the timer's key: which line is retried from which ticket on."""
    return f"{sku}#{warehouse}#{ticket}"


def timer_parts(key: str) -> tuple[str, str, int]:
    """Return what `timer_key` put together; a warehouse code never holds a '#', a SKU may."""
    sku, warehouse, ticket = key.rsplit("#", 2)
    return sku, warehouse, int(ticket)


def join(
    row: Reservation, sku: str, warehouse: str, portions: list[Portion], state: State, now: datetime, policy: Policy
) -> list[Output]:
    """Put the order at the end of a line. Its ticket is new, so nothing needs to be loaded for it.

    With a warehouse's line begins the look at what other warehouses could ship for it.
    """
    pool = state.get(Pool, sku) or Pool(sku=sku)
    queue = pool.waiting.get(warehouse)
    if queue is None:
        queue = pool.waiting[warehouse] = Queue()
    ticket = queue.next
    queue.next += 1
    queue.length += 1
    wanted = figures.quantities(row.lines)
    if warehouse == POOL_QUEUE:
        queue.least = wanted[sku] if queue.length == 1 else min(queue.least, wanted[sku])
    state.put(pool)
    skus = list(wanted)
    state.put(Waiting(sku=sku, warehouse=warehouse, ticket=ticket, order_id=row.order_id, skus=skus))
    row.wait = Wait(sku=sku, warehouse=warehouse, ticket=ticket, portions=portions)
    begins = queue.length == 1 and warehouse not in (POOL_QUEUE, ANYWHERE)
    return [look_later(sku, warehouse, now, policy)] if begins else []


def look_later(sku: str, warehouse: str, now: datetime, policy: Policy) -> Wake:
    """Return the timer that looks through a warehouse's line for orders that others can ship by now."""
    at = now + timedelta(milliseconds=policy.elsewhere_every_ms)
    return Wake(kind=ELSEWHERE, key=timer_key(sku, warehouse, 1), at=at)


def leave(row: Reservation, state: State) -> None:
    """Take the order out of the line it waits in, if it does."""
    wait = row.wait
    if wait is None:
        return
    row.wait = None
    entry = state.get(Waiting, wait.sku, wait.warehouse, wait.ticket)
    pool = state.get(Pool, wait.sku)
    if entry is None or pool is None:
        return
    state.delete(entry)
    queue = pool.waiting[wait.warehouse]
    queue.length -= 1
    if queue.length == 0:
        del pool.waiting[wait.warehouse]
    state.put(pool)


def wake(pool: Pool, warehouse: str, cause: str, now: datetime) -> list[Output]:
    """Return the timers that retry who waits, after the pool (and `warehouse`, unless empty) may have gained stock."""
    if not pool.waiting:
        return []
    timers: list[Output] = []
    for name in (POOL_QUEUE, warehouse, ANYWHERE) if warehouse else (POOL_QUEUE,):
        queue = pool.waiting.get(name)
        if queue is None or not left_for(pool, name, {}):
            continue
        queue.cause = cause
        queue.trying, queue.until = queue.first, queue.next
        timers.append(Wake(kind=RETRY, key=timer_key(pool.sku, name, queue.first), at=now))
    return timers


def left_for(pool: Pool, warehouse: str, spent: dict[tuple[str, str], int]) -> bool:
    """Tell whether anything is left that somebody in this line could get."""
    if warehouse == POOL_QUEUE:
        return figures.sellable(pool) >= max(1, pool.waiting[POOL_QUEUE].least)
    return figures.free_in(pool, warehouse) > spent.get((pool.sku, warehouse), 0)


def wake_all(skus: Iterable[str], warehouse: str, cause: str, state: State, now: datetime) -> list[Output]:
    """Return the timers of `wake` for several SKUs."""
    timers: list[Output] = []
    for sku in skus:
        pool = state.get(Pool, sku)
        if pool is not None and pool.waiting:
            timers.extend(wake(pool, warehouse, cause, now))
    return timers


def shortages(wanted: dict[str, int], held: dict[str, int], state: State, *, comes_now: bool = False) -> list[Shortage]:
    """Return what the pool cannot promise now beyond what the order holds already, in the order of the lines.

    Goods that just came are for those who wait for them: an order that `comes_now` finds none until they were tried.
    """
    missing = []
    for sku, quantity in wanted.items():
        pool = state.get(Pool, sku)
        if pool is None or not pool.defined:
            missing.append(Shortage(sku=sku, wanted=quantity, sellable=0, reason="unknown_sku"))
            continue
        has = held.get(sku, 0)
        if quantity > has and (free := figures.sellable(pool)) < quantity - has:
            missing.append(Shortage(sku=sku, wanted=quantity, sellable=free + has))
        elif comes_now and pool.waiting and (line := pool.waiting.get(POOL_QUEUE)) is not None and line.trying:
            missing.append(Shortage(sku=sku, wanted=quantity, sellable=0))
    return missing


def take(row: Reservation, wanted: dict[str, int], state: State, now: datetime, policy: Policy) -> StockReserved:
    """Promise all of `wanted` to the order: the caller has seen that nothing is missing."""
    day = figures.sales_day_of(now)
    cause = f"{row.order_id}@{row.version}/reserved"
    for sku, quantity in wanted.items():
        pool = state.get(Pool, sku)
        assert pool is not None, "a SKU without a pool is a shortage"
        pool.reserved += quantity
        figures.note_sale(pool, quantity, day, policy.sales_window_days)
        state.put(pool)
        state.append(LedgerEntry(cause=cause, sku=sku, warehouse="", kind=PROMISED, delta=quantity, at=now))
    row.state = RESERVED
    row.shippable = figures.shippable(wanted, state)
    state.put(row)
    return StockReserved(order_id=row.order_id, version=row.version, lines=row.lines, shippable=row.shippable)


def announce(row: Reservation, cause: str, state: State) -> ShippableChanged:
    """Tell routing the fresh numbers of a reserved order, and remember what it was told."""
    row.shippable = figures.shippable(figures.quantities(row.lines), state)
    state.put(row)
    return ShippableChanged(order_id=row.order_id, version=row.version, shippable=row.shippable, cause=cause)


def lacking(portions: list[Portion], state: State, spent: dict[tuple[str, str], int]) -> Portion | None:
    """Return the first portion that cannot be given after what this round announced to others; None if all can."""
    for portion in portions:
        pool = state.get(Pool, portion.sku)
        free = 0 if pool is None else figures.free_in(pool, portion.warehouse)
        if free - spent.get((portion.sku, portion.warehouse), 0) < portion.quantity:
            return portion
    return None


def retry(due: Due, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Try the orders of one line again, at most `retry_limit_orders` tickets, and let a timer go on with the rest."""
    sku, warehouse, start = timer_parts(due.key)
    pool = state.get(Pool, sku)
    queue = None if pool is None else pool.waiting.get(warehouse)
    if pool is None or queue is None:
        return []
    newest = start == queue.trying
    if not left_for(pool, warehouse, {}):
        if newest:
            queue.trying = 0
            state.put(pool)
        return []
    end = min(start + policy.retry_limit_orders, queue.next)
    start = max(start, queue.first)
    if start >= end:
        # The line moved on since this timer was set: begin where it begins now, unless there is nobody left.
        goes_on = end < queue.next
        if newest:
            queue.trying = queue.first if goes_on and queue.first < queue.until else 0
            state.put(pool)
        return [Wake(kind=RETRY, key=timer_key(sku, warehouse, queue.first), at=now)] if goes_on else []
    outputs: list[Output] = []
    survivors: list[Waiting] = []
    spent: dict[tuple[str, str], int] = {}
    for ticket in range(start, end):
        entry = state.get(Waiting, sku, warehouse, ticket)
        if entry is None:
            continue
        if left_for(pool, warehouse, spent):
            outputs.extend(_try(entry, queue.cause, spent, state, now, policy))
        if state.get(Waiting, sku, warehouse, ticket) is not None:
            survivors.append(entry)
    onward = _close_ranks(survivors, start, end, queue, state)
    goes_on = end < queue.next and queue.length > 0 and left_for(pool, warehouse, spent)
    if newest:
        # Who came since stands behind, but nobody waits for them: the end of a line that grows would never come.
        queue.trying = onward if goes_on and onward < queue.until else 0
    state.put(pool)
    if goes_on:
        outputs.append(Wake(kind=RETRY, key=timer_key(sku, warehouse, onward), at=now))
    if spent and queue.length:
        # Whoever was told may plan elsewhere or be cancelled: look again whether the goods were really taken.
        at = now + timedelta(milliseconds=policy.recheck_after_ms)
        outputs.append(Wake(kind=RECHECK, key=timer_key(sku, warehouse, queue.first), at=at))
    return outputs


def _try(
    entry: Waiting, cause: str, spent: dict[tuple[str, str], int], state: State, now: datetime, policy: Policy
) -> list[Output]:
    """Try one waiting order: it leaves the line served, moves to the line of what it lacks now, or stays."""
    row = state.get(Reservation, entry.order_id)
    if row is None or row.wait is None or row.wait.ticket != entry.ticket:
        raise ValueError(f"ticket {entry.ticket} of {entry.sku} is not the one {entry.order_id} waits with")
    if row.state == SHORT:
        wanted = figures.quantities(row.lines)
        missing = shortages(wanted, {}, state)
        if not missing:
            leave(row, state)
            return [take(row, wanted, state, now, policy)]
        if all(shortage.sku != entry.sku for shortage in missing):
            return _move(row, missing[0].sku, POOL_QUEUE, state, now, policy)
        return []
    portions = row.wait.portions
    if lacking(portions, state, spent) is None:
        for portion in portions:
            place = (portion.sku, portion.warehouse)
            spent[place] = spent.get(place, 0) + portion.quantity
        leave(row, state)
        return [announce(row, cause, state)]
    here = (entry.sku, entry.warehouse)
    absent = [portion for portion in portions if lacking([portion], state, {}) is not None]
    if absent and all((portion.sku, portion.warehouse) != here for portion in absent):
        return _move(row, absent[0].sku, absent[0].warehouse, state, now, policy)
    return []


def _move(row: Reservation, sku: str, warehouse: str, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Let the order wait for what it lacks now."""
    assert row.wait is not None, "only an order that waits can move"
    portions = row.wait.portions
    leave(row, state)
    outputs = join(row, sku, warehouse, portions, state, now, policy)
    state.put(row)
    return outputs


def _close_ranks(survivors: list[Waiting], start: int, end: int, queue: Queue, state: State) -> int:
    """Keep the line dense and return the ticket to go on from.

    Where holes outnumber those who still wait, these move up to `end` in their order, and the next stretch takes
    them along: a long line costs about one look per waiting order, however many were served before.
    """
    at_head = start == queue.first
    if at_head:
        queue.first = survivors[0].ticket if survivors else end
        start = queue.first
    if len(survivors) * 2 > end - start:
        return end
    target = end
    for entry in reversed(survivors):
        target -= 1
        if entry.ticket != target:
            _renumber(entry, target, state)
    if at_head:
        queue.first = target
    return target


def _renumber(entry: Waiting, ticket: int, state: State) -> None:
    row = state.get(Reservation, entry.order_id)
    assert row is not None, "a waiting order has a reservation"
    assert row.wait is not None, "a waiting order knows its ticket"
    state.delete(entry)
    moved = Waiting(sku=entry.sku, warehouse=entry.warehouse, ticket=ticket, order_id=entry.order_id, skus=entry.skus)
    state.put(moved)
    row.wait.ticket = ticket
    state.put(row)
