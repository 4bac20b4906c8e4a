"""What becomes of an order's tasks: plans, cancellations and amendments, table by table."""

import pytest

from contracts.orders import RefundRequested
from contracts.shipments import (
    AmendTooLate,
    CancelTooLate,
    FulfillmentCancelled,
    ParcelShipped,
    PickTaskCreated,
)
from libs.decide import Send
from services.fulfillment import domain
from services.fulfillment.domain.parcels import SIGNATURE
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


def test_a_plan_twice_is_one_plan():
    made = bench()
    assert len(run(made, assigned(parcels=2))) == 2
    assert run(made, assigned(parcels=2)) == []


class TestCancellation:
    def test_before_the_goods_inventory_arbitrates_and_nothing_is_said(self):
        made = bench()
        assert run(made, content(), cancelling()) == []
        assert run(made, released()) == []
        assert made.row(domain.OrderFile, ORDER).state == "closed"
        assert run(made, cancelling("c2")) == []
        assert run(made, assigned()) == []

    def test_one_that_waits_wins_over_the_plan_at_once(self):
        made = bench()
        outputs = run(made, content(), cancelling("c1"), cancelling("c2"), assigned(parcels=2))
        assert outputs == [
            FulfillmentCancelled(
                order_id=ORDER, request_id="c1", cancelled_parcels=[ONE, TWO], reason="changed my mind"
            )
        ]
        assert made.all_rows(domain.PickTask) == []
        assert run(made, assigned(parcels=2)) == []
        assert run(made, cancelling("c3")) == []

    @pytest.mark.parametrize("steps", [(), PICK[:1], PICK[:2], PICK, PACK, (*PACK, weigh(5)), WEIGH])
    def test_it_is_in_time_until_the_parcel_left(self, steps):
        made = bench()
        run(made, content(), assigned(), *steps)
        (cancelled,) = events(run(made, cancelling()), FulfillmentCancelled, CancelTooLate)
        assert cancelled.cancelled_parcels == [ONE]
        assert made.timers == {}
        for step in (claim(), scan("6901"), pack(("6901", 1)), weigh(1), ship()):
            refusal = reply(run(made, step))
            assert (refusal.status, refusal.body["detail"]) == (409, "cancelled, put the goods back")
        assert run(made, cancelling()) == []
        assert run(made, cancelling("c2")) == []

    def test_after_the_parcel_left_it_is_too_late_once_per_request(self):
        made = bench()
        run(made, content(), assigned(), *SHIP)
        late = CancelTooLate(order_id=ORDER, request_id="c1", shipped_parcels=[ONE])
        assert run(made, cancelling("c1")) == [late]
        assert run(made, cancelling("c1")) == []
        assert run(made, cancelling("c2"))[0].request_id == "c2"

    def test_half_an_order_can_still_be_stopped(self):
        made = bench()
        run(made, content(), assigned(parcels=2), claim(), scan("6901", 2), pack(("6901", 2)), weigh(600))
        assert not events(run(made, ship()), ParcelShipped)[0].last
        (cancelled,) = events(run(made, cancelling()), FulfillmentCancelled)
        assert (cancelled.cancelled_parcels, cancelled.shipped_parcels) == ([TWO], [ONE])
        assert task(made).state == "shipped"

    def test_a_refund_before_shipping_is_a_cancellation_and_one_after_is_not(self):
        made = bench()
        run(made, content(), assigned())
        after = RefundRequested(order_id=ORDER, request_id="r1", requested_at=NOW, amount=1, after_shipping=True)
        assert run(made, after) == []
        part = RefundRequested(order_id=ORDER, request_id="r1", requested_at=NOW, amount=1, line_ids=["1"])
        assert run(made, part) == [], "an amendment takes the line out"
        before = RefundRequested(order_id=ORDER, request_id="r2", requested_at=NOW, amount=1)
        assert events(run(made, before), FulfillmentCancelled)[0].request_id == "r2"

    def test_the_release_that_follows_our_own_outcome_closes_nothing(self):
        made = bench()
        run(made, content(), assigned(), *SHIP, released("fulfillment_cancelled"))
        assert made.row(domain.OrderFile, ORDER).state == "assigned"

    @pytest.mark.parametrize(("reason", "final"), [("amended", False), ("fulfillment_cancelled", True)])
    def test_a_release_that_is_not_the_end_lets_tasks_come(self, reason, final):
        made = bench()
        run(made, content(), released(reason, final=final))
        assert len(events(run(made, assigned()), PickTaskCreated)) == 1


