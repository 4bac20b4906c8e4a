"""Simulated pickers with PDAs: they list, claim, scan, pack, weigh and ship over the PDA API, and err at times."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from demo.api import Answer, Api, must
from demo.orders import share
from demo.stock import CD, GZ

PICKERS = {CD: 8, GZ: 18}
LOOK_AGAIN_AFTER_S = 0.25
CARRIERS = ("SF", "ZTO", "YTO", "JD")
# A connector must have the platform's own code of the carrier, and Taobao's has none of JD.
CARRIERS_OF_PLATFORMS = ("SF", "ZTO", "YTO")
OWN_CHANNEL = "own."
# Of a hundred parcels, so many are first scanned with a wrong barcode, and so many first weighed wrongly.
WRONG_SCANS_PERCENT, WRONG_WEIGHTS_PERCENT = 2, 2
SIGNATURE = "signature_on_delivery"
NO_SUCH_BARCODE = "2099999999990"
Task = dict[str, Any]


class Lost(Exception):
    """The task is not this picker's to finish: cancelled, or taken by somebody else."""


@dataclass
class Bench:
    """What the pickers have done together."""

    counts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    first_shipped_s: float | None = None


class Board:
    """The open tasks of one warehouse as last listed; each is handed to one picker, the claim decides."""

    def __init__(self, api: Api, warehouse: str, set_aside: Collection[str]) -> None:
        self._api = api
        self._warehouse = warehouse
        # Orders that will be cancelled before the goods leave: left alone, so that it never depends on who is faster.
        self._set_aside = set_aside
        self._waiting: deque[Task] = deque()
        self._handed: set[str] = set()
        self._looking = asyncio.Lock()

    async def next(self, by: dict[str, str]) -> Task:
        """Return a task that nobody was handed yet, waiting for one if need be."""
        while True:
            async with self._looking:
                if not self._waiting:
                    await self._look(by)
                if self._waiting:
                    return self._waiting.popleft()
                await asyncio.sleep(LOOK_AGAIN_AFTER_S)

    async def _look(self, by: dict[str, str]) -> None:
        async for page in self._api.pages("fulfillment", "/tasks", by=by, params={"state": "open"}):
            for task in page:
                if task["task_id"] not in self._handed and task["order_id"] not in self._set_aside:
                    self._handed.add(task["task_id"])
                    self._waiting.append(task)
            if self._waiting:
                return


class Picker:
    """One person with one device, bound to one warehouse."""

    def __init__(self, api: Api, name: str, warehouse: str, bench: Bench) -> None:
        self._api = api
        self._name = name
        self._bench = bench
        self.by = api.bearer(name, "picker", warehouse)

    async def work(self, board: Board) -> None:
        """Take task after task, until cancelled."""
        while True:
            task = await board.next(self.by)
            try:
                await self.finish(task)
            except Lost as lost:
                self._bench.lost.append(str(lost))

    async def finish(self, task: Task) -> None:
        """Take one task from the shelf to the carrier."""
        task = await self._step(task, "claim", None, "claimed")
        await self._pick(task)
        items = [{"barcode": code, "quantity": units} for code, units in contents(task).items()]
        await self._step(task, "pack", {"items": items}, "packed")
        await self._weigh(task)
        await self._step(task, "ship", shipment(task), "shipped")
        if self._bench.first_shipped_s is None:
            self._bench.first_shipped_s = time.monotonic()

    async def _pick(self, task: Task) -> None:
        if errs("scan", task, WRONG_SCANS_PERCENT):
            refused = await self._ask(task, "scan", {"scan_id": "wrong", "barcode": NO_SUCH_BARCODE, "quantity": 1})
            if refused.ok or not refused.body.get("expected"):
                raise Lost(f"{task['task_id']}: a wrong barcode was answered with {refused.status} {refused.body}")
            self._bench.counts["wrong scans"] += 1
        for line in task["lines"]:
            scan = {"scan_id": f"line-{line['line_id']}", "barcode": line["barcode"], "quantity": line["quantity"]}
            await self._step(task, "scan", scan, "scanned")
        self._bench.counts["picked"] += 1

    async def _weigh(self, task: Task) -> None:
        right = weight_of(task)
        if errs("weigh", task, WRONG_WEIGHTS_PERCENT):
            # A hand on the scale: the parcel waits for a recheck, and the second reading is right.
            weighed = await self._step(task, "weigh", {"weight_grams": right * 2 + 500}, "weighed wrongly")
            if weighed["accepted"]:
                raise Lost(f"{task['task_id']}: an impossible weight was accepted")
        await self._step(task, "weigh", {"weight_grams": right}, "weighed")

    async def _step(self, task: Task, step: str, body: Mapping[str, Any] | None, done: str) -> Task:
        answer = await self._ask(task, step, body, done)
        if answer.status == 409:
            raise Lost(f"{task['task_id']}: {step}: {answer.body.get('title')}")
        found: Task = must(answer, f"{step} {task['task_id']}")
        self._bench.counts[done] += 1
        return found

    async def _ask(self, task: Task, step: str, body: Mapping[str, Any] | None, key: str = "wrong") -> Answer:
        path = f"/tasks/{task['task_id']}/{step}"
        return await self._api.tell("fulfillment", "POST", path, body, key=key.replace(" ", "-"), by=self.by)


def errs(step: str, task: Task, percent: int) -> bool:
    """Tell whether the picker errs: the platforms give their orders other numbers in each run, so there nobody does."""
    return task["order_id"].startswith(OWN_CHANNEL) and share(step, task["order_id"], 100) < percent


def contents(task: Task) -> dict[str, int]:
    """Return the units of a parcel by barcode."""
    units: Counter[str] = Counter()
    for line in task["lines"]:
        units[line["barcode"]] += line["quantity"]
    return dict(units)


def weight_of(task: Task) -> int:
    """Return what the scale shows: within two per cent of what the catalogue says."""
    expected = int(task["expected_weight_grams"] or 1)
    return max(1, expected + expected * (share("scale", task["order_id"], 5) - 2) // 100)


def shipment(task: Task) -> dict[str, Any]:
    """Return carrier and waybill; with the service that an order of dear goods requires."""
    carriers = CARRIERS if task["order_id"].startswith(OWN_CHANNEL) else CARRIERS_OF_PLATFORMS
    carrier = carriers[share("carrier", task["order_id"], len(carriers))]
    services = [SIGNATURE] if SIGNATURE in task["requirements"] else []
    number = share("waybill", task["task_id"], 10**12)
    return {"carrier": carrier, "waybill": f"{carrier}{number:012d}", "services": services}


def crew(api: Api, bench: Bench) -> list[tuple[str, str, Picker]]:
    """Return the demo's pickers: (device, warehouse, picker)."""
    names = [(f"pda-{code.lower()}-{n}", code) for code, count in PICKERS.items() for n in range(1, count + 1)]
    return [(name, code, Picker(api, name, code, bench)) for name, code in names]
