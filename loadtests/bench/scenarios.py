"""What is timed: each scenario plays against a running stack and returns its figures."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from loadtests.bench.orders import goods
from loadtests.bench.playing import DRAIN_LIMIT_S, NotDrained, Played, define, generate, play, settled, tasks_made
from loadtests.bench.rig import Rig, Say, spent

HOT_SKU = "HOT-1"
STEADY_PER_SECOND, BURST_ORDERS, BURST_S = 50, 12_000, 60
PACED_PER_SECOND = 500
ANSWER_LIMIT_MS = 50.0
IDLE_S = 10.0


@dataclass(frozen=True)
class Sizes:
    """How much is played."""

    warm_up_orders: int
    end_to_end_orders: int
    pulled_orders: int
    hot_orders: int
    webhook_s: int
    webhook_rates: tuple[int, ...]
    burst: bool


FULL = Sizes(4_000, 80_000, 20_000, 10_000, 20, (300, 500, 700, 900, 1_100), burst=True)
QUICK = Sizes(2_000, 15_000, 8_000, 3_000, 8, (500,), burst=False)


def costs(rig: Rig, before: Mapping[str, float], played: Played, orders: int) -> dict[str, Any]:
    """Return rate and CPU of a run; the generator's own share stands beside the stack's."""
    used = spent(before, rig.cpu_ms())
    by = {program: round(ms / orders, 4) for program, ms in used.items()}
    generator = round(float(played.said["cpu_ms"]) / orders, 4)
    return {
        "orders": orders,
        "seconds": round(played.seconds, 2),
        "orders_per_s": round(orders / played.seconds, 1),
        "cpu_ms_per_order": {**by, "stack": round(sum(by.values()), 4), "generator": generator},
    }


async def end_to_end(rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """Batches in, as fast as they are taken, until every order has its pick task."""
    before = rig.cpu_ms()
    seen: list[float] = []
    peak = asyncio.create_task(_watch_memory(rig, seen))
    played = await play(rig, "e2e", sizes.end_to_end_orders)
    # The rate is that of pick tasks; the cost is that of everything, also of those who read along and come last.
    await settled(rig)
    peak.cancel()
    found = costs(rig, before, played, sizes.end_to_end_orders)
    found["accepted_to_task_ms"] = await latency(rig, "own.demo.e2e-")
    found["read_along_s_later"] = round(time.time() - played.drained_at, 1)
    found["lines_per_order"] = round(goods().lines_per_order, 2)
    found["memory_mib"] = round(max(seen, default=0.0), 1)
    return found


async def _watch_memory(rig: Rig, seen: list[float]) -> None:
    while True:
        seen.append(sum((await asyncio.to_thread(rig.memory_mib)).values()))
        await asyncio.sleep(2.0)


async def latency(rig: Rig, prefix: str) -> dict[str, float]:
    """Return the time from an order's event to its pick task's event, by the services' own clocks."""
    sql = """
    WITH accepted AS (SELECT key, min(at_ms) AS at_ms FROM ingestion.outbox WHERE type = 'OrderPlaced' GROUP BY key),
    made AS (SELECT key, min(at_ms) AS at_ms FROM fulfillment.outbox WHERE type = 'PickTaskCreated' GROUP BY key)
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY made.at_ms - accepted.at_ms) AS p50,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY made.at_ms - accepted.at_ms) AS p99
    FROM made JOIN accepted USING (key) WHERE convert_from(key, 'UTF8') LIKE $1
    """
    connection = await asyncpg.connect(rig.env["ORDO_POSTGRES"], command_timeout=120)
    try:
        row = await connection.fetchrow(sql, prefix + "%")
        return {"p50": float(row["p50"] or 0), "p99": float(row["p99"] or 0)}
    finally:
        await connection.close()


