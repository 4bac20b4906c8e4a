"""The tower on a real Postgres: topics in, pages out; its schema; and the same model again from the topics alone."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.envelope import Event
from contracts.parked import MessageParked
from contracts.topics import TOPIC_OF
from libs.runtime.auth import Auth, make_token
from libs.runtime.http import install_problem_handlers
from libs.runtime.migrate import migrate
from libs.runtime.service import Parts
from libs.runtime.settings import sqlalchemy_url
from libs.stream.batch import Writer
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.stream.postgres import PostgresJournal
from libs.stream.tables import STREAM
from libs.stream.worker import Worker
from libs.testkit.waiting import until
from services.tower import api, app, store
from services.tower.settings import Settings
from services.tower.tests.stories import STORIES, as_order

pytestmark = pytest.mark.postgres

SECRET = "a secret for this test only, 32 bytes or more"


def now() -> datetime:
    return datetime.now(UTC)


def token(role: str) -> dict[str, str]:
    made = make_token(SECRET, subject="li", roles=[role], warehouse=None, now=now(), lifetime=timedelta(hours=1))
    return {"Authorization": f"Bearer {made}"}


class Topics:
    """What the other services published."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self._heads: dict[str, Any] = {}

    def say(self, *events: Event, writer: str = "") -> None:
        for event in events:
            by = writer or TOPIC_OF[type(event)].writer
            made = Writer(by, 0, 1, self.cluster.partitions, {})
            heads = self._heads.setdefault(by, {})
            self.cluster.append(made.event(event, "test", int(now().timestamp() * 1000), heads)[0])

    def count(self) -> int:
        return sum(map(len, self.cluster.records.values()))


class Stack:
    """A running tower and a client to it."""

    def __init__(self, dsn: str, topics: Topics) -> None:
        self.topics = topics
        self.dsn = dsn
        settings = Settings(kafka="none", postgres=dsn, jwt_secret=SECRET)
        service = app.build(settings)
        self.engine = create_async_engine(
            sqlalchemy_url(dsn),
            isolation_level="AUTOCOMMIT",
            connect_args={"server_settings": {"search_path": "tower"}},
        )
        self.journal = PostgresJournal(dsn, "tower", store.TABLES)
        self.worker = Worker(service.handlers, self.journal, MemoryLog(topics.cluster), owner="test", clock=now)
        web = FastAPI()
        install_problem_handlers(web)
        for router in api.routers(Parts(settings, Auth(settings), self.worker, self.engine)):
            web.include_router(router)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(web), base_url="http://test", headers=token("operator")
        )

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def caught_up(self) -> None:
        async def all_read() -> bool:
            read: int = await self.scalar("SELECT coalesce(sum(next_offset), 0) FROM consumer_offset")
            return read >= self.topics.count()

        await until(all_read, 20, 0.05)

    async def scalar(self, sql: str) -> Any:
        async with self.engine.connect() as connection:
            return (await connection.execute(text(sql))).scalar()


@asynccontextmanager
async def running(dsn: str, topics: Topics) -> AsyncIterator[Stack]:
    await migrate(dsn, "tower")
    stack = Stack(dsn, topics)
    task = asyncio.create_task(stack.worker.run())
    try:
        await stack.caught_up()
        yield stack
    finally:
        stack.worker.stop()
        await asyncio.wait_for(task, 10)
        await stack.journal.close()
        await stack.client.aclose()
        await stack.engine.dispose()


def every_story() -> Topics:
    """Each story as an order of its own, all topics of one order published one after the other."""
    topics = Topics()
    for number, (events, _) in enumerate(STORIES.values()):
        topics.say(*[as_order(event, f"own.demo.{number}") for event in events])
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
    gz = await all_pages(stack, limit=limit, warehouse="GZ")
    assert {item["order_id"] for item in gz} == {item["order_id"] for item in everything if "GZ" in item["warehouses"]}
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
    of_stage = (await stack.get("/orders", state="shipped", limit=1))["next_cursor"]
    assert await problem("/orders", cursor=of_stage) == (422, "cursor")
    for cursor in (
        '{"order_id":"a\\u0000"}',
        '{"order_id":"a","since":"0001-01-01T00:00:00+23:00"}',
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
    assert found["by_topic"][0]["origin_topic"] == "ordo.orders.v1"
    last = (await stack.get("/orders/own.demo.0"))["timeline"][-1]
    assert (last["type"], last["why_en"]) == ("MessageParked", "OrderPlaced is parked: KeyError: x")


async def test_explain_reads_like_a_story(stack: Stack) -> None:
    number = list(STORIES).index("held")
    lines = await app.story_of(stack.dsn, f"own.demo.{number}")
    assert re.match(rf"own\.demo\.{number}  held since \d{{4}}-", lines[0])
    assert any("OrderHeld" in line and "ordo.risk.v1" in line for line in lines)
    assert "    代收点" in lines
    assert "    pick-up point" in lines
    assert await app.story_of(stack.dsn, "own.demo.x") == ["own.demo.x: no event was ever seen 从未见过"]


async def test_the_topics_alone_rebuild_the_same_model(stack: Stack, new_database: Callable[[], str]) -> None:
    def comparable(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        times = ("stage_since", "accepted_at", "pick_task_at")
        return [{name: value for name, value in item.items() if name not in times} for item in items]

    live = await all_pages(stack, limit=200)
    async with running(new_database(), stack.topics) as other:
        assert comparable(await all_pages(other, limit=200)) == comparable(live)
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
    await migrate(database, "tower", revision="base")
    async with engine.connect() as connection:
        assert set(await connection.run_sync(shape)) <= {"alembic_version"}
    await engine.dispose()
