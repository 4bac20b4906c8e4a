"""What hands at a PDA may do, and what they are told: step by step, table by table."""

from datetime import timedelta

import pytest

from contracts.catalog import SkuDefined
from contracts.shipments import (
    ItemsPicked,
    ParcelPacked,
    ParcelShipped,
    ParcelWeighed,
    PickTaskClaimed,
    PickTaskCreated,
    PickTaskUnclaimed,
)
from services.fulfillment import domain
from services.fulfillment.domain.content import meant_by, take
from services.fulfillment.tests.steps import (
    LIMIT,
    NOW,
    ONE,
    ORDER,
    PACK,
    PICK,
    SHIP,
    TWO,
    WEIGH,
    assigned,
    bench,
    claim,
    content,
    events,
    pack,
    reply,
    run,
    scan,
    ship,
    task,
    weigh,
)


def test_the_whole_way_of_a_parcel():
    made = bench()
    (created,) = run(made, content(), assigned(requirements=["signature_on_delivery"]))
    assert created == PickTaskCreated(
        order_id=ORDER,
        task_id=ONE,
        warehouse="CD",
        lines=assigned().parcels[0].lines,
        requirements=["signature_on_delivery"],
        expected_weight_grams=1600,
    )
    assert events(run(made, PICK[0]), PickTaskClaimed)[0].picker == "pda-1"
    assert reply(run(made, PICK[1])).body["expected"] == [{"sku": "LAMP", "barcode": "6902", "remaining": 1}]
    assert len(events(run(made, PICK[2]), ItemsPicked)) == 1
    assert made.timers == {}
    assert len(events(run(made, PACK[-1]), ParcelPacked)) == 1
    assert events(run(made, WEIGH[-1]), ParcelWeighed)[0].accepted
    outputs = run(made, ship(services=["signature_on_delivery"]))
    (shipped,) = events(outputs, ParcelShipped)
    assert (shipped.carrier, shipped.waybill, shipped.last) == ("SF", "SF1", True)
    assert shipped.lines == assigned().parcels[0].lines
    assert reply(outputs).body["state"] == "shipped"
    assert made.row(domain.OrderFile, ORDER).tasks == [domain.TaskRef(task_id=ONE, state="shipped")]


def test_an_unknown_weight_leaves_the_expectation_open():
    made = bench()
    made.handle(SkuDefined(sku="CUP", barcode="6901"), NOW)
    (created,) = run(made, assigned())
    assert created.expected_weight_grams is None
    outputs = run(made, *PACK, weigh(99_999))
    assert events(outputs, ParcelWeighed)[0].accepted
    assert "does not know" in reply(outputs).body["detail"]


class TestClaim:
    def test_one_picker_only(self):
        made = bench()
        first = reply(run(made, assigned(), claim()))
        assert reply(run(made, claim(), at=NOW + timedelta(seconds=5))).body == first.body
        refusal = reply(run(made, claim(by="pda-2")))
        assert (refusal.status, refusal.body["title"]) == (409, "claimed by another picker")
        assert "pda-1" not in str(refusal.body)

    def test_it_ends_by_itself_and_counting_starts_anew(self):
        made = bench()
        run(made, assigned(), claim(), scan("6901"))
        assert made.tick(NOW + timedelta(seconds=LIMIT - 1)) == []
        (ended,) = made.tick(NOW + timedelta(seconds=LIMIT))
        assert ended == PickTaskUnclaimed(order_id=ORDER, task_id=ONE, warehouse="CD", picker="pda-1", reason="expired")
        assert [line.scanned for line in task(made).lines] == [0, 0]
        assert reply(run(made, scan("6901"))).body["next"] == "claim"

    def test_each_scan_extends_it(self):
        made = bench()
        run(made, assigned(), claim())
        run(made, scan("6901"), at=NOW + timedelta(seconds=600))
        assert made.tick(NOW + timedelta(seconds=LIMIT)) == []
        assert len(made.tick(NOW + timedelta(seconds=600 + LIMIT))) == 1

    @pytest.mark.parametrize("picker", ["pda-1", "pda-2"])
    def test_whoever_asks_after_its_end_begins_anew_without_waiting_for_the_timer(self, picker):
        made = bench()
        run(made, assigned(), claim(), scan("6901"))
        late = NOW + timedelta(seconds=LIMIT)
        outputs = run(made, claim(by=picker), at=late)
        assert [type(event) for event in outputs[:2]] == [PickTaskUnclaimed, PickTaskClaimed]
        assert reply(outputs).body["claim_until"] == (late + timedelta(seconds=LIMIT)).isoformat()
        assert [line.scanned for line in task(made).lines] == [0, 0]
        assert made.tick(late) == []
        assert task(made).picker == picker

    def test_handing_back(self):
        made = bench()
        back = domain.HandBack(task_id=ONE, by="pda-1", warehouse="CD")
        run(made, assigned(), claim(), scan("6901"))
        assert reply(run(made, domain.HandBack(task_id=ONE, by="pda-2", warehouse="CD"))).status == 409
        assert events(run(made, back), PickTaskUnclaimed)[0].reason == "handed_back"
        assert made.timers == {}
        assert reply(run(made, back)).status == 409
        run(made, claim(by="pda-2"))
        assert reply(run(made, domain.HandBack(task_id=ONE, by="boss"))).status == 200


