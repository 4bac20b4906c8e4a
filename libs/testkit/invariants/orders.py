"""Orders: accepted once, ended once, money and goods that add up, and one winner of every race."""

from libs.testkit.invariants.facts import Facts, left
from libs.testkit.invariants.findings import Check, Wrong
from libs.testkit.invariants.stories import CANCELLED, MASK, OPEN, SHIPPED, TERMINAL, Story

ENDED_RESERVATIONS = ("released", "closed")


def accepted_once(facts: Facts, wrong: Wrong) -> str:
    """Compare what the platforms were told is accepted, ingestion's rows, and the orders that were placed."""
    placed = 0
    for story in facts.stories.values():
        copies = story.copies
        unplaced = copies.platform in ("", "awaited", "left")
        placed += story.placed > 0
        wrong.expect(story.placed <= 1 and bool(story.placed) != unplaced, _acceptance(story))
        if story.placed:
            intakes = (copies.placed_intakes, copies.amended_intakes)
            wrong.expect(
                intakes == (1, story.version - 1),
                f"{story.order_id}: {intakes[0]} accepted and {intakes[1]} amending deliveries are kept, "
                f"{story.version} contents were published",
            )
    looked_at = f"{placed} orders"
    if facts.acked is not None:
        for order_id in sorted(facts.acked - _placed(facts)):
            wrong.add(f"{order_id} was acknowledged and is lost")
        looked_at += f", {len(facts.acked)} acknowledged ones"
    if facts.sent is not None:
        for order_id in sorted(_placed(facts) - facts.sent):
            wrong.add(f"{order_id} is there, but nobody sent it")
        looked_at += f", {len(facts.sent)} sent ones"
    return looked_at


def _acceptance(story: Story) -> str:
    return f"{story.order_id}: ingestion has it as {story.copies.platform or 'unknown'}, placed {story.placed} times"


def _placed(facts: Facts) -> set[str]:
    return {story.order_id for story in facts.stories.values() if story.placed}


def ended_once(facts: Facts, wrong: Wrong) -> str:
    """Compare the end the topics tell with the end inventory and the tower know."""
    ended = 0
    for story in facts.stories.values():
        if not story.placed:
            continue
        end, copies = story.end, story.copies
        ended += bool(end)
        known = copies.stage if copies.stage in TERMINAL else ""
        wrong.expect(known == end, f"{story.order_id}: the tower says {copies.stage!r}, the topics {end or 'no end'!r}")
        over = copies.reservation in ENDED_RESERVATIONS
        wrong.expect(over == bool(end), f"{story.order_id}: inventory says {copies.reservation!r}, topics {end!r}")
    return f"{len(_placed(facts))} orders, {ended} of them ended"


def machines(facts: Facts, wrong: Wrong) -> str:
    """Report what folding the topics saw."""
    return f"{len(facts.stories)} orders, {facts.sequences.records} records"


def money(facts: Facts, wrong: Wrong) -> str:
    """Report what folding the orders topic saw."""
    return f"{sum(story.version for story in facts.stories.values())} contents of {len(facts.stories)} orders"


def one_winner(facts: Facts, wrong: Wrong) -> str:
    """Check that no parcel left and was cancelled, and that every cancellation got its answer."""
    requests = 0
    for story in facts.stories.values():
        shipped = [name for name, parcel in story.parcels.items() if SHIPPED in (parcel.task, parcel.stock)]
        for name in shipped:
            parcel = story.parcels[name]
            wrong.expect(
                CANCELLED not in (parcel.task, parcel.stock),
                f"{name}: fulfillment says {parcel.task or 'nothing'}, inventory {parcel.stock or 'nothing'}",
            )
        before_shipping = story.release in ("cancelled", "refunded", "rejected")
        wrong.expect(not (shipped and before_shipping), f"{story.order_id}: {story.release}, and yet it left")
        if story.requests and facts.drained:
            requests += 1
            wrong.expect(story.end, f"{story.order_id}: cancellation requested, and it is still {story.copies.stage}")
            answered = story.too_late > 0 or story.stops > 0
            wrong.expect(
                story.end != SHIPPED or answered,
                f"{story.order_id}: it left in spite of a cancellation, and nobody said that it was too late",
            )
    return f"{len(facts.stories)} orders, {requests} cancellations"


def split(facts: Facts, wrong: Wrong) -> str:
    """Compare content, promise, parcels and shipments of each order: nothing more leaves than was ordered."""
    parcels = 0
    for story in facts.stories.values():
        for version, goods in story.promised.items():
            if version <= story.version:
                wrong.expect(
                    goods == story.contents[version - 1],
                    f"{story.order_id}: version {version} asks for other goods than were reserved",
                )
        assigned = [parcel for parcel in story.parcels.values() if parcel.stock]
        parcels += len(assigned)
        if assigned:
            ordered = story.promised.get(story.assigned_version)
            wrong.expect(
                ordered == sum([parcel.goods for parcel in assigned]) & MASK,
                f"{story.order_id}: its parcels do not add up to what was reserved for it",
            )
        for name, parcel in story.parcels.items():
            if parcel.task == SHIPPED and (parcel.stock or facts.drained):
                wrong.expect(parcel.left_goods == parcel.goods, f"{name}: other goods left than it was to hold")
            if facts.drained:
                wrong.expect(
                    not story.end or parcel.stock != OPEN, f"{name}: still open, although {story.order_id} ended"
                )
    return f"{parcels} parcels of {len(facts.stories)} orders, {left(facts)} of them left"


CHECKS = (
    Check("I-5", "each acknowledged order is there exactly once", False, accepted_once),
    Check("I-6", "no order ends twice, and all who know its end name the same", False, ended_once),
    Check("I-7", "orders, holds, plans, reservations and tasks move along their state machines", True, machines),
    Check(
        "I-14",
        "money: lines less discounts plus shipping make the total, refunds stay within it "
        "(there is no ledger of captures yet)",
        True,
        money,
    ),
    Check("I-15", "nothing is both shipped and cancelled, and every cancellation is answered", True, one_winner),
    Check("I-16", "parcels hold what was reserved, reservations what was ordered", True, split),
)