async def hot_sku(rig: Rig, sizes: Sizes) -> dict[str, Any]:
    """Every order wants one unit of the same SKU, and there is half of what they want; then the same number spread."""
    stock = sizes.hot_orders // 4
    await define(rig, [HOT_SKU], stock)
    connection = await asyncpg.connect(rig.env["ORDO_POSTGRES"], command_timeout=60)
    try:
        rates = {}
        for name, sku in (("hot", HOT_SKU), ("uniform", "")):
            more = ("--sku", sku) if sku else ()
            began = time.time()
            answered = int(await connection.fetchval(_ANSWERED))
            said = await generate(rig, f"{name}", sizes.hot_orders, *more)
            until = time.monotonic() + DRAIN_LIMIT_S
            while int(await connection.fetchval(_ANSWERED)) < answered + sizes.hot_orders:
                if time.monotonic() > until:
                    raise NotDrained(f"{name}: {said}")
                await asyncio.sleep(0.1)
            rates[name] = sizes.hot_orders / (time.time() - began)
        sql = "SELECT on_hand, reserved FROM inventory.pool WHERE sku = $1"
        on_hand, reserved = await connection.fetchrow(sql, HOT_SKU)
    finally:
        await connection.close()
    return {
        "hot_orders_per_s": round(rates["hot"], 1),
        "uniform_orders_per_s": round(rates["uniform"], 1),
        "ratio": round(rates["hot"] / rates["uniform"], 3),
        "oversold": max(0, reserved - on_hand),
        "reserved": reserved,
        "on_hand": on_hand,
    }


_ANSWERED = "SELECT count(*) FROM inventory.reservation"


async def webhook(rig: Rig, sizes: Sizes, say: Say) -> dict[str, Any]:
    """Single signed orders at rising rates: the highest one held, and how long answer and pick task take at 500/s."""
    found: dict[str, Any] = {"held_per_s": 0}
    held = True
    for rate in sizes.webhook_rates:
        if not held and rate > PACED_PER_SECOND:
            break
        orders = rate * sizes.webhook_s
        prefix = f"web{rate}"
        played = await play(rig, prefix, orders, "--single", "--per-second", str(rate))
        answer = played.said["answer_ms"]
        task = await latency(rig, f"own.demo.{prefix}-")
        say(f"  {rate}/s: answer {answer}, order to pick task {task}")
        if rate == PACED_PER_SECOND:
            found["at_500_per_s"] = {"answer_ms": answer, "accepted_to_task_ms": task}
        held = held and answer["p99"] <= ANSWER_LIMIT_MS and played.said["accepted"] == orders
        if held:
            found["held_per_s"] = rate
    return found


async def burst(rig: Rig) -> dict[str, Any]:
    """12,000 orders in a minute on top of 50 a second."""
    connection = await asyncpg.connect(rig.env["ORDO_POSTGRES"], command_timeout=60)
    began = time.monotonic()
    peak, ended = 0, 0.0
    steady = STEADY_PER_SECOND * BURST_S
    runs = [
        asyncio.create_task(generate(rig, "steady", steady, "--per-second", str(STEADY_PER_SECOND))),
        asyncio.create_task(generate(rig, "burst", BURST_ORDERS, "--per-second", str(BURST_ORDERS / BURST_S))),
    ]
    wanted = steady + BURST_ORDERS
    try:
        while (made := await tasks_made(connection, "steady", "burst")) < wanted:
            ranges = [(f"own.demo.{prefix}-", f"own.demo.{prefix}.") for prefix in ("steady", "burst")]
            taken = sum([await connection.fetchval(_ANSWERED_IN, *ids) for ids in ranges])
            peak = max(peak, taken - made)
            if not ended and all(run.done() for run in runs):
                ended = time.monotonic()
            if time.monotonic() - began > BURST_S + DRAIN_LIMIT_S:
                raise NotDrained(f"{wanted - made} orders have no pick task")
            await asyncio.sleep(0.5)
        said = [await run for run in runs]
    finally:
        for run in runs:
            run.cancel()
        await connection.close()
    drained = time.monotonic()
    return {
        "peak_backlog_orders": peak,
        "drained_s_after_the_last": round(max(0.0, drained - (ended or drained)), 1),
        "refused": sum(int(each["refused"]) for each in said),
        "busy_answers": sum(int(each["busy"]) for each in said),
    }


_ANSWERED_IN = "SELECT count(*) FROM ingestion.platform_order WHERE order_id >= $1 AND order_id < $2"


async def idle(rig: Rig) -> dict[str, float]:
    """The whole stack with no orders, in per cent of one core."""
    await settled(rig)
    before = rig.cpu_ms()
    await asyncio.sleep(IDLE_S)
    used = spent(before, rig.cpu_ms())
    return {"percent_of_one_core": round(sum(used.values()) / IDLE_S / 10, 1)}
