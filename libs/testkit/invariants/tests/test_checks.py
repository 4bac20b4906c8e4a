"""Each invariant holds in a good world, and is seen to be broken in one where one thing is wrong."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from contracts import notices, orders, risk, routes, shipments, stock
from libs.testkit.invariants import rows
from libs.testkit.invariants.run import CHECKS, judge
from libs.testkit.invariants.tests.world import START, World, content, good, line

Break = Callable[[World], object]


def wrong(world: World) -> dict[str, str]:
    findings = judge(world.facts(), wanted=True, behind=[])
    return {finding.id: finding.detail for finding in findings if not finding.ok}


def test_a_good_world_breaks_nothing_and_every_invariant_is_checked() -> None:
    assert wrong(good()) == {}
    assert [check.id for check in CHECKS] == [f"I-{n}" for n in range(1, 21)]
    findings = judge(good().facts(), wanted=True, behind=[])
    assert all(finding.looked_at for finding in findings)


def test_an_order_that_only_ingestion_knows_is_right() -> None:
    world = good()
    world.rows[rows.take_platform] += [["own.demo.8", "awaited", 0, 0, 0], ["own.demo.9", "left", 0, 0, 0]]
    assert wrong(world) == {}


def entry(place: int, column: int, value: object) -> Break:
    return lambda world: world.ledger[place].__setitem__(column, value)


def set_row(take: Callable, key: str, column: int, value: object) -> Break:
    return lambda world: world.row(take, key).__setitem__(column, value)


def drop_row(take: Callable, key: str) -> Break:
    return lambda world: world.rows[take].remove(world.row(take, key))


def amended(version: int) -> Break:
    event = orders.OrderAmended(**content(4, 1, version=version))
    return lambda world: world.say("ingestion", event)


def silent(kind: type, order_id: str = "own.demo.1") -> Break:
    """Leave an event out; what followed from it follows from its own cause."""

    def apply(world: World) -> None:
        gone = world.find(kind, order_id)
        world.said.remove(gone)
        for said in world.said:
            said.cause = gone.cause if said.cause is gone else said.cause

    return apply


def late_entries(*entries: list) -> Break:
    return lambda world: world.ledger.extend(entries)


def records(change: Callable[[list], object]) -> Break:
    def apply(world: World) -> None:
        world.publish()
        change(world.records)

    return apply


def again(found: list, **fields: object) -> None:
    """Append a copy of the last record of the orders topic, as a writer that lost its acknowledgement would."""
    last = [record for record in found if record.topic == "ordo.orders.v1"][-1]
    found.append(replace(last, offset=last.offset + 1, **fields))


def without(found: list, topic: str, offset: int) -> None:
    """Lose a record: those behind it move up."""
    found[:] = [
        replace(record, offset=record.offset - (record.topic == topic and record.offset > offset))
        for record in found
        if (record.topic, record.offset) != (topic, offset)
    ]


def outbox(service: str, change: Callable[[list], object]) -> Break:
    def apply(world: World) -> None:
        world.publish()
        change(world.outbox[service])

    return apply


def heads(service: str, next_seq: int, cursor: int) -> Break:
    def apply(world: World) -> None:
        world.publish()
        world.heads[service][(0, "ordo.risk.v1", 0)] = (next_seq, cursor)

    return apply


def shipped_after_cancel(world: World) -> None:
    stop = shipments.FulfillmentCancelled(order_id="own.demo.1", request_id="c", cancelled_parcels=["own.demo.1/1"])
    world.said.insert(world.said.index(world.find(shipments.ParcelShipped)), world.say("fulfillment", stop))
    world.said.pop()


def cancel_too_late_unsaid(world: World) -> None:
    asked = orders.OrderCancelRequested(order_id="own.demo.1", request_id="c", requested_at=START)
    world.say("ingestion", asked)
    world.row(rows.take_platform, "own.demo.1")[1] = "cancelled"
    world.row(rows.take_risk, "own.demo.1")[1] = "closed"


def released_twice(world: World) -> None:
    event = stock.StockReleased(order_id="own.demo.2", version=1, reason="cancelled", lines=[line(3)])
    world.say("inventory", event, world.find(orders.OrderCancelRequested, "own.demo.2"))


def other_parcels(kind: type, name: str) -> Break:
    plan = stock.ParcelPlan(parcel_id="own.demo.1/1", warehouse="CD", lines=[line(1)])
    return lambda world: world.change(kind, **{name: [plan]})


def told_twice(world: World) -> None:
    said = world.find(notices.NoticeSent)
    world.say("notification", said.event, said.cause)


def caused_by(cause: str) -> Break:
    return lambda world: setattr(world.find(risk.OrderCleared), "cause", cause)


def unplaced(world: World) -> None:
    world.rows[rows.take_route].append(["own.demo.9", "waiting", 1, False])


TASK_GONE = '[{"task_id": "own.demo.4/1", "state": "shipped"}]'
BROKEN: tuple[tuple[str, str, Break], ...] = (
    ("I-1", "a pool's figure without an entry", set_row(rows.take_pool, "a", 3, 2)),
    ("I-1", "a warehouse's figure without an entry", set_row(rows.take_pool, "a", 7, '{"GZ": {"on_hand": 9}}')),
    ("I-1", "an entry of no figure", entry(5, 3, "wishes")),
    ("I-2", "more is promised than is there", entry(0, 4, 4)),
    ("I-2", "a warehouse owes what it has not", entry(4, 4, 0)),
    ("I-2", "a figure below zero", late_entries(["own.demo.2@1/released", "a", "", "reserved", -9])),
    ("I-3", "a leg of a transfer is missing", lambda world: world.ledger.pop(2)),
    ("I-3", "a receipt nobody booked", entry(0, 4, 11)),
    ("I-3", "the ledger took other units than left", entry(-3, 4, -1)),
    ("I-3", "goods in transit without a transfer", set_row(rows.take_pool, "a", 6, 3)),
    ("I-4", "an entry nobody caused", late_entries(["receipt/r9", "a", "GZ", "on_hand", 1])),
    ("I-4", "an entry of an order nobody placed", late_entries(["own.demo.9@1/reserved", "a", "", "reserved", 1])),
    ("I-4", "a release nobody asked for", late_entries(["own.demo.4@1/released", "a", "", "reserved", -1])),
    ("I-4", "a shipment nobody made", silent(shipments.ParcelShipped)),
    ("I-5", "an order the platform was never told of", drop_row(rows.take_platform, "own.demo.3")),
    ("I-5", "an accepted order that was not placed", set_row(rows.take_platform, "own.demo.3", 3, 0)),
    ("I-5", "an order that had left and was placed", set_row(rows.take_platform, "own.demo.3", 1, "left")),
    ("I-5", "an order placed twice", lambda world: world.say("ingestion", world.find(orders.OrderPlaced).event)),
    ("I-5", "an order with the id of another", lambda world: world.change(orders.OrderPlaced, channel="jd")),
    ("I-6", "released twice", released_twice),
    ("I-6", "the tower does not know the end", set_row(rows.take_view, "own.demo.2", 1, "held")),
    ("I-6", "inventory does not know the end", set_row(rows.take_reservation, "own.demo.1", 1, "assigned")),
    ("I-7", "a content is missing", amended(3)),
    ("I-7", "a step is missing", silent(shipments.ParcelPacked)),
    ("I-7", "a plan is missing", lambda world: world.change(routes.RoutePlanned, plan=2)),
    ("I-7", "assigned without a reservation", silent(stock.StockReserved)),
    (
        "I-7",
        "judged after the end",
        lambda world: world.say("risk", risk.OrderRejected(order_id="own.demo.4", version=1, by="b", why="w")),
    ),
    ("I-8", "a record is lost", records(lambda found: without(found, "ordo.orders.v1", 1))),
    ("I-8", "not an event", records(lambda found: again(found, headers=()))),
    ("I-8", "unreadable", records(lambda found: found.append(replace(found.pop(), value=b"{")))),
    ("I-9", "a repeat with another value", records(lambda found: again(found, value=b"{}"))),
    ("I-10", "the topic holds something else", outbox("risk", lambda rows: rows[0].__setitem__(7, b"{}"))),
    ("I-10", "the outbox lost a row", outbox("risk", lambda rows: rows.pop(1))),
    ("I-10", "the outbox holds one more", outbox("risk", lambda rows: rows.append([*rows[-1][:3], 5, *rows[-1][4:]]))),
    ("I-10", "the cursor stands before the end", heads("risk", 5, 3)),
    ("I-11", "the cursor is past the sequence", heads("risk", 5, 9)),
    ("I-11", "a batch reads twice", lambda world: world.batches.update(tower=[(1, [("ordo.orders.v1", 0, 0, 1)])])),
    ("I-12", "given back twice", late_entries(["own.demo.1/1/shipped", "a", "", "reserved", -2])),
    ("I-12", "a reservation that holds nothing", set_row(rows.take_reservation, "own.demo.4", 1, "closed")),
    ("I-13", "reserved for nobody", set_row(rows.take_pool, "a", 3, 4)),
    ("I-13", "owed to nobody", set_row(rows.take_reservation, "own.demo.4", 3, "[]")),
    ("I-14", "a total that is not the sum", lambda world: world.change(orders.OrderPlaced, total=1)),
    ("I-14", "a negative fee", lambda world: world.change(orders.OrderPlaced, shipping_fee=-10, total=140)),
    (
        "I-14",
        "more refunded than paid",
        lambda world: world.say(
            "ingestion",
            orders.RefundRequested(
                order_id="own.demo.1", request_id="r", requested_at=START, amount=999, after_shipping=True
            ),
        ),
    ),
    ("I-15", "shipped and cancelled", shipped_after_cancel),
    ("I-15", "booked as shipped and as cancelled", late_entries(["own.demo.1/1/cancelled", "a", "CD", "assigned", -2])),
    ("I-15", "a cancellation without an answer", cancel_too_late_unsaid),
    ("I-16", "more was reserved than ordered", lambda world: world.change(stock.StockReserved, lines=[line(3)])),
    ("I-16", "parcels are not the order", other_parcels(stock.StockAssigned, "parcels")),
    ("I-16", "other goods left", lambda world: world.change(shipments.ParcelShipped, lines=[line(9)])),
    ("I-17", "a notice with two outcomes", told_twice),
    ("I-17", "a parcel that left untold", drop_row(rows.take_notice, "own.demo.1")),
    ("I-17", "kept otherwise than published", set_row(rows.take_notice, "own.demo.1", 2, "failed")),
    ("I-18", "an order that waits for nobody", set_row(rows.take_view, "own.demo.3", 1, "received")),
    ("I-18", "a line that forgot an order", drop_row(rows.take_waiting, "a")),
    ("I-18", "a held order without a hold", set_row(rows.take_view, "own.demo.3", 1, "held")),
    ("I-19", "a reservation that no event made", set_row(rows.take_reservation, "own.demo.3", 1, "reserved")),
    ("I-20", "a service with an older content", set_row(rows.take_route, "own.demo.1", 2, 0)),
    ("I-20", "risk knows another verdict", set_row(rows.take_risk, "own.demo.1", 1, "held")),
    ("I-20", "routing knows another state", set_row(rows.take_route, "own.demo.4", 1, "planned")),
    ("I-20", "a task in another state", set_row(rows.take_task, "own.demo.4/1", 3, "open")),
    ("I-20", "a parcel in another state", set_row(rows.take_file, "own.demo.4", 3, TASK_GONE)),
    ("I-20", "a cause that does not exist", caused_by("ingestion/0/1#ordo.orders.v1/0/99")),
    ("I-20", "a cause that is none", caused_by("because")),
    ("I-20", "an order nobody placed", unplaced),
)


@pytest.mark.parametrize(("invariant", "name", "apply"), BROKEN, ids=[f"{i}: {name}" for i, name, _ in BROKEN])
def test_one_wrong_thing_is_seen(invariant: str, name: str, apply: Break) -> None:
    world = good()
    apply(world)
    assert invariant in wrong(world), wrong(world)


def test_every_invariant_has_a_world_in_which_it_is_broken() -> None:
    assert {invariant for invariant, _, _ in BROKEN} == {check.id for check in CHECKS}
