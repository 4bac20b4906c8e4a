"""`python -m services replay` and `rebuild`: decide a recorded run again, and compare with what it left."""

import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from contracts.topics import TOPICS
from libs.decide import Command
from libs.runtime.clock import utc_now
from libs.runtime.migrate import migrate
from libs.runtime.service import Service
from libs.stream.journal import Changes
from libs.stream.kafka import KafkaLog
from libs.stream.memory import MemoryJournal, Stored
from libs.stream.postgres import PostgresJournal, connect
from libs.stream.recording import checksum, differing, first_offsets, published, recorded_batches
from libs.stream.replay import Replay
from libs.stream.rows import RowCodec

SHOWN_LIMIT = 20
SHOWN_CHARACTERS = 400
CLOSE_ENOUGH_BATCHES = 50
CATCH_UP_LIMIT_ROUNDS = 20
LOCK_TIMEOUT_MS = 5_000


@dataclass
class Comparison:
    """How a replayed run compares with what was published, batch by batch."""

    batches: int = 0
    events: int = 0
    keys: set[str] = field(default_factory=set)
    changed: dict[str, str] = field(default_factory=dict)

    def take(self, batch_no: int, changes: Changes, expected: list[tuple[Any, ...]]) -> None:
        """Compare one batch's events byte for byte, and remember the first that differs of each order."""
        made = sorted((o.topic, o.partition, o.seq, o.timestamp_ms, o.key, k, c, o.value) for o, k, c in changes.outbox)
        self.batches += 1
        self.events += len(made)
        self.keys.update(row[4].decode() for row in made)
        if made == expected:
            return
        before, after = _by_key(expected), _by_key(made)
        for key in sorted(before.keys() | after.keys()):
            one, two = before.get(key, []), after.get(key, [])
            if one != two and key not in self.changed:
                place = next(
                    (n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
                )
                was = one[place] if place < len(one) else "nothing"
                now = two[place] if place < len(two) else "nothing"
                self.changed[key] = f"batch {batch_no}: was {was}, would be {now}"
        if not self.changed:
            self.changed["?"] = f"batch {batch_no}: the same events under other numbers, causes or times"

    def tell(self, service: str, took_s: float, *, changes_asked: bool) -> int:
        """Print what was found; returns the exit status."""
        print(
            f"{service}: {self.batches} batches, {self.events} events of {len(self.keys)} keys again in {took_s:.1f} s"
        )
        for key, first in list(self.changed.items())[:SHOWN_LIMIT]:
            print(f"  {key}: {first[:SHOWN_CHARACTERS]}")
        if len(self.changed) > SHOWN_LIMIT:
            print(f"  and {len(self.changed) - SHOWN_LIMIT} more")
        if changes_asked:
            print(f"{service}: {len(self.changed)} orders would come out otherwise")
            return 0
        print(f"{service}: " + ("identical byte for byte" if not self.changed else f"{len(self.changed)} keys DIFFER"))
        return 1 if self.changed else 0


def _by_key(rows: list[tuple[Any, ...]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row[4].decode(), []).append(f"{row[5]} {row[7].decode()}")
    return found


@dataclass
class Changed:
    """Other settings and rule parameters, from a JSON file: `{"settings": {…}, "parameters": {…}}`."""

    settings: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> "Changed":
        """Read the file; raises ValueError naming what it may hold."""
        content = json.loads(Path(path).read_text("utf-8")) if path else {}
        unknown = set(content) - {"settings", "parameters"}
        if unknown:
            raise ValueError(f"{path} may hold settings and parameters, not {', '.join(sorted(unknown))}")
        return cls(**content)

    def rules(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return rule content with the changed parameters; what its examples expect was said of the old ones."""
        if not self.parameters:
            return dict(content)
        unknown = set(self.parameters) - set(content.get("parameters", {}))
        if unknown:
            raise ValueError(f"the rules have no parameters {', '.join(sorted(unknown))}")
        return _with(content, self.parameters)

    def command(self, command: Command) -> Command:
        """Return a recorded command as it would have been asked: replaced rules get the changed parameters."""
        content = getattr(command, "content", None)
        if isinstance(content, Mapping) and "parameters" in content and self.parameters:
            known = {name: value for name, value in self.parameters.items() if name in content["parameters"]}
            return msgspec.structs.replace(command, content=_with(content, known))
        return command


def _with(content: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    examples = [{**example, "expect": {}} for example in content.get("examples", [])]
    return {**content, "parameters": {**content["parameters"], **parameters}, "examples": examples}


async def replay(service: Service, first: str, last: str, changed: Changed) -> int:
    """Decide the recorded run again in memory and compare; returns 0 when, without changes, all is identical."""
    settings = service.settings
    commands, events = await connect(settings.postgres, service.name), await connect(settings.postgres, service.name)
    log = KafkaLog(settings.kafka, f"replay-{service.name}")
    started = monotonic()
    found = Comparison()
    try:
        newest = await commands.fetchval("SELECT max(batch_no) FROM batch_log") or 0
        low, high = await _batch_at(commands, first, 1), await _batch_at(commands, last, newest)
        again = Replay(
            service.handlers, MemoryJournal(Stored(), utc_now), log, await _partitions(log, service), changed.command
        )
        await again.start(await first_offsets(commands))
        async with aclosing(published(events, low, high)) as recorded:
            said = await anext(recorded, None)
            async for batch in recorded_batches(commands, high):
                changes = await again.decide(batch)
                if batch.batch_no < low:
                    continue
                expected: list[tuple[Any, ...]] = []
                if said is not None and said[0] == batch.batch_no:
                    expected, said = said[1], await anext(recorded, None)
                found.take(batch.batch_no, changes, expected)
    finally:
        await commands.close()
        await events.close()
        await log.close()
    return found.tell(service.name, monotonic() - started, changes_asked=bool(changed.settings or changed.parameters))


async def _batch_at(connection: Any, text: str, default: int) -> int:
    """Return the batch a text names: a number, or the first decided at or after a time."""
    if not text:
        return default
    if text.isdigit():
        return int(text)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    found = await connection.fetchval("SELECT min(batch_no) FROM batch_log WHERE decided_at >= $1", moment)
    return int(found or default)


async def _partitions(log: KafkaLog, service: Service) -> int:
    written = next(topic for topic in TOPICS if topic.writer == service.name)
    return await log.partitions(written.name)


async def rebuild(service: Service, *, swap: bool) -> int:
    """Decide everything recorded again into `<service>_rebuilt`, compare with the live schema, and swap if asked."""
    dsn, live, made = service.settings.postgres, service.name, f"{service.name}_rebuilt"
    connection, beside = await connect(dsn, live), await connect(dsn, made)
    log = KafkaLog(service.settings.kafka, f"rebuild-{service.name}")
    journal = PostgresJournal(dsn, made, service.tables)
    try:
        await connection.execute(f'DROP SCHEMA IF EXISTS "{made}" CASCADE')
        await migrate(dsn, live, schema=made)
        again = Replay(service.handlers, journal, log, await _partitions(log, service))
        await again.start(await first_offsets(connection))
        started, done, events = monotonic(), 0, 0
        for _ in range(CATCH_UP_LIMIT_ROUNDS):
            newest = await connection.fetchval("SELECT batch_no FROM stream_lease WHERE shard = 0") or 0
            if newest - done < CLOSE_ENOUGH_BATCHES:
                break
            done, events = await _follow(connection, again, done, newest, events)
        async with connection.transaction(isolation="repeatable_read"):
            newest = await connection.fetchval("SELECT batch_no FROM stream_lease WHERE shard = 0") or 0
            done, events = await _follow(connection, again, done, newest, events)
            took_s = monotonic() - started
            print(
                f"{live}: {done} batches, {events} inputs in {took_s:.1f} s, "
                f"{events / max(took_s, 0.001):,.0f} inputs a second"
            )
            differences = await _differences(connection, beside, service, live, made)
        print(
            f"{live}: "
            + (f"{differences} tables DIFFER" if differences else "every table is equal")
            + f" at batch {done}"
        )
        return await _swap(connection, again, live, made, done) if swap else int(differences > 0)
    finally:
        await journal.close()
        await log.close()
        await connection.close()
        await beside.close()


async def _follow(connection: Any, again: Replay, done: int, newest: int, events: int) -> tuple[int, int]:
    async for batch in recorded_batches(connection, newest, done):
        changes = await again.decide(batch)
        events += sum(last - first + 1 for _, first, last in batch.reads) + len(batch.commands)
        done = changes.batch_no
    return done, events


async def _differences(connection: Any, beside: Any, service: Service, live: str, made: str) -> int:
    """Compare the live tables as `connection`'s snapshot sees them with the rebuilt ones as they are now."""
    differing_tables = 0
    for struct, table in service.tables.by_type.items():
        codec = RowCodec(struct, table)
        here, there = await checksum(connection, live, codec), await checksum(beside, made, codec)
        print(f"  {codec.table}: {here[0]} rows here, {there[0]} rebuilt, {'equal' if here == there else 'DIFFERENT'}")
        if here != there:
            differing_tables += 1
            for side, row in await differing(connection, live, beside, made, codec):
                print(f"    {'only here   ' if side == 'here' else 'only rebuilt'} {row[:SHOWN_CHARACTERS]}")
    return differing_tables


async def _swap(connection: Any, again: Replay, live: str, made: str, done: int) -> int:
    """Put the rebuilt schema in the live one's place while the service cannot commit; the old one stays beside it."""
    for _ in range(CATCH_UP_LIMIT_ROUNDS):
        newest = await connection.fetchval("SELECT batch_no FROM stream_lease WHERE shard = 0")
        done, _ = await _follow(connection, again, done, newest, 0)
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
            held = await connection.fetchrow(
                "SELECT owner, epoch, batch_no FROM stream_lease WHERE shard = 0 FOR UPDATE"
            )
            if held["batch_no"] != done:
                continue
            await connection.execute(
                f'UPDATE "{made}".outbox_head n SET cursor_seq = o.cursor_seq FROM "{live}".outbox_head o '
                "WHERE (n.stream, n.topic, n.part) = (o.stream, o.topic, o.part)"
            )
            await connection.execute(
                f'UPDATE "{made}".stream_lease SET epoch = $1, expires_at = clock_timestamp()', held["epoch"] + 1
            )
            # The running worker starts afresh: it finds a newer epoch in this schema, and so does a batch of its that
            # waits for the lease's row in the old one, which nobody would see there.
            await connection.execute(f'UPDATE "{live}".stream_lease SET epoch = epoch + 1')
            await connection.execute(f'DROP SCHEMA IF EXISTS "{live}_before" CASCADE')
            await connection.execute(f'ALTER SCHEMA "{live}" RENAME TO "{live}_before"')
            await connection.execute(f'ALTER SCHEMA "{made}" RENAME TO "{live}"')
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 "
            "AND pid <> pg_backend_pid()",
            f"ordo {live}",
        )
        print(f"{live}: swapped at batch {done}; the schema before is {live}_before")
        return 0
    print(f"{live}: the service never stood still long enough to swap, nothing changed")
    return 1