class TestAmendment:
    def test_before_the_goods_it_is_taken(self):
        made = bench()
        assert run(made, content(), amended(2, "lines", "sealed", cups=5), assigned(version=2)) != []
        assert made.row(domain.OrderFile, ORDER).sealed == "sealed-2"
        assert events(run(made, amended(2, "lines", cups=9)), AmendTooLate) == []

    def test_one_of_the_lines_that_the_plan_did_not_follow_is_too_late(self):
        made = bench()
        outputs = run(made, content(), amended(2, "lines", cups=5), assigned(version=1))
        assert outputs[-1] == AmendTooLate(order_id=ORDER, version=2, changed=["lines"])

    @pytest.mark.parametrize("change", [{"changed": ["lines"], "cups": 2}, {"changed": ["destination", "sealed"]}])
    def test_one_that_leaves_the_goods_alone_is_not(self, change):
        made = bench()
        changed = change.pop("changed")
        outputs = run(made, content(), amended(2, *changed, **change), assigned(version=1))
        assert events(outputs, AmendTooLate) == []

    def test_one_heard_after_the_plan_that_followed_it_is_taken(self):
        made = bench()
        assert run(made, assigned(version=2), content(), amended(2, "lines", "sealed", cups=5)) == []
        assert made.row(domain.OrderFile, ORDER).sealed == "sealed-2"

    @pytest.mark.parametrize("steps", [(), PICK, PACK])
    def test_a_new_address_is_taken_until_the_parcel_is_weighed(self, steps):
        made = bench()
        run(made, content(), assigned(), *steps)
        assert run(made, amended(2, "destination", "sealed", "note")) == []
        assert made.row(domain.OrderFile, ORDER).sealed == "sealed-2"

    def test_a_parcel_names_whom_its_label_does(self):
        made = bench()
        run(made, content(), assigned(), *PACK, amended(2, "recipient"), cleared(2), weigh(1600))
        run(made, amended(3, "recipient"), cleared(3))
        assert events(run(made, ship()), ParcelShipped)[0].sealed == "sealed-2"

    @pytest.mark.parametrize("steps", [(*PACK, weigh(5)), WEIGH, SHIP])
    def test_afterwards_it_is_too_late(self, steps):
        made = bench()
        run(made, content(), assigned(), *steps)
        outputs = run(made, amended(2, "sealed", "destination", "total"))
        assert outputs == [AmendTooLate(order_id=ORDER, version=2, changed=["destination", "sealed"])]
        assert made.row(domain.OrderFile, ORDER).sealed == "sealed-1"
        assert run(made, amended(2, "sealed")) == []

    @pytest.mark.parametrize("steps", [(), PICK[:1], PICK, PACK, (*PACK, weigh(5)), WEIGH, SHIP])
    def test_a_label_is_given_only_when_its_address_can_no_longer_change(self, steps):
        made = bench()
        run(made, content(), assigned(), *steps)
        given = task(made).state in domain.LABEL_STATES
        run(made, amended(2, "recipient"))
        assert (made.row(domain.OrderFile, ORDER).sealed == "sealed-1") == given

    def test_the_lines_are_too_late_once_the_task_is_there_but_the_address_is_not(self):
        made = bench()
        run(made, content(), assigned())
        assert run(made, amended(2, "lines", "sealed", cups=3))[0].changed == ["lines"]
        assert made.row(domain.OrderFile, ORDER).sealed == "sealed-2"

    def test_prices_do_not_concern_the_warehouse(self):
        made = bench()
        run(made, content(), assigned(), *SHIP)
        assert run(made, amended(2, "total", "shipping_fee")) == []

    def test_of_a_cancelled_order_nothing_is_said(self):
        made = bench()
        run(made, content(), assigned(), cancelling())
        assert run(made, amended(2, "lines", "sealed", cups=7)) == []


