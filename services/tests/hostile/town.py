"""All seven services in one process for hostile tests: real HTTP servers and Postgres, the log in memory."""

import asyncio
import base64
import io
import logging
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from datetime import timedelta
from importlib import import_module
from typing import Any

import structlog
import uvloop

from contracts.topics import SERVICES
from libs.runtime.auth import make_token
from libs.runtime.clock import utc_now
from libs.runtime.migrate import migrate
from libs.runtime.service import Running, assemble
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.testkit.client import Merchant
from libs.testkit.embedded.server import free_ports
from libs.testkit.waiting import until_ready
from libs.vault import create_vault

JWT_SECRET = "a secret for hostile tests only, long enough"
SHOP_SECRET = "whsec_" + base64.b64encode(b"hostile-secret-of-32-bytes-long!").decode()
START_LIMIT_S = 30.0


def everybody() -> str:
    """Return the Authorization header of a caller who has every role."""
    token = make_token(
        JWT_SECRET,
        subject="everybody",
        roles=["operator", "picker", "reviewer", "sre"],
        warehouse="CD",
        now=utc_now(),
        lifetime=timedelta(hours=1),
    )
    return f"Bearer {token}"


class Town:
    """Seven services on one memory cluster, in a thread with a loop of its own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.cluster = MemoryCluster()
        self.master_key = base64.b64encode(os.urandom(32)).decode()
        self.log_lines = io.StringIO()
        self.ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self.runnings: dict[str, Running] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, daemon=True)

    @property
    def env(self) -> dict[str, str]:
        """What a client of the stack is told."""
        urls = {f"ORDO_URL_{name.upper()}": self.url(name) for name in SERVICES}
        return {**urls, "ORDO_JWT_SECRET": JWT_SECRET, "ORDO_OWN_DEMO_SECRET": SHOP_SECRET}

    def url(self, service: str, path: str = "") -> str:
        """Return the address of a service's path."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    def merchant(self) -> Merchant:
        """Return a new client of the whole."""
        return Merchant(self.env)

    def logs(self) -> str:
        """Return everything any service has logged."""
        return self.log_lines.getvalue()

    def ask(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine where the services live."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_LIMIT_S)

    def start(self) -> None:
        """Return once every service is ready."""
        logger = structlog.PrintLoggerFactory(self.log_lines)
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            logger_factory=logger,
        )
        self._handler = logging.StreamHandler(self.log_lines)
        logging.getLogger().addHandler(self._handler)
        self._begun = threading.Event()
        self._thread.start()
        if not self._begun.wait(START_LIMIT_S):
            raise TimeoutError("the services did not start")
        self.ask(self._until_ready())

    def stop(self) -> None:
        """End every service and raise what ended one of them before."""
        if self._loop is not None and not self._ended.done():
            for running in self.runnings.values():
                self._loop.call_soon_threadsafe(running.stop)
        self._thread.join(START_LIMIT_S)
        logging.getLogger().removeHandler(self._handler)
        structlog.reset_defaults()
        self._ended.result(0)

    @property
    def alive(self) -> bool:
        """Tell whether no service has failed."""
        return not self._ended.done()

    def _live(self) -> None:
        try:
            uvloop.run(self._run())
        except BaseException as error:  # noqa: BLE001 - `stop` raises it where the test is
            self._ended.set_exception(error)
            self._begun.set()
        else:
            self._ended.set_result(None)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        await create_vault(self.dsn)
        for name in SERVICES:
            await migrate(self.dsn, name)
            self.runnings[name] = assemble(self._service(name), MemoryLog(self.cluster))
        self._begun.set()
        async with asyncio.TaskGroup() as group:
            for running in self.runnings.values():
                group.create_task(running.run())

    def _service(self, name: str) -> Any:
        settings = import_module(f"services.{name}.settings").Settings(
            kafka="none:1",
            postgres=self.dsn,
            jwt_secret=JWT_SECRET,
            buyer_key_secret="another secret for hostile tests",
            master_key=self.master_key,
            port=self.ports[name],
            **({"own_demo_secret": SHOP_SECRET} if name == "ingestion" else {}),
        )
        return import_module(f"services.{name}.app").build(settings)

    async def _until_ready(self) -> None:
        await asyncio.gather(*[until_ready(running.worker, START_LIMIT_S) for running in self.runnings.values()])
