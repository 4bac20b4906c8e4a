"""The load: a steady stream of real orders, some amended or cancelled, and the people who work with them."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from loadtests.chaos.asking import Clients, GivenUp
from loadtests.chaos.goods import (
    CD,
    GZ,
    MOVED_SKUS,
    MOVED_UNITS,
    PROBE_SKU,
    PROBE_UNITS,
    WAREHOUSES,
    Assortment,
    facts_of,
    messages,
)

IN_FLIGHT_LIMIT_ORDERS = 1_500
DEFINE_AT_ONCE = 16
RECEIPT_ITEMS_LIMIT = 400
CANCELLED_PERCENT, CANCELLED_WITHIN_S = 6, 15.0
AMENDED_PERCENT, AMENDED_WITHIN_S = 2, 6.0
REPEATED_PERCENT = 3
RECEIPT_EVERY_S, TRANSFER_EVERY_S, COUNT_EVERY_S = 1.0, 2.0, 3.0
TRANSFER_UNITS_LIMIT = 20


@dataclass
class Load:
    """Everything that is sent while faults happen."""

    clients: Clients
    goods: Assortment
    orders_per_second: float
    expected_orders: int
    prefix: str
    dice: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _stopping: bool = False

    async def define(self) -> None:
        """Define warehouses, SKUs and first stock."""
        by = self.clients.bearer("operator", "desk")
        for code, facts in WAREHOUSES.items():
            await self._command("warehouse", "PUT", f"/warehouses/{code}", facts, f"warehouse-{code}", by)
        skus = [*self.goods.demand_units, *MOVED_SKUS, PROBE_SKU]
        gate = asyncio.Semaphore(DEFINE_AT_ONCE)

        async def define(sku: str) -> None:
            async with gate:
                await self._command("sku", "PUT", f"/skus/{quote(sku)}", facts_of(sku), f"sku-{sku}", by)

        await asyncio.gather(*[define(sku) for sku in skus])
        for code in WAREHOUSES:
            items = [{"sku": sku, "quantity": units} for sku, units in self._first(code).items() if units]
            for begin in range(0, len(items), RECEIPT_ITEMS_LIMIT):
                body = {"warehouse": code, "items": items[begin : begin + RECEIPT_ITEMS_LIMIT]}
                await self._command("receipt", "POST", "/stock/receipts", body, f"first-{code}-{begin}", by)

    def _first(self, code: str) -> dict[str, int]:
        found = {sku: self.goods.first_units(sku, self.expected_orders).get(code, 0) for sku in self.goods.demand_units}
        return found | dict.fromkeys(MOVED_SKUS, MOVED_UNITS) | ({PROBE_SKU: PROBE_UNITS} if code == CD else {})

    async def run(self) -> None:
        """Send until `stop`; returns when every request is answered or given up."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._orders())
            group.create_task(self._every(RECEIPT_EVERY_S, self._receive))
            group.create_task(self._every(TRANSFER_EVERY_S, self._transfer))
            group.create_task(self._every(COUNT_EVERY_S, self._count))
        await asyncio.gather(*self._running)

    def stop(self) -> None:
        """Send nothing new."""
        self._stopping = True

    async def _orders(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        for message in messages(self.goods, self.prefix, self.dice):
            due_s = max(due_s + 1 / self.orders_per_second, loop.time() - 1.0)
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            if self._stopping:
                return
            if len(self._running) >= IN_FLIGHT_LIMIT_ORDERS:
                self.counts["orders not sent: too many wait"] += 1
                continue
            self._spawn(self._order(message))
            if self.dice.randrange(100) < CANCELLED_PERCENT:
                self._spawn(self._cancel(message["platform_order_id"], self.dice.uniform(0, CANCELLED_WITHIN_S)))
            elif self.dice.randrange(100) < AMENDED_PERCENT:
                self._spawn(self._amend(message, self.dice.uniform(1, AMENDED_WITHIN_S)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._quietly(work))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.clients.unanswered.append(f"the load itself failed: {task.exception()!r}")

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except GivenUp:
            # The clients keep the list of what was never answered; the verdict counts it.
            self.counts["requests given up"] += 1

    async def _order(self, message: dict[str, Any]) -> None:
        number = message["platform_order_id"]
        answer = await self.clients.webhook("order", f"msg-{number}", message)
        self.counts["orders" if answer.ok else f"orders refused {answer.status}"] += 1
        if answer.ok and self.dice.randrange(100) < REPEATED_PERCENT:
            # Platforms deliver twice, under another message id too: it must change nothing.
            await self.clients.webhook("order again", f"again-{number}", message)
            self.counts["orders repeated"] += 1

    async def _amend(self, message: dict[str, Any], after_s: float) -> None:
        await asyncio.sleep(after_s)
        number = message["platform_order_id"]
        lines = [{**line, "quantity": line["quantity"] + 1} for line in message["lines"]]
        total = sum(line["quantity"] * line["unit_price"] for line in lines)
        amended = {**message, "lines": lines, "total": total}
        answer = await self.clients.webhook("amendment", f"amend-{number}", amended)
        self.counts["amendments" if answer.ok else "amendments refused"] += 1

    async def _cancel(self, number: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        body = {"type": "order.cancelled", "platform_order_id": number, "reason": "不想要了"}
        answer = await self.clients.webhook("cancellation", f"cancel-{number}", body)
        self.counts["cancellations" if answer.ok else "cancellations refused"] += 1

    async def _every(self, seconds: float, work: Any) -> None:
        number = 0
        while not self._stopping:
            await asyncio.sleep(seconds * self.dice.uniform(0.5, 1.5))
            if not self._stopping and len(self._running) < IN_FLIGHT_LIMIT_ORDERS:
                number += 1
                self._spawn(work(number))

    async def _receive(self, number: int) -> None:
        sku = self.dice.choice(self.goods.scarce)
        units = self.goods.units_of_a_receipt(sku, 1 / (RECEIPT_EVERY_S * self.orders_per_second))
        body = {"warehouse": self.dice.choice([CD, CD, CD, GZ]), "items": [{"sku": sku, "quantity": units}]}
        await self._desk("receipt", "/stock/receipts", body, f"receipt-{number}")

    async def _transfer(self, number: int) -> None:
        whence, whither = self.dice.choice([(CD, GZ), (GZ, CD)])
        sku = self.dice.choice([*MOVED_SKUS, *self.goods.scarce])
        units = self.dice.randint(1, TRANSFER_UNITS_LIMIT)
        items = [{"sku": sku, "quantity": units}]
        body = {"from_warehouse": whence, "to_warehouse": whither, "items": items, "transfer_id": f"T{number}"}
        if await self._desk("transfer", "/transfers", body, f"transfer-{number}"):
            await asyncio.sleep(self.dice.uniform(0, 5))
            arrived = [{"sku": sku, "quantity": units - (self.dice.randrange(10) == 0)}]
            path = f"/transfers/T{number}/receive"
            await self._desk("transfer arrived", path, {"items": arrived}, f"arrived-{number}")

    async def _count(self, number: int) -> None:
        sku, warehouse = self.dice.choice(MOVED_SKUS), self.dice.choice([CD, GZ])
        body = {"warehouse": warehouse, "sku": sku, "counted": MOVED_UNITS + self.dice.randint(-50, 50)}
        await self._desk("count", "/stock/counts", body, f"count-{number}")

    async def _desk(self, what: str, path: str, body: dict[str, Any], key: str) -> bool:
        by = self.clients.bearer("operator", "desk")
        answer = await self.clients.tell(what, "inventory", "POST", path, body, key=key, by=by)
        self.counts[f"{what}s" if answer.ok else f"{what}s refused"] += 1
        return answer.ok

    async def _command(
        self, what: str, method: str, path: str, body: dict[str, Any], key: str, by: dict[str, str]
    ) -> None:
        answer = await self.clients.tell(what, "inventory", method, path, body, key=key, by=by)
        assert answer.ok, f"{method} {path}: {answer.status} {answer.body}"
