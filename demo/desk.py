"""The people at their desks: they define stock, review holds, receive goods, move them, and choose other warehouses."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from demo.api import Answer, Api, must
from demo.orders import Order, share
from demo.stock import WAREHOUSES, Sku

AT_ONCE = 24
ITEMS_AT_ONCE = 400
EXPECTED_AT = datetime(2099, 1, 1, tzinfo=UTC)
# Of ten orders that a rule holds, so many are released and so many rejected; nobody looks at the rest.
REVIEWED_OF_TEN = {"suspected_brushing": (5, 3), "pickup_high_value": (6, 2), "below_cost": (4, 3)}
# Of ten that wait for the buyer (a better address) or the shop (an earlier date), so many are amended.
AMENDED_OF_TEN = {"unresolved_address": 7, "presale": 6}
OVERRIDDEN_OF_TEN = 4
RELEASE, REJECT, AMEND, LEAVE = "release", "reject", "amend", "leave"
Items = list[dict[str, Any]]
T = TypeVar("T")


def verdict(order: Order, rules: Collection[str]) -> str:
    """Return what the demo's people do about a held order: by its data alone, so every run decides alike.

    Orders of one buyer's brushing day get one verdict: which of them is the fourth differs from run to run.
    """
    first = min(rules)
    if set(rules) <= AMENDED_OF_TEN.keys():
        return AMEND if len(rules) == 1 and share(first, order.number, 10) < AMENDED_OF_TEN[first] else LEAVE
    if not set(rules) <= REVIEWED_OF_TEN.keys():
        return LEAVE
    key = f"{order.buyer}/{order.placed_at.date()}" if order.brushing_day else order.number
    chance, (released, rejected) = share(first, key, 10), REVIEWED_OF_TEN[first]
    if chance < released:
        return RELEASE
    return REJECT if chance < released + rejected else LEAVE


class Hold(NamedTuple):
    """A held order as the reviewer sees it: its version, and the rules that hold it."""

    version: int
    rules: list[str]


class Desk:
    """Operators and a reviewer; every command has a key of its own, so repeating it changes nothing."""

    def __init__(self, api: Api, catalogue: Mapping[str, Sku]) -> None:
        self._api = api
        self._catalogue = catalogue
        self._operator = api.bearer("demo-desk", "operator")
        self._reviewer = api.bearer("demo-reviewer", "reviewer")
        self.defined = 0

    async def define(self) -> None:
        """Define warehouses, SKUs and stock, and announce what is on its way."""
        for code, facts in WAREHOUSES.items():
            await self._must("inventory", "PUT", f"/warehouses/{code}", facts, f"demo-warehouse-{code}")
        await at_once(self._define, self._catalogue.values())
        for code in WAREHOUSES:
            stock = [
                {"sku": sku.sku, "quantity": sku.on_hand[code]}
                for sku in self._catalogue.values()
                if code in sku.on_hand
            ]
            for begin in range(0, len(stock), ITEMS_AT_ONCE):
                body = {"warehouse": code, "items": stock[begin : begin + ITEMS_AT_ONCE]}
                await self._must("inventory", "POST", "/stock/receipts", body, f"demo-stock-{code}-{begin}")
        await at_once(self._announce, [(sku, code) for sku in self._awaited() for code in WAREHOUSES])

    async def _define(self, sku: Sku) -> None:
        facts = {
            "title": sku.title,
            "barcode": sku.barcode,
            "cost": sku.cost_fen,
            "weight_grams": sku.weight_grams,
        }
        await self._must("inventory", "PUT", f"/skus/{sku.sku}", facts, f"demo-sku-{sku.sku}")
        self.defined += 1

    def _awaited(self) -> list[Sku]:
        return [sku for sku in self._catalogue.values() if sku.gone and sku.cured]

    async def _announce(self, shipment: tuple[Sku, str]) -> None:
        sku, warehouse = shipment
        body = {
            "sku": sku.sku,
            "warehouse": warehouse,
            "quantity": sku.demand_units,
            "yield_percent": 100,
            "eta": EXPECTED_AT.isoformat(),
            "inbound_id": f"PO-{warehouse}-{sku.sku}",
        }
        await self._must("inventory", "POST", "/inbound", body, f"demo-inbound-{warehouse}-{sku.sku}")

    async def receive(self) -> None:
        """Book the announced shipments as arrived: in either warehouse as much as all waiting orders together want."""
        for sku in self._awaited():
            for warehouse in WAREHOUSES:
                body = {
                    "warehouse": warehouse,
                    "items": [{"sku": sku.sku, "quantity": sku.demand_units}],
                    "inbound_id": f"PO-{warehouse}-{sku.sku}",
                }
                key = f"demo-arrived-{warehouse}-{sku.sku}"
                await self._must("inventory", "POST", "/stock/receipts", body, key)

    async def holds(self) -> dict[str, Hold]:
        """Return what holds orders now, by order."""
        found: dict[str, Hold] = {}
        async for page in self._api.pages("risk", "/holds", by=self._reviewer):
            for row in page:
                rules = sorted({reason["rule"] for reason in row["reasons"]})
                found[row["order_id"]] = Hold(row["version"], rules)
        return found

    async def release(self, order: Order, version: int) -> None:
        """Lift all holds of an order, if it is still the one that was looked at."""
        path, body = f"/holds/{order.order_id}/release", {"version": version, "why": "电话核实，确认发货"}
        answer = await self._api.tell("risk", "POST", path, body, key=f"demo-{order.number}-release", by=self._reviewer)
        must(answer, path)

    async def reject(self, order: Order, version: int) -> None:
        """Refuse a held order for good, if it is still the one that was looked at."""
        path, body = f"/holds/{order.order_id}/reject", {"version": version, "why": "无法核实买家"}
        answer = await self._api.tell("risk", "POST", path, body, key=f"demo-{order.number}-reject", by=self._reviewer)
        must(answer, path)

    async def blocked(self) -> list[dict[str, Any]]:
        """Return the blocked orders, each with what is missing and the transfers that would cure it."""
        found: list[dict[str, Any]] = []
        async for page in self._api.pages("routing", "/blocked", by=self._operator):
            found.extend(page)
        return found

    async def override(self, order_id: str, warehouse: str) -> None:
        """Ship a blocked order from another warehouse, or in two parcels when no warehouse is named."""
        path, body = f"/orders/{order_id}/override", {"warehouse": warehouse} if warehouse else {"split": True}
        await self._must("routing", "POST", path, body, f"demo-override-{order_id}")

    async def transfer(self, moves: Mapping[tuple[str, str], Items]) -> None:
        """Send goods from warehouse to warehouse and book them in at once: the demo's lorries are fast."""
        for (source, target), items in moves.items():
            for begin in range(0, len(items), ITEMS_AT_ONCE):
                name = f"demo-{source}-{target}-{begin}"
                body = {
                    "from_warehouse": source,
                    "to_warehouse": target,
                    "items": items[begin : begin + ITEMS_AT_ONCE],
                    "transfer_id": name,
                }
                await self._must("inventory", "POST", "/transfers", body, f"{name}-sent")
                await self._must("inventory", "POST", f"/transfers/{name}/receive", {}, f"{name}-received")

    async def notices(self) -> Counter[str]:
        """Return how many notices there are, by audience and state."""
        found: Counter[str] = Counter()
        async for page in self._api.pages("notification", "/notices", by=self._operator):
            found.update(f"{row['audience']}/{row['state']}" for row in page)
        return found

    async def register(self, device: tuple[str, str]) -> None:
        """Make a PDA of a warehouse known."""
        device_id, warehouse = device
        body = {"device_id": device_id, "warehouse": warehouse, "label": "demo"}
        await self._must("fulfillment", "POST", "/devices", body, f"demo-{device_id}")

    async def _must(self, service: str, method: str, path: str, body: Mapping[str, Any], key: str) -> Any:
        answer: Answer = await self._api.tell(service, method, path, body, key=key, by=self._operator)
        return must(answer, f"{method} {path}")


