"""The bench is as strict as the stream: what is not declared, not put or not on the wire is not there."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from contracts.orders import OrderCancelRequested, RefundRequested
from contracts.risk import OrderRejected
from libs.decide import Delivered, Due, Entry, Handlers, NotLoaded, On, Output, Reply, Row, State, Unwake, Wake
from libs.testkit.bench import Bench
from libs.testkit.tally import HANDLERS, Add, Tally

NOW = datetime(2026, 11, 11, tzinfo=UTC)


def cancel(order_id: str = "o1", reason: str = "") -> OrderCancelRequested:
    return OrderCancelRequested(order_id=order_id, request_id="r", requested_at=NOW, reason=reason)


class Seen(Entry, frozen=True, kw_only=True):
    """One message that was seen."""

    order_id: str


class Other(Row, kw_only=True):
    """A row that the handlers did not list."""

    row_key: ClassVar[tuple[str, ...]] = ("name",)
    name: str


def bench_of(decide: Any, needs: Any = None, then: Any = None, **more: Any) -> Bench:
    wanted = needs or (lambda message: {Tally: [(message.key,)]})
    return Bench(
        Handlers(service="risk", on={OrderCancelRequested: On(decide, wanted, then)}, rows=(Tally,), **more)
    )  # fmt: skip


def test_events_commands_timers_and_results_go_through_the_real_handlers() -> None:
    bench = Bench(HANDLERS)
    outputs = bench.handle(cancel(), NOW)
    assert [type(output).__name__ for output in outputs] == ["OrderRejected", "Wake", "Send"]
    assert bench.handle(Add(order_id="o1", amount=4), NOW) == [Reply(body={"count": 5})]
    bench.handle(Delivered(destination="out", send_id="s", key="o1", ok=True, detail="ok"), NOW)
    assert bench.row(Tally, "o1") == Tally(order_id="o1", count=5, told="ok")
    assert bench.row(Tally, "o2") is None
    assert bench.all_rows(Tally) == [Tally(order_id="o1", count=5, told="ok")]


def test_an_event_nobody_handles_changes_nothing() -> None:
    bench = Bench(HANDLERS)
    assert bench.handle(RefundRequested(order_id="o1", request_id="r", requested_at=NOW, amount=1), NOW) == []
    assert bench.rows == {}


def test_timers_come_in_order_and_once() -> None:
    bench = Bench(HANDLERS)
    bench.handle(cancel("o2"), NOW + timedelta(milliseconds=1))
    bench.handle(cancel("o1"), NOW)
    assert list(bench.timers) == [("later", "o2"), ("later", "o1")]
    bench.tick(NOW + timedelta(milliseconds=29))
    assert len(bench.timers) == 2, "not early"
    bench.tick(NOW + timedelta(milliseconds=30))
    assert list(bench.timers) == [("later", "o2")]
    for _ in range(2):
        bench.tick(NOW + timedelta(seconds=1))
    assert [row.woken for row in bench.all_rows(Tally)] == [1, 1]


def test_a_timer_that_is_taken_back_does_not_come() -> None:
    said: list[Output] = [Wake(kind="later", key="o1", at=NOW), Unwake(kind="later", key="o1")]
    bench = bench_of(lambda event, state, now: said)
    bench.handle(cancel(), NOW)
    assert bench.timers == {}


def test_a_timer_may_set_itself_again() -> None:
    def again(due: Due, state: State, now: datetime) -> list[Output]:
        return [Wake(kind="later", key=due.key, at=due.at + timedelta(seconds=10))]

    start: list[Output] = [Wake(kind="later", key="o1", at=NOW)]
    bench = bench_of(lambda event, state, now: start, timers={"later": On(again, needs=lambda due: {})})
    bench.handle(cancel(), NOW)
    bench.tick(NOW)
    assert bench.timers == {("later", "o1"): NOW + timedelta(seconds=10)}


def test_a_change_without_a_put_is_lost() -> None:
    def change(event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
        row = state.get(Tally, event.order_id)
        assert row is not None
        row.count += 1
        if event.reason == "put":
            state.put(row)
        return []

    bench = bench_of(change)
    bench.put(Tally(order_id="o1"))
    bench.handle(cancel(), NOW)
    assert bench.row(Tally, "o1") == Tally(order_id="o1")
    bench.handle(cancel(reason="put"), NOW)
    assert bench.row(Tally, "o1") == Tally(order_id="o1", count=1)
    found = bench.row(Tally, "o1")
    assert found is not None
    found.count = 99
    assert bench.row(Tally, "o1") == Tally(order_id="o1", count=1), "what is handed out is a copy"


def test_rows_go_and_entries_stay() -> None:
    def forget(event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
        row = state.get(Tally, event.order_id)
        if row is not None:
            state.delete(row)
        state.append(Seen(order_id=event.order_id))
        return []

    bench = bench_of(forget, entries=(Seen,))
    bench.put(Tally(order_id="o1"))
    for _ in range(2):
        bench.handle(cancel(), NOW)
    assert bench.all_rows(Tally) == []
    assert bench.entries == [Seen(order_id="o1")] * 2


def test_a_row_nobody_declared_is_not_loaded() -> None:
    bench = bench_of(lambda event, state, now: state.get(Tally, "another"))
    with pytest.raises(NotLoaded, match="another"):
        bench.handle(cancel(), NOW)


def test_a_row_type_the_service_does_not_list_is_refused() -> None:
    bench = bench_of(lambda event, state, now: [], needs=lambda event: {Other: [("x",)]})
    with pytest.raises(LookupError, match="Other"):
        bench.handle(cancel(), NOW)


def test_then_sees_the_first_rows_and_names_more() -> None:
    def then(event: OrderCancelRequested, state: State) -> Any:
        row = state.get(Tally, event.order_id)
        return {Tally: [(row.told,)]} if row else {}

    seen: list[Tally | None] = []

    def look(event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
        seen.append(state.get(Tally, "o9"))
        return []

    bench = bench_of(look, then=then)
    bench.put(Tally(order_id="o1", told="o9"))
    bench.put(Tally(order_id="o9", count=9))
    bench.handle(cancel(), NOW)
    assert seen == [Tally(order_id="o9", count=9)]


def test_a_batch_sees_its_own_changes_and_is_settled_once() -> None:
    calls: list[int] = []

    def count(event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
        row = state.get(Tally, event.order_id) or Tally(order_id=event.order_id)
        row.count += 1
        state.put(row)
        return []

    def settle(state: State, now: datetime) -> list[Output]:
        calls.append(sum(row.count for row in state.changed(Tally)))
        return [OrderRejected(order_id="settled", version=1, by="test", why="")]

    bench = bench_of(count, settle=settle)
    outputs = bench.batch([cancel("o1"), cancel("o1"), cancel("o2")], NOW)
    assert len(outputs) == 1
    assert calls == [3]
    assert [row.count for row in bench.all_rows(Tally)] == [2, 1]


def test_messages_travel_as_on_the_wire() -> None:
    seen: list[OrderCancelRequested] = []
    bench = bench_of(lambda event, state, now: seen.append(event) or [])
    sent = cancel()
    bench.handle(sent, NOW)
    assert seen == [sent]
    assert seen[0] is not sent
    with pytest.raises(TypeError):
        bench.handle(OrderCancelRequested(order_id=object(), request_id="r", requested_at=NOW), NOW)  # type: ignore[arg-type]
