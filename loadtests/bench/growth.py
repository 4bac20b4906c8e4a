"""What an order costs among many stored ones: finished orders are copied into every table they left rows in."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from statistics import median
from typing import Any

import asyncpg

from deploy.local.layout import SERVICES
from libs.testkit.client import Merchant
from libs.testkit.embedded.postgres import start_postgres
from loadtests.bench import floor
from loadtests.bench.bare import bare
from loadtests.bench.history import LOAD_LIMIT_S, SEED, Pace, Rows, refusal
from loadtests.bench.orders import goods
from loadtests.bench.playing import DRAIN_LIMIT_S, LOOK_EVERY_S, NotDrained, define, play, settled
from loadtests.bench.rig import Rig, Say
from loadtests.bench.scenarios import costs

FIRST_ORDERS, SEED_ORDERS, SAMPLE_COPIES = 200, 1_000, 5
WARM_UP_ORDERS, MEASURED_ORDERS, ROUNDS = 4_000, 8_000, 3
PARCELS_AT_ONCE = 24
LOADERS = 2
CHECKPOINT_LIMIT_S = 300.0
# Autovacuum looks at a table again when a fifth of its rows died.
VACUUM_SHARE = 0.2
# Only while history is loaded, and nothing is measured then: a load that a crash ends is begun again.
LOADING = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off",
    "shared_buffers": "1GB", "maintenance_work_mem": "256MB", "max_wal_size": "8GB",
}  # fmt: skip
# Bytes are shown as text where they are text, so that an id is found in them too.
SHOWN = {"bytea_output": "escape", "timezone": "UTC", "datestyle": "ISO"}

TABLES = """
SELECT schemaname, relname FROM pg_stat_user_tables WHERE schemaname = ANY($1) ORDER BY schemaname, relname
"""
COLUMNS = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
FIGURES = """
SELECT pg_database_size(current_database()) AS database_bytes, t.index_bytes, d.blks_read AS blocks_read,
       w.wal_bytes, w.wal_fpi AS page_images, t.updates, t.hot_updates, t.autovacuums
FROM pg_stat_database d, pg_stat_wal w, (
    SELECT sum(pg_indexes_size(relid)) AS index_bytes, sum(n_tup_upd) AS updates, sum(n_tup_hot_upd) AS hot_updates,
           sum(autovacuum_count) AS autovacuums
    FROM pg_stat_user_tables
) t
WHERE d.datname = current_database()
"""


class History:
    """The finished orders of a stack's database, and how more of them are put there."""

    def __init__(self, rig: Rig, rows: Sequence[Rows], seed_orders: int) -> None:
        self.stored = FIRST_ORDERS + seed_orders
        self._rig, self._seed_orders, self._copies = rig, seed_orders, 0
        self._rows = sorted(rows, key=lambda each: each.size_bytes, reverse=True)

    def refusal(self, size: int, pace: Pace) -> str:
        """Say why so many orders cannot be stored here; empty if they can."""
        return refusal(size, self.stored, pace, shutil.disk_usage(self._rig.layout.state).free)

    def load(self, orders: int) -> Pace:
        """Store so many more, in whole copies of the seed, while the stack is down; returns what one took."""
        copies = max(1, round(orders / self._seed_orders))
        numbers = range(self._copies + 1, self._copies + 1 + copies)
        with postgres_alone(self._rig) as dsn:
            seconds, size_bytes = asyncio.run(self._load(dsn, numbers))
        loaded = copies * self._seed_orders
        self._copies += copies
        self.stored += loaded
        return Pace(size_bytes / loaded, seconds / loaded)

    async def _load(self, dsn: str, numbers: range) -> tuple[float, int]:
        gate = asyncio.Semaphore(LOADERS)

        async def fill(rows: Rows) -> None:
            async with gate, connected(dsn) as connection:
                await connection.copy_to_table(
                    rows.table,
                    schema_name=rows.schema,
                    columns=rows.columns,
                    source=rows.copies(numbers),
                    format="text",
                )

        async with connected(dsn) as connection:
            size_bytes = await connection.fetchval("SELECT pg_database_size(current_database())")
            began = time.monotonic()
            async with asyncio.timeout(2 * LOAD_LIMIT_S):
                await asyncio.gather(*[fill(rows) for rows in self._rows])
            seconds = time.monotonic() - began
            # Autovacuum would: it is due after a load like this, and belongs to no order that is measured.
            await connection.execute("VACUUM (ANALYZE)")
            await connection.execute("CHECKPOINT")
            return seconds, await connection.fetchval("SELECT pg_database_size(current_database())") - size_bytes


