"""One consistent cut: a database snapshot and the ends of the topics, taken when everything said has been heard."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from contracts.topics import SERVICES, TOPICS
from libs.stream.log import Log, Place, Record
from libs.testkit.invariants.facts import Protocol

CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_MS = 300_000
WORK_MEMORY = "64MB"
POLL_MS = 250
FETCH_RECORDS = 5_000
FETCH_TIMEOUT_MS = 1_000
STALL_LIMIT_S = 60.0
PARKED_LIMIT = 20

# Levels that wait to be told together are on their way, though their time has not come.
_TIMERS = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8
FROM {0}.timer WHERE due_at <= clock_timestamp() OR kind = 'levels'
"""
# A call that waits for its time (never tried, not due yet) is not late; one that failed is, until it has an outcome.
_EGRESS = """
SELECT count(*) FILTER (WHERE late), coalesce(max(age_s) FILTER (WHERE late), 0)::float8, count(*),
    count(*) FILTER (WHERE next_try_at IS NULL AND outcome NOT LIKE 'sent: %' AND outcome NOT LIKE 'refused: %')
FROM (
    SELECT next_try_at, outcome, extract(epoch FROM clock_timestamp() - written_at) AS age_s,
        next_try_at IS NOT NULL AND (attempts > 0 OR next_try_at <= clock_timestamp()) AS late
    FROM {0}.egress
) AS call
"""


class SchemaMissing(Exception):
    """A service's tables are not there: the stack was never migrated, or this is another database."""


@dataclass
class Cut:
    """What was seen at one moment. `behind` is what was not heard or published by then, `late` is work that is due."""

    connection: Any
    partitions: dict[str, int] = field(default_factory=dict)
    beginnings: dict[Place, int] = field(default_factory=dict)
    ends: dict[Place, int] = field(default_factory=dict)
    protocols: dict[str, Protocol] = field(default_factory=dict)
    behind: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)


@asynccontextmanager
async def reading(dsn: str) -> AsyncIterator[Any]:
    """Yield a connection that cannot write."""
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        server_settings={
            "application_name": "ordo invariants",
            "default_transaction_read_only": "on",
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "work_mem": WORK_MEMORY,
            "jit": "off",
        },
    )
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def cut(connection: Any, log: Log, *, drained: bool, drain_limit_s: float) -> AsyncIterator[Cut]:
    """Yield a cut inside its open snapshot; with `drained`, wait for one at which nothing is under way.

    When the wait is over, the last cut is yielded all the same, with what is `behind` and `late`.
    """
    partitions = {topic.name: await log.partitions(topic.name) for topic in TOPICS}
    places = [(topic, part) for topic, count in partitions.items() for part in range(count)]
    loop = asyncio.get_running_loop()
    give_up = loop.time() + drain_limit_s
    while True:
        snapshot = connection.transaction(isolation="repeatable_read", readonly=True)
        await snapshot.start()
        try:
            found = Cut(connection, partitions, await log.beginnings(places))
            for service in SERVICES:
                found.protocols[service] = await protocol_of(connection, service)
            # Taken after the snapshot: whatever a service has read or said by then is in the topics.
            found.ends = await log.ends(places)
            found.behind, found.late = behind(found), late(found)
            if not drained or not (found.behind or found.late) or loop.time() >= give_up:
                yield found
                return
        finally:
            await snapshot.rollback()
        await asyncio.sleep(POLL_MS / 1000)


async def protocol_of(connection: Any, service: str) -> Protocol:
    """Load a service's tables of the stream protocol, but for its outbox and its log of batches."""
    found = Protocol(service)
    try:
        rows = await connection.fetch(f"SELECT topic, part, next_offset FROM {service}.consumer_offset")
    except asyncpg.UndefinedTableError as error:
        raise SchemaMissing(f"there is no schema {service} with the stream's tables: {error}") from error
    found.offsets = {(topic, part): offset for topic, part, offset in rows}
    rows = await connection.fetch(f"SELECT topic, part, src, last_seq FROM {service}.source_seq")
    found.seqs = {(topic, part, src): seq for topic, part, src, seq in rows}
    rows = await connection.fetch(f"SELECT stream, topic, part, next_seq, cursor_seq FROM {service}.outbox_head")
    found.heads = {(stream, topic, part): (seq, cursor) for stream, topic, part, seq, cursor in rows}
    rows = await connection.fetch(f"SELECT shard, batch_no FROM {service}.stream_lease")
    found.batch_nos = dict(rows)
    sql = f"SELECT key, type, error, count(*) OVER () FROM {service}.parked ORDER BY n LIMIT {PARKED_LIMIT}"
    found.parked = [f"{kind} of {key}: {error}" for key, kind, error, _ in await connection.fetch(sql)]
    found.due_timers, found.due_timer_age_s = await connection.fetchrow(_TIMERS.format(service))
    (
        found.waiting_sends,
        found.waiting_send_age_s,
        found.egress_rows,
        found.egress_unknown,
    ) = await connection.fetchrow(_EGRESS.format(service))
    return found


def behind(found: Cut) -> list[str]:
    """Say what was published and not read yet, or committed and not published yet."""
    lacking = []
    for service, protocol in found.protocols.items():
        for place, offset in protocol.offsets.items():
            end = found.ends.get(place, offset)
            if offset < end:
                lacking.append(f"{service} has {end - offset} records of {place[0]}/{place[1]} to read")
        for (_, topic, part), (next_seq, cursor) in protocol.heads.items():
            if cursor < next_seq - 1:
                lacking.append(f"{service} has {next_seq - 1 - cursor} records of {topic}/{part} to publish")
    return lacking


def late(found: Cut) -> list[str]:
    """Say which timers have come and which outward calls have no outcome."""
    lacking = []
    for service, protocol in found.protocols.items():
        if protocol.due_timers:
            lacking.append(f"{service} has {protocol.due_timers} timers that have come")
        if protocol.waiting_sends:
            lacking.append(f"{service} has {protocol.waiting_sends} outward calls without an outcome")
    return lacking


async def read_topics(
    log: Log, beginnings: Mapping[Place, int], ends: Mapping[Place, int], take: Callable[[Record], None]
) -> None:
    """Hand every record from the beginnings up to the ends to `take`, each partition in offset order."""
    remaining = {place for place, end in ends.items() if end > beginnings[place]}
    if not remaining:
        return
    await log.read_from({place: beginnings[place] for place in sorted(remaining)})
    loop = asyncio.get_running_loop()
    progressed = loop.time()
    while remaining:
        records = await log.fetch(FETCH_RECORDS, FETCH_TIMEOUT_MS)
        if records:
            progressed = loop.time()
        elif loop.time() - progressed > STALL_LIMIT_S:
            raise TimeoutError(f"the log gave nothing for {STALL_LIMIT_S:.0f} s; unread: {sorted(remaining)[:5]}")
        for record in records:
            place = (record.topic, record.partition)
            if record.offset < ends[place]:
                take(record)
            if record.offset + 1 >= ends[place]:
                remaining.discard(place)


async def chunks(connection: Any, sql: str, *arguments: Any, rows: int = 5_000) -> AsyncIterator[Sequence[Any]]:
    """Yield the rows of a query in chunks, so that no table is held whole."""
    cursor = await connection.cursor(sql, *arguments)
    while found := await cursor.fetch(rows):
        yield found
