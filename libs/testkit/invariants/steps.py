"""Folds events into stories, and says where one does not follow from those before it in its topic."""

from collections.abc import Callable
from typing import Any

from contracts import orders, risk, routes
from contracts.envelope import Event
from libs.testkit.invariants.findings import Seen
from libs.testkit.invariants.goods_steps import GOODS_STEPS
from libs.testkit.invariants.stories import Story, goods_of

Step = Callable[[Story, Any, Seen], None]


def _placed(story: Story, event: orders.OrderPlaced, seen: Seen) -> None:
    story.placed += 1
    if story.placed > 1:
        seen["I-5"].add(f"{event.order_id} was placed {story.placed} times")
    if event.order_id != f"{event.channel}.{event.shop_id}.{event.platform_order_id}":
        seen["I-5"].add(f"{event.order_id} is not the id of {event.channel}, {event.shop_id} and its platform number")
    _content(story, event, seen)


def _content(story: Story, event: orders.OrderContent, seen: Seen) -> None:
    if event.version != story.version + 1:
        seen["I-7"].add(f"{event.order_id}: content {event.version} follows content {story.version}")
    story.contents.append(goods_of(event.lines))
    _money(story, event, seen)


def _money(story: Story, event: orders.OrderContent, seen: Seen) -> None:
    """Check an order's amounts; the names of its lines must be its own, or they could not be told apart later."""
    net = event.shipping_fee
    names = set()
    negative = event.total < 0 or event.shipping_fee < 0
    for line in event.lines:
        net += line.quantity * line.unit_price
        names.add(line.line_id)
        negative = negative or line.unit_price < 0 or line.quantity < 1
        for discount in line.discounts:
            net -= discount.amount
            negative = negative or discount.amount < 0
    wrong = seen["I-14"]
    if net != event.total:
        wrong.add(f"{event.order_id} version {event.version}: lines make {net}, its total says {event.total}")
    if negative or len(names) != len(event.lines):
        wrong.add(f"{event.order_id} version {event.version}: a negative amount, an empty or a doubled line")
    story.highest_total = max(story.highest_total, event.total)


def _cancel_requested(story: Story, event: orders.OrderCancelRequested, seen: Seen) -> None:
    if not story.placed:
        seen["I-7"].add(f"{event.order_id}: a cancellation before the order was placed")
    story.requests += 1


def _refund_requested(story: Story, event: orders.RefundRequested, seen: Seen) -> None:
    story.requests += not (event.after_shipping or event.line_ids)
    story.refunded += event.amount
    if event.amount < 0 or story.refunded > story.highest_total:
        seen["I-14"].add(f"{event.order_id}: refunds of {story.refunded}, its highest total was {story.highest_total}")


def _judged(state: str, before: tuple[str, ...]) -> Step:
    def step(story: Story, event: Any, seen: Seen) -> None:
        if story.risk not in before or event.version < story.risk_version:
            seen["I-7"].add(
                f"{event.order_id}: {type(event).__name__} of version {event.version} "
                f"after {story.risk or 'nothing'} of version {story.risk_version}"
            )
        story.risk, story.risk_version = state, event.version

    return step


def _resolved(story: Story, event: risk.HoldResolved, seen: Seen) -> None:
    if story.risk != "held":
        seen["I-7"].add(f"{event.order_id}: a hold was resolved while the order was {story.risk or 'not judged'}")


def _routed(state: str) -> Step:
    def step(story: Story, event: Any, seen: Seen) -> None:
        if event.plan != story.plan + 1:
            seen["I-7"].add(f"{event.order_id}: plan {event.plan} follows plan {story.plan}")
        story.plan, story.route = event.plan, state
        for parcel in getattr(event, "parcels", ()):
            known = story.parcel(parcel.parcel_id)
            if known.planned:
                seen["I-7"].add(f"{parcel.parcel_id} was planned twice")
            known.planned = True

    return step


STEPS: dict[type[Event], Step] = {
    orders.OrderPlaced: _placed,
    orders.OrderAmended: _content,
    orders.OrderCancelRequested: _cancel_requested,
    orders.RefundRequested: _refund_requested,
    risk.OrderCleared: _judged("cleared", ("", "held", "cleared")),
    risk.OrderHeld: _judged("held", ("", "held", "cleared")),
    risk.HoldResolved: _resolved,
    risk.OrderRejected: _judged("rejected", ("held",)),
    routes.RoutePlanned: _routed("planned"),
    routes.RouteBlocked: _routed("blocked"),
    **GOODS_STEPS,
}
