"""Orders that a platform wants accepted, decided by the real handlers: called for once, and only once they are here."""

import sys
from datetime import timedelta

import pytest

from contracts.orders import OrderPlaced
from contracts.shipments import FulfillmentCancelled
from libs.decide import Reply, State
from libs.testkit.bench import Bench
from services.ingestion.domain import DocumentHeard, TakeBatch, TakeDocument, TakeHints
from services.ingestion.domain.acceptance import Acceptance, accept_new
from services.ingestion.domain.orders import CancelOrder
from services.ingestion.domain.subjects import HintHeard
from services.ingestion.handlers import handlers
from services.ingestion.handlers.outward import accept_limits_s, platforms
from services.ingestion.tests.outward_samples import channel, connect, ended, order_of, reports, sends, shipped
from services.ingestion.tests.samples import NOW, place

ORDER_ID = "meituan.s1.88"


@pytest.fixture
def bench(monkeypatch):
    found = [channel("meituan", accept_limit_s=900), channel("douyin")]
    monkeypatch.setattr(sys.modules[platforms.__module__], "platforms", lambda: found)
    return Bench(handlers())


def cancelled():
    return CancelOrder(order_id=ORDER_ID, request_id="c", raw_sealed="raw")


def read(bench, said, fetch_no=1):
    return bench.handle(
        TakeDocument(
            shop_id="s1",
            channel="meituan",
            fetch_no=fetch_no,
            read_at=NOW,
            document=DocumentHeard(about="order", subject_id="88", said=said),
        ),
        NOW,
    )


def hinted(bench):
    connect(bench, "s1", "meituan")
    hint = HintHeard(about="order", subject_id="88")
    pushed = TakeHints(
        push_id="p", shop_id="s1", channel="meituan", source="push", raw_sealed="raw", hints=[hint], read_at=NOW
    )
    bench.handle(pushed, NOW)


def test_only_meituan_declares_a_limit_today():
    assert accept_limits_s(platforms()) == {"meituan": 900}


def test_a_new_order_is_accepted_and_a_repeat_is_not(bench):
    order = order_of("meituan")
    (send,) = sends(bench.handle(order, NOW))
    assert (send.destination, send.send_id, send.key) == ("accept:meituan", ORDER_ID, ORDER_ID)
    assert send.body == {"shop_id": "s1", "platform_order_id": "88"}
    row = bench.row(Acceptance, ORDER_ID)
    paid_at = order.order.paid_at or order.order.placed_at
    assert (row.state, row.accept_by) == ("accepting", paid_at + timedelta(minutes=15))
    assert sends(bench.handle(order, NOW)) == []
    assert sends(bench.batch([order, order], NOW)) == []


def test_an_order_that_comes_twice_in_one_batch_is_accepted_once(bench):
    assert len(sends(bench.batch([order_of("meituan"), order_of("meituan")], NOW))) == 1


def test_a_fetched_order_is_accepted_with_the_decision_that_takes_it(bench):
    hinted(bench)
    outputs = read(bench, [order_of("meituan")])
    assert [type(each) for each in outputs if isinstance(each, OrderPlaced | Reply)] == [OrderPlaced, Reply]
    assert [each.destination for each in sends(outputs)] == ["accept:meituan"]
    assert sends(read(bench, [order_of("meituan", quantity=4)])) == [], "an amended order was accepted already"


def test_an_order_that_comes_with_its_cancellation_is_not_accepted(bench):
    hinted(bench)
    assert sends(read(bench, [order_of("meituan"), cancelled()])) == []
    assert bench.all_rows(Acceptance) == []


def test_an_order_after_its_cancellation_is_not_accepted(bench):
    bench.handle(cancelled(), NOW)
    assert sends(bench.handle(order_of("meituan"), NOW)) == []


@pytest.mark.parametrize("command", [place(), order_of("douyin"), TakeBatch(batch_id="b", items=[place()])])
def test_other_channels_have_nothing_accepted_and_load_nothing_for_it(bench, command):
    assert Acceptance not in bench.handlers.find(command).needs(command)
    assert sends(bench.handle(command, NOW)) == []
    assert bench.all_rows(Acceptance) == []


def test_what_is_not_limited_costs_no_row():
    state = State()
    assert accept_new([order_of("douyin").order], {"meituan": 900}, state, NOW) == []
    assert state.changed(Acceptance) == []


@pytest.mark.parametrize(("ok", "state"), [(True, "accepted"), (False, "refused")])
def test_the_platforms_word_is_kept_once(bench, ok, state):
    (send,) = sends(bench.handle(order_of("meituan"), NOW))
    for detail, fine in (("808: 状态已变更", ok), ("later", not ok)):
        assert bench.handle(ended(send, ok=fine, detail=detail), NOW) == []
        row = bench.row(Acceptance, ORDER_ID)
        assert (row.state, row.word) == (state, "808: 状态已变更")


def test_a_refusal_of_an_order_cancelled_meanwhile_is_nobodys_business(bench):
    (send,) = sends(bench.handle(order_of("meituan"), NOW))
    bench.handle(cancelled(), NOW)
    bench.handle(ended(send, ok=False), NOW)
    assert bench.row(Acceptance, ORDER_ID).state == "cancelled"


@pytest.mark.parametrize("ok", [True, False])
def test_a_shipment_is_told_only_after_the_platforms_word_on_the_order(bench, ok):
    (accept,) = sends(bench.handle(order_of("meituan", number="77"), NOW))
    assert sends(bench.handle(shipped("meituan"), NOW)) == []
    assert sends(bench.handle(shipped("meituan", waybill="SF2"), NOW)) == []
    assert reports(bench, "meituan") == [("1", "sending")]
    (upload,) = sends(bench.handle(ended(accept, ok=ok), NOW))
    assert (upload.destination, upload.body["waybill"], upload.body["round"]) == ("upload:meituan", "SF2", 1)
    assert bench.handle(ended(accept, ok=ok), NOW) == [], "a doubled answer tells it once"
    bench.handle(ended(upload), NOW)
    assert reports(bench, "meituan") == [("1", "sent")]


def test_what_the_last_parcel_was_to_carry_waits_as_well(bench):
    (accept,) = sends(bench.handle(order_of("meituan", number="77"), NOW))
    bench.handle(shipped("meituan", last=False), NOW)
    gone = FulfillmentCancelled(order_id="meituan.s1.77", request_id="r", cancelled_parcels=["meituan.s1.77/2"])
    assert sends(bench.handle(gone, NOW)) == []
    (upload,) = sends(bench.handle(ended(accept), NOW))
    assert upload.body["parcel_id"] == "meituan.s1.77/1"
