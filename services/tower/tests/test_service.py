"""The tower on a real Postgres: topics in, pages out; its schema; and the same model again from the topics alone."""

import base64
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.parked import MessageParked
from contracts.topics import TOPIC_OF
from libs.runtime.migrate import migrate
from libs.runtime.settings import sqlalchemy_url
from libs.stream.tables import STREAM
from services.tower import app, store
from services.tower.tests.stack import Stack, Topics, running, token
from services.tower.tests.stories import (
    AMENDED,
    CLEARED,
    NOW,
    ONE,
    ORDER,
    PLACED,
    PLANNED,
    RESERVED,
    STORIES,
    as_order,
    assigned,
    created,
)

pytestmark = pytest.mark.postgres


def every_story() -> Topics:
    """Each story as an order of its own, all topics of one order published one after the other."""
    topics = Topics()
    for number, (events, _) in enumerate(STORIES.values()):
        topics.say(*[as_order(event, f"own.demo.{number}") for event in events])
    return topics


def meeting_in_one_batch() -> Topics:
    """An order's way, the topics last that the tower reads first, but for what is said in one millisecond."""
    topics = Topics()
    for n, event in enumerate((PLACED, RESERVED, CLEARED, PLANNED, assigned(ONE), created())):
        topics.say(event, at=NOW + timedelta(milliseconds=40 * n))
    topics.say(created(f"{ORDER}/2"), at=NOW + timedelta(milliseconds=200))
    return topics


@pytest.fixture
async def stack(database: str) -> AsyncIterator[Stack]:
    async with running(database, every_story()) as made:
        yield made


