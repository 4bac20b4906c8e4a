"""Decides which SKU is sold where and how much each listing gets, and keeps the exposure ledger with every event."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

from contracts.orders import OrderCancelRequested, OrderPlaced, RefundRequested
from contracts.stock_levels import StockLevelChanged
from libs.decide import Command, Delivered, Due, Output, Reply, Send, State, Wake, problem
from services.ingestion.domain import exposure
from services.ingestion.domain.allocation import Mode, Policy, fault
from services.ingestion.domain.connections import Connection
from services.ingestion.domain.exposure import Outcome, Push
from services.ingestion.domain.ledger import Channels, Exposure, Listing, Patience, SoldOrder
from services.ingestion.domain.watermark import Progress

STOCK = "stock:"
FIGURES = "figures:inventory"
EXPOSURE_DUE = "exposure"
LISTINGS_LIMIT = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PutListing(Command, frozen=True, kw_only=True):
    """A SKU is sold in a shop as this listing, under this policy."""

    shop_id: str
    sku: str
    listing_id: str
    listing_sku: str
    mode: Mode
    amount: int = 0
    priority: int = 100

    @property
    def key(self) -> str:
        """The SKU."""
        return self.sku


class EndListing(Command, frozen=True, kw_only=True):
    """A SKU is no longer sold in a shop: its listing is told to offer nothing, and then forgotten."""

    shop_id: str
    sku: str

    @property
    def key(self) -> str:
        """The SKU."""
        return self.sku


class PutBudget(Command, frozen=True, kw_only=True):
    """How many units of a SKU may be oversold at worst; 0 for scarce goods."""

    sku: str
    budget: int

    @property
    def key(self) -> str:
        """The SKU."""
        return self.sku


class StartPush(Command, frozen=True, kw_only=True):
    """A call that must not be made twice is about to be made."""

    sku: str
    change_id: str
    attempt: int

    @property
    def key(self) -> str:
        """The SKU."""
        return self.sku


def put_listing(command: PutListing, state: State, now: datetime, channels: Channels) -> list[Output]:
    """List a SKU in a shop or change its policy; shares that make more than all are refused."""
    shop = state.get(Connection, command.shop_id)
    if shop is None:
        return [problem(404, "no such shop on a platform", field="shop")]
    if shop.channel not in channels.takes:
        return [problem(422, "this channel takes no stock", field="shop", channel=shop.channel)]
    row = state.get(Exposure, command.sku) or Exposure(sku=command.sku)
    policy = Policy(mode=command.mode, amount=command.amount, priority=command.priority)
    others = [each for each in row.listings if each.shop_id != command.shop_id]
    known = next((each for each in row.listings if each.shop_id == command.shop_id), None)
    if why := fault([policy, *(each.policy for each in others if each.active)]):
        return [problem(422, "the policies of this SKU do not fit together", why, field="amount")]
    if known is None:
        if len(others) >= LISTINGS_LIMIT:
            return [problem(422, f"a SKU is listed in at most {LISTINGS_LIMIT} shops", field="sku")]
        known = Listing(
            shop_id=command.shop_id,
            channel=shop.channel,
            listing_id=command.listing_id,
            listing_sku=command.listing_sku,
            policy=policy,
        )
        row.listings = sorted([*others, known], key=lambda each: each.shop_id)
    elif (known.listing_id, known.listing_sku) != (command.listing_id, command.listing_sku):
        detail = "end it first, so that what it offers is taken back"
        return [problem(409, "the SKU is sold in this shop as another listing", detail, listing_id=known.listing_id)]
    known.policy, known.active = policy, True
    state.put(row)
    outputs: list[Output] = [Reply(body=shown(row))]
    if row.atp is None:
        # Figures come when they change; those of goods that lie still are asked for once.
        send_id = f"{command.sku}/{command.shop_id}"
        outputs.append(Send(destination=FIGURES, send_id=send_id, key=command.sku, body={"sku": command.sku}))
    return outputs


def end_listing(command: EndListing, state: State, now: datetime) -> list[Output]:
    """Take back what a listing offers."""
    row = state.get(Exposure, command.sku)
    known = None if row is None else next((each for each in row.listings if each.shop_id == command.shop_id), None)
    if row is None or known is None:
        return [problem(404, "the SKU is not listed in this shop")]
    known.active = False
    state.put(row)
    return [Reply(status=202, body=shown(row))]


def put_budget(command: PutBudget, state: State, now: datetime) -> list[Output]:
    """Set how much may be oversold at worst."""
    row = state.get(Exposure, command.sku) or Exposure(sku=command.sku)
    row.budget = command.budget
    state.put(row)
    return [Reply(body=shown(row))]


def start_push(command: StartPush, state: State, now: datetime) -> list[Output]:
    """Let an attempt be made unless the same one may have been made before."""
    row = state.get(Exposure, command.sku)
    if row is None or not exposure.start(row, command.change_id, command.attempt):
        return [Reply(body={"go": False})]
    state.put(row)
    return [Reply(body={"go": True})]


def level(event: StockLevelChanged, state: State, now: datetime) -> list[Output]:
    """Take in new figures of a SKU that is listed somewhere."""
    row = state.get(Exposure, event.sku)
    if row is not None:
        exposure.hear_figures(row, event.atp, event.sellable, ms(now))
        state.put(row)
    return []


def learn_figures(delivered: Delivered, state: State, now: datetime) -> list[Output]:
    """Take the figures that were asked for, unless newer ones were heard meanwhile."""
    row = state.get(Exposure, delivered.key)
    found = delivered.detail.split()
    if row is not None and row.figures_no == 0 and delivered.ok and len(found) == 2:
        exposure.hear_figures(row, int(found[0]), int(found[1]), ms(now))
        state.put(row)
    return []


def count_sales(
    outputs: Iterable[Output], takes: frozenset[str], state: State, now: datetime, patience: Patience
) -> None:
    """Lower what a shop offers by what it just sold, and expect back what was cancelled before it left."""
    for output in outputs:
        if isinstance(output, OrderPlaced) and output.channel in takes:
            _sold(output, state, now, patience)
        elif _ends(output) and output.key.partition(".")[0] in takes:
            _cancelled(output, state, now)


def _ends(output: Output) -> TypeGuard[OrderCancelRequested | RefundRequested]:
    """Tell whether an order, or a part of it that counts as all, may come back before it left."""
    return isinstance(output, OrderCancelRequested) or (
        isinstance(output, RefundRequested) and not output.after_shipping
    )


def _sold(order: OrderPlaced, state: State, now: datetime, patience: Patience) -> None:
    units: dict[str, int] = {}
    for line in order.lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    counted = {}
    for sku in sorted(units):
        row = state.get(Exposure, sku)
        if row is not None and exposure.sell(row, order.shop_id, units[sku], ms(order.placed_at), ms(now), patience):
            counted[sku] = units[sku]
            state.put(row)
    if counted:
        state.put(SoldOrder(order_id=order.order_id, shop_id=order.shop_id, units=counted))


def _cancelled(ending: OrderCancelRequested | RefundRequested, state: State, now: datetime) -> None:
    """A platform that takes an order back may offer its goods again, without telling and before the ATP rises.

    A refund of some lines counts as if all came back, and may not be the last: too much is read away again, what was
    left out would be sold twice.
    """
    sold = state.get(SoldOrder, ending.order_id)
    if sold is None:
        return
    for sku in sorted(sold.units):
        row = state.get(Exposure, sku)
        if row is not None and exposure.restore(row, sold.shop_id, sold.units[sku], ms(now)):
            state.put(row)
    if isinstance(ending, OrderCancelRequested) or not ending.line_ids:
        state.delete(sold)


def told(
    sku: str,
    change_id: str,
    outcome: Outcome,
    read: int | None,
    word: str,
    state: State,
    now: datetime,
    patience: Patience,
) -> list[Output]:
    """Take in how a call to a platform ended."""
    row = state.get(Exposure, sku)
    if row is not None and exposure.answered(row, change_id, outcome, read, ms(now), patience, word):
        state.put(row)
    return []


def look_again(due: Due, state: State, now: datetime, patience: Patience, hearing_limit_ms: int) -> list[Output]:
    """Trust what every sale up to it has been heard of; a shop without a watermark is believed after a while."""
    row = state.get(Exposure, due.key)
    if row is None:
        return []
    row.wake_ms = 0
    for listing in row.listings:
        if listing.flight is not None and listing.flight.ended_ms is not None:
            progress = state.get(Progress, listing.shop_id)
            until = None if progress is None else progress.complete_until
            watched = progress is not None and bool(progress.evidence)
            heard_ms = ms(until) if until is not None else 0 if watched else ms(now) - hearing_limit_ms
            exposure.settle(listing, heard_ms, patience)
        if listing.known and ms(now) >= listing.read_ms + patience.reread_ms:
            listing.read_ms, listing.wants_read = ms(now), True
    state.put(row)
    return []


def push_stock(state: State, now: datetime, channels: Channels, patience: Patience) -> list[Output]:
    """Once a batch: make the calls that follow from everything it changed, so that many changes make one push."""
    outputs: list[Output] = []
    for row in state.changed(Exposure):
        outputs += [_send(row, push) for push in exposure.plan(row, {}, ms(now), channels, patience)]
        times = [exposure.wake_at(row, ms(now), patience), *_rereads(row, ms(now), patience)]
        wake_ms = min((at for at in times if at), default=0)
        if wake_ms and (not row.wake_ms or wake_ms < row.wake_ms):
            row.wake_ms = wake_ms
            outputs.append(Wake(kind=EXPOSURE_DUE, key=row.sku, at=_EPOCH + timedelta(milliseconds=wake_ms)))
        state.put(row)
    return outputs


def _rereads(row: Exposure, now_ms: int, patience: Patience) -> list[int]:
    """Return when each listing is to be read again though nothing happened: a platform may forget what it was told."""
    for listing in row.listings:
        listing.read_ms = listing.read_ms or now_ms
    return [listing.read_ms + patience.reread_ms for listing in row.listings if listing.known]


def waiting_shops(row: Exposure | None) -> Sequence[str]:
    """Return the shops whose watermark decides whether an answer is to be trusted."""
    return [] if row is None else [each.shop_id for each in row.listings if each.flight is not None]


def shown(row: Exposure) -> dict[str, object]:
    """Return every term of a SKU's bound."""
    wanted = exposure.targets(row)
    return {
        "sku": row.sku,
        "atp": row.atp,
        "sellable": row.sellable,
        "budget": row.budget,
        "bound": exposure.bound(row),
        "may_be_sold": sum(exposure.most(each) for each in row.listings),
        "listings": [_listing_shown(each, wanted.get(each.shop_id, 0)) for each in row.listings],
    }