class TestScan:
    @pytest.mark.parametrize(
        ("step", "title"),
        [
            (scan("9999"), "wrong barcode"),
            (scan(""), "wrong barcode"),
            (scan("6901", 3), "too many units"),
            (scan("6902", 2), "too many units"),
        ],
    )
    def test_a_wrong_one_changes_nothing_and_says_what_is_expected(self, step, title):
        made = bench()
        run(made, assigned(), claim())
        before = task(made)
        outputs = run(made, step, at=NOW + timedelta(seconds=60))
        assert len(outputs) == 1
        assert (reply(outputs).status, reply(outputs).body["title"]) == (409, title)
        assert reply(outputs).body["expected"] == [
            {"sku": "CUP", "barcode": "6901", "remaining": 2},
            {"sku": "LAMP", "barcode": "6902", "remaining": 1},
        ]
        assert task(made) == before

    def test_the_sku_itself_is_as_good_as_its_barcode(self):
        made = bench()
        assert events(run(made, assigned(), claim(), scan("CUP", 2), scan("LAMP")), ItemsPicked)

    def test_only_by_the_one_who_claimed(self):
        made = bench()
        assert reply(run(made, assigned(), claim(), scan("6901", by="pda-2"))).status == 409

    def test_lines_of_one_sku_are_filled_in_order(self):
        lines = [
            domain.PickLine(line_id="1", sku="CUP", quantity=2),
            domain.PickLine(line_id="2", sku="LAMP", quantity=1),
            domain.PickLine(line_id="3", sku="CUP", quantity=2),
        ]
        taken = take(lines, ["CUP"], 3)
        assert taken is not None
        assert [line.scanned for line in taken] == [2, 0, 1]
        assert take(lines, ["CUP"], 5) is None

    def test_a_name_comes_before_a_barcode(self):
        barcodes = {"A": "B", "B": "7", "C": "7"}
        assert meant_by("B", ["A", "B"], barcodes.__getitem__) == ["B"]
        assert meant_by("7", ["A", "B", "C", "B"], barcodes.__getitem__) == ["B", "C"]
        assert meant_by("8", ["A"], barcodes.__getitem__) == []


class TestPack:
    @pytest.mark.parametrize(
        "items",
        [
            (("6901", 2),),
            (("6901", 1), ("6902", 1)),
            (("6901", 3), ("6902", 1)),
            (("6901", 2), ("6902", 1), ("9999", 1)),
        ],
    )
    def test_content_that_differs_is_refused_with_what_belongs_in_it(self, items):
        made = bench()
        refusal = reply(run(made, assigned(), *PICK, pack(*items)))
        assert (refusal.status, task(made).state) == (409, "picked")
        assert [(each["sku"], each["remaining"]) for each in refusal.body["expected"]] == [("CUP", 2), ("LAMP", 1)]

    def test_units_may_come_one_by_one_and_by_name(self):
        made = bench()
        steps = (*PICK, pack(("LAMP", 1), ("6901", 1), ("CUP", 1)))
        assert events(run(made, assigned(), *steps), ParcelPacked)


