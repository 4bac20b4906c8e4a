"""The whole service over HTTP on a real Postgres: PDA and operator requests, their refusals, and what is stored."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.catalog import SkuDefined
from libs.decide import Delivered
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
from libs.testkit.waiting import until, until_ready
from libs.vault import Vault, create_vault
from services.fulfillment import api, app, store
from services.fulfillment.settings import Settings
from services.fulfillment.tests.steps import ONE, ORDER, TWO, assigned, cancelling, content, released

pytestmark = pytest.mark.postgres

SECRET = "a secret for this test only, 32 bytes or more"
WMS_SECRET = "whsec_" + base64.b64encode(b"a key for this test only").decode()
WAIT_LIMIT_S = 10.0
POLL_S = 0.05
PERSON = {"recipient": {"name": "王小明", "phone": "13800000000", "address": "珞喻路 1 号"}, "note": "放门口"}
RAW, ESCAPED = ONE, ONE.replace("/", "%2F")


def now() -> datetime:
    return datetime.now(UTC)


def token(role: str, subject: str, warehouse: str | None = None) -> dict[str, str]:
    made = make_token(
        SECRET, subject=subject, roles=[role], warehouse=warehouse, now=now(), lifetime=timedelta(hours=1)
    )
    return {"Authorization": f"Bearer {made}"}


BOSS = token("operator", "boss")
CD, CD2, GZ = token("picker", "pda-1", "CD"), token("picker", "pda-2", "CD"), token("picker", "pda-3", "GZ")


class Stack:
    """A running service, a client to it, and the topics it reads."""

    def __init__(self, dsn: str, cluster: MemoryCluster | None = None) -> None:
        self.cluster = cluster or MemoryCluster()
        self.settings = Settings(
            kafka="none",
            postgres=dsn,
            jwt_secret=SECRET,
            master_key=base64.b64encode(os.urandom(32)).decode(),
            wms_url="https://wms.example/hooks",
            wms_secret=WMS_SECRET,
        )
        service = app.build(self.settings)
        self.engine = create_async_engine(
            sqlalchemy_url(dsn),
            isolation_level="AUTOCOMMIT",
            connect_args={"server_settings": {"search_path": "fulfillment"}},
        )
        self.vault = Vault(dsn, self.settings.master_key)
        self.journal = PostgresJournal(dsn, "fulfillment", store.TABLES)
        self.worker = Worker(service.handlers, self.journal, MemoryLog(self.cluster), owner="test", clock=now)
        self.web = FastAPI()
        install_problem_handlers(self.web)
        for router in api.routers(Parts(self.settings, Auth(self.settings), self.worker, self.engine, self.vault)):
            self.web.include_router(router)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.web), base_url="http://test")
        self.heads: dict = {}
        self.keys = 0

    def say(self, writer: str, *events) -> None:
        made = Writer(writer, 0, 1, self.cluster.partitions, {})
        for event in events:
            self.cluster.append(made.event(event, "test", int(now().timestamp() * 1000), self.heads)[0])

    async def post(self, path: str, who: dict, body: dict | None = None, key: str | None = None) -> httpx.Response:
        self.keys += 1
        headers = {**who, "Idempotency-Key": key or f"k{self.keys}"}
        return await self.client.post(path, json=body, headers=headers)

    async def until(self, path: str, who: dict, ready) -> dict:
        async def page():
            found = await self.client.get(path, headers=who)
            return found.json() if found.status_code == 200 and ready(found.json()) else None

        return await until(page, WAIT_LIMIT_S, POLL_S)

    async def scalar(self, sql: str):
        async with self.engine.connect() as connection:
            return (await connection.execute(text(sql))).scalar()


@asynccontextmanager
async def running(dsn: str, cluster: MemoryCluster | None = None) -> AsyncIterator[Stack]:
    stack = Stack(dsn, cluster)
    task = asyncio.create_task(stack.worker.run())
    try:
        await until_ready(stack.worker, WAIT_LIMIT_S)
        yield stack
    finally:
        stack.worker.stop()
        await asyncio.wait_for(task, 10)
        await stack.journal.close()
        await stack.client.aclose()
        await stack.vault.close()
        await stack.engine.dispose()


@pytest.fixture
async def stack(database: str) -> AsyncIterator[Stack]:
    await create_vault(database)
    await migrate(database, "fulfillment")
    async with running(database) as made:
        made.say(
            "inventory",
            SkuDefined(sku="CUP", barcode="6901", weight_grams=300),
            SkuDefined(sku="LAMP", barcode="6902", weight_grams=1000),
        )

        async def known():
            return await made.scalar("SELECT count(*) FROM item") == 2

        await until(known, WAIT_LIMIT_S, POLL_S)
        yield made


async def with_order(stack: Stack, *, parcels: int = 1, requirements=()) -> None:
    sealed = await stack.vault.seal("demo", "2026-11", json.dumps(PERSON).encode())
    stack.say("ingestion", content(sealed=sealed))
    stack.say("inventory", assigned(parcels=parcels, requirements=requirements))
    await stack.until(f"/orders/{ORDER}", BOSS, lambda found: found["version"] == 1 and len(found["tasks"]) == parcels)


async def test_a_parcel_goes_its_whole_way_over_http(stack: Stack):
    await with_order(stack, requirements=["signature_on_delivery"])
    listed = (await stack.client.get("/tasks", params={"warehouse": "CD", "state": "open"}, headers=CD)).json()
    assert [item["task_id"] for item in listed["items"]] == [ONE]
    assert listed["items"][0]["lines"][0]["barcode"] == "6901"
    assert listed["next_cursor"] is None
    assert (await stack.post(f"/tasks/{ESCAPED}/claim", CD)).json()["state"] == "claimed"
    assert (await stack.client.get(f"/tasks/{RAW}", headers=CD)).json()["claimed_by_me"]
    assert not (await stack.client.get(f"/tasks/{ESCAPED}", headers=CD2)).json()["claimed_by_me"]
    assert (await stack.post(f"/tasks/{RAW}/claim", CD2)).json()["title"] == "claimed by another picker"
    scanned = {"scan_id": "s1", "barcode": "6901", "quantity": 2}
    first = await stack.client.post(f"/tasks/{RAW}/scan", json=scanned, headers=CD)
    again = await stack.client.post(f"/tasks/{ESCAPED}/scan", json=scanned, headers=CD)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.json()["expected"] == [{"sku": "LAMP", "barcode": "6902", "remaining": 1}]
    wrong = await stack.client.post(f"/tasks/{RAW}/scan", json={"scan_id": "s2", "barcode": "1"}, headers=CD)
    assert (wrong.status_code, wrong.headers["content-type"]) == (409, "application/problem+json")
    assert wrong.json()["expected"] == first.json()["expected"]
    last = await stack.client.post(f"/tasks/{RAW}/scan", json={"scan_id": "s3", "barcode": "6902"}, headers=CD)
    assert last.json()["next"] == "pack"
    items = [{"barcode": "6901", "quantity": 2}, {"barcode": "6902", "quantity": 1}]
    assert (await stack.post(f"/tasks/{ESCAPED}/pack", CD, {"items": items[:1]})).status_code == 409
    assert (await stack.post(f"/tasks/{ESCAPED}/pack", CD, {"items": items})).json()["next"] == "weigh"
    assert not (await stack.post(f"/tasks/{RAW}/weigh", CD, {"weight_grams": 20})).json()["accepted"]
    weighed = await stack.post(f"/tasks/{RAW}/weigh", CD2, {"weight_grams": 1700, "recheck": True})
    assert weighed.json()["accepted"]
    label = await stack.client.get(f"/tasks/{ESCAPED}/label", headers=CD)
    assert (label.json()["recipient"], label.json()["note"]) == (PERSON["recipient"], PERSON["note"])
    assert label.headers["cache-control"] == "no-store"
    shipping = {"carrier": "SF", "waybill": "SF1", "services": []}
    assert (await stack.post(f"/tasks/{RAW}/ship", CD, shipping)).json()["field"] == "services"
    shipping["services"] = ["signature_on_delivery"]
    shipped = await stack.post(f"/tasks/{ESCAPED}/ship", CD, shipping, key="ship-it")
    assert (shipped.status_code, shipped.json()["last"]) == (200, True)
    repeated = await stack.post(f"/tasks/{ESCAPED}/ship", CD, shipping, key="ship-it")
    assert repeated.json() == shipped.json()
    assert await stack.scalar("SELECT count(*) FROM outbox WHERE type = 'ParcelShipped'") == 1
    assert await stack.scalar("SELECT string_agg(send_id, ' ' ORDER BY send_id) FROM egress") == (
        f"parcel.shipped:{ONE} task.created:{ONE}"
    )


async def test_personal_data_are_nowhere_in_clear(stack: Stack):
    await with_order(stack)
    tables = "order_file pick_task outbox command_log egress"
    for table in tables.split():
        held = await stack.scalar(f"SELECT string_agg(t::text, '') FROM {table} t") or ""
        assert "王小明" not in held
        assert "13800000000" not in held


async def test_the_label_is_given_from_the_scale_on_and_not_after_a_cancellation(stack: Stack):
    await with_order(stack)
    assert (await stack.client.get(f"/tasks/{RAW}/label", headers=GZ)).status_code == 403
    await stack.post(f"/tasks/{RAW}/claim", CD)
    for scan_id, barcode, quantity in (("a", "CUP", 2), ("b", "LAMP", 1)):
        body = {"scan_id": scan_id, "barcode": barcode, "quantity": quantity}
        await stack.client.post(f"/tasks/{RAW}/scan", json=body, headers=CD)
    items = [{"barcode": "CUP", "quantity": 2}, {"barcode": "LAMP", "quantity": 1}]
    await stack.post(f"/tasks/{RAW}/pack", CD, {"items": items})
    refused = await stack.client.get(f"/tasks/{RAW}/label", headers=CD)
    assert (refused.status_code, refused.json()["state"]) == (409, "packed")
    await stack.post(f"/tasks/{RAW}/weigh", CD, {"weight_grams": 20})
    assert (await stack.client.get(f"/tasks/{RAW}/label", headers=CD)).status_code == 200
    await stack.vault.destroy("demo", "2026-11")
    assert (await stack.client.get(f"/tasks/{RAW}/label", headers=CD)).status_code == 410
    stack.say("ingestion", cancelling())
    await stack.until(f"/tasks/{RAW}", CD, lambda found: found["state"] == "cancelled")
    assert (await stack.client.get(f"/tasks/{RAW}/label", headers=CD)).status_code == 409
    told = await stack.post(f"/tasks/{RAW}/pack", CD, {"items": [{"barcode": "CUP", "quantity": 2}]})
    assert told.json()["detail"] == "cancelled, put the goods back"


async def test_each_sees_what_is_his(stack: Stack):
    await with_order(stack, parcels=2)
    for who, path, status in (
        (CD, f"/tasks/{TWO}", 403),
        (GZ, f"/tasks/{TWO}", 200),
        (BOSS, f"/tasks/{TWO}", 200),
        (CD, "/tasks?warehouse=GZ", 403),
        (CD, "/tasks", 200),
        (CD, f"/orders/{ORDER}", 403),
        (BOSS, "/orders/own.demo.none", 404),
        (CD, "/tasks/own.demo.none%2F1", 404),
        (CD, "/tasks?state=lost", 422),
        (CD, "/tasks?cursor=%00", 422),
        (CD, "/tasks?cursor=bm9uZQ==", 422),
        (CD, "/tasks?limit=201", 422),
        (CD, "/tasks/a%00b", 422),
        (token("reviewer", "eve"), "/tasks", 403),
        ({}, "/tasks", 401),
    ):
        assert (await stack.client.get(path, headers=who)).status_code == status, path
    assert (await stack.post(f"/tasks/{TWO}/claim", CD)).status_code == 403
    seen = [item["task_id"] for item in (await stack.client.get("/tasks", headers=CD)).json()["items"]]
    assert seen == [ONE]
    pages, cursor = [], None
    while True:
        params = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = (await stack.client.get("/tasks", params=params, headers=BOSS)).json()
        pages.extend(item["task_id"] for item in page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == [ONE, TWO]


async def test_requests_that_make_no_sense_are_refused_by_field(stack: Stack):
    await with_order(stack)
    for path, body, field in (
        ("scan", {"scan_id": "s", "barcode": ""}, "barcode"),
        ("scan", {"scan_id": "s", "barcode": "6901\x00"}, "barcode"),
        ("scan", {"scan_id": "s", "barcode": "6901", "quantity": 0}, "quantity"),
        ("scan", {"scan_id": "s", "barcode": "6901", "quantity": "2"}, "quantity"),
        ("scan", {"barcode": "6901"}, "scan_id"),
        ("pack", {"items": []}, "items"),
        ("weigh", {"weight_grams": 10**30}, "weight_grams"),
        ("ship", {"carrier": "SF", "waybill": "SF1", "more": 1}, "more"),
    ):
        found = await stack.post(f"/tasks/{RAW}/{path}", CD, body)
        assert (found.status_code, found.json()["field"]) == (422, field)
    unkeyed = await stack.client.post(f"/tasks/{RAW}/claim", headers=CD)
    assert (unkeyed.status_code, unkeyed.json()["field"]) == (400, "Idempotency-Key")
    assert (await stack.post(f"/tasks/{RAW}/claim", CD, key="same")).status_code == 200
    await stack.post(f"/tasks/{RAW}/weigh", CD, {"weight_grams": 1}, key="same")
    reused = await stack.post(f"/tasks/{RAW}/weigh", CD, {"weight_grams": 2}, key="same")
    assert (reused.status_code, reused.json()["field"]) == (422, "Idempotency-Key")


async def test_what_the_wms_refused_is_shown_to_operators_and_told_again(stack: Stack):
    await with_order(stack, parcels=2)
    call = {"destination": "wms", "send_id": f"task.created:{ONE}", "key": ORDER, "body": {"type": "task.created"}}
    await stack.worker._desk.deliver(Delivered(ok=False, detail="the receiver answered HTTP 422", **call))
    shown = (await stack.client.get(f"/tasks/{RAW}", headers=BOSS)).json()["wms_refusal"]
    assert (shown["call"], shown["word"], shown["telling"]) == ("task.created", "the receiver answered HTTP 422", False)
    assert "wms_refusal" not in (await stack.client.get(f"/tasks/{RAW}", headers=CD)).json()
    listed = (await stack.client.get("/tasks", params={"wms_refused": True}, headers=BOSS)).json()["items"]
    assert [(item["task_id"], item["wms_refusal"]) for item in listed] == [(ONE, shown)]
    [first, second] = (await stack.client.get(f"/orders/{ORDER}", headers=BOSS)).json()["tasks"]
    assert (first["wms_refusal"], second["wms_refusal"]) == (shown, None)
    assert (await stack.post(f"/tasks/{RAW}/tell-wms", CD)).status_code == 403
    assert (await stack.post(f"/tasks/{TWO}/tell-wms", BOSS)).status_code == 404
    again = await stack.post(f"/tasks/{ESCAPED}/tell-wms", BOSS, key="once")
    assert (again.status_code, again.json()["rounds"]) == (202, 2)
    assert (await stack.post(f"/tasks/{RAW}/tell-wms", BOSS)).status_code == 409
    sent = await stack.scalar(f"SELECT body ->> 'type' FROM egress WHERE send_id = 'task.created~2:{ONE}'")
    assert sent == "task.created"


async def test_devices_are_registered_listed_and_revoked(stack: Stack):
    await with_order(stack)
    device = {"device_id": "pda-1", "warehouse": "CD", "label": "blue"}
    assert (await stack.post("/devices", CD, device)).status_code == 403
    assert (await stack.post("/devices", BOSS, device)).status_code == 201
    listed = (await stack.client.get("/devices", headers=BOSS)).json()
    assert listed == {"items": [{**device, "revoked": False}], "next_cursor": None}
    assert (await stack.post("/devices/pda-1/revoke", BOSS)).json()["revoked"]
    assert (await stack.post(f"/tasks/{RAW}/claim", CD)).status_code == 403
    assert (await stack.client.get("/tasks", headers=CD)).status_code == 403
    assert (await stack.client.get(f"/tasks/{RAW}", headers=CD)).status_code == 403
    assert (await stack.client.get("/tasks", headers=CD2)).status_code == 200


async def test_a_claim_ends_although_the_service_was_away(database: str):
    await create_vault(database)
    await migrate(database, "fulfillment")
    async with running(database) as stack:
        await with_order(stack)
        assert (await stack.post(f"/tasks/{RAW}/claim", CD)).status_code == 200
        await stack.scalar("UPDATE timer SET due_at = due_at - interval '1 hour' RETURNING 1")
        await stack.scalar("UPDATE pick_task SET claim_until = claim_until - interval '1 hour' RETURNING 1")
    async with running(database, stack.cluster) as stack:
        await stack.until(f"/tasks/{RAW}", CD2, lambda found: found["state"] == "open")
        assert (await stack.post(f"/tasks/{RAW}/claim", CD2)).status_code == 200
        assert await stack.scalar("SELECT count(*) FROM outbox WHERE type = 'PickTaskUnclaimed'") == 1


async def test_an_order_cancelled_before_its_goods_came_shows_its_parcels(stack: Stack):
    stack.say("ingestion", content(), cancelling())
    await stack.until(f"/orders/{ORDER}", BOSS, lambda found: found["cancellation"] == "c1")
    stack.say("inventory", assigned(parcels=2))
    found = await stack.until(f"/orders/{ORDER}", BOSS, lambda found: found["state"] == "cancelled")
    assert found["tasks"] == [{"task_id": ONE, "state": "cancelled"}, {"task_id": TWO, "state": "cancelled"}]
    stack.say("inventory", released("fulfillment_cancelled"))
    assert await stack.scalar("SELECT count(*) FROM parked") == 0


async def test_the_migration_makes_the_declared_tables_and_goes_back(database: str):
    await migrate(database, "fulfillment")
    engine = create_async_engine(sqlalchemy_url(database))
    sql = text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'fulfillment'")
    async with engine.connect() as connection:
        found = {tuple(row) for row in await connection.execute(sql)}
    declared = {(t.name, c.name) for m in (STREAM, store.METADATA) for t in m.sorted_tables for c in t.columns}
    assert {place for place in found if place[0] != "alembic_version"} == declared
    await migrate(database, "fulfillment", revision="base")
    async with engine.connect() as connection:
        left = {row[0] for row in await connection.execute(sql)}
    assert left == {"alembic_version"}
    await engine.dispose()
