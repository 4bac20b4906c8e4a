"""Everything a decided batch saves: timers, outputs, answers, positions, parked messages, and its own numbers."""

from datetime import datetime, timedelta

import msgspec
import pytest

from contracts.orders import OrderCancelRequested
from contracts.parked import MessageParked
from contracts.risk import OrderRejected
from contracts.topics import ORDERS, PARKED, RISK
from libs.decide import Delivered, Due, Handlers, On, Output, Reply, Send, State, Unwake, Wake
from libs.stream.batch import (
    ERROR_TEXT_LIMIT,
    Input,
    Writer,
)
from libs.stream.journal import Head, Parked
from libs.stream.log import Record
from libs.stream.reader import Acceptance, Reader, redriven
from libs.stream.tests.batches import (
    NOW,
    SOURCE,
    VALUE,
    accepted,
    beginning,
    command_input,
    event_input,
    folded,
    record,
    rejected,
    scripted,
    writer,
)
from libs.testkit.tally import Tally


def wake(seconds: int) -> Wake:
    return Wake(kind="t", key="o1", at=NOW + timedelta(seconds=seconds))


UNWAKE = Unwake(kind="t", key="o1")
DUE = Input(key="o1", cause="timer:t/o1", message=Due(kind="t", key="o1", at=NOW), type="Due")
TIMER = ("t", "o1")


@pytest.mark.parametrize(
    ("inputs", "said", "set_to", "gone"),
    [
        ([event_input()], [], None, {}),
        ([event_input()], [wake(1)], 1, {}),
        ([event_input()], [wake(1), wake(9)], 9, {}),
        ([event_input()], [wake(9), wake(1)], 1, {}),
        ([event_input()], [UNWAKE], None, {TIMER: None}),
        ([event_input()], [wake(1), UNWAKE], None, {TIMER: None}),
        ([event_input()], [UNWAKE, wake(1)], 1, {}),
        ([event_input()], [wake(1), UNWAKE, wake(2)], 2, {}),
        ([DUE], [], None, {TIMER: NOW}),
        ([DUE], [wake(1)], 1, {}),
        ([DUE], [wake(1), UNWAKE], None, {TIMER: None}),
        ([DUE], [UNWAKE], None, {TIMER: None}),
        ([event_input(), DUE], [wake(3)], 3, {}),
        ([DUE, event_input()], [wake(3)], 3, {}),
    ],
)
def test_the_last_word_on_a_timer_counts_and_one_that_came_is_gone(
    inputs: list[Input], said: list[Output], set_to: int | None, gone: dict[tuple[str, str], datetime | None]
) -> None:
    changes = folded(scripted({"o1": said}), inputs)
    assert changes.timers_set == ({} if set_to is None else {TIMER: NOW + timedelta(seconds=set_to)})
    assert changes.timers_gone == gone


def test_outputs_keep_their_order_and_name_their_cause() -> None:
    said = {"o1": [rejected("o1", 1), rejected("o1", 2)], "o2": [rejected("o2", 3)]}
    changes = folded(scripted(said), [event_input("o2"), event_input("o1", 1)])
    seen = [(msgspec.json.decode(out.value)["version"], kind, cause) for out, kind, cause in changes.outbox]
    assert seen == [(3, "OrderRejected", "c0"), (1, "OrderRejected", "c1"), (2, "OrderRejected", "c1")]
    assert all(out.timestamp_ms == int(NOW.timestamp() * 1000) for out, _, _ in changes.outbox)


