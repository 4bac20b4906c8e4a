"""The load, from a process of its own: batches or single signed orders, at a rate or as fast as they are taken."""

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from demo.wire import Connections
from libs.testkit.client import read_env
from loadtests.bench.orders import BATCH_ORDERS, Messages, goods, signed

BUSY_PAUSE_S = 0.05
BUSY_LIMIT_S = 120.0
TICK_S = 0.002


@dataclass
class Sent:
    """What the clients were told, and how long each answer took."""

    accepted: int = 0
    refused: int = 0
    busy: int = 0
    answer_ms: list[float] = field(default_factory=list)


async def send_batches(
    wire: Connections, secret: str, messages: Messages, first: int, orders: int, lanes: int, per_second: float
) -> Sent:
    """Send orders in batches: as many at once as there are lanes, no faster than `per_second` (0: as fast as taken)."""
    sent = Sent()
    size = BATCH_ORDERS if not per_second else max(1, min(BATCH_ORDERS, int(per_second / 10)))
    numbers = iter(range(first, first + orders, size))
    began = time.monotonic()

    async def lane() -> None:
        for at in numbers:
            if per_second:
                await asyncio.sleep(max(0.0, began + (at - first) / per_second - time.monotonic()))
            count = min(size, first + orders - at)
            body = messages.batch(at, count)
            asked = time.monotonic()
            until = asked + BUSY_LIMIT_S
            while True:
                headers = signed(secret, f"{messages.prefix}-batch-{at}", body)
                status, answer = await wire.request("POST", "/orders/batch", headers, body, {"shop_id": "demo"})
                if status not in (429, 503) or time.monotonic() > until:
                    break
                sent.busy += 1
                await asyncio.sleep(BUSY_PAUSE_S)
            sent.answer_ms.append((time.monotonic() - asked) * 1000)
            told = [item["status"] for item in answer["items"]] if status == 200 else []
            sent.accepted += told.count("accepted")
            sent.refused += count - told.count("accepted")

    await asyncio.gather(*[lane() for _ in range(lanes)])
    return sent


async def send_singles(
    wire: Connections, secret: str, messages: Messages, first: int, orders: int, per_second: float
) -> Sent:
    """Send single signed orders by the clock, answered or not: a slow server is not spared."""
    sent = Sent()
    began = time.monotonic()

    async def one(number: int) -> None:
        body = messages.body(number)
        # From when it was due: a request that had to wait for the generator's turn waited all the same.
        due = began + (number - first) / per_second
        status, _ = await wire.request(
            "POST", "/webhooks/own/demo", signed(secret, f"{messages.prefix}-{number}", body), body, {}
        )
        sent.answer_ms.append((time.monotonic() - due) * 1000)
        if status == 202:
            sent.accepted += 1
        elif status in (429, 503):
            sent.busy += 1
        else:
            sent.refused += 1

    tasks: set[asyncio.Task[None]] = set()
    number = first
    while number < first + orders:
        while number < first + orders and time.monotonic() >= began + (number - first) / per_second:
            task = asyncio.create_task(one(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.sleep(TICK_S)
    await asyncio.gather(*tasks)
    return sent


async def generate(chosen: argparse.Namespace) -> dict[str, object]:
    """Send what was asked for and return the figures."""
    env = read_env(chosen.env)
    wire = Connections(env["ORDO_URL_INGESTION"])
    messages = Messages(goods(), chosen.prefix, chosen.sku)
    secret = env["ORDO_OWN_DEMO_SECRET"]
    began = time.time()
    cpu_began = time.process_time()  # imports and reading the orders cost none of them anything
    if chosen.single:
        sent = await send_singles(wire, secret, messages, chosen.first, chosen.orders, chosen.per_second)
    else:
        sent = await send_batches(wire, secret, messages, chosen.first, chosen.orders, chosen.lanes, chosen.per_second)
    ended = time.time()
    await wire.close()
    sent.answer_ms.sort()
    cpu = time.process_time() - cpu_began
    return {
        "began": began, "ended": ended, "cpu_ms": cpu * 1000, "accepted": sent.accepted, "refused": sent.refused,
        "busy": sent.busy, "answer_ms": {"p50": at(sent.answer_ms, 50), "p99": at(sent.answer_ms, 99)},
    }  # fmt: skip


def at(ordered: list[float], percent: float) -> float:
    """Return a percentile of ordered values; 0 of none."""
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 2) if ordered else 0.0


def main() -> None:
    """Run from the command line; prints one JSON object."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", type=Path, required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--per-second", type=float, default=0)
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--sku", default="")
    print(json.dumps(uvloop.run(generate(parser.parse_args()))))


if __name__ == "__main__":
    main()
