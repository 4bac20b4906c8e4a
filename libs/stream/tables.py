"""The tables every service has for the stream protocol, and how a service names its own."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from libs.decide import Entry, Row

STREAM = MetaData()
_HOT = {"fillfactor": "60"}

lease = Table(
    "stream_lease",
    STREAM,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("batch_no", BigInteger, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    postgresql_with=_HOT,
)
consumer_offset = Table(
    "consumer_offset",
    STREAM,
    Column("topic", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    postgresql_with=_HOT,
)
source_seq = Table(
    "source_seq",
    STREAM,
    Column("topic", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("src", Text, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    postgresql_with=_HOT,
)
outbox_head = Table(
    "outbox_head",
    STREAM,
    Column("stream", Integer, primary_key=True, autoincrement=False),
    Column("topic", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("next_seq", BigInteger, nullable=False),
    Column("cursor_seq", BigInteger, nullable=False),
    postgresql_with=_HOT,
)
outbox = Table(
    "outbox",
    STREAM,
    Column("stream", Integer, primary_key=True, autoincrement=False),
    Column("topic", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("batch_no", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("type", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
)
batch_log = Table(
    "batch_log",
    STREAM,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("batch_no", BigInteger, primary_key=True, autoincrement=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("inputs", JSONB, nullable=False),
)
command_log = Table(
    "command_log",
    STREAM,
    Column("idempotency_key", Text, primary_key=True),
    Column("batch_no", BigInteger, nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Index("command_log_batch", "batch_no", "place"),
)
timer = Table(
    "timer",
    STREAM,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Index("timer_due", "due_at", "kind", "key"),
)
egress = Table(
    "egress",
    STREAM,
    Column("destination", Text, primary_key=True),
    Column("send_id", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("written_at", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", DateTime(timezone=True), nullable=True),
    Column("outcome", Text, nullable=False),
    Index("egress_waiting", "destination", "next_try_at", postgresql_where="next_try_at IS NOT NULL"),
)
parked = Table(
    "parked",
    STREAM,
    Column("key", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("topic", Text, nullable=False),
    Column("part", Integer, nullable=False),
    Column("at_offset", BigInteger, nullable=False),
    Column("src", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("value", LargeBinary, nullable=True),
    Column("error", Text, nullable=False),
    Column("behind", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("parked_at", DateTime(timezone=True), nullable=False),
)


class Tables:
    """A service's tables: which row or entry type lives in which SQLAlchemy table."""

    def __init__(self, metadata: MetaData, by_type: Mapping[type[Row] | type[Entry], Table]) -> None:
        self.metadata = metadata
        self.by_type = dict(by_type)
        for struct, table in self.by_type.items():
            absent = [name for name in struct.__struct_fields__ if name not in table.columns]
            if absent:
                raise ValueError(f"table {table.name} lacks columns {absent} of {struct.__name__}")


def create_stream_tables(op: Any) -> None:
    """Create the stream's tables, as they were in their first version, inside an Alembic migration."""
    for table in STREAM.sorted_tables:
        table.create(op.get_bind())
    # What is sealed does not shrink, and what is recorded is hardly ever read: compressing either is time lost.
    op.execute("ALTER TABLE command_log ALTER COLUMN body SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE outbox ALTER COLUMN value SET STORAGE EXTERNAL")


def drop_stream_tables(op: Any) -> None:
    """Drop the stream's tables inside an Alembic migration."""
    for table in reversed(STREAM.sorted_tables):
        table.drop(op.get_bind())
