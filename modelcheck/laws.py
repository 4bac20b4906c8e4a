"""What must hold: of each service's rows in every state, of everything said so far, and when nothing is left to do."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contracts.catalog import SkuDefined
from contracts.envelope import Event
from contracts.orders import OrderCancelRequested, RefundRequested
from contracts.risk import OrderCleared, OrderRejected
from contracts.shipments import AmendTooLate, CancelTooLate, FulfillmentCancelled, ParcelShipped, PickTaskCreated
from contracts.stock import SkuQuantity, StockAssigned, StockLine, StockReleased, StockShipped
from libs.decide import Command
from modelcheck.deciding import Broken, Service
from services.fulfillment.domain import OrderFile, PickLine, PickTask
from services.inventory.domain import DefineSku, DefineWarehouse, Pool, ReceiveStock, Reservation, Waiting
from services.routing.domain import OrderRoute
from services.tower.domain import OrderView, StageCount, stage_of

Fact = tuple[str, ...]
INVENTORY, RISK, FULFILLMENT = 0, 2, 3
WAREHOUSES = ("CD", "GZ")
ENDS = ("cancelled", "refunded", "rejected")


def setting(stock: Mapping[str, Mapping[str, int]], grams: Mapping[str, int]) -> Iterator[tuple[int, Event | Command]]:
    """Yield what makes the world the order meets, and which service hears it."""
    for code in WAREHOUSES:
        yield INVENTORY, DefineWarehouse(warehouse=code, name=code)
    for sku, weight in grams.items():
        yield INVENTORY, DefineSku(sku=sku, weight_grams=weight, cost=1)
        yield RISK, SkuDefined(sku=sku, weight_grams=weight, cost=1)
        yield FULFILLMENT, SkuDefined(sku=sku, weight_grams=weight, cost=1)
    for warehouse, goods in stock.items():
        items = [SkuQuantity(sku=sku, quantity=quantity) for sku, quantity in goods.items()]
        yield INVENTORY, ReceiveStock(command_id=f"begin-{warehouse}", warehouse=warehouse, items=items)


# -- what was said -----------------------------------------------------------------------------------------------------


def facts_of(event: Event) -> list[Fact]:
    """Return what an event says for good, in the form in which it may be said only once."""
    if isinstance(event, ParcelShipped):
        return [("shipped", event.task_id)]
    if isinstance(event, StockShipped):
        return [("consumed", event.parcel_id)]
    if isinstance(event, FulfillmentCancelled):
        return [("cancelled",), *[("stopped", parcel) for parcel in event.cancelled_parcels]]
    if isinstance(event, CancelTooLate):
        return [("too late", event.request_id)]
    if isinstance(event, StockReleased):
        found: list[Fact] = [("freed", parcel) for parcel in event.parcel_ids]
        return [*found, ("released", event.reason)] if event.final else found
    if isinstance(event, StockAssigned):
        return [("assigned",), *[("owed", parcel.parcel_id) for parcel in event.parcels]]
    if isinstance(event, PickTaskCreated):
        return [("task", event.task_id)]
    if isinstance(event, AmendTooLate):
        return [("amend too late", str(event.version), *event.changed)]
    if isinstance(event, OrderCleared):
        return [("cleared", str(event.version))]
    if isinstance(event, OrderRejected):
        return [("rejected",), ("asked", f"rejected@{event.version}")]
    if isinstance(event, OrderCancelRequested):
        return [("asked", event.request_id)]
    if isinstance(event, RefundRequested) and not event.after_shipping:
        return [("asked", event.request_id)]
    return []


def noted(said: frozenset[Fact], event: Event) -> frozenset[Fact]:
    """Add what an event says; nothing may be said twice, and no two things that exclude each other."""
    facts = facts_of(event)
    for fact in facts:
        if fact in said:
            raise Broken("nothing is said twice", " ".join(fact))
        for other in _excluded(fact):
            if other in said:
                raise Broken("never shipped and refunded", f"{' '.join(fact)}, though {' '.join(other)}")
        if fact[0] == "released" and any(known[0] == "released" for known in said):
            raise Broken(
                "never a double release", f"{fact[1]} after {[known[1] for known in said if known[0] == 'released']}"
            )
    return said.union(facts)


def check_leaving(fulfillment: Service, local: int, said: frozenset[Fact]) -> None:
    """Check, as a parcel leaves, that risk has cleared the newest content that fulfillment knows."""
    for file in fulfillment.rows(local, OrderFile):
        known = max(file.version, file.assigned_version)
        if ("cleared", str(known)) not in said:
            raise Broken("nothing leaves that risk has not cleared", f"version {known} of {file.order_id}")


def _excluded(fact: Fact) -> list[Fact]:
    word, *rest = fact
    ends: list[Fact] = [("released", reason) for reason in ENDS]
    table: dict[str, list[Fact]] = {
        "shipped": [("stopped", *rest), ("freed", *rest), *ends],
        "stopped": [("shipped", *rest), ("consumed", *rest)],
        "consumed": [("freed", *rest), ("stopped", *rest)],
        "freed": [("consumed", *rest), ("shipped", *rest)],
        "task": [("stopped", *rest), *ends],
        "assigned": ends,
        "cancelled": ends,
    }
    return table.get(word, [])


# -- each service's rows, in every state -------------------------------------------------------------------------------


def check_local(service: Service, local: int) -> None:
    """Check the rows of one service by themselves."""
    checks = {"inventory": _check_stock, "fulfillment": _check_hands, "routing": _check_route, "tower": _check_stage}
    check = checks.get(service.name)
    if check is not None:
        for wrong in check(service, local):
            raise Broken(f"{service.name}'s rows agree with one another", wrong)


def owed_lines(row: Reservation) -> list[tuple[str, str, int]]:
    """Return what an order holds: SKU, warehouse (empty while only promised), units."""
    if row.state == "reserved":
        return [(line.sku, "", line.quantity) for line in row.lines]
    if row.state != "assigned":
        return []
    return [
        (line.sku, parcel.warehouse, line.quantity)
        for parcel in row.parcels
        if parcel.state == "open"
        for line in parcel.lines
    ]


def _check_stock(service: Service, local: int) -> Iterator[str]:
    pools = service.rows(local, Pool)
    held = [owed for row in service.rows(local, Reservation) for owed in owed_lines(row)]
    booked: dict[tuple[Any, ...], int] = {}
    for _, sku, warehouse, kind, delta in service.locals[local].booked:
        booked[sku, warehouse, kind] = booked.get((sku, warehouse, kind), 0) + delta
    for pool in pools:
        promised = sum(units for sku, _, units in held if sku == pool.sku)
        if pool.reserved != promised:
            yield f"{pool.sku}: {pool.reserved} reserved, orders hold {promised}"
        if booked.get((pool.sku, "", "reserved"), 0) != pool.reserved:
            yield f"{pool.sku}: {pool.reserved} reserved, the ledger says {booked.get((pool.sku, '', 'reserved'), 0)}"
        if pool.on_hand != sum(level.on_hand for level in pool.warehouses.values()):
            yield f"{pool.sku}: {pool.on_hand} on hand is not the sum of its warehouses"
        if pool.reserved > pool.on_hand + pool.in_transit + pool.deficit or min(pool.reserved, pool.on_hand) < 0:
            yield f"{pool.sku}: {pool.reserved} reserved of {pool.on_hand} on hand, deficit {pool.deficit}"
        for name, level in pool.warehouses.items():
            owed = sum(units for sku, warehouse, units in held if (sku, warehouse) == (pool.sku, name))
            if level.assigned != owed or booked.get((pool.sku, name, "assigned"), 0) != owed:
                yield f"{pool.sku} at {name}: {level.assigned} assigned, open parcels hold {owed}"
            if booked.get((pool.sku, name, "on_hand"), 0) != level.on_hand or level.on_hand < 0:
                yield f"{pool.sku} at {name}: {level.on_hand} on hand is not what the ledger says"
    yield from _check_lines(service, local, pools)


def _check_lines(service: Service, local: int, pools: list[Pool]) -> Iterator[str]:
    places = {(row.sku, row.warehouse, row.ticket): row.order_id for row in service.rows(local, Waiting)}
    for row in service.rows(local, Reservation):
        if row.wait is not None and places.pop((row.wait.sku, row.wait.warehouse, row.wait.ticket), "") != row.order_id:
            yield f"{row.order_id} waits with a ticket that is not in line"
        if row.wait is not None and row.state not in ("reserved", "short"):
            yield f"{row.order_id} is {row.state} and still stands in line"
        if row.state == "short" and row.wait is None:
            yield f"{row.order_id} is short and stands in no line"
    if places:
        yield f"{sorted(places)} stand in line for nobody"
    standing = sum(queue.length for pool in pools for queue in pool.waiting.values())
    if standing != len(service.rows(local, Waiting)):
        yield f"lines count {standing} orders, {len(service.rows(local, Waiting))} stand in them"


def _check_hands(service: Service, local: int) -> Iterator[str]:
    tasks = {task.task_id: task for task in service.rows(local, PickTask)}
    for file in service.rows(local, OrderFile):
        for ref in file.tasks:
            task = tasks.pop(ref.task_id, None)
            ended = ref.state if task is None or task.state in ("shipped", "cancelled") else "open"
            if ref.state != ended or (task is None and ref.state != "cancelled"):
                yield f"{ref.task_id} is {ref.state} in its file and {task.state if task else 'nowhere'} as a task"
            if task is not None and ref.state not in ("open", task.state):
                yield f"{ref.task_id} is {ref.state} in its file and {task.state} as a task"
            if file.state in ("cancelled", "closed") and ref.state == "open":
                yield f"{ref.task_id} is open, its order {file.state}"
    if tasks:
        yield f"{sorted(tasks)} belong to no order"
    claims = {key for kind, key, _ in service.locals[local].timers if kind == "claim"}
    for task in service.rows(local, PickTask):
        if (task.state == "claimed") != (task.claim_until is not None) or (task.state == "claimed") != (
            task.task_id in claims
        ):
            yield f"{task.task_id} is {task.state}, its claim ends {task.claim_until}"
        if (task.state == "shipped") != (task.waybill is not None):
            yield f"{task.task_id} is {task.state} with waybill {task.waybill}"


def _check_route(service: Service, local: int) -> Iterator[str]:
    for row in service.rows(local, OrderRoute):
        if (row.state == "blocked") != (row.blocked_at is not None):
            yield f"{row.order_id} is {row.state}, blocked at {row.blocked_at}"
        if row.ended and row.state not in ("closed", "assigned"):
            yield f"{row.order_id} ended ({row.ended}) and is {row.state}"


def _check_stage(service: Service, local: int) -> Iterator[str]:
    counted = {row.stage: row.orders for row in service.rows(local, StageCount)}
    views = service.rows(local, OrderView)
    if counted != {view.stage: 1 for view in views}:
        yield f"the stages count {counted}, the order is {[view.stage for view in views]}"
    for view in views:
        if view.stage != stage_of(view):
            yield f"{view.order_id} is shown as {view.stage}, but stands in {stage_of(view)}"


def goods_of(lines: Iterable[StockLine | PickLine]) -> dict[tuple[str, str], int]:
    """Return units by line and SKU."""
    goods: dict[tuple[str, str], int] = {}
    for line in lines:
        goods[line.line_id, line.sku] = goods.get((line.line_id, line.sku), 0) + line.quantity
    return goods
