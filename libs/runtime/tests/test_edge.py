"""A service's open doors: health, readiness, metrics, and the parked messages an operator looks at and redrives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.responses import Response

from contracts.orders import OrderCancelRequested
from contracts.topics import ORDERS
from libs.decide import Handlers, On, Output, State
from libs.runtime.auth import Auth, make_token
from libs.runtime.clock import utc_now
from libs.runtime.http import IdempotencyKey, respond
from libs.runtime.service import Parts, Service, application
from libs.runtime.settings import ServiceSettings, sqlalchemy_url
from libs.stream.journal import Head, Journal
from libs.stream.log import Place
from libs.stream.memory import MemoryCluster, MemoryJournal, MemoryLog, Stored
from libs.stream.postgres import PostgresJournal
from libs.stream.tables import STREAM
from libs.stream.worker import Worker
from libs.testkit.tally import HANDLERS, LIMITS, METADATA, TABLES, Add, Tally, cancels, on_cancel
from libs.testkit.waiting import until

SECRET = "a secret for tests only, long enough"
WAIT_LIMIT_S = 10.0
WITH_SLASH = "own/demo 订单?1"


class Stomach:
    """Decides poison once it is `healed`."""

    def __init__(self) -> None:
        self.healed = False

    def decide(self, event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
        if self.healed and event.reason == "poison":
            event = OrderCancelRequested(
                order_id=event.order_id, request_id=event.request_id, requested_at=event.requested_at, reason=""
            )
        return on_cancel(event, state, now)

    def handlers(self) -> Handlers:
        eat: On[OrderCancelRequested] = On(self.decide, needs=lambda e: {Tally: [(e.order_id,)]})
        return replace(HANDLERS, on={**HANDLERS.on, OrderCancelRequested: eat})


class Edge:
    """One running service with its log, seen from outside."""

    def __init__(self, worker: Worker, parts: Parts, service: Service, cluster: MemoryCluster) -> None:
        self.worker, self.cluster = worker, cluster
        self.heads: dict[Place, Head] = {}
        transport = httpx.ASGITransport(application(service, parts), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    def feed(self, *orders: tuple[str, str]) -> None:
        for record in cancels(self.heads, self.cluster.partitions, *orders):
            self.cluster.append(record)

    async def get(self, path: str, role: str = "sre") -> httpx.Response:
        return await self.client.get(path, headers=bearer(role))

    async def redrive(self, key: str, role: str = "sre") -> httpx.Response:
        return await self.client.post(f"/parked/{quote(key, safe='')}/redrive", headers=bearer(role))

    async def drained(self) -> None:
        """Wait until everything in the log is decided."""

        async def caught_up() -> bool:
            found = await self.worker.readiness()
            return found.ready and not found.lag_records

        await until(caught_up, WAIT_LIMIT_S)


def bearer(role: str) -> dict[str, str]:
    token = make_token(
        SECRET, subject="x", roles=[role], warehouse="CD", now=utc_now(), lifetime=timedelta(minutes=5)
    )  # fmt: skip
    return {"Authorization": f"Bearer {token}"}


def routers(parts: Parts) -> list[APIRouter]:
    router = APIRouter()

    @router.post("/add/{order_id}/{amount}")
    async def add(order_id: str, amount: int, idempotency_key: IdempotencyKey) -> Response:
        return respond(await parts.submit(Add(order_id=order_id, amount=amount), idempotency_key))

    return [router]


def settings_of() -> ServiceSettings:
    return ServiceSettings(
        kafka="nowhere:1", postgres="postgresql://nobody@nowhere:1/none", jwt_secret=SECRET, oidc_jwks_url=""
    )


def edge_of(journal: Journal, stomach: Stomach, engine: Any = None, owner: str = "a") -> Edge:
    settings = settings_of()
    cluster = MemoryCluster()
    worker = Worker(stomach.handlers(), journal, MemoryLog(cluster), owner=owner, clock=utc_now, limits=LIMITS)
    service = Service("risk", settings, stomach.handlers(), TABLES, routers)
    return Edge(worker, Parts(settings, Auth(settings), worker, engine), service, cluster)


@asynccontextmanager
async def running(edge: Edge) -> AsyncIterator[Edge]:
    task = asyncio.create_task(edge.worker.run())
    try:
        await edge.drained()
        yield edge
    finally:
        edge.worker.stop()
        async with asyncio.timeout(WAIT_LIMIT_S):
            await task
        await edge.client.aclose()


async def test_health_needs_nothing_and_readiness_needs_the_lease() -> None:
    edge = edge_of(MemoryJournal(Stored(), utc_now), Stomach())
    assert (await edge.client.get("/healthz")).json() == {"status": "ok"}
    before = await edge.client.get("/readyz")
    assert (before.status_code, before.json()["ready"], before.json()["reasons"]) == (503, False, ["starting"])
    answer = await edge.client.post("/add/o1/1", headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    async with running(edge):
        edge.feed(("o1", ""))
        await edge.drained()
        ready = await edge.client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"], ready.json()["lag_records"]) == (200, True, 0)
        answer = await edge.client.post("/add/o1/2", headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()) == (200, {"count": 3})


async def test_what_is_parked_is_not_listed_for_a_parameter_nobody_knows() -> None:
    edge = edge_of(MemoryJournal(Stored(), utc_now), Stomach())
    answer = await edge.get("/parked?offset=100")
    assert (answer.status_code, answer.json()["field"]) == (422, "offset")
    assert (await edge.client.get("/healthz?from=a-balancer")).status_code == 200
    await edge.client.aclose()


async def test_a_service_that_stands_by_says_so() -> None:
    stored = Stored()
    async with running(edge_of(MemoryJournal(stored, utc_now), Stomach())):
        second = edge_of(MemoryJournal(stored, utc_now), Stomach(), owner="b")
        task = asyncio.create_task(second.worker.run())

        async def says_why() -> list[str]:
            said: list[str] = (await second.client.get("/readyz")).json()["reasons"]
            return [] if said == ["starting"] else said

        assert "another process holds the lease" in (await until(says_why, WAIT_LIMIT_S))[0]
        assert (await second.client.get("/healthz")).status_code == 200, "it lives, and must not be restarted"
        second.worker.stop()
        async with asyncio.timeout(WAIT_LIMIT_S):
            await task
        await second.client.aclose()


async def test_metrics_speak_prometheus() -> None:
    async with running(edge_of(MemoryJournal(Stored(), utc_now), Stomach())) as edge:
        edge.feed(("o1", ""))
        await edge.drained()
        answer = await edge.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    for name in (
        "ordo_batch_inputs_count",
        "ordo_commit_seconds_bucket",
        "ordo_event_lag_seconds",
        "ordo_lag_records",
        "ordo_outbox_unsent_records",
        "ordo_parked_keys",
        "ordo_records_total",
    ):
        assert f'{name}{{service="risk"' in answer.text or f'{name}{{le="0.002",service="risk"' in answer.text, name
    assert "# TYPE ordo_egress_total counter" in answer.text


async def test_the_api_describes_itself() -> None:
    edge = edge_of(MemoryJournal(Stored(), utc_now), Stomach())
    paths = (await edge.client.get("/openapi.json")).json()["paths"]
    assert {"/healthz", "/readyz", "/metrics", "/parked", "/parked/{key}/redrive", "/add/{order_id}/{amount}"} == set(
        paths
    )
    await edge.client.aclose()


@pytest.mark.parametrize(("role", "status"), [("", 401), ("picker", 403), ("reviewer", 403)])
async def test_parked_messages_are_for_operators_only(role: str, status: int) -> None:
    edge = edge_of(MemoryJournal(Stored(), utc_now), Stomach())
    headers = bearer(role) if role else {}
    for method, path in (("GET", "/parked"), ("POST", "/parked/x/redrive")):
        answer = await edge.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
    await edge.client.aclose()


async def test_a_redrive_over_memory_decides_again() -> None:
    stomach, stored = Stomach(), Stored()
    async with running(edge_of(MemoryJournal(stored, utc_now), stomach)) as edge:
        edge.feed((WITH_SLASH, "poison"), (WITH_SLASH, ""), ("fine", ""))
        await edge.drained()
        answer = await edge.client.post("/add/x/1", headers={"Idempotency-Key": "k0"})
        assert answer.status_code == 200
        stuck = await edge.redrive(WITH_SLASH)
        assert (stuck.status_code, stuck.json()["redriven"]) == (409, 0)
        assert "cannot stomach this" in stuck.json()["detail"]
        assert len(stored.parked) == 2
        stomach.healed = True
        healed = await edge.redrive(WITH_SLASH)
        assert (healed.status_code, healed.json()) == (200, {"key": WITH_SLASH, "redriven": 2})
        assert stored.row(Tally, WITH_SLASH).count == 2
        assert (stored.parked, (await edge.redrive(WITH_SLASH)).status_code) == ([], 404)


# -- on a real Postgres ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def on_postgres(dsn: str, stomach: Stomach) -> AsyncIterator[tuple[Edge, AsyncEngine]]:
    engine = create_async_engine(
        sqlalchemy_url(dsn),
        isolation_level="AUTOCOMMIT",
        connect_args={"server_settings": {"search_path": "risk"}},
    )
    async with engine.connect() as connection:
        await connection.execute(text("CREATE SCHEMA IF NOT EXISTS risk"))
        await connection.run_sync(STREAM.create_all)
        await connection.run_sync(METADATA.create_all)
    journal = PostgresJournal(dsn, "risk", TABLES)
    try:
        async with running(edge_of(journal, stomach, engine)) as edge:
            yield edge, engine
    finally:
        await journal.close()
        await engine.dispose()


@pytest.mark.postgres
async def test_parked_messages_are_listed_and_redriven(database: str) -> None:
    stomach = Stomach()
    async with on_postgres(database, stomach) as (edge, engine):
        edge.feed((WITH_SLASH, "poison"), (WITH_SLASH, ""), ("worse", "poison"), ("fine", ""))
        await edge.drained()
        page = (await edge.get("/parked", "operator")).json()
        assert page["next_cursor"] is None
        seen = [(m["key"], m["type"], m["behind"], m["attempts"]) for m in page["items"]]
        kind = "OrderCancelRequested"
        assert seen == [(WITH_SLASH, kind, False, 0), (WITH_SLASH, kind, True, 0), ("worse", kind, False, 0)]
        assert page["items"][0]["topic"] == ORDERS.name
        assert "cannot stomach this" in page["items"][0]["error"]
        assert "value" not in page["items"][0], "what a message holds is not shown"

        assert (await edge.redrive(WITH_SLASH)).status_code == 409
        assert (await edge.get("/parked")).json()["items"][0]["attempts"] == 1
        behind = await edge.client.post(f"/add/{quote('worse')}/1", headers={"Idempotency-Key": "k1"})
        assert behind.status_code == 423, "a command waits for the operator as well"
        stomach.healed = True
        assert (await edge.redrive(WITH_SLASH)).json() == {"key": WITH_SLASH, "redriven": 2}
        assert [m["key"] for m in (await edge.get("/parked")).json()["items"]] == ["worse"]
        edge.feed((WITH_SLASH, ""))
        await edge.drained()
        async with engine.connect() as connection:
            counts = (await connection.execute(text("SELECT order_id, count FROM tally"))).all()
        assert {tuple(row) for row in counts} == {(WITH_SLASH, 3), ("fine", 1)}


@pytest.mark.postgres
@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "after=%00"])
async def test_a_senseless_page_is_refused(database: str, query: str) -> None:
    async with on_postgres(database, Stomach()) as (edge, _):
        answer = await edge.get(f"/parked?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, query.partition("=")[0])


@pytest.mark.postgres
async def test_a_lost_database_is_a_503_and_not_a_crash(database: str) -> None:
    async with on_postgres(database, Stomach()) as (edge, _):
        broken = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")
        settings = settings_of()
        parts = Parts(settings, Auth(settings), edge.worker, broken)
        service = Service("risk", settings, Stomach().handlers(), TABLES, routers)
        transport = httpx.ASGITransport(application(service, parts), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.get("/parked", headers=bearer("sre"))
        await broken.dispose()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
