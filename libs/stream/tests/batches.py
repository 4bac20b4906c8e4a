"""Records, inputs and handlers for trying the pure middle of the stream, one branch at a time."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.orders import OrderCancelRequested
from contracts.risk import OrderRejected
from contracts.topics import ORDERS
from libs.decide import Handlers, On, Output, State
from libs.stream.batch import (
    Input,
    Writer,
    changes_of,
    decide,
)
from libs.stream.journal import Changes, Head
from libs.stream.log import Place, Record
from libs.stream.reader import Acceptance, Reader
from libs.testkit.tally import HANDLERS, Add

NOW = datetime(2026, 11, 11, 0, 0, 1, 500_000, tzinfo=UTC)
SOURCE = "ingestion/0/1"
VALUE = msgspec.json.encode(OrderCancelRequested(order_id="o1", request_id="r", requested_at=NOW))


def record(offset: int, seq: object, **more: Any) -> Record:
    """A cancel request of order o1, as its writer publishes it, unless `more` says otherwise."""
    headers = {
        "ce_specversion": b"1.0",
        "ce_type": b"OrderCancelRequested",
        "ce_source": SOURCE.encode(),
        "ce_id": str(seq).encode(),
        "ce_causationid": b"c",
    }
    headers.update(more.pop("headers", {}))
    kept = tuple((name, value) for name, value in headers.items() if value is not None)
    whole = {"topic": ORDERS.name, "partition": 0, "key": b"o1", "value": VALUE, **more}
    return Record(offset=offset, timestamp_ms=0, headers=kept, **whole)


def beginning(offset: int = 0) -> Callable[[Place], int]:
    return lambda place: offset


def accepted(
    records: list[Record], known: dict[str, int] | None = None, begins: int = 0, by: Handlers = HANDLERS
) -> tuple[list[Input], Acceptance, dict[tuple[str, int, str], int]]:
    """Accept records of partition 0 after what is `known` of each source."""
    seqs = {(ORDERS.name, 0, source): seq for source, seq in (known or {}).items()}
    counts = Acceptance()
    return Reader(by).accept(records, seqs, beginning(begins), counts), counts, seqs


def scripted(outputs: dict[str, list[Any]], **more: Any) -> Handlers:
    """Handlers whose answer to a cancel request, timer, call or command is looked up by its key."""

    def answer(message: Any, state: State, now: datetime) -> list[Output]:
        return list(outputs.get(message.key, []))

    on: On[Any] = On(answer, needs=lambda message: {})
    return Handlers(
        service="risk", on={OrderCancelRequested: on, Add: on}, timers={"t": on}, delivered={"out": on}, **more
    )


def event_input(key: str = "o1", place: int = 0) -> Input:
    event = OrderCancelRequested(order_id=key, request_id="r", requested_at=NOW)
    found = record(place, place + 1, key=key.encode())
    return Input(
        key=key, cause=f"c{place}", message=event, record=found, source=SOURCE, seq=place + 1, type=type(event).__name__
    )


def command_input(key: str, idempotency_key: str = "k") -> Input:
    command = Add(order_id=key, amount=1)
    return Input(
        key=key,
        cause=f"command:{idempotency_key}",
        message=command,
        type="Add",
        idempotency_key=idempotency_key,
        fingerprint=b"f",
        body=b"b",
    )


def writer(heads: dict[Place, Head] | None = None) -> Writer:
    return Writer("risk", 0, 1, 4, heads or {})


def folded(handlers: Handlers, inputs: list[Input], state: State | None = None, to: Writer | None = None) -> Changes:
    state = state or State()
    return changes_of(inputs, decide(handlers, inputs, state, NOW), state, to or writer(), 5, NOW)


def rejected(order_id: str, version: int = 1) -> OrderRejected:
    return OrderRejected(order_id=order_id, version=version, by="test", why="")
