"""Records nobody should have written, straight into every topic: parked with a reason or dropped and counted."""

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from contracts.envelope import HEADER_ID, HEADER_SOURCE, HEADER_TYPE
from contracts.topics import TOPICS, Topic
from libs.stream.kafka import KafkaLog
from libs.stream.log import Outgoing
from libs.stream.partition import partition_of
from libs.testkit.client import Merchant, order_body
from libs.testkit.fixtures import PARTITIONS
from libs.testkit.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
WAIT_LIMIT_S = 60.0
PARTITION = 1
HUGE_BYTES = 900_000
# Long and of a kind that no database can pack: an index takes 2,704 bytes.
LONG = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(300))
Headers = Sequence[tuple[str, Any]]


def headers(source: Any, seq: Any, kind: Any, *more: tuple[str, Any]) -> Headers:
    found = ((HEADER_SOURCE, source), (HEADER_ID, seq), (HEADER_TYPE, kind), *more)
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in found]


class Poisoner:
    """Makes one topic's poison: `stray` streams are of the right writer, but nobody's."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.kind = topic.events[0].__name__
        self._streams = itertools.count(700)

    def stray(self) -> str:
        return f"{self.topic.writer}/{next(self._streams)}/1"

    def record(self, headers: Headers, value: Any = b"{}", key: Any = b"poison") -> Outgoing:
        return Outgoing(self.topic.name, PARTITION, 0, int(time.time() * 1000), key, value, headers)  # type: ignore[arg-type]

    def ours(self, value: Any, key: Any = b"poison", kind: Any = None, seq: Any = "1") -> Outgoing:
        return self.record(headers(self.stray(), seq, kind or self.kind), value, key)

    def bodies(self) -> Iterator[tuple[str, Outgoing]]:
        """Yield events in their right place whose bytes are wrong."""
        yield "bad JSON", self.ours(b'{"order_id": ')
        yield "empty", self.ours(b"")
        yield "a tombstone", self.ours(None)
        yield "no object", self.ours(b"[1, 2]")
        yield "nothing in it", self.ours(b"{}")
        yield "invalid UTF-8", self.ours(b'{"order_id": "\xff\xfe"}')
        yield "half a character", self.ours(b'{"order_id": "\\ud800", "sku": "\\ud800"}')
        yield "deep", self.ours(b"[" * 100_000)
        yield "huge", self.ours(b'{"x": "' + b"x" * HUGE_BYTES + b'"}')
        yield "huge and bad", self.ours(b"x" * HUGE_BYTES)
        yield "an unknown type", self.ours(b'{"order_id": "poison"}', kind="OrderTeleported")
        yield "a type that is none", self.ours(b"{}", kind="a\x00b")
        yield "a long type", self.ours(b"{}", kind=LONG)

    def keys(self) -> Iterator[tuple[str, Outgoing]]:
        """Yield events whose key is wrong."""
        yield "no key", self.ours(b"{}", None)
        yield "an empty key", self.ours(b"{}", b"")
        yield "a key with NUL", self.ours(b"{bad", b"poi\x00son")
        yield "a key of no UTF-8", self.ours(b"{bad", b"\xff\xfe")
        yield "a long key", self.ours(b"{bad", LONG.encode())
        yield "a key with a slash", self.ours(b"{bad", b"../../etc/passwd")

    def envelopes(self) -> Iterator[tuple[str, Outgoing]]:
        """Yield records whose headers are missing, foreign or wrong."""
        yield "no headers", self.record([])
        yield "headers without values", self.record(headers(None, None, None))
        yield "a key and a type without value", self.record(headers(self.stray(), None, None))
        yield "a source without value", self.record(headers(None, "1", self.kind))
        yield "no source", self.record([(HEADER_ID, b"1"), (HEADER_TYPE, self.kind.encode())])
        yield "no type", self.record(headers(self.stray(), "1", ""))
        yield "a stranger", self.record(headers("mallory/0/1", "1", self.kind))
        yield "almost the writer", self.record(headers(f"{self.topic.writer}x/0/1", "1", self.kind))
        yield "a source of no ASCII", self.record(headers(b"\xff\xfe\x00", "1", self.kind))
        yield "a source with NUL", self.record(headers(f"{self.topic.writer}/\x00/1", "1", self.kind), b"{bad")
        yield "a long source", self.record(headers(f"{self.topic.writer}/{LONG}/1", "1", self.kind), b"{bad")
        for seq in ("", "0", "-1", "1.5", "x", "9" * 18, "9" * 400, "\u0661", b"\x00"):
            yield f"number {seq!r:.20}", self.record(headers(self.stray(), seq, self.kind))
        stream = self.stray()
        yield "a first number", self.record(headers(stream, "1", "OrderTeleported"))
        yield "a repeat", self.record(headers(stream, "1", self.kind), b"{bad")
        yield "a gap", self.record(headers(stream, "900000000", self.kind), b"{bad")
        yield "twice the same header", self.record(headers(self.stray(), "1", self.kind, (HEADER_ID, b"7")))
        more = [(f"h{n}", b"x" * 100) for n in range(500)]
        yield "500 headers", self.record(headers(self.stray(), "1", self.kind, *more), b"{bad")


def impossible() -> Iterator[tuple[str, Outgoing]]:
    """Yield orders that are an order in form, and cannot be one."""
    orders = Poisoner(next(topic for topic in TOPICS if topic.name == "ordo.orders.v1"))
    good: dict[str, Any] = {
        "order_id": "own.demo.poison",
        "version": 1,
        "channel": "own",
        "shop_id": "demo",
        "platform_order_id": "poison",
        "placed_at": "2026-11-11T00:00:00Z",
        "currency": "CNY",
        "destination": {"resolved": False},
        "lines": [{"line_id": "1", "sku": "POISON", "quantity": 1, "unit_price": 1}],
        "shipping_fee": 0,
        "total": 1,
        "kind": "normal",
        "sealed": "v1.x.y",
    }

    def order(name: str, key: str | None = None, **more: Any) -> Outgoing:
        found = good | {"order_id": f"own.demo.{name}"} | more
        encoded = found["order_id"].encode("utf-8", "surrogatepass") if key is None else key.encode()
        return orders.ours(json.dumps(found).encode(), encoded)

    def line(**more: Any) -> list[dict[str, Any]]:
        return [good["lines"][0] | more]

    yield "a wrong key", order("wrong-key", "own.demo.another")
    yield "an id with NUL", order("nul\x00nul")
    yield "a SKU with NUL", order("sku-nul", lines=line(sku="a\x00b"))
    yield "an id that is too long", order(LONG)
    yield "a SKU that is too long", order("sku-long", lines=line(sku=LONG))
    yield "a quantity past 2^63", order("many", lines=line(quantity=2**63 + 5))
    yield "a quantity past 2^64", order("too-many", lines=line(quantity=2**70))
    yield "a negative quantity", order("negative", lines=line(quantity=-5))
    yield "a price past 2^63", order("dear", total=2**63 + 5)
    yield "the year 1", order("old", placed_at="0001-01-01T00:00:00Z")
    yield (
        "the year 9999",
        order("new", placed_at="9999-12-31T23:59:59Z", kind="presale", available_from="9999-12-31T23:59:59Z"),
    )
    yield "a status of its own", order("kind", kind="a\x00b")
    yield (
        "in the wrong topic",
        replace(order("moved"), topic="ordo.stock.v1", headers=headers("inventory/800/1", "1", "OrderPlaced")),
    )


def poison() -> Iterator[tuple[str, Outgoing]]:
    """Yield all poison for all topics."""
    for topic in TOPICS:
        maker = Poisoner(topic)
        for name, record in itertools.chain(maker.bodies(), maker.keys(), maker.envelopes()):
            yield f"{topic.name}: {name}", record
    yield from impossible()


async def verdicts(merchant: Merchant, service: str) -> dict[str, float]:
    """Return the counts of records by what the sequence rule said."""
    text = (await merchant.http.get(merchant.url(service, "/metrics"))).text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "ordo_records_total":
                found[sample.labels["verdict"]] = sample.value
    return found


async def drained(merchant: Merchant, service: str) -> bool:
    answer = await merchant.http.get(merchant.url(service, "/readyz"))
    return answer.status_code == 200 and answer.json()["lag_records"] == 0


async def good_orders(merchant: Merchant, name: str) -> None:
    """Send an order through every partition and wait until each has its pick task."""
    await merchant.define_stock(f"GOOD-{name}", {"CD": 50}, weight_grams=100)
    by_partition: dict[int, str] = {}
    for n in itertools.count():
        if len(by_partition) == PARTITIONS:
            break
        by_partition.setdefault(partition_of(f"own.demo.{name}-{n}".encode(), PARTITIONS), f"{name}-{n}")
    for number in by_partition.values():
        answer = await merchant.webhook(f"msg_{number}", order_body(number, {f"GOOD-{name}": 1}))
        assert answer.status_code == 202, answer.text
    stages: dict[str, str] = {}

    async def all_assigned() -> bool:
        for number in by_partition.values():
            path = merchant.url("tower", f"/orders/own.demo.{number}")
            page = await merchant.http.get(path, headers=merchant.bearer("operator"))
            view = page.json().get("order") if page.status_code == 200 else None
            stages[number] = view["stage"] if view else "unknown"
        return set(stages.values()) == {"assigned"}

    await until(all_assigned, WAIT_LIMIT_S, 0.1, missing=lambda: f"a partition is blocked: {stages}")


async def test_poison_blocks_nobody_and_is_set_aside_with_a_reason(survivor: Merchant, ruin: Path) -> None:
    await good_orders(survivor, "before")
    readers = sorted({reader for topic in TOPICS for reader in topic.readers})
    before = {service: await verdicts(survivor, service) for service in readers}
    log = KafkaLog(survivor.env["ORDO_KAFKA"], "poisoner")
    try:
        for name, record in poison():
            await asyncio.wait_for(log.publish([record]), WAIT_LIMIT_S)
            assert name
    finally:
        await log.close()

    async def all_drained() -> bool:
        return all([await drained(survivor, service) for service in readers])

    await until(all_drained, WAIT_LIMIT_S, 0.2)
    await good_orders(survivor, "after")
    for service in readers:
        after = await verdicts(survivor, service)
        counted = {verdict: after.get(verdict, 0) - before[service].get(verdict, 0) for verdict in after}
        assert counted["refused"] > 0, (service, counted)
        assert counted["gaps"] > 0, (service, counted)
        assert counted["repeated"] > 0, (service, counted)
        assert counted["unknown"] > 0, (service, counted)
        page = await survivor.http.get(survivor.url(service, "/parked?limit=200"), headers=survivor.bearer("sre"))
        parked = page.json()["items"]
        assert parked, service
        assert all(item["error"] for item in parked)
        # Somebody may try a message again; what is wrong with it stays wrong, and is said again.
        answer = await survivor.http.post(
            survivor.url(service, f"/parked/{quote(parked[0]['key'], safe='')}/redrive"),
            headers=survivor.bearer("sre"),
        )
        assert answer.status_code in (200, 409), answer.text
    await good_orders(survivor, "last")
