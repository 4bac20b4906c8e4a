"""A real process over real servers: on SIGTERM it finishes its batch, flushes, and exits with 0."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest

from contracts.orders import Destination, OrderLine, OrderPlaced
from contracts.topics import RISK
from libs.stream.batch import Writer
from libs.stream.journal import Head
from libs.stream.kafka import KafkaLog
from libs.stream.log import Place
from libs.testkit.embedded.server import free_ports
from libs.testkit.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.kafka, pytest.mark.postgres]

ROOT = Path(__file__).resolve().parents[3]
AT = datetime(2026, 11, 11, tzinfo=UTC)
ORDERS_FED = 400
WAIT_LIMIT_S = 40.0
POLL_S = 0.05


@dataclass
class Process:
    """`python -m services.risk`, with what it needs told by the environment."""

    env: dict[str, str]
    port: int
    http: httpx.AsyncClient

    @asynccontextmanager
    async def started(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start it; whatever happens, it is gone afterwards."""
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "services.risk", *words]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=self.env, stdout=pipe, stderr=pipe)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def run(self, *words: str) -> tuple[int, str]:
        """Run a command to its end."""
        async with self.started(*words) as process, asyncio.timeout(WAIT_LIMIT_S):
            out, err = await process.communicate()
        return process.returncode or 0, (out + err).decode()

    async def ready(self) -> bool:
        try:
            return (await self.http.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
async def process(database: str, fresh_topics: str) -> AsyncIterator[Process]:
    (port,) = free_ports(1)
    env = {name: value for name, value in os.environ.items() if not name.startswith("ORDO_")}
    env |= {"ORDO_KAFKA": fresh_topics, "ORDO_POSTGRES": database, "ORDO_PORT": str(port), "ORDO_BATCH_INPUTS": "20"}
    async with httpx.AsyncClient(timeout=5) as http:
        found = Process(env, port, http)
        status, said = await found.run("migrate")
        assert status == 0, said
        yield found


async def feed(bootstrap: str) -> None:
    writer, heads = Writer("ingestion", 0, 1, 4, {}), dict[Place, Head]()
    records = []
    for number in range(ORDERS_FED):
        order = OrderPlaced(
            order_id=f"own.demo.{number}",
            version=1,
            channel="own",
            shop_id="demo",
            platform_order_id=str(number),
            placed_at=AT,
            paid_at=AT,
            currency="CNY",
            buyer_key=f"b{number}",
            destination=Destination(
                resolved=True, province_code="420000", city_code="420100", district_code="420111", region="华中"
            ),
            lines=[OrderLine(line_id="1", sku="A", quantity=1, unit_price=1000)],
            total=1000,
        )
        records.append(writer.event(order, "test", 1, heads)[0])
    log = KafkaLog(bootstrap, "feeder")
    await log.publish(records)
    await log.close()


async def published(bootstrap: str) -> list[str]:
    """The orders that risk has spoken about, in the log."""
    log = KafkaLog(bootstrap, "check")
    places = [(RISK.name, part) for part in range(await log.partitions(RISK.name))]
    ends = await log.ends(places)
    await log.read_from(dict.fromkeys(places, 0))
    found: list[str] = []
    async with asyncio.timeout(WAIT_LIMIT_S):
        while len(found) < sum(ends.values()):
            found += [(record.key or b"").decode() for record in await log.fetch(1000, 200)]
    await log.close()
    return found


async def test_sigterm_finishes_the_batch_flushes_and_leaves(process: Process, database: str) -> None:
    check = await asyncpg.connect(database, server_settings={"search_path": "risk"})
    bootstrap = process.env["ORDO_KAFKA"]

    async def decided() -> int:
        return int(await check.fetchval("SELECT count(*) FROM outbox"))

    async with process.started() as running:
        await until(process.ready, WAIT_LIMIT_S, POLL_S)
        await feed(bootstrap)

        async def begun() -> bool:
            return await decided() > 0

        # Asked often: the signal comes in the middle of the work.
        await until(begun, WAIT_LIMIT_S)
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_LIMIT_S):
            out, err = await running.communicate()
    assert (running.returncode, err) == (0, b"")
    lines = [json.loads(line) for line in out.decode().splitlines()]
    assert [line["event"] for line in lines if line["event"] in ("serving", "stopping", "stopped")] == [
        "serving",
        "stopping",
        "stopped",
    ]
    assert await check.fetchval("SELECT bool_and(cursor_seq = next_seq - 1) FROM outbox_head"), "all is flushed"
    assert await check.fetchval("SELECT expires_at <= clock_timestamp() FROM stream_lease"), "the lease is free"
    done = await decided()
    assert len(await published(bootstrap)) == done

    async with process.started() as running:
        await until(process.ready, WAIT_LIMIT_S, POLL_S)

        async def finished() -> bool:
            return await decided() == ORDERS_FED

        await until(finished, WAIT_LIMIT_S, POLL_S)
        running.send_signal(signal.SIGINT)
        async with asyncio.timeout(WAIT_LIMIT_S):
            await running.communicate()
    assert running.returncode == 0, "Ctrl-C is as good"
    spoken = await published(bootstrap)
    assert sorted(spoken) == sorted({f"own.demo.{number}" for number in range(ORDERS_FED)})
    await check.close()


async def test_sigterm_before_the_servers_answer_still_ends_it(process: Process) -> None:
    process.env |= {"ORDO_KAFKA": "127.0.0.1:1"}

    async def alive() -> bool:
        try:
            return (await process.http.get(f"http://127.0.0.1:{process.port}/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async with process.started() as running:
        await until(alive, WAIT_LIMIT_S, POLL_S)
        assert not await process.ready()
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_LIMIT_S):
            await running.communicate()
    assert running.returncode == 0
