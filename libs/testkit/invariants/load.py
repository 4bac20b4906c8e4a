"""Streams the services' tables into facts, row by row, inside one snapshot."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from contracts.stock import SkuQuantity
from libs.testkit.invariants.cut import chunks
from libs.testkit.invariants.facts import Facts, PoolRow
from libs.testkit.invariants.ledger import Documents, LedgerFold, Policy
from libs.testkit.invariants.rows import (
    take_file,
    take_notice,
    take_platform,
    take_pool,
    take_reservation,
    take_risk,
    take_route,
    take_task,
    take_view,
    take_waiting,
)
from libs.testkit.invariants.sequences import BatchFold, OutboxFold

ROWS: dict[Callable[..., None], str] = {
    take_platform: (
        "SELECT p.order_id, p.state, p.version, count(*) FILTER (WHERE i.change = 'placed'), "
        "count(*) FILTER (WHERE i.change = 'amended') "
        "FROM ingestion.platform_order p LEFT JOIN ingestion.intake i USING (order_id) GROUP BY 1, 2, 3"
    ),
    take_risk: "SELECT order_id, state, version FROM risk.order_risk",
    take_reservation: "SELECT order_id, state, lines, parcels, wait FROM inventory.reservation",
    take_waiting: "SELECT sku, warehouse, ticket, order_id FROM inventory.waiting",
    take_pool: f"SELECT {', '.join(PoolRow.__struct_fields__)} FROM inventory.pool",
    take_route: (
        "SELECT r.order_id, r.state, r.version, t.key IS NOT NULL FROM routing.order_route r "
        "LEFT JOIN routing.timer t ON t.kind = 'retry' AND t.key = r.order_id"
    ),
    take_file: "SELECT order_id, state, version, tasks FROM fulfillment.order_file",
    take_task: "SELECT task_id, order_id, warehouse, state, lines FROM fulfillment.pick_task",
    take_notice: "SELECT order_id, notice_id, state FROM notification.notice",
    take_view: "SELECT order_id, stage, version FROM tower.order_view",
}
_DOCUMENTS = (
    "SELECT c.kind, c.body, b.decided_at FROM inventory.command_log c "
    "JOIN inventory.batch_log b ON b.batch_no = c.batch_no AND b.shard = 0 "
    "WHERE c.status < 400 AND c.kind = ANY($1) ORDER BY c.batch_no, c.place"
)
_KINDS = ["ReceiveStock", "CountStock", "AnnounceInbound", "SendTransfer", "DefineSku"]
_LEDGER = "SELECT cause, sku, warehouse, kind, delta, at FROM inventory.ledger ORDER BY n"
_LEDGER_KEY = (
    "SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_index i "
    "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
    "WHERE i.indrelid = 'inventory.ledger'::regclass AND i.indisprimary"
)
_OUTBOX = "SELECT stream, topic, part, seq, key, type, cause, value FROM {0}.outbox ORDER BY stream, topic, part, seq"
_BATCHES = "SELECT shard, batch_no, inputs -> 'read' FROM {0}.batch_log ORDER BY shard, batch_no"
_UNEXPLAINED = (
    "SELECT o.topic, o.part, o.seq, o.cause FROM {0}.outbox o WHERE o.cause LIKE 'command:%' AND NOT EXISTS "
    "(SELECT 1 FROM {0}.command_log c WHERE c.idempotency_key = substr(o.cause, 9)) "
    "UNION ALL SELECT o.topic, o.part, o.seq, o.cause FROM {0}.outbox o WHERE o.cause LIKE 'sent:%' AND NOT EXISTS "
    "(SELECT 1 FROM {0}.egress e WHERE 'sent:' || e.destination || '/' || e.send_id = o.cause) LIMIT 100"
)
_UNSENT_NOTICES = (
    "SELECT n.order_id, n.notice_id FROM notification.notice n WHERE n.state <> 'opted_out' "
    "AND NOT (n.state = 'failed' AND n.attempts = 0) AND NOT EXISTS (SELECT 1 FROM notification.egress e "
    "WHERE e.destination = n.medium AND e.send_id = n.notice_id) LIMIT 100"
)
_decode_read = msgspec.json.Decoder(list[tuple[str, int, int, int]]).decode


class _Asked(msgspec.Struct):
    """The fields of inventory's commands that explain its ledger."""

    command_id: str = ""
    inbound_id: str | None = None
    transfer_id: str = ""
    sku: str = ""
    items: list[SkuQuantity] | None = None
    yield_percent: int = 0
    allowance: int | None = None
    sellable_inbound_percent: int | None = None