async def all_pages(stack: Stack, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in range(100):
        page = await stack.get("/orders", **params, **cursor)
        items.extend(page["items"])
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the pages do not end")


async def test_stages_count_every_order_once(stack: Stack) -> None:
    found = await stack.get("/stages")
    expected: dict[str, int] = {}
    for _, stage in STORIES.values():
        expected[stage] = expected.get(stage, 0) + 1
    assert {row["stage"]: row["orders"] for row in found["stages"]} == expected
    assert found["orders"] == len(STORIES)
    assert all(0 <= row["oldest_age_s"] < 60 for row in found["stages"])
    assert found["parked"] == {"messages": 0, "by_topic": []}


async def test_an_order_shows_its_whole_timeline(stack: Stack) -> None:
    number = list(STORIES).index("shipped")
    events, _ = STORIES["shipped"]
    order_id = f"own.demo.{number}"
    found = await stack.get(f"/orders/{order_id}")
    assert found["order"]["stage"] == "shipped"
    assert found["order"]["warehouses"] == ["CD"]
    # The stories keep the parcel ids of their first teller, so the parcel carries another order's name here.
    assert [parcel["stage"] for parcel in found["order"]["parcels"]] == ["shipped"]
    assert sorted(entry["type"] for entry in found["timeline"]) == sorted(type(event).__name__ for event in events)
    for topic in {TOPIC_OF[type(event)].name for event in events}:
        told = [entry["type"] for entry in found["timeline"] if entry["topic"] == topic]
        assert told == [type(event).__name__ for event in events if TOPIC_OF[type(event)].name == topic]
    placed = next(entry for entry in found["timeline"] if entry["type"] == "OrderPlaced")
    assert placed["payload"]["lines"][0]["sku"] == "A"
    assert "sealed" not in placed["payload"]
    shipped = next(entry for entry in found["timeline"] if entry["type"] == "ParcelShipped")
    assert shipped["why_zh"] == "SF SF1"
    assert found["next_after"] is None
    part = await stack.get(f"/orders/{order_id}", limit=3)
    rest = await stack.get(f"/orders/{order_id}", after=part["next_after"])
    assert part["timeline"] + rest["timeline"] == found["timeline"]


async def test_no_row_holds_the_sealed_recipient(stack: Stack) -> None:
    assert (
        await stack.scalar(
            "SELECT count(*) FROM timeline_entry WHERE convert_from(payload, 'UTF8') LIKE '%v1.k.secret%'"
        )
        == 0
    )
    assert await stack.scalar("SELECT count(*) FROM timeline_entry WHERE type = 'OrderPlaced'") == len(STORIES)


@pytest.mark.parametrize("limit", [1, 2, 7, 200])
async def test_pages_hold_every_order_once(stack: Stack, limit: int) -> None:
    everything = await all_pages(stack, limit=limit)
    assert [item["order_id"] for item in everything] == sorted(f"own.demo.{n}" for n in range(len(STORIES)))
    shipped = await all_pages(stack, limit=limit, state="shipped")
    expected = {f"own.demo.{n}" for n, (_, stage) in enumerate(STORIES.values()) if stage == "shipped"}
    assert len(shipped) == len(expected)
    assert {item["order_id"] for item in shipped} == expected
    places = [(item["stage_since"], item["order_id"]) for item in shipped]
    assert places == sorted(places)
    gz = await all_pages(stack, limit=limit, warehouse="GZ", state="assigned")
    there = {item["order_id"] for item in everything if "GZ" in item["warehouses"] and item["stage"] == "assigned"}
    assert {item["order_id"] for item in gz} == there
    assert gz
    assert await all_pages(stack, limit=limit, warehouse="GZ", state="short") == []


async def test_latency_is_measured_over_a_window(stack: Stack) -> None:
    with_task = sum(
        any(type(event).__name__ == "PickTaskCreated" for event in events) for events, _ in STORIES.values()
    )
    found = await stack.get("/latency")
    assert found["orders"] == with_task
    assert 0 <= found["p50_ms"] <= found["p99_ms"] < 60_000
    assert (await stack.get("/latency", orders=2))["orders"] == 2


async def test_what_is_wrong_is_refused_by_name(stack: Stack) -> None:
    async def problem(path: str, **params: Any) -> tuple[int, Any]:
        answer = await stack.client.get(path, params=params)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json().get("field")

    assert await problem("/orders/own.demo.nobody") == (404, None)
    assert await problem("/orders", state="lost") == (422, "state")
    assert await problem("/orders", limit=201) == (422, "limit")
    assert await problem("/orders", cursor="nonsense") == (422, "cursor")
    assert await problem("/orders", stage="held") == (422, "stage")
    assert await problem("/latency", order=5) == (422, "order")
    for state in ({}, {"state": "shipped"}):
        assert await problem("/orders", warehouse="CD", **state) == (422, "state")
    of_all = (await stack.get("/orders", limit=1))["next_cursor"]
    of_stage = (await stack.get("/orders", state="shipped", limit=1))["next_cursor"]
    at_cd = (await stack.get("/orders", state="assigned", warehouse="CD", limit=1))["next_cursor"]
    for cursor, query in (
        (of_stage, {}),
        (of_all, {"state": "shipped"}),
        (of_stage, {"state": "assigned"}),
        (at_cd, {"state": "assigned"}),
        (at_cd, {"state": "assigned", "warehouse": "GZ"}),
    ):
        assert await problem("/orders", cursor=cursor, **query) == (422, "cursor")
    of_order = (await stack.get("/orders/own.demo.1", limit=1))["next_after"]
    for after in ("1", of_all, of_order):
        assert await problem("/orders/own.demo.2", after=after) == (422, "after")
    for cursor in (
        '{"order_id":"a\\u0000","stage":"shipped","since":"2026-11-11T00:00:00Z"}',
        '{"order_id":"a","stage":"shipped","since":"0001-01-01T00:00:00+23:00"}',
        '{"order_id":"a","stage":"shipped","since":"2026-11-11T00:00:00"}',
        '{"order_id":"a","stage":"shipped"}',
        "[]",
        '{"order_id":1}',
    ):
        text_of = base64.urlsafe_b64encode(cursor.encode()).decode()
        assert await problem("/orders", state="shipped", cursor=text_of) == (422, "cursor")
    assert await problem("/orders", warehouse="\x00") == (422, "warehouse")
    for headers, status in (({"Authorization": ""}, 401), (token("reviewer"), 403)):
        assert (await stack.client.get("/stages", headers=headers)).status_code == status


async def test_parked_messages_are_counted(stack: Stack) -> None:
    parked = MessageParked(
        message_key="own.demo.0",
        origin_topic="ordo.orders.v1",
        origin_partition=0,
        origin_offset=1,
        origin_source="ingestion/0/1",
        origin_seq=1,
        message_type="OrderPlaced",
        error="KeyError: x",
    )
    stack.topics.say(parked, writer="risk")
    await stack.caught_up()
    found = (await stack.get("/stages"))["parked"]
    assert found["messages"] == 1
    assert (found["by_topic"][0]["origin_topic"], found["by_topic"][0]["in_tower"]) == ("ordo.orders.v1", 0)
    last = (await stack.get("/orders/own.demo.0"))["timeline"][-1]
    assert (last["type"], last["why_en"]) == ("MessageParked", "OrderPlaced is parked: KeyError: x")


async def test_what_the_tower_could_not_read_itself_is_counted_and_shown_on_its_order(stack: Stack) -> None:
    torn = as_order(AMENDED, "own.demo.0")
    stack.topics.say(torn, value=b'{"order_id": ')
    await stack.caught_up()
    stack.topics.say(as_order(CLEARED, "own.demo.0"))
    stack.topics.say(as_order(PLACED, "own.demo.unread"), value=b"")
    await stack.caught_up()
    [orders, risk] = (await stack.get("/stages"))["parked"]["by_topic"]
    assert (orders["origin_topic"], orders["messages"], orders["behind"], orders["in_tower"]) == (
        "ordo.orders.v1", 2, 0, 2
    )  # fmt: skip
    assert (risk["origin_topic"], risk["messages"], risk["behind"], risk["in_tower"]) == ("ordo.risk.v1", 1, 1, 1)
    assert (await stack.get("/stages"))["parked"]["messages"] == 3
    shown = (await stack.get("/orders/own.demo.0"))["parked"]
    assert [(each["type"], each["behind"]) for each in shown] == [("OrderAmended", False), ("OrderCleared", True)]
    unread = await stack.get("/orders/own.demo.unread")
    assert (unread["order"], unread["timeline"], len(unread["parked"])) == (None, [], 1)
    lines = await app.story_of(stack.dsn, "own.demo.unread")
    assert "OrderPlaced" in lines[1]
    assert "ordo.orders.v1" in lines[1]
    assert "parked in the tower: DecodeError" in lines[2]
    [waiting] = await stack.journal.parked("own.demo.unread")
    assert waiting.parked_at is not None


async def test_a_timeline_tells_what_happened_in_its_order_and_takes_no_time_from_batches(database: str) -> None:
    way = ["OrderPlaced", "StockReserved", "OrderCleared", "RoutePlanned", "StockAssigned"]
    told = [*way, "PickTaskCreated", "PickTaskCreated"]
    async with running(database, meeting_in_one_batch()) as stack:
        assert await stack.scalar("SELECT count(*) FROM batch_log") == 1
        found = await stack.get(f"/orders/{ORDER}")
        assert [entry["type"] for entry in found["timeline"]] == told
        assert [entry["payload"]["task_id"] for entry in found["timeline"][-2:]] == [ONE, f"{ORDER}/2"]
        pages, after = [], {}
        for _ in range(4):
            page = await stack.get(f"/orders/{ORDER}", limit=2, **after)
            pages += page["timeline"]
            after = {"after": page["next_after"]}
        assert (pages, page["next_after"]) == (found["timeline"], None)
        lines = await app.story_of(database, ORDER)
        assert [line.split()[2] for line in lines if line.startswith("2026-11-11 ")] == told
        assert await stack.get("/latency") == {"orders": 1, "p50_ms": 200, "p99_ms": 200}
        assert found["order"]["stage_since"].startswith("2026-11-11T02:00:00.16")


async def test_explain_reads_like_a_story(stack: Stack) -> None:
    number = list(STORIES).index("held")
    lines = await app.story_of(stack.dsn, f"own.demo.{number}")
    assert re.match(rf"own\.demo\.{number}  held since \d{{4}}-", lines[0])
    assert any("OrderHeld" in line and "ordo.risk.v1" in line for line in lines)
    assert "    代收点" in lines
    assert "    pick-up point" in lines
    assert await app.story_of(stack.dsn, "own.demo.x") == ["own.demo.x: no event was ever seen 从未见过"]


async def test_the_topics_alone_rebuild_the_same_model(stack: Stack, new_database: Callable[[], str]) -> None:
    live = await all_pages(stack, limit=200)
    async with running(new_database(), stack.topics) as other:
        assert await all_pages(other, limit=200) == live, "with all its times"
        assert await other.scalar("SELECT count(*) FROM timeline_entry") == await stack.scalar(
            "SELECT count(*) FROM timeline_entry"
        )


async def test_the_migration_makes_the_declared_tables_and_takes_them_away(database: str) -> None:
    await migrate(database, "tower")
    engine = create_async_engine(sqlalchemy_url(database))

    def shape(connection: Any) -> dict[str, dict[str, tuple[str, bool]]]:
        found = inspect(connection)
        return {
            table: {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(table, schema="tower")}
            for table in found.get_table_names(schema="tower")
        }

    async with engine.connect() as connection:
        made = await connection.run_sync(shape)
    for table in [*store.METADATA.sorted_tables, *STREAM.sorted_tables]:
        declared = {c.name: (str(c.type.compile(engine.dialect)), c.nullable) for c in table.columns}
        found = made.pop(table.name)
        assert set(found) == set(declared)
        for name, (kind, nullable) in declared.items():
            assert found[name][1] == nullable, f"{table.name}.{name}"
            assert found[name][0].split("(")[0].split(" ")[0] == kind.split("(")[0].split(" ")[0]
    assert set(made) == {"alembic_version"}
    async with engine.connect() as connection:
        keys = await connection.run_sync(lambda c: inspect(c).get_pk_constraint("timeline_entry", schema="tower"))
    assert keys["constrained_columns"] == [c.name for c in store.timeline_entry.primary_key]
    await migrate(database, "tower", revision="base")
    async with engine.connect() as connection:
        assert set(await connection.run_sync(shape)) <= {"alembic_version"}
    await engine.dispose()
