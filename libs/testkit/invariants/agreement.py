"""Agreement: every service's copy of an order is what the topics say, and every event's cause exists."""

from libs.testkit.invariants.facts import Copied, Facts
from libs.testkit.invariants.findings import Check, Wrong
from libs.testkit.invariants.stories import CANCELLED, MASK, OPEN, SHIPPED, ParcelStory, Story

# What each state of the stock topic is in inventory's own row.
RESERVATIONS = {
    "reserved": ("reserved",),
    "short": ("short",),
    "assigned": ("assigned",),
    "ended": ("released", "closed"),
    # Nothing was said: a refusal or cancellation came before the order did.
    "": ("released",),
}
RISKS = {"cleared": ("cleared", "closed"), "held": ("held", "closed"), "rejected": ("rejected",), "": ("closed",)}


def rebuilt(facts: Facts, wrong: Wrong) -> str:
    """Compare inventory's reservations and the tower's counters with what the topics make of them."""
    for story in facts.stories.values():
        if not story.placed:
            continue
        row = story.copies.reservation
        wrong.expect(
            row in RESERVATIONS.get(story.stock, ()),
            f"{story.order_id}: its reservation is {row or 'missing'}, the topic makes it {story.stock or 'nothing'}",
        )
        wrong.expect(
            story.copies.reservation_goods == _open_goods(story),
            f"{story.order_id}: its reservation holds other goods than the topic says",
        )
    copied = facts.copied
    for stage in sorted(copied.stage_counts.keys() | copied.stage_rows.keys()):
        counted, rows = copied.stage_counts.get(stage, 0), copied.stage_rows.get(stage, 0)
        wrong.expect(counted == rows, f"the tower counts {counted} orders in {stage}, {rows} stand there")
    return f"{len(facts.stories)} reservations, {copied.folded_orders} orders folded anew by the tower's own handlers"


def _open_goods(story: Story) -> int:
    if story.stock == "reserved":
        return story.promised.get(story.stock_version, 0)
    if story.stock == "assigned":
        open_parcels = [parcel.goods for parcel in story.parcels.values() if parcel.stock == OPEN]
        return sum(open_parcels) & MASK
    return 0


def agreed(facts: Facts, wrong: Wrong) -> str:
    """Compare all copies of each order, the catalogue's copies, and the causes that events name."""
    for story in facts.stories.values():
        if story.placed:
            _order(story, wrong)
        else:
            named = story.copies
            known = named.risk or named.reservation or named.route or named.file or named.stage or story.parcels
            wrong.expect(not known, f"{story.order_id} is known to services, but was never placed")
    _catalogue(facts, wrong)
    _causes(facts, wrong)
    return f"{len(facts.stories)} orders in 7 services, {len(facts.copied.inventory_skus)} SKUs, {_named(facts)}"


def _order(story: Story, wrong: Wrong) -> None:
    copies, name = story.copies, story.order_id
    for service, version in (
        ("ingestion", copies.platform_version),
        ("routing", copies.route_version),
        ("fulfillment", copies.file_version),
        ("tower", copies.view_version),
    ):
        wrong.expect(version == story.version, f"{name}: {service} has content {version}, the topic {story.version}")
    wrong.expect(copies.recipient, f"{name}: notification does not know it")
    wrong.expect(
        (copies.platform == CANCELLED) == (story.requests > 0),
        f"{name}: ingestion has it as {copies.platform}, {story.requests} cancellations were published",
    )
    wrong.expect(
        copies.risk in RISKS[story.risk] and (copies.risk != "closed" or story.requests > 0),
        f"{name}: risk has it as {copies.risk or 'unknown'}, its topic says {story.risk or 'nothing'}",
    )
    wrong.expect(
        copies.risk not in ("cleared", "held") or copies.risk_version == story.version,
        f"{name}: risk judged content {copies.risk_version}, the newest is {story.version}",
    )
    wrong.expect(_route_agrees(story), f"{name}: routing has it as {copies.route!r}, inventory said {story.stock!r}")
    for parcel_id, parcel in story.parcels.items():
        if parcel.stock or parcel.task or parcel.file_row:
            _parcel(parcel_id, parcel, wrong)


