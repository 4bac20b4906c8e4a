"""The play: orders month by month, people and goods in between, and a rest before whatever could change a figure."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from demo.api import Api, must
from demo.channels import Channels, own_standing
from demo.desk import AMEND, REJECT, RELEASE, Desk, Hold, at_once, cures, verdict
from demo.doubles import Doubles
from demo.orders import SHOP, Order, Slice
from demo.pickers import Bench, Board, crew
from demo.stock import WAREHOUSES, Sku
from demo.watch import RESTING_STAGES, Row, Stuck, Watch, at_rest, verdict_known
from libs.runtime.clock import utc_now

SENDERS = 16
PRESALE_OPENS_AFTER = timedelta(seconds=3)
NOTICES_LIMIT_S = 120.0
TOO_LATE = "CancelTooLate"


class Unfit(RuntimeError):
    """The demo cannot be played on this stack."""


@dataclass
class Outcome:
    """What the play has brought about so far; sets hold order ids."""

    accepted: set[str] = field(default_factory=set)
    amended: set[str] = field(default_factory=set)
    held: dict[str, list[str]] = field(default_factory=dict)
    short: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    transferred: set[str] = field(default_factory=set)
    overridden: set[str] = field(default_factory=set)
    split: set[str] = field(default_factory=set)
    cancelled_in_time: set[str] = field(default_factory=set)
    cancelled_late: set[str] = field(default_factory=set)
    too_late: set[str] = field(default_factory=set)
    notices: Counter[str] = field(default_factory=Counter)
    rows: dict[str, Row] = field(default_factory=dict)
    channels: dict[str, dict[str, int]] = field(default_factory=dict)


class Pace:
    """Lets so many a second go, evenly; a late one does not make the next ones hurry."""

    def __init__(self, per_second: float) -> None:
        self._gap_s = 1.0 / per_second
        self._next_s = 0.0

    async def wait(self) -> None:
        """Return when it is the caller's turn."""
        now_s = time.monotonic()
        turn_s = max(now_s, self._next_s)
        self._next_s = turn_s + self._gap_s
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)


