"""Decides that an order is accepted on a platform that wants it, once it is durable here; a refusal waits in a list."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from contracts.orders import OrderCancelRequested, OrderPlaced
from libs.decide import Delivered, Output, Row, Send, State
from services.ingestion.domain.orders import CANCELLED as ORDER_CANCELLED
from services.ingestion.domain.orders import PlatformOrder

ACCEPT = "accept:"
ACCEPTING, ACCEPTED, CANCELLED, REFUSED = "accepting", "accepted", "cancelled", "refused"
STATES = (REFUSED, ACCEPTING, CANCELLED, ACCEPTED)  # the worst first
WORD_LIMIT_CHARACTERS = 300


class Acceptance(Row, kw_only=True):
    """An order that its platform cancels unless it is accepted by `accept_by`, and the platform's word on it.

    `cancelled`: it was refused, but the order had been cancelled, so nothing is amiss.
    """

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    channel: str
    shop_id: str
    platform_order_id: str
    state: str = ACCEPTING
    word: str = ""
    accept_by: datetime
    changed_at: datetime


def accept_new(outputs: Sequence[Output], limits_s: Mapping[str, int], state: State, now: datetime) -> list[Output]:
    """Have each new order of such a channel accepted, but for those that came together with their cancellation.

    `limits_s` says, by channel, how long after payment the platform waits. The call goes out after the commit.
    """
    placed = [each for each in outputs if isinstance(each, OrderPlaced) and each.channel in limits_s]
    gone = {each.order_id for each in outputs if isinstance(each, OrderCancelRequested)} if placed else ()
    calls: list[Output] = []
    for order in placed:
        if order.order_id in gone:
            continue
        # An order is new once, so there is no row of it to be loaded first.
        state.put(
            Acceptance(
                order_id=order.order_id,
                channel=order.channel,
                shop_id=order.shop_id,
                platform_order_id=order.platform_order_id,
                accept_by=(order.paid_at or order.placed_at) + timedelta(seconds=limits_s[order.channel]),
                changed_at=now,
            )
        )
        body = {"shop_id": order.shop_id, "platform_order_id": order.platform_order_id}
        calls.append(Send(destination=ACCEPT + order.channel, send_id=order.order_id, key=order.order_id, body=body))
    return calls


def answered(delivered: Delivered, state: State, now: datetime) -> list[Output]:
    """Keep the platform's word; one call an order, so a doubled answer changes nothing."""
    row = state.get(Acceptance, delivered.key)
    if row is None or row.state != ACCEPTING:
        return []
    order = state.get(PlatformOrder, delivered.key)
    if delivered.ok:
        row.state = ACCEPTED
    else:
        row.state = CANCELLED if order is not None and order.state == ORDER_CANCELLED else REFUSED
    row.word = delivered.detail[:WORD_LIMIT_CHARACTERS]
    row.changed_at = now
    state.put(row)
    return []
