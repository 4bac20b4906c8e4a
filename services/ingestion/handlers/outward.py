"""What goes back to platforms: accepted orders, shipments, stock, and what became of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from contracts.shipments import FulfillmentCancelled, ParcelShipped
from contracts.stock_levels import StockLevelChanged
from libs.channels.capabilities import Capabilities
from libs.channels.outward.stock_pusher import outcome
from libs.channels.registry import PLATFORMS, channel
from libs.decide import Command, Delivered, Due, Handlers, Needs, On, Output, State
from services.ingestion.domain import DocumentHeard, HearPage, TakeDocument, TakeHints, acceptance, listings, uploads
from services.ingestion.domain.acceptance import Acceptance
from services.ingestion.domain.connections import Connection
from services.ingestion.domain.ledger import Channels, Exposure, Patience, SoldOrder
from services.ingestion.domain.listings import EndListing, PutBudget, PutListing, StartPush
from services.ingestion.domain.orders import CancelOrder, PlaceOrder, PlatformOrder, TakeBatch
from services.ingestion.domain.refunds import RequestRefund
from services.ingestion.domain.uploads import RetryUpload, ShipBack, UploadRules
from services.ingestion.domain.watermark import Progress

# A shop whose orders nothing proves complete is taken to have been heard after this long.
HEARING_LIMIT_MS = 600_000
PATIENCE = Patience()
Said = PlaceOrder | CancelOrder | RequestRefund


def platforms() -> list[Capabilities]:
    """Return what each platform can do."""
    return [channel(name).capabilities for name in PLATFORMS]


def upload_rules(found: Iterable[Capabilities]) -> dict[str, UploadRules]:
    """Return, by channel that takes shipments, what it allows."""
    return {
        each.channel: UploadRules(each.splits_parcels, each.parcels_limit, each.reships_limit)
        for each in found
        if each.takes_shipment_upload
    }


def accept_limits_s(found: Iterable[Capabilities]) -> dict[str, int]:
    """Return, by channel whose orders must be accepted, how long after payment that may be."""
    return {each.channel: each.accept_limit_s for each in found if each.accept_limit_s is not None}


def stock_channels(found: Iterable[Capabilities]) -> Channels:
    """Return which channels take stock, which of them as differences, and which can be asked."""
    takes = [each for each in found if each.takes_stock_push]
    return Channels(
        takes=frozenset(each.channel for each in takes),
        delta=frozenset(each.channel for each in takes if each.stock_push == "delta"),
        reads=frozenset(each.channel for each in takes if each.reads_stock),
    )


def outward() -> Handlers:
    """Return what is decided about calls to platforms."""
    found = platforms()
    rules, channels = upload_rules(found), stock_channels(found)
    uploaded = On(partial(uploads.uploaded, rules=rules), needs=_order_of_delivery)
    told = On(_told, needs=_sku_of_delivery)
    answered = On(_answered, needs=_accepted)
    return Handlers(
        service="ingestion",
        on={
            ParcelShipped: On(partial(uploads.report, rules=rules), needs=partial(_order_shipped, rules)),
            FulfillmentCancelled: On(partial(uploads.end, rules=rules), needs=partial(_order_shipped, rules)),
            RetryUpload: On(partial(uploads.retry, rules=rules), needs=_order_retried),
            StockLevelChanged: On(listings.level, needs=_sku),
            PutListing: On(partial(listings.put_listing, channels=channels), needs=_listing),
            EndListing: On(listings.end_listing, needs=_sku),
            PutBudget: On(listings.put_budget, needs=_sku),
            StartPush: On(listings.start_push, needs=_sku),
        },
        timers={
            listings.EXPOSURE_DUE: On(
                partial(listings.look_again, patience=PATIENCE, hearing_limit_ms=HEARING_LIMIT_MS),
                needs=_sku_due,
                then=_watermarks,
            )
        },
        delivered={uploads.UPLOAD + name: uploaded for name in rules}
        | {acceptance.ACCEPT + name: answered for name in accept_limits_s(found)}
        | {listings.STOCK + name: told for name in sorted(channels.takes)}
        | {listings.FIGURES: On(listings.learn_figures, needs=_sku_of_delivery)},
        settle=partial(listings.push_stock, channels=channels, patience=PATIENCE),
        rows=(ShipBack, Acceptance, PlatformOrder, Exposure, SoldOrder, Connection, Progress),
    )


def following_sales(handlers: Handlers) -> Handlers:
    """Return the same decisions, each new order being counted where it was sold and accepted where that is wanted."""
    able = platforms()
    takes, limits_s = stock_channels(able).takes, accept_limits_s(able)
    found: Mapping[type[Any], Callable[[Any], Iterable[Said]]] = {
        PlaceOrder: lambda command: (command,),
        CancelOrder: lambda command: (command,),
        RequestRefund: lambda command: (command,),
        TakeBatch: lambda command: command.items,
        TakeHints: lambda command: _said(command.documents),
        HearPage: lambda command: _said(command.documents),
        TakeDocument: lambda command: command.document.said,
    }
    alone = (PlaceOrder, CancelOrder)
    followed = {
        # Batches and files are the own channel's, which nobody has to accept.
        kind: _followed(handlers.on[kind], orders, takes, {} if kind is TakeBatch else limits_s, kind in alone)
        for kind, orders in found.items()
    }
    return replace(handlers, on={**handlers.on, **followed})


def _followed(
    on: On[Any],
    orders: Callable[[Any], Iterable[Said]],
    takes: frozenset[str],
    limits_s: Mapping[str, int],
    alone: bool,
) -> On[Any]:
    """Wrap a decision. An order that no platform sold costs a look at its channel and nothing more."""
    followed = takes | limits_s.keys()

    def needs(command: Command) -> Needs:
        named = on.needs(command)
        if alone and command.key.partition(".")[0] not in followed:
            return named
        sold = [each for each in orders(command) if each.key.partition(".")[0] in followed]
        skus = {line.sku for each in sold if isinstance(each, PlaceOrder) for line in each.order.lines}
        if not sold:
            return named
        return {**named, SoldOrder: [(each.key,) for each in sold], Exposure: [(sku,) for sku in sorted(skus)]}

    def then(command: Command, state: State) -> Needs:
        more = {} if on.then is None else dict(on.then(command, state))
        if alone and command.key.partition(".")[0] not in followed:
            return more
        names = [each.key for each in orders(command) if each.key.partition(".")[0] in followed]
        known = [sold for name in names if (sold := state.get(SoldOrder, name)) is not None]
        if known:
            more[Exposure] = [(sku,) for sku in sorted({sku for sold in known for sku in sold.units})]
        return more

    def decide(command: Command, state: State, now: datetime) -> list[Output]:
        outputs = on.decide(command, state, now)
        if not alone or command.key.partition(".")[0] in followed:
            listings.count_sales(outputs, takes, state, now, PATIENCE)
            if limits_s:
                outputs += acceptance.accept_new(outputs, limits_s, state, now)
        return outputs

    return On(decide, needs=needs, then=then)


def _said(documents: Iterable[DocumentHeard]) -> list[Said]:
    return [each for document in documents for each in document.said]


def _told(delivered: Delivered, state: State, now: datetime) -> list[Output]:
    ended, read = outcome(delivered)
    return listings.told(
        delivered.key, delivered.body["change_id"], ended, read, delivered.detail, state, now, PATIENCE
    )


def _answered(delivered: Delivered, state: State, now: datetime) -> list[Output]:
    return acceptance.answered(delivered, state, now) + uploads.accepted(delivered.key, state, now)


def _order_shipped(rules: Mapping[str, UploadRules], event: ParcelShipped | FulfillmentCancelled) -> Needs:
    orders = [(event.order_id,)] if event.order_id.partition(".")[0] in rules else []
    return {ShipBack: orders, Acceptance: orders}


def _order_retried(command: RetryUpload) -> Needs:
    return {ShipBack: [(command.key,)]}


def _order_of_delivery(delivered: Delivered) -> Needs:
    return {ShipBack: [(delivered.key,)]}


def _accepted(delivered: Delivered) -> Needs:
    return {Acceptance: [(delivered.key,)], PlatformOrder: [(delivered.key,)], ShipBack: [(delivered.key,)]}


def _sku(message: StockLevelChanged | EndListing | PutBudget | StartPush) -> Needs:
    return {Exposure: [(message.sku,)]}


def _listing(command: PutListing) -> Needs:
    return {Exposure: [(command.sku,)], Connection: [(command.shop_id,)]}


def _sku_of_delivery(delivered: Delivered) -> Needs:
    return {Exposure: [(delivered.key,)]}


def _sku_due(due: Due) -> Needs:
    return {Exposure: [(due.key,)]}


def _watermarks(due: Due, state: State) -> Needs:
    return {Progress: [(shop_id,) for shop_id in listings.waiting_shops(state.get(Exposure, due.key))]}
