"""The exposure ledger: how much each channel may still sell at worst, and the next push that keeps this within budget.

The invariant, per SKU: for every listing, `most(listing)` is at least what its platform has sold that the ATP last
heard does not account for, plus what the platform still offers. A sale moves a unit from the second to the first and
leaves the sum; it leaves the sum when the ATP shows it. An order and the figures that show it come over different
topics, so a sale is held against its channel until figures came after it and `figures_late_ms` have passed: for that
time it may count twice, never not at all. What may be oversold is therefore at most `max(0, sum of most - ATP)`, and
nothing is pushed that would bring this over the budget.

What a push does to a platform's number depends on sales not heard of yet: a platform that sold everything and is then
told 5 has sold everything and offers 5. So a set counts in full beside what was offered before, a lowering counts as
not made, until every sale up to the platform's answer has been heard (the shop's completeness watermark tells).

Each answer waits for its own shop's watermark alone. A slow shop still holds back the others' raises twice: until its
set is trusted, for it may have sold all that it offered and now offer the new number too; and until it is known at all,
for what it sold unheard before our first word no number that we told it bounds. Both may be oversold in truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.ingestion.domain.allocation import allocate
from services.ingestion.domain.ledger import Channels, Exposure, Flight, Listing, Patience

SET, DELTA, READ = "set", "delta", "read"
Outcome = Literal["done", "not done", "unknown"]
PERCENT = 100
COALESCE_MS = 500
WORTH_A_GAP = 2  # times: told nothing in between, a listing is out of stock for a moment


@dataclass(frozen=True)
class Push:
    """A call to make: `kind` set, delta or read."""

    listing: Listing
    flight: Flight


def under_way(listing: Listing) -> int:
    """Return what the call under way may add to what is offered."""
    flight = listing.flight
    if flight is None or flight.value <= 0:
        return 0
    if flight.kind == READ:
        beyond = flight.ended_ms is not None and flight.value - flight.after - flight.between > listing.offered
        return flight.value if beyond else 0
    return flight.value


def pending(listing: Listing, *, at_least: bool = False) -> int:
    """Return the units sold that the figures do not show yet: at most, or `at_least`."""
    return listing.unshown if at_least else listing.unshown + sum(units for _, units in listing.recent)


def most(listing: Listing) -> int:
    """Return what the channel may have sold beyond the figures, or may still sell, at worst."""
    return max(0, listing.offered + under_way(listing)) + pending(listing) + listing.restored


def bound(row: Exposure) -> int | None:
    """Return how many units may be oversold at worst; None while a platform's number or the ATP is not known."""
    if row.atp is None or not all(listing.known for listing in row.listings):
        return None
    return max(0, sum(most(listing) for listing in row.listings) - row.atp)


def hear_figures(row: Exposure, atp: int, sellable: int, now_ms: int) -> None:
    """Take the newest figures; sales heard before them begin to age."""
    row.atp, row.sellable = atp, sellable
    row.figures_no += 1
    row.figures_ms = now_ms
    for listing in row.listings:
        if listing.unshown:
            if listing.recent and listing.unshown_ms - listing.recent[-1][0] < COALESCE_MS:
                units = listing.recent[-1][1] + listing.unshown
                listing.recent = [*listing.recent[:-1], (listing.unshown_ms, units)]
            else:
                listing.recent = [*listing.recent, (listing.unshown_ms, listing.unshown)]
            listing.unshown = 0


def sell(row: Exposure, shop_id: str, units: int, sold_ms: int, now_ms: int, patience: Patience) -> bool:
    """Note an order that was placed: its units are offered no more, and are not in the figures yet."""
    for listing in row.listings:
        if listing.shop_id != shop_id:
            continue
        flight = listing.flight
        listing.sold += units
        listing.offered -= units
        listing.unshown += units
        listing.unshown_ms = now_ms
        if flight is None:
            if listing.offered < 0:
                # It sold what it was not offered: its number is not what it was told.
                listing.wants_read = True
                listing.offered = 0
        elif flight.ended_ms is not None and sold_ms > flight.ended_ms + patience.clock_skew_ms:
            flight.after += units
        elif sold_ms >= flight.sent_ms - patience.clock_skew_ms:
            flight.between += units
        return True
    return False


def restore(row: Exposure, shop_id: str, units: int, now_ms: int) -> bool:
    """Note an order that was cancelled: its platform may offer its units again, and the figures will too."""
    for listing in row.listings:
        if listing.shop_id == shop_id:
            listing.restored += units
            listing.restored_ms = now_ms
            return True
    return False