def _route_agrees(story: Story) -> bool:
    """Routing hears nothing of shipments: an order that left stays assigned there."""
    route = story.copies.route
    if story.stock == "assigned":
        return route == "assigned"
    if story.stock == "ended":
        return route == ("closed" if story.release else "assigned")
    return route != "assigned"


def _parcel(name: str, parcel: ParcelStory, wrong: Wrong) -> None:
    """A parcel lives in inventory's reservation, in fulfillment's file and task, and in two topics."""
    hands = parcel.task if parcel.task in (SHIPPED, CANCELLED) else OPEN
    states = {
        "the stock topic": parcel.stock,
        "the shipments topic": hands,
        "inventory's reservation": parcel.reservation_row,
        "fulfillment's file": parcel.file_row,
    }
    if len(set(states.values())) > 1:
        wrong.add(f"{name}: " + ", ".join(f"{where} says {state or 'nothing'}" for where, state in states.items()))
    if parcel.stock == SHIPPED:
        wrong.expect(parcel.stock_goods == parcel.left_goods, f"{name}: inventory consumed other goods than left")
    if parcel.task_goods:
        wrong.expect(parcel.task_goods == parcel.goods, f"{name}: the task is for other goods than were assigned")
    if hands == CANCELLED and not parcel.task_goods and not parcel.task_row:
        return  # cancelled as soon as it was assigned: no task was ever made
    row = (parcel.task_row, parcel.task_row_goods, parcel.task_row_warehouse)
    said = (parcel.task, parcel.task_goods, parcel.warehouse)
    wrong.expect(
        row == said, f"{name}: its task is {row[0] or 'missing'} at {row[2]}, events say {said[0]} at {said[2]}"
    )


def _catalogue(facts: Facts, wrong: Wrong) -> None:
    copied: Copied = facts.copied
    for sku, facts_of_sku in sorted(copied.inventory_skus.items()):
        wrong.expect(copied.skus.get(sku) == facts_of_sku, f"{sku}: the catalogue topic says something else")
        barcode, weight, cost = facts_of_sku
        wrong.expect(copied.items.get(sku) == (barcode, weight), f"{sku}: fulfillment has another barcode or weight")
        wrong.expect(copied.costs.get(sku, -1) == cost, f"{sku}: risk has another cost")
    for sku, published in sorted(copied.levels.items()):
        pool = facts.stock.pools.get(sku)
        row = None if pool is None else (pool.on_hand, pool.reserved, pool.inbound + pool.in_transit)
        wrong.expect(row == published, f"{sku}: last published figures are {published}, its row says {row}")


def _causes(facts: Facts, wrong: Wrong) -> None:
    """A cause must have been read by the service that names it; what was read is in the topic (I-11)."""
    for (service, stream), cause in sorted(facts.sequences.causes.items()):
        source, _, place = stream.partition("#")
        topic, _, part = place.rpartition("/")
        last = facts.protocols[service].seqs.get((topic, int(part) if part.isdigit() else -1, source), 0)
        wrong.expect(
            cause.seq <= last,
            f"{cause.named_by} follows from number {cause.seq} of {stream}, {service} has read up to {last}",
        )
    for protocol in facts.protocols.values():
        for text in protocol.unexplained_causes:
            wrong.add(text)


def _named(facts: Facts) -> str:
    return f"causes in {len(facts.sequences.causes)} streams"


CHECKS = (
    Check(
        "I-19",
        "facts rebuild state: pools, reservations and the tower's view are the fold of what happened",
        False,
        rebuilt,
    ),
    Check("I-20", "all services' copies agree, and every event's cause exists and was read before", False, agreed),
)
