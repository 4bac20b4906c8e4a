"""Deliveries and shops of the own channel: which command is decided by which function."""

from libs.decide import Handlers, Needs, On
from services.ingestion import domain
from services.ingestion.domain import (
    CancelOrder,
    Connection,
    Intake,
    PlaceOrder,
    PlatformOrder,
    PutShop,
    Shop,
    TakeBatch,
)


def _order(command: PlaceOrder | CancelOrder) -> Needs:
    return {PlatformOrder: [(command.key,)]}


def _orders(command: TakeBatch) -> Needs:
    return {PlatformOrder: [(item.key,) for item in command.items]}


def _shop(command: PutShop) -> Needs:
    return {Shop: [(command.shop_id,)], Connection: [(command.shop_id,)]}


def orders() -> Handlers:
    """Return what is decided about orders as they come in, and about who may send them."""
    return Handlers(
        service="ingestion",
        on={
            PlaceOrder: On(domain.place, needs=_order),
            CancelOrder: On(domain.cancel, needs=_order),
            TakeBatch: On(domain.take_batch, needs=_orders),
            PutShop: On(domain.put_own_shop, needs=_shop),
        },
        rows=(PlatformOrder, Shop, Connection),
        entries=(Intake,),
    )
