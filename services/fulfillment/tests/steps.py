"""Orders and PDA steps that fulfillment's tests are told in."""

from datetime import UTC, datetime

from contracts.catalog import SkuDefined
from contracts.orders import Destination, OrderAmended, OrderCancelRequested, OrderLine, OrderPlaced
from contracts.risk import OrderCleared, OrderRejected
from contracts.stock import ParcelPlan, StockAssigned, StockLine, StockReleased
from libs.decide import Reply
from libs.testkit.bench import Bench
from services.fulfillment import domain
from services.fulfillment.handlers import handlers

NOW = datetime(2026, 11, 11, tzinfo=UTC)
ORDER = "own.demo.536365"
ONE, TWO = f"{ORDER}/1", f"{ORDER}/2"
LIMIT = 900


def bench(*, tell_wms: bool = False) -> Bench:
    tolerance = domain.Tolerance(percent=5, floor_grams=20)
    made = Bench(handlers(claim_limit_seconds=LIMIT, tolerance=tolerance, tell_wms=tell_wms))
    made.handle(SkuDefined(sku="CUP", barcode="6901", weight_grams=300), NOW)
    made.handle(SkuDefined(sku="LAMP", barcode="6902", weight_grams=1000), NOW)
    return made


def content(kind=OrderPlaced, *, version: int = 1, cups: int = 2, sealed: str = "sealed-1", **more):
    lines = [OrderLine(line_id="1", sku="CUP", quantity=cups, unit_price=100)]
    lines.append(OrderLine(line_id="2", sku="LAMP", quantity=1, unit_price=100))
    return kind(
        order_id=ORDER,
        version=version,
        channel="own",
        shop_id="demo",
        platform_order_id="536365",
        placed_at=NOW,
        currency="CNY",
        destination=Destination(resolved=True),
        lines=lines,
        total=300,
        sealed=sealed,
        **more,
    )


def amended(version: int, *changed: str, **more) -> OrderAmended:
    return content(OrderAmended, version=version, changed=list(changed), sealed=f"sealed-{version}", **more)


def assigned(*, parcels: int = 1, version: int = 1, requirements=()) -> StockAssigned:
    cups, lamp = (
        StockLine(line_id="1", sku="CUP", quantity=2),
        StockLine(line_id="2", sku="LAMP", quantity=1),
    )
    plans = [
        [ParcelPlan(parcel_id=ONE, warehouse="CD", lines=[cups, lamp])],
        [
            ParcelPlan(parcel_id=ONE, warehouse="CD", lines=[cups]),
            ParcelPlan(parcel_id=TWO, warehouse="GZ", lines=[lamp]),
        ],
    ]
    return StockAssigned(
        order_id=ORDER, version=version, plan=1, parcels=plans[parcels - 1], requirements=list(requirements)
    )


def cancelling(request_id: str = "c1") -> OrderCancelRequested:
    return OrderCancelRequested(order_id=ORDER, request_id=request_id, requested_at=NOW, reason="changed my mind")


def rejected(version: int = 2) -> OrderRejected:
    return OrderRejected(order_id=ORDER, version=version, by="rev", why="fraud")


def cleared(version: int = 2, *requirements: str) -> OrderCleared:
    return OrderCleared(order_id=ORDER, version=version, rule_version=1, requirements=list(requirements))


def released(reason: str = "cancelled", *, final: bool = True) -> StockReleased:
    return StockReleased(order_id=ORDER, version=1, reason=reason, lines=[], final=final)


def run(made: Bench, *messages, at: datetime = NOW):
    """Decide the messages; return the last one's outputs."""
    outputs = []
    for message in messages:
        outputs = made.handle(message, at)
    return outputs


def events(outputs, *kinds):
    return [output for output in outputs if isinstance(output, kinds)]


def reply(outputs) -> Reply:
    (answer,) = events(outputs, Reply)
    return answer


def claim(task_id: str = ONE, by: str = "pda-1", warehouse: str | None = "CD") -> domain.ClaimTask:
    return domain.ClaimTask(task_id=task_id, by=by, warehouse=warehouse)


def scan(barcode: str, quantity: int = 1, task_id: str = ONE, by: str = "pda-1", warehouse="CD") -> domain.ScanItem:
    return domain.ScanItem(task_id=task_id, by=by, warehouse=warehouse, barcode=barcode, quantity=quantity)


def pack(*items: tuple[str, int], task_id: str = ONE, warehouse: str = "CD") -> domain.PackParcel:
    found = [domain.PackedItem(barcode=barcode, quantity=quantity) for barcode, quantity in items]
    return domain.PackParcel(task_id=task_id, by="pda-1", warehouse=warehouse, items=found)


def weigh(grams: int, *, recheck: bool = False, by="pda-1", warehouse: str | None = "CD", task_id=ONE):
    return domain.WeighParcel(task_id=task_id, by=by, warehouse=warehouse, weight_grams=grams, recheck=recheck)


def ship(waybill: str = "SF1", *, services=(), task_id: str = ONE, warehouse: str = "CD") -> domain.ShipParcel:
    return domain.ShipParcel(
        task_id=task_id, by="pda-1", warehouse=warehouse, carrier="SF", waybill=waybill, services=list(services)
    )


PICK = (claim(), scan("6901", 2), scan("6902"))
PACK = (*PICK, pack(("6901", 2), ("6902", 1)))
WEIGH = (*PACK, weigh(1600))
SHIP = (*WEIGH, ship())


def task(made: Bench, task_id: str = ONE) -> domain.PickTask:
    found = made.row(domain.PickTask, task_id)
    assert found is not None
    return found
