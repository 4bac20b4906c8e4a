"""Risk as it runs: real tables, real worker and HTTP edge, the log in memory."""

import asyncio
import copy
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.topics import RISK
from libs.rules import defaults
from libs.runtime.auth import Auth, make_token
from libs.runtime.clock import utc_now
from libs.runtime.http import install_problem_handlers
from libs.runtime.migrate import migrate
from libs.runtime.service import Parts
from libs.runtime.settings import sqlalchemy_url
from libs.stream.batch import Writer
from libs.stream.limits import Limits
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.stream.postgres import PostgresJournal
from libs.stream.worker import Worker
from libs.testkit.waiting import until
from services.risk import store
from services.risk.app import build
from services.risk.settings import Settings
from services.risk.tests.orders import NOWHERE, PICKUP, line, placed

pytestmark = pytest.mark.postgres
SECRET = "a secret of this test, long enough for it"
WAIT_LIMIT_S = 10.0


class Risk:
    """A running risk service and how a test talks to it."""

    def __init__(self, cluster: MemoryCluster, client: httpx.AsyncClient, worker: Worker) -> None:
        self.cluster, self.client, self.worker = cluster, client, worker
        self._writer, self._heads, self._calls = Writer("ingestion", 0, 1, cluster.partitions, {}), {}, 0

    def feed(self, *events) -> None:
        for event in events:
            self.cluster.append(self._writer.event(event, "test", int(utc_now().timestamp() * 1000), self._heads)[0])

    def said(self, kind: str) -> list[dict]:
        records = [r for place, found in self.cluster.records.items() if place[0] == RISK.name for r in found]
        return [msgspec.json.decode(r.value) for r in records if dict(r.headers)["ce_type"] == kind.encode()]

    async def call(self, method: str, path: str, body=None, roles=("operator",), key=None, **params) -> httpx.Response:
        self._calls += 1
        token = make_token(
            SECRET, subject="rita", roles=list(roles), warehouse=None, now=utc_now(), lifetime=timedelta(hours=1)
        )
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or f"call-{self._calls}"}
        return await self.client.request(method, path, json=body, headers=headers, params=params)


@pytest.fixture
async def risk(database: str) -> AsyncIterator[Risk]:
    await migrate(database, "risk")
    settings = Settings(kafka="nowhere:9092", postgres=database, jwt_secret=SECRET)
    service = build(settings)
    cluster = MemoryCluster()
    journal = PostgresJournal(database, "risk", service.tables)
    limits = Limits(lease_ms=2000, fetch_timeout_ms=50, retry_first_ms=10)
    worker = Worker(service.handlers, journal, MemoryLog(cluster), owner="test", clock=utc_now, limits=limits)
    engine = create_async_engine(
        sqlalchemy_url(database),
        isolation_level="AUTOCOMMIT",
        connect_args={"server_settings": {"search_path": "risk"}},
    )
    app = FastAPI()
    install_problem_handlers(app)
    for router in service.routers(Parts(settings, Auth(settings), worker, engine)):
        app.include_router(router)
    task = asyncio.create_task(worker.run())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://risk") as client:
        running = Risk(cluster, client, worker)
        await until(lambda: worker._serving or task.done(), WAIT_LIMIT_S)
        yield running
    worker.stop()
    await asyncio.wait_for(task, WAIT_LIMIT_S)
    await journal.close()
    await engine.dispose()


async def test_the_migration_makes_the_declared_tables(database: str) -> None:
    await migrate(database, "risk")
    engine = create_async_engine(sqlalchemy_url(database))
    try:
        async with engine.connect() as connection:
            for table in store.METADATA.sorted_tables:
                found = await connection.run_sync(
                    lambda c, name=table.name: {
                        column["name"]: (str(column["type"]), column["nullable"])
                        for column in inspect(c).get_columns(name, schema="risk")
                    }
                )
                dialect = engine.dialect
                wanted = {
                    column.name: (str(column.type.compile(dialect)).removesuffix(" WITH TIME ZONE"), column.nullable)
                    for column in table.columns
                }
                assert found == wanted, table.name
    finally:
        await engine.dispose()
    await migrate(database, "risk", revision="base")
    await migrate(database, "risk")


