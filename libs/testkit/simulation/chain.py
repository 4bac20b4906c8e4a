"""The smallest system that uses every part of the protocol: three services in a chain that number what they hear."""

import asyncio
from datetime import datetime, timedelta
from typing import ClassVar

from contracts.orders import OrderCancelRequested
from contracts.risk import OrderRejected
from libs.decide import Command, Delivered, Due, Handlers, On, Output, Reply, Row, Send, State, Wake
from libs.stream.limits import Limits
from libs.testkit.simulation.locks import Locks
from libs.testkit.simulation.process import Gone, Unit
from libs.testkit.simulation.world import World

DESTINATION = "out"
BUCKETS = 4
FRAGILE = "fragile"


class Asked(Row, kw_only=True):
    """How often an order was asked about."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    count: int = 0


class Ask(Command, frozen=True, kw_only=True):
    """Ask about several orders at once; their events go to several partitions."""

    orders: list[str]
    fragile: bool = False

    @property
    def key(self) -> str:
        """The first order stands for all."""
        return self.orders[0]


class Heard(Row, kw_only=True):
    """What the second service heard of an order, in order, what time brought it, and what became of its calls."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    numbers: list[str] = []
    decided: list[datetime] = []
    woken: int = 0
    told: list[str] = []
    remarks: int = 0


class Remark(Command, frozen=True, kw_only=True):
    """Say something about an order, beside what is heard of it."""

    order_id: str

    @property
    def key(self) -> str:
        """The order."""
        return self.order_id


class Switch(Row, kw_only=True):
    """Whether fragile messages can be decided."""

    row_key: ClassVar[tuple[str, ...]] = ("name",)
    name: str


class TurnOn(Command, frozen=True, kw_only=True):
    """From now on fragile messages can be decided."""

    @property
    def key(self) -> str:
        """The switch."""
        return FRAGILE


class Seen(Row, kw_only=True):
    """What the third service heard of an order from the first two."""

    row_key: ClassVar[tuple[str, ...]] = ("order_id",)
    order_id: str
    asked: list[str] = []
    answered: list[int] = []


class Bucket(Row, kw_only=True):
    """A row that orders of all shards share."""

    row_key: ClassVar[tuple[str, ...]] = ("n",)
    n: int
    units: int = 0


def ask(command: Ask, state: State, now: datetime) -> list[Output]:
    """Number the question and pass it on."""
    outputs: list[Output] = []
    numbers = {}
    for order_id in command.orders:
        row = state.get(Asked, order_id) or Asked(order_id=order_id)
        row.count += 1
        state.put(row)
        numbers[order_id] = row.count
        reason = FRAGILE if command.fragile else ""
        outputs.append(
            OrderCancelRequested(order_id=order_id, request_id=str(row.count), requested_at=now, reason=reason)
        )
    return [*outputs, Reply(body=numbers)]


