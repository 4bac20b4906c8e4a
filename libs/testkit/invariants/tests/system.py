"""All seven services for tests: real decisions and workers on a real Postgres, the topics in memory."""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import import_module

import asyncpg
import msgspec

from contracts.orders import Destination, Discount, OrderLine, OrderPlaced
from contracts.stock import SkuQuantity
from contracts.topics import SERVICES
from libs.decide import Command, Reply, Send
from libs.runtime.clock import utc_now
from libs.runtime.migrate import migrate
from libs.stream.limits import Limits
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.stream.postgres import PostgresJournal
from libs.stream.worker import Worker
from libs.testkit.waiting import until
from services.fulfillment.domain import commands as hands
from services.ingestion import domain as intake
from services.inventory.domain import commands as stock
from services.risk import domain as review

LIMITS = Limits(fetch_timeout_ms=50, retry_first_ms=10)
WAIT_LIMIT_S = 30.0
POLL_S = 0.05
MORNING = datetime(2026, 11, 11, 1, tzinfo=UTC)
WUHAN = Destination(resolved=True, province_code="420000", city_code="420100", district_code="420111", region="华中")


class Accepting:
    """A destination that accepts everything."""

    async def send(self, request: Send, attempt: int) -> str:
        """Accept."""
        return "ok"


class System:
    """Speaks to the services as shops, operators and pickers do."""

    def __init__(self, dsn: str, cluster: MemoryCluster, workers: dict[str, Worker]) -> None:
        self.dsn, self.cluster, self.workers = dsn, cluster, workers
        self._numbers = itertools.count(1)

    async def ask(self, service: str, command: Command) -> Reply:
        """Have a command decided."""
        reply = await self.workers[service].submit(command, f"test {next(self._numbers)}")
        assert reply.status < 400, reply
        return reply

    async def sku(self, sku: str, **units: int) -> None:
        """Define a SKU and put so many units of it into warehouses."""
        command = stock.DefineSku(sku=sku, barcode=f"b{sku}", weight_grams=100, cost=500)
        await self.ask("inventory", command)
        for warehouse, quantity in units.items():
            await self.receive(sku, warehouse, quantity)

    async def receive(self, sku: str, warehouse: str, quantity: int) -> None:
        """Book a receipt."""
        items = [SkuQuantity(sku=sku, quantity=quantity)]
        receipt = f"r{next(self._numbers)}"
        await self.ask("inventory", stock.ReceiveStock(command_id=receipt, warehouse=warehouse, items=items))

    async def place(self, number: str, *lines: tuple[str, int], fingerprint: str = "a", **more) -> str:
        """Have an order accepted; returns its id."""
        order = placed(number, *lines, **more)
        prints = {"lines": fingerprint}
        command = intake.PlaceOrder(order=order, fingerprints=prints, request_id=f"m{number}", raw_sealed="sealed")
        await self.ask("ingestion", command)
        return order.order_id

    async def cancel(self, order_id: str) -> None:
        """Have a cancellation accepted."""
        command = intake.CancelOrder(order_id=order_id, request_id=f"c{order_id}", raw_sealed="sealed")
        await self.ask("ingestion", command)

    async def release(self, order_id: str) -> None:
        """Release every hold."""
        await self.ask("risk", review.ReleaseHold(order_id=order_id, by="rita", why="seen"))

    async def reject(self, order_id: str) -> None:
        """Refuse a held order."""
        await self.ask("risk", review.RejectOrder(order_id=order_id, by="rita", why="brushing"))

    async def work(self, order_id: str, until: str = "ship") -> None:
        """Take an order's first open parcel through its steps, `until` one of them."""
        connection = await asyncpg.connect(self.dsn)
        task_id, lines = await connection.fetchrow(
            "SELECT task_id, lines FROM fulfillment.pick_task WHERE order_id = $1 AND state = 'open' ORDER BY 1",
            order_id,
        )
        await connection.close()
        items = [(line["sku"], line["quantity"]) for line in msgspec.json.decode(lines)]
        step = {"task_id": task_id, "by": "paul"}
        packed = [hands.PackedItem(barcode=f"b{sku}", quantity=quantity) for sku, quantity in items]
        scans = [hands.ScanItem(**step, barcode=f"b{sku}", quantity=quantity) for sku, quantity in items]
        steps: list[tuple[str, list[Command]]] = [
            ("claim", [hands.ClaimTask(**step)]),
            ("scan", list(scans)),
            ("pack", [hands.PackParcel(**step, items=packed)]),
            ("weigh", [hands.WeighParcel(**step, weight_grams=100 * sum(q for _, q in items))]),
            ("ship", [hands.ShipParcel(**step, carrier="SF", waybill=f"w{task_id}")]),
        ]
        for name, commands in steps:
            for command in commands:
                await self.ask("fulfillment", command)
            if name == until:
                return


def placed(number: str, *lines: tuple[str, int], **more) -> OrderPlaced:
    """Return an order's content: 10.00 a unit, and 1.00 off the first line."""
    found = [
        OrderLine(
            line_id=str(n),
            sku=sku,
            quantity=quantity,
            unit_price=1000,
            discounts=[Discount(funder="platform", amount=100)] if n == 1 else [],
        )
        for n, (sku, quantity) in enumerate(lines, 1)
    ]
    total = sum(1000 * quantity for _, quantity in lines) - 100 + 600
    fields = {
        "order_id": f"own.demo.{number}",
        "version": 1,
        "channel": "own",
        "shop_id": "demo",
        "platform_order_id": number,
        "placed_at": MORNING,
        "currency": "CNY",
        "destination": WUHAN,
        "lines": found,
        "shipping_fee": 600,
        "total": total,
        "sealed": "sealed",
        "buyer_key": f"buyer {number}",
    }
    return OrderPlaced(**(fields | more))


@asynccontextmanager
async def running_system(dsn: str) -> AsyncIterator[System]:
    """Migrate and run all seven services."""
    cluster, workers, journals = MemoryCluster(), {}, []
    settings = {
        "kafka": "nowhere:1",
        "postgres": dsn,
        "jwt_secret": "a secret for tests only, long enough",
        "buyer_key_secret": "another secret for tests",
        "master_key": base64.b64encode(bytes(32)).decode(),
    }
    for name in SERVICES:
        await migrate(dsn, name)
        found = import_module(f"services.{name}.settings").Settings(**settings)
        service = import_module(f"services.{name}.app").build(found)
        journals.append(PostgresJournal(dsn, name, service.tables))
        workers[name] = Worker(
            service.handlers,
            journals[-1],
            MemoryLog(cluster),
            owner="test",
            clock=utc_now,
            senders={"sms": Accepting(), "dingtalk": Accepting()},
            limits=LIMITS,
        )
    tasks = [asyncio.create_task(worker.run()) for worker in workers.values()]

    async def ready() -> bool:
        return all([(await worker.readiness()).ready for worker in workers.values()])

    try:
        await until(ready, WAIT_LIMIT_S, POLL_S)
        yield System(dsn, cluster, workers)
    finally:
        for worker in workers.values():
            worker.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        for journal in journals:
            await journal.close()
