"""Builders for inventory's tests, and the checks that must hold after every step."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from contracts.orders import Destination, OrderAmended, OrderLine, OrderPlaced
from contracts.routes import MissingAt, RouteBlocked, RoutePlanned, TransferAdvice
from contracts.shipments import FulfillmentCancelled, ParcelShipped
from contracts.stock import ParcelPlan, SkuQuantity, StockLine
from libs.decide import Output, Reply
from libs.testkit.bench import Bench
from services.inventory.domain import (
    ELSEWHERE,
    AnnounceInbound,
    CountStock,
    DefineSku,
    DefineWarehouse,
    LedgerEntry,
    Policy,
    Pool,
    ReceiveStock,
    Reservation,
    Waiting,
)
from services.inventory.handlers import handlers

NOW = datetime(2026, 11, 11, 4, 0, tzinfo=UTC)
A, B = "85123A", "71053"
LAST_VERSION = 10_000


def lines(**wanted: int) -> list[StockLine]:
    """`lines(A=2)`: one line a SKU; keys A and B are short for the two test SKUs."""
    named = {"A": A, "B": B}
    return [StockLine(line_id=k, sku=named.get(k, k), quantity=q) for k, q in wanted.items()]


def placed(order_id: str = "own.demo.1", version: int = 1, **wanted: int) -> OrderPlaced:
    return OrderPlaced(**_content(order_id, version, wanted))


def amended(order_id: str = "own.demo.1", version: int = 2, **wanted: int) -> OrderAmended:
    return OrderAmended(**_content(order_id, version, wanted))


def _content(order_id: str, version: int, wanted: dict[str, int]) -> dict:
    return {
        "order_id": order_id,
        "version": version,
        "channel": "own",
        "shop_id": "demo",
        "platform_order_id": order_id.rsplit(".", 1)[-1],
        "placed_at": NOW,
        "currency": "CNY",
        "destination": Destination(resolved=True, region="西南"),
        "lines": [
            OrderLine(line_id=line.line_id, sku=line.sku, quantity=line.quantity, unit_price=100)
            for line in lines(**wanted)
        ],
        "total": 0,
    }


def planned(order_id: str = "own.demo.1", plan: int = 1, version: int = 1, **by_warehouse: list) -> RoutePlanned:
    """`planned(CD=lines(A=2))`: one parcel a warehouse."""
    parcels = [
        ParcelPlan(parcel_id=f"{order_id}/{plan}.{n}", warehouse=warehouse, lines=part)
        for n, (warehouse, part) in enumerate(by_warehouse.items(), 1)
    ]
    return RoutePlanned(
        order_id=order_id,
        version=version,
        plan=plan,
        parcels=parcels,
        requirements=["signature_on_delivery"],
        rule="region",
        rule_version=1,
        why_zh="因为",
        why_en="because",
    )


def blocked(
    order_id: str = "own.demo.1",
    sku: str = A,
    quantity: int = 1,
    warehouse: str = "CD",
    source: str = "",
    version: int = 1,
) -> RouteBlocked:
    advice = [TransferAdvice(sku=sku, quantity=quantity, from_warehouse=source, to_warehouse=warehouse)]
    return RouteBlocked(
        order_id=order_id,
        version=version,
        plan=1,
        warehouse=warehouse,
        missing=[MissingAt(warehouse=warehouse, sku=sku, quantity=quantity)],
        transfers=advice if source else [],
        rule="region",
        rule_version=1,
        why_zh="缺货",
        why_en="missing",
    )


def shipped(parcel_id: str, warehouse: str, part: list[StockLine]) -> ParcelShipped:
    order_id = parcel_id.rsplit("/", 1)[0]
    return ParcelShipped(
        order_id=order_id, task_id=parcel_id, warehouse=warehouse, lines=part, carrier="SF", waybill="SF1"
    )


def fulfillment_cancelled(order_id: str, *parcel_ids: str) -> FulfillmentCancelled:
    return FulfillmentCancelled(order_id=order_id, request_id="r1", cancelled_parcels=list(parcel_ids))


def kinds(outputs: list[Output]) -> list[str]:
    """The names of the order's events among `outputs`: no figures per SKU, no timers, no answers."""
    aside = {"StockLevelChanged", "SafetyLineCrossed", "Wake", "Reply"}
    return [type(output).__name__ for output in outputs if type(output).__name__ not in aside]


def only(outputs: list[Output], kind: type):
    [found] = [output for output in outputs if isinstance(output, kind)]
    return found


