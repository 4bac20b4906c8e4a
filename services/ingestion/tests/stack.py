"""A whole ingestion service for tests: the real edge, worker and decisions, over memory or over Postgres."""

import asyncio
import base64
import contextlib
import os
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy.ext.asyncio import create_async_engine
from standardwebhooks.webhooks import Webhook

from libs.runtime.auth import Auth, make_token
from libs.runtime.clock import utc_now
from libs.runtime.migrate import migrate
from libs.runtime.service import Parts, application
from libs.runtime.settings import sqlalchemy_url
from libs.stream.limits import Limits
from libs.stream.memory import MemoryCluster, MemoryJournal, MemoryLog, Stored
from libs.stream.postgres import PostgresJournal
from libs.stream.worker import Worker
from libs.testkit.waiting import until_ready
from libs.vault import Vault, create_vault
from services.ingestion.app import build
from services.ingestion.domain import Shop
from services.ingestion.settings import Settings
from services.ingestion.store import ShopRecord

SECRET = "whsec_" + base64.b64encode(b"demo-secret-of-24-bytes!").decode()
READY_TIMEOUT_S = 10


class MemoryVault(Vault):
    """The real vault over a dict instead of its table."""

    def __init__(self, master_key):
        super().__init__("postgresql://nowhere", master_key)
        self.table = {}

    async def _run(self, sql, *arguments):
        if sql.startswith("INSERT"):
            self.table.setdefault(arguments[0], arguments[1])
            return None
        return self.table.get(arguments[0])


class Stack:
    """Speaks to the service as a shop and as an operator."""

    def __init__(self, app, parts, cluster, stored=None):
        self.app, self.parts, self.cluster, self.stored = app, parts, cluster, stored
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
        self.numbers = iter(range(1, 10**6))
        token = make_token(
            parts.settings.jwt_secret,
            subject="tester",
            roles=["operator"],
            warehouse=None,
            now=utc_now(),
            lifetime=timedelta(hours=1),
        )
        self.operator = {"Authorization": f"Bearer {token}"}

    async def send(self, body, *, path="/webhooks/own/demo", secret=SECRET, webhook_id=None, at=None, headers=None):
        webhook_id = webhook_id or f"msg_{next(self.numbers)}"
        at = int(time.time()) if at is None else at
        signature = Webhook(secret).sign(webhook_id, datetime.fromtimestamp(at, UTC), body.decode())
        signed = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(at),
            "webhook-signature": signature,
            "content-type": "application/json",
        }
        return await self.client.post(path, content=body, headers=signed if headers is None else headers)

    async def upload(self, data, shop_id="demo", **headers):
        files = {"file": ("orders.csv", data, "text/csv")}
        return await self.client.post(
            "/imports", files=files, data={"shop_id": shop_id}, headers=self.operator | headers
        )

    def published(self):
        records = [each for held in self.cluster.records.values() for each in held]
        return [(dict(each.headers)["ce_type"].decode(), each.value) for each in records]


def settings_of(**more):
    return Settings(
        kafka="nowhere:1",
        postgres="postgresql://nowhere",
        jwt_secret="a secret for tests only, long enough",
        buyer_key_secret="another secret for tests",
        **{"own_demo_secret": SECRET, "master_key": base64.b64encode(os.urandom(32)).decode()} | more,
    )


@asynccontextmanager
async def _serving(settings, journal, vault, engine, stored=None, limits=None, outside=False):
    service = build(settings)
    cluster = MemoryCluster()
    senders = {"nowhere": None}  # the worker keeps this very dictionary, and is given the others through it
    worker = Worker(
        service.handlers,
        journal,
        MemoryLog(cluster),
        owner="test",
        clock=utc_now,
        senders=senders,
        limits=limits or Limits(),
    )
    parts = Parts(settings, Auth(settings), worker, engine, vault)
    if outside:
        senders.update(service.senders(parts))
        worker.companions = service.companions(parts)
    stack = Stack(application(service, parts), parts, cluster, stored)
    running = asyncio.create_task(worker.run())
    try:
        await until_ready(worker, READY_TIMEOUT_S)
        yield stack
    finally:
        worker.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await stack.client.aclose()


@asynccontextmanager
async def memory_stack(monkeypatch, limits=None, **more):
    """Serve from memory; shops are read from the journal's rows."""
    stored = Stored()
    settings = settings_of(**more)

    async def shop_by_id(connection, shop_id):
        row = stored.row(Shop, shop_id)
        return None if row is None else ShopRecord(**{name: getattr(row, name) for name in row.__struct_fields__})

    monkeypatch.setattr("services.ingestion.store.shop_by_id", shop_by_id)
    monkeypatch.setattr(Parts, "reads", lambda self: contextlib.nullcontext())
    journal = MemoryJournal(stored, utc_now)
    async with _serving(settings, journal, MemoryVault(settings.master_key), None, stored, limits) as stack:
        yield stack


@asynccontextmanager
async def postgres_stack(dsn, outside=False, **more):
    """Serve from a real Postgres; the log stays in memory. `outside`: outward calls are made and companions run."""
    settings = settings_of(**more)
    await create_vault(dsn)
    await migrate(dsn, "ingestion")
    service = build(settings)
    journal = PostgresJournal(dsn, "ingestion", service.tables)
    vault = Vault(dsn, settings.master_key)
    engine = create_async_engine(
        sqlalchemy_url(dsn),
        isolation_level="AUTOCOMMIT",
        connect_args={"server_settings": {"search_path": "ingestion"}},
    )
    try:
        async with _serving(settings, journal, vault, engine, outside=outside) as stack:
            yield stack
    finally:
        await journal.close()
        await vault.close()
        await engine.dispose()