def expire(row: Exposure, now_ms: int, patience: Patience) -> None:
    """Let sales and cancellations go that the figures must show by now; whether a platform took back, it is asked."""
    for listing in row.listings:
        # What a call under way makes of it nobody can tell, so it is kept beside until that is settled.
        old = now_ms - listing.restored_ms > patience.figures_late_ms
        if listing.restored and listing.flight is None and old:
            listing.offered += listing.restored
            listing.restored, listing.wants_read = 0, True
        if listing.recent and now_ms - listing.recent[0][0] > patience.figures_late_ms:
            listing.recent = [each for each in listing.recent if now_ms - each[0] <= patience.figures_late_ms]


def answered(
    row: Exposure, change_id: str, outcome: Outcome, read: int | None, now_ms: int, patience: Patience, word: str = ""
) -> bool:
    """Take in how a call ended; an answer to anything but the call under way changes nothing (late, or doubled)."""
    for listing in row.listings:
        flight = listing.flight
        if flight is None or flight.change_id != change_id or flight.ended_ms is not None:
            continue
        listing.word = word if outcome != "done" else ""
        listing.failures = 0 if outcome == "done" else listing.failures + 1
        if outcome != "done":
            wait_ms = patience.retry_first_ms * 2 ** min(listing.failures - 1, 10)
            listing.retry_ms = now_ms + min(wait_ms, patience.retry_last_ms)
        if outcome == "done" and flight.kind != READ:
            listing.acknowledged = listing.told
            listing.wants_read = True
        if flight.kind == READ and read is not None and outcome == "done":
            flight.value, flight.ended_ms = read, now_ms
        elif outcome == "not done" or flight.kind == READ or (outcome == "unknown" and not flight.value):
            listing.flight = None
        elif flight.kind == DELTA and (flight.value > 0 or outcome == "unknown"):
            # A raise counts whether or not it happened, a lowering only when it surely did; a reading tells.
            listing.offered += max(0, flight.value)
            listing.wants_read = True
            listing.unsure = listing.unsure or outcome == "unknown"
            listing.flight = None
        else:
            flight.ended_ms, flight.certain = now_ms, outcome == "done"
        return True
    return False


def settle(listing: Listing, heard_ms: int, patience: Patience) -> bool:
    """Trust an answer once every sale up to it is heard: what was sold before it is known, what came after counts."""
    flight = listing.flight
    if flight is None or flight.ended_ms is None or heard_ms < flight.ended_ms + patience.clock_skew_ms:
        return False
    at_worst = listing.offered + under_way(listing)
    if flight.kind == READ:
        offered = _read(listing, flight)
    elif flight.kind == DELTA:
        offered = listing.offered + flight.value
    elif flight.certain:
        offered = min(flight.value - flight.after, at_worst) if listing.known else flight.value - flight.after
        listing.unsure = False
    else:
        offered = min(max(listing.offered, flight.value - flight.after), at_worst)
        listing.wants_read = True
    listing.known = listing.known or (flight.certain and flight.kind != DELTA)
    listing.offered = max(0, offered)
    listing.flight = None
    return True


def _read(listing: Listing, flight: Flight) -> int:
    """Compare a reading with the ledger; sales around the reading may be in it or not, so within them both agree."""
    listing.wants_read = listing.unsure = False
    highest = flight.value - flight.after
    if not listing.known:
        return highest
    if highest - flight.between <= listing.offered <= highest:
        listing.drift = 0
        return listing.offered
    listing.drift = highest - listing.offered
    listing.drifts += 1
    return highest


def targets(row: Exposure) -> dict[str, int]:
    """Return what each shop should offer of what is left."""
    left = 0 if row.atp is None else row.sellable - sum(pending(each, at_least=True) for each in row.listings)
    return allocate(left, [(each.shop_id, each.policy) for each in row.listings if each.active])


