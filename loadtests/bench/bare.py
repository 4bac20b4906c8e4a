"""The bare chain beside a stack: its five loops started, waited for, and charged like the stack's own programs."""

import asyncio
import json
import sys
from typing import Any

from deploy.local.layout import ROOT
from loadtests.bench import floor
from loadtests.bench.orders import BATCH_ORDERS
from loadtests.bench.rig import Rig, spent

LIMIT_S = 600


async def bare(rig: Rig, shapes: dict[str, floor.Shape], orders: int, number: int = 0) -> dict[str, Any]:
    """Run it with what the real run wrote; returns its rate and CPU. Each run on a stack has a number of its own."""
    partitions = await floor.prepare(rig.env, shapes, number)
    spec = rig.layout.state / "floor.json"
    told = floor.as_spec(shapes, orders=orders, batch=BATCH_ORDERS, partitions=partitions, number=number)
    spec.write_text(told, "utf-8")
    servers = rig.cpu_ms()
    stages = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtests.bench.floor", name,
            "--env", str(rig.layout.env_file), "--spec", str(spec),
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )
        for name in reversed(floor.STAGES)
    ]  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            said = [json.loads((await stage.communicate())[0]) for stage in stages]
    finally:
        for stage in stages:
            if stage.returncode is None:
                stage.kill()
    used = spent(servers, rig.cpu_ms())
    await floor.remove(rig.env)
    by = {name: round(each["cpu_ms"] / orders, 4) for name, each in zip(reversed(floor.STAGES), said, strict=True)}
    by |= {name: round(used[name] / orders, 4) for name in ("kafka", "postgres")}
    seconds = max(each["ended"] for each in said) - min(each["began"] for each in said)
    return {
        "orders": orders,
        "orders_per_s": round(orders / seconds, 1),
        "cpu_ms_per_order": {**by, "stack": round(sum(by.values()), 4)},
        "shapes": {name: vars(shape) for name, shape in shapes.items()},
    }


def both(first: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    """Return two runs of as many orders as one: before and after what they are compared with.

    A machine that others share gets slower or faster within a minute. `legs_cpu_ms` shows by how much it did.
    """
    one, other = first["cpu_ms_per_order"], last["cpu_ms_per_order"]
    return {
        "orders": first["orders"] + last["orders"],
        "orders_per_s": round(2 / (1 / first["orders_per_s"] + 1 / last["orders_per_s"]), 1),
        "cpu_ms_per_order": {name: round((one[name] + other[name]) / 2, 4) for name in other},
        "legs_cpu_ms": [one["stack"], other["stack"]],
        "shapes": last["shapes"],
    }
