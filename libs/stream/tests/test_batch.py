"""From records to decisions, branch by branch: what counts, what is passed over, what is set aside."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from contracts.catalog import SkuDefined
from contracts.orders import OrderCancelRequested
from contracts.topics import CATALOG, ORDERS
from libs.decide import Command, Handlers, On, Output, Row, State
from libs.stream.batch import (
    ERROR_TEXT_LIMIT,
    Input,
    Poisoned,
    decide,
    more_needs_of,
    needs_of,
    put_behind,
)
from libs.stream.journal import Parked
from libs.stream.tests.batches import NOW, SOURCE, VALUE, accepted, command_input, event_input, record, rejected
from libs.testkit.tally import HANDLERS, Add, Tally

# -- the sequence rule -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "begins", "offset", "seq", "verdict"),
    [
        (None, 0, 0, 1, "accepted"),
        (None, 0, 7, 1, "accepted"),
        (None, 0, 0, 2, "gaps"),  # the log is whole: number 1 will be sent again
        (None, 0, 7, 2, "gaps"),
        (None, 50, 50, 31, "accepted"),  # the log dropped its beginning: what is left is the base
        (None, 50, 51, 31, "gaps"),
        (None, 50, 50, 1, "accepted"),
        (30, 0, 90, 31, "accepted"),
        (30, 0, 90, 30, "repeated"),
        (30, 0, 90, 1, "repeated"),
        (30, 0, 90, 32, "gaps"),
        (30, 50, 50, 40, "gaps"),  # known sources have no second base: a person is to look at this
        (30, 50, 50, 20, "repeated"),
        (30, 0, 90, 10**17, "gaps"),
        (None, 0, 0, 0, "repeated"),
    ],
)
def test_a_record_counts_only_as_the_next_of_its_source(
    known: int | None, begins: int, offset: int, seq: int, verdict: str
) -> None:
    inputs, counts, seqs = accepted([record(offset, seq)], {} if known is None else {SOURCE: known}, begins)
    assert (getattr(counts, verdict), sum(vars(counts).values())) == (1, 1)
    (found,) = inputs
    assert found.record is not None
    assert found.park is None
    if verdict == "accepted":
        assert seqs == {(ORDERS.name, 0, SOURCE): seq}
        assert isinstance(found.message, OrderCancelRequested)
        assert found.cause == f"{SOURCE}#{ORDERS.name}/0/{seq}"
    else:
        assert seqs == ({} if known is None else {(ORDERS.name, 0, SOURCE): known})
        assert (found.message, found.seq) == (None, 0), "it only moves the position"


def test_after_a_torn_publish_the_resend_is_taken_from_where_it_tore() -> None:
    torn = [record(0, 1), record(1, 4), record(2, 5)]
    resent = [record(3 + n, n) for n in range(1, 7)]
    inputs, counts, seqs = accepted(torn + resent)
    assert [found.seq for found in inputs if found.message] == [1, 2, 3, 4, 5, 6]
    assert (counts.accepted, counts.repeated, counts.gaps) == (6, 1, 2)
    assert seqs[(ORDERS.name, 0, SOURCE)] == 6


def test_each_source_and_partition_counts_for_itself() -> None:
    other = {"ce_source": b"ingestion/1/1"}
    newer = {"ce_source": b"ingestion/0/2"}
    records = [
        record(0, 1),
        record(1, 1, headers=other),
        record(2, 2),
        record(3, 1, headers=newer),
        record(4, 2, headers=other),
        record(0, 1, partition=1),
    ]
    _, counts, seqs = accepted(records)
    assert counts.accepted == 6
    assert set(seqs.values()) == {1, 2}
    assert len(seqs) == 4


def test_records_come_in_the_order_of_decisions() -> None:
    sku = {"ce_type": b"SkuDefined", "ce_source": b"inventory/0/1"}
    value = msgspec.json.encode(SkuDefined(sku="A"))
    records = [
        record(1, 1, partition=1),
        record(1, 2),
        record(5, 1, topic=CATALOG.name, headers=sku, key=b"A", value=value, partition=3),
        record(0, 1),
    ]
    inputs, _, _ = accepted(records)
    places = [(r.topic, r.partition, r.offset) for found in inputs if (r := found.record)]
    assert places == [(CATALOG.name, 3, 5), (ORDERS.name, 0, 0), (ORDERS.name, 0, 1), (ORDERS.name, 1, 1)]


@pytest.mark.parametrize(
    "more",
    [
        {"headers": {"ce_type": None}},
        {"headers": {"ce_type": b""}},
        {"headers": {"ce_source": None}},
        {"headers": {"ce_source": b"inventory/0/1"}},
        {"headers": {"ce_source": b"ingestion"}},
        {"headers": {"ce_source": b"ingestions/0/1"}},
        {"headers": {"ce_source": "ingestión/0/1".encode()}},
        {"headers": {"ce_source": b"\xff\xfe"}},
        {"headers": {"ce_id": None}},
        {"headers": {"ce_id": b""}},
        {"headers": {"ce_id": b"-1"}},
        {"headers": {"ce_id": b"+1"}},
        {"headers": {"ce_id": b"1.0"}},
        {"headers": {"ce_id": b" 1"}},
        {"headers": {"ce_id": b"0x1"}},
        {"headers": {"ce_id": "١".encode()}},
        {"headers": {"ce_id": b"9" * 19}},
        {"headers": {"ce_id": b"9" * 5_000}},
        {"key": None},
        {"key": b""},
    ],
)
def test_what_is_not_its_writers_event_is_set_aside_under_a_key_of_its_own(more: dict[str, Any]) -> None:
    inputs, counts, seqs = accepted([record(4, 1, **more), record(5, 1)])
    strange, good = inputs
    assert (counts.refused, counts.accepted) == (1, 1), "the events after it are not held up"
    assert strange.key == strange.cause == f"?{ORDERS.name}/0/4"
    assert strange.park is not None
    assert strange.message is None
    assert good.message is not None
    assert seqs == {(ORDERS.name, 0, SOURCE): 1}


@pytest.mark.parametrize("kind", [b"OrderTeleported", "订单".encode(), b"\xff", b"x" * 10_000])
def test_an_event_of_tomorrow_takes_its_number_and_is_passed_over(kind: bytes) -> None:
    inputs, counts, seqs = accepted([record(0, 1, headers={"ce_type": kind}), record(1, 2)])
    assert [found.message is not None for found in inputs] == [False, True]
    assert inputs[0].park is None
    assert (counts.accepted, counts.unknown) == (2, 1)
    assert seqs == {(ORDERS.name, 0, SOURCE): 2}


def test_an_event_nobody_here_handles_is_not_even_decoded() -> None:
    inputs, counts, _ = accepted([record(0, 1, headers={"ce_type": b"OrderPlaced"}, value=b"{broken")])
    assert (inputs[0].message, inputs[0].park, counts.unknown) == (None, None, 0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"order_id": 7, "request_id": "r", "requested_at": "2026-11-11T00:00:00Z"}',
        b'{"order_id": "o1", "request_id": "r"}',
        b'{"order_id": "o1", "request_id": "r", "requested_at": "yesterday"}',
        b'{"order_id": "\xff", "request_id": "r", "requested_at": "2026-11-11T00:00:00Z"}',
        VALUE.replace(b"o1", b"o2"),  # another key than its record's
        b"[" * 100_000,
    ],
)
def test_an_event_that_cannot_be_read_is_parked_and_keeps_its_number(value: bytes | None) -> None:
    inputs, _, seqs = accepted([record(0, 1, value=value), record(1, 2)])
    bad, good = inputs
    assert bad.message is None
    assert bad.park
    assert len(bad.park) <= ERROR_TEXT_LIMIT
    assert (bad.key, bad.seq, bad.source) == ("o1", 1, SOURCE)
    assert good.message is not None
    assert seqs[(ORDERS.name, 0, SOURCE)] == 2


# -- deciding --------------------------------------------------------------------------------------------------------


def broken(message: Any, state: State, now: datetime) -> list[Output]:
    raise KeyError("x" * 1_000)


def forgetful(message: Any, state: State, now: datetime) -> list[Output]:
    return [rejected("o1")]


def unloaded(message: Any, state: State, now: datetime) -> list[Output]:
    state.get(Tally, "o9")
    return []


@pytest.mark.parametrize(
    ("function", "said"),
    [(broken, "KeyError: "), (forgetful, "TypeError: Add was decided without a reply"), (unloaded, "NotLoaded: Tally")],
)
def test_a_decision_that_fails_names_the_place_of_its_message(function: Any, said: str) -> None:
    handlers = Handlers(service="risk", on={Add: On(function, needs=lambda c: {}), OrderCancelRequested: OK})
    inputs = [event_input("o1"), event_input("o2", 1), command_input("o3"), event_input("o4", 2)]
    with pytest.raises(Poisoned) as caught:
        decide(handlers, inputs, State(), NOW)
    assert caught.value.place == 2
    assert caught.value.error.startswith(said)
    assert len(caught.value.error) <= ERROR_TEXT_LIMIT


OK: On[Any] = On(lambda message, state, now: [], needs=lambda message: {})


def test_what_is_parked_is_not_decided_again() -> None:
    inputs = [event_input("o1"), event_input("o2", 1)]
    inputs[0].park = "broken"
    handlers = Handlers(service="risk", on={OrderCancelRequested: On(broken, needs=lambda e: {})})
    with pytest.raises(Poisoned) as caught:
        decide(handlers, inputs, State(), NOW)
    assert caught.value.place == 1


def no_needs(message: Any) -> Any:
    raise ValueError("what does it want")


def no_then(message: Any, state: State) -> Any:
    raise ValueError("what does it want now")


def test_a_message_that_cannot_say_what_it_needs_is_poison_too() -> None:
    inputs = [event_input("o1"), command_input("o2")]
    handlers = Handlers(service="risk", on={OrderCancelRequested: OK, Add: On(forgetful, needs=no_needs)})
    with pytest.raises(Poisoned, match="needs: ValueError") as caught:
        needs_of(handlers, inputs)
    assert caught.value.place == 1
    handlers = Handlers(service="risk", on={OrderCancelRequested: OK, Add: On(forgetful, lambda c: {}, no_then)})
    with pytest.raises(Poisoned, match="then: ValueError") as caught:
        more_needs_of(handlers, inputs, State())
    assert caught.value.place == 1


def test_needs_of_a_batch_are_one_union_without_what_is_parked() -> None:
    inputs = [event_input("o1"), event_input("o2", 1), event_input("o1", 2), command_input("o3"), event_input("o4", 3)]
    inputs[4].park = "broken"
    inputs.append(Input(key="o5", cause="", record=record(9, 9)))
    assert needs_of(HANDLERS, inputs) == {Tally: {("o1",), ("o2",), ("o3",)}}
    seen: list[type[Row]] = []

    def then(message: Command, state: State) -> Any:
        seen.append(type(state.get(Tally, message.key)))
        return {Tally: [("more",)]}

    handlers = Handlers(service="risk", on={OrderCancelRequested: OK, Add: On(forgetful, lambda c: {}, then)})
    state = State()
    state.fill(Tally, [("o3",)], [Tally(order_id="o3")])
    assert more_needs_of(handlers, inputs, state) == {Tally: {("more",)}}
    assert seen == [Tally], "it sees the rows loaded first"


def test_an_event_may_be_decided_as_of_its_own_time() -> None:
    seen: list[datetime] = []

    def see(message: Any, state: State, at: datetime) -> list[Output]:
        seen.append(at)
        return []

    said = event_input("o1")
    said.record = msgspec.structs.replace(record(0, 1), timestamp_ms=1_794_355_200_123)
    times_no_calendar_holds = [event_input("o1", 1), event_input("o1", 2), event_input("o1", 3)]
    for item, ms in zip(times_no_calendar_holds, (-1, 0, 2**62), strict=True):
        item.record = msgspec.structs.replace(record(0, 1), timestamp_ms=ms)
    again = event_input("o1", 4)
    parked_at = NOW - timedelta(days=2)
    again.record, again.redriven = None, Parked("o1", ORDERS.name, 0, 4, SOURCE, 5, "", b"", "", parked_at=parked_at)
    inputs = [said, *times_no_calendar_holds, again]
    for own_time, expected in (
        (True, [datetime(2026, 11, 11, 0, 0, 0, 123_000, tzinfo=UTC), NOW, NOW, NOW, parked_at]),
        (False, [NOW] * 5),
    ):
        on: On[Any] = On(see, needs=lambda message: {}, own_time=own_time)
        seen.clear()
        decide(Handlers(service="risk", on={OrderCancelRequested: on}), inputs, State(), NOW)
        assert seen == expected


def test_what_nobody_could_read_holds_back_what_comes_after_it_in_the_same_batch() -> None:
    unread, other, later = event_input("o1"), event_input("o2", 1), event_input("o1", 2)
    unread.park, unread.message = "not JSON", None
    passing = event_input("o1", 3)
    for item in (other, later):
        item.on = On(lambda *_: [], needs=lambda _: {})
    passing.on = On(lambda *_: [], needs=lambda _: {}, waits=False)
    put_behind([unread, other, later, passing], ())
    assert [item.park for item in (other, passing)] == [None, None]
    assert (later.behind, unread.behind) == (True, False)
