"""From promise to parcel: a plan is taken whole or refused, a parcel consumes or frees what it owed exactly once."""

from datetime import datetime

from contracts.routes import RouteBlocked, RoutePlanned
from contracts.shipments import FulfillmentCancelled, ParcelShipped
from contracts.stock import (
    AssignmentRefused,
    ParcelPlan,
    StockAssigned,
    StockLine,
    StockReleased,
    StockShipped,
)
from libs.decide import Output, State
from services.inventory.domain import figures, waiting
from services.inventory.domain.figures import Policy
from services.inventory.domain.reserve import ease, give_back
from services.inventory.domain.rows import (
    ANYWHERE,
    ASSIGNED,
    CANCELLED,
    CLOSED,
    ON_HAND,
    OPEN,
    OWED,
    PROMISED,
    RELEASED,
    RESERVED,
    SHIPPED,
    SHORT,
    LedgerEntry,
    Level,
    Parcel,
    Pool,
    Portion,
    Reservation,
)


def assign(event: RoutePlanned, state: State, now: datetime) -> list[Output]:
    """Take a plan if it fits the order and the warehouses still have the goods; else say what they have."""
    row = state.get(Reservation, event.order_id)
    if row is None or row.state not in (RESERVED, SHORT) or event.plan <= row.plan:
        return []
    row.plan = event.plan
    if event.version != row.version:
        return [_refuse(row, event, "stale_version", state)]
    if row.state == SHORT:
        return [_refuse(row, event, "gone", state)]
    if not covers(event.parcels, row):
        return [_refuse(row, event, "mismatch", state)]
    owed = _owed_by_warehouse(event.parcels)
    for (sku, warehouse), quantity in owed.items():
        pool = state.get(Pool, sku)
        if pool is None or figures.free_at(pool.warehouses.get(warehouse)) < quantity:
            return [_refuse(row, event, "gone", state)]
    waiting.leave(row, state)
    for parcel in event.parcels:
        for sku, quantity in figures.quantities(parcel.lines).items():
            pool = state.get(Pool, sku)
            assert pool is not None, "free goods have a pool"
            pool.warehouses[parcel.warehouse].assigned += quantity
            state.put(pool)
            cause = f"{parcel.parcel_id}/assigned"
            state.append(_entry(cause, sku, parcel.warehouse, OWED, quantity, now))
    row.state = ASSIGNED
    row.shippable = []
    row.requirements = event.requirements
    row.parcels = [Parcel(parcel_id=p.parcel_id, warehouse=p.warehouse, lines=p.lines) for p in event.parcels]
    state.put(row)
    return [
        StockAssigned(
            order_id=row.order_id,
            version=row.version,
            plan=event.plan,
            parcels=event.parcels,
            requirements=event.requirements,
        )
    ]


