"""Bounded stories of one order: what the platform asks, where the goods are, who steps in, what may go wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contracts.stock import SkuQuantity
from libs.decide import Command
from modelcheck import orders
from modelcheck.orders import (
    ADDRESS,
    CANCEL,
    CUP,
    FEWER,
    HIGH_PRICE,
    LAMP,
    MORE,
    ORDER,
    PAY,
    PICKUP,
    PLACE,
    REFUND,
    RETURN,
    Content,
)
from services.inventory.domain import CountStock, ReceiveStock, ReceiveTransfer, SendTransfer
from services.risk.domain import RejectOrder, ReleaseHold
from services.routing.domain import OverrideRoute

Stock = Mapping[str, Mapping[str, int]]
Script = tuple[tuple[str, Command], ...]


@dataclass(frozen=True)
class Scenario:
    """One model: everything not fixed here may happen in any order.

    `scripts` are people, each with their own steps in their own order; a step is taken once it is not refused.
    """

    name: str
    parcels: int
    asks: tuple[str, ...]
    stock: Stock
    content: Content
    scripts: tuple[Script, ...] = ()
    claim_ends_limit: int = 0
    weighs_wrong: bool = False


ONE, TWO = ((CUP, 2),), ((CUP, 1), (LAMP, 1))
AT_HAND: Stock = {"CD": {CUP: 4}}
BOTH: Stock = {"CD": {CUP: 4}, "GZ": {CUP: 4}}
ELSEWHERE: Stock = {"GZ": {CUP: 4}}
NONE: Stock = {}
APART: Stock = {"CD": {CUP: 3}, "GZ": {LAMP: 3}}

SPLIT: Script = (("routing", OverrideRoute(order_id=ORDER, split=True, by="op")),)
CHOOSE_GZ: Script = (("routing", OverrideRoute(order_id=ORDER, warehouse="GZ", by="op")),)
_MOVED = [SkuQuantity(sku=CUP, quantity=3)]
TRANSFER: Script = (
    ("inventory", SendTransfer(transfer_id="T1", from_warehouse="GZ", to_warehouse="CD", items=_MOVED)),
    ("inventory", ReceiveTransfer(transfer_id="T1")),
)
_RECEIVED = [SkuQuantity(sku=CUP, quantity=4), SkuQuantity(sku=LAMP, quantity=4)]
RECEIPT: Script = (("inventory", ReceiveStock(command_id="R1", warehouse="CD", items=_RECEIVED)),)
COUNT_DOWN: Script = (("inventory", CountStock(command_id="C1", warehouse="CD", sku=CUP, counted=1)),)
RELEASE: Script = (("risk", ReleaseHold(order_id=ORDER, by="rev", why="known")),) * 2
REJECT: Script = (("risk", RejectOrder(order_id=ORDER, by="rev", why="fraud")),)

# What a platform may say of one order after it was placed: at most one change, one cancellation and one refund.
ENDS = ((CANCEL,), (REFUND,), (CANCEL, REFUND), (REFUND, CANCEL))
# A refund before shipping is decided like a cancellation: where that was checked, these stand for all four.
FEWER_ENDS = ((CANCEL,), (REFUND, CANCEL))
CHANGES = (ADDRESS, FEWER, MORE)


def asks_of(changes: tuple[str, ...], ends: tuple[tuple[str, ...], ...] = ENDS) -> Iterator[tuple[str, ...]]:
    """Yield every order in which a buyer may ask; ingestion lets nothing change after a cancellation."""
    yield (PLACE,)
    for change in changes:
        yield (PLACE, change)
    for end in ends:
        yield (PLACE, *end)
        for change in changes:
            yield (PLACE, change, *end)
            if end[0] == REFUND:
                yield (PLACE, REFUND, change, *end[1:])


def _name(parcels: int, asks: tuple[str, ...], place: str) -> str:
    return f"{parcels} parcel{'s' if parcels > 1 else ''}, {place}: {' '.join(asks)}"


def _named(parcels: int, asks: tuple[str, ...], place: str, **more: object) -> Scenario:
    content = Content(ONE if parcels == 1 else TWO)
    return Scenario(name=_name(parcels, asks, place), parcels=parcels, asks=asks, content=content, **more)  # type: ignore[arg-type]


def full() -> Iterator[Scenario]:
    """Yield every scenario of the full run."""
    for asks in asks_of(CHANGES):
        yield _named(1, asks, "goods at hand, claim ends once", stock=AT_HAND, claim_ends_limit=1, weighs_wrong=True)
        yield _named(
            2, asks, "split by an operator, claim ends once", stock=APART, scripts=(SPLIT,), claim_ends_limit=1
        )
    for asks in asks_of(CHANGES, FEWER_ENDS):
        yield _named(1, asks, "goods in both warehouses", stock=BOTH)
        yield _named(1, asks, "goods elsewhere, transferred", stock=ELSEWHERE, scripts=(TRANSFER,))
        yield _named(1, asks, "goods elsewhere, operator sends from there", stock=ELSEWHERE, scripts=(CHOOSE_GZ,))
        yield _named(1, asks, "no goods, received later", stock=NONE, scripts=(RECEIPT,))
        yield _named(1, asks, "counted down, received later", stock=AT_HAND, scripts=(COUNT_DOWN, RECEIPT))
    yield from reviewed()
    for asks in (
        (PLACE, PAY),
        (PLACE, PAY, CANCEL),
        (PLACE, PAY, REFUND, CANCEL),
        (PLACE, PAY, FEWER, CANCEL),
        (PLACE, FEWER, MORE),
        (PLACE, ADDRESS, FEWER),
        (PLACE, RETURN),
    ):
        yield _named(1, asks, "goods at hand", stock=AT_HAND, claim_ends_limit=1)
        yield _named(2, asks, "split by an operator", stock=APART, scripts=(SPLIT,))


def reviewed() -> Iterator[Scenario]:
    """Yield what a reviewer may do: to an order held from the beginning, and to one held once it was changed."""
    held = Content(ONE, destination=orders.CENTRAL_PICKUP, price=HIGH_PRICE)
    for asks in asks_of((ADDRESS, FEWER), FEWER_ENDS):
        for word, script in (("released", RELEASE), ("rejected", REJECT), ("never looked at", ())):
            yield _reviewed(1, asks, f"held and {word}", held, script)
    for asks in ((PLACE,), (PLACE, CANCEL), (PLACE, MORE, CANCEL), (PLACE, REFUND, CANCEL)):
        yield _reviewed(1, asks, "held and released, no goods, received later", held, RELEASE, NONE, RECEIPT)
        yield _reviewed(1, asks, "held and rejected, no goods, received later", held, REJECT, NONE, RECEIPT)
        yield _reviewed(1, asks, "held, and two reviewers disagree", held, REJECT, AT_HAND, RELEASE)
    for parcels, goods, stock in ((1, ONE, AT_HAND), (2, TWO, APART)):
        dear = Content(goods, price=HIGH_PRICE)
        for asks in asks_of((PICKUP,), FEWER_ENDS):
            for word, script in (("released", RELEASE), ("rejected", REJECT), ("never looked at", ())):
                if PICKUP in asks:
                    yield _reviewed(parcels, asks, f"held once changed and {word}", dear, script, stock)


def _reviewed(
    parcels: int,
    asks: tuple[str, ...],
    place: str,
    content: Content,
    script: Script,
    stock: Stock = AT_HAND,
    other: Script = (),
) -> Scenario:
    scripts = tuple(found for found in (script, other, SPLIT if parcels > 1 else ()) if found)
    name = _name(parcels, asks, place)
    return Scenario(name=name, parcels=parcels, asks=asks, stock=stock, content=content, scripts=scripts)


def quick() -> Iterator[Scenario]:
    """Yield a slice for every day: the race of the title over one parcel and two, and one story of each other kind."""
    for asks in ((PLACE, CANCEL), (PLACE, REFUND, CANCEL), (PLACE, FEWER, CANCEL), (PLACE, ADDRESS)):
        yield _named(1, asks, "goods at hand, claim ends once", stock=AT_HAND, claim_ends_limit=1, weighs_wrong=True)
    yield _named(2, (PLACE, CANCEL), "split by an operator", stock=APART, scripts=(SPLIT,))
    yield _named(1, (PLACE, CANCEL), "goods elsewhere, transferred", stock=ELSEWHERE, scripts=(TRANSFER,))
    yield _named(1, (PLACE, MORE), "counted down, received later", stock=AT_HAND, scripts=(COUNT_DOWN, RECEIPT))
    dear = Content(ONE, price=HIGH_PRICE)
    for word, script in (("rejected", REJECT), ("released", RELEASE), ("never looked at", ())):
        yield _reviewed(1, (PLACE, PICKUP), f"held once changed and {word}", dear, script)
