"""Stock: figures equal their ledger, nothing is promised twice or out of thin air, every entry has its cause."""

from libs.testkit.invariants.facts import Facts, PoolRow
from libs.testkit.invariants.findings import Check, Wrong
from libs.testkit.invariants.ledger import Book, LedgerFold
from libs.testkit.invariants.stories import SHIPPED

LEDGER_KEY = ("cause", "kind", "sku", "warehouse")
_NONE = PoolRow("", False, 0, 0, 0, 0, 0, {}, {})


def _ledger(facts: Facts) -> LedgerFold:
    assert facts.ledger is not None, "the ledger is folded before it is checked"
    return facts.ledger


def figures(facts: Facts, wrong: Wrong) -> str:
    """Compare every pool with the sums of its entries."""
    ledger, pools = _ledger(facts), facts.stock.pools
    for sku in sorted(ledger.books.keys() | pools.keys()):
        book, pool = ledger.books.get(sku) or Book(), pools.get(sku) or _NONE
        levels = sum([level.on_hand for level in pool.warehouses.values()])
        for name, row, entries in (
            ("on_hand", pool.on_hand, book.total),
            ("on_hand by warehouse", levels, book.total),
            ("reserved", pool.reserved, book.reserved),
            ("inbound and in_transit", pool.inbound + pool.in_transit, book.inbound),
            ("in_transit", pool.in_transit, book.in_transit),
            ("inbound_points", pool.inbound_points, book.points),
        ):
            wrong.expect(row == entries, f"{sku}: {name} is {row}, its entries make {entries}")
        for warehouse in sorted(pool.warehouses.keys() | book.on_hand.keys() | book.assigned.keys()):
            level = pool.warehouses.get(warehouse)
            row_figures = (0, 0) if level is None else (level.on_hand, level.assigned)
            entry_figures = (book.on_hand.get(warehouse, 0), book.assigned.get(warehouse, 0))
            wrong.expect(
                row_figures == entry_figures,
                f"{sku} at {warehouse}: on hand and assigned are {row_figures}, entries make {entry_figures}",
            )
    return f"{len(pools)} pools, {ledger.rows} ledger entries"


def prefixes(facts: Facts, wrong: Wrong) -> str:
    """Report what folding the ledger saw."""
    ledger = _ledger(facts)
    return f"{ledger.rows} ledger entries, {ledger.promises} promises"


def conservation(facts: Facts, wrong: Wrong) -> str:
    """Compare the ledger's movements with receipts, shipments and transfers as others know them."""
    ledger, stock = _ledger(facts), facts.stock
    for (cause, sku), rest in sorted(ledger.legs.items()):
        wrong.add(f"{cause}: the two legs of {sku} differ by {rest}")
    by_cause = ledger.on_hand_by_cause
    known = {"receipt", "count", "found", SHIPPED, "sent", "received"}
    for word in sorted(by_cause.keys() - known):
        wrong.add(f"{by_cause[word]} units changed because of {word!r}, which moves no goods")
    receipts = by_cause.get("receipt", 0)
    wrong.expect(
        receipts == stock.documents.received_units,
        f"{receipts} units received in the ledger, {stock.documents.received_units} by the accepted receipts",
    )
    parcels = 0
    for story in facts.stories.values():
        for parcel_id, parcel in story.parcels.items():
            if parcel.taken_units or parcel.booked == SHIPPED:
                parcels += 1
                wrong.expect(
                    parcel.taken_units == parcel.left_units,
                    f"{parcel_id}: the ledger took {parcel.taken_units} units, {parcel.left_units} left",
                )
    for sku, pool in sorted(stock.pools.items()):
        moving = stock.transit_units.get(sku, 0)
        wrong.expect(pool.in_transit == moving, f"{sku}: {pool.in_transit} in transit, {moving} on transfers under way")
    sent, received = -by_cause.get("sent", 0), by_cause.get("received", 0)
    moving, lost = sum(stock.transit_units.values()), stock.lost_units
    wrong.expect(
        sent == received + moving + lost,
        f"transfers: {sent} sent, but {received} received, {moving} in transit and {lost} lost",
    )
    return f"{ledger.rows} ledger entries, {parcels} parcels that left, {len(stock.documents.transfers)} transfers"


def causes(facts: Facts, wrong: Wrong) -> str:
    """Check that the database itself refuses a second entry of one cause."""
    key = facts.stock.ledger_key
    wrong.expect(key == LEDGER_KEY, f"the ledger's key is {key}, so one cause may be booked twice")
    return f"{_ledger(facts).causes} causes of {_ledger(facts).rows} ledger entries"


def lifecycle(facts: Facts, wrong: Wrong) -> str:
    """Compare what each order holds by the ledger with what its reservation says that it holds."""
    for story in facts.stories.values():
        wrong.expect(
            story.held_skus == story.copies.reservation_skus,
            f"{story.order_id}: the ledger holds {story.held_units} units for it, "
            f"its reservation ({story.copies.reservation or 'none'}) says otherwise",
        )
    return f"{facts.stock.reservations} reservations, {_ledger(facts).rows} ledger entries"


def open_sums(facts: Facts, wrong: Wrong) -> str:
    """Compare pools with the sums of open reservations and open parcels."""
    stock = facts.stock
    for sku in sorted(stock.pools.keys() | stock.open_units.keys()):
        pool = stock.pools.get(sku) or _NONE
        held = stock.open_units.get(sku, 0)
        wrong.expect(pool.reserved == held, f"{sku}: {pool.reserved} reserved, open reservations hold {held}")
    owed = {(sku, name): level.assigned for sku, pool in stock.pools.items() for name, level in pool.warehouses.items()}
    for place in sorted(owed.keys() | stock.owed_units.keys()):
        row, parcels = owed.get(place, 0), stock.owed_units.get(place, 0)
        wrong.expect(row == parcels, f"{place[0]} at {place[1]}: {row} assigned, open parcels hold {parcels}")
    return f"{len(stock.pools)} pools, {stock.reservations} reservations"


CHECKS = (
    Check("I-1", "each pool's figures are the sums of its ledger entries", True, figures),
    Check("I-2", "no promise exceeds what backed it, no figure was ever negative", True, prefixes),
    Check("I-3", "goods are conserved: receipts, shipments, counts and both legs of transfers", True, conservation),
    Check("I-4", "each ledger entry has one cause, and the cause was really heard or asked", True, causes),
    Check("I-12", "what an order reserved is given back or consumed at most once, and all of it", True, lifecycle),
    Check("I-13", "open reservations add up to reserved, open parcels to assigned", True, open_sums),
)
