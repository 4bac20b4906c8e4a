"""Kafka, commands and timers in: which decision each message meets, and which rows it needs for that."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from contracts.envelope import Event
from contracts.orders import OrderAmended, OrderCancelRequested, OrderContent, OrderPlaced, RefundRequested
from contracts.risk import OrderRejected
from contracts.routes import RouteBlocked, RoutePlanned
from contracts.shipments import FulfillmentCancelled, ParcelShipped
from contracts.stock import SkuQuantity
from libs.decide import Due, Handlers, Needs, On, State
from services.inventory import domain
from services.inventory.domain import (
    AnnounceInbound,
    CountStock,
    DefineSku,
    DefineWarehouse,
    Inbound,
    LedgerEntry,
    Policy,
    Pool,
    ReceiveStock,
    ReceiveTransfer,
    Reservation,
    SendTransfer,
    Sku,
    Telling,
    Transfer,
    Waiting,
    Warehouse,
)
from services.inventory.domain.waiting import timer_parts


def handlers(policy: Policy) -> Handlers:
    """Return everything inventory decides. Pools come first among the rows: their lock guards a SKU's queues."""
    limit_orders = policy.retry_limit_orders
    line, line_orders = partial(_line, limit_orders), partial(_line_orders, limit_orders)
    timer = On[Due](partial(domain.retry, policy=policy), needs=line, then=line_orders)
    looking = On[Due](partial(domain.look, policy=policy), needs=line, then=line_orders)
    levels = On[Due](domain.tell, needs=lambda due: _TELLING, then=_told)
    return Handlers(
        service="inventory",
        on={
            OrderPlaced: On(partial(domain.reserve, policy=policy), needs=_content),
            OrderAmended: On(partial(domain.amend, policy=policy), needs=_content, then=_order_stock),
            OrderCancelRequested: On(partial(domain.cancel, policy=policy), needs=_order, then=_order_stock),
            RefundRequested: On(partial(domain.refund, policy=policy), needs=_order, then=_order_stock),
            OrderRejected: On(partial(domain.reject, policy=policy), needs=_order, then=_order_stock),
            RoutePlanned: On(domain.assign, needs=_planned, then=_order_stock),
            RouteBlocked: On(partial(domain.block, policy=policy), needs=_order, then=_order_stock),
            ParcelShipped: On(domain.ship, needs=_shipped, then=_order_stock),
            FulfillmentCancelled: On(partial(domain.free, policy=policy), needs=_order, then=_order_stock),
            DefineSku: On(domain.define_sku, needs=lambda c: _pools([c.sku], Sku, [c.sku])),
            DefineWarehouse: On(domain.define_warehouse, needs=lambda c: {Warehouse: [(c.warehouse,)]}),
            ReceiveStock: On(domain.receive, needs=_receipt),
            CountStock: On(domain.count, needs=lambda c: _pools([c.sku], Warehouse, [c.warehouse])),
            AnnounceInbound: On(domain.announce_inbound, needs=_announcement),
            SendTransfer: On(domain.send_transfer, needs=_transfer),
            ReceiveTransfer: On(domain.receive_transfer, needs=_arrival, then=_transfer_stock),
        },
        timers={domain.RETRY: timer, domain.RECHECK: timer, domain.ELSEWHERE: looking, domain.LEVELS: levels},
        settle=partial(domain.settle, policy=policy),
        rows=(Pool, Telling, Reservation, Waiting, Sku, Warehouse, Inbound, Transfer),
        entries=(LedgerEntry,),
    )


# Wherever a pool may change, its level may have to be told.
_TELLING: Needs = {Telling: [(domain.LEVELS,)]}


def _told(due: Due, state: State) -> Needs:
    telling = state.get(Telling, domain.LEVELS)
    return {} if telling is None else {Pool: [(sku,) for sku in telling.skus]}


def _pools(skus: Iterable[str], table: type[Any] | None = None, codes: Iterable[str] = ()) -> Needs:
    needs: dict[type[Any], Any] = {Pool: [(sku,) for sku in skus], **_TELLING}
    if table is not None:
        needs[table] = [(code,) for code in codes]
    return needs


def _content(event: OrderContent) -> Needs:
    return _pools([line.sku for line in event.lines], Reservation, [event.order_id])


def _order(event: Event) -> Needs:
    return {Reservation: [(event.key,)]}


def _planned(event: RoutePlanned) -> Needs:
    return _pools([line.sku for parcel in event.parcels for line in parcel.lines], Reservation, [event.order_id])


def _shipped(event: ParcelShipped) -> Needs:
    return _pools([line.sku for line in event.lines], Reservation, [event.order_id])


def _order_stock(event: Event, state: State) -> Needs:
    """An order's own row tells what it holds and where it waits."""
    row = state.get(Reservation, event.key)
    if row is None:
        return {}
    needs: dict[type[Any], Any] = {Pool: [(line.sku,) for line in row.lines], **_TELLING}
    if row.wait is not None:
        needs[Waiting] = [(row.wait.sku, row.wait.warehouse, row.wait.ticket)]
    return needs


def _line(limit_orders: int, due: Due) -> Needs:
    sku, warehouse, start = timer_parts(due.key)
    tickets = [(sku, warehouse, ticket) for ticket in range(start, start + limit_orders)]
    return {Pool: [(sku,)], Waiting: tickets, **_TELLING}


def _line_orders(limit_orders: int, due: Due, state: State) -> Needs:
    """Each waiting place names its order and everything that order wants."""
    sku, warehouse, start = timer_parts(due.key)
    orders: list[tuple[str]] = []
    skus: list[tuple[str]] = []
    for ticket in range(start, start + limit_orders):
        entry = state.get(Waiting, sku, warehouse, ticket)
        if entry is not None:
            orders.append((entry.order_id,))
            skus.extend([(wanted,) for wanted in entry.skus])
    return {Pool: skus, Reservation: orders}


def _receipt(command: ReceiveStock) -> Needs:
    needs = dict(_pools(_skus(command.items), Warehouse, [command.warehouse]))
    if command.inbound_id is not None:
        needs[Inbound] = [(command.inbound_id,)]
    return needs


def _announcement(command: AnnounceInbound) -> Needs:
    return {**_pools([command.sku], Warehouse, [command.warehouse]), Inbound: [(command.inbound_id,)]}


def _transfer(command: SendTransfer) -> Needs:
    both = [command.from_warehouse, command.to_warehouse]
    return {**_pools(_skus(command.items), Warehouse, both), Transfer: [(command.transfer_id,)]}


def _arrival(command: ReceiveTransfer) -> Needs:
    return {Transfer: [(command.transfer_id,)]}


def _transfer_stock(command: ReceiveTransfer, state: State) -> Needs:
    transfer = state.get(Transfer, command.transfer_id)
    return {} if transfer is None else _pools(_skus(transfer.items))


def _skus(items: list[SkuQuantity]) -> list[str]:
    return [item.sku for item in items]
