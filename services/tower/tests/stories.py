"""Orders' lives as sequences of events, each with the stage it ends in."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from contracts.envelope import Event
from contracts.orders import Destination, OrderAmended, OrderCancelRequested, OrderLine, OrderPlaced, RefundRequested
from contracts.risk import HoldReason, HoldResolved, OrderCleared, OrderHeld, OrderRejected
from contracts.routes import MissingAt, RouteBlocked, RoutePlanned
from contracts.shipments import (
    AmendTooLate,
    CancelTooLate,
    FulfillmentCancelled,
    ItemsPicked,
    ParcelPacked,
    ParcelShipped,
    ParcelWeighed,
    PickTaskClaimed,
    PickTaskCreated,
    PickTaskUnclaimed,
)
from contracts.stock import (
    AssignmentRefused,
    ParcelPlan,
    ShippableChanged,
    Shortage,
    StockAssigned,
    StockLine,
    StockReleased,
    StockReserved,
    StockShipped,
    StockShort,
)

NOW = datetime(2026, 11, 11, 2, 0, tzinfo=UTC)
ORDER = "own.demo.536365"
ONE, TWO = f"{ORDER}/1", f"{ORDER}/2"
LINES = [StockLine(line_id="1", sku="A", quantity=1)]
CONTENT: dict[str, Any] = {
    "order_id": ORDER,
    "channel": "own",
    "shop_id": "demo",
    "platform_order_id": "536365",
    "placed_at": NOW,
    "currency": "CNY",
    "destination": Destination(resolved=True),
    "lines": [OrderLine(line_id="1", sku="A", quantity=1, unit_price=100)],
    "total": 100,
    "sealed": "v1.k.secret",
}
PLACED = OrderPlaced(version=1, **CONTENT)
AMENDED = OrderAmended(version=2, changed=["recipient"], **CONTENT)
CANCEL = OrderCancelRequested(order_id=ORDER, request_id="r", requested_at=NOW, reason="不想要了")
CLEARED = OrderCleared(order_id=ORDER, version=1, rule_version=1, why_zh="无风险", why_en="nothing against it")
HELD = OrderHeld(
    order_id=ORDER,
    version=1,
    reasons=[HoldReason(rule="pickup_point", rule_version=1, message_zh="代收点", message_en="pick-up point")],
)
RESOLVED = HoldResolved(order_id=ORDER, version=1, rule="pickup_point", verdict="released", by="li", why="确认过")
REJECTED = OrderRejected(order_id=ORDER, version=1, by="li", why="刷单")
RESERVED = StockReserved(order_id=ORDER, version=1, lines=LINES, shippable=[])
SHORT = StockShort(order_id=ORDER, version=1, missing=[Shortage(sku="A", wanted=1, sellable=0)])
CHANGED = ShippableChanged(order_id=ORDER, version=1, shippable=[], cause="receipt")
REFUSED = AssignmentRefused(order_id=ORDER, version=1, plan=1, shippable=[], reason="gone")
PLANNED = RoutePlanned(
    order_id=ORDER, version=1, plan=1, parcels=[], rule="west", rule_version=1, why_zh="西南", why_en="SW"
)
BLOCKED = RouteBlocked(
    order_id=ORDER,
    version=1,
    plan=1,
    warehouse="CD",
    missing=[MissingAt(warehouse="CD", sku="A", quantity=1)],
    rule="west",
    rule_version=1,
    why_zh="成都缺货",
    why_en="CD lacks A",
)


def assigned(*parcels: str) -> StockAssigned:
    plans = [ParcelPlan(parcel_id=parcel, warehouse="CD" if parcel == ONE else "GZ", lines=LINES) for parcel in parcels]
    return StockAssigned(order_id=ORDER, version=1, plan=1, parcels=plans)


def released(reason: str = "cancelled", *parcels: str, final: bool = True) -> StockReleased:
    return StockReleased(order_id=ORDER, version=1, reason=reason, lines=LINES, parcel_ids=list(parcels), final=final)


def created(parcel: str = ONE) -> PickTaskCreated:
    return PickTaskCreated(order_id=ORDER, task_id=parcel, warehouse=place(parcel), lines=LINES)


def step(kind: type[Event], parcel: str = ONE, **more: Any) -> Any:
    return kind(order_id=ORDER, task_id=parcel, warehouse=place(parcel), picker="w1", **more)


def place(parcel: str) -> str:
    return "CD" if parcel == ONE else "GZ"


def weighed(parcel: str = ONE, *, accepted: bool = True) -> ParcelWeighed:
    return ParcelWeighed(
        order_id=ORDER,
        task_id=parcel,
        warehouse=place(parcel),
        weight_grams=900,
        expected_weight_grams=500,
        accepted=accepted,
    )


def shipped(parcel: str = ONE) -> ParcelShipped:
    return ParcelShipped(
        order_id=ORDER,
        task_id=parcel,
        warehouse=place(parcel),
        lines=LINES,
        carrier="SF",
        waybill="SF1",
        sealed="v1.k.secret",
    )


def stopped(*parcels: str, left: Sequence[str] = ()) -> FulfillmentCancelled:
    return FulfillmentCancelled(
        order_id=ORDER, request_id="r", cancelled_parcels=list(parcels), shipped_parcels=list(left), reason="buyer"
    )


def packing(parcel: str) -> list[Event]:
    return [created(parcel), step(PickTaskClaimed, parcel), step(ItemsPicked, parcel), step(ParcelPacked, parcel)]


LEFT = StockShipped(order_id=ORDER, parcel_id=ONE, warehouse="CD", lines=LINES)
REFUND = RefundRequested(order_id=ORDER, request_id="r", requested_at=NOW, amount=1, after_shipping=True)
WAY = [PLACED, CLEARED, RESERVED, PLANNED, assigned(ONE)]
STORIES: dict[str, tuple[list[Event], str]] = {
    "placed": ([PLACED], "received"),
    "cleared and reserved": ([PLACED, CLEARED, RESERVED], "received"),
    "held": ([PLACED, HELD, RESERVED], "held"),
    "held and short": ([PLACED, HELD, SHORT], "held"),
    "one reason of two gone": ([PLACED, HELD, RESOLVED, RESERVED], "held"),
    "released by a person": ([PLACED, HELD, RESERVED, RESOLVED, CLEARED], "received"),
    "rejected": ([PLACED, HELD, RESERVED, REJECTED, released("rejected")], "rejected"),
    "rejected before stock was": ([PLACED, REJECTED], "rejected"),
    "short": ([PLACED, CLEARED, SHORT], "short"),
    "short no more": ([PLACED, CLEARED, SHORT, RESERVED], "received"),
    "blocked": ([PLACED, CLEARED, RESERVED, BLOCKED, CHANGED], "blocked"),
    "blocked, then planned": ([PLACED, CLEARED, RESERVED, BLOCKED, PLANNED], "received"),
    "refused": ([PLACED, CLEARED, RESERVED, PLANNED, REFUSED], "received"),
    "refused for its old content while the new is short": (
        [PLACED, CLEARED, RESERVED, PLANNED, released("amended", final=False), SHORT, REFUSED],
        "short",
    ),
    "assigned": (WAY, "assigned"),
    "task waits": ([*WAY, created()], "assigned"),
    "claimed": ([*WAY, created(), step(PickTaskClaimed)], "picking"),
    "handed back": (
        [*WAY, created(), step(PickTaskClaimed), step(PickTaskUnclaimed, reason="handed_back")],
        "assigned",
    ),
    "picked": ([*WAY, created(), step(PickTaskClaimed), step(ItemsPicked)], "picking"),
    "packed": ([*WAY, *packing(ONE)], "packed"),
    "waits for a recheck": ([*WAY, *packing(ONE), weighed(accepted=False)], "packed"),
    "shipped": (
        [
            *WAY,
            *packing(ONE),
            weighed(),
            shipped(),
            StockShipped(order_id=ORDER, parcel_id=ONE, warehouse="CD", lines=LINES),
        ],
        "shipped",
    ),
    "cancelled in time": ([PLACED, CLEARED, RESERVED, CANCEL, released()], "cancelled"),
    "cancelled while short": ([PLACED, CLEARED, SHORT, CANCEL, released()], "cancelled"),
    "amended": ([PLACED, RESERVED, AMENDED, released("amended", final=False), RESERVED, CLEARED], "received"),
    "cancelled on the floor": (
        [*WAY, created(), step(PickTaskClaimed), CANCEL, stopped(ONE), released("fulfillment_cancelled", ONE)],
        "cancelled",
    ),
    "cancelled before its task": ([*WAY, CANCEL, stopped(ONE)], "cancelled"),
    "cancelled too late": (
        [*WAY, *packing(ONE), shipped(), CANCEL, CancelTooLate(order_id=ORDER, request_id="r", shipped_parcels=[ONE])],
        "shipped",
    ),
    "amended too late": ([*WAY, created(), AmendTooLate(order_id=ORDER, version=2, changed=["lines"])], "assigned"),
    "refund after shipping": (
        [
            *WAY,
            *packing(ONE),
            shipped(),
            RefundRequested(order_id=ORDER, request_id="r", requested_at=NOW, amount=1, after_shipping=True),
        ],
        "shipped",
    ),
    "refund of one line": (
        [*WAY, created(), RefundRequested(order_id=ORDER, request_id="r", requested_at=NOW, amount=1, line_ids=["1"])],
        "assigned",
    ),
    "two parcels, one ahead": ([*WAY[:4], assigned(ONE, TWO), *packing(ONE), shipped(), created(TWO)], "assigned"),
    "two parcels, one not yet known": ([*WAY[:4], assigned(ONE, TWO), *packing(ONE)], "assigned"),
    "two parcels shipped": (
        [*WAY[:4], assigned(ONE, TWO), *packing(ONE), shipped(), *packing(TWO), shipped(TWO)],
        "shipped",
    ),
    "one left, one stopped": (
        [
            *WAY[:4],
            assigned(ONE, TWO),
            *packing(ONE),
            shipped(),
            created(TWO),
            CANCEL,
            stopped(TWO, left=[ONE]),
            released("fulfillment_cancelled", TWO),
        ],
        "shipped",
    ),
}


def as_order(event: Event, order_id: str) -> Any:
    """Return the same event of another order."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**{**fields, "order_id": order_id})