async def test_a_held_order_is_found_reviewed_and_cleared(risk: Risk) -> None:
    risk.feed(placed(1), placed(2, destination=NOWHERE), placed(3, destination=PICKUP, total=60_000))
    await until(lambda: len(risk.said("OrderHeld")) == 2 and len(risk.said("OrderCleared")) == 1)
    page = (await risk.call("GET", "/holds")).json()
    assert sorted(item["order_id"] for item in page["items"]) == ["own.demo.2", "own.demo.3"]
    assert page["next_cursor"] is None
    first = (await risk.call("GET", "/holds", limit=1)).json()
    second = (await risk.call("GET", "/holds", limit=1, cursor=first["next_cursor"])).json()
    assert [*first["items"], *second["items"]] == page["items"]
    by_rule = (await risk.call("GET", "/holds", rule="pickup_high_value")).json()
    assert [item["order_id"] for item in by_rule["items"]] == ["own.demo.3"]
    assert (await risk.call("GET", "/holds", cursor="nonsense")).status_code == 422

    body = {"rule": "pickup_high_value", "version": 1, "why": "regular customer"}
    path = "/holds/own.demo.3/release"
    older = await risk.call("POST", path, {**body, "version": 2}, roles=["reviewer"])
    assert (older.status_code, older.json()["version"]) == (409, 1)
    assert (await risk.call("POST", path, body)).status_code == 403
    done = await risk.call("POST", path, body, roles=["reviewer"], key="verdict-1")
    assert (done.status_code, done.json()["state"]) == (200, "cleared")
    again = await risk.call("POST", path, body, roles=["reviewer"], key="verdict-1")
    assert again.json() == done.json()
    refused = await risk.call("POST", path, body, roles=["reviewer"])
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    await until(lambda: len(risk.said("OrderCleared")) == 2)
    [resolved] = risk.said("HoldResolved")
    assert (resolved["verdict"], resolved["by"]) == ("released", "rita")

    rejected = await risk.call("POST", "/holds/own.demo.2/reject", {"version": 1, "why": "fraud"}, roles=["reviewer"])
    assert rejected.json()["state"] == "rejected"
    found = (await risk.call("GET", "/holds/own.demo.2")).json()
    assert (found["state"], found["reasons"]) == ("rejected", [])
    assert (await risk.call("GET", "/holds")).json()["items"] == []
    assert (await risk.call("GET", "/holds/own.demo.9")).status_code == 404
    missing = await risk.call("POST", "/holds/own.demo.9/reject", {"why": "?"}, roles=["reviewer"])
    assert missing.status_code == 404


async def test_a_presale_opens_by_the_clock(risk: Risk) -> None:
    risk.feed(placed(1, kind="presale", available_from=utc_now() + timedelta(milliseconds=700)))
    await until(lambda: risk.said("OrderHeld"))
    await until(lambda: risk.said("OrderCleared"))
    assert [event["verdict"] for event in risk.said("HoldResolved")] == ["expired"]