class Play:
    """One run. Figures must not depend on who is faster, nor on what is killed meanwhile.

    So whatever could interfere with an order is done while it rests: all verdicts of a month are awaited before its
    cancellations and reviews, pickers leave orders alone that will be cancelled in time, and goods come in and move
    only when every order has found its place.
    """

    def __init__(
        self, api: Api, doubles: Doubles, data: Slice, catalogue: Mapping[str, Sku], orders_per_second: float
    ) -> None:
        self._api = api
        self.data = data
        self._by_id = {order.order_id: order for order in data.orders}
        self._pace = Pace(orders_per_second)
        self.desk = Desk(api, catalogue)
        self.watch = Watch(api)
        self.bench = Bench()
        self.outcome = Outcome()
        self.catalogue = catalogue
        self.act = "defining warehouses, SKUs and stock"
        self._set_aside = {o.order_id for o in data.orders if o.cancellation is not None and o.cancellation.in_time}
        self.channels = Channels(api, doubles, catalogue, self.watch, self._set_aside)

    async def run(self) -> Outcome:
        """Play everything; pickers and the look-out go on beside it and end with it."""
        await self.watch.look()
        if sum(self.watch.stages.values()):
            raise Unfit("this stack holds orders already: the demo needs an empty one")
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self.watch.follow())]
            await self.desk.define()
            # Costs must be known before prices are judged.
            await self.watch.until_read("the catalogue to be read by all services")
            beside.extend([group.create_task(work) for work in await self._pickers()])
            beside.append(group.create_task(self.channels.follow()))
            selling = group.create_task(self.channels.sell())
            await self._months()
            self.act = "orders of the platforms"
            await selling
            self.outcome.accepted.update(self.channels.order_ids)
            await self._goods()
            await self._rest()
            await self._late_cancellations()
            await self._uploads()
            await self._notices()
            for task in beside:
                task.cancel()
        return self.outcome

    async def _pickers(self) -> list[Any]:
        boards = {code: Board(self._api, code, self._set_aside) for code in WAREHOUSES}
        pickers = crew(self._api, self.bench)
        await at_once(self.desk.register, [(device, warehouse) for device, warehouse, _ in pickers])
        return [picker.work(boards[warehouse]) for _, warehouse, picker in pickers]

    async def _months(self) -> None:
        for chapter in self.data.chapters:
            self.act = f"orders of {chapter[0].placed_at:%B %Y}"
            await self._send(chapter)
            ids = {order.order_id for order in chapter}
            rows = await self.watch.until("every order's first verdict", ids, verdict_known)
            self.outcome.short.update(each for each, row in rows.items() if row["stock"] == "short")
            holds = {each: hold for each, hold in (await self.desk.holds()).items() if each in ids}
            self.outcome.held.update({each: hold.rules for each, hold in holds.items()})
            await self._cancel(ids & self._set_aside)
            await self._review({each: hold for each, hold in holds.items() if each not in self._set_aside})
        self.act = "reviewed orders go on"
        done = self.outcome
        await self.watch.until("released orders to go on", done.released, lambda row: bool(row["risk"] == "cleared"))
        await self.watch.until("rejected orders to stop", done.rejected, lambda row: bool(row["stage"] == "rejected"))
        await self.watch.until(
            "amended orders to go on",
            done.amended,
            lambda row: bool(row["version"] > 1 and row["risk"] == "cleared"),
        )

    async def _send(self, orders: Iterable[Order]) -> None:
        """Deliver the orders in date order, several on their way at once, as a shop's own sender does."""
        waiting = iter(orders)

        async def sender() -> None:
            for order in waiting:
                await self._pace.wait()
                answer = await self._api.webhook(SHOP, f"{order.number}-placed", order.message())
                must(answer, f"order {order.number}")
                self.outcome.accepted.add(order.order_id)

        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(sender())

    async def _cancel(self, order_ids: Collection[str]) -> None:
        await self._send_cancellations(order_ids)
        self.outcome.cancelled_in_time.update(order_ids)
        await self.watch.until("cancelled orders to stop", order_ids, lambda row: bool(row["stage"] == "cancelled"))

    async def _send_cancellations(self, order_ids: Collection[str]) -> None:
        for order_id in sorted(order_ids):
            order = self._by_id[order_id]
            answer = await self._api.webhook(SHOP, f"{order.number}-cancelled", order.cancel_message())
            must(answer, f"cancellation of {order.number}")

    async def _review(self, holds: Mapping[str, Hold]) -> None:
        """Decide on held orders; some ask the buyer or the shop, whose answer is an amended order."""
        for order_id, hold in sorted(holds.items()):
            order = self._by_id[order_id]
            decided = verdict(order, hold.rules)
            if decided == RELEASE:
                await self.desk.release(order, hold.version)
                self.outcome.released.add(order_id)
            elif decided == REJECT:
                await self.desk.reject(order, hold.version)
                self.outcome.rejected.add(order_id)
            elif decided == AMEND:
                opens = (utc_now() + PRESALE_OPENS_AFTER).replace(microsecond=0) if order.presale else None
                message = order.message(address=order.better_address, opens=opens)
                must(await self._api.webhook(SHOP, f"{order.number}-amended", message), f"amended {order.number}")
                self.outcome.amended.add(order_id)

    async def _goods(self) -> None:
        """Receive what was announced, then cure what lies in the wrong warehouse."""
        self.act = "goods come in"
        everyone = self.outcome.accepted
        await self.watch.until("every order's verdict", everyone, verdict_known)
        await self.desk.receive()
        await self.watch.until(
            "short orders to get their goods",
            {each for each in self.outcome.short - self._gone_for_good() if each not in self._set_aside},
            lambda row: bool(row["stock"] != "short"),
        )
        rows = await self.watch.until("every order's verdict", everyone, verdict_known)
        self._note_blocked(rows)
        self.act = "goods move"
        overrides, moves, freed = cures(await self.desk.blocked(), self._by_id, self.catalogue)
        for order_id, warehouse in overrides.items():
            await self.desk.override(order_id, warehouse)
        await self.desk.transfer(moves)
        self.outcome.overridden.update(each for each, warehouse in overrides.items() if warehouse)
        self.outcome.split.update(overrides.keys() - self.outcome.overridden)
        self.outcome.transferred.update(freed)
        moved = freed | overrides.keys()
        await self.watch.until("blocked orders to go on", moved, lambda row: bool(row["stage"] != "blocked"))

    def _gone_for_good(self) -> set[str]:
        never = {sku.sku for sku in self.catalogue.values() if sku.gone and not sku.cured}
        return {order.order_id for order in self.data.orders if never & order.units.keys()}

    def _note_blocked(self, rows: Mapping[str, Row]) -> None:
        self.outcome.blocked.update(each for each, row in rows.items() if row["stage"] == "blocked")

    async def _rest(self) -> None:
        self.act = "pickers finish"
        rows = await self.watch.until("every parcel to leave", self.outcome.accepted, at_rest)
        self._note_blocked(rows)

    async def _late_cancellations(self) -> None:
        """Send the cancellations that came days after the order: too late for what has left, in time for the rest."""
        self.act = "late cancellations"
        late = {
            order.order_id
            for order in self.data.orders
            if order.cancellation is not None and not order.cancellation.in_time
        }
        before = await self.watch.rows(late)
        gone = {each for each in late if before[each]["stage"] == "shipped"}
        still = {each for each in late - gone if before[each]["stage"] != "rejected"}
        await self._send_cancellations(late)
        await self.watch.until("late cancellations to arrive", late, lambda row: bool(row["cancel_requested"]))
        await self.watch.until("orders at rest to be cancelled", still, lambda row: bool(row["stage"] == "cancelled"))
        self.outcome.cancelled_late.update(still)
        await self.watch.until_read("everything to be read")
        for order_id in sorted(gone):
            found = await self.watch.order(order_id)
            assert found is not None, "an order that was shipped is known"
            if any(entry["type"] == TOO_LATE for entry in found["timeline"]):
                self.outcome.too_late.add(order_id)

    async def _uploads(self) -> None:
        self.act = "platforms are told of parcels"
        await self.channels.uploaded()
        self.act = "platforms are told of stock"
        await self.channels.told_stock()

    async def _notices(self) -> None:
        """Wait until every buyer of a parcel was told, then take the last look."""
        self.act = "notices go out"
        self.outcome.rows = await self.watch.until("the last look", self.outcome.accepted, at_rest)
        parcels = parcels_shipped(self.outcome.rows)
        give_up_at_s = time.monotonic() + NOTICES_LIMIT_S
        while True:
            self.outcome.notices = await self.desk.notices()
            told = self.outcome.notices
            if told["buyer/sent"] + told["buyer/failed"] + told["buyer/opted_out"] >= parcels:
                break
            if time.monotonic() > give_up_at_s:
                raise Stuck(f"{parcels} parcels left, but the notices are {dict(told)}")
            await asyncio.sleep(1.0)
        await self.watch.until_read("everything to be read")
        await self.watch.look()
        await self.channels.look()
        await self.channels.count_told()
        own = self.outcome.accepted - self.channels.order_ids
        self.outcome.channels = {"own": own_standing(own, self.outcome.rows), **self.channels.figures()}
        self.act = "done"


def parcels_shipped(rows: Mapping[str, Row]) -> int:
    """Return how many parcels have left."""
    return sum(parcel["stage"] == "shipped" for row in rows.values() for parcel in row["parcels"])


def stages_of(rows: Mapping[str, Row]) -> dict[str, int]:
    """Return how many orders rest in each stage."""
    counts = Counter(row["stage"] for row in rows.values())
    return {stage: counts[stage] for stage in sorted(RESTING_STAGES)}