def hear(event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
    """Note the question, answer it, call outside, and look again later."""
    if event.reason == FRAGILE and state.get(Switch, FRAGILE) is None:
        raise ValueError("this cannot be decided yet")
    row = state.get(Heard, event.order_id) or Heard(order_id=event.order_id)
    row.numbers.append(event.request_id)
    row.decided.append(now)
    state.put(row)
    return [
        OrderRejected(order_id=event.order_id, version=len(row.numbers), by=event.request_id, why=now.isoformat()),
        Wake(kind="later", key=event.order_id, at=now + timedelta(milliseconds=700)),
        Send(
            destination=DESTINATION,
            send_id=f"{event.order_id}:{event.request_id}",
            key=event.order_id,
            body={"n": len(row.numbers)},
        ),
    ]


def remark(command: Remark, state: State, now: datetime) -> list[Output]:
    """Count the remark."""
    row = state.get(Heard, command.order_id) or Heard(order_id=command.order_id)
    row.remarks += 1
    state.put(row)
    return [Reply(body={"remarks": row.remarks})]


def turn_on(command: TurnOn, state: State, now: datetime) -> list[Output]:
    """Let fragile messages be decided."""
    state.put(Switch(name=FRAGILE))
    return [Reply()]


def wake(due: Due, state: State, now: datetime) -> list[Output]:
    """Note that time came."""
    row = state.get(Heard, due.key)
    assert row is not None, "a timer is set by what was heard"
    row.woken += 1
    state.put(row)
    return []


def told(message: Delivered, state: State, now: datetime) -> list[Output]:
    """Note what became of a call."""
    row = state.get(Heard, message.key)
    assert row is not None, "a call follows from what was heard"
    row.told.append(message.send_id.rpartition(":")[2])
    state.put(row)
    return []


def buckets_of(order_id: str, number: str) -> list[int]:
    """Return two shared rows that an event changes."""
    n = int(order_id[1:]) + int(number)
    return [n % BUCKETS, (n * 3 + 1) % BUCKETS]


def see_question(event: OrderCancelRequested, state: State, now: datetime) -> list[Output]:
    """Note what the first service said."""
    row = state.get(Seen, event.order_id) or Seen(order_id=event.order_id)
    row.asked.append(event.request_id)
    state.put(row)
    for n in sorted(set(buckets_of(event.order_id, event.request_id))):
        bucket = state.get(Bucket, n) or Bucket(n=n)
        bucket.units += 1
        state.put(bucket)
    return []


def see_answer(event: OrderRejected, state: State, now: datetime) -> list[Output]:
    """Note what the second service said."""
    row = state.get(Seen, event.order_id) or Seen(order_id=event.order_id)
    row.answered.append(event.version)
    state.put(row)
    return []


FIRST = Handlers(
    service="ingestion",
    on={Ask: On(ask, needs=lambda c: {Asked: [(order_id,) for order_id in c.orders]})},
    rows=(Asked,),
)
SECOND = Handlers(
    service="risk",
    on={
        OrderCancelRequested: On(hear, needs=lambda e: {Heard: [(e.order_id,)], Switch: [(FRAGILE,)]}),
        Remark: On(remark, needs=lambda c: {Heard: [(c.order_id,)]}),
        TurnOn: On(turn_on, needs=lambda c: {Switch: [(FRAGILE,)]}),
    },
    timers={"later": On(wake, needs=lambda d: {Heard: [(d.key,)]})},
    delivered={DESTINATION: On(told, needs=lambda d: {Heard: [(d.key,)]})},
    rows=(Heard, Switch),
    in_order=frozenset({DESTINATION}),
)
THIRD = Handlers(
    service="inventory",
    on={
        OrderCancelRequested: On(
            see_question,
            needs=lambda e: {
                Bucket: [(n,) for n in buckets_of(e.order_id, e.request_id)],
                Seen: [(e.order_id,)],
            },
        ),
        OrderRejected: On(see_answer, needs=lambda e: {Seen: [(e.order_id,)]}),
    },
    rows=(Bucket, Seen),
)


class Chain:
    """The scenario: a few clients ask, and at the end every number is everywhere exactly once, in order."""

    fault_seconds = (2.0, 9.0)
    heal_limit_s = 240.0

    def __init__(self, world: World) -> None:
        self.world = world
        dice = world.dice
        self.orders = [f"o{n}" for n in range(dice.randint(2, 6))]
        self.fragile = dice.random() < 0.25
        self.shards = dice.choice((1, 1, 2)) if world.cluster.partitions > 1 else 1
        self.asked = 0
        self.remarks = 0
        self.more = False

    def begin(self) -> None:
        """Start the services."""
        world, dice = self.world, self.world.dice
        limits = Limits(
            batch_inputs=dice.choice((1, 3, 20, 500)),
            timers_per_batch=dice.choice((1, 200)),
            unsent_records=dice.choice((5, 50_000)),
            fetch_timeout_ms=2_000,
            lease_ms=dice.choice((1_000, 3_000)),
            retry_first_ms=20,
            retry_last_ms=400,
        )
        world.add(Unit(FIRST, limits))
        world.add(Unit(SECOND, limits, (DESTINATION,)))
        locks = Locks(world.fail) if self.shards > 1 else None
        first = None
        for n in range(self.shards):
            shard = world.add(Unit(THIRD, limits, shard=n, shards=self.shards), locks=locks)
            first = first or shard
            shard.database.stored.rows = first.database.stored.rows

    async def work(self) -> None:
        """Ask, from a few places at once."""
        clients = self.world.dice.randint(1, 4)
        await asyncio.gather(*[self._client(n, self.world.dice.randint(2, 6)) for n in range(clients)])

    async def _client(self, name: int, questions: int) -> None:
        dice = self.world.dice
        for n in range(questions):
            await asyncio.sleep(dice.expovariate(1.0) * 0.4)
            orders = dice.sample(self.orders, dice.randint(1, len(self.orders)))
            fragile = self.fragile and dice.random() < 0.3
            self.asked += len(orders)
            await self.world.ask("ingestion", Ask(orders=orders, fragile=fragile), f"c{name}/{n}")
            if dice.random() < 0.5:
                reply = await self.world.ask("risk", Remark(order_id=orders[0]), f"c{name}/{n}")
                self.remarks += reply.status == 200
            if dice.random() < 0.1:
                await self.world.ask("ingestion", Ask(orders=orders, fragile=fragile), f"c{name}/{n}")

    async def heal(self) -> None:
        """Mend what is fragile, and have everything parked decided again; what was lost shows as soon as more comes."""
        stored = self.world.database("risk").stored
        if self.world.cluster.lost:
            self.asked += len(self.orders)
            await self.world.ask("ingestion", Ask(orders=self.orders), "more")
        self.more = True
        if self.fragile:
            await self.world.ask("risk", TurnOn(), "on")
        while True:
            for key in sorted({parked.key for parked in stored.parked}):
                for process in list(self.world.shards["risk/0"].processes):
                    try:
                        await process.redrive(key, 5.0)
                    except Gone:
                        self.world.note(f"{process.name} gives no answer to a redrive")
            await asyncio.sleep(0.3)

    def rests(self) -> bool:
        """Tell whether every timer came and nothing is parked."""
        stored = self.world.database("risk").stored
        return self.more and not stored.timers and not stored.parked

    def check(self) -> None:
        """Compare what the three services noted."""
        world = self.world
        asked = {row.order_id: row.count for row in world.database("ingestion").stored.all_rows(Asked)}
        if sum(asked.values()) != self.asked:
            world.fail(f"{self.asked} questions were asked, {sum(asked.values())} are counted")
        second, third = world.database("risk").stored, world.database("inventory").stored
        for order_id, count in asked.items():
            numbers = [str(n) for n in range(1, count + 1)]
            heard = second.row(Heard, order_id) or Heard(order_id=order_id)
            seen = third.row(Seen, order_id) or Seen(order_id=order_id)
            for what, found, expected in (
                ("heard", heard.numbers, numbers),
                ("told", sorted(heard.told, key=int), numbers),
                ("saw asked", seen.asked, numbers),
                ("saw answered", seen.answered, list(range(1, count + 1))),
            ):
                if found != expected:
                    world.fail(f"{order_id}: {what} {found}, asked were {count}")
            if not heard.woken or second.timers:
                world.fail(f"{order_id} was woken {heard.woken} times, {len(second.timers)} timers are left")
        remarks = sum(row.remarks for row in second.all_rows(Heard))
        if remarks != self.remarks:
            world.fail(f"{self.remarks} remarks were taken, {remarks} are counted")
        units = sum(row.units for row in third.all_rows(Bucket))
        expected_units = sum(len(set(buckets_of(o, str(n)))) for o, c in asked.items() for n in range(1, c + 1))
        if units != expected_units:
            world.fail(f"the shared rows hold {units} units, {expected_units} were put in")
