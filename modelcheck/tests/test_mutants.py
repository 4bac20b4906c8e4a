"""The checker can fail: decisions broken on purpose are found, each with a story that leads there."""

import itertools

import msgspec
import pytest

from contracts.shipments import CancelTooLate, FulfillmentCancelled
from contracts.stock import StockReleased
from libs.decide import Wake
from modelcheck import scenarios
from modelcheck.search import check
from modelcheck.telling import story_of
from modelcheck.town import Town
from services.fulfillment import domain as fulfillment
from services.inventory import domain as inventory
from services.inventory import handlers as inventory_handlers
from services.routing import domain as routing
from services.tower import domain as tower
from services.tower.domain import fold

QUICK = list(scenarios.quick())
ONE_PARCEL, TWO_PARCELS = QUICK[0], QUICK[4]
TRANSFERRED, COUNTED_DOWN = QUICK[5], QUICK[6]
REFUSED, RELEASED = QUICK[7], QUICK[8]
CHANGED = QUICK[3]


@pytest.fixture
def broken(monkeypatch):
    """Return what puts a mutant in the place of a decision, searches, and tells which law it broke."""

    def search(scenario, module, name, mutant):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, **more: mutant(real, *given, **more))
        found = check(scenario, Town())
        assert found.broken is not None, f"nobody noticed that {name} is broken"
        story = story_of(found)
        assert story[-2].endswith(found.broken.law)
        assert any(line.lstrip().startswith("1. ") for line in story) or not found.story
        return found.broken.law

    return search


def test_a_cancellation_that_waits_is_forgotten_when_the_goods_come(broken):
    def mutant(real, event, state, now, **more):
        file = state.get(fulfillment.OrderFile, event.order_id)
        if file is not None:
            file.request_id = None
        return real(event, state, now, **more)

    assert broken(ONE_PARCEL, fulfillment, "assign", mutant) == "every request ends in exactly one outcome"


def test_inventory_releases_what_a_warehouse_owes(broken):
    def mutant(real, event, state, now, policy):
        row = state.get(inventory.Reservation, event.order_id)
        if row is not None and row.state == "assigned":
            held = [parcel for parcel in row.parcels if parcel.state == "open"]
            stopped = FulfillmentCancelled(
                order_id=row.order_id, request_id="r", cancelled_parcels=[parcel.parcel_id for parcel in held]
            )
            freed = inventory.free(stopped, state, now, policy)
            return [
                msgspec.structs.replace(e, reason="cancelled") if isinstance(e, StockReleased) else e for e in freed
            ]
        return real(event, state, now, policy)

    assert broken(ONE_PARCEL, inventory, "cancel", mutant) == "never shipped and refunded"


def test_a_stopped_parcel_is_freed_twice(broken):
    def mutant(real, event, state, now, policy):
        first = real(event, state, now, policy)
        row = state.get(inventory.Reservation, event.order_id)
        for parcel in row.parcels:
            if parcel.state == "cancelled":
                parcel.state = "open"
        return [*first, *real(event, state, now, policy)]

    assert broken(TWO_PARCELS, inventory, "free", mutant) == "nothing is booked twice"


def test_a_stopped_parcel_is_said_to_be_free_twice(broken):
    def mutant(real, event, state, now, policy):
        said = real(event, state, now, policy)
        return [*said, *[event for event in said if isinstance(event, StockReleased)]]

    assert broken(TWO_PARCELS, inventory, "free", mutant) == "nothing is said twice"


def test_a_stopped_parcel_can_still_be_shipped(broken):
    def mutant(real, event, state, now, **more):
        file = state.get(fulfillment.OrderFile, event.order_id)
        tasks = [state.get(fulfillment.PickTask, ref.task_id) for ref in file.tasks] if file else []
        before = [(task, task.state) for task in tasks if task is not None]
        outputs = real(event, state, now, **more)
        for task, was in before:
            if was == "weighed":
                task.state = was
        return outputs

    law = broken(ONE_PARCEL, fulfillment, "cancel", mutant)
    assert law in ("fulfillment's rows agree with one another", "never shipped and refunded")


def test_shipping_looks_at_the_parcel_and_not_at_the_cancellation(broken):
    def mutant(real, command, state, now, **more):
        task = state.get(fulfillment.PickTask, command.task_id)
        if task is not None and task.state == "cancelled":
            task.state = "weighed"
        return real(command, state, now, **more)

    law = broken(ONE_PARCEL, fulfillment, "ship", mutant)
    assert law in ("a step out of turn changes nothing", "never shipped and refunded")