def block(event: RouteBlocked, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Queue an order at the warehouse that lacks its goods, or plan it again at once if they came meanwhile.

    One that is blocked again for want of the same goods there keeps its place.
    """
    row = state.get(Reservation, event.order_id)
    if row is None or row.state != RESERVED or row.version != event.version:
        return []
    portions = _portions(event, row)
    if not portions or (row.wait is not None and row.wait.portions == portions):
        return []
    lack = waiting.lacking(portions, state, {})
    if lack is not None and row.wait is not None and (lack.sku, lack.warehouse) == (row.wait.sku, row.wait.warehouse):
        row.wait.portions = portions
        state.put(row)
        return []
    waiting.leave(row, state)
    if lack is None:
        return [waiting.announce(row, "meanwhile", state)]
    outputs = waiting.join(row, lack.sku, lack.warehouse, portions, state, now, policy)
    state.put(row)
    return outputs


def ship(event: ParcelShipped, state: State, now: datetime) -> list[Output]:
    """Consume what the parcel owed: the goods left the building, whatever a count had said before."""
    row = state.get(Reservation, event.order_id)
    parcel = _open_parcel(row, event.task_id)
    if row is None or parcel is None:
        return []
    timers: list[Output] = []
    for sku, quantity in figures.quantities(parcel.lines).items():
        pool = state.get(Pool, sku)
        assert pool is not None, "what is assigned has a pool"
        level = pool.warehouses[parcel.warehouse]
        found = quantity - level.on_hand
        if found > 0:
            # The scanner saw units that the last count did not: the count was wrong, and the ledger says so.
            level.on_hand += found
            pool.on_hand += found
            state.append(_entry(f"{parcel.parcel_id}/found", sku, parcel.warehouse, ON_HAND, found, now))
        level.on_hand -= quantity
        level.assigned -= quantity
        pool.on_hand -= quantity
        pool.reserved -= quantity
        _ease_level(pool, level)
        state.put(pool)
        if found > 0:
            timers.extend(waiting.wake(pool, parcel.warehouse, "count", now))
        cause = f"{parcel.parcel_id}/shipped"
        state.append(_entry(cause, sku, parcel.warehouse, ON_HAND, -quantity, now))
        state.append(_entry(cause, sku, parcel.warehouse, OWED, -quantity, now))
        state.append(_entry(cause, sku, "", PROMISED, -quantity, now))
    parcel.state = SHIPPED
    _close_when_settled(row)
    state.put(row)
    left = StockShipped(
        order_id=row.order_id, parcel_id=parcel.parcel_id, warehouse=parcel.warehouse, lines=parcel.lines
    )
    return [left, *timers]


def free(event: FulfillmentCancelled, state: State, now: datetime, policy: Policy) -> list[Output]:
    """Give back what the cancelled parcels owed, each parcel once."""
    row = state.get(Reservation, event.order_id)
    if row is None:
        return []
    lines: list[StockLine] = []
    parcel_ids: list[str] = []
    timers: list[Output] = []
    for parcel_id in event.cancelled_parcels:
        parcel = _open_parcel(row, parcel_id)
        if parcel is None:
            continue
        held = figures.quantities(parcel.lines)
        cause = f"{parcel_id}/cancelled"
        for sku, quantity in held.items():
            pool = state.get(Pool, sku)
            assert pool is not None, "what is assigned has a pool"
            level = pool.warehouses[parcel.warehouse]
            level.assigned -= quantity
            _ease_level(pool, level)
            state.append(_entry(cause, sku, parcel.warehouse, OWED, -quantity, now))
        give_back(held, cause, state, now, policy)
        ease(held, state)
        timers.extend(waiting.wake_all(held, parcel.warehouse, "released", state, now))
        parcel.state = CANCELLED
        lines.extend(parcel.lines)
        parcel_ids.append(parcel_id)
    if not parcel_ids:
        return []
    _close_when_settled(row)
    state.put(row)
    released = StockReleased(
        order_id=row.order_id,
        version=row.version,
        reason="fulfillment_cancelled",
        lines=lines,
        parcel_ids=parcel_ids,
        final=row.state != ASSIGNED,
    )
    return [released, *timers]


def covers(parcels: list[ParcelPlan], row: Reservation) -> bool:
    """Tell whether the parcels hold exactly the reserved lines, no unit more or less, under ids of their own."""
    ids = {parcel.parcel_id for parcel in parcels}
    prefix = f"{row.order_id}/"
    if len(ids) != len(parcels) or not all(parcel_id.startswith(prefix) for parcel_id in ids):
        return False
    if len(parcels) == 1 and parcels[0].lines == row.lines:
        return True
    left: dict[tuple[str, str], int] = {}
    for line in row.lines:
        left[line.line_id, line.sku] = left.get((line.line_id, line.sku), 0) + line.quantity
    for parcel in parcels:
        for line in parcel.lines:
            if line.quantity < 1 or (line.line_id, line.sku) not in left:
                return False
            left[line.line_id, line.sku] -= line.quantity
    return not any(left.values())


def _owed_by_warehouse(parcels: list[ParcelPlan]) -> dict[tuple[str, str], int]:
    owed: dict[tuple[str, str], int] = {}
    for parcel in parcels:
        for line in parcel.lines:
            place = (line.sku, parcel.warehouse)
            owed[place] = owed.get(place, 0) + line.quantity
    return owed


def _refuse(row: Reservation, event: RoutePlanned, reason: str, state: State) -> AssignmentRefused:
    """Refuse the plan with fresh numbers; a short order can ship nothing."""
    if row.state == RESERVED:
        row.shippable = figures.shippable(figures.quantities(row.lines), state)
    state.put(row)
    return AssignmentRefused(
        order_id=row.order_id, version=event.version, plan=event.plan, shippable=row.shippable, reason=reason
    )


def _portions(event: RouteBlocked, row: Reservation) -> list[Portion]:
    """Return what must be free: what routing had been told of, and what it missed beyond.

    Where transfers cure it, the order waits for its warehouse; what they do not cover changes the plan anywhere.
    """
    wanted = figures.quantities(row.lines)
    told: dict[tuple[str, str], int] = {}
    for place in row.shippable:
        for item in place.items:
            for name in (place.warehouse, ANYWHERE):
                told[item.sku, name] = told.get((item.sku, name), 0) + item.quantity
    moved: dict[str, int] = {}
    for move in event.transfers:
        moved[move.sku] = moved.get(move.sku, 0) + move.quantity
    # It has to come first, wherever it comes: only then is there a whole transfer to wait for.
    absent = [missing for missing in event.missing if moved.get(missing.sku, 0) < missing.quantity]
    portions = []
    for missing in absent or event.missing:
        name = ANYWHERE if absent or not missing.warehouse else missing.warehouse
        quantity = min(wanted.get(missing.sku, 0), told.get((missing.sku, name), 0) + missing.quantity)
        if quantity > 0:
            portions.append(Portion(sku=missing.sku, warehouse=name, quantity=quantity))
    return portions


def _open_parcel(row: Reservation | None, parcel_id: str) -> Parcel | None:
    if row is None:
        return None
    for parcel in row.parcels:
        if parcel.parcel_id == parcel_id:
            return parcel if parcel.state == OPEN else None
    return None


def _close_when_settled(row: Reservation) -> None:
    """End the order with its last open parcel: closed if anything left, released if nothing did."""
    states = [parcel.state for parcel in row.parcels]
    if OPEN not in states:
        row.state = CLOSED if SHIPPED in states else RELEASED


def _ease_level(pool: Pool, level: Level) -> None:
    """Let both deficits fall, never rise."""
    if level.deficit:
        level.deficit = min(level.deficit, max(0, level.assigned - level.on_hand))
    figures.ease_deficit(pool)


def _entry(cause: str, sku: str, warehouse: str, kind: str, delta: int, now: datetime) -> LedgerEntry:
    return LedgerEntry(cause=cause, sku=sku, warehouse=warehouse, kind=kind, delta=delta, at=now)
