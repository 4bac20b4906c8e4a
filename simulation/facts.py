"""Loads a simulated system into the facts that the invariants I-1 to I-20 judge: the same checks as on a real one."""

from typing import Any

import msgspec

from contracts.topics import SERVICES, TOPICS
from libs.stream.memory import Stored
from libs.testkit.invariants.facts import Facts, PoolRow, Protocol
from libs.testkit.invariants.findings import Seen
from libs.testkit.invariants.ledger import LedgerFold
from libs.testkit.invariants.load import take_document, take_transfer
from libs.testkit.invariants.rebuild import TowerFold, compare
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
from libs.testkit.invariants.run import judge, reader
from libs.testkit.invariants.sequences import BatchFold, OutboxFold, Sequences
from libs.testkit.invariants.stock import LEDGER_KEY
from libs.testkit.invariants.work import WAIT_LIMIT_S
from libs.testkit.simulation.world import World
from services.fulfillment import domain as fulfillment
from services.ingestion import domain as ingestion
from services.inventory import domain as inventory
from services.notification import domain as notification
from services.risk import domain as risk
from services.routing import domain as routing
from services.tower import domain as tower
from simulation.services import all_handlers

_DOCUMENTS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        inventory.ReceiveStock,
        inventory.CountStock,
        inventory.AnnounceInbound,
        inventory.SendTransfer,
        inventory.DefineSku,
    )
}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def check_invariants(world: World, acked: set[str], sent: set[str]) -> None:
    """Judge a drained system by all twenty invariants."""
    facts = load(world)
    facts.acked, facts.sent = acked, sent
    for finding in judge(facts, wanted=True, behind=[]):
        if not finding.ok:
            world.fail(f"{finding.id} {finding.title}: {finding.detail}")


def load(world: World) -> Facts:
    """Load topics first, then every service's rows."""
    stored = {service: world.database(service).stored for service in SERVICES}
    partitions = {topic.name: world.cluster.partitions for topic in TOPICS}
    places = [(topic, part) for topic, count in partitions.items() for part in range(count)]
    protocols = {service: _protocol(service, some, world) for service, some in stored.items()}
    positions = {service: protocol.offsets for service, protocol in protocols.items()}
    seen = Seen()
    sequences = Sequences(partitions, dict.fromkeys(places, 0), positions, seen)
    ends = {place: len(world.cluster.records.get(place, ())) for place in places}
    facts = Facts(sequences, seen=seen, protocols=protocols, ends=ends)
    fold = TowerFold(all_handlers()[-1], tower.OrderView, 1, world.now())
    take = reader(facts, fold)
    for place in places:
        for record in world.cluster.records.get(place, ()):
            take(record)
    sequences.finish()
    _load_orders(facts, stored)
    _load_stock(facts, world, stored["inventory"])
    _load_copies(facts, stored)
    for service, some in stored.items():
        _load_streams(facts, service, some)
    _compare_tower(facts, fold, stored["tower"])
    return facts


def _protocol(service: str, stored: Stored, world: World) -> Protocol:
    now = world.now()
    waiting = [row for row in stored.egress.values() if row["next_try_at"] is not None]
    return Protocol(
        service,
        offsets=dict(stored.offsets),
        seqs=dict(stored.seqs),
        heads={(0, *place): (head.next_seq, head.cursor) for place, head in stored.heads.items()},
        batch_nos={0: stored.batch_no},
        parked=[f"{parked.type} of {parked.key}: {parked.error}" for parked in stored.parked],
        due_timers=sum(at <= now for at in stored.timers.values()),
        due_timer_age_s=max([(now - at).total_seconds() for at in stored.timers.values()], default=0.0),
        waiting_sends=len(waiting),
        waiting_send_age_s=WAIT_LIMIT_S if waiting else 0.0,
        egress_rows=len(stored.egress),
        egress_unknown=sum(row["outcome"] not in ("waiting", "sent", "refused") for row in stored.egress.values()),
        unexplained_causes=_unexplained(service, stored),
    )


def _unexplained(service: str, stored: Stored) -> list[str]:
    sent = {f"sent:{destination}/{send_id}" for destination, send_id in stored.egress}
    asked = {f"command:{key}" for key in stored.commands}
    return [
        f"{service}: number {outgoing.seq} of {outgoing.topic}/{outgoing.partition} follows from {cause}"
        for outgoing, _, cause in stored.outbox
        if cause.startswith(("sent:", "command:")) and cause not in sent and cause not in asked
    ]