class Stored:
    """A stopped stack with so many orders stored, and what an order cost in each of its rounds."""

    def __init__(self, rig: Rig, stored: int, pace: Pace) -> None:
        self.rig, self._stored, self._pace = rig, stored, pace
        self.rounds: list[dict[str, float]] = []
        self.chains: list[dict[str, float]] = []
        self._rates: list[float] = []
        self._postgres: list[dict[str, float]] = []
        self._vacuum: dict[str, float] = {}

    async def play_round(self, number: int, shapes: dict[str, floor.Shape], *, last: bool) -> None:
        """Warm up, play a round, let the bare chain move as many orders, and after the last vacuum everything."""
        rig = self.rig
        await play(rig, f"now{number}warm", WARM_UP_ORDERS)
        await settled(rig)
        async with connected(rig.env["ORDO_POSTGRES"]) as connection:
            before, cpu = dict(await connection.fetchrow(FIGURES)), rig.cpu_ms()
            played = await play(rig, f"now{number}", MEASURED_ORDERS)
            await settled(rig)
            found = costs(rig, cpu, played, MEASURED_ORDERS)
            self.rounds.append(found["cpu_ms_per_order"])
            self._rates.append(found["orders_per_s"])
            self._postgres.append(did(before, dict(await connection.fetchrow(FIGURES)), MEASURED_ORDERS))
            self.chains.append((await bare(rig, shapes, MEASURED_ORDERS, number))["cpu_ms_per_order"])
            if last:
                self._vacuum = await vacuumed(rig, connection, self._stored)

    def figures(self) -> dict[str, Any]:
        """Return the medians of the rounds."""
        stack_ms, bare_ms = (median(each["stack"] for each in some) for some in (self.rounds, self.chains))
        return {
            "stored": self._stored,
            "orders": ROUNDS * MEASURED_ORDERS,
            "orders_per_s": median(self._rates),
            "cpu_ms_per_order": {name: round(median(each[name] for each in self.rounds), 4) for name in self.rounds[0]},
            "rounds": [each["stack"] for each in self.rounds],
            "floor_rounds": [each["stack"] for each in self.chains],
            "against_floor": round(stack_ms / bare_ms, 3),
            "postgres": {name: median(each[name] for each in self._postgres) for name in self._postgres[0]}
            | {"autovacuums": sum(each["autovacuums"] for each in self._postgres)},
            "vacuum": self._vacuum,
        } | {name: round(value, 6) for name, value in vars(self._pace).items()}


def growth(rig: Rig, sizes: Sequence[int], say: Say, seed_orders: int = SEED_ORDERS) -> dict[str, Any]:
    """Measure an order's cost with each number of stored orders; what this machine has no room or time for is told.

    Each number has a stack of its own, and their rounds take turns: what the machine gains or loses meanwhile, be it
    by the hour or by what the loading did to its caches and its disk, is gained and lost by all of them.
    """
    rig.up(say)
    say("growth: a seed of orders, from the shop to the carrier")
    rows, shapes = asyncio.run(seed(rig, seed_orders))
    history = History(rig, rows, seed_orders)
    rig.down(say)
    pace = history.load(SAMPLE_COPIES * seed_orders)
    stacks: list[Stored] = []
    refused: list[str] = []
    try:
        for size in sorted(sizes):
            why = history.refusal(size, pace)
            if not why:
                say(f"growth: storing {size:,} orders of {pace.bytes_per_order:,.0f} bytes")
                if stacks:
                    # The next size goes on from what the one before has stored.
                    stacks[-1].rig = rig.copied()
                try:
                    pace = history.load(size - history.stored)
                except TimeoutError:
                    why = f"{size:,} stored orders were given up: not loaded after {2 * LOAD_LIMIT_S / 60:.0f} minutes"
            if why:
                say(why)
                refused.append(why)
                break
            stacks.append(Stored(rig, history.stored, pace))
        for number in range(ROUNDS):
            for stack in stacks:
                stack.rig.up(say)
                asyncio.run(stack.play_round(number, shapes, last=number == ROUNDS - 1))
                stack.rig.down(say)
                say(f"growth: {stack.rounds[-1]['stack']} ms of CPU an order, {stack.chains[-1]['stack']} a bare one")
    finally:
        for stack in stacks:
            if stack.rig is not rig:
                stack.rig.remove(say)
    taken = [stack.figures() for stack in stacks]
    return {"sizes": taken, "refused": refused} | compared(taken)


