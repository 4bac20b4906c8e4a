"""Hints, documents and pages: each document is asked for once at a time, taken once, and a bad one stops no other."""

from datetime import timedelta

import pytest

from contracts.orders import OrderAmended, OrderCancelRequested, OrderPlaced, RefundRequested
from services.ingestion.domain import (
    HintHeard,
    ParkedDocument,
    PlatformRefund,
    Progress,
    Push,
    RequestRefund,
    RetryParked,
    Subject,
    TakeHints,
    is_known,
)
from services.ingestion.tests.platform_samples import (
    CHANNEL,
    SHOP,
    at,
    close,
    closed,
    connected,
    delivered,
    document,
    events,
    order_id,
    page,
    said,
    sends,
    take,
)
from services.ingestion.tests.samples import NOW


@pytest.fixture
def bench():
    return connected()


def hint(number, message_id="", about="order"):
    return HintHeard(about=about, subject_id=number, message_id=message_id)


def hints(*found, push_id="p1", documents=()):
    return TakeHints(
        push_id=push_id,
        shop_id=SHOP,
        channel=CHANNEL,
        source="push",
        raw_sealed="raw",
        hints=list(found),
        documents=list(documents),
        read_at=NOW,
    )


def refund_of(number, amount=100, **more):
    return RequestRefund(order_id=order_id(number), refund_id=f"r{number}", amount=amount, **more)


def test_a_hint_becomes_one_call_and_the_document_an_order(bench):
    outputs = bench.handle(hints(hint("1", "m1"), hint("2", "m2")), NOW)
    first, second = sends(outputs)
    assert (first.destination, first.body["subject_id"], first.not_before) == ("fetch:taobao", "1", at(1))
    assert second.send_id == "t1/order/2/1"
    outputs = bench.handle(take("1", 1, said("1"), read_at=at(2), modified_at=at(0)), at(2))
    assert events(outputs) == ["OrderPlaced"]
    assert sends(bench.handle(delivered(first), at(2))) == []
    assert not bench.row(Subject, SHOP, "order", "1").pending
    assert [type(entry) for entry in bench.entries].count(Push) == 1


def test_a_repeated_message_has_no_effect_and_one_without_an_id_asks_again(bench):
    (first,) = sends(bench.handle(hints(hint("1", "m1")), NOW))
    bench.handle(take("1", 1, said("1"), read_at=at(2)), at(2))
    bench.handle(delivered(first), at(2))
    repeated = bench.handle(hints(hint("1", "m1"), push_id="p2"), at(3))
    assert sends(repeated) == []
    assert repeated[-1].body == {"fresh": 0}
    assert len([entry for entry in bench.entries if isinstance(entry, Push)]) == 1
    assert len(sends(bench.handle(hints(hint("1"), push_id="p3"), at(4)))) == 1


def test_a_change_while_a_call_is_under_way_is_asked_for_after_it(bench):
    (first,) = sends(bench.handle(hints(hint("1", "m1")), NOW))
    assert sends(bench.handle(hints(hint("1", "m2"), push_id="p2"), at(1))) == []
    bench.handle(take("1", 1, said("1"), read_at=at(1)), at(2))
    (again,) = sends(bench.handle(delivered(first), at(2)))
    assert again.send_id == "t1/order/1/2"
    changed = said("1", note="other")
    assert events(bench.handle(take("1", 2, changed, read_at=at(4)), at(4))) == ["OrderAmended"]
    assert sends(bench.handle(delivered(again), at(4))) == []
    assert sends(bench.handle(delivered(first), at(5))) == []


def test_an_order_that_was_closed_says_both_and_again_nothing(bench):
    bench.handle(hints(hint("1")), NOW)
    outputs = bench.handle(take("1", 1, said("1"), closed("1"), read_at=at(2)), at(2))
    assert [type(each) for each in outputs[:2]] == [OrderPlaced, OrderCancelRequested]
    assert events(bench.handle(take("1", 1, said("1"), closed("1"), read_at=at(3)), at(3))) == []