async def load_rows(connection: Any, facts: Facts) -> None:
    """Load every service's rows of orders and pools, and the small tables beside them."""
    for take, sql in ROWS.items():
        async for rows in chunks(connection, sql):
            for row in rows:
                take(facts, *row)
    copied = facts.copied
    for (order_id,) in await connection.fetch("SELECT order_id FROM notification.recipient WHERE known"):
        facts.stories.of(order_id).copies.recipient = True
    catalogue = await connection.fetch("SELECT sku, barcode, weight_grams, cost FROM inventory.sku")
    copied.inventory_skus = {sku: (barcode, weight, cost) for sku, barcode, weight, cost in catalogue}
    items = await connection.fetch("SELECT sku, barcode, weight_grams FROM fulfillment.item")
    copied.items = {sku: (barcode, weight) for sku, barcode, weight in items}
    copied.costs = dict(await connection.fetch("SELECT sku, cost FROM risk.sku_cost"))
    copied.stage_counts = dict(await connection.fetch("SELECT stage, orders FROM tower.stage_count"))
    copied.notices_without_egress = [
        f"{order_id} {notice_id}" for order_id, notice_id in await connection.fetch(_UNSENT_NOTICES)
    ]
    transfers = await connection.fetch("SELECT state, items, received FROM inventory.transfer")
    decode = msgspec.json.Decoder(list[SkuQuantity]).decode
    for state, sent, received in transfers:
        take_transfer(facts, state, decode(sent), decode(received))


def take_transfer(facts: Facts, state: str, sent: Iterable[SkuQuantity], received: Iterable[SkuQuantity]) -> None:
    """Take in a transfer: what is on the road, or what was lost on it."""
    if state == "in_transit":
        for item in sent:
            facts.stock.transit_units[item.sku] = facts.stock.transit_units.get(item.sku, 0) + item.quantity
    else:
        facts.stock.lost_units += sum([i.quantity for i in sent]) - sum([i.quantity for i in received])


async def load_ledger(connection: Any, facts: Facts) -> None:
    """Fold inventory's ledger over what the topics and the accepted commands explain."""
    documents = facts.stock.documents = Documents()
    decode = msgspec.json.Decoder(_Asked).decode
    for kind, body, decided_at in await connection.fetch(_DOCUMENTS, _KINDS):
        take_document(documents, kind, decode(body), decided_at)
    facts.stock.ledger_key = tuple(await connection.fetchval(_LEDGER_KEY) or ())
    ledger = facts.ledger = LedgerFold(facts.stories, documents, facts.seen)
    async for rows in chunks(connection, _LEDGER):
        for row in rows:
            ledger.take(*row)


def take_document(documents: Documents, kind: str, asked: Any, decided_at: Any) -> None:
    """Take in one accepted command."""
    if kind == "ReceiveStock":
        documents.receipts[asked.command_id] = asked.inbound_id
        documents.received_units += sum([item.quantity for item in asked.items or ()])
    elif kind == "CountStock":
        documents.counts.add(asked.command_id)
    elif kind == "AnnounceInbound":
        documents.inbound_yields[asked.inbound_id or ""] = asked.yield_percent
    elif kind == "SendTransfer":
        documents.transfers.add(asked.transfer_id)
    elif asked.allowance is not None or asked.sellable_inbound_percent is not None:
        changes = documents.policies.setdefault(asked.sku, [])
        before = changes[-1][1] if changes else Policy(0, 0)
        percent = asked.sellable_inbound_percent
        allowance = before.allowance if asked.allowance is None else asked.allowance
        changes.append((decided_at, Policy(allowance, before.sellable_inbound_percent if percent is None else percent)))


async def load_streams(connection: Any, facts: Facts, service: str) -> None:
    """Compare a service's outbox and its log of batches with the topics."""
    protocol = facts.protocols[service]
    outbox = OutboxFold(service, facts.sequences, facts.seen)
    facts.outboxes.append(outbox)
    async for rows in chunks(connection, _OUTBOX.format(service), rows=2_000):
        for row in rows:
            outbox.take(*row)
    outbox.finish(protocol.heads)
    for topic, part, seq, cause in await connection.fetch(_UNEXPLAINED.format(service)):
        protocol.unexplained_causes.append(f"{service}: number {seq} of {topic}/{part} follows from {cause[:80]}")


async def load_batches(connection: Any, facts: Facts, service: str) -> None:
    """Follow a service's log of batches."""
    batches = BatchFold(service, facts.seen)
    facts.batches.append(batches)
    async for rows in chunks(connection, _BATCHES.format(service)):
        for shard, batch_no, read in rows:
            batches.take(shard, batch_no, _decode_read(read) if read else ())
    protocol = facts.protocols[service]
    batches.finish(protocol.batch_nos, protocol.offsets)
