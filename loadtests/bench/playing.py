"""Plays load against a stack and follows the orders to their pick tasks."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from deploy.local.health import ask_ready
from deploy.local.layout import ROOT, SERVICES
from libs.testkit.client import Merchant
from loadtests.bench.orders import UNITS_PER_SKU, sku_facts
from loadtests.bench.rig import Rig

DEFINE_AT_ONCE = 16
RECEIPT_ITEMS = 500
POLL_S = 0.1
QUIET_LOOKS, LOOK_EVERY_S = 3, 0.5
DRAIN_LIMIT_S = 300.0


class NotDrained(RuntimeError):
    """Not every order had its pick task within the limit."""


@dataclass(frozen=True)
class Played:
    """What a generator said, and when the last order had its pick task."""

    said: dict[str, Any]
    drained_at: float

    @property
    def seconds(self) -> float:
        """From the first order sent to the last pick task."""
        return self.drained_at - float(self.said["began"])


async def define(rig: Rig, skus: Sequence[str], units: int = UNITS_PER_SKU) -> None:
    """Define the warehouses and SKUs, and receive so many units of each."""
    merchant = Merchant(rig.env)
    await merchant.define_warehouses()
    gate = asyncio.Semaphore(DEFINE_AT_ONCE)

    async def one(sku: str, facts: dict[str, object]) -> None:
        async with gate:
            (await merchant.operate("PUT", "inventory", f"/skus/{sku}", f"sku:{sku}", facts)).raise_for_status()

    await asyncio.gather(*[one(sku, facts) for sku, facts in sku_facts(skus)])
    for warehouse in ("CD", "GZ"):
        for begin in range(0, len(skus), RECEIPT_ITEMS):
            items = [{"sku": sku, "quantity": units} for sku in skus[begin : begin + RECEIPT_ITEMS]]
            body = {"warehouse": warehouse, "items": items}
            key = f"first:{warehouse}:{begin}:{skus[begin]}"
            (await merchant.operate("POST", "inventory", "/stock/receipts", key, body)).raise_for_status()
    await merchant.close()


async def generate(rig: Rig, prefix: str, orders: int, *more: str) -> dict[str, Any]:
    """Run one generator to its end and return its figures."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.bench.generator", "--env", str(rig.layout.env_file),
        "--prefix", prefix, "--orders", str(orders), *more,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        out, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(f"the generator ended with {process.returncode}")
    return dict(json.loads(out))


async def tasks_made(connection: Any, *prefixes: str) -> int:
    """Return how many pick tasks the orders of these runs have; however many others there are, it costs the same."""
    sql = "SELECT count(*) FROM fulfillment.pick_task WHERE task_id >= $1 AND task_id < $2"
    # The character after "-" ends the range of a prefix's ids.
    found = [await connection.fetchval(sql, f"own.demo.{prefix}-", f"own.demo.{prefix}.") for prefix in prefixes]
    return sum(found)


async def play(rig: Rig, prefix: str, orders: int, *more: str) -> Played:
    """Send orders and wait until each has its pick task."""
    connection = await asyncpg.connect(rig.env["ORDO_POSTGRES"])
    try:
        wanted = await tasks_made(connection, prefix) + orders
        said = await generate(rig, prefix, orders, *more)
        until = time.monotonic() + DRAIN_LIMIT_S
        while (made := await tasks_made(connection, prefix)) < wanted:
            if time.monotonic() > until:
                raise NotDrained(f"{wanted - made} of {orders} orders have no pick task: {said}")
            await asyncio.sleep(POLL_S)
        return Played(said, time.time())
    finally:
        await connection.close()


async def settled(rig: Rig) -> None:
    """Wait until no service has anything to read, several looks in a row."""
    urls = [rig.ports.url_of(service) for service in SERVICES]
    until = time.monotonic() + DRAIN_LIMIT_S
    quiet = 0
    while quiet < QUIET_LOOKS:
        if time.monotonic() > until:
            raise NotDrained("the services are still reading")
        await asyncio.sleep(LOOK_EVERY_S)
        found = [await asyncio.to_thread(ask_ready, url) for url in urls]
        quiet = quiet + 1 if all(each.ready and each.lag_records == 0 for each in found) else 0
