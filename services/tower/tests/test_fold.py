"""The tower's fold: each stage by table, and the same stage however the topics race."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.envelope import Event
from contracts.notices import NoticeFailed, NoticeSent
from contracts.parked import MessageParked
from contracts.topics import TOPIC_OF, topics_read_by
from libs.testkit.bench import Bench
from services.tower import domain
from services.tower.domain import OrderView, ParkedCount, PickLatency, StageCount, TimelineEntry
from services.tower.handlers import handlers
from services.tower.tests.stories import (
    AMENDED,
    BLOCKED,
    CHANGED,
    CLEARED,
    HELD,
    NOW,
    ORDER,
    PLACED,
    RESERVED,
    SHORT,
    STORIES,
    TWO,
    created,
    released,
    shipped,
    weighed,
)


def told(events: Sequence[Event]) -> Bench:
    bench = Bench(handlers())
    for n, event in enumerate(events):
        assert bench.handle(event, NOW + timedelta(seconds=n)) == []
    return bench


def flags(bench: Bench) -> OrderView:
    view = bench.row(OrderView, ORDER)
    assert view is not None
    view.stage_since = view.accepted_at = view.pick_task_at = None
    view.assigned = dict(sorted(view.assigned.items()))
    view.tasks = dict(sorted(view.tasks.items()))
    return view


def counted(bench: Bench) -> dict[str, int]:
    return {row.stage: row.orders for row in bench.all_rows(StageCount) if row.orders}


@pytest.mark.parametrize("name", sorted(STORIES))
def test_every_story_ends_in_its_stage(name: str) -> None:
    events, stage = STORIES[name]
    bench = told(events)
    assert bench.row(OrderView, ORDER).stage == stage
    assert counted(bench) == {stage: 1}
    entries = [entry for entry in bench.entries if isinstance(entry, TimelineEntry)]
    assert [entry.type for entry in entries] == [type(event).__name__ for event in events]


def by_topic(events: Sequence[Event]) -> list[list[Event]]:
    topics: dict[str, list[Event]] = {}
    for event in events:
        topics.setdefault(TOPIC_OF[type(event)].name, []).append(event)
    return list(topics.values())


def merges(first: Sequence[Event], second: Sequence[Event]) -> list[list[Event]]:
    """Return every way to interleave two topics that keeps the order of each."""
    size = len(first) + len(second)
    found = []
    for places in combinations(range(size), len(first)):
        mine, other = iter(first), iter(second)
        found.append([next(mine) if n in places else next(other) for n in range(size)])
    return found


@pytest.mark.parametrize("name", ["cancelled on the floor", "shipped", "one left, one stopped"])
def test_every_interleaving_of_stock_and_shipments_ends_alike(name: str) -> None:
    events, stage = STORIES[name]
    topics = {TOPIC_OF[type(part[0])].name: part for part in by_topic(events)}
    rest = [event for event in events if TOPIC_OF[type(event)].writer not in ("inventory", "fulfillment")]
    expected = flags(told(events))
    for order in merges(topics["ordo.stock.v1"], topics["ordo.shipments.v1"]):
        bench = told([*order, *rest])
        assert flags(bench) == expected
        assert counted(bench) == {stage: 1}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(STORIES)), st.data())
def test_however_topics_race_and_batches_fall_the_end_is_the_same(name: str, data: st.DataObject) -> None:
    events, stage = STORIES[name]
    topics = [list(part) for part in by_topic(events)]
    raced: list[Event] = []
    while topics:
        topic = data.draw(st.sampled_from(topics))
        raced.append(topic.pop(0))
        topics = [part for part in topics if part]
    bench = Bench(handlers())
    now = NOW
    while raced:
        size = data.draw(st.integers(1, len(raced)))
        batch, raced = raced[:size], raced[size:]
        now += timedelta(seconds=1)
        bench.batch(batch, now)
    assert flags(bench) == flags(told(events))
    assert counted(bench) == {stage: 1}


def test_counters_always_sum_up_to_the_orders() -> None:
    bench = Bench(handlers())
    stories = [events for events, _ in STORIES.values()]
    for n in range(max(map(len, stories))):
        batch = []
        for number, events in enumerate(stories):
            if n < len(events):
                raw = {name: getattr(events[n], name) for name in events[n].__struct_fields__}
                batch.append(type(events[n])(**{**raw, "order_id": f"own.demo.{number}"}))
        bench.batch(batch, NOW + timedelta(seconds=n))
        counts = counted(bench)
        assert sum(counts.values()) == len(stories)
        views = bench.all_rows(OrderView)
        assert counts == {stage: [v.stage for v in views].count(stage) for stage in {v.stage for v in views}}


def test_a_stage_keeps_its_time_until_it_changes() -> None:
    bench = told([PLACED, CLEARED, RESERVED, BLOCKED, CHANGED])
    assert bench.row(OrderView, ORDER).stage_since == NOW + timedelta(seconds=3)


def test_latency_is_kept_once_whichever_comes_first() -> None:
    for events in ([PLACED, created(), created(TWO), AMENDED], [created(), PLACED, created(TWO), AMENDED]):
        bench = told(events)
        [latency] = [entry for entry in bench.entries if isinstance(entry, PickLatency)]
        assert {latency.accepted_at, latency.pick_task_at} == {NOW, NOW + timedelta(seconds=1)}


def test_the_timeline_keeps_reasons_and_no_sealed_recipient() -> None:
    bench = told([PLACED, AMENDED, HELD, SHORT, BLOCKED, weighed(accepted=False), weighed(), released(), shipped()])
    entries = [entry for entry in bench.entries if isinstance(entry, TimelineEntry)]
    assert not any(b"sealed" in entry.payload for entry in entries)
    assert PLACED.sealed == shipped().sealed == "v1.k.secret"
    assert [domain.told(entry.type, entry.payload)[1:] for entry in entries] == [
        ("", ""),
        ("变更：recipient", "changed: recipient"),
        ("代收点", "pick-up point"),
        ("库存不足：A 需 1 可售 0", "not enough stock: A wants 1, 0 sellable"),
        ("成都缺货", "CD lacks A"),
        ("称重 900 g，应为 500 g，待复称", "weighs 900 g instead of 500 g: waits for a recheck"),
        ("", ""),
        ("释放占用：cancelled", "released: cancelled"),
        ("SF SF1", "SF SF1"),
    ]


def test_notices_are_told_without_making_an_order() -> None:
    sent = NoticeSent(
        order_id="operations",
        notice_id="digest:dingtalk:1",
        audience="operations",
        medium="dingtalk",
        template="digest",
    )
    failed = NoticeFailed(
        order_id=ORDER, notice_id="n", audience="buyer", medium="sms", template="t", reason="no number", attempts=1
    )
    bench = told([sent, failed])
    assert bench.all_rows(OrderView) == []
    assert [(entry.order_id, domain.told(entry.type, entry.payload)[2]) for entry in bench.entries] == [
        ("operations", ""),
        (ORDER, "notice failed: no number"),
    ]


def test_parked_messages_are_counted_by_topic_and_shown_on_their_order() -> None:
    def parked(topic: str, key: str, *, behind: bool) -> MessageParked:
        return MessageParked(
            message_key=key,
            origin_topic=topic,
            origin_partition=0,
            origin_offset=1,
            origin_source="ingestion/0/1",
            origin_seq=1,
            message_type="OrderPlaced",
            error="KeyError: x",
            behind=behind,
        )

    bench = told(
        [
            parked("ordo.orders.v1", ORDER, behind=False),
            parked("ordo.orders.v1", ORDER, behind=True),
            parked("ordo.catalog.v1", "A", behind=False),
        ]
    )
    counts = {row.origin_topic: (row.messages, row.behind) for row in bench.all_rows(ParkedCount)}
    assert counts == {"ordo.orders.v1": (2, 1), "ordo.catalog.v1": (1, 0)}
    assert [entry.order_id for entry in bench.entries] == [ORDER, ORDER]


def test_every_event_of_an_order_is_folded() -> None:
    not_of_an_order = {"ordo.catalog.v1", "ordo.stock-levels.v1"}
    for topic in topics_read_by("tower"):
        for event in topic.events:
            assert (event in handlers().on) == (topic.name not in not_of_an_order), event


def test_stages_are_the_ones_the_blueprint_counts() -> None:
    assert {stage for _, stage in STORIES.values()} == set(domain.STAGES)
