"""A recorded run again: replay gives the same bytes, rebuild the same rows, and a swap heals what was broken."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from contracts.topics import SERVICES
from libs.testkit.client import Merchant, order_body, read_env
from libs.testkit.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
COMMAND_LIMIT_S = 120
WAIT_LIMIT_S = 30.0
ORDERS = 20


async def again(stack: Path, *words: str) -> tuple[int, str]:
    """Run `python -m services …` against the stack."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ORDO_")}
    env |= read_env(stack / "local.env")
    command = [sys.executable, "-m", "services", *words]

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False
        )

    done = await asyncio.to_thread(run)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
async def played(merchant: Merchant, stack: Path) -> str:
    """A SKU with orders in several stages behind it."""
    await merchant.define_stock("AGAIN-1", {"CD": 30}, weight_grams=100, cost=900)
    bodies = [order_body(f"again-{n}", {"AGAIN-1": 1 + n % 3}) for n in range(ORDERS)]
    await asyncio.gather(*[merchant.webhook(f"msg_again_{n}", body) for n, body in enumerate(bodies)])
    await merchant.webhook("msg_again_cancel", {"type": "order.cancelled", "platform_order_id": "again-3"})

    async def all_begun() -> bool:
        stages = {stage["stage"]: stage for stage in (await merchant.read("tower", "/stages"))["stages"]}
        return stages["received"]["orders"] == 0

    await until(all_begun, WAIT_LIMIT_S, 0.2)
    return "AGAIN-1"


@pytest.mark.parametrize("service", SERVICES)
async def test_replay_is_identical_byte_for_byte(played: str, stack: Path, service: str) -> None:
    status, said = await again(stack, "replay", service)
    assert status == 0, said
    assert "identical byte for byte" in said


async def test_changed_parameters_name_the_orders_that_would_differ(played: str, stack: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps({"parameters": {"signature_unit_price_limit": 100}}), "utf-8")
    status, said = await again(stack, "replay", "risk", "--with", str(changed))
    assert status == 0, said
    otherwise = re.search(r"risk: (\d+) orders would come out otherwise", said)
    assert otherwise is not None, said
    assert int(otherwise.group(1)) >= ORDERS
    assert "would be OrderCleared" in said
    assert "signature_on_delivery" in said


@pytest.mark.parametrize("service", SERVICES)
async def test_a_rebuilt_schema_equals_the_live_one(played: str, stack: Path, service: str) -> None:
    status, said = await again(stack, "rebuild", service)
    assert status == 0, said
    assert "every table is equal" in said


async def test_a_broken_row_is_shown_and_a_swap_heals_it_while_the_service_runs(
    played: str, stack: Path, merchant: Merchant
) -> None:
    database = await asyncpg.connect(read_env(stack / "local.env")["ORDO_POSTGRES"])
    before = await merchant.read("inventory", f"/atp/{played}")
    await database.execute("UPDATE inventory.pool SET reserved = reserved - 1 WHERE sku = $1", played)
    await database.close()
    status, said = await again(stack, "rebuild", "inventory")
    assert status == 1
    assert "pool" in said
    assert "DIFFERENT" in said
    assert "only rebuilt" in said
    status, said = await again(stack, "rebuild", "inventory", "--swap")
    assert status == 0, said
    await merchant.define_stock("AGAIN-2", {"CD": 5}, weight_grams=100)
    assert (await merchant.webhook("msg_after_swap", order_body("after-swap", {"AGAIN-2": 1}))).status_code == 202

    async def reserved() -> bool:
        return (await merchant.read("inventory", "/atp/AGAIN-2"))["reserved"] == 1

    await until(reserved, WAIT_LIMIT_S, 0.2)
    after = await merchant.read("inventory", f"/atp/{played}")
    assert (after["on_hand"], after["reserved"]) == (before["on_hand"], before["reserved"])
    status, said = await again(stack, "rebuild", "inventory")
    assert status == 0, said
