"""What the tower says: the stages for the live table, and whether given orders have come to where they must."""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any

from demo.api import Api

Row = dict[str, Any]

LOOK_EVERY_S = 0.7
ASK_AGAIN_AFTER_S = 0.4
# Servers that are killed meanwhile come back within seconds; this is far beyond.
SETTLE_LIMIT_S = 300.0
SINGLE_READS_LIMIT = 30
RESTING_STAGES = frozenset({"held", "short", "blocked", "shipped", "cancelled", "rejected"})


class Stuck(RuntimeError):
    """Orders did not come to where they must; the text says which and where they stand."""


def verdict_known(row: Row) -> bool:
    """Tell whether risk and inventory have both spoken, and routing too where it is its turn."""
    if not row["risk"] or row["stock"] in ("", "released", "refused"):
        return False
    if row["risk"] == "cleared" and row["stock"] == "reserved":
        return bool(row["route"] == "blocked")
    return True


def at_rest(row: Row) -> bool:
    """Tell whether only a person, goods or time can move the order on."""
    return verdict_known(row) and row["stage"] in RESTING_STAGES


class Watch:
    """Looks at the tower; `stages` is the last look."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._by = api.bearer("demo-desk", "operator")
        self.stages: dict[str, int] = {}
        self.parked = 0
        self.waits_for = ""

    async def follow(self) -> None:
        """Keep looking, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Read the stages once."""
        found = await self._api.get("tower", "/stages", by=self._by)
        self.stages = {row["stage"]: row["orders"] for row in found["stages"]}
        self.parked = found["parked"]["messages"]

    async def latency(self) -> dict[str, Any]:
        """Return the tower's own figures from an order's arrival to its pick task."""
        return await self._api.get("tower", "/latency", by=self._by)

    async def rows(self, order_ids: Collection[str]) -> dict[str, Row]:
        """Return the tower's rows of these orders, those it has seen."""
        found: dict[str, Row] = {}
        if len(order_ids) <= SINGLE_READS_LIMIT:
            for order_id in order_ids:
                order = await self.order(order_id, entries=1)
                if order is not None:
                    found[order_id] = order["order"]
            return found
        async for page in self._api.pages("tower", "/orders", by=self._by):
            found.update((row["order_id"], row) for row in page if row["order_id"] in order_ids)
        return found

    async def order(self, order_id: str, entries: int = 1000) -> dict[str, Any] | None:
        """Return one order with its timeline; None while the tower has not seen its content."""
        answer = await self._api.read("tower", f"/orders/{order_id}", by=self._by, params={"limit": entries})
        found: dict[str, Any] | None = answer.body if answer.ok and answer.body["order"] is not None else None
        return found

    async def until(self, what: str, order_ids: Collection[str], done: Callable[[Row], bool]) -> dict[str, Row]:
        """Return these orders' rows, each as it was when first seen done; raises Stuck after the limit."""
        give_up_at_s = time.monotonic() + SETTLE_LIMIT_S
        found: dict[str, Row] = {}
        waiting = set(order_ids)
        self.waits_for = what
        while waiting:
            rows = await self.rows(waiting)
            found.update((order_id, row) for order_id, row in rows.items() if done(row))
            waiting -= found.keys()
            if waiting and time.monotonic() > give_up_at_s:
                example = min(waiting)
                raise Stuck(f"{what}: {len(waiting)} orders are not there, such as {example}: {rows.get(example)}")
            if waiting:
                await asyncio.sleep(ASK_AGAIN_AFTER_S)
        self.waits_for = ""
        return found

    async def until_read(self, what: str) -> None:
        """Return when every service has read everything; twice in a row, because the first may publish the last."""
        give_up_at_s = time.monotonic() + SETTLE_LIMIT_S
        self.waits_for = what
        quiet = 0
        while quiet < 2:
            lag_records = await self._api.lag_records()
            quiet = quiet + 1 if lag_records == 0 else 0
            if time.monotonic() > give_up_at_s:
                raise Stuck(f"{what}: {lag_records} records are still to be read")
            await asyncio.sleep(0.1 if quiet else ASK_AGAIN_AFTER_S)
        self.waits_for = ""
