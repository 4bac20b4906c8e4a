"""The six platforms in the play: shops opened and listed as an operator would, their buyers, and what became of it."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from demo.api import Api, must
from demo.doubles import Doubles
from demo.orders import OrderLine, load
from demo.stock import COST_PERCENT, Sku
from demo.watch import Row, Stuck, Watch, verdict_known
from libs.regions import is_pickup_point

PLATFORMS = ("taobao", "douyin", "pinduoduo", "jd", "meituan", "wechat")
# By what a platform knows a listing's SKU, where that is not its own number.
SKUS_NAMED_BY = {"meituan": "outer_id"}
ORDERS = 40
ORDERS_PER_SECOND = 2.0
UNITS_PER_LINE_LIMIT = 12
# Of ten orders of a shop, the buyer closes this one before it is shipped, and has that one's money back.
TURN_OF_TEN_CANCELLED, TURN_OF_TEN_REFUNDED = 3, 7
SHARE_PERCENT = 15
# What a shop offers before it is connected; what the hub makes of it is told over this.
OFFERED_BEFORE_UNITS = 500
# A number that was read counts when every sale up to it has been heard, and Pinduoduo's lists lag by minutes: its first
# number is told some ten minutes after the shop was opened. Until then its SKUs are raised nowhere: it has its own.
SLOW, SKUS_OF_SLOW = "pinduoduo", 2
# Goods that abound: a platform may sell all that it was told while its newest orders are still on their way.
BUDGET_UNITS = 100_000
# A courier in the same city needs no more; the demo's warehouses must know the city, so its buyers write it.
TELLS_ADDRESS_ONLY = "meituan"
AREA_UNKNOWN = {"name": "演示收货人", "phone": "19900000000", "province": "", "city": "", "district": ""}
LOOK_EVERY_S, ASK_AGAIN_AFTER_S = 3.0, 0.5
WAIT_LIMIT_S = 300.0


def shop_of(platform: str) -> str:
    """Return the id of the demo's shop on a platform."""
    return f"demo-{platform}"


def order_id_of(platform: str, number: str) -> str:
    """Return what the system calls a platform's order."""
    return f"{platform}.{shop_of(platform)}.{number}"


@dataclass
class Standing:
    """How a channel stands; `amiss` are orders that are not here, or not uploaded exactly once when they left."""

    paid: int = 0
    orders_in: int = 0
    cancelled: int = 0
    shipped: int = 0
    uploaded: int = 0
    amiss: int = 0


def compare(platform: str, books: Iterable[Mapping[str, Any]], rows: Mapping[str, Row]) -> tuple[Standing, list[str]]:
    """Hold the platform's own books against the tower's rows; name what differs."""
    found, differing = Standing(), []
    for order in books:
        if order["paid_at"] is None:
            continue
        row = rows.get(order_id_of(platform, order["order_id"]))
        uploads = sum(upload["kind"] in ("first", "corrected") for upload in order["uploads"])
        shipped = row is not None and row["stage"] == "shipped"
        found.paid += 1
        found.orders_in += row is not None
        found.cancelled += row is not None and row["stage"] == "cancelled"
        found.shipped += shipped
        found.uploaded += uploads
        if row is None or uploads != int(shipped):
            stage = "not here" if row is None else row["stage"]
            differing.append(f"{platform} order {order['order_id']}: {stage}, uploaded {uploads} times")
    found.amiss = len(differing)
    return found, differing


def wants(skus: Collection[str]) -> list[OrderLine]:
    """Return the real order lines of what a shop sells; each is a platform's order, in turn."""
    lines = (line for order in load().orders for line in order.lines)
    return [line for line in lines if line.sku in skus and line.quantity <= UNITS_PER_LINE_LIMIT]


def addresses() -> list[str]:
    """Return whole addresses that resolve, none of them a pick-up point."""
    found = (order.address for order in load().orders if not order.better_address)
    return [address for address in dict.fromkeys(found) if not is_pickup_point(address)][:ORDERS]


