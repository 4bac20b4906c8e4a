"""The journal on Postgres: a batch is what it loads and, unless it is long, one statement."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from libs.decide import Due, Key, Reply, Row, Send
from libs.stream.journal import Answered, Changes, Fenced, Head, JournalAway, Parked, Resume, Unsaveable
from libs.stream.log import Outgoing, Place
from libs.stream.postgres_save import save_of, session_setup
from libs.stream.postgres_sql import ACQUIRE, FENCED_STATE, RENEW, SELECT_DELAYED, SELECT_PARKED, SELECT_SENDS
from libs.stream.rows import RowCodec
from libs.stream.tables import Tables
from libs.stream.turns import Delayed

STATEMENT_TIMEOUT_MS = 15_000
CONNECT_TIMEOUT_S = 5.0
AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asyncpg's own state after a connection broke in the middle of a COPY
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
)
"""Failures that pass: the batch is rolled back (or in doubt), durable state is loaded again, and it is decided anew."""


async def connect(dsn: str, schema: str) -> Any:
    """Open a connection whose search path is the service's schema and whose jsonb travels as bytes."""
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=STATEMENT_TIMEOUT_MS / 1000,
        server_settings={
            "search_path": schema,
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": "10000",
            "application_name": f"ordo {schema}",
            "jit": "off",
        },
    )
    await connection.set_type_codec(
        "jsonb", encoder=lambda v: b"\x01" + v, decoder=lambda v: bytes(v[1:]), schema="pg_catalog", format="binary"
    )
    return connection