def test_the_goods_are_released_and_nobody_is_told(broken):
    def mutant(real, event, state, now, policy):
        return [said for said in real(event, state, now, policy) if not isinstance(said, StockReleased)]

    assert broken(ONE_PARCEL, inventory, "cancel", mutant) == "every request ends in exactly one outcome"


def test_a_cancellation_that_is_too_late_gets_no_answer(broken):
    def mutant(real, event, state, now, **more):
        return [said for said in real(event, state, now, **more) if not isinstance(said, CancelTooLate)]

    assert broken(TWO_PARCELS, fulfillment, "cancel", mutant) == "every request ends in exactly one outcome"


def test_a_reservation_is_left_behind(broken):
    def mutant(real, event, state, now, policy):
        row = state.get(inventory.Reservation, event.order_id)
        return [] if row is not None and row.state == "reserved" else real(event, state, now, policy)

    law = broken(TRANSFERRED, inventory, "cancel", mutant)
    assert law in ("every request ends in exactly one outcome", "no reservation is stranded")


def test_fulfillment_does_not_hear_a_reviewers_refusal(broken):
    assert broken(REFUSED, fulfillment, "reject", lambda *_, **__: []) == "every request ends in exactly one outcome"


def test_a_parcel_leaves_before_its_change_was_cleared(broken):
    def mutant(real, command, state, now, **more):
        file = state.get(fulfillment.OrderFile, fulfillment.order_of(command.task_id))
        if file is not None:
            file.cleared_version = file.version
        return real(command, state, now, **more)

    assert broken(RELEASED, fulfillment, "ship", mutant) == "nothing leaves that risk has not cleared"


def test_the_tower_takes_a_refused_plan_for_news_of_the_stock(broken, monkeypatch):
    def mutant(real, kind):
        def refused(view, event, now):
            view.stock = "refused"

        monkeypatch.setitem(fold.CHANGES, fold.stock.AssignmentRefused, refused)
        return real(kind)

    assert broken(COUNTED_DOWN, tower, "fold_of", mutant) == "the tower agrees"


def test_an_amendment_after_the_goods_is_swallowed(broken):
    assert broken(CHANGED, fulfillment, "amend", lambda *_, **__: []) == "an amendment is honoured or answered"


def test_a_decision_that_rolls_dice(broken):
    dice = itertools.count()

    def mutant(real, event, state, now, policy):
        said = real(event, state, now, policy)
        return [msgspec.structs.replace(e, version=next(dice)) if isinstance(e, StockReleased) else e for e in said]

    law = broken(ONE_PARCEL, inventory, "cancel", mutant)
    assert law == "deciding again after a lost commit gives the same"


def test_a_decision_whose_rows_are_not_loaded(broken):
    law = broken(ONE_PARCEL, inventory_handlers, "_order_stock", lambda *_: {})
    assert law == "nothing is parked"


def test_a_batch_that_decides_otherwise(broken):
    def mutant(real, state, now, policy):
        for table, rows in list(state.inserts()):
            for row in rows:
                if table is inventory.Reservation and row.state == "released" and row.lines:
                    row.requirements = ["reserved and released in one batch"]
        return real(state, now, policy)

    law = broken(ONE_PARCEL, inventory, "settle", mutant)
    assert law == "a batch decides as its messages do one by one"


def test_an_expired_claim_keeps_its_end(broken):
    def mutant(real, due, state, now):
        task = state.get(fulfillment.PickTask, due.key)
        until = task.claim_until if task else None
        said = real(due, state, now)
        if said:
            task.claim_until = until
        return said

    assert broken(ONE_PARCEL, fulfillment, "expire", mutant) == "fulfillment's rows agree with one another"


def test_an_order_that_waits_for_nobody(broken):
    def mutant(real, event, state, now, policy):
        return []

    [uncancelled] = [s for s in scenarios.full() if s.name == "1 parcel, goods elsewhere, transferred: place"]
    assert broken(uncancelled, inventory, "block", mutant) == "no route waits for nobody"


def test_a_timer_that_wakes_itself_for_ever(broken):
    def mutant(real, due, state, now, policy):
        return [Wake(kind=due.kind, key=due.key, at=due.at)]

    assert broken(COUNTED_DOWN, inventory, "retry", mutant) == "every run ends"


def test_a_refused_plan_is_never_planned_again(broken):
    law = broken(COUNTED_DOWN, routing, "refused", lambda *_, **__: [])
    assert law in ("no route waits for nobody", "the tower agrees", "an order that nothing stands against is shipped")
