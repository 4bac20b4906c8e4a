"""Makes all checks over one cut through a system: reads the topics once, then every table once, then judges."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from contracts.topics import EVENT_TYPES
from libs.stream.kafka import KafkaLog
from libs.stream.log import Log, Record
from libs.testkit.invariants import agreement, orders, stock, streams, work
from libs.testkit.invariants.cut import Cut, cut, read_topics, reading
from libs.testkit.invariants.facts import Facts
from libs.testkit.invariants.findings import Check, Finding, Seen
from libs.testkit.invariants.load import load_batches, load_ledger, load_rows, load_streams
from libs.testkit.invariants.rebuild import TowerFold, compare_with_table, tower_fold
from libs.testkit.invariants.sequences import Sequences

DRAIN_LIMIT_S = 60.0
CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (*stock.CHECKS, *orders.CHECKS, *streams.CHECKS, *work.CHECKS, *agreement.CHECKS),
        key=lambda check: int(check.id.removeprefix("I-")),
    )
)
_DECODE = {name: msgspec.json.Decoder(event).decode for name, event in EVENT_TYPES.items()}


@dataclass(frozen=True)
class Asked:
    """What to check. `acked` are orders a client was told are accepted, `sent` all that any client ever sent."""

    drained: bool = True
    drain_limit_s: float = DRAIN_LIMIT_S
    acked: frozenset[str] | None = None
    sent: frozenset[str] | None = None


async def check_all(
    dsn: str,
    bootstrap: str,
    *,
    drained: bool,
    drain_limit_s: float = DRAIN_LIMIT_S,
    acked: Iterable[str] | None = None,
    sent: Iterable[str] | None = None,
) -> list[Finding]:
    """Check a system by its database and its Kafka; without `drained` only what holds at any moment."""
    asked = Asked(
        drained,
        drain_limit_s,
        None if acked is None else frozenset(acked),
        None if sent is None else frozenset(sent),
    )
    log = KafkaLog(bootstrap, "ordo-invariants")
    try:
        return await check_system(dsn, log, asked)
    finally:
        await log.close()


async def check_system(dsn: str, log: Log, asked: Asked) -> list[Finding]:
    """Check a system whose topics are read through `log`."""
    async with (
        reading(dsn) as connection,
        cut(connection, log, drained=asked.drained, drain_limit_s=asked.drain_limit_s) as found,
    ):
        drained = asked.drained and not found.behind
        facts = await load(found, log, drained=drained)
        facts.acked = None if asked.acked is None else set(asked.acked)
        facts.sent = None if asked.sent is None else set(asked.sent)
    return judge(facts, wanted=asked.drained, behind=found.behind)


def judge(facts: Facts, *, wanted: bool, behind: list[str]) -> list[Finding]:
    """Make the checks. Those that need a drained system fail, and say so, where it did not come to rest."""
    findings = []
    for check in CHECKS:
        if check.safety or facts.drained:
            findings.append(check.finding(facts, facts.seen))
        elif wanted:
            findings.append(check.unheld("the system did not come to rest: " + "; ".join(behind[:3])))
    return findings


async def load(found: Cut, log: Log, *, drained: bool) -> Facts:
    """Load everything the checks look at."""
    seen = Seen()
    positions = {service: protocol.offsets for service, protocol in found.protocols.items()}
    sequences = Sequences(found.partitions, found.beginnings, positions, seen)
    facts = Facts(sequences, drained=drained, seen=seen, protocols=found.protocols, ends=found.ends)
    connection = found.connection
    fold = await _tower(connection) if drained else None
    await read_topics(log, found.beginnings, found.ends, reader(facts, fold))
    sequences.finish()
    await load_rows(connection, facts)
    await load_ledger(connection, facts)
    for service in found.protocols:
        await load_batches(connection, facts, service)
        if drained:
            await load_streams(connection, facts, service)
    if fold is not None:
        await compare_with_table(connection, fold, facts)
    return facts


def reader(facts: Facts, fold: TowerFold | None) -> Callable[[Record], None]:
    """Return what takes in each record."""

    def take(record: Record) -> None:
        kind = facts.sequences.take(record)
        if kind is None:
            return
        decode = _DECODE.get(kind)
        try:
            event = decode(record.value or b"") if decode else None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            event = None
        if event is None or event.key.encode() != record.key:
            facts.seen["I-8"].add(f"{record.topic}/{record.partition} offset {record.offset}: no readable {kind}")
            return
        facts.take(event)
        if fold is not None:
            fold.take(record.topic, event)

    return take


async def _tower(connection: Any) -> TowerFold:
    count, now = await connection.fetchrow("SELECT count(*), clock_timestamp() FROM tower.order_view")
    assert isinstance(now, datetime), "Postgres knows the time"
    return tower_fold(count, now)
