"""One running service: its worker, its HTTP edge, its health and metrics, from the first lease to the last flush."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog
import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from libs.decide import Command, Handlers, Reply
from libs.runtime.auth import Auth
from libs.runtime.clock import utc_now
from libs.runtime.docs import install_docs
from libs.runtime.http import (
    REFUSALS,
    BodyLimit,
    Problem,
    install_problem_handlers,
    refuse_unknown_parameters,
    respond,
)
from libs.runtime.plain import PlainRoutes, plain_routes
from libs.runtime.protocol import GuardedProtocol
from libs.runtime.settings import ServiceSettings, sqlalchemy_url
from libs.stream.companions import Companion
from libs.stream.egress import Sender
from libs.stream.kafka import KafkaLog
from libs.stream.limits import Limits
from libs.stream.log import Log
from libs.stream.postgres import PostgresJournal
from libs.stream.tables import Tables
from libs.stream.worker import Worker
from libs.vault import Vault

READS_POOL = 4
STOP_TIMEOUT_S = 10.0
KEEP_ALIVE_TIMEOUT_S = 30
CONNECTIONS_LIMIT = 2_000
GC_THRESHOLD = 100_000


@dataclass
class Parts:
    """What an API is built from. `vault` is there only for services that may seal or open."""

    settings: ServiceSettings
    auth: Auth
    worker: Worker
    engine: AsyncEngine
    vault: Vault | None = None

    async def submit(self, command: Command, idempotency_key: str) -> Reply:
        """Have a command decided and committed; raises Overloaded or NotServing (answered as 429 and 503)."""
        return await self.worker.submit(command, idempotency_key)

    @asynccontextmanager
    async def reads(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection for reading what is committed."""
        async with self.engine.connect() as connection:
            yield connection

    def now(self) -> datetime:
        """Return the time now, in UTC."""
        return utc_now()

    def require_vault(self) -> Vault:
        """Return the vault; a service that was built without one has no business with sealed data."""
        assert self.vault is not None, "this service was built without the vault"
        return self.vault


@dataclass(frozen=True)
class Service:
    """A service as its `app.py` declares it.

    `uploads` are paths that may take larger bodies; `companions` run beside the worker while it holds its lease.
    """

    name: str
    settings: ServiceSettings
    handlers: Handlers
    tables: Tables
    routers: Callable[[Parts], Sequence[APIRouter]]
    senders: Callable[[Parts], Mapping[str, Sender]] | None = None
    companions: Callable[[Parts], Sequence[Companion]] | None = None
    vault: bool = False
    uploads: tuple[str, ...] = ()
    title: str = ""
    limits: Limits | None = None


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


@dataclass
class Running:
    """A service that was built: run it, then stop it."""

    service: Service
    worker: Worker
    app: FastAPI
    parts: Parts
    log: Log
    journal: PostgresJournal
    _server: _Server | None = field(default=None)

    async def run(self, port: int | None = None) -> None:
        """Serve until `stop`; whatever ends one part ends the whole, so that a supervisor can start it anew."""
        settings = self.service.settings
        config = uvicorn.Config(
            self.app,
            host=settings.host,
            port=settings.port if port is None else port,
            http=GuardedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_TIMEOUT_S,
            timeout_graceful_shutdown=int(STOP_TIMEOUT_S),
            limit_concurrency=CONNECTIONS_LIMIT,
            backlog=1024,
        )
        self._server = _Server(config)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run_server(self._server))
                group.create_task(self._run_worker())
        finally:
            await self.close()

    async def _run_server(self, server: _Server) -> None:
        await server.serve()
        self.worker.stop()

    async def _run_worker(self) -> None:
        try:
            await self.worker.run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                # A task group takes a cancelled member for one that it cancelled itself, and would wait for ever.
                raise RuntimeError("the worker was cancelled, but by nobody here") from None
            raise
        if self._server is not None:
            self._server.should_exit = True

    def stop(self) -> None:
        """Take no more requests, finish the batch, flush, leave."""
        structlog.get_logger().info("stopping", service=self.service.name)
        self.worker.stop()

    async def close(self) -> None:
        """Close every connection."""
        await self.log.close()
        await self.journal.close()
        await self.parts.engine.dispose()
        if self.parts.vault is not None:
            await self.parts.vault.close()


