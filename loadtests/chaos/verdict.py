"""Compares what clients were told with what the drained system holds, and lets the twenty invariants judge it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from contracts import envelope
from contracts.topics import EVENT_TYPES, SERVICES
from libs.stream.kafka import KafkaLog
from libs.stream.log import Record
from libs.testkit.invariants import Finding
from libs.testkit.invariants.cut import cut, read_topics, reading
from libs.testkit.invariants.findings import Wrong
from libs.testkit.invariants.run import judge, load
from libs.testkit.invariants.work import nothing_stuck
from loadtests.chaos.told import Told, read_told

KEYS_AT_ONCE = 2_000
EXAMPLES_LIMIT = 20
ORDERS = frozenset({"order", "order again", "probe order", "amendment"})
# Facts that may be published once only; the fields beside the order that tell two of them apart.
ONCE: Mapping[str, tuple[str, ...]] = {
    "OrderPlaced": (),
    "OrderAmended": ("version",),
    "OrderCancelRequested": (),
    "OrderRejected": (),
    "StockAssigned": (),
    "StockShipped": ("parcel_id",),
    "PickTaskCreated": ("task_id",),
    "ItemsPicked": ("task_id",),
    "ParcelPacked": ("task_id",),
    "ParcelShipped": ("task_id",),
    "FulfillmentCancelled": (),
    "NoticeSent": ("notice_id",),
}
_OVERSOLD = """
SELECT sku FROM inventory.pool
WHERE reserved > on_hand + in_transit + allowance + inbound_points * sellable_inbound_percent / 10000 + deficit
   OR on_hand < 0 OR reserved < 0
"""


@dataclass
class Published:
    """What the topics hold, each number of each writer once: how often each fact that may be said once was said."""

    said: dict[tuple[str, ...], set[tuple[str, int, str, int]]] = field(default_factory=lambda: defaultdict(set))
    records: int = 0

    def take(self, record: Record) -> None:
        """Take in one record."""
        self.records += 1
        headers = dict(record.headers)
        kind = headers[envelope.HEADER_TYPE].decode()
        apart = ONCE.get(kind)
        if apart is None:
            return
        event: Any = msgspec.json.decode(record.value or b"", type=EVENT_TYPES[kind])
        number = (
            record.topic,
            record.partition,
            headers[envelope.HEADER_SOURCE].decode(),
            int(headers[envelope.HEADER_ID]),
        )
        self.said[(kind, event.key, *[str(getattr(event, name)) for name in apart])].add(number)

    def has(self, kind: str, order_id: str) -> bool:
        """Tell whether such a fact of an order was published."""
        return (kind, order_id) in self.said

    @property
    def twice(self) -> list[str]:
        """What was said more than once under different numbers."""
        return sorted(" ".join(fact) for fact, numbers in self.said.items() if len(numbers) > 1)


@dataclass
class Found:
    """What the database holds of what clients were told."""

    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    placed: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    oversold: list[str] = field(default_factory=list)
    parked: int = 0


@dataclass
class Verdict:
    """The outcome of a run. Lists hold what speaks against it, in words."""

    told: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    oversold: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    stuck_count: int = 0
    parked: int = 0
    records: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Tell whether nothing is lost, doubled, oversold or stuck and every invariant holds."""
        wrong = self.lost or self.duplicated or self.oversold or self.stuck_count
        return not wrong and bool(self.findings) and all(finding.ok for finding in self.findings)


async def reach_verdict(env: Mapping[str, str], notebook: Path, unanswered: list[str], drain_limit_s: float) -> Verdict:
    """Wait until the system is at rest, then compare."""
    told = list(read_told(notebook))
    verdict = Verdict()
    log = KafkaLog(env["ORDO_KAFKA"], "ordo-chaos")
    try:
        async with (
            reading(env["ORDO_POSTGRES"]) as connection,
            cut(connection, log, drained=True, drain_limit_s=drain_limit_s) as found,
        ):
            facts = await load(found, log, drained=not found.behind)
            facts.acked = {each.order_id for each in told if each.what in ORDERS}
            published = Published()
            await read_topics(log, found.beginnings, found.ends, published.take)
            held = await _held(connection, told)
            stuck = Wrong()
            nothing_stuck(facts, stuck)
            behind = found.behind + found.late
    finally:
        await log.close()
    verdict.findings = judge(facts, wanted=True, behind=found.behind)
    verdict.records = published.records
    verdict.parked = held.parked
    verdict.duplicated = published.twice
    verdict.oversold = held.oversold
    verdict.stuck = [*behind, *stuck.examples, *unanswered][:EXAMPLES_LIMIT]
    verdict.stuck_count = len(behind) + stuck.count + len(unanswered)
    compare(told, held, published, verdict)
    return verdict


def compare(told: list[Told], held: Found, published: Published, verdict: Verdict) -> None:
    """Look for everything that clients were told: the stored answer, the row, and the published fact."""
    for each in told:
        verdict.told[each.what] += 1
        why = _missing(each, held, published)
        if why:
            verdict.lost.append(f"{each.what} {each.log_key}: {why}")
        else:
            verdict.found[each.what] += 1


def _missing(told: Told, held: Found, published: Published) -> str:
    answer = held.answers.get((told.service, told.log_key))
    if answer is None:
        return "the service has no record of it"
    if answer != (told.status, told.answer):
        return f"it was answered {told.status} {told.answer}, but {answer[0]} {answer[1]} is kept"
    if told.what in ORDERS and told.order_id not in held.placed:
        return "ingestion has no such order"
    if told.what in ORDERS and not published.has("OrderPlaced", told.order_id):
        return "it was never published"
    placed_and_cancelled = told.order_id in held.cancelled and told.order_id in held.placed
    if told.what == "cancellation" and not (told.order_id in held.cancelled or told.order_id not in held.placed):
        return "ingestion has the order, but not its cancellation"
    if (
        told.what == "cancellation"
        and placed_and_cancelled
        and not published.has("OrderCancelRequested", told.order_id)
    ):
        return "its cancellation was never published"
    return ""


async def _held(connection: Any, told: list[Told]) -> Found:
    found = Found()
    keys: dict[str, list[str]] = defaultdict(list)
    for each in told:
        keys[each.service].append(each.log_key)
    for service, asked in keys.items():
        sql = f"SELECT idempotency_key, status, reply FROM {service}.command_log WHERE idempotency_key = ANY($1)"
        for begin in range(0, len(asked), KEYS_AT_ONCE):
            for key, status, reply in await connection.fetch(sql, asked[begin : begin + KEYS_AT_ONCE]):
                found.answers[(service, key)] = (status, msgspec.json.decode(reply))
    for order_id, version, request in await connection.fetch(
        "SELECT order_id, version, cancel_request_id FROM ingestion.platform_order"
    ):
        if version:
            found.placed.add(order_id)
        if request is not None:
            found.cancelled.add(order_id)
    found.oversold = [row[0] for row in await connection.fetch(_OVERSOLD)]
    for service in SERVICES:
        found.parked += await connection.fetchval(f"SELECT count(*) FROM {service}.parked")
    return found
