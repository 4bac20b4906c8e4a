"""What reviewers decide: a release or a rejection, of the version they saw, for the address they saw."""

import msgspec
import pytest

from services.risk.domain import OrderRisk
from services.risk.domain.facts import ADDRESS_FACTS, FACTS
from services.risk.tests.orders import (
    ID,
    NOW,
    NOWHERE,
    PICKUP,
    amended,
    bench,
    cancelled,
    held_by,
    later,
    names,
    placed,
    reject,
    release,
    status,
)


def test_a_release_lifts_one_hold_and_the_last_one_clears():
    risk = bench()
    risk.handle(placed(destination=PICKUP, total=60_000, kind="presale"), NOW)
    outputs = risk.handle(release("presale"), NOW)
    assert names(outputs) == ["HoldResolved", "Reply"]
    assert (outputs[0].verdict, outputs[0].by, outputs[0].why) == ("released", "rita", "called the buyer")
    assert outputs[1].body["open"] == ["pickup_high_value"]
    assert status(risk.handle(release("presale"), NOW)) == 409
    outputs = risk.handle(release(), NOW)
    assert names(outputs) == ["HoldResolved", "OrderCleared", "Reply"]
    assert status(risk.handle(release(), NOW)) == 409
    assert risk.row(OrderRisk, ID).state == "cleared"


def test_a_release_keeps_the_requirements():
    risk = bench()
    order = placed(destination=NOWHERE)
    lines = [type(order.lines[0])(line_id="1", sku="A", quantity=1, unit_price=30_000)]
    risk.handle(placed(destination=NOWHERE, lines=lines), NOW)
    outputs = risk.handle(release(), NOW)
    assert outputs[1].requirements == ["signature_on_delivery"]


def test_a_released_rule_stays_released_while_it_sees_the_same():
    risk = bench()
    risk.handle(placed(destination=PICKUP, total=60_000), NOW)
    risk.handle(release(), NOW)
    noted = amended(destination=PICKUP, total=60_000, has_note=True)
    assert held_by(risk.handle(msgspec.structs.replace(noted, changed=["note"]), NOW)) == []
    dearer = amended(version=3, destination=PICKUP, total=90_000)
    assert held_by(risk.handle(msgspec.structs.replace(dearer, changed=["total"]), NOW)) == ["pickup_high_value"]


@pytest.mark.parametrize("field", ["recipient", "destination", "sealed"])
@pytest.mark.parametrize(("rule", "to"), [("unresolved_address", NOWHERE), ("pickup_high_value", PICKUP)])
def test_a_release_does_not_carry_over_to_another_address(rule, to, field):
    risk = bench()
    risk.handle(placed(destination=to, total=60_000), NOW)
    risk.handle(release(), NOW)
    order = amended(destination=to, total=60_000, sealed="somewhere else")
    assert held_by(risk.handle(msgspec.structs.replace(order, changed=[field]), NOW)) == [rule]


def test_a_release_that_has_nothing_to_do_with_the_address_carries_over():
    risk = bench()
    risk.handle(placed(kind="presale"), NOW)
    risk.handle(release(), NOW)
    order = amended(kind="presale", destination=PICKUP)
    assert held_by(risk.handle(msgspec.structs.replace(order, changed=["recipient"]), NOW)) == []


def test_every_field_of_the_address_is_a_fact():
    assert {fact.name for fact in FACTS} >= ADDRESS_FACTS


def test_a_rejected_order_is_done():
    risk = bench()
    risk.handle(placed(kind="presale", available_from=later(days=1), destination=NOWHERE), NOW)
    outputs = risk.handle(reject(), NOW)
    assert names(outputs) == ["OrderRejected", "Unwake", "Reply"]
    assert outputs[0].rules == ["presale", "unresolved_address"]
    assert risk.timers == {}
    assert status(risk.handle(reject(), NOW)) == 409
    assert status(risk.handle(release(), NOW)) == 409
    assert risk.handle(amended(), NOW) == []
    assert risk.handle(cancelled(), NOW) == []
    assert risk.row(OrderRisk, ID).state == "rejected"


@pytest.mark.parametrize("command", [release(order_id="own.demo.9"), reject("own.demo.9")])
def test_an_unknown_order_cannot_be_reviewed(command):
    risk = bench()
    assert status(risk.handle(command, NOW)) == 404
    risk.handle(cancelled(9), NOW)
    assert status(risk.handle(command, NOW)) == 404


@pytest.mark.parametrize("verdict", [release, reject])
def test_a_verdict_on_a_version_that_was_amended_meanwhile_is_refused(verdict):
    risk = bench()
    risk.handle(placed(destination=PICKUP, total=50_001), NOW)
    risk.handle(amended(destination=NOWHERE, total=5_000_000), NOW)
    [refused] = risk.handle(verdict(version=1), NOW)
    assert (refused.status, refused.body["title"]) == (409, "the order was amended meanwhile")
    assert (refused.body["version"], refused.body["open"]) == (2, ["unresolved_address"])
    assert risk.row(OrderRisk, ID).state == "held"
    assert status(risk.handle(verdict(version=2), NOW)) == 200


def test_a_verdict_recorded_before_it_named_a_version_is_still_read():
    recorded = b'{"order_id":"own.demo.1","by":"rita","why":"called the buyer"}'
    assert msgspec.json.decode(recorded, type=type(release())) == release()


def test_a_cleared_order_cannot_be_reviewed():
    risk = bench()
    risk.handle(placed(), NOW)
    assert status(risk.handle(release(), NOW)) == 409
    assert status(risk.handle(reject(), NOW)) == 409