def test_a_cancellation_alone_ends_an_order_that_is_here_and_tells_nobody_of_one_that_is_not(bench):
    bench.handle(hints(hint("1"), hint("2")), NOW)
    bench.handle(take("1", 1, said("1"), read_at=at(2)), at(2))
    assert events(bench.handle(take("1", 1, closed("1"), read_at=at(3)), at(3))) == ["OrderCancelRequested"]
    assert events(bench.handle(take("2", 1, closed("2"), read_at=at(3)), at(3))) == []
    assert bench.row(ParkedDocument, SHOP, "order", "2") is None


def test_an_unpaid_order_says_nothing_and_is_known(bench):
    bench.handle(page(1, ("1", at(-9))), NOW)
    assert bench.row(Progress, SHOP).open == {"1": 1}
    assert events(bench.handle(take("1", 1, read_at=NOW, modified_at=at(-9)), NOW)) == []
    assert bench.row(Progress, SHOP).open == {}


def test_an_older_document_changes_nothing(bench):
    bench.handle(hints(hint("1")), NOW)
    bench.handle(take("1", 1, said("1", note="new"), read_at=at(2), modified_at=at(1)), at(2))
    late = document("1", said("1", note="old"), modified_at=at(0))
    assert events(bench.handle(hints(push_id="p2", documents=[late]), at(3))) == []
    assert events(bench.handle(page(1, ("1", at(0))), at(3))) == []


@pytest.mark.parametrize(
    ("known", "read", "listed", "expected"),
    [(0, 5, 0, True), (0, 0.5, 0, False), (1, 0.5, 0, True), (0, 5, 1, False), (None, 5, 0, False)],
)
def test_known_is_what_was_read_after_the_second_of_its_change(known, read, listed, expected):
    subject = Subject(shop_id=SHOP, about="order", subject_id="1", channel=CHANNEL)
    subject.known_at = None if known is None else at(known)
    subject.read_at = at(read)
    assert is_known(subject, at(listed)) is expected


@pytest.mark.parametrize(("read", "expected"), [(None, False), (100, False), (105, False), (106, True), (500, True)])
def test_where_a_list_tells_no_times_known_is_what_was_read_well_after_its_span(read, expected):
    subject = Subject(shop_id=SHOP, about="order", subject_id="1", channel=CHANNEL)
    subject.known_at = at(7)
    subject.read_at = None if read is None else at(read)
    assert is_known(subject, at(100), bound=True) is expected


def test_a_page_asks_only_for_what_is_not_known(bench):
    outputs = bench.handle(page(1, ("1", at(-20)), ("2", at(-20)), read_at=NOW), NOW)
    for send in sends(outputs):
        number = send.body["subject_id"]
        bench.handle(take(number, 1, said(number), read_at=at(1), modified_at=at(-20)), at(1))
        bench.handle(delivered(send), at(1))
    again = bench.handle(page(2, ("1", at(-20)), ("2", at(-10))), at(10))
    assert [send.body["subject_id"] for send in sends(again)] == ["2"]
    # Seen once more in the overlap while its call is under way, it is not asked for twice.
    assert sends(bench.handle(page(3, ("2", at(-10))), at(11))) == []
    assert not bench.row(Subject, SHOP, "order", "2").again


def test_a_page_with_whole_documents_needs_no_calls(bench):
    found = document("1", said("1"), modified_at=at(-20))
    outputs = bench.handle(page(1, ("1", at(-20)), documents=[found]), NOW)
    assert events(outputs) == ["OrderPlaced"]
    assert sends(outputs) == []
    assert bench.row(Progress, SHOP).open == {}


def test_a_document_in_a_page_does_not_overtake_a_call_under_way(bench):
    (first,) = sends(bench.handle(hints(hint("1")), NOW))
    found = document("1", said("1"), modified_at=at(-20))
    assert events(bench.handle(page(1, ("1", at(-20)), documents=[found]), NOW)) == []
    bench.handle(take("1", 1, said("1"), read_at=at(1), modified_at=at(-20)), at(1))
    assert bench.row(Progress, SHOP).open == {"1": 1}
    (again,) = sends(bench.handle(delivered(first), at(1)))
    bench.handle(take("1", 2, said("1"), read_at=at(3), modified_at=at(-20)), at(3))
    bench.handle(delivered(again), at(3))
    assert bench.row(Progress, SHOP).open == {}