class TestWeigh:
    @pytest.mark.parametrize(
        ("grams", "accepted"), [(1600, True), (1520, True), (1680, True), (1519, False), (1681, False)]
    )
    def test_the_tolerance(self, grams, accepted):
        made = bench()
        (weighed,) = events(run(made, assigned(), *PACK, weigh(grams)), ParcelWeighed)
        assert weighed.accepted is accepted
        assert weighed.expected_weight_grams == 1600
        assert task(made).state == ("weighed" if accepted else "recheck")

    def test_light_parcels_have_a_floor(self):
        assert domain.Tolerance(percent=5, floor_grams=20).grams(100) == 20
        assert domain.Tolerance(percent=5, floor_grams=20).grams(1000) == 50

    def test_the_first_reading_cannot_confirm_itself(self):
        made = bench()
        assert not events(run(made, assigned(), *PACK, weigh(9, recheck=True)), ParcelWeighed)[0].accepted
        assert reply(run(made, ship())).body["next"] == "weigh"

    @pytest.mark.parametrize(
        ("again", "accepted"),
        [
            (weigh(9), False),
            (weigh(9, recheck=True), True),
            (weigh(9, by="boss", warehouse=None), True),
            (weigh(1600, by="pda-2"), True),
        ],
    )
    def test_a_recheck_needs_somebody_who_stands_by_it(self, again, accepted):
        made = bench()
        (weighed,) = events(run(made, assigned(), *PACK, weigh(9), again), ParcelWeighed)
        assert weighed.accepted is accepted
        assert weighed.rechecked_by == (again.by if accepted else None)


class TestShip:
    def test_a_required_signature_must_be_on_the_waybill(self):
        made = bench()
        run(made, assigned(requirements=["signature_on_delivery"]), *WEIGH)
        refusal = reply(run(made, ship(services=["insured"])))
        assert (refusal.status, refusal.body["missing_services"]) == (409, ["signature_on_delivery"])
        assert events(run(made, ship(services=["insured", "signature_on_delivery"])), ParcelShipped)

    def test_a_waybill_is_good_for_one_parcel(self):
        made = bench()
        run(made, assigned(parcels=2), claim(), scan("6901", 2), pack(("6901", 2)), weigh(600), ship("SF1"))
        gz = {"task_id": TWO, "warehouse": "GZ"}
        run(made, claim(**gz), scan("6902", **gz), pack(("6902", 1), **gz), weigh(1000, **gz))
        assert reply(run(made, ship("SF1", **gz))).body["field"] == "waybill"
        assert events(run(made, ship("SF2", **gz)), ParcelShipped)[0].last

    def test_the_same_shipping_again_says_the_same_and_another_is_refused(self):
        made = bench()
        run(made, assigned(), *SHIP)
        again = run(made, ship())
        assert (len(again), reply(again).status) == (1, 200)
        assert reply(run(made, ship("SF9"))).status == 409


class TestAdmission:
    STEPS = (
        claim(),
        scan("6901"),
        pack(("6901", 1)),
        weigh(1),
        ship(),
        domain.HandBack(task_id=ONE, by="p", warehouse="CD"),
    )

    @pytest.mark.parametrize("step", STEPS)
    def test_a_task_nobody_knows(self, step):
        assert reply(run(bench(), step)).status == 404

    @pytest.mark.parametrize("step", STEPS)
    def test_a_picker_of_another_warehouse(self, step):
        made = bench()
        moved = type(step)(**{**{f: getattr(step, f) for f in step.__struct_fields__}, "warehouse": "GZ"})
        assert reply(run(made, assigned(), moved)).status == 403

    def test_a_device_revoked_or_moved(self):
        made = bench()
        run(made, assigned(), domain.RegisterDevice(device_id="pda-1", warehouse="CD", label="blue"))
        assert reply(run(made, claim())).status == 200
        assert reply(run(made, domain.RevokeDevice(device_id="pda-1"))).body["revoked"]
        assert reply(run(made, scan("6901"))).status == 403
        run(made, domain.RegisterDevice(device_id="pda-1", warehouse="GZ"))
        assert reply(run(made, scan("6901"))).status == 403
        run(made, domain.RegisterDevice(device_id="pda-1", warehouse="CD"))
        assert reply(run(made, scan("6901"))).status == 200

    def test_a_token_that_was_lost_can_be_revoked_without_ever_being_registered(self):
        made = bench()
        run(made, assigned(), domain.RevokeDevice(device_id="pda-1"))
        assert reply(run(made, claim())).status == 403

    @pytest.mark.parametrize(
        ("steps", "wrong", "state", "awaited"),
        [
            ((), scan("6901"), "open", "claim"),
            (PICK[:1], pack(("6901", 1)), "claimed", "scan"),
            (PICK, claim(by="pda-2"), "picked", "pack"),
            (PACK, ship(), "packed", "weigh"),
            (WEIGH, weigh(1600), "weighed", "ship"),
            (SHIP, claim(), "shipped", None),
        ],
    )
    def test_a_step_out_of_turn_is_told_the_next_one(self, steps, wrong, state, awaited):
        made = bench()
        refusal = reply(run(made, assigned(), *steps, wrong))
        assert (refusal.status, refusal.body["state"], refusal.body["next"]) == (409, state, awaited)
