"""Orders through a connector: paid on a platform's double, then pulled page by page, until their pick tasks."""

import asyncio
import time
from datetime import datetime
from typing import Any

import asyncpg

from demo.doubles import Doubles, doubles
from libs.channels.douyin import CHANNEL
from libs.channels.outward.pulling import SKEW_S
from libs.runtime.clock import utc_now
from libs.testkit.client import Merchant
from loadtests.bench.orders import UNITS_PER_SKU, goods
from loadtests.bench.playing import DRAIN_LIMIT_S, POLL_S, NotDrained, Played, settled
from loadtests.bench.rig import Rig, family_cpu_ms
from loadtests.bench.scenarios import costs

# Its lists tell whole orders, a hundred to a page, and it is where a live-stream sells.
PLATFORM, SHOP = "douyin", "bench-douyin"
PLACED_AT_ONCE = 16
COPIED = ("app_key", "app_secret", "access_token", "refresh_token", "seller_id", "secrets")
# The character after "." ends the range of a shop's ids, so that looking costs the same however many others there are.
FIRST, LAST = f"{PLATFORM}.{SHOP}.", f"{PLATFORM}.{SHOP}/"
# An order that a rule holds has been decided as well.
DECIDED = """
SELECT (SELECT count(*) FROM fulfillment.pick_task WHERE task_id >= $1 AND task_id < $2)
     + (SELECT count(*) FROM risk.order_risk WHERE order_id >= $1 AND order_id < $2 AND state = 'held')
"""


async def pulled(rig: Rig, orders: int) -> dict[str, Any]:
    """Return rate and CPU of orders that come by pull; the double's own CPU stands beside, on the same cores."""
    merchant = Merchant(rig.env)
    connection = await asyncpg.connect(rig.env["ORDO_POSTGRES"], command_timeout=60)
    try:
        async with doubles(rig.layout.state / "doubles.log") as platform:
            since = utc_now()
            opened = await _open(platform)
            await _place(platform, orders)
            # A list is asked for what is older than its lag, by whole seconds, and it is not the lag that is timed.
            await asyncio.sleep(CHANNEL.capabilities.pull_lag_s + SKEW_S + 1)
            before, double_before = rig.cpu_ms(), family_cpu_ms(platform.pid)
            began = time.time()
            await _connect(merchant, platform, opened, since)
            await _drained(connection, orders)
            ended = time.time()
            await settled(rig)
            played = Played({"began": began, "cpu_ms": family_cpu_ms(platform.pid) - double_before}, ended)
            found = costs(rig, before, played, orders)
            await _tell(merchant, "bench-pause", {"channel": PLATFORM, "paused": True})
    finally:
        await connection.close()
        await merchant.close()
    found["cpu_ms_per_order"]["double"] = found["cpu_ms_per_order"].pop("generator")
    return found


async def _open(platform: Doubles) -> dict[str, Any]:
    chosen = goods()
    prices = {line.sku: line.unit_price_fen for order in chosen.orders for line in order.lines}
    skus = [{"outer_id": sku, "price_fen": prices[sku], "stock": UNITS_PER_SKU} for sku in chosen.skus]
    wanted = {"platform": PLATFORM, "shop_id": SHOP, "skus": skus}
    opened: dict[str, Any] = await platform.control("POST", "/shops", wanted)
    return opened


async def _place(platform: Doubles, orders: int) -> None:
    """Place and pay the bench's own orders, each by a buyer of its own."""
    chosen = goods().orders
    numbers = iter(range(orders))

    async def lane() -> None:
        for number in numbers:
            lines = [{"outer_id": sku, "quantity": units} for sku, units in chosen[number % len(chosen)].units.items()]
            wanted = {"platform": PLATFORM, "shop_id": SHOP, "lines": lines, "buyer_id": f"bench-{number}"}
            await platform.control("POST", "/orders", wanted)

    await asyncio.gather(*[lane() for _ in range(PLACED_AT_ONCE)])


async def _connect(merchant: Merchant, platform: Doubles, opened: dict[str, Any], since: datetime) -> None:
    gateway = platform.url + opened["gateway"]
    access = {name: opened[name] for name in COPIED}
    access |= {"gateway": gateway, "sign_in": gateway, "token_expires_at": opened["access_expires_at"]}
    body = {"channel": PLATFORM, "access": access, "orders_since": since.isoformat()}
    await _tell(merchant, "bench-connect", body)


async def _tell(merchant: Merchant, key: str, body: dict[str, Any]) -> None:
    (await merchant.operate("PUT", "ingestion", f"/shops/{SHOP}", key, body)).raise_for_status()


async def _drained(connection: Any, orders: int) -> None:
    until = time.monotonic() + DRAIN_LIMIT_S
    while (decided := int(await connection.fetchval(DECIDED, FIRST, LAST))) < orders:
        if time.monotonic() > until:
            raise NotDrained(f"{orders - decided} of {orders} pulled orders are not decided")
        await asyncio.sleep(POLL_S)
