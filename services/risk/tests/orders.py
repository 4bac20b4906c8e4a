"""Orders for risk's tests: unremarkable but for what a test names."""

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.orders import Destination, Discount, OrderAmended, OrderCancelRequested, OrderLine, OrderPlaced
from libs.decide import Reply
from libs.rules import defaults
from libs.testkit.bench import Bench
from services.risk.domain import RejectOrder, ReleaseHold
from services.risk.handlers import handlers

ID = "own.demo.1"
NOW = datetime(2026, 11, 11, 4, tzinfo=UTC)
HERE = Destination(resolved=True, province_code="420000", city_code="420100", district_code="420111", region="华中")
NOWHERE = Destination(resolved=False, why_unresolved="no district")
PICKUP = Destination(resolved=True, province_code="420000", region="华中", is_pickup_point=True)


def later(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


def line(sku="A", quantity=1, unit_price=1000, merchant=0, platform=0, influencer=0) -> OrderLine:
    funded = {"merchant": merchant, "platform": platform, "influencer": influencer}
    discounts = [Discount(funder=funder, amount=amount) for funder, amount in funded.items() if amount]
    return OrderLine(line_id=sku, sku=sku, quantity=quantity, unit_price=unit_price, discounts=discounts)


def placed(number: int | str = 1, event: type = OrderPlaced, **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "order_id": f"own.demo.{number}",
        "version": 1,
        "channel": "own",
        "shop_id": "demo",
        "platform_order_id": str(number),
        "placed_at": NOW,
        "paid_at": NOW,
        "currency": "CNY",
        "buyer_key": f"buyer-{number}",
        "destination": HERE,
        "lines": [line()],
        "total": 1000,
    }
    return event(**{**fields, **changes})


def amended(number: int | str = 1, version: int = 2, **changes: Any) -> OrderAmended:
    return placed(number, OrderAmended, version=version, changed=sorted(changes), **changes)


def cancelled(number: int | str = 1) -> OrderCancelRequested:
    return OrderCancelRequested(order_id=f"own.demo.{number}", request_id="c", requested_at=NOW)


def bench(content: Any = None, **settings: Any) -> Bench:
    return Bench(handlers(content or defaults.read("risk"), **settings))


def names(outputs: list[Any]) -> list[str]:
    return [type(output).__name__ for output in outputs]


def held_by(outputs: list[Any]) -> list[str]:
    """The rules of the one OrderHeld among outputs; [] when the order was cleared."""
    verdicts = [output for output in outputs if type(output).__name__ in ("OrderHeld", "OrderCleared")]
    assert len(verdicts) == 1, outputs
    return [reason.rule for reason in getattr(verdicts[0], "reasons", [])]


def release(rule: str | None = None, order_id: str = ID, version: int | None = None) -> ReleaseHold:
    return ReleaseHold(order_id=order_id, by="rita", why="called the buyer", rule=rule, version=version)


def reject(order_id: str = ID, version: int | None = None) -> RejectOrder:
    return RejectOrder(order_id=order_id, by="rita", why="fraud", version=version)


def status(outputs: list[Any]) -> int:
    [reply] = [output for output in outputs if isinstance(output, Reply)]
    return reply.status