def cures(
    blocked: Collection[Mapping[str, Any]], orders: Mapping[str, Order], catalogue: Mapping[str, Sku]
) -> tuple[dict[str, str], dict[tuple[str, str], Items], set[str]]:
    """Divide the blocked orders: (order -> the other warehouse, "" for a split; transfers; orders that these free).

    Transfers follow routing's own advice, for the SKUs that the demo's plan cures. Of the rest, orders that no
    warehouse has whole are split, some are shipped from where the goods are, and the others stay blocked to the end.
    """
    overrides: dict[str, str] = {}
    moves: Counter[tuple[str, str, str]] = Counter()
    freed: set[str] = set()
    for row in blocked:
        order_id: str = row["order_id"]
        advice = row["transfers"]
        curable = [each for each in advice if catalogue[each["sku"]].cured]
        places = {catalogue[sku].only_in for sku in orders[order_id].units} - {""}
        if not curable and (len(places) > 1 or share("override", order_id, 10) < OVERRIDDEN_OF_TEN):
            overrides[order_id] = min(places) if len(places) == 1 else ""
            continue
        for each in curable:
            moves[each["from_warehouse"], each["to_warehouse"], each["sku"]] += each["quantity"]
        if len(curable) == len(advice) > 0:
            freed.add(order_id)
    by_road: dict[tuple[str, str], Items] = {}
    for (source, target, sku), quantity in sorted(moves.items()):
        by_road.setdefault((source, target), []).append({"sku": sku, "quantity": quantity})
    return overrides, by_road, freed


async def at_once(do: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do it to each, a bounded number at a time; the first failure ends it."""
    waiting = iter(items)

    async def one_after_the_other() -> None:
        for item in waiting:
            await do(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_the_other())
