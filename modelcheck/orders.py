"""What the platform asks of one order, put through ingestion's real decisions: the log that all services then read."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from contracts.envelope import Event
from contracts.orders import Destination, OrderLine, OrderPlaced, RefundRequested
from modelcheck.deciding import Alphabet, Broken, Service
from services.ingestion.domain import CancelOrder, PlaceOrder

NOW = datetime(2026, 11, 11, 4, tzinfo=UTC)
ORDER = "own.demo.1"
CUP, LAMP = "CUP", "LAMP"
GRAMS = {CUP: 300, LAMP: 1000}
PRICE, HIGH_PRICE = 5_000, 60_000

# What may be asked. The first is always `place`; the amendments change the newest content.
PLACE, PAY, ADDRESS, PICKUP, FEWER, MORE = "place", "pay", "address", "pickup", "fewer", "more"
CANCEL, REFUND, RETURN = "cancel", "refund", "return"
AMENDMENTS = (PAY, ADDRESS, PICKUP, FEWER, MORE)


def _at(region: str, province_code: str, *, pickup: bool = False) -> Destination:
    return Destination(resolved=True, province_code=province_code, region=region, is_pickup_point=pickup)


CENTRAL, EAST = _at("华中", "420000"), _at("华东", "310000")
CENTRAL_PICKUP = _at("华中", "420000", pickup=True)


class Content(msgspec.Struct, frozen=True):
    """The part of an order that its buyer may change."""

    goods: tuple[tuple[str, int], ...]
    destination: Destination = CENTRAL
    sealed: str = "sealed-1"
    paid: bool = False
    price: int = PRICE


def amended(content: Content, ask: str, nth: int) -> Content:
    """Return the content after the buyer asked for a change."""
    change = msgspec.structs.replace
    (sku, quantity), rest = content.goods[0], content.goods[1:]
    if ask == PAY:
        return change(content, paid=True)
    if ask == ADDRESS:
        return change(content, destination=EAST, sealed=f"sealed-{nth}")
    if ask == PICKUP:
        return change(content, destination=CENTRAL_PICKUP, sealed=f"sealed-{nth}")
    if ask == MORE:
        return change(content, goods=((sku, quantity + 1), *rest))
    return change(content, goods=((sku, quantity - 1), *rest) if quantity > 1 else rest)


def orders_log(ingestion: Service, alphabet: Alphabet, asks: Sequence[str], content: Content) -> list[int]:
    """Return the events that ingestion writes when asked for `asks` in this order.

    Nothing decides about refunds in ingestion yet: a platform's refund stands in the log as such.
    """
    log: list[int] = []
    local = ingestion.start
    for nth, ask in enumerate(asks, 1):
        if ask in (REFUND, RETURN):
            log.append(_written(alphabet, _refund(f"r{nth}", after_shipping=ask == RETURN)))
            continue
        if ask in AMENDMENTS:
            content = amended(content, ask, nth)
        command = CancelOrder(order_id=ORDER, request_id=f"c{nth}", raw_sealed="raw") if ask == CANCEL else None
        step = ingestion.step(local, alphabet.message(command or _place(content, f"m{nth}")))
        if not step.events:
            raise Broken("the story is one that ingestion tells", f"{ask} changed nothing in {asks}")
        local = step.local
        log.extend(step.events)
    return log


def _written(alphabet: Alphabet, event: Event) -> int:
    return alphabet.event(type(event).__name__, msgspec.json.encode(event))


def _refund(request_id: str, *, after_shipping: bool) -> RefundRequested:
    return RefundRequested(
        order_id=ORDER, request_id=request_id, requested_at=NOW, amount=100, after_shipping=after_shipping
    )


def _place(content: Content, request_id: str) -> PlaceOrder:
    lines = [
        OrderLine(line_id=str(n), sku=sku, quantity=quantity, unit_price=content.price)
        for n, (sku, quantity) in enumerate(content.goods, 1)
    ]
    total = sum(line.quantity * line.unit_price for line in lines)
    order = OrderPlaced(
        order_id=ORDER,
        version=1,
        channel="own",
        shop_id="demo",
        platform_order_id="1",
        placed_at=NOW,
        paid_at=NOW if content.paid else None,
        currency="CNY",
        buyer_key="b" * 32,
        destination=content.destination,
        lines=lines,
        total=total,
        sealed=content.sealed,
    )
    fingerprints = {"recipient": content.sealed, "lines": repr(content.goods), "total": str(total)}
    if content.paid:
        fingerprints["paid_at"] = "paid"
    return PlaceOrder(order=order, fingerprints=fingerprints, request_id=request_id, raw_sealed="raw")
