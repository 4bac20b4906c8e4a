"""The tower as others find it: the topics they write, a running service on a real Postgres, and a client to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from fastapi import FastAPI
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.envelope import Event
from contracts.topics import PARKED, TOPIC_OF
from libs.runtime.auth import Auth, make_token
from libs.runtime.http import install_problem_handlers, refuse_unknown_parameters
from libs.runtime.migrate import migrate
from libs.runtime.service import Parts
from libs.runtime.settings import sqlalchemy_url
from libs.stream.batch import Writer
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.stream.postgres import PostgresJournal
from libs.stream.worker import Worker
from libs.testkit.waiting import until
from services.tower import api, app, store
from services.tower.settings import Settings

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

    def say(self, *events: Event, writer: str = "", at: datetime | None = None, **wrong: Any) -> None:
        for event in events:
            by = writer or TOPIC_OF[type(event)].writer
            made = Writer(by, 0, 1, self.cluster.partitions, {})
            heads = self._heads.setdefault(by, {})
            outgoing = made.event(event, "test", int((at or now()).timestamp() * 1000), heads)[0]
            self.cluster.append(replace(outgoing, **wrong))

    def count(self) -> int:
        return sum(len(some) for (topic, _), some in self.cluster.records.items() if topic != PARKED["tower"].name)


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
        routers = api.routers(Parts(settings, Auth(settings), self.worker, self.engine))
        refuse_unknown_parameters(routers)
        for router in routers:
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
