"""The run itself: buyers, damage, the check of every second, and the wait until nothing more is to come."""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import httpx

from loadtests.lossy.platforms import PLATFORMS, PUSHED_TO, Doubles, Operator, World, complete_of, shop_of
from loadtests.lossy.rig import Rig
from loadtests.lossy.truth import Timeline, Truth
from loadtests.lossy.warehouse import Warehouse

CHECK_EVERY_S = 1.0
HTTP_TIMEOUT_S = 15.0
READY_LIMIT_S = 90.0
KILL_LEAST_S, KILL_MOST_S = 25.0, 50.0
OUTAGE_BEGINS_SHARE, OUTAGE_SHARE = 0.3, 0.3
OUTAGE_STEPS_PAUSE_LEAST_S = 0.1
STILL_LIMIT_S = 8.0
NUDGE_S = 120.0
SETTLE_LIMIT_S = 900.0
WATERMARK_LIMIT_S = 240.0
MIX = {"unpaid_percent": 5, "cancel_percent": 2, "refund_percent": 2, "address_percent": 1, "act_after_s": 5}
LOSSES = {
    "pushes_lost_percent": 5,
    "pushes_doubled_percent": 5,
    "pushes_reordered_percent": 10,
    "page_shift_rows": 2,
}
STORED = "SELECT order_id FROM ingestion.platform_order WHERE order_id = ANY($1::text[]) AND state <> 'awaited'"
PARKED = "SELECT shop_id, about, subject_id, field, reason FROM ingestion.parked_document ORDER BY 1, 2, 3 LIMIT 50"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    orders: int
    rate: float
    seed: int
    outage_hours: float
    calls_per_token: int
    patience_s: float
    calm: bool = False

    @property
    def outage_of(self) -> str:
        """The platform that is away for some hours: another one with another seed."""
        return PLATFORMS[self.seed % len(PLATFORMS)]


@dataclass
class Happened:
    """What was done and what was seen beside the orders."""

    kills: int = 0
    unanswered_checks: int = 0
    buyers: dict[str, Any] = field(default_factory=dict)
    shops: dict[str, dict[str, Any]] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    refreshes: dict[str, int] = field(default_factory=dict)
    reds: set[str] = field(default_factory=set)
    took: dict[str, float] = field(default_factory=dict)
    unwell: list[str] = field(default_factory=list)