def assemble(service: Service, log: Log | None = None) -> Running:
    """Build a service's worker and HTTP edge from its declaration and settings, on Kafka unless a log is given."""
    settings = service.settings
    log = log or KafkaLog(settings.kafka, f"ordo-{service.name}")
    journal = PostgresJournal(
        settings.postgres, service.name, service.tables, shard=settings.shard, lock_rows=settings.shards > 1
    )
    vault = Vault(settings.postgres, settings.master_key) if service.vault else None
    limits = service.limits or Limits(
        batch_inputs=settings.batch_inputs,
        queue_commands=settings.queue_commands,
        rests=settings.rests,
        rest_limit_ms=settings.rest_limit_ms,
        calls_in_flight=settings.calls_in_flight,
        lease_ms=settings.lease_ms,
    )
    senders: dict[str, Sender] = {}
    worker = Worker(
        service.handlers,
        journal,
        log,
        owner=f"{socket.gethostname()}/{os.getpid()}/{utc_now().timestamp()}",
        clock=utc_now,
        senders=senders,
        limits=limits,
        shard=settings.shard,
        shards=settings.shards,
    )
    engine = create_async_engine(
        sqlalchemy_url(settings.postgres),
        pool_size=READS_POOL,
        max_overflow=0,
        pool_timeout=5,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "timeout": 5,
            "command_timeout": 10,
            "server_settings": {"search_path": service.name, "statement_timeout": "10000", "jit": "off"},
        },
    )
    parts = Parts(settings, Auth(settings), worker, engine, vault)
    # Senders and companions submit commands like anybody else, so they can only be built once there is a worker.
    senders.update(service.senders(parts) if service.senders else {})
    worker.companions = service.companions(parts) if service.companions else ()
    return Running(service, worker, application(service, parts), parts, log, journal)


def application(service: Service, parts: Parts) -> FastAPI:
    """Build the HTTP edge of a service: its routes, health, metrics and parked messages."""
    app = FastAPI(
        title=service.title or f"Ordo {service.name}",
        version="1",
        description="Refusals are RFC 9457 problems. `python -m libs.runtime token` issues a bearer token.",
        docs_url=None,
        redoc_url=None,
        responses=REFUSALS,
        # Figures and logs are ours. This would look in the environment, at each request, for somebody else to tell.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    install_problem_handlers(app)
    install_docs(app)
    routers = [*service.routers(parts), _parked(parts)]
    refuse_unknown_parameters(routers)
    app.add_middleware(PlainRoutes, routes=plain_routes(routers), on_error=app.exception_handlers)
    app.add_middleware(BodyLimit, uploads=service.uploads)
    for router in routers:
        app.include_router(router)
    app.include_router(_health(parts))
    return app


def _health(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="The process runs")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz", summary="Partitions are owned and lag is bounded", responses={503: {"description": "not ready"}}
    )
    async def readyz() -> Response:
        found = await parts.worker.readiness()
        body = {
            "ready": found.ready,
            "reasons": found.reasons,
            "lag_records": found.lag_records,
            "lag_ms": found.lag_ms,
        }
        return JSONResponse(body, status_code=200 if found.ready else 503)

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _parked(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["operations"])
    sre = Depends(parts.auth.require("sre", "operator"))

    @router.get("/parked", summary="Messages that wait for an operator", dependencies=[sre])
    async def parked(limit: int = 100, after: str = "") -> dict[str, object]:
        if not 1 <= limit <= 200:
            raise Problem(422, "limit must lie between 1 and 200", field="limit")
        number, _, key = after.partition(":")
        if after and (not (number.isascii() and number.isdigit()) or len(number) > 18 or "\x00" in key):
            raise Problem(422, "after is the next_cursor of the page before", field="after")
        sql = text(
            "SELECT key, n, topic, part, at_offset, type, error, behind, attempts, parked_at FROM parked "
            "WHERE (key, n) > (:key, :n) ORDER BY key, n LIMIT :limit"
        )
        async with parts.reads() as connection:
            rows = (await connection.execute(sql, {"key": key, "n": int(number or 0), "limit": limit})).mappings().all()
        items = [dict(row) for row in rows]
        return {"items": items, "next_cursor": f"{items[-1]['n']}:{items[-1]['key']}" if len(items) == limit else None}

    @router.post("/parked/{key:path}/redrive", summary="Decide the parked messages of a key again", dependencies=[sre])
    async def redrive(key: str) -> Response:
        if "\x00" in key:
            raise Problem(422, "no key holds the character NUL", field="key")
        return respond(await parts.worker.redrive(key))

    return router


def tune_garbage_collector() -> None:
    """Keep what start-up made out of every later collection: decoding makes many objects and few cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
