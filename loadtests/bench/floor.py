"""The bare chain: as many records, rows and bytes as the real run wrote, moved by a loop that decides nothing.

One process a stage, on the same Kafka and Postgres: fetch, one transaction (COPY, update, outbox, offsets), publish.
"""

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from contracts.topics import ORDERS, Topic
from libs.stream.kafka import KafkaLog
from libs.stream.kafka_admin import create_topics
from libs.stream.log import Outgoing
from libs.testkit.client import read_env

BATCH_INPUTS = 4_000
FETCH_TIMEOUT_MS = 500
REST_S = 0.1  # full batches are cheap ones, and nobody waits for these
STALL_LIMIT_S = 60.0
HEADERS = (("ce_specversion", b"1.0"), ("ce_type", b"Floor"), ("ce_source", b"floor/0/1"))
# Which records make a stage write and say something, by topic; a stage reads its other topics and only counts them.
STAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "ingestion": {"reads": (), "drivers": ()},
    "risk": {"reads": ("orders",), "drivers": ("orders",)},
    "inventory": {"reads": ("orders", "risk", "routes"), "drivers": ("orders", "routes")},
    "routing": {"reads": ("orders", "risk", "stock"), "drivers": ("risk",)},
    "fulfillment": {"reads": ("orders", "risk", "stock"), "drivers": ("stock",)},
}


@dataclass(frozen=True)
class Shape:
    """What one stage writes for an order, measured on the real run."""

    rows_inserted: float
    row_bytes: int
    rows_updated: float
    records: dict[str, tuple[float, int]]  # topic: records an order, bytes each