def _load_orders(facts: Facts, stored: dict[str, Stored]) -> None:
    intakes: dict[str, list[str]] = {}
    for entry in stored["ingestion"].entries.get(ingestion.Intake, ()):
        assert isinstance(entry, ingestion.Intake), "entries are kept by type"
        intakes.setdefault(entry.order_id, []).append(entry.change)
    for row in stored["ingestion"].all_rows(ingestion.PlatformOrder):
        changes = intakes.get(row.order_id, [])
        take_platform(
            facts, row.order_id, row.state, row.version, changes.count(ingestion.PLACED), changes.count("amended")
        )
    for row in stored["risk"].all_rows(risk.OrderRisk):
        take_risk(facts, row.order_id, row.state, row.version)
    for row in stored["inventory"].all_rows(inventory.Reservation):
        take_reservation(facts, row.order_id, row.state, _json(row.lines), _json(row.parcels), _json(row.wait))
    for row in stored["inventory"].all_rows(inventory.Waiting):
        take_waiting(facts, row.sku, row.warehouse, row.ticket, row.order_id)
    timers = stored["routing"].timers
    for row in stored["routing"].all_rows(routing.OrderRoute):
        timer = (routing.RETRY_TIMER, row.order_id) in timers
        take_route(facts, row.order_id, row.state, row.version, timer)
    for row in stored["fulfillment"].all_rows(fulfillment.OrderFile):
        take_file(facts, row.order_id, row.state, row.version, _json(row.tasks))
    for row in stored["fulfillment"].all_rows(fulfillment.PickTask):
        take_task(facts, row.task_id, row.order_id, row.warehouse, row.state, _json(row.lines))
    for row in stored["notification"].all_rows(notification.Notice):
        take_notice(facts, row.order_id, row.notice_id, row.state)
    for row in stored["tower"].all_rows(tower.OrderView):
        take_view(facts, row.order_id, row.stage, row.version)


def _load_stock(facts: Facts, world: World, stored: Stored) -> None:
    for row in stored.all_rows(inventory.Pool):
        fields = [getattr(row, name) for name in PoolRow.__struct_fields__]
        take_pool(facts, *[_json(field) if isinstance(field, dict) else field for field in fields])
    for row in stored.all_rows(inventory.Transfer):
        take_transfer(facts, row.state, row.items, row.received)
    documents, told_at = facts.stock.documents, world.database("inventory").told_at
    for key, answered in stored.commands.items():
        kind = _DOCUMENTS.get(answered.kind)
        if kind is not None and answered.reply.status < 400:
            take_document(documents, answered.kind, msgspec.json.decode(answered.body, type=kind), told_at[key])
    facts.stock.ledger_key = LEDGER_KEY
    facts.ledger = LedgerFold(facts.stories, documents, facts.seen)
    keys = set()
    for entry in stored.entries.get(inventory.LedgerEntry, ()):
        assert isinstance(entry, inventory.LedgerEntry), "entries are kept by type"
        unique = (entry.cause, entry.kind, entry.sku, entry.warehouse)
        if unique in keys:
            facts.seen["I-4"].add(f"{unique} is booked twice: the database would refuse it")
        keys.add(unique)
        facts.ledger.take(entry.cause, entry.sku, entry.warehouse, entry.kind, entry.delta, entry.at)


def _load_copies(facts: Facts, stored: dict[str, Stored]) -> None:
    copied, said = facts.copied, stored["notification"]
    for row in said.all_rows(notification.Recipient):
        facts.stories.of(row.order_id).copies.recipient = row.known
    for row in stored["inventory"].all_rows(inventory.Sku):
        copied.inventory_skus[row.sku] = (row.barcode, row.weight_grams, row.cost)
    for row in stored["fulfillment"].all_rows(fulfillment.Item):
        copied.items[row.sku] = (row.barcode, row.weight_grams)
    for row in stored["risk"].all_rows(risk.SkuCost):
        copied.costs[row.sku] = row.cost
    for row in stored["tower"].all_rows(tower.StageCount):
        copied.stage_counts[row.stage] = row.orders
    copied.notices_without_egress = [
        f"{row.order_id} {row.notice_id}"
        for row in said.all_rows(notification.Notice)
        if row.state != "opted_out"
        and not (row.state == "failed" and row.attempts == 0)
        and (row.medium, row.notice_id) not in said.egress
    ]


def _load_streams(facts: Facts, service: str, stored: Stored) -> None:
    protocol = facts.protocols[service]
    batches = BatchFold(service, facts.seen)
    facts.batches.append(batches)
    for batch_no, _, inputs in stored.batches:
        batches.take(0, batch_no, inputs.get("read", ()))
    batches.finish(protocol.batch_nos, protocol.offsets)
    outbox = OutboxFold(service, facts.sequences, facts.seen)
    facts.outboxes.append(outbox)
    for o, kind, cause in sorted(stored.outbox, key=lambda row: (row[0].topic, row[0].partition, row[0].seq)):
        outbox.take(0, o.topic, o.partition, o.seq, o.key, kind, cause, o.value)
    outbox.finish(protocol.heads)


def _compare_tower(facts: Facts, fold: TowerFold, stored: Stored) -> None:
    fold.flush()
    views = {row.order_id: row for row in stored.all_rows(tower.OrderView)}
    for order_id in sorted(fold.orders.keys() | views.keys()):
        rebuilt = fold.orders.get(order_id)
        if rebuilt is not None:  # with times in the zone that stored rows carry them in
            rebuilt = msgspec.msgpack.decode(msgspec.msgpack.encode(rebuilt), type=tower.OrderView)
        difference = compare(rebuilt, views.get(order_id))
        if difference:
            facts.seen["I-19"].add(f"{order_id} in the tower: {difference}")
    facts.copied.folded_orders = len(views)
