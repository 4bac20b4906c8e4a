"""Everybody who works with the simulated system: shops, operators, reviewers and pickers, with their mistakes."""

import asyncio
from itertools import count
from typing import Any

from contracts.stock import SkuQuantity
from libs.decide import Command, Reply
from libs.testkit.simulation.world import START, World
from services.fulfillment import domain as fulfillment
from services.inventory import domain as inventory
from services.notification import domain as notification
from services.risk import domain as risk
from services.routing import domain as routing
from simulation.orders import COSTS, SKUS, WAREHOUSES, WEIGHTS, amended, cancel, place

SIGNATURE = "signature_on_delivery"
PLENTY = 60
STEPS_LIMIT = 12


class People:
    """Asks the services what people ask. Each request has a key of its own, and is repeated until it is answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = world.dice
        self.sent: set[str] = set()
        self.acked: set[str] = set()
        self._numbers = count(1)

    async def ask(self, service: str, command: Command, key: str = "") -> Reply:
        """Send one command."""
        return await self.world.ask(service, command, key or f"{type(command).__name__}:{next(self._numbers)}")

    async def pause(self, mean_s: float) -> None:
        """Do nothing for a while."""
        await asyncio.sleep(self.dice.expovariate(1.0) * mean_s)

    # -- the shop ----------------------------------------------------------------------------------------------------

    async def shop(self, numbers: range) -> None:
        """Deliver orders, some twice, some changed, some cancelled, some cancelled before they come."""
        await asyncio.gather(*[self._order(number) for number in numbers])

    async def _order(self, number: int) -> None:
        dice = self.dice
        await self.pause(1.5)
        command = place(number, dice)
        order_id = command.key
        cancels = dice.random()
        if cancels < 0.05:
            await self.ask("ingestion", cancel(number), f"cancel:{number}")
        self.sent.add(order_id)
        reply = await self.ask("ingestion", command, f"place:{number}:1")
        if reply.status < 400:
            self.acked.add(order_id)
        for delivery in range(2, 2 + dice.choice((0, 0, 0, 1, 2))):
            await self.pause(0.8)
            if dice.random() < 0.8:
                command = amended(command, dice, delivery=delivery)
            await self.ask("ingestion", command, f"place:{number}:{delivery}")
        if 0.05 <= cancels < 0.3:
            await self.pause(2.0)
            await self.ask("ingestion", cancel(number), f"cancel:{number}")

    # -- stock -------------------------------------------------------------------------------------------------------

    async def stock(self) -> None:
        """Define goods and warehouses, receive, count, move and announce."""
        for warehouse in WAREHOUSES:
            await self.ask("inventory", inventory.DefineWarehouse(warehouse=warehouse, name=warehouse))
        for sku in SKUS:
            await self.ask("inventory", self._facts(sku))
            for warehouse in WAREHOUSES:
                await self._receive(warehouse, sku, self.dice.randint(0, 7))
        for _ in range(self.dice.randint(0, 4)):
            await self.pause(0.8)
            act = self.dice.choice((self._count, self._transfer, self._announce, self._policy, self._refill))
            await act(self.dice.choice(SKUS))

    def _facts(self, sku: str) -> inventory.DefineSku:
        return inventory.DefineSku(sku=sku, barcode=f"69{sku}", cost=COSTS[sku], weight_grams=WEIGHTS[sku])

    async def _receive(self, warehouse: str, sku: str, quantity: int, inbound_id: str | None = None) -> None:
        if quantity:
            name = f"receipt{next(self._numbers)}"
            items = [SkuQuantity(sku=sku, quantity=quantity)]
            command = inventory.ReceiveStock(command_id=name, warehouse=warehouse, items=items, inbound_id=inbound_id)
            await self.ask("inventory", command, name)

    async def _refill(self, sku: str) -> None:
        await self._receive(self.dice.choice(WAREHOUSES), sku, self.dice.randint(1, 9))

    async def _count(self, sku: str) -> None:
        name = f"count{next(self._numbers)}"
        warehouse = self.dice.choice(WAREHOUSES)
        command = inventory.CountStock(command_id=name, warehouse=warehouse, sku=sku, counted=self.dice.randint(0, 9))
        await self.ask("inventory", command, name)

    async def _transfer(self, sku: str) -> None:
        name = f"move{next(self._numbers)}"
        source, target = self.dice.sample(WAREHOUSES, 2)
        items = [SkuQuantity(sku=sku, quantity=self.dice.randint(1, 3))]
        sent = inventory.SendTransfer(transfer_id=name, from_warehouse=source, to_warehouse=target, items=items)
        reply = await self.ask("inventory", sent, name)
        if reply.status < 400 and self.dice.random() < 0.7:
            await self.pause(1.0)
            await self.ask("inventory", inventory.ReceiveTransfer(transfer_id=name), f"{name}:in")

    async def _announce(self, sku: str) -> None:
        name, warehouse = f"inbound{next(self._numbers)}", self.dice.choice(WAREHOUSES)
        command = inventory.AnnounceInbound(
            inbound_id=name, sku=sku, warehouse=warehouse, quantity=6, yield_percent=80, eta=START
        )
        await self.ask("inventory", command, name)
        if self.dice.random() < 0.6:
            await self.pause(1.0)
            await self._receive(warehouse, sku, self.dice.randint(1, 8), name)

    async def _policy(self, sku: str) -> None:
        command = inventory.DefineSku(
            sku=sku,
            barcode=f"69{sku}",
            cost=COSTS[sku],
            weight_grams=WEIGHTS[sku],
            sellable_inbound_percent=self.dice.choice((None, 0, 50)),
            allowance=self.dice.choice((None, 0, 2)),
        )
        await self.ask("inventory", command)

    async def supply(self) -> None:
        """Bring so much of everything everywhere that no order has to wait for goods."""
        for transfer in self.world.database("inventory").stored.all_rows(inventory.Transfer):
            if transfer.state == "in_transit":
                command = inventory.ReceiveTransfer(transfer_id=transfer.transfer_id)
                await self.ask("inventory", command, f"{transfer.transfer_id}:in")
        for sku in SKUS:
            for warehouse in WAREHOUSES:
                await self._receive(warehouse, sku, PLENTY)

    # -- verdicts ----------------------------------------------------------------------------------------------------

    async def review(self) -> None:
        """Release what is held, or reject it."""
        while True:
            await self.pause(1.0)
            for row in self.world.database("risk").stored.all_rows(risk.OrderRisk):
                if row.state != "held":
                    continue
                seen: dict[str, Any] = {"order_id": row.order_id, "version": row.version, "by": "r"}
                if self.dice.random() < 0.2:
                    await self.ask("risk", risk.RejectOrder(**seen, why="no"))
                else:
                    await self.ask("risk", risk.ReleaseHold(**seen, why="ok"))

    async def operate(self) -> None:
        """Override routes now and then, and change who is told what."""
        while True:
            await self.pause(3.0)
            for row in self.world.database("routing").stored.all_rows(routing.OrderRoute):
                if row.state == "blocked" and self.dice.random() < 0.4:
                    split = self.dice.random() < 0.6
                    warehouse = None if split else self.dice.choice(WAREHOUSES)
                    command = routing.OverrideRoute(order_id=row.order_id, warehouse=warehouse, split=split, by="op")
                    await self.ask("routing", command)
            if self.dice.random() < 0.2:
                buyer = f"buyer{self.dice.randint(1, 3)}"
                await self.ask("notification", notification.OptOutBuyer(buyer_key=buyer, by="op"))

    # -- hands -------------------------------------------------------------------------------------------------------

    async def pick(self, warehouse: str, picker: str) -> None:
        """Work on one task after the other; sometimes give up in the middle of one."""
        while True:
            await self.pause(0.7)
            open_tasks = [
                task.task_id
                for task in self.world.database("fulfillment").stored.all_rows(fulfillment.PickTask)
                if task.warehouse == warehouse and task.state not in ("shipped", "cancelled")
            ]
            if open_tasks:
                await self._work_on(self.dice.choice(open_tasks), warehouse, picker)

    async def _work_on(self, task_id: str, warehouse: str, picker: str) -> None:
        for _ in range(STEPS_LIMIT):
            if self.dice.random() < (0.02 if self.world.healing else 0.15):
                return
            task = self.world.database("fulfillment").stored.row(fulfillment.PickTask, task_id)
            command = self._step(task, warehouse, picker)
            if command is None:
                return
            reply = await self.ask("fulfillment", command)
            if reply.status == 409 and self.dice.random() < 0.7:
                return
            await self.pause(0.1)

    def _step(self, task: fulfillment.PickTask, warehouse: str, picker: str) -> Command | None:
        """Return the next step of a task, now and then a wrong one."""
        who: dict[str, Any] = {"task_id": task.task_id, "by": picker, "warehouse": warehouse}
        wrong = not self.world.healing and self.dice.random() < 0.1
        if task.state == "open" or (task.state == "claimed" and task.picker != picker):
            return fulfillment.ClaimTask(**who)
        if task.state == "claimed":
            if wrong:
                return self.dice.choice((fulfillment.HandBack(**who), fulfillment.ScanItem(**who, barcode="nothing")))
            line = next(line for line in task.lines if line.scanned < line.quantity)
            return fulfillment.ScanItem(**who, barcode=line.sku, quantity=line.quantity - line.scanned)
        if task.state == "picked":
            found = [fulfillment.PackedItem(barcode=line.sku, quantity=line.quantity) for line in task.lines]
            return fulfillment.PackParcel(**who, items=found[1:] if wrong else found)
        if task.state in ("packed", "recheck"):
            grams = sum(WEIGHTS[line.sku] * line.quantity for line in task.lines) + (500 if wrong else 0)
            return fulfillment.WeighParcel(**who, weight_grams=grams, recheck=task.state == "recheck")
        if task.state == "weighed":
            services = [SIGNATURE] if SIGNATURE in task.requirements and not wrong else []
            waybill = f"SF{task.task_id}{next(self._numbers) if wrong else ''}"
            return fulfillment.ShipParcel(**who, carrier="SF", waybill=waybill, services=services)
        return None