class TestReview:
    """An amendment may be held, and refused, after its order's goods were assigned."""

    def test_a_parcel_waits_until_its_orders_newest_change_is_cleared(self):
        made = bench()
        refused = reply(run(made, content(), assigned(), *WEIGH, amended(2, "total"), ship()))
        assert (refused.status, refused.body["title"]) == (409, "the order waits for review")
        assert (refused.body["state"], refused.body["next"]) == ("weighed", "ship")
        assert reply(run(made, cleared(1), ship())).status == 409
        assert len(events(run(made, cleared(2), ship()), ParcelShipped)) == 1

    def test_a_clearance_may_be_heard_before_its_change(self):
        made = bench()
        run(made, content(), cleared(2), assigned(), amended(2, "total"), *WEIGH)
        assert len(events(run(made, ship()), ParcelShipped)) == 1

    def test_what_the_goods_were_assigned_for_was_cleared(self):
        made = bench()
        run(made, content(), amended(2, "lines"), assigned(version=2), *WEIGH)
        assert len(events(run(made, ship()), ParcelShipped)) == 1

    def test_what_a_change_requires_is_required_of_the_parcel(self):
        made = bench()
        run(made, content(), assigned(requirements=["fragile"]), amended(2, "total"), claim())
        run(made, cleared(2, SIGNATURE))
        assert task(made).requirements == ["fragile", SIGNATURE], "the goods may be those of before the change"
        refused = reply(run(made, *WEIGH[1:], ship()))
        assert (refused.status, refused.body["missing_services"]) == (409, [SIGNATURE])
        (shipped,) = events(run(made, ship(services=[SIGNATURE])), ParcelShipped)
        assert shipped.services == [SIGNATURE]

    def test_it_is_also_required_when_its_clearance_is_heard_before_the_goods(self):
        made = bench()
        (created,) = events(
            run(made, content(), amended(2, "total"), cleared(2, SIGNATURE), assigned()), PickTaskCreated
        )
        assert created.requirements == task(made).requirements == [SIGNATURE]

    def test_a_clearance_asks_nothing_of_parcels_that_were_cancelled_before_they_were_made(self):
        made = bench()
        run(made, content(), cancelling(), amended(2, "total"))
        assert len(events(made.batch([assigned(), cleared(2, SIGNATURE)], NOW), PickTaskCreated)) == 0

    def test_goods_given_for_a_change_require_what_they_bring_along(self):
        made = bench()
        run(made, content(), amended(2, "lines"), cleared(2, SIGNATURE), assigned(version=3), cleared(3, "fragile"))
        assert task(made).requirements == []

    def test_what_has_left_requires_nothing_more(self):
        made = bench()
        run(made, content(), assigned(parcels=2), claim(), scan("6901", 2), pack(("6901", 2)), weigh(600), ship())
        run(made, amended(2, "total"), cleared(2, SIGNATURE))
        assert (task(made).requirements, task(made, TWO).requirements) == ([], [SIGNATURE])
        assert run(made, cleared(2, SIGNATURE), cancelling(), cleared(3, "fragile")) == []
        assert task(made, TWO).requirements == [SIGNATURE]

    def test_a_refusal_stops_what_has_not_left(self):
        made = bench()
        run(made, content(), assigned(parcels=2), amended(2, "total"), claim())
        (cancelled,) = run(made, rejected())[:1]
        assert isinstance(cancelled, FulfillmentCancelled)
        assert (cancelled.request_id, cancelled.reason) == ("rejected@2", "rejected")
        assert cancelled.cancelled_parcels == [ONE, TWO]
        assert run(made, rejected()) == []
        assert run(made, cancelling()) == []

    def test_a_refusal_of_what_has_left_is_too_late_and_says_so_once(self):
        made = bench()
        run(made, content(), assigned(), *SHIP, amended(2, "sealed"))
        assert run(made, rejected()) == [CancelTooLate(order_id=ORDER, request_id="rejected@2", shipped_parcels=[ONE])]
        assert run(made, rejected()) == []

    def test_a_refusal_before_the_goods_waits_for_them(self):
        made = bench()
        assert run(made, rejected(), content()) == []
        (cancelled,) = run(made, assigned())
        assert isinstance(cancelled, FulfillmentCancelled)
        assert made.all_rows(domain.PickTask) == []


def test_a_wms_hears_of_tasks_and_shipments_but_of_no_person():
    made = bench(tell_wms=True)
    (created,) = events(run(made, content(), assigned()), Send)
    assert (created.destination, created.send_id, created.key) == ("wms", f"task.created:{ONE}", ORDER)
    assert created.body["data"]["lines"][0] == {"line_id": "1", "sku": "CUP", "quantity": 2}
    (shipped,) = events(run(made, *SHIP), Send)
    assert (shipped.send_id, shipped.body["data"]["waybill"]) == (f"parcel.shipped:{ONE}", "SF1")
    other = bench(tell_wms=True)
    (stopped,) = events(run(other, content(), assigned(), cancelling()), Send)
    assert stopped.send_id == f"task.cancelled:{ONE}"
    assert "sealed" not in str([created, shipped, stopped])


def test_without_a_wms_nothing_is_sent():
    made = bench()
    sent = [o for step in (content(), assigned(), *SHIP) for o in run(made, step) if isinstance(o, Send)]
    assert sent == []


def test_an_order_id_is_found_in_its_task_id():
    assert domain.order_of(ONE) == ORDER
    assert domain.order_of("own.demo.a/b/2") == "own.demo.a/b"
    assert domain.order_of("nonsense") == "nonsense"
