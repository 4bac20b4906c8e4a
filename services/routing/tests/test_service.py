"""Routing as it runs: real tables, real worker and HTTP edge, the log in memory."""

import asyncio
from datetime import timedelta

import httpx
import msgspec
import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.topics import ROUTES, TOPIC_OF
from libs.rules.defaults import read
from libs.runtime.auth import Auth, make_token
from libs.runtime.clock import utc_now
from libs.runtime.migrate import migrate
from libs.runtime.service import Parts, application
from libs.runtime.settings import sqlalchemy_url
from libs.stream.batch import Writer
from libs.stream.limits import Limits
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.stream.postgres import PostgresJournal
from libs.stream.worker import Worker
from libs.testkit.waiting import until
from services.routing import store
from services.routing.app import build
from services.routing.settings import Settings

pytestmark = pytest.mark.postgres
SECRET = "a secret of this test, long enough for it"
WAIT_LIMIT_S = 10.0
FULL = {"A": 3, "B": 1}


class Routing:
    """A running routing service and how a test talks to it."""

    def __init__(self, cluster, client, worker):
        self.cluster, self.client, self.worker = cluster, client, worker
        self._writers, self._heads, self._calls = {}, {}, 0

    def feed(self, *events):
        for event in events:
            name = TOPIC_OF[type(event)].writer
            writer = self._writers.setdefault(name, Writer(name, 0, 1, self.cluster.partitions, {}))
            self.cluster.append(writer.event(event, "test", int(utc_now().timestamp() * 1000), self._heads)[0])

    def said(self, kind):
        records = [r for place, found in self.cluster.records.items() if place[0] == ROUTES.name for r in found]
        return [msgspec.json.decode(r.value) for r in records if dict(r.headers)["ce_type"] == kind.encode()]

    async def call(self, method, path, body=None, roles=("operator",), key=None, **params):
        self._calls += 1
        token = make_token(
            SECRET, subject="olga", roles=list(roles), warehouse=None, now=utc_now(), lifetime=timedelta(hours=1)
        )
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or f"call-{self._calls}"}
        return await self.client.request(method, path, json=body, headers=headers, params=params or None)


@pytest.fixture
async def routing(database):
    await migrate(database, "routing")
    settings = Settings(kafka="nowhere:9092", postgres=database, jwt_secret=SECRET)
    service = build(settings)
    cluster = MemoryCluster()
    journal = PostgresJournal(database, "routing", service.tables)
    limits = Limits(lease_ms=2000, fetch_timeout_ms=50, retry_first_ms=10)
    worker = Worker(service.handlers, journal, MemoryLog(cluster), owner="test", clock=utc_now, limits=limits)
    engine = create_async_engine(
        sqlalchemy_url(database),
        isolation_level="AUTOCOMMIT",
        connect_args={"server_settings": {"search_path": "routing"}},
    )
    app = application(service, Parts(settings, Auth(settings), worker, engine))
    task = asyncio.create_task(worker.run())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://routing") as client:

        async def ready_or_ended():
            return task.done() or (await worker.readiness()).ready

        await until(ready_or_ended, WAIT_LIMIT_S)
        yield Routing(cluster, client, worker)
    worker.stop()
    await asyncio.wait_for(task, WAIT_LIMIT_S)
    await journal.close()
    await engine.dispose()


async def test_the_migration_makes_the_declared_tables(database):
    await migrate(database, "routing")
    engine = create_async_engine(sqlalchemy_url(database))
    try:
        async with engine.connect() as connection:
            for table in store.METADATA.sorted_tables:

                def looked(c, name=table.name):
                    inspector = inspect(c)
                    columns = {
                        column["name"]: (str(column["type"]), column["nullable"])
                        for column in inspector.get_columns(name, schema="routing")
                    }
                    keys = inspector.get_pk_constraint(name, schema="routing")["constrained_columns"]
                    indexes = [index["name"] for index in inspector.get_indexes(name, schema="routing")]
                    checks = {c["name"] for c in inspector.get_check_constraints(name, schema="routing")}
                    return columns, keys, indexes, checks

                columns, keys, indexes, checks = await connection.run_sync(looked)
                assert columns == {
                    column.name: (
                        str(column.type.compile(engine.dialect)).removesuffix(" WITH TIME ZONE"),
                        column.nullable,
                    )
                    for column in table.columns
                }, table.name
                assert keys == [column.name for column in table.primary_key.columns]
                assert indexes == [index.name for index in table.indexes]
                assert checks == {str(c.name) for c in table.constraints if c.name and str(c.name).startswith("order_")}
    finally:
        await engine.dispose()
    await migrate(database, "routing", revision="base")
    await migrate(database, "routing")


