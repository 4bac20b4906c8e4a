"""The service on a real Postgres, with a client to it and the topics around it in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from libs.runtime.auth import Auth, make_token
from libs.runtime.http import install_problem_handlers
from libs.runtime.service import Parts
from libs.runtime.settings import sqlalchemy_url
from libs.stream.batch import Writer
from libs.stream.limits import Limits
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.stream.postgres import PostgresJournal
from libs.stream.worker import Worker
from libs.testkit.waiting import until, until_ready
from services.inventory import api, app, store
from services.inventory.settings import Settings

SECRET = "a secret for this test only, 32 bytes or more"
A, B = "85123A", "71053"
ORDER = "own.demo.1"
WAIT_S = 10


def now() -> datetime:
    return datetime.now(UTC)


def token(role: str) -> dict[str, str]:
    made = make_token(SECRET, subject=role, roles=[role], warehouse="CD", now=now(), lifetime=timedelta(hours=1))
    return {"Authorization": f"Bearer {made}"}


BOSS, REVIEWER, PICKER = token("operator"), token("reviewer"), token("picker")


class Stack:
    """A running service, a client to it, and the topics around it."""

    def __init__(self, dsn: str, cluster: MemoryCluster) -> None:
        self.cluster = cluster
        self.settings = Settings(kafka="none", postgres=dsn, jwt_secret=SECRET, recheck_after_ms=100)
        service = app.build(self.settings)
        self.engine = create_async_engine(
            sqlalchemy_url(dsn),
            isolation_level="AUTOCOMMIT",
            connect_args={"server_settings": {"search_path": "inventory"}},
        )
        self.journal = PostgresJournal(dsn, "inventory", store.TABLES, lock_rows=True)
        limits = Limits(lease_ms=1000, fetch_timeout_ms=50, retry_first_ms=10)
        self.worker = Worker(service.handlers, self.journal, MemoryLog(cluster), owner="test", clock=now, limits=limits)
        self.web = FastAPI()
        install_problem_handlers(self.web)
        for router in api.routers(Parts(self.settings, Auth(self.settings), self.worker, self.engine)):
            self.web.include_router(router)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.web), base_url="http://test")
        self.heads: dict[str, dict] = {}
        self.keys = 0

    def say(self, writer: str, *events) -> None:
        made = Writer(writer, 0, 1, self.cluster.partitions, {})
        heads = self.heads.setdefault(writer, {})
        for event in events:
            self.cluster.append(made.event(event, "test", int(now().timestamp() * 1000), heads)[0])

    def heard(self, topic, kind: str) -> list:
        kinds = {event.__name__: event for event in topic.events}
        return [
            msgspec.json.decode(record.value, type=kinds[kind])
            for part in range(self.cluster.partitions)
            for record in self.cluster.at((topic.name, part))
            if dict(record.headers)["ce_type"] == kind.encode()
        ]

    async def until(self, topic, kind: str, count: int) -> list:
        await until(lambda: len(self.heard(topic, kind)) >= count, WAIT_S)
        return self.heard(topic, kind)

    async def ask(self, method: str, path: str, body=None, who=BOSS, key: str | None = None) -> httpx.Response:
        self.keys += 1
        headers = {**who, "Idempotency-Key": key or f"key-{self.keys}"}
        return await self.client.request(method, path, json=body, headers=headers)

    async def get(self, path: str) -> dict:
        found = await self.client.get(path, headers=REVIEWER)
        assert found.status_code == 200, found.text
        return found.json()

    async def define(self, **stock: int) -> None:
        for code in ("CD", "GZ"):
            body = {"name": code, "region": "西南", "province_code": "51"}
            assert (await self.ask("PUT", f"/warehouses/{code}", body)).status_code == 201
        for sku in (A, B):
            assert (await self.ask("PUT", f"/skus/{sku}", {"title": "烛台", "cost": 1630})).status_code == 201
        for code, units in stock.items():
            await self.receive(code, A, units)

    async def receive(self, code: str, sku: str, units: int) -> None:
        body = {"warehouse": code, "items": [{"sku": sku, "quantity": units}]}
        assert (await self.ask("POST", "/stock/receipts", body)).status_code == 201

    async def rows(self, sql: str) -> list[tuple]:
        async with self.engine.connect() as connection:
            return [tuple(row) for row in (await connection.execute(text(sql))).all()]


@asynccontextmanager
async def running(dsn: str, cluster: MemoryCluster) -> AsyncIterator[Stack]:
    stack = Stack(dsn, cluster)
    task = asyncio.create_task(stack.worker.run())
    try:
        await until_ready(stack.worker, WAIT_S)
        yield stack
    finally:
        stack.worker.stop()
        await asyncio.wait_for(task, WAIT_S)
        await stack.journal.close()
        await stack.client.aclose()
        await stack.engine.dispose()


async def check_ledger(stack: Stack) -> None:
    """The rows are the fold of the ledger, in SQL this time."""
    folded = await stack.rows(
        "SELECT p.sku, p.on_hand, p.reserved, p.inbound + p.in_transit, "
        "coalesce(sum(delta) FILTER (WHERE kind = 'on_hand'), 0)::bigint, "
        "coalesce(sum(delta) FILTER (WHERE kind = 'reserved'), 0)::bigint, "
        "coalesce(sum(delta) FILTER (WHERE kind = 'inbound'), 0)::bigint "
        "FROM pool p LEFT JOIN ledger l USING (sku) GROUP BY p.sku"
    )
    assert folded
    for _, on_hand, reserved, inbound, *sums in folded:
        assert [on_hand, reserved, inbound] == sums
    places = await stack.rows(
        "SELECT p.sku, w.key, (w.value->>'on_hand')::bigint, (w.value->>'assigned')::bigint, "
        "(SELECT coalesce(sum(delta), 0) FROM ledger WHERE sku = p.sku AND warehouse = w.key AND kind = 'on_hand')"
        "::bigint, "
        "(SELECT coalesce(sum(delta), 0) FROM ledger WHERE sku = p.sku AND warehouse = w.key AND kind = 'assigned')"
        "::bigint FROM pool p, jsonb_each(p.warehouses) w"
    )
    assert all((on_hand, assigned) == (a, b) for _, _, on_hand, assigned, a, b in places)