def test_a_poison_document_is_parked_and_holds_nothing_but_itself(bench):
    poison, good = sends(bench.handle(page(1, ("1", at(-20)), ("2", at(-20))), NOW))
    bench.handle(close(1, NOW - timedelta(seconds=300), at(-10), listed=2), NOW)
    refused = take("1", 1, read_at=at(1), refused_field="lines[0].num", refused_reason="is missing", raw_sealed="x")
    outputs = bench.handle(refused, at(1))
    assert outputs[-1].body == {"taken": True}
    assert events(bench.handle(take("2", 1, said("2"), read_at=at(1)), at(1))) == ["OrderPlaced"]
    for send in (poison, good):
        bench.handle(delivered(send), at(1))
    assert bench.row(Progress, SHOP).open == {}
    parked = bench.row(ParkedDocument, SHOP, "order", "1")
    assert (parked.field, parked.reason, parked.raw_sealed) == ("lines[0].num", "is missing", "x")
    # Later pulls do not ask for it again; an operator does, and then it is an order like any other.
    assert sends(bench.handle(page(2, ("1", at(-20))), at(2))) == []
    retry = RetryParked(shop_id=SHOP, about="order", subject_id="1")
    (again,) = sends(bench.handle(retry, at(3)))
    assert events(bench.handle(take("1", 2, said("1"), read_at=at(4)), at(4))) == ["OrderPlaced"]
    bench.handle(delivered(again), at(4))
    assert bench.row(ParkedDocument, SHOP, "order", "1") is None
    assert bench.row(Progress, SHOP).late_orders == 0
    assert bench.handle(retry, at(5))[-1].status == 404


def test_what_the_platform_refuses_for_good_is_parked_with_its_words(bench):
    (send,) = sends(bench.handle(page(1, ("1", at(-20))), NOW))
    bench.handle(delivered(send, ok=False, detail="isv.trade-not-exist: no such trade"), at(1))
    parked = bench.row(ParkedDocument, SHOP, "order", "1")
    assert (parked.reason, parked.attempts) == ("isv.trade-not-exist: no such trade", 1)
    assert bench.row(Progress, SHOP).open == {}
    bench.handle(RetryParked(shop_id=SHOP, about="order", subject_id="1"), at(2))
    bench.handle(take("1", 2, refused_reason="is odd", read_at=at(3)), at(3))
    assert bench.row(ParkedDocument, SHOP, "order", "1").attempts == 2


def test_an_order_that_should_have_been_here_is_counted(bench):
    row = bench.row(Progress, SHOP)
    row.complete_until = at(100)
    bench.put(row)
    bench.handle(hints(hint("1"), hint("2")), at(200))
    bench.handle(take("1", 1, said("1", paid_at=at(50)), read_at=at(201)), at(201))
    bench.handle(take("2", 1, said("2", paid_at=at(150)), read_at=at(201)), at(201))
    assert bench.row(Progress, SHOP).late_orders == 1


def test_a_refund_is_said_once_and_again_when_its_amount_changes(bench):
    bench.handle(hints(hint("1"), hint("r1", about="refund")), NOW)
    bench.handle(take("1", 1, said("1"), read_at=at(1)), at(1))
    first = bench.handle(take("r1", 1, refund_of("1"), about="refund", read_at=at(1)), at(1))
    assert [each.request_id for each in first if isinstance(each, RefundRequested)] == ["r1"]
    again = bench.handle(take("r1", 1, refund_of("1"), about="refund", read_at=at(2)), at(2))
    assert events(again) == []
    more = bench.handle(take("r1", 1, refund_of("1", 150), about="refund", read_at=at(3)), at(3))
    assert [each.request_id for each in more if isinstance(each, RefundRequested)] == ["r1/2"]
    assert bench.row(PlatformRefund, order_id("1"), "r1").amount == 150


def lines(*line_ids):
    one = {"sku": "A-1", "quantity": 1, "unit_price": 100}
    return {"lines": [one | {"line_id": each} for each in line_ids], "shipping_fee": 0, "total": 100 * len(line_ids)}


