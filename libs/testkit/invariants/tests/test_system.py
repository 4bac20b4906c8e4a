"""The checks on a real database that all seven services filled: they hold, and they see what is broken by hand."""

import asyncpg
import pytest

from contracts.orders import Destination
from contracts.stock import SkuQuantity
from libs.stream.memory import MemoryLog
from libs.testkit.invariants.run import Asked, check_system
from libs.testkit.invariants.tests.system import POLL_S, WAIT_LIMIT_S, System, running_system
from libs.testkit.waiting import until
from services.inventory.domain import commands as stock
from services.routing.domain import OverrideRoute

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]
NOWHERE = Destination(resolved=False, why_unresolved="no such place")
EVERYTHING = {f"I-{n}" for n in range(1, 21)}
SAFETY = {"I-1", "I-2", "I-3", "I-4", "I-7", "I-8", "I-9", "I-11", "I-12", "I-13", "I-14", "I-15", "I-16"}

BROKEN_BY_HAND = (
    (
        "UPDATE inventory.pool SET reserved = reserved + 1 WHERE sku = 'a'",
        "UPDATE inventory.pool SET reserved = reserved - 1 WHERE sku = 'a'",
        {"I-1", "I-13", "I-20"},
    ),
    (
        "UPDATE tower.order_view SET total = total + 1 WHERE order_id = 'own.demo.1'",
        "UPDATE tower.order_view SET total = total - 1 WHERE order_id = 'own.demo.1'",
        {"I-19"},
    ),
    (
        "UPDATE ingestion.outbox SET value = value || 'x' WHERE seq = 1",
        "UPDATE ingestion.outbox SET value = substr(value, 1, length(value) - 1) WHERE seq = 1",
        {"I-10"},
    ),
    (
        "UPDATE ingestion.command_log SET idempotency_key = 'x' || idempotency_key",
        "UPDATE ingestion.command_log SET idempotency_key = substr(idempotency_key, 2)",
        {"I-20"},
    ),
    (
        "UPDATE inventory.batch_log SET batch_no = -batch_no WHERE batch_no = 3",
        "UPDATE inventory.batch_log SET batch_no = 3 WHERE batch_no = -3",
        {"I-11"},
    ),
    (
        "UPDATE notification.egress SET outcome = 'lost' WHERE destination = 'sms'",
        "UPDATE notification.egress SET outcome = 'sent: ok' WHERE destination = 'sms'",
        {"I-17"},
    ),
)


async def check(system: System, drain_limit_s: float = 20.0, **asked) -> dict[str, str]:
    asked_for = Asked(drain_limit_s=drain_limit_s, **asked)
    findings = await check_system(system.dsn, MemoryLog(system.cluster), asked_for)
    return {finding.id: "" if finding.ok else finding.detail for finding in findings}


async def stage(system: System, order_id: str, *stages: str) -> None:
    connection = await asyncpg.connect(system.dsn)

    async def there() -> bool:
        return await connection.fetchval("SELECT stage FROM tower.order_view WHERE order_id = $1", order_id) in stages

    try:
        await until(there, WAIT_LIMIT_S, POLL_S)
    finally:
        await connection.close()


async def every_way(system: System) -> set[str]:
    """Play orders to every end and to every place where they wait."""
    for code, region in (("CD", "西南"), ("GZ", "华南")):
        await system.ask("inventory", stock.DefineWarehouse(warehouse=code, region=region))
    await system.sku("a", CD=50, GZ=50)
    await system.sku("b", CD=5, GZ=40)
    await system.sku("c")
    shipped = await system.place("1", ("a", 2), ("b", 1))
    picking = await system.place("2", ("a", 3))
    cancelled_late = await system.place("3", ("a", 1))
    short = await system.place("4", ("c", 1))
    held = await system.place("5", ("a", 60), buyer_key=None, sealed="", destination=NOWHERE)
    blocked = await system.place("6", ("b", 10))
    too_late = await system.place("7", ("a", 1), ("a", 2))
    rejected = await system.place("8", ("a", 1), destination=NOWHERE)
    split = await system.place("9", ("b", 12))
    amended = await system.place("10", ("c", 2))
    for order_id in (shipped, picking, cancelled_late, too_late):
        await stage(system, order_id, "assigned")
    await stage(system, blocked, "blocked")
    await stage(system, split, "blocked")
    await stage(system, rejected, "held")
    await system.work(shipped)
    await system.work(picking, until="pack")
    await system.work(too_late)
    await stage(system, too_late, "shipped")
    for order_id in (cancelled_late, too_late):
        await system.cancel(order_id)
    await system.reject(rejected)
    await system.place("10", ("a", 1), fingerprint="b")
    await stage(system, amended, "assigned")
    await system.ask("routing", OverrideRoute(order_id=split, split=True, by="olga"))
    await stage(system, split, "assigned")
    await system.work(split)
    await system.cancel(split)
    await system.cancel(short)
    await system.ask("inventory", stock.CountStock(command_id="k1", warehouse="GZ", sku="b", counted=30))
    there = [SkuQuantity(sku="b", quantity=8)]
    move = stock.SendTransfer(transfer_id="t1", from_warehouse="GZ", to_warehouse="CD", items=there)
    await system.ask("inventory", move)
    arrived = stock.ReceiveTransfer(transfer_id="t1", items=[SkuQuantity(sku="b", quantity=7)])
    await system.ask("inventory", arrived)
    for order_id, end in ((split, "shipped"), (short, "cancelled"), (rejected, "rejected"), (held, "held")):
        await stage(system, order_id, end)
    return {f"own.demo.{n}" for n in range(1, 11)}


async def test_all_invariants_hold_and_breaking_rows_by_hand_is_seen(database: str) -> None:
    async with running_system(database) as system:
        orders = await every_way(system)
        assert await check(system, acked=frozenset(orders), sent=frozenset(orders)) == dict.fromkeys(EVERYTHING, "")
        assert await check(system, drained=False) == dict.fromkeys(SAFETY, "")
    connection = await asyncpg.connect(database)
    for sql, undo, broken in BROKEN_BY_HAND:
        await connection.execute(sql)
        found = await check(system, drain_limit_s=0.0)
        assert {name for name, detail in found.items() if detail} == broken, (sql, found)
        await connection.execute(undo)
    assert await check(system, drain_limit_s=0.0) == dict.fromkeys(EVERYTHING, "")
    await connection.close()
