"""Small random orders, as ingestion's edge would hand them to its decisions."""

from datetime import timedelta
from random import Random

import msgspec

from contracts.orders import Destination, Discount, OrderLine, OrderPlaced
from libs.testkit.simulation.world import START
from services.ingestion.domain import CancelOrder, PlaceOrder

SKUS = ("CUP", "LAMP", "PEN")
WAREHOUSES = ("CD", "GZ")
PRICES = {"CUP": 2_000, "LAMP": 26_000, "PEN": 300}
WEIGHTS = {"CUP": 300, "LAMP": 1_000, "PEN": 10}
COSTS = {"CUP": 900, "LAMP": 15_000, "PEN": 290}
_REGIONS = (("华中", "420000"), ("华东", "310000"), ("西南", "510000"))
_HASHED = ("lines", "total", "destination", "kind", "available_from", "buyer_key")


def order_id_of(number: int) -> str:
    """Return an order's id."""
    return f"own.demo.{number}"


def place(number: int, dice: Random, *, delivery: int = 1) -> PlaceOrder:
    """Return a new order."""
    presale = dice.random() < 0.1
    region, province = dice.choice(_REGIONS)
    destination = Destination(
        resolved=dice.random() > 0.05,
        province_code=province,
        region=region,
        is_pickup_point=dice.random() < 0.3,
    )
    lines = _lines(dice)
    order = OrderPlaced(
        order_id=order_id_of(number),
        version=1,
        channel="own",
        shop_id="demo",
        platform_order_id=str(number),
        placed_at=START,
        currency="CNY",
        buyer_key=f"buyer{dice.randint(1, 3)}",
        destination=destination,
        lines=lines,
        total=_total(lines),
        kind="presale" if presale else "normal",
        available_from=START + timedelta(seconds=dice.uniform(0, 25)) if presale else None,
        sealed=f"sealed {number} {delivery}",
    )
    return _command(order, delivery)


def amended(command: PlaceOrder, dice: Random, *, delivery: int) -> PlaceOrder:
    """Return the order with other goods or another destination."""
    order = command.order
    if dice.random() < 0.7:
        lines = _lines(dice)
        order = msgspec.structs.replace(order, lines=lines, total=_total(lines))
    else:
        region, province = dice.choice(_REGIONS)
        destination = msgspec.structs.replace(order.destination, region=region, province_code=province)
        order = msgspec.structs.replace(order, destination=destination, sealed=f"sealed again {delivery}")
    return _command(order, delivery)


def cancel(number: int) -> CancelOrder:
    """Return an order's cancellation."""
    return CancelOrder(
        order_id=order_id_of(number), request_id=f"cancel{number}", requested_at=START, reason="no", raw_sealed="raw"
    )


def _command(order: OrderPlaced, delivery: int) -> PlaceOrder:
    fingerprints = {name: str(getattr(order, name)) for name in _HASHED}
    return PlaceOrder(order=order, fingerprints=fingerprints, request_id=f"r{delivery}", raw_sealed="raw")


def _lines(dice: Random) -> list[OrderLine]:
    skus = dice.sample(SKUS, dice.choice((1, 1, 2, 3)))
    lines = []
    for n, sku in enumerate(skus, 1):
        quantity = dice.randint(1, 4)
        funder = dice.choice(("platform", "merchant"))
        discounts = [Discount(funder=funder, amount=100)] if dice.random() < 0.2 else []
        lines.append(OrderLine(line_id=str(n), sku=sku, quantity=quantity, unit_price=PRICES[sku], discounts=discounts))
    return lines


def _total(lines: list[OrderLine]) -> int:
    return sum(line.quantity * line.unit_price - sum(d.amount for d in line.discounts) for line in lines)