class Channels:
    """The platforms' part of one run.

    As in the rest of the play, no figure depends on who is faster: every shop has more on offer than its buyers want,
    each order has a buyer of its own, and orders that will be cancelled are set aside before they are paid.
    """

    def __init__(
        self, api: Api, doubles: Doubles, catalogue: Mapping[str, Sku], watch: Watch, set_aside: set[str]
    ) -> None:
        self._api = api
        self._doubles = doubles
        listed = [sku for sku in catalogue.values() if sku.listed]
        self._skus = dict.fromkeys(PLATFORMS, listed[SKUS_OF_SLOW:]) | {SLOW: listed[:SKUS_OF_SLOW]}
        self._listed = listed
        self._addresses = addresses()
        self._watch = watch
        self._set_aside = set_aside
        self._by = api.bearer("demo-desk", "operator")
        self._taken_back: dict[str, tuple[str, str, str]] = {}
        self.order_ids: set[str] = set()
        self.standings = {platform: Standing() for platform in PLATFORMS}
        self.lags_s: dict[str, float | None] = {}
        self.differing: list[str] = []
        self.stock_told = 0

    async def follow(self) -> None:
        """Keep looking how the channels stand, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.order_ids:
                await self.look()

    async def look(self) -> None:
        """Compare once, and ask how far each shop's watermark is behind."""
        # The books first: what they know by now must be in rows that are read later.
        books = {platform: await self._books(platform) for platform in PLATFORMS}
        rows = await self._watch.rows(set(self.order_ids))
        compared = {platform: compare(platform, books[platform], rows) for platform in PLATFORMS}
        self.standings = {platform: standing for platform, (standing, _) in compared.items()}
        self.differing = [each for _, differing in compared.values() for each in differing]
        shops = {shop_of(platform): platform for platform in PLATFORMS}
        async for page in self._api.pages("ingestion", "/shops", by=self._by):
            for shop in page:
                if shop["shop_id"] in shops:
                    self.lags_s[shops[shop["shop_id"]]] = shop["completeness"]["lag_s"]

    async def sell(self) -> None:
        """Open the shops and let buyers come; returns when all orders have a verdict, some of them taken back."""
        for sku in self._listed:
            await self._tell("PUT", f"/exposure/{sku.sku}/budget", {"budget": BUDGET_UNITS})
        await self._each(self._open)
        await self._each(self._buy)
        await self._watch.until("the platforms' orders to get a verdict", self.order_ids, verdict_known)
        for taken_back in self._taken_back.values():
            await self._take_back(*taken_back)
        await self._watch.until(
            "orders that buyers took back to stop",
            set(self._taken_back),
            lambda row: bool(row["stage"] == "cancelled"),
        )

    async def _each(self, do: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as group:
            for platform in PLATFORMS:
                group.create_task(do(platform))

    async def _open(self, platform: str) -> None:
        """Open a shop, connect it, and list the SKUs, so that it is told how many it may sell."""
        shop_id = shop_of(platform)
        push_url = f"{self._api.urls['ingestion']}/push/{platform}/{shop_id}"
        skus = [
            {"outer_id": sku.sku, "title": sku.title, "price_fen": sku.cost_fen * 100 // COST_PERCENT}
            for sku in self._skus[platform]
        ]
        skus = [sku | {"stock": OFFERED_BEFORE_UNITS} for sku in skus]
        wanted = {"platform": platform, "shop_id": shop_id, "push_url": push_url, "skus": skus}
        opened = await self._doubles.control("POST", "/shops", wanted)
        copied = ("app_key", "app_secret", "access_token", "refresh_token", "seller_id", "secrets")
        gateway = self._doubles.url + opened["gateway"]
        access = {name: opened[name] for name in copied}
        access |= {"gateway": gateway, "sign_in": gateway, "push_url": push_url}
        access["token_expires_at"] = opened["access_expires_at"]
        await self._tell("PUT", f"/shops/{shop_id}", {"channel": platform, "access": access})
        for row in await self._listings(platform):
            listing = {"listing_id": row["listing_id"], "listing_sku": row[SKUS_NAMED_BY.get(platform, "sku_id")]}
            policy = {"mode": "share", "amount": SHARE_PERCENT}
            await self._tell("PUT", f"/shops/{shop_id}/listings/{row['outer_id']}", listing | policy)

    async def _buy(self, platform: str) -> None:
        """Place the shop's orders one after the other: each gets the same number, buyer and goods in every run."""
        first = PLATFORMS.index(platform) * ORDERS
        own = wants({sku.sku for sku in self._skus[platform]})
        lines = itertools.islice(itertools.cycle(own), first, first + ORDERS)
        for turn, line in enumerate(lines):
            number = await self._place(platform, turn, line)
            order_id = order_id_of(platform, number)
            how = {TURN_OF_TEN_CANCELLED: "cancel", TURN_OF_TEN_REFUNDED: "refund"}.get(turn % 10)
            if how is not None:
                self._taken_back[order_id] = (platform, number, how)
                self._set_aside.add(order_id)
            await self._doubles.control("POST", f"/orders/{platform}/{shop_of(platform)}/{number}/pay", {})
            self.order_ids.add(order_id)
            await asyncio.sleep(1 / ORDERS_PER_SECOND)

    async def _place(self, platform: str, turn: int, line: OrderLine) -> str:
        wanted = {
            "platform": platform,
            "shop_id": shop_of(platform),
            "lines": [{"outer_id": line.sku, "quantity": line.quantity}],
            "buyer_id": f"{platform}-buyer-{turn}",
            "pay": False,
        }
        if platform == TELLS_ADDRESS_ONLY:
            wanted["receiver"] = AREA_UNKNOWN | {"address": self._addresses[turn % len(self._addresses)]}
        return str((await self._doubles.control("POST", "/orders", wanted))["order_id"])

    async def _take_back(self, platform: str, number: str, how: str) -> None:
        shop_id = shop_of(platform)
        told = await self._doubles.control("POST", f"/orders/{platform}/{shop_id}/{number}/{how}", {})
        if how == "refund":
            await self._doubles.control("POST", f"/refunds/{platform}/{shop_id}/{told['refund_id']}/succeeded", {})

    async def uploaded(self) -> None:
        """Return when every platform has been told of every parcel."""

        async def all_told() -> bool:
            await self.look()
            return not self.differing

        try:
            await _until("platforms to be told of every parcel", all_told)
        except Stuck:
            # The figures show it, and the run counts as failed.
            return

    async def told_stock(self) -> None:
        """Return when a platform was told of stock: once all sales up to what was read there have been heard."""

        async def any_told() -> bool:
            await self.count_told()
            return self.stock_told > 0

        await _until("a platform to be told of stock", any_told)

    async def count_told(self) -> None:
        """Count how often platforms were told of stock: as often as it changed while the answers came."""
        rows = [row for each in PLATFORMS for row in await self._listings(each)]
        self.stock_told = sum(row["told_count"] for row in rows)

    async def _books(self, platform: str) -> list[dict[str, Any]]:
        found = await self._doubles.control("GET", f"/books/{platform}/{shop_of(platform)}?stock=false")
        orders: list[dict[str, Any]] = found["orders"]
        return orders

    async def _listings(self, platform: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._doubles.control(
            "GET", f"/shops/{platform}/{shop_of(platform)}/listings"
        )
        return found

    async def _tell(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        key = f"demo-{path.strip('/').replace('/', '-')}"
        must(await self._api.tell("ingestion", method, path, body, key=key, by=self._by), f"{method} {path}")

    def figures(self) -> dict[str, dict[str, int]]:
        """Return the standings as plain numbers."""
        return {platform: asdict(standing) for platform, standing in self.standings.items()}


def own_standing(order_ids: Iterable[str], rows: Mapping[str, Row]) -> dict[str, int]:
    """Return how the own channel stands: it needs no upload."""
    stages = Counter(rows[order_id]["stage"] for order_id in order_ids)
    return {"orders_in": stages.total(), "cancelled": stages["cancelled"], "shipped": stages["shipped"]}


async def _until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    give_up_at_s = time.monotonic() + WAIT_LIMIT_S
    while not await holds():
        if time.monotonic() > give_up_at_s:
            raise Stuck(f"{what}: not within {WAIT_LIMIT_S:.0f} s")
        await asyncio.sleep(ASK_AGAIN_AFTER_S)
