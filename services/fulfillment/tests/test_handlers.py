"""Each handler of fulfillment on the workbench: happy, twice, out of order, refused; and several in one batch."""

import msgspec
import pytest

from contracts.catalog import SkuDefined
from contracts.orders import RefundRequested
from contracts.shipments import (
    CancelTooLate,
    FulfillmentCancelled,
    ItemsPicked,
    ParcelPacked,
    ParcelShipped,
    ParcelWeighed,
    PickTaskClaimed,
    PickTaskCreated,
    PickTaskUnclaimed,
)
from contracts.topics import topics_read_by
from libs.decide import Due, Reply
from services.fulfillment import domain
from services.fulfillment.tests.steps import (
    NOW,
    ONE,
    ORDER,
    PACK,
    PICK,
    SHIP,
    TWO,
    WEIGH,
    amended,
    assigned,
    bench,
    cancelling,
    claim,
    cleared,
    content,
    events,
    pack,
    rejected,
    released,
    reply,
    run,
    scan,
    ship,
    task,
    weigh,
)


def refund(request_id: str = "r1") -> RefundRequested:
    return RefundRequested(order_id=ORDER, request_id=request_id, requested_at=NOW, amount=1)


BACK = domain.HandBack(task_id=ONE, by="pda-1", warehouse="CD")
TIMES_UP = Due(kind="claim", key=ONE, at=NOW)


def test_fulfillment_hears_only_what_it_may_read():
    readable = {event for topic in topics_read_by("fulfillment") for event in topic.events}
    heard = {message for message in bench().handlers.on if message.__module__.startswith("contracts.")}
    assert heard <= readable


@pytest.mark.parametrize(
    ("before", "message", "said"),
    [
        ((), content(), []),
        ((content(),), amended(2, "sealed"), []),
        ((), assigned(parcels=2), [PickTaskCreated, PickTaskCreated]),
        ((assigned(parcels=2),), cancelling(), [FulfillmentCancelled]),
        ((assigned(),), refund(), [FulfillmentCancelled]),
        ((content(),), released(), []),
        ((assigned(),), rejected(), [FulfillmentCancelled]),
        ((assigned(),), cleared(), []),
        ((assigned(),), claim(), [PickTaskClaimed]),
        ((assigned(), *PICK[:2]), PICK[2], [ItemsPicked]),
        ((assigned(), *PICK), PACK[-1], [ParcelPacked]),
        ((assigned(), *PACK), WEIGH[-1], [ParcelWeighed]),
        ((assigned(), *WEIGH), SHIP[-1], [ParcelShipped]),
        ((assigned(), claim()), BACK, [PickTaskUnclaimed]),
    ],
)
def test_happy_and_then_the_same_again_changes_nothing(before, message, said):
    made = bench()
    run(made, *before)
    assert [type(event) for event in run(made, message) if type(event).__module__ == "contracts.shipments"] == said
    rows, timers = dict_of(made), dict(made.timers)
    again = run(made, message)
    assert [type(event) for event in again if type(event).__module__ == "contracts.shipments"] == []
    assert (dict_of(made), made.timers) == (rows, timers)


def dict_of(made):
    return {table: dict(rows) for table, rows in made.rows.items()}


def test_catalogue_twice_and_corrected():
    made = bench()
    sku = SkuDefined(sku="CUP", barcode="6903", weight_grams=310)
    run(made, assigned(), claim(), sku, sku)
    assert reply(run(made, scan("6901"))).body["title"] == "wrong barcode"
    assert reply(run(made, scan("6903"))).status == 200


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ((assigned(), content(), cancelling()), [FulfillmentCancelled]),
        ((assigned(), cancelling(), content()), []),
        ((cancelling(), assigned(), content()), []),
        ((cancelling(), content(), assigned()), [FulfillmentCancelled]),
        ((released(), content(), cancelling(), assigned()), []),
        ((released(), cancelling(), assigned(), content()), []),
    ],
)
def test_topics_in_any_order(messages, said):
    made = bench()
    assert [type(event) for event in run(made, *messages)] == said


@pytest.mark.parametrize("steps", [(), PICK[:1], PICK, PACK, WEIGH, SHIP])
def test_a_claim_timer_that_lost_its_claim_does_nothing(steps):
    made = bench()
    run(made, assigned(), *steps)
    assert run(made, TIMES_UP) == []
    assert run(bench(), TIMES_UP) == []


def test_everything_in_one_batch():
    made = bench()
    outputs = made.batch([content(), assigned(parcels=2), claim(), scan("6901", 2), pack(("6901", 2)), weigh(600)], NOW)
    assert [type(event).__name__ for event in outputs if type(event).__module__ == "contracts.shipments"] == [
        "PickTaskCreated",
        "PickTaskCreated",
        "PickTaskClaimed",
        "ItemsPicked",
        "ParcelPacked",
        "ParcelWeighed",
    ]
    assert {answer.status for answer in events(outputs, Reply)} == {200}


def test_a_cancellation_and_a_shipment_in_one_batch_have_one_winner():
    first = bench()
    run(first, content(), assigned(), *WEIGH)
    outputs = first.batch([cancelling(), ship()], NOW)
    assert len(events(outputs, FulfillmentCancelled)) == 1
    assert events(outputs, ParcelShipped) == []
    second = bench()
    run(second, content(), assigned(), *WEIGH)
    outputs = second.batch([ship(), cancelling(), amended(2, "sealed")], NOW)
    assert len(events(outputs, CancelTooLate)) == 1
    assert events(outputs, FulfillmentCancelled) == []


def test_a_plan_then_its_cancellation_in_one_batch():
    made = bench()
    outputs = made.batch([content(), assigned(parcels=2), cancelling()], NOW)
    (cancelled,) = events(outputs, FulfillmentCancelled)
    assert cancelled.cancelled_parcels == [ONE, TWO]
    assert task(made, TWO).state == "cancelled"


def test_commands_are_recorded_without_losing_anything():
    for command in (*SHIP, BACK, domain.RegisterDevice(device_id="p", warehouse="CD")):
        assert msgspec.json.decode(msgspec.json.encode(command), type=type(command)) == command
    assert claim().key == ORDER
