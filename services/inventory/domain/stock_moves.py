"""What hands do to stock outside of orders: receipts, counts, announced shipments, transfers; each change one entry."""

from datetime import datetime

from contracts.stock import SkuQuantity
from contracts.stock_levels import InboundExpected
from libs.decide import Output, Reply, State, problem
from services.inventory.domain import figures, waiting
from services.inventory.domain.commands import AnnounceInbound, CountStock, ReceiveStock, ReceiveTransfer, SendTransfer
from services.inventory.domain.rows import (
    CLOSED,
    INBOUND,
    ON_HAND,
    OPEN,
    RECEIVED,
    Inbound,
    LedgerEntry,
    Pool,
    Transfer,
    Warehouse,
)


def receive(command: ReceiveStock, state: State, now: datetime) -> list[Output]:
    """Add goods to a warehouse, consume the shipment they belong to, and wake who waits for them."""
    items = figures.quantities(command.items)
    refusal = _unknown(command.warehouse, "warehouse", items, state) or _inbound_refusal(command, items, state)
    if refusal is not None:
        return [refusal]
    outputs: list[Output] = []
    cause = f"receipt/{command.command_id}"
    for sku, quantity in items.items():
        pool = _pool(sku, state)
        _add(pool, command.warehouse, quantity, cause, state, now)
        if command.inbound_id is not None:
            _consume(command, pool, quantity, state, now)
        figures.face_deficit(pool)
        state.put(pool)
        outputs.extend(waiting.wake(pool, command.warehouse, "receipt", now))
    levels = [_level_body(_pool(sku, state), command.warehouse) for sku in items]
    outputs.append(Reply(status=201, body={"warehouse": command.warehouse, "items": levels}))
    return outputs


def count(command: CountStock, state: State, now: datetime) -> list[Output]:
    """Believe the count. If less is there than is owed, the difference stands as a deficit until it is made good."""
    refusal = _unknown(command.warehouse, "warehouse", {command.sku: command.counted}, state)
    if refusal is not None:
        return [refusal]
    pool = _pool(command.sku, state)
    before = figures.level_at(pool, command.warehouse).on_hand
    _add(pool, command.warehouse, command.counted - before, f"count/{command.command_id}", state, now)
    figures.face_deficit(pool)
    state.put(pool)
    outputs = waiting.wake(pool, command.warehouse, "count", now)
    body = {"was": before, "difference": command.counted - before, **_level_body(pool, command.warehouse)}
    if body["deficit"] or pool.deficit:
        body["warning"] = (
            f"{body['deficit']} units owed to parcels here and {pool.deficit} promised to orders are not there"
        )
    outputs.append(Reply(status=201, body=body))
    return outputs


def announce_inbound(command: AnnounceInbound, state: State, now: datetime) -> list[Output]:
    """Expect a shipment: it counts into ATP at its yield, and into what may be sold as far as policy says."""
    refusal = _unknown(command.warehouse, "warehouse", {command.sku: command.quantity}, state)
    if refusal is not None:
        return [refusal]
    if state.get(Inbound, command.inbound_id) is not None:
        return [problem(409, "inbound shipment already announced", field="inbound_id")]
    state.put(
        Inbound(
            inbound_id=command.inbound_id,
            sku=command.sku,
            warehouse=command.warehouse,
            quantity=command.quantity,
            yield_percent=command.yield_percent,
            eta=command.eta,
        )
    )
    pool = _pool(command.sku, state)
    pool.inbound += command.quantity
    pool.inbound_points += command.quantity * command.yield_percent
    figures.ease_deficit(pool)
    state.put(pool)
    cause = f"inbound/{command.inbound_id}"
    state.append(_entry(cause, command.sku, command.warehouse, INBOUND, command.quantity, now))
    expected = InboundExpected(
        sku=command.sku,
        warehouse=command.warehouse,
        inbound_id=command.inbound_id,
        quantity=command.quantity,
        yield_percent=command.yield_percent,
        eta=command.eta,
    )
    body = {"inbound_id": command.inbound_id, "sku": command.sku, "atp": figures.atp(pool)}
    return [expected, *waiting.wake(pool, "", "inbound", now), Reply(status=201, body=body)]