async def test_orders_are_planned_blocked_and_overridden(routing, make):
    ids = [f"own.demo.{i}" for i in range(1, 6)]
    routing.feed(*[make.placed(order_id=i) for i in ids])
    routing.feed(*[make.cleared(order_id=i, requirements=["signature_on_delivery"]) for i in ids])
    routing.feed(make.reserved(order_id=ids[0]), *[make.reserved(order_id=i, CD={"A": 3}, GZ=FULL) for i in ids[1:]])
    await until(lambda: len(routing.said("RouteBlocked")) == 4 and len(routing.said("RoutePlanned")) == 1)
    [planned] = routing.said("RoutePlanned")
    assert planned["requirements"] == ["signature_on_delivery"]

    found = (await routing.call("GET", f"/orders/{ids[0]}", roles=("reviewer",))).json()
    assert (found["state"], found["plan"], found["destination"]["region"]) == ("planned", 1, "华中")
    assert found["decision"]["why_zh"] == planned["why_zh"]
    assert found["decision"]["parcels"] == planned["parcels"]
    assert found["waits_for"] is None

    seen, cursor = [], None
    for _ in range(2):
        page = (await routing.call("GET", "/blocked", limit=2, **({"cursor": cursor} if cursor else {}))).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert cursor is None
    assert sorted(item["order_id"] for item in seen) == ids[1:]
    assert seen[0]["missing"] == [{"warehouse": "CD", "sku": "B", "quantity": 1}]
    assert seen[0]["transfers"] == [{"sku": "B", "quantity": 1, "from_warehouse": "GZ", "to_warehouse": "CD"}]

    path = f"/orders/{ids[1]}/override"
    answers = [await routing.call("POST", path, {"warehouse": "GZ"}, key="k1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["parcels"][0]["warehouse"] == "GZ"
    waits = await routing.call("POST", f"/orders/{ids[2]}/override", {"warehouse": "CD"})
    assert (waits.status_code, waits.headers["content-type"]) == (202, "application/json")
    assert waits.json()["missing"] == [{"warehouse": "CD", "sku": "B", "quantity": 1}]
    assert waits.json()["waits_for"] == "it waits for B x 1 at warehouse CD"
    assert (await routing.call("POST", f"/orders/{ids[2]}/override", {"split": True})).status_code == 200
    await until(lambda: len(routing.said("RoutePlanned")) == 3)
    overridden = (await routing.call("GET", f"/orders/{ids[1]}")).json()
    assert overridden["override"] == {"warehouse": "GZ", "split": False, "by": "olga"}
    assert [d["outcome"] for d in overridden["decisions"]] == ["planned", "blocked"]
    assert len((await routing.call("GET", "/blocked")).json()["items"]) == 2


async def test_a_waiting_order_says_what_it_waits_for(routing, make):
    routing.feed(make.placed())

    async def known():
        found = await routing.call("GET", f"/orders/{make.order_id}")
        return None if found.status_code == 404 else found

    answer = await until(known, WAIT_LIMIT_S, 0.05)
    assert answer.json()["waits_for"] == "it still waits for its clearance by risk and its stock reservation"
    assert answer.json()["decision"] is None


async def test_rules_are_read_tried_and_replaced(routing):
    shipped = (await routing.call("GET", "/rules")).json()
    assert (shipped["version"], shipped["content"]) == (1, read("routing"))
    assert (await routing.call("GET", "/rules/graph")).json() == read("routing")["jdm"]
    assert [v["version"] for v in (await routing.call("GET", "/rules/versions")).json()["items"]] == [1]
    facts = (await routing.call("GET", "/rules/facts")).json()
    assert {"name": "order.total", "type": "integer", "unit": "minor units (分)"}.items() <= next(
        fact for fact in facts["facts"] if fact["name"] == "order.total"
    ).items()
    tried = await routing.call("POST", "/rules/try", {"facts": {"order": {"region": "西南"}}})
    assert tried.json()["answer"]["warehouse"] == "CD"
    assert tried.json()["wrong"] == []

    content = read("routing")
    content["jdm"]["nodes"][1]["content"]["rules"][0]["warehouse"] = '"GZ"'
    refused = await routing.call("PUT", "/rules", {"content": content, "base_version": 1})
    assert refused.status_code == 422
    assert any("华中" in reason for reason in refused.json()["reasons"])
    tried = await routing.call("POST", "/rules/try", {"content": content})
    assert tried.status_code == 422
    for example in content["examples"]:
        example["expect"]["warehouse"] = "GZ"
    stale = await routing.call("PUT", "/rules", {"content": content, "base_version": 4})
    assert stale.status_code == 409
    done = await routing.call("PUT", "/rules", {"content": content, "base_version": 1, "why": "成都搬仓"})
    assert (done.status_code, done.json()["version"]) == (200, 2)
    now = (await routing.call("GET", "/rules")).json()
    assert (now["version"], now["changed_by"], now["content"]) == (2, "olga", content)
    page = (await routing.call("GET", "/rules/versions", limit=1)).json()
    assert [(v["version"], v["why"]) for v in page["items"]] == [(2, "成都搬仓")]
    page = (await routing.call("GET", "/rules/versions", limit=1, cursor=page["next_cursor"])).json()
    assert [v["version"] for v in page["items"]] == [1]
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/orders/none/override", {"warehouse": "CD"}, 404, None),
        ("POST", "/orders/none/override", {}, 422, ""),
        ("POST", "/orders/none/override", {"warehouse": "CD", "split": True}, 422, ""),
        ("POST", "/orders/none/override", {"warehouse": ""}, 422, "warehouse"),
        ("POST", "/orders/none/override", {"warehouse": "a\u0000b"}, 422, "warehouse"),
        ("POST", "/orders/none/override", {"warehouse": 7}, 422, "warehouse"),
        ("POST", "/orders/none/override", {"split": "yes"}, 422, "split"),
        ("POST", "/orders/none/override", {"split": True, "why": "x"}, 422, "why"),
        ("PUT", "/rules", {"content": {"x": "\u0000"}, "base_version": 1}, 422, "content"),
        ("PUT", "/rules", {"content": {}, "base_version": 0}, 422, "base_version"),
        ("POST", "/rules/try", {"facts": {"order": 5}}, 200, None),
        ("POST", "/rules/try", {"content": {"jdm": {"nodes": [], "edges": []}}}, 422, None),
        ("GET", "/blocked?cursor=nonsense", None, 422, "cursor"),
        ("GET", "/blocked?cursor=WzEsMl0", None, 422, "cursor"),
        ("GET", "/blocked?limit=201", None, 422, "limit"),
        ("GET", "/rules/versions?cursor=WyJhIl0", None, 422, "cursor"),
        ("GET", "/orders/none", None, 404, None),
        ("GET", "/orders/a%00b", None, 422, "order_id"),
    ],
)
async def test_refusals_name_the_field(routing, method, path, body, status, field):
    answer = await routing.call(method, path, body)
    assert answer.status_code == status, answer.text
    if field:
        assert answer.json()["field"] == field
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


async def test_only_operators_change_anything(routing):
    for method, path, body in (
        ("POST", "/orders/o/override", {"split": True}),
        ("PUT", "/rules", {"content": {}, "base_version": 1}),
    ):
        assert (await routing.call(method, path, body, roles=("reviewer", "sre"))).status_code == 403
    assert (await routing.client.get("/blocked")).status_code == 401
    assert (await routing.client.post("/orders/o/override", json={"split": True})).status_code in (400, 401)
