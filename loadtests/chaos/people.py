"""Reviewers and pickers at work while everything around them fails: each step is repeated until it is answered."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from loadtests.chaos.asking import Answer, Clients, GivenUp

LOOK_EVERY_S = 1.0
TASKS_PAGE = 40
HOLDS_PAGE = 100
PICKERS = (("CD", 3), ("GZ", 1))
HANDED_BACK_PERCENT = 3
WRONG_SCAN_PERCENT = 3
RELEASED_OF_TEN, REJECTED_OF_TEN = 6, 2
Task = dict[str, Any]


class Refused(Exception):
    """The task is not this picker's to finish: cancelled, or somebody else's by now."""


@dataclass
class People:
    """Everybody who looks at a list and does what stands there."""

    clients: Clients
    dice: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    _stopping: bool = False
    _seen: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Work until `stop`; returns when everybody has finished what they had begun."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._review())
            for warehouse, count in PICKERS:
                for number in range(1, count + 1):
                    group.create_task(self._pick(f"pda-{warehouse.lower()}-{number}", warehouse))

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping = True

    async def _review(self) -> None:
        by = self.clients.bearer("reviewer", "reviewer")
        looked: set[str] = set()
        while not self._stopping:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                page = await self.clients.read("risk", "/holds", by=by, params={"limit": HOLDS_PAGE})
                for hold in page.body["items"] if page.ok else []:
                    if hold["order_id"] not in looked and not self._stopping:
                        looked.add(hold["order_id"])
                        await self._verdict(hold["order_id"], by)
            except GivenUp:
                self.counts["reviews given up"] += 1

    async def _verdict(self, order_id: str, by: dict[str, str]) -> None:
        chance = self.dice.randrange(10)
        if chance >= RELEASED_OF_TEN + REJECTED_OF_TEN:
            return
        verdict = "release" if chance < RELEASED_OF_TEN else "reject"
        path = f"/holds/{quote(order_id, safe='')}/{verdict}"
        answer = await self.clients.tell(
            verdict, "risk", "POST", path, {"why": "looked at it"}, key=f"{verdict}-{order_id}", by=by
        )
        self.counts[f"holds: {verdict}" if answer.ok else "holds: too late"] += 1

    async def _pick(self, name: str, warehouse: str) -> None:
        by = self.clients.bearer("picker", name, warehouse)
        params = {"warehouse": warehouse, "state": "open", "limit": TASKS_PAGE}
        while not self._stopping:
            try:
                page = await self.clients.read("fulfillment", "/tasks", by=by, params=params)
                tasks = [task for task in page.body["items"] if task["task_id"] not in self._seen] if page.ok else []
                if not tasks:
                    await asyncio.sleep(LOOK_EVERY_S)
                    continue
                task = self.dice.choice(tasks)
                self._seen.add(task["task_id"])
                await self._finish(name, by, task)
            except Refused:
                self.counts["tasks taken away"] += 1
            except GivenUp:
                self.counts["tasks given up"] += 1

    async def _finish(self, name: str, by: dict[str, str], task: Task) -> None:
        await self._step(name, by, task, "claim", None)
        if self.dice.randrange(100) < HANDED_BACK_PERCENT:
            await self._step(name, by, task, "release", None)
            self.counts["tasks handed back"] += 1
            return
        if self.dice.randrange(100) < WRONG_SCAN_PERCENT:
            await self._ask(name, by, task, "scan", {"scan_id": "wrong", "barcode": "no-such", "quantity": 1})
        units: Counter[str] = Counter()
        for line in task["lines"]:
            code = line.get("barcode") or line["sku"]
            units[code] += line["quantity"]
            scan = {"scan_id": f"line-{line['line_id']}", "barcode": code, "quantity": line["quantity"]}
            await self._step(name, by, task, "scan", scan)
        items = [{"barcode": code, "quantity": quantity} for code, quantity in units.items()]
        await self._step(name, by, task, "pack", {"items": items})
        await self._step(name, by, task, "weigh", {"weight_grams": task["expected_weight_grams"] or 500})
        waybill = f"SF-{task['task_id']}"
        shipped = {"carrier": "SF", "waybill": waybill, "services": list(task["requirements"])}
        await self._step(name, by, task, "ship", shipped)
        self.counts["parcels shipped"] += 1

    async def _step(self, name: str, by: dict[str, str], task: Task, step: str, body: Any) -> None:
        answer = await self._ask(name, by, task, step, body)
        if not answer.ok:
            raise Refused(f"{task['task_id']}: {step}: {answer.status}")

    async def _ask(self, name: str, by: dict[str, str], task: Task, step: str, body: Any) -> Answer:
        task_id = task["task_id"]
        key = body["scan_id"] if step == "scan" else "once"
        path = f"/tasks/{quote(task_id, safe='')}/{step}"
        log_key = f"{step}:{name}:{task_id}:{key}"
        return await self.clients.tell(step, "fulfillment", "POST", path, body, key=key, by=by, log_key=log_key)