def test_a_batch_is_settled_once_after_its_last_decision() -> None:
    seen: list[int] = []

    def settle(state: State, now: datetime) -> list[Output]:
        seen.append(len(state.changed(Tally)))
        return [rejected("settled")]

    def count(event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
        state.put(Tally(order_id=event.order_id))
        return []

    handlers = Handlers(service="risk", on={OrderCancelRequested: On(count, needs=lambda e: {})}, settle=settle)
    inputs = [event_input("o1"), event_input("o2", 1), Input(key="o3", cause="", record=record(2, 9))]
    changes = folded(handlers, inputs)
    assert seen == [2]
    assert [cause for _, _, cause in changes.outbox] == ["c1"], "the last input that was decided"
    assert [cause for _, _, cause in folded(handlers, inputs[2:]).outbox] == ["settle"]


def test_a_command_is_stored_with_its_answer() -> None:
    reply = Reply(status=201, body={"a": 1})
    changes = folded(scripted({"o1": [rejected("o1"), reply]}), [command_input("o1", "k1")])
    (answered,) = changes.answered
    assert (answered.idempotency_key, answered.kind, answered.fingerprint, answered.body) == ("k1", "Add", b"f", b"b")
    assert answered.reply is reply
    assert changes.inputs["commands"] == 1
    assert [cause for _, _, cause in changes.outbox] == ["command:k1"]


def test_a_call_that_ended_and_a_call_to_make() -> None:
    send = Send(destination="out", send_id="s", key="o1", body={})
    done = Delivered(destination="out", send_id="s0", key="o1", ok=True)
    item = Input(key="o1", cause="sent:out/s0", message=done, type="Delivered")
    changes = folded(scripted({"o1": [send]}), [item])
    assert (changes.sends, changes.delivered) == ([send], [done])


def test_the_result_of_a_call_nobody_asks_for_is_recorded_all_the_same() -> None:
    done = Delivered(destination="elsewhere", send_id="s0", key="o1", ok=True)
    item = Input(key="o1", cause="sent:elsewhere/s0", message=done, type="Delivered")
    assert folded(scripted({}), [item]).delivered == [done]


# -- what a batch saves ----------------------------------------------------------------------------------------------


def test_positions_move_over_everything_read_and_numbers_only_over_what_counted() -> None:
    inputs, _, _ = accepted(
        [
            record(5, 1),
            record(6, 1),
            record(7, 3),
            record(8, 2),
            record(9, "x"),
            record(3, 1, partition=2),
        ],
        by=scripted({}),
    )
    changes = folded(scripted({}), inputs)
    assert changes.offsets == {(ORDERS.name, 0): (5, 10), (ORDERS.name, 2): (3, 4)}
    assert changes.seqs == {(ORDERS.name, 0, SOURCE): 2, (ORDERS.name, 2, SOURCE): 1}
    assert changes.inputs["read"] == [[ORDERS.name, 0, 5, 9], [ORDERS.name, 2, 3, 3]]
    assert (changes.batch_no, changes.decided_at) == (5, NOW)


def test_a_parked_message_is_kept_whole_and_told_to_everybody() -> None:
    bad, behind = event_input("o1"), event_input("o1", 1)
    bad.park, behind.park, behind.behind = "ValueError: " + "x" * 1_000, "waits", True
    changes = folded(scripted({}), [bad, behind])
    first, second = changes.parked
    assert (first.key, first.topic, first.partition, first.offset) == ("o1", ORDERS.name, 0, 0)
    assert (first.source, first.seq, first.type) == (SOURCE, 1, "OrderCancelRequested")
    assert bad.record is not None
    assert first.value == bad.record.value
    assert len(first.error) == ERROR_TEXT_LIMIT
    assert (first.behind, second.behind) == (False, True)
    told = [msgspec.json.decode(out.value, type=MessageParked) for out, _, _ in changes.outbox]
    assert {out.topic for out, _, _ in changes.outbox} == {PARKED["risk"].name}
    assert [(m.message_key, m.service, m.origin_seq, m.behind) for m in told] == [
        ("o1", "risk", 1, False),
        ("o1", "risk", 2, True),
    ]
    assert changes.seqs[(ORDERS.name, 0, SOURCE)] == 2, "parking is an outcome: the sequence goes on"


def test_a_parked_timer_can_be_decided_again() -> None:
    item = Input(key="o1", cause="timer:t/o1", message=Due(kind="t", key="o1", at=NOW), type="Due", park="broken")
    changes = folded(scripted({}), [item])
    (kept,) = changes.parked
    assert (kept.topic, kept.offset) == ("", -1)
    again = redriven(scripted({}), kept)
    assert again.message == Due(kind="t", key="o1", at=NOW)
    assert (again.redriven, again.park) == (kept, None)


def test_a_redriven_message_leaves_the_parked_ones_and_moves_no_position() -> None:
    kept = Parked("o1", ORDERS.name, 0, 4, SOURCE, 5, "OrderCancelRequested", VALUE, "broken", n=7)
    decides = scripted({"o1": [rejected("o1")]})
    item = redriven(decides, kept)
    assert item.message is not None
    changes = folded(decides, [item])
    assert changes.unparked == [("o1", 7)]
    assert (changes.offsets, changes.seqs) == ({}, {})
    assert [cause for _, _, cause in changes.outbox] == [f"{SOURCE}#{ORDERS.name}/0/5"], "the cause it always had"


@pytest.mark.parametrize("value", [b"{broken", None])
def test_what_still_cannot_be_read_stays_parked(value: bytes | None) -> None:
    kept = Parked("o1", ORDERS.name, 0, 4, SOURCE, 5, "OrderCancelRequested", value, "broken", n=7)
    assert redriven(scripted({}), kept).park


# -- the writer's own sequences --------------------------------------------------------------------------------------


def test_numbers_are_gapless_in_each_partition_and_go_on_from_what_is_durable() -> None:
    heads = {(RISK.name, part): Head(10 * part + 1, 0) for part in range(3)}
    to = writer(heads)
    changes = folded(scripted({"o1": [rejected(f"order-{n}") for n in range(100)]}), [event_input("o1")], to=to)
    by_part: dict[int, list[int]] = {}
    for out, _, _ in changes.outbox:
        by_part.setdefault(out.partition, []).append(out.seq)
    assert sorted(by_part) == [0, 1, 2, 3]
    for part, numbers in by_part.items():
        first = 10 * part + 1 if part < 3 else 1
        assert numbers == list(range(first, first + len(numbers)))
        assert changes.heads[(RISK.name, part)].next_seq == numbers[-1] + 1
    assert [heads[(RISK.name, part)].next_seq for part in range(3)] == [1, 11, 21], "until the commit nothing moved"


def test_a_batch_that_is_decided_again_takes_the_same_numbers() -> None:
    to, handlers = writer(), scripted({"o1": [rejected("a"), rejected("b")]})
    first, second = (folded(handlers, [event_input("o1")], to=to) for _ in range(2))
    assert first.outbox == second.outbox


def test_a_record_carries_the_envelope() -> None:
    out, kind, cause = Writer("risk", 3, 2, 4, {}).event(rejected("订单"), "因 c", 7, {})
    assert dict(out.headers) == {
        "ce_specversion": b"1.0",
        "ce_type": b"OrderRejected",
        "ce_source": b"risk/3/2",
        "ce_id": b"1",
        "ce_causationid": b"? c",
    }
    assert (out.topic, out.key, out.timestamp_ms, kind, cause) == (
        RISK.name,
        "订单".encode(),
        7,
        "OrderRejected",
        "因 c",
    )
    inputs = Reader(
        Handlers(service="inventory", on={OrderRejected: On(lambda message, state, now: [], needs=lambda message: {})})
    ).accept(
        [Record(out.topic, out.partition, 0, 7, out.key, out.value, out.headers)],
        {},
        beginning(),
        Acceptance(),
    )
    assert inputs[0].message == rejected("订单"), "what one writes the other reads"