def compared(sizes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Note each size's cost against the smallest's; returns the worst ratios; nothing of one size.

    The bare chain has as many rows at each size: what it gained or lost meanwhile is the machine's doing.
    """
    for taken in sizes:
        taken["ratio"] = round(taken["cpu_ms_per_order"]["stack"] / sizes[0]["cpu_ms_per_order"]["stack"], 3)
        taken["ratio_against_floor"] = round(taken["against_floor"] / sizes[0]["against_floor"], 3)
    if len(sizes) < 2:
        return {}
    return {name: max(taken[name] for taken in sizes[1:]) for name in ("ratio", "ratio_against_floor")}


async def seed(rig: Rig, orders: int) -> tuple[list[Rows], dict[str, floor.Shape]]:
    """Play orders to their end; returns what they left in each table that grew, and what each stage wrote for one."""
    await define(rig, goods().skus)
    # The first orders leave what is there once: heads of streams, stages, positions.
    await ship(rig, "first", FIRST_ORDERS)
    async with connected(rig.env["ORDO_POSTGRES"], **SHOWN) as connection:
        tables = [(schema, name) for schema, name in await connection.fetch(TABLES, list(SERVICES))]
        before = {table: await count(connection, table) for table in tables}
        written = await floor.written(rig.env)
        since = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        began = time.monotonic()
        await ship(rig, SEED, orders)
        lasted = timedelta(seconds=time.monotonic() - began)
        grown = [table for table in tables if await count(connection, table) > before[table]]
        rows = [await rows_since(connection, table, since, lasted) for table in grown]
        return rows, await floor.shapes(rig.env, written, orders)


async def count(connection: Any, table: tuple[str, str]) -> int:
    """Return how many rows a table has."""
    return int(await connection.fetchval('SELECT count(*) FROM "{}"."{}"'.format(*table)))


async def rows_since(connection: Any, table: tuple[str, str], since: int, lasted: timedelta) -> Rows:
    """Return the rows that this transaction or a later one wrote."""
    named = '"{}"."{}"'.format(*table)
    columns = [(name, kind) for name, kind in await connection.fetch(COLUMNS, named)]
    text = bytearray()

    async def keep(data: bytes) -> None:
        text.extend(data)

    names = ", ".join(f'"{name}"' for name, _ in columns)
    query = f"SELECT {names} FROM {named} WHERE xmin::text::bigint >= {since}"
    await connection.copy_from_query(query, output=keep, format="text")
    return Rows(*table, columns, bytes(text), lasted)


async def ship(rig: Rig, prefix: str, orders: int) -> None:
    """Play orders, pick and ship their parcels, and wait until nothing is under way."""
    await play(rig, prefix, orders)
    async with connected(rig.env["ORDO_POSTGRES"]) as connection:
        tasks = await connection.fetch("SELECT task_id, warehouse FROM fulfillment.pick_task WHERE state = 'open'")
        merchant, gate = Merchant(rig.env), asyncio.Semaphore(PARCELS_AT_ONCE)

        async def one(task_id: str, warehouse: str) -> None:
            async with gate:
                await merchant.fulfil("pda-1", warehouse, task_id, f"SF-{task_id}")

        await asyncio.gather(*[one(task_id, warehouse) for task_id, warehouse in tasks])
        await merchant.close()
        until = time.monotonic() + DRAIN_LIMIT_S
        while await connection.fetchval("SELECT count(*) FROM notification.egress WHERE next_try_at IS NOT NULL"):
            if time.monotonic() > until:
                raise NotDrained("buyers are still being told of their parcels")
            await asyncio.sleep(LOOK_EVERY_S)
    await settled(rig)


async def vacuumed(rig: Rig, connection: Any, stored: int) -> dict[str, float]:
    """Vacuum everything, indexes too; returns its time, and its CPU spread over the orders until it is due again."""
    cpu, began = rig.cpu_ms(), time.monotonic()
    await connection.execute("VACUUM (INDEX_CLEANUP ON)")
    used_ms = rig.cpu_ms()["postgres"] - cpu["postgres"]
    seconds = time.monotonic() - began
    return {"seconds": round(seconds, 1), "cpu_ms_per_order": round(used_ms / (VACUUM_SHARE * stored), 4)}


def did(before: Mapping[str, Any], after: Mapping[str, Any], orders: int) -> dict[str, float]:
    """Return how large the database is, and what it read, logged and cleaned up for an order."""
    used = {name: float(after[name] - before[name]) for name in after}
    return {
        "database_mib": round(after["database_bytes"] / 2**20),
        "index_mib": round(float(after["index_bytes"]) / 2**20),
        "blocks_read_per_order": round(used["blocks_read"] / orders, 3),
        "wal_bytes_per_order": round(used["wal_bytes"] / orders),
        "page_images_per_order": round(used["page_images"] / orders, 3),
        "hot_updates_percent": round(100 * used["hot_updates"] / max(1.0, used["updates"]), 1),
        "autovacuums": int(used["autovacuums"]),
    }


@asynccontextmanager
async def connected(dsn: str, **settings: str) -> AsyncIterator[Any]:
    """A connection for the length of a `with`."""
    connection = await asyncpg.connect(dsn, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def postgres_alone(rig: Rig) -> Iterator[str]:
    """The stopped stack's own Postgres, nobody else at work, for the length of a `with`."""
    server = start_postgres(rig.layout.postgres_data, rig.ports.postgres, settings=LOADING)
    try:
        yield server.url
    finally:
        server.stop(CHECKPOINT_LIMIT_S)
        # What the system has not written yet would be written while orders are timed.
        os.sync()