def send_transfer(command: SendTransfer, state: State, now: datetime) -> list[Output]:
    """Let free units leave a warehouse: on the road they ship nothing, but keep backing the promises made on them."""
    items = figures.quantities(command.items)
    refusal = _unknown(command.from_warehouse, "from_warehouse", items, state) or _unknown(
        command.to_warehouse, "to_warehouse", items, state
    )
    if refusal is not None:
        return [refusal]
    if command.from_warehouse == command.to_warehouse:
        return [problem(409, "a transfer needs two warehouses", field="to_warehouse")]
    if state.get(Transfer, command.transfer_id) is not None:
        return [problem(409, "transfer already sent", field="transfer_id")]
    for sku, quantity in items.items():
        free = figures.free_at(_pool(sku, state).warehouses.get(command.from_warehouse))
        if free < quantity:
            return [problem(409, "not enough free stock", f"{sku}: {free} free", field="items", sku=sku, free=free)]
    cause = f"transfer/{command.transfer_id}/sent"
    for sku, quantity in items.items():
        pool = _pool(sku, state)
        _add(pool, command.from_warehouse, -quantity, cause, state, now)
        pool.in_transit += quantity
        state.append(_entry(cause, sku, command.to_warehouse, INBOUND, quantity, now))
        state.put(pool)
    state.put(
        Transfer(
            transfer_id=command.transfer_id,
            from_warehouse=command.from_warehouse,
            to_warehouse=command.to_warehouse,
            items=[SkuQuantity(sku=sku, quantity=quantity) for sku, quantity in items.items()],
            eta=command.eta,
            sent_at=now,
        )
    )
    return [Reply(status=201, body={"transfer_id": command.transfer_id, "state": "in_transit"})]


def receive_transfer(command: ReceiveTransfer, state: State, now: datetime) -> list[Output]:
    """End a transfer: what came is on hand, what did not come is lost and leaves the books."""
    transfer = state.get(Transfer, command.transfer_id)
    if transfer is None:
        return [problem(404, "no such transfer", field="transfer_id")]
    if transfer.state != "in_transit":
        return [problem(409, "transfer already received", field="transfer_id")]
    sent = figures.quantities(transfer.items)
    arrived = sent if command.items is None else figures.quantities(command.items)
    for sku, quantity in arrived.items():
        if quantity > sent.get(sku, 0):
            detail = f"{sku}: {sent.get(sku, 0)} were sent; book more as a receipt"
            return [problem(409, "more than was sent", detail, field="items", sku=sku, sent=sent.get(sku, 0))]
    outputs: list[Output] = []
    cause = f"transfer/{transfer.transfer_id}/received"
    for sku, quantity in sent.items():
        came = arrived.get(sku, 0)
        pool = _pool(sku, state)
        pool.in_transit -= quantity
        if came:
            state.append(_entry(cause, sku, transfer.to_warehouse, INBOUND, -came, now))
            _add(pool, transfer.to_warehouse, came, cause, state, now)
        if came < quantity:
            lost = f"transfer/{transfer.transfer_id}/lost"
            state.append(_entry(lost, sku, transfer.to_warehouse, INBOUND, came - quantity, now))
        figures.face_deficit(pool)
        state.put(pool)
        outputs.extend(waiting.wake(pool, transfer.to_warehouse, "transfer", now))
    transfer.state = RECEIVED
    transfer.received = [SkuQuantity(sku=sku, quantity=arrived.get(sku, 0)) for sku in sent]
    transfer.received_at = now
    state.put(transfer)
    lost_items = [
        {"sku": sku, "quantity": q - arrived.get(sku, 0)} for sku, q in sent.items() if arrived.get(sku, 0) < q
    ]
    body = {"transfer_id": transfer.transfer_id, "state": RECEIVED, "lost": lost_items}
    outputs.append(Reply(status=200, body=body))
    return outputs