class Lossy:
    """One run on a rig that stands."""

    def __init__(self, rig: Rig, wish: Wish, say: Say, http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
        self.rig, self.wish, self.say, self._database = rig, wish, say, database
        self.truth, self.happened, self.timeline = Truth(), Happened(), Timeline()
        self.doubles = Doubles(rig.doubles_url, http)
        self.operator = Operator(rig.url, rig.env["ORDO_JWT_SECRET"], http)
        self.world = World(self.doubles, rig.clock, self.timeline)
        dice = random.Random(wish.seed)
        self._dice = random.Random(wish.seed + 1)
        self.warehouse = Warehouse(rig.env["ORDO_KAFKA"], self.truth, self.world.now, dice)
        self._asking = asyncio.Lock()
        self._killing = True

    async def play(self) -> None:
        """Open shops, let buyers come, do the damage, and wait for the end of it."""
        await self._open()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        beside = [asyncio.create_task(self.warehouse.run()), asyncio.create_task(self._checks())]
        try:
            await self._buy()
            self.happened.took["load"] = loop.time() - began_s
            self.say(f"{self.happened.took['load']:6.1f} s  every buyer has done what they came for")
            await self._settle()
            self.happened.took["load and settling"] = loop.time() - began_s
            await self._last_watermark()
            self.happened.took["all"] = loop.time() - began_s
        finally:
            for task in beside:
                if task.done() and not task.cancelled() and task.exception() is not None:
                    self.happened.unwell.append(f"the run itself failed: {task.exception()!r}")
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        await self._look_last()

    async def _open(self) -> None:
        since = self.world.now()
        for platform in PLATFORMS:
            push_url = f"{self.rig.url}/push/{platform}/{shop_of(platform)}" if platform in PUSHED_TO else ""
            made = await self.doubles.open_shop(platform, push_url)
            await self.operator.connect(platform, made, self.rig.doubles_url, since)
        async with asyncio.timeout(READY_LIMIT_S):
            while len(await self.operator.shops() or {}) < len(PLATFORMS):
                await asyncio.sleep(CHECK_EVERY_S)
        if not self.wish.calm:
            await self.doubles.dial("all", **LOSSES, token_expires_after_calls=self.wish.calls_per_token)

    async def _buy(self) -> None:
        shops = [[platform, shop_of(platform)] for platform in PLATFORMS]
        crowd = {"rate_per_s": self.wish.rate, "count": self.wish.orders, "shops": shops, "seed": self.wish.seed}
        await self.doubles.control("POST", "/buyers", crowd | {"mix": MIX})
        killer = asyncio.create_task(asyncio.sleep(0) if self.wish.calm else self._kill())
        try:
            await self._outage()
            while True:
                (entry,) = await self.doubles.control("GET", "/buyers")
                self.happened.buyers = entry
                if not entry["running"]:
                    break
                await asyncio.sleep(CHECK_EVERY_S)
        finally:
            killer.cancel()
            await asyncio.gather(killer, return_exceptions=True)
        if entry["failure"]:
            self.happened.unwell.append(f"the buyers ended early: {entry['failure']}")

    async def _kill(self) -> None:
        """Kill ingestion at random moments for as long as buyers come, twice at least."""
        while True:
            await asyncio.sleep(self._dice.uniform(KILL_LEAST_S, KILL_MOST_S) / (3 if self.happened.kills < 1 else 1))
            if self.rig.kill():
                self.happened.kills += 1
                self.say(f"          ingestion was killed ({self.happened.kills})")

    async def _outage(self) -> None:
        """Take a platform away for some simulated hours, which pass in a part of the load's time."""
        load_s = self.wish.orders / self.wish.rate
        platform, seconds = self.wish.outage_of, self.wish.outage_hours * 3600
        if seconds <= 0:
            return
        await asyncio.sleep(load_s * OUTAGE_BEGINS_SHARE)
        self.say(f"          {platform} is away for {self.wish.outage_hours:g} h")
        await self.doubles.dial(platform, outage="cut" if self._dice.random() < 0.5 else "503")
        pause_s = max(OUTAGE_STEPS_PAUSE_LEAST_S, load_s * OUTAGE_SHARE / (seconds / NUDGE_S))
        await self.world.advance(seconds, pause_s)
        await self.doubles.dial(platform, outage="")
        self.say(f"          {platform} is back")

    async def _checks(self) -> None:
        """Every second: no shop's T may have passed a paid order that is not stored."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            with suppress(httpx.TransportError):
                await self.check()

    async def check(self) -> None:
        """Read every T first, then the books, then the database: what is stored later can only excuse, by moments."""
        async with self._asking:
            shops = await self.operator.shops()
            await self._read_books()
            if shops is None:
                self.happened.unanswered_checks += 1
                return
            self.happened.shops = shops
            self.happened.reds |= {
                f"{name}: {why}" for name, shop in shops.items() if shop["colour"] == "red" for why in shop["reasons"]
            }
            complete = complete_of(shops)
            suspects = [order.order_id for order in self.truth.suspects(complete)]
            rows = await self._database.fetch(STORED, suspects) if suspects else []
            known = len(self.truth.violations)
            self.truth.check(complete, [row["order_id"] for row in rows])
            for violation in self.truth.violations[known:][:3]:
                self.say(f"          T PASSED A MISSING ORDER: {violation}")

    async def _read_books(self) -> None:
        for platform in PLATFORMS:
            self.truth.book(platform, shop_of(platform), await self.doubles.changed(platform))

    def _left(self) -> tuple[int, int, int]:
        return len(self.truth.missing), self.warehouse.waiting, len(self.truth.not_uploaded_once)

    async def _settle(self) -> None:
        """Wait until all is here and told; where only lags and back-offs are left, let simulated time pass."""
        loop = asyncio.get_running_loop()
        began_s = still_since_s = loop.time()
        before = self._left()
        while any(left := self._left()) or not self.truth.booked:
            if left != before:
                before, still_since_s = left, loop.time()
            waited_s = loop.time() - began_s
            if waited_s > SETTLE_LIMIT_S:
                self.happened.unwell.append(f"not settled in {SETTLE_LIMIT_S:g} s: missing, parcels, uploads {left}")
                return
            if waited_s > self.wish.patience_s and loop.time() - still_since_s > min(
                STILL_LIMIT_S, self.wish.patience_s
            ):
                self.say(f"{waited_s:6.1f} s  still to come (orders, parcels, uploads): {left}; {NUDGE_S:g} s pass")
                await self.world.advance(NUDGE_S, 0)
                still_since_s = loop.time()
            await asyncio.sleep(CHECK_EVERY_S)
            await self.check()

    async def _last_watermark(self) -> None:
        """Let simulated time pass until every T is behind the last payment."""
        last: dict[str, datetime] = {}
        for order in self.truth.booked.values():
            last[order.shop_id] = max(last.get(order.shop_id, order.paid_at), order.paid_at)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + WATERMARK_LIMIT_S
        while behind := self._behind(last):
            if loop.time() > until_s:
                self.happened.unwell.append(f"T never passed the last payment: {', '.join(behind)}")
                return
            await self.world.advance(NUDGE_S, 0)
            await asyncio.sleep(3 * CHECK_EVERY_S)
            await self.check()

    def _behind(self, last: Mapping[str, datetime]) -> list[str]:
        complete = complete_of(self.happened.shops)
        return [shop_id for shop_id, at in last.items() if shop_id not in complete or complete[shop_id] <= at]

    async def _look_last(self) -> None:
        self.happened.parked = [" ".join(str(value) for value in row) for row in await self._database.fetch(PARKED)]
        self.happened.sent = (await self.doubles.control("GET", "/sent?limit=1"))["counts"]
        for platform in PLATFORMS:
            told = await self.doubles.control(
                "GET", f"/books/{platform}/{shop_of(platform)}?stock=false&after=999999999"
            )
            self.happened.refreshes[platform] = int(told["token_refreshes"])


async def play(rig: Rig, wish: Wish, say: Say) -> Lossy:
    """Run on a rig that stands; returns what is to be judged."""
    database = await asyncpg.connect(rig.env["ORDO_POSTGRES"])
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=HTTP_TIMEOUT_S) as http:
            lossy = Lossy(rig, wish, say, http, database)
            await lossy.play()
            return lossy
    finally:
        await database.close()