async def shapes(env: dict[str, str], before: dict[str, Any], orders: int) -> dict[str, Shape]:
    """Return what each stage wrote for an order since `before`."""
    now = await written(env)
    found = {}
    for stage in STAGES:
        tables, old = now[stage]["tables"], before[stage]["tables"]
        inserted = sum(rows - old.get(name, (0, 0, 0))[0] for name, (rows, _, _) in tables.items())
        updated = sum(rows - old.get(name, (0, 0, 0))[1] for name, (_, rows, _) in tables.items())
        size = sum(each - old.get(name, (0, 0, 0))[2] for name, (_, _, each) in tables.items())
        records = {}
        for topic, (count, total) in now[stage]["records"].items():
            first_count, first_total = before[stage]["records"].get(topic, (0, 0))
            if count > first_count:
                records[topic] = ((count - first_count) / orders, (total - first_total) // (count - first_count))
        found[stage] = Shape(inserted / orders, max(16, size // max(1, inserted)), updated / orders, records)
    return found


async def written(env: dict[str, str]) -> dict[str, Any]:
    """Return rows and bytes of every table, and records and bytes of every topic, stage by stage."""
    connection = await asyncpg.connect(env["ORDO_POSTGRES"], command_timeout=60)
    try:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        found: dict[str, Any] = {}
        for stage in STAGES:
            rows = await connection.fetch(
                "SELECT relname, n_tup_ins, n_tup_upd, pg_table_size(relid) FROM pg_stat_user_tables "
                "WHERE schemaname = $1 AND relname <> 'outbox'",
                stage,
            )
            sql = f"SELECT split_part(topic, '.', 2), count(*), sum(length(value)) FROM {stage}.outbox GROUP BY topic"
            said = await connection.fetch(sql)
            found[stage] = {
                "tables": {name: (inserted, updated, size) for name, inserted, updated, size in rows},
                "records": {topic: (count, int(total)) for topic, count, total in said},
            }
        return found
    finally:
        await connection.close()


def topic_name(topic: str, number: int) -> str:
    """Return the floor's own topic, another one for each run on a stack: it is read from its beginning."""
    return f"floor{number}.{topic}"


async def prepare(env: dict[str, str], found: dict[str, Shape], number: int) -> int:
    """Create the floor's tables and topics, of as many partitions as the real ones have; returns how many."""
    connection = await asyncpg.connect(env["ORDO_POSTGRES"], command_timeout=60)
    try:
        await connection.execute("CREATE SCHEMA floor")
        for stage in STAGES:
            await connection.execute(
                f"CREATE TABLE floor.{stage} (k text PRIMARY KEY, v bytea NOT NULL) WITH (fillfactor = 70)"
            )
            await connection.execute(
                f"CREATE TABLE floor.{stage}_outbox (topic text, part int, seq bigint, key bytea, value bytea, "
                "PRIMARY KEY (topic, part, seq))"
            )
            await connection.execute(f"CREATE TABLE floor.{stage}_offset (place text PRIMARY KEY, at bigint)")
    finally:
        await connection.close()
    names = sorted({topic for shape in found.values() for topic in shape.records})
    topics = [Topic(topic_name(name, number), "floor", (), ()) for name in names]
    log = KafkaLog(env["ORDO_KAFKA"], "floor")
    try:
        partitions = await log.partitions(ORDERS.name)
    finally:
        await log.close()
    await create_topics(env["ORDO_KAFKA"], topics, partitions, 1)
    return partitions


async def remove(env: dict[str, str]) -> None:
    """Drop the floor's tables: nobody else shall pay for their vacuum."""
    connection = await asyncpg.connect(env["ORDO_POSTGRES"], command_timeout=60)
    try:
        await connection.execute("DROP SCHEMA floor CASCADE")
    finally:
        await connection.close()


class Stage:
    """One stage's loop."""

    def __init__(self, name: str, shape: Shape, spec: dict[str, Any], connection: Any, log: KafkaLog) -> None:
        self._name, self._shape, self._orders, self._number = name, shape, spec["orders"], spec["number"]
        self._partitions = spec["partitions"]
        self._connection, self._log = connection, log
        self._drivers = {topic_name(topic, self._number) for topic in STAGES[name]["drivers"]}
        self._value = b"x" * shape.row_bytes
        self._said = {topic: b"x" * size for topic, (_, size) in shape.records.items()}
        self._seqs: dict[tuple[str, int], int] = {}
        self._done = 0.0
        self._rows = 0
        self._keys: list[str] = []

    async def generate(self, batch: int) -> None:
        """Play the first stage: orders from nowhere."""
        for first in range(0, self._orders, batch):
            count = min(batch, self._orders - first)
            await self._write([(n % self._partitions, b"floor-%d" % n) for n in range(first, first + count)], 1.0, {})

    async def follow(self, shares: dict[str, float]) -> None:
        """Read until every order has passed; `shares` tells what part of an order one record of a topic stands for."""
        reads = [topic_name(topic, self._number) for topic in STAGES[self._name]["reads"]]
        places = [(topic, part) for topic in reads for part in range(self._partitions)]
        await self._log.read_from(dict.fromkeys(places, 0))
        offsets: dict[str, int] = {}
        heard = time.monotonic()
        while self._done < self._orders * 0.999:
            records = await self._log.fetch(BATCH_INPUTS, FETCH_TIMEOUT_MS)
            if not records:
                if time.monotonic() - heard > STALL_LIMIT_S:
                    raise RuntimeError(f"{self._name} heard nothing for {STALL_LIMIT_S} s at {self._done} orders")
                continue
            heard = time.monotonic()
            driving: list[tuple[int, bytes]] = []
            for record in records:
                offsets[f"{record.topic}/{record.partition}"] = record.offset
                if record.topic in self._drivers:
                    driving.append((record.partition, record.key or b""))
                    self._done += shares[record.topic]
            share = sum(shares.values()) / len(shares) if shares else 1.0
            await self._write(driving, share, offsets)
            if len(records) < BATCH_INPUTS:
                await asyncio.sleep(max(0.0, heard + REST_S - time.monotonic()))

    async def _write(self, keys: list[tuple[int, bytes]], share: float, offsets: dict[str, int]) -> None:
        """One transaction for these records, then what they say; `share` is the part of an order each stands for."""
        inserted = int((len(keys) * share) * self._shape.rows_inserted)
        updated = min(len(self._keys), int((len(keys) * share) * self._shape.rows_updated))
        rows = [(f"own.demo.floor-{self._name}-{self._rows + n}", self._value) for n in range(inserted)]
        self._rows += inserted
        out: list[Outgoing] = []
        for topic, (each, _) in self._shape.records.items():
            for n in range(round(len(keys) * share * each)):
                part, key = keys[n % len(keys)]
                place = (topic_name(topic, self._number), part)
                seq = self._seqs[place] = self._seqs.get(place, 0) + 1
                out.append(Outgoing(place[0], part, seq, 0, key, self._said[topic], (*HEADERS, ("ce_id", b"%d" % seq))))
        async with self._connection.transaction():
            if rows:
                await self._connection.copy_records_to_table(self._name, schema_name="floor", records=rows)
            if updated:
                await self._connection.execute(
                    f"UPDATE floor.{self._name} t SET v = u.v FROM unnest($1::text[], $2::bytea[]) AS u(k, v) "
                    "WHERE t.k = u.k",
                    self._keys[:updated],
                    [self._value] * updated,
                )
            if out:
                records = [(o.topic, o.partition, o.seq, o.key, o.value) for o in out]
                await self._connection.copy_records_to_table(
                    f"{self._name}_outbox", schema_name="floor", records=records
                )
            if offsets:
                await self._connection.execute(
                    f"INSERT INTO floor.{self._name}_offset SELECT * FROM unnest($1::text[], $2::bigint[]) "
                    "ON CONFLICT (place) DO UPDATE SET at = excluded.at",
                    list(offsets),
                    list(offsets.values()),
                )
        self._keys = [key for key, _ in rows] or self._keys
        if out:
            await self._log.publish(out)


async def run(name: str, env: dict[str, str], spec: dict[str, Any]) -> dict[str, float]:
    """Run one stage to its end; returns when it began and ended, and its CPU in between: imports are no order's."""
    found = {stage: Shape(**shape) for stage, shape in spec["shapes"].items()}
    said = {topic: each for shape in found.values() for topic, (each, _) in shape.records.items()}
    drivers = STAGES[name]["drivers"]
    shares = {topic_name(topic, spec["number"]): 1.0 / said[topic] / len(drivers) for topic in drivers}
    connection = await asyncpg.connect(env["ORDO_POSTGRES"], command_timeout=60)
    log = KafkaLog(env["ORDO_KAFKA"], f"floor-{name}")
    stage = Stage(name, found[name], spec, connection, log)
    began, cpu_began_s = time.time(), time.process_time()
    if drivers:
        await stage.follow(shares)
    else:
        await stage.generate(spec["batch"])
    ended, cpu_ms = time.time(), (time.process_time() - cpu_began_s) * 1000
    await log.close()
    await connection.close()
    return {"began": began, "ended": ended, "cpu_ms": cpu_ms}


def as_spec(found: dict[str, Shape], **told: int) -> str:
    """Return what the stages' processes are told: `orders`, orders a `batch`, `partitions`, the run's `number`."""
    return json.dumps({"shapes": {name: asdict(shape) for name, shape in found.items()}, **told})


def main() -> None:
    """Run one stage from the command line; prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--env", type=Path, required=True)
    parser.add_argument("--spec", type=Path, required=True)
    asked = parser.parse_args()
    print(json.dumps(uvloop.run(run(asked.stage, read_env(asked.env), json.loads(asked.spec.read_text("utf-8"))))))


if __name__ == "__main__":
    main()