def ms(moment: datetime) -> int:
    """Return a moment as whole milliseconds since 1970."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _listing_shown(listing: Listing, target: int) -> dict[str, object]:
    flight = listing.flight
    under_way = None
    if flight is not None:
        state = "sent" if flight.ended_ms is None else "answered, waits for sales up to the answer"
        under_way = {"change_id": flight.change_id, "kind": flight.kind, "value": flight.value, "state": state}
    return {
        "shop_id": listing.shop_id,
        "channel": listing.channel,
        "listing_id": listing.listing_id,
        "listing_sku": listing.listing_sku,
        "mode": listing.policy.mode,
        "amount": listing.policy.amount,
        "priority": listing.policy.priority,
        "active": listing.active,
        "known": listing.known,
        "target": target,
        "last_told": listing.told,
        "last_acknowledged": listing.acknowledged,
        "offered": listing.offered,
        "raise_not_settled": exposure.under_way(listing),
        "sold_not_in_atp": exposure.pending(listing),
        "cancelled_not_settled": listing.restored,
        "may_be_sold": exposure.most(listing),
        "sold": listing.sold,
        "under_way": under_way,
        "drift": listing.drift,
        "drifts": listing.drifts,
        "failures": listing.failures,
        "platform_words": listing.word,
    }


def _send(row: Exposure, push: Push) -> Send:
    listing, flight = push.listing, push.flight
    return Send(
        destination=STOCK + listing.channel,
        send_id=flight.change_id,
        key=row.sku,
        body={
            "shop_id": listing.shop_id,
            "sku": row.sku,
            "listing_id": listing.listing_id,
            "listing_sku": listing.listing_sku,
            "change_id": flight.change_id,
            "kind": flight.kind,
            "value": flight.value,
        },
    )