def plan(row: Exposure, heard_ms: Mapping[str, int], now_ms: int, channels: Channels, patience: Patience) -> list[Push]:
    """Return the calls to make now: lowerings first, then raises as far as the budget allows, one under way a listing.

    `heard_ms` tells, by shop, up to when every sale is here.
    """
    expire(row, now_ms, patience)
    for listing in row.listings:
        settle(listing, heard_ms.get(listing.shop_id, 0), patience)
    row.listings = [each for each in row.listings if each.active or each.flight or not _gone(each)]
    if row.atp is None:
        return []
    wanted = targets(row)
    slack = row.atp + row.budget - sum(most(each) for each in row.listings)
    certain_slack = slack + sum(pending(each) - pending(each, at_least=True) + each.restored for each in row.listings)
    all_known = all(each.known for each in row.listings)
    free = [each for each in row.listings if each.flight is None and each.retry_ms <= now_ms]
    free.sort(key=lambda each: (each.policy.priority, each.shop_id))
    pushes: list[Push] = []
    for listing in free:
        target = wanted.get(listing.shop_id, 0)
        if first := _first_contact(row, listing, channels, now_ms):
            pushes.append(first)
        elif lowered := _lower(row, listing, target, slack, certain_slack, channels, patience, now_ms):
            slack -= under_way(listing)
            pushes.append(lowered)
    for listing in free:
        target = wanted.get(listing.shop_id, 0)
        if listing.flight is not None:
            continue
        raised = None
        if all_known and target - listing.offered > (_tolerance(target, patience) if listing.offered else 0):
            raised = _raise(row, listing, target, slack, channels, now_ms)
        if raised is None and listing.wants_read and listing.channel in channels.reads:
            raised = _call(row, listing, READ, 0, None, now_ms)
        if raised is not None:
            slack -= under_way(listing)
            pushes.append(raised)
    return pushes


def wake_at(row: Exposure, now_ms: int, patience: Patience) -> int:
    """Return when time alone changes something: an answer to trust, a call to repeat, a sale to expire; 0: never."""
    times: list[int] = []
    for listing in row.listings:
        if listing.flight is not None and listing.flight.ended_ms is not None:
            times.append(now_ms + patience.settle_check_ms)
        if listing.flight is None and listing.retry_ms > now_ms:
            times.append(listing.retry_ms)
        times += [at + patience.figures_late_ms + 1 for at, _ in listing.recent[:1]]
        if listing.restored and listing.flight is None:
            times.append(listing.restored_ms + patience.figures_late_ms + 1)
    return min(times, default=0)


def start(row: Exposure, change_id: str, attempt: int) -> bool:
    """Tell whether an attempt may be made: a number at or under the last one is a repeat of what may have happened."""
    for listing in row.listings:
        flight = listing.flight
        if flight is not None and flight.change_id == change_id and flight.ended_ms is None:
            if attempt <= flight.started:
                return False
            flight.started = attempt
            return True
    return False


def _tolerance(target: int, patience: Patience) -> int:
    return target * patience.tolerance_percent // PERCENT


def _gone(listing: Listing) -> bool:
    return listing.known and listing.offered == 0 and pending(listing) == 0


def _first_contact(row: Exposure, listing: Listing, channels: Channels, now_ms: int) -> Push | None:
    """Ask what a platform offers that nobody has told anything; where it cannot be asked, it is told nothing."""
    if listing.known and not (listing.unsure and listing.channel not in channels.reads):
        return None
    if listing.channel in channels.reads:
        return _call(row, listing, READ, 0, None, now_ms)
    return _call(row, listing, SET, 0, 0, now_ms)


def _lower(
    row: Exposure,
    listing: Listing,
    target: int,
    slack: int,
    certain_slack: int,
    channels: Channels,
    patience: Patience,
    now_ms: int,
) -> Push | None:
    over = certain_slack < 0
    if listing.offered <= target or not (over or listing.offered - target > _tolerance(target, patience)):
        return None
    if listing.channel in channels.delta:
        return _call(row, listing, DELTA, target - listing.offered, target, now_ms)
    # Until it is trusted, a set counts beside what was offered; nothing at all is always safe to tell.
    if target <= slack:
        return _call(row, listing, SET, target, target, now_ms)
    if over or listing.offered >= WORTH_A_GAP * target:
        return _call(row, listing, SET, 0, 0, now_ms)
    return None


def _raise(row: Exposure, listing: Listing, target: int, slack: int, channels: Channels, now_ms: int) -> Push | None:
    if listing.channel in channels.delta:
        more = min(target - listing.offered, slack)
        return _call(row, listing, DELTA, more, listing.offered + more, now_ms) if more > 0 else None
    if target <= slack:
        return _call(row, listing, SET, target, target, now_ms)
    if listing.offered == 0:
        return _call(row, listing, SET, slack, slack, now_ms) if slack > 0 else None
    # Told the new number directly it might sell both; going through nothing is worth it only for a good deal more.
    if min(target, slack + listing.offered) >= WORTH_A_GAP * listing.offered:
        return _call(row, listing, SET, 0, 0, now_ms)
    return None


def _call(row: Exposure, listing: Listing, kind: str, value: int, told: int | None, now_ms: int) -> Push:
    listing.number += 1
    change_id = f"{listing.shop_id}/{row.sku}/{listing.number}"
    listing.flight = Flight(change_id=change_id, kind=kind, value=value, sent_ms=now_ms)
    if told is not None:
        listing.told = told
    return Push(listing, listing.flight)
