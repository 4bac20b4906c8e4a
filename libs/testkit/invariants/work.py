"""Work: every outward call has one outcome, and nothing waits that nobody could move."""

from libs.testkit.invariants.facts import Facts
from libs.testkit.invariants.findings import Check, Wrong
from libs.testkit.invariants.stories import CANCELLED, SHIPPED, TERMINAL, Story

WAIT_LIMIT_S = 60.0
OUTCOMES = ("sent", "failed")


def outward(facts: Facts, wrong: Wrong) -> str:
    """Compare outward calls with the notices they carry and the notices with what was said of them."""
    rows = sum(protocol.egress_rows for protocol in facts.protocols.values())
    for service, protocol in facts.protocols.items():
        wrong.expect(
            not protocol.egress_unknown, f"{service}: {protocol.egress_unknown} calls ended without an outcome"
        )
    for name in facts.copied.notices_without_egress:
        wrong.add(f"notice {name} has no outward call")
    said, kept = facts.copied.notices, facts.copied.notice_rows
    for key, outcome in said.items():
        wrong.expect(kept.get(key) == outcome, f"a notice is published as {outcome} and kept as {kept.get(key)}")
    unsaid = sum(state in OUTCOMES and key not in said for key, state in kept.items())
    if unsaid and not any(facts.sequences.expired(place) for place in facts.ends if "notices" in place[0]):
        wrong.add(f"{unsaid} notices have an outcome that nobody published")
    parcels = 0
    for story in facts.stories.values():
        for name, parcel in story.parcels.items():
            parcels += parcel.task == SHIPPED
            wrong.expect(
                (parcel.task == SHIPPED) == bool(parcel.notice_row),
                f"{name}: {parcel.task or 'no task'}, its buyer's notice is {parcel.notice_row or 'not there'}",
            )
    return f"{rows} outward calls, {len(kept)} notices, {parcels} parcels that left"


def nothing_stuck(facts: Facts, wrong: Wrong) -> str:
    """List what is parked or late, and orders that wait for nobody."""
    for service, protocol in facts.protocols.items():
        for text in protocol.parked:
            wrong.add(f"{service} parked {text}")
        for what, count, age_s in (
            ("timers", protocol.due_timers, protocol.due_timer_age_s),
            ("outward calls", protocol.waiting_sends, protocol.waiting_send_age_s),
        ):
            wrong.expect(
                not count or age_s < WAIT_LIMIT_S, f"{service}: {count} {what} wait, the oldest for {age_s:.0f} s"
            )
    waiting = 0
    for story in facts.stories.values():
        if story.placed and story.copies.stage not in TERMINAL:
            waiting += 1
            wrong.expect(_waits_for_somebody(story), _stuck(story))
        copies = story.copies
        wrong.expect(copies.waits == copies.in_line, f"{story.order_id} waits for stock, but stands in no line")
    stock = facts.stock
    lengths = {(sku, name): queue.length for sku, pool in stock.pools.items() for name, queue in pool.waiting.items()}
    for place in sorted(lengths.keys() | stock.places.keys()):
        counted, standing = lengths.get(place, 0), stock.places.get(place, 0)
        wrong.expect(counted == standing, f"the line of {place[0]} {place[1]} counts {counted}, {standing} stand in it")
    return f"{waiting} open orders, {len(facts.protocols)} services"


def _waits_for_somebody(story: Story) -> bool:
    """Tell whether the stage names something that will move the order: a person, stock, a timer or a picker."""
    copies = story.copies
    if copies.stage == "held":
        return copies.risk == "held"
    if copies.stage == "short":
        return copies.reservation == "short" and copies.in_line
    if copies.stage == "blocked":
        return copies.route == "blocked" and (copies.in_line or copies.route_timer)
    if copies.stage in ("assigned", "picking", "packed"):
        return any(parcel.task_row not in ("", SHIPPED, CANCELLED) for parcel in story.parcels.values())
    return False


def _stuck(story: Story) -> str:
    copies = story.copies
    return (
        f"{story.order_id} stands in {copies.stage or 'no stage'} and waits for nobody: risk {copies.risk or '-'}, "
        f"reservation {copies.reservation or '-'}, route {copies.route or '-'}"
    )


CHECKS = (
    Check("I-17", "each outward call has one row and one outcome, each parcel that left one notice", False, outward),
    Check("I-18", "nothing is stuck: parked, late, or waiting for nobody", False, nothing_stuck),
)