def fields(struct) -> dict:
    """A struct's fields, to make another like it."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


class Warehouses(Bench):
    """Inventory on the bench, with two warehouses and two SKUs defined."""

    def __init__(self, *skus: str, policy: Policy | None = None, **stock: int) -> None:
        super().__init__(handlers(policy or Policy()))
        self.now = NOW
        self.commands = 0
        for code in ("CD", "GZ"):
            self.do(DefineWarehouse(warehouse=code, name=code))
        for sku in skus or (A, B):
            self.do(DefineSku(sku=sku, title=sku))
        for code, units in stock.items():
            self.receive(code, A, units)

    def do(self, *messages) -> list[Output]:
        """Decide messages as one batch, a second after the last, and check what must always hold."""
        self.now += timedelta(seconds=1)
        outputs = self.batch(messages, self.now)
        check(self)
        return outputs

    def tick_all(self, limit_ticks: int = 200) -> list[Output]:
        """Let every timer that has come be decided, and those it sets, until only slow looks at lines are left."""
        outputs: list[Output] = []
        for _ in range(limit_ticks):
            self.now += timedelta(seconds=6)
            more = [output for output in self.tick(self.now) if getattr(output, "kind", "") != ELSEWHERE]
            check(self)
            if not more and all(kind == ELSEWHERE for kind, _ in self.timers):
                return outputs
            outputs += more
        raise AssertionError(f"timers never end: {self.timers}")

    def receive(self, warehouse: str, sku: str, units: int, **more) -> list[Output]:
        self.commands += 1
        items = [SkuQuantity(sku=sku, quantity=units)]
        return self.do(ReceiveStock(command_id=f"c{self.commands}", warehouse=warehouse, items=items, **more))

    def count(self, warehouse: str, sku: str, counted: int) -> list[Output]:
        self.commands += 1
        return self.do(CountStock(command_id=f"c{self.commands}", warehouse=warehouse, sku=sku, counted=counted))

    def announce(self, inbound_id: str, units: int, yield_percent: int = 100, sku: str = A) -> list[Output]:
        return self.do(
            AnnounceInbound(
                inbound_id=inbound_id,
                sku=sku,
                warehouse="CD",
                quantity=units,
                yield_percent=yield_percent,
                eta=NOW + timedelta(days=3),
            )
        )

    def pool(self, sku: str = A) -> Pool:
        found = self.row(Pool, sku)
        assert found is not None
        return found

    def order(self, order_id: str = "own.demo.1") -> Reservation:
        found = self.row(Reservation, order_id)
        assert found is not None
        return found


def answer(outputs: list[Output]) -> Reply:
    return only(outputs, Reply)


def check(bench: Bench) -> None:
    """Every figure is the fold of the ledger and the sum of the open orders, and nothing is promised twice."""
    pools = bench.all_rows(Pool)
    orders = bench.all_rows(Reservation)
    entries = [entry for entry in bench.entries if isinstance(entry, LedgerEntry)]
    causes = Counter((e.cause, e.sku, e.warehouse, e.kind) for e in entries)
    assert max(causes.values(), default=1) == 1, [key for key, n in causes.items() if n > 1]
    fold: Counter = Counter()
    for entry in entries:
        fold[entry.kind, entry.sku, entry.warehouse] += entry.delta
        fold[entry.kind, entry.sku] += entry.delta
    reserved: Counter = Counter()
    assigned: Counter = Counter()
    for order in orders:
        if order.state == "reserved":
            for line in order.lines:
                reserved[line.sku] += line.quantity
        for parcel in order.parcels:
            assert (parcel.state == "open") <= (order.state == "assigned")
            for line in parcel.lines if parcel.state == "open" else []:
                reserved[line.sku] += line.quantity
                assigned[line.sku, parcel.warehouse] += line.quantity
    for pool in pools:
        _check_pool(pool, fold, reserved[pool.sku], assigned)
    _check_waiting(bench, pools, orders)


def _check_pool(pool: Pool, fold: Counter, reserved: int, assigned: Counter) -> None:
    sku = pool.sku
    assert pool.reserved == reserved == fold["reserved", sku]
    assert pool.on_hand == sum(level.on_hand for level in pool.warehouses.values()) == fold["on_hand", sku]
    assert pool.inbound + pool.in_transit == fold["inbound", sku]
    for name, level in pool.warehouses.items():
        assert level.on_hand == fold["on_hand", sku, name] >= 0
        assert level.assigned == assigned[sku, name] == fold["assigned", sku, name] >= 0
        assert level.assigned <= level.on_hand + level.deficit
        assert level.deficit == max(0, level.assigned - level.on_hand)
    bought = pool.inbound_points * pool.sellable_inbound_percent // 10_000
    assert min(pool.reserved, pool.inbound, pool.inbound_points, pool.in_transit, pool.deficit) >= 0
    assert pool.reserved <= pool.on_hand + pool.in_transit + pool.allowance + bought + pool.deficit


def _check_waiting(bench: Bench, pools: list[Pool], orders: list[Reservation]) -> None:
    tickets = {(row.sku, row.warehouse, row.ticket): row.order_id for row in bench.all_rows(Waiting)}
    expected = {(o.wait.sku, o.wait.warehouse, o.wait.ticket): o.order_id for o in orders if o.wait is not None}
    assert tickets == expected
    lengths = Counter((sku, warehouse) for sku, warehouse, _ in tickets)
    queues = {(pool.sku, name): queue for pool in pools for name, queue in pool.waiting.items()}
    assert lengths == {place: queue.length for place, queue in queues.items()}
    for sku, warehouse, ticket in tickets:
        queue = queues[sku, warehouse]
        assert queue.first <= ticket < queue.next
    for order in orders:
        if order.state == "short":
            assert order.wait is not None
            assert order.wait.warehouse == ""
        if order.state not in ("short", "reserved"):
            assert order.wait is None