async def test_rules_are_read_tried_and_replaced(risk: Risk) -> None:
    fresh = (await risk.call("GET", "/rules")).json()
    assert (fresh["version"], fresh["content"]) == (1, defaults.read("risk"))
    assert (await risk.call("GET", "/rules/versions")).json()["items"][0]["version"] == 1
    facts = {"facts": {"order": {"is_pickup_point": True, "total": 50_001}}}
    tried = (await risk.call("POST", "/rules/try", facts)).json()
    assert tried["answer"]["findings"][0]["rule"] == "pickup_high_value"
    assert (await risk.call("POST", "/rules/try", {"facts": {"order": {"total": "x"}}})).status_code == 200
    failed = await risk.call("POST", "/rules/try", {"facts": {"order": {"is_pickup_point": True, "total": "x"}}})
    assert failed.status_code == 422
    documented = (await risk.call("GET", "/rules/facts")).json()["facts"]
    assert {"name", "type", "zh", "en"} <= set(documented[0])

    content = copy.deepcopy(fresh["content"])
    content["parameters"]["pickup_total_limit"] = 10_000
    content["examples"] = content["examples"][:1]
    body = {"content": content, "base_version": 1, "why": "stricter"}
    assert (await risk.call("PUT", "/rules", body, roles=["reviewer"])).status_code == 403
    put = await risk.call("PUT", "/rules", body)
    assert (put.status_code, put.json()["version"]) == (200, 2)
    assert (await risk.call("PUT", "/rules", body)).status_code == 409
    bad = copy.deepcopy(body)
    bad["content"]["jdm"]["nodes"][1]["content"]["expressions"][0]["value"] = "rand(2) > 1"
    refused = await risk.call("PUT", "/rules", bad)
    assert refused.status_code == 422
    assert "random" in refused.json()["reasons"][0]
    nul = copy.deepcopy(body)
    nul["content"]["examples"][0]["name"] = "a\0b"
    assert (await risk.call("PUT", "/rules", nul)).status_code == 422
    assert (await risk.call("GET", "/rules")).json()["content"] == content
    versions = (await risk.call("GET", "/rules/versions")).json()["items"]
    assert [(item["version"], item["why"]) for item in versions] == [(2, "stricter"), (1, "shipped")]
    assert set((await risk.call("GET", "/rules/graph")).json()) >= {"nodes", "edges"}
    risk.feed(placed(1, destination=PICKUP, total=10_001))
    await until(lambda: risk.said("OrderHeld"))
    assert risk.said("OrderHeld")[0]["reasons"][0]["rule_version"] == 2


async def test_an_order_the_rules_failed_on_is_judged_again_when_they_are_mended(risk: Risk) -> None:
    content = copy.deepcopy(defaults.read("risk"))
    expressions = content["jdm"]["nodes"][1]["content"]["expressions"]
    expressions.append({"id": "f", "key": "f", "value": "order.channel == 'jd' ? order.region * 2 : 0"})
    assert (await risk.call("PUT", "/rules", {"content": content, "base_version": 1})).status_code == 200
    risk.feed(placed(1, channel="jd", lines=[line(unit_price=20_001)]))
    await until(lambda: risk.said("OrderHeld"))
    path, body = "/holds/own.demo.1", {"version": 1, "why": "mended"}
    facts = {"order": (await risk.call("GET", path)).json()["unjudged"]["order"]}
    assert (await risk.call("POST", "/rules/try", {"facts": facts})).status_code == 422
    refused = await risk.call("POST", f"{path}/release", body, roles=["reviewer"])
    assert (refused.status_code, refused.json()["title"]) == (409, "the rules still fail on this order")
    expressions.pop()
    assert (await risk.call("PUT", "/rules", {"content": content, "base_version": 2})).status_code == 200
    done = await risk.call("POST", f"{path}/release", body, roles=["reviewer"])
    assert (done.status_code, done.json()["state"]) == (200, "cleared")
    await until(lambda: risk.said("OrderCleared"))
    assert risk.said("OrderCleared")[0]["requirements"] == ["signature_on_delivery"]
    assert (await risk.call("GET", path)).json()["unjudged"] == {}


async def test_the_allow_list_over_http(risk: Risk) -> None:
    assert (await risk.call("PUT", "/buyers/b/allowed", {"why": "wholesale"})).status_code == 200
    listed = (await risk.call("GET", "/buyers/allowed")).json()["items"]
    assert [(item["buyer_key"], item["allowed_by"], item["why"]) for item in listed] == [("b", "rita", "wholesale")]
    risk.feed(*[placed(number, buyer_key="b") for number in range(5)])
    await until(lambda: len(risk.said("OrderCleared")) == 5)
    assert (await risk.call("DELETE", "/buyers/b/allowed")).status_code == 200
    assert (await risk.call("DELETE", "/buyers/b/allowed")).status_code == 404
    risk.feed(placed("x", buyer_key="b"))
    await until(lambda: len(risk.said("OrderHeld")) == 1)