def _unknown(warehouse: str, field: str, items: dict[str, int], state: State) -> Reply | None:
    """Refuse a warehouse or SKU that nobody defined, naming the field at fault."""
    if state.get(Warehouse, warehouse) is None:
        return problem(404, "no such warehouse", f"{warehouse} is not defined", field=field)
    for sku in items:
        pool = state.get(Pool, sku)
        if pool is None or not pool.defined:
            return problem(404, "no such SKU", f"{sku} is not defined", field="sku", sku=sku)
    return None


def _inbound_refusal(command: ReceiveStock, items: dict[str, int], state: State) -> Reply | None:
    """Refuse a receipt against a shipment that is unknown, over, elsewhere or of something else."""
    if command.inbound_id is None:
        return None
    inbound = state.get(Inbound, command.inbound_id)
    if inbound is None:
        return problem(404, "no such inbound shipment", field="inbound_id")
    if inbound.state != OPEN:
        return problem(409, "inbound shipment is closed", field="inbound_id")
    if inbound.warehouse != command.warehouse:
        return problem(409, "inbound shipment goes elsewhere", f"expected at {inbound.warehouse}", field="warehouse")
    if inbound.sku not in items:
        return problem(409, "inbound shipment holds another SKU", f"expected {inbound.sku}", field="items")
    return None


def _pool(sku: str, state: State) -> Pool:
    pool = state.get(Pool, sku)
    assert pool is not None, "the caller has refused unknown SKUs"
    return pool


def _add(pool: Pool, warehouse: str, units: int, cause: str, state: State, now: datetime) -> None:
    """Change what a warehouse has; what it owes and has not becomes its deficit."""
    level = figures.level_at(pool, warehouse)
    level.on_hand += units
    level.deficit = max(0, level.assigned - level.on_hand)
    pool.on_hand += units
    if units:
        state.append(_entry(cause, pool.sku, warehouse, ON_HAND, units, now))


def _consume(command: ReceiveStock, pool: Pool, quantity: int, state: State, now: datetime) -> None:
    """Stop expecting what arrived, and, if this was the last of the shipment, what did not."""
    assert command.inbound_id is not None, "the caller has an inbound shipment"
    inbound = state.get(Inbound, command.inbound_id)
    assert inbound is not None, "the caller has refused unknown shipments"
    if inbound.sku != pool.sku:
        return
    open_units = inbound.quantity - inbound.received
    arrived = min(quantity, open_units)
    closes = command.closes_inbound or arrived == open_units
    gone = open_units if closes else arrived
    inbound.received += arrived
    pool.inbound -= gone
    pool.inbound_points -= gone * inbound.yield_percent
    cause = f"receipt/{command.command_id}"
    if arrived:
        state.append(_entry(cause, pool.sku, inbound.warehouse, INBOUND, -arrived, now))
    if gone > arrived:
        state.append(_entry(f"{cause}/closed", pool.sku, inbound.warehouse, INBOUND, arrived - gone, now))
    if closes:
        inbound.state = CLOSED
    state.put(inbound)


def _level_body(pool: Pool, warehouse: str) -> dict[str, object]:
    level = figures.level_at(pool, warehouse)
    return {
        "sku": pool.sku,
        "warehouse": warehouse,
        "on_hand": level.on_hand,
        "assigned": level.assigned,
        "deficit": level.deficit,
        "sellable": figures.sellable(pool),
    }


def _entry(cause: str, sku: str, warehouse: str, kind: str, delta: int, now: datetime) -> LedgerEntry:
    return LedgerEntry(cause=cause, sku=sku, warehouse=warehouse, kind=kind, delta=delta, at=now)
