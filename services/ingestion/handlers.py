"""Which message is decided by which function; ingestion hears no topic yet, so all of them are commands."""

from libs.decide import Handlers, Needs, On
from services.ingestion import domain
from services.ingestion.domain import CancelOrder, Intake, PlaceOrder, PlatformOrder, PutShop, Shop, TakeBatch


def _order(command: PlaceOrder | CancelOrder) -> Needs:
    return {PlatformOrder: [(command.key,)]}


def _orders(command: TakeBatch) -> Needs:
    return {PlatformOrder: [(item.key,) for item in command.items]}


def _shop(command: PutShop) -> Needs:
    return {Shop: [(command.shop_id,)]}


def handlers() -> Handlers:
    """Return everything that ingestion decides."""
    return Handlers(
        service="ingestion",
        on={
            PlaceOrder: On(domain.place, needs=_order),
            CancelOrder: On(domain.cancel, needs=_order),
            TakeBatch: On(domain.take_batch, needs=_orders),
            PutShop: On(domain.put_shop, needs=_shop),
        },
        rows=(PlatformOrder, Shop),
        entries=(Intake,),
    )