def test_a_refund_of_one_line_of_several_names_it_and_asks_for_the_order_again(bench):
    first, _ = sends(bench.handle(hints(hint("1"), hint("r1", about="refund")), NOW))
    bench.handle(take("1", 1, said("1", **lines("a", "b", "c")), read_at=at(1)), at(1))
    bench.handle(delivered(first), at(1))
    outputs = bench.handle(take("r1", 1, refund_of("1", line_ids=["b"]), about="refund", read_at=at(2)), at(2))
    (asked,) = [each for each in outputs if isinstance(each, RefundRequested)]
    assert (asked.line_ids, events(outputs)) == (["b"], ["RefundRequested"])
    (order,) = sends(outputs)
    assert (order.body["about"], order.body["subject_id"], order.body["fetch_no"]) == ("order", "1", 2)
    outputs = bench.handle(take("1", 2, said("1", **lines("a", "c")), read_at=at(3)), at(3))
    assert events(outputs) == ["OrderAmended"]
    rest = RequestRefund(order_id=order_id("1"), refund_id="r2", amount=200, line_ids=["a", "c"])
    (whole,) = [each for each in bench.handle(rest, at(4)) if isinstance(each, RefundRequested)]
    assert whole.line_ids == [], "nothing else is left of it: that is a cancellation"


@pytest.mark.parametrize("left", [["b"], ["b", "c"]])
def test_a_refund_of_lines_that_the_order_does_not_hold_cancels_nothing(bench, left):
    bench.handle(hints(hint("1")), NOW)
    bench.handle(take("1", 1, said("1", **lines(*left)), read_at=at(1)), at(1))
    of_a, of_the_rest = (
        RequestRefund(order_id=order_id("1"), refund_id=f"r{place}", amount=100, line_ids=line_ids)
        for place, line_ids in enumerate((["a"], left))
    )
    assert [each.line_ids for each in bench.handle(of_a, at(2)) if isinstance(each, RefundRequested)] == [["a"]]
    assert [each.line_ids for each in bench.handle(of_the_rest, at(3)) if isinstance(each, RefundRequested)] == [[]]


@pytest.mark.parametrize("line_ids", [[], ["1"], ["1", "2"]])
def test_a_refund_of_an_orders_only_line_is_of_the_order(bench, line_ids):
    bench.handle(hints(hint("1"), hint("r1", about="refund")), NOW)
    bench.handle(take("1", 1, said("1"), read_at=at(1)), at(1))
    outputs = bench.handle(take("r1", 1, refund_of("1", line_ids=line_ids), about="refund", read_at=at(2)), at(2))
    assert [each.line_ids for each in outputs if isinstance(each, RefundRequested)] == [[]]
    assert sends(outputs) == []


def test_a_refund_of_a_cancelled_order_stops_nothing(bench):
    bench.handle(hints(hint("1")), NOW)
    bench.handle(take("1", 1, said("1"), closed("1"), read_at=at(1)), at(1))
    assert events(bench.handle(refund_of("1"), at(2))) == []


def test_a_refund_before_its_order_asks_for_the_order_and_waits(bench):
    (send,) = sends(bench.handle(hints(hint("r1", about="refund")), NOW))
    outputs = bench.handle(take("r1", 1, refund_of("1"), about="refund", read_at=at(1)), at(1))
    (order,) = sends(outputs)
    assert (order.body["about"], order.body["subject_id"]) == ("order", "1")
    (again,) = sends(bench.handle(delivered(send), at(1)))
    assert again.not_before == at(6)
    bench.handle(take("1", 1, said("1"), read_at=at(2)), at(2))
    outputs = bench.handle(take("r1", 2, refund_of("1"), about="refund", read_at=at(6)), at(6))
    assert events(outputs) == ["RefundRequested"]
    assert sends(bench.handle(delivered(again), at(6))) == []