class PostgresJournal:
    """One shard's journal. The batch runs on one connection; bookkeeping beside it on a second."""

    def __init__(self, dsn: str, schema: str, tables: Tables, *, shard: int = 0, lock_rows: bool = False) -> None:
        self._dsn = dsn
        self._schema = schema
        self._shard = shard
        self._lock_rows = lock_rows
        self._codecs = {struct: RowCodec(struct, table) for struct, table in tables.by_type.items()}
        self._connection: Any = None
        self._beside: Any = None
        self._beside_lock = asyncio.Lock()
        self._owner = ""
        self._epoch = 0
        self._transaction: Any = None

    async def _main(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._transaction = None
            connection = await connect(self._dsn, self._schema)
            try:
                await connection.execute(session_setup(self._codecs))
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    def _away(self, error: BaseException) -> JournalAway:
        """Drop the connection, whatever state it is in: the next use makes a new one."""
        connection, self._connection, self._transaction = self._connection, None, None
        if connection is not None:
            connection.terminate()
        return JournalAway(repr(error))

    async def _run_beside(self, method: str, *arguments: Any) -> Any:
        try:
            async with self._beside_lock:
                if self._beside is None or self._beside.is_closed():
                    self._beside = await connect(self._dsn, self._schema)
                return await getattr(self._beside, method)(*arguments)
        except AWAY as error:
            beside, self._beside = self._beside, None
            if beside is not None:
                beside.terminate()
            raise JournalAway(repr(error)) from error

    async def acquire(self, owner: str, lease_ms: int) -> Resume | None:
        """Take the lease if it is free, expired or ours, and load what the protocol needs in memory."""
        try:
            await self.rollback()
            connection = await self._main()
            async with connection.transaction():
                row = await connection.fetchrow(ACQUIRE, self._shard, owner, lease_ms)
                if row is None:
                    return None
                resume = Resume(epoch=row["epoch"], batch_no=row["batch_no"], decided_at=row["decided_at"])
                for topic, part, offset in await connection.fetch(
                    "SELECT topic, part, next_offset FROM consumer_offset"
                ):
                    resume.offsets[(topic, part)] = offset
                for topic, part, src, seq in await connection.fetch(
                    "SELECT topic, part, src, last_seq FROM source_seq"
                ):
                    resume.seqs[(topic, part, src)] = seq
                heads = await connection.fetch(
                    "SELECT topic, part, next_seq, cursor_seq FROM outbox_head WHERE stream = $1", self._shard
                )
                for topic, part, next_seq, cursor in heads:
                    resume.heads[(topic, part)] = Head(next_seq, cursor)
                resume.parked_keys = {r[0] for r in await connection.fetch("SELECT DISTINCT key FROM parked")}
                resume.next_due = await connection.fetchval("SELECT min(due_at) FROM timer")
        except AWAY as error:
            raise self._away(error) from error
        self._owner, self._epoch = owner, resume.epoch
        return resume

    async def renew(self, lease_ms: int, heads: Mapping[Place, Head]) -> None:
        """Keep the lease, and note how far publishing came."""
        try:
            connection = await self._main()
            places = sorted(heads)
            held = await connection.fetchval(
                RENEW,
                self._shard,
                self._epoch,
                lease_ms,
                [topic for topic, _ in places],
                [part for _, part in places],
                [heads[place].cursor for place in places],
            )
        except AWAY as error:
            raise self._away(error) from error
        if not held:
            raise Fenced(f"{self._schema}: the lease has a newer epoch than {self._epoch}")

    async def release(self) -> None:
        """Let a successor take over at once."""
        try:
            connection = await self._main()
            await connection.execute(
                "UPDATE stream_lease SET expires_at = now() WHERE shard = $1 AND epoch = $2", self._shard, self._epoch
            )
        except AWAY as error:
            raise self._away(error) from error

    async def start_offsets(self, offsets: Mapping[Place, int]) -> None:
        """Record the first position of places never read before."""
        rows = [(topic, part, offset) for (topic, part), offset in sorted(offsets.items())]
        sql = "INSERT INTO consumer_offset (topic, part, next_offset) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
        try:
            await (await self._main()).executemany(sql, rows)
        except AWAY as error:
            raise self._away(error) from error

    async def begin(self) -> None:
        """Begin a batch: from here to its end on one connection, and in a transaction where rows are to be locked."""
        try:
            await self._main()
            if self._lock_rows:
                await self._open()
        except AWAY as error:
            raise self._away(error) from error

    async def _open(self) -> None:
        if self._transaction is None:
            self._transaction = self._connection.transaction()
            await self._transaction.start()

    async def load(self, wanted: Mapping[type[Row], Collection[Key]]) -> dict[type[Row], list[Row]]:
        """Return the rows of these keys, locked in key order where shards share tables."""
        found: dict[type[Row], list[Row]] = {}
        try:
            for table, keys in wanted.items():
                codec = self._codecs[table]
                columns = list(zip(*sorted(keys), strict=True))
                records = await self._connection.fetch(codec.select(lock=self._lock_rows), *map(list, columns))
                found[table] = [codec.row(record) for record in records]
        except AWAY as error:
            raise self._away(error) from error
        except asyncpg.PostgresError as error:
            raise Unsaveable(_reason(error)) from error
        return found

    async def commit(self, changes: Changes, lease_ms: int) -> None:
        """Save rows, outputs and positions at once; the lease's epoch and every old offset must match."""
        connection = self._connection
        try:
            save = save_of(changes, self._codecs, shard=self._shard, epoch=self._epoch, lease_ms=lease_ms)
            if save.copies:
                await self._open()
            for copy in save.copies:
                await connection.copy_records_to_table(copy.table, records=copy.records, columns=copy.columns)
            await connection.fetchval(save.statement(), *save.arguments)
            if self._transaction is not None:
                await self._transaction.commit()
                self._transaction = None
        except AWAY as error:
            raise self._away(error) from error
        except (asyncpg.PostgresError, asyncpg.DataError, ValueError, TypeError, OverflowError) as error:
            if getattr(error, "sqlstate", "") == FENCED_STATE:
                raise self._fenced() from None
            await self._check_epoch()
            raise Unsaveable(_reason(error)) from error

    def _fenced(self) -> Fenced:
        return Fenced(f"{self._schema}: epoch {self._epoch} no longer owns the shard, or its offsets moved")

    async def _check_epoch(self) -> None:
        """Raise Fenced if a successor holds the lease: then rows refused us are its rows, not a message's fault."""
        await self.rollback()
        try:
            epoch = await (await self._main()).fetchval("SELECT epoch FROM stream_lease WHERE shard = $1", self._shard)
        except AWAY as error:
            raise self._away(error) from error
        if epoch != self._epoch:
            raise self._fenced()

    async def rollback(self) -> None:
        """Forget the open transaction; a connection that cannot even do that is dropped."""
        transaction, self._transaction = self._transaction, None
        if transaction is None or self._connection is None:
            return
        try:
            await transaction.rollback()
        except AWAY as error:
            self._away(error)

    async def answers(self, keys: Sequence[str]) -> dict[str, Answered]:
        """Return the stored answers of these idempotency keys."""
        sql = (
            "SELECT idempotency_key, kind, fingerprint, status, reply FROM command_log WHERE idempotency_key = ANY($1)"
        )
        try:
            rows = await (await self._main()).fetch(sql, list(keys))
        except AWAY as error:
            raise self._away(error) from error
        found = {}
        for key, kind, fingerprint, status, reply in rows:
            answer = Reply(status=status, body=msgspec.json.decode(reply))
            found[key] = Answered(key, kind, fingerprint, b"", answer)
        return found

    async def due(self, now: datetime, limit: int) -> tuple[list[Due], datetime | None]:
        """Return timers that have come, oldest first, and the time of the first one after them."""
        sql = "SELECT kind, key, due_at FROM timer ORDER BY due_at, kind, key LIMIT $1"
        try:
            rows = await (await self._main()).fetch(sql, limit + 1)
        except AWAY as error:
            raise self._away(error) from error
        come = [Due(kind=kind, key=key, at=at) for kind, key, at in rows[:limit] if at <= now]
        rest = rows[len(come) :]
        return come, rest[0]["due_at"] if rest else None

    async def unsent(self, heads: Mapping[Place, Head], chunk: int) -> AsyncIterator[list[tuple[Outgoing, str, str]]]:
        """Yield the outbox rows after each cursor, in order, in chunks."""
        sql = (
            "SELECT topic, part, seq, at_ms, key, value, type, cause FROM outbox "
            "WHERE stream = $1 AND topic = $2 AND part = $3 AND seq > $4 ORDER BY seq LIMIT $5"
        )
        for (topic, part), head in sorted(heads.items()):
            cursor = head.cursor
            while cursor < head.next_seq - 1:
                rows = await self._run_beside("fetch", sql, self._shard, topic, part, cursor, chunk)
                if not rows:
                    raise Fenced(f"{self._schema}: the outbox of {topic}/{part} has no row after {cursor}")
                cursor = rows[-1]["seq"]
                yield [(Outgoing(r[0], r[1], r[2], r[3], r[4], r[5], ()), r["type"], r["cause"]) for r in rows]

    async def parked(self, key: str) -> list[Parked]:
        """Return the parked messages of a key, oldest first."""
        return [Parked(**dict(row)) for row in await self._run_beside("fetch", SELECT_PARKED, key)]

    async def note_parked_attempt(self, key: str, n: int, error: str) -> None:
        """Count a failed redrive."""
        sql = "UPDATE parked SET attempts = attempts + 1, error = $3, behind = false WHERE key = $1 AND n = $2"
        await self._run_beside("execute", sql, key, n, error)

    async def waiting_sends(
        self, now: datetime, destinations: Sequence[str], limit_each: int
    ) -> list[tuple[Send, int]]:
        """Return outward calls whose time has come, the oldest of each destination, with the attempts made so far."""
        rows = await self._run_beside("fetch", SELECT_SENDS, now, list(destinations), limit_each)
        return [
            (Send(destination=r[0], send_id=r[1], key=r[2], body=msgspec.json.decode(r[3])), r["attempts"])
            for r in rows
        ]

    async def delayed_sends(self, destinations: Sequence[str]) -> list[Delayed]:
        """Return outward calls that wait and were tried or put off, in the order they were written in."""
        return [tuple(row) for row in await self._run_beside("fetch", SELECT_DELAYED, list(destinations))]

    async def note_attempt(self, send: Send, attempts: int, next_try_at: datetime, outcome: str) -> None:
        """Record a failed attempt of an outward call, to be tried again at `next_try_at`."""
        sql = (
            "UPDATE egress SET attempts = $3, next_try_at = $4, outcome = $5 "
            "WHERE destination = $1 AND send_id = $2 AND next_try_at IS NOT NULL"
        )
        await self._run_beside("execute", sql, send.destination, send.send_id, attempts, next_try_at, outcome)

    async def close(self) -> None:
        """Close both connections."""
        for connection in (self._connection, self._beside):
            if connection is not None and not connection.is_closed():
                connection.terminate()
        self._connection = self._beside = None


def _reason(error: BaseException) -> str:
    """Return what was refused, without the row it was said of: the text may quote values, its cause tells why only."""
    constraint = getattr(error, "constraint_name", None)
    return f"{type(error).__name__}" + (
        f" ({constraint})" if constraint else f": {str(error.__cause__ or error)[:120]}"
    )
