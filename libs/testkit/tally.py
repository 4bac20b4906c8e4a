"""A tiny service to try the stream with: it counts cancel requests per order, sets timers and calls outside."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Column, MetaData, Table, Text

from contracts.orders import OrderCancelRequested
from contracts.risk import OrderRejected
from libs.decide import Command, Delivered, Due, Handlers, On, Output, Reply, Row, Send, State, Wake
from libs.stream.batch import Writer
from libs.stream.egress import Refused
from libs.stream.journal import Head
from libs.stream.limits import Limits
from libs.stream.log import Outgoing, Place
from libs.stream.tables import Tables

START = datetime(2026, 11, 11, tzinfo=UTC)
LIMITS = Limits(lease_ms=600, fetch_timeout_ms=50, retry_first_ms=10)


class Tally(Row, kw_only=True):
    """What was counted for one order."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    count: int = 0
    woken: int = 0
    told: str = ""


class Add(Command, frozen=True, kw_only=True):
    """Add to an order's count."""

    order_id: str
    amount: int

    @property
    def key(self) -> str:
        """The order."""
        return self.order_id


def on_cancel(event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
    """Count a cancel request; reason poison cannot be decided."""
    if event.reason == "poison":
        raise ValueError("cannot stomach this")
    tally = state.get(Tally, event.order_id) or Tally(order_id=event.order_id)
    tally.count += 1
    state.put(tally)
    rejected = OrderRejected(order_id=event.order_id, version=tally.count, by="test", why="")
    wake = Wake(kind="later", key=event.order_id, at=now + timedelta(milliseconds=30))
    send = Send(destination="out", send_id=f"s:{event.order_id}", key=event.order_id, body={"n": tally.count})
    return [rejected, wake, send]


def on_add(command: Add, state: State, now: datetime) -> list[Output]:
    """Add, or fail on a negative amount."""
    if command.amount < 0:
        raise ValueError("a negative amount breaks this")
    tally = state.get(Tally, command.order_id) or Tally(order_id=command.order_id)
    tally.count += command.amount
    state.put(tally)
    return [Reply(body={"count": tally.count})]


def on_due(due: Due, state: State, now: datetime) -> list[Output]:
    """Note that the timer came."""
    tally = state.get(Tally, due.key)
    assert tally is not None
    tally.woken += 1
    state.put(tally)
    return []


def on_told(message: Delivered, state: State, now: datetime) -> list[Output]:
    """Note what became of the call."""
    tally = state.get(Tally, message.key)
    assert tally is not None
    tally.told = message.detail
    state.put(tally)
    return []


HANDLERS = Handlers(
    service="risk",
    on={
        OrderCancelRequested: On(on_cancel, needs=lambda e: {Tally: [(e.order_id,)]}),
        Add: On(on_add, needs=lambda c: {Tally: [(c.order_id,)]}),
    },
    timers={"later": On(on_due, needs=lambda d: {Tally: [(d.key,)]})},
    delivered={"out": On(on_told, needs=lambda d: {Tally: [(d.key,)]})},
    rows=(Tally,),
)


class Out:
    """A destination that fails once for order o0 and refuses order no."""

    def __init__(self) -> None:
        self.calls = 0

    async def send(self, request: Send, attempt: int) -> str:
        """Count the call and answer."""
        self.calls += 1
        if attempt == 1 and request.key == "o0":
            raise OSError("not now")
        if request.key == "no":
            raise Refused("never")
        return "ok"


METADATA = MetaData()
TABLES = Tables(
    METADATA,
    {
        Tally: Table(
            "tally",
            METADATA,
            Column("order_id", Text, primary_key=True),
            Column("count", BigInteger, CheckConstraint("count < 1000", name="count_is_small"), nullable=False),
            Column("woken", BigInteger, nullable=False),
            Column("told", Text, nullable=False),
        )
    },
)


def cancels(heads: dict[Place, Head], partitions: int, *orders: tuple[str, str]) -> list[Outgoing]:
    """Return cancel requests as their writer would publish them after `heads`, which move on."""
    writer = Writer("ingestion", 0, 1, partitions, {})
    found = []
    for order_id, reason in orders:
        event = OrderCancelRequested(order_id=order_id, request_id="r", requested_at=START, reason=reason)
        found.append(writer.event(event, "test", int(START.timestamp() * 1000), heads)[0])
    return found