def test_a_refund_whose_order_never_comes_is_parked(bench):
    sent = sends(bench.handle(hints(hint("r1", about="refund")), NOW))
    for number in range(1, 200):
        bench.handle(take("r1", number, refund_of("1"), about="refund", read_at=at(number)), at(number))
        sent = sends(bench.handle(delivered(sent[0]), at(number)))
        if not sent:
            break
    assert bench.row(ParkedDocument, SHOP, "refund", "r1").reason == "its order is not here"
    assert number < 100


def listed_at_40(bench):
    (call,) = sends(bench.handle(page(1, ("1", at(40)), read_at=at(50)), at(50)))
    bench.handle(close(1, NOW, at(45), ended=at(50), listed=1, counted=1), at(50))
    return call


def test_a_document_that_runs_behind_its_list_is_asked_for_again_and_time_waits_for_it(bench):
    call = listed_at_40(bench)
    # The detail still says what it was 10 s before the change: unpaid, which says nothing.
    bench.handle(take("1", 1, read_at=at(51), modified_at=at(30)), at(51))
    (again,) = sends(bench.handle(delivered(call), at(51)))
    assert again.not_before == at(56)
    bench.handle(close(2, at(30), at(55), ended=at(60), listed=0, counted=0), at(60))
    assert bench.row(Progress, SHOP).complete_until == NOW, "a paid order may be in the change"
    outputs = bench.handle(take("1", 2, said("1"), read_at=at(61), modified_at=at(40)), at(61))
    assert "OrderPlaced" in events(outputs)
    assert sends(bench.handle(delivered(again), at(61))) == []
    bench.handle(close(3, at(40), at(65), ended=at(70), listed=0, counted=0), at(70))
    assert bench.row(Progress, SHOP).complete_until >= at(45)
    assert bench.row(ParkedDocument, SHOP, "order", "1") is None


def test_a_document_that_never_shows_the_listed_change_is_taken_and_shown_to_a_person(bench):
    sent = [listed_at_40(bench)]
    calls = 0
    while sent and calls < 100:
        calls += 1
        bench.handle(take("1", calls, said("1"), read_at=at(50 + calls), modified_at=at(30)), at(50 + calls))
        sent = sends(bench.handle(delivered(sent[0]), at(50 + calls)))
    assert calls == 7
    parked = bench.row(ParkedDocument, SHOP, "order", "1")
    assert (parked.field, parked.reason) == ("modified", "the list tells of a later change")
    assert bench.row(Subject, SHOP, "order", "1").open_step is None, "nobody else waits"
    (retried,) = sends(bench.handle(RetryParked(shop_id=SHOP, about="order", subject_id="1"), at(80)))
    bench.handle(take("1", 8, said("1"), read_at=at(81), modified_at=at(40)), at(81))
    assert sends(bench.handle(delivered(retried), at(81))) == []
    assert bench.row(ParkedDocument, SHOP, "order", "1") is None


def test_a_bound_of_a_list_is_no_change_that_a_document_could_run_behind(bench):
    (call,) = sends(bench.handle(page(1, ("1", at(40)), read_at=at(50), bound=True), at(50)))
    bench.handle(take("1", 1, said("1"), read_at=at(51), modified_at=at(30)), at(51))
    assert sends(bench.handle(delivered(call), at(51))) == []


def test_an_address_that_changed_is_an_amendment(bench):
    bench.handle(hints(hint("1")), NOW)
    bench.handle(take("1", 1, said("1"), read_at=at(1)), at(1))
    other = said("1", recipient={"name": "李四", "phone": "13900000000", "address": "另一条路2号"})
    outputs = bench.handle(take("1", 1, other, read_at=at(2)), at(2))
    (amended,) = [each for each in outputs if isinstance(each, OrderAmended)]
    assert amended.changed == ["recipient"]


def test_the_same_page_or_push_resealed_is_the_same_request():
    one = hints(hint("1"), documents=[document("1", said("1"), raw_sealed="a")])
    other = hints(hint("1"), documents=[document("1", said("1"), raw_sealed="b")])
    assert one.sameness == other.sameness
    assert one.sameness != hints(hint("2")).sameness
    pages = [page(1, ("1", NOW), documents=[document("1", said("1"), raw_sealed=raw)]) for raw in "ab"]
    assert pages[0].sameness == pages[1].sameness
