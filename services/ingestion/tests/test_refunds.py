"""Refunds of parts and of the whole, in whichever order they are read, and those that are withdrawn afterwards."""

import msgspec
import pytest

from contracts.orders import RefundRequested
from contracts.shipments import ParcelShipped
from contracts.stock import StockLine
from libs.decide import Send
from services.ingestion.domain import CancelOrder, ParkedDocument, PlatformOrder, RequestRefund, RetryParked, Subject
from services.ingestion.tests.platform_samples import (
    SHOP,
    at,
    closed,
    connected,
    delivered,
    order_id,
    said,
    sends,
    take,
)
from services.ingestion.tests.samples import NOW
from services.ingestion.tests.test_subjects import hint, hints, lines, refund_of


@pytest.fixture
def bench():
    return connected()


def hear(bench, seconds, number, *commands, about="order"):
    """Let a hint's call be made and answered; returns what is told of orders, and what else is asked for."""
    bench.handle(hints(hint(number, about=about), push_id=f"p{seconds}"), at(seconds))
    row = bench.row(Subject, SHOP, about, number)
    outputs = bench.handle(take(number, row.fetch_no, *commands, about=about, read_at=at(seconds)), at(seconds))
    place = {"shop_id": SHOP, "about": about, "subject_id": number, "fetch_no": row.fetch_no}
    call = Send(destination="fetch:taobao", send_id=f"{SHOP}/{about}/{number}/{row.fetch_no}", key=number, body=place)
    bench.handle(delivered(call), at(seconds))
    return [each for each in outputs if type(each).__module__ == "contracts.orders"]


def told(outputs):
    """The lines of each content, and of each refund."""
    return [
        (type(each).__name__, each.line_ids if isinstance(each, RefundRequested) else [e.line_id for e in each.lines])
        for each in outputs
    ]


def asked_back(*line_ids):
    return msgspec.structs.replace(said("1", **lines(*line_ids)), asked_back=True)


def part(refund_id, *line_ids, **more):
    return RequestRefund(order_id=order_id("1"), refund_id=refund_id, amount=100, line_ids=list(line_ids), **more)


def test_a_refund_of_a_line_of_an_order_whose_lines_were_not_kept_waits_for_the_orders_own_word(bench):
    hear(bench, 0, "1", said("1"))
    row = bench.row(PlatformOrder, order_id("1"))
    row.line_ids = []
    bench.put(row)
    assert told(hear(bench, 1, "r1", part("r1", "1"), about="refund")) == [("RefundRequested", ["1"])]
    assert told(hear(bench, 2, "1", asked_back("1"))) == [("RefundRequested", [])]


ALL = ("RefundRequested", [])
A, B = ("RefundRequested", ["a"]), ("RefundRequested", ["b"])


@pytest.mark.parametrize(
    ("first", "news"),
    [
        # Both at once, before the order is read again.
        (["a", "b"], [("r1", [A]), ("r2", [B]), ("order", [ALL]), ("order", [])]),
        # The order's document knows of the second one before its own document does.
        (["a", "b"], [("r1", [A]), ("without a", [("OrderAmended", ["b"])]), ("order", [ALL]), ("r2", [ALL])]),
        (["a", "b"], [("r1", [A]), ("without a", [("OrderAmended", ["b"])]), ("r2", [ALL]), ("order", [])]),
        (["a", "b"], [("order", []), ("r1", [A]), ("order", [ALL]), ("r2", [B]), ("order", [])]),
        # First heard when a line, or everything, was asked back already.
        (["b"], [("r1", [A]), ("order", [ALL])]),
        (["b"], [("r2", [ALL]), ("r1", [A]), ("order", [])]),
        ([], [("order", [("OrderPlaced", ["a", "b"])]), ("r2", [B]), ("order", [ALL]), ("r1", [A])]),
    ],
)
def test_the_last_line_asked_back_takes_the_order_and_brings_no_line_back(bench, first, news):
    documents = {
        "order": ("1", asked_back("a", "b"), "order"),
        "without a": ("1", said("1", **lines("b")), "order"),
        "r1": ("r1", part("r1", "a"), "refund"),
        "r2": ("r2", part("r2", "b"), "refund"),
    }
    if first:
        hear(bench, 0, "1", said("1", **lines(*first)))
    for seconds, (name, expected) in enumerate(news, 10):
        number, command, about = documents[name]
        assert told(hear(bench, seconds, number, command, about=about)) == expected, name
    assert bench.row(PlatformOrder, order_id("1")).refunded


def test_refunds_of_parts_that_became_the_whole_ask_once_and_count_their_amounts_once(bench):
    hear(bench, 0, "1", said("1", **lines("a", "b")))
    asked = hear(bench, 1, "r1", part("r1", "a"), about="refund") + hear(
        bench, 2, "r2", part("r2", "b"), about="refund"
    )
    asked += hear(bench, 3, "1", asked_back("a", "b"))
    assert [(each.request_id, each.amount) for each in asked] == [("r1", 100), ("r2", 100), ("r2/all", 0)]
    # Refused, and the order's document says so: its lines are as they were.
    assert told(hear(bench, 4, "1", said("1", **lines("b")))) == [("OrderAmended", ["b"])]


def notice(bench, refund_id="r1"):
    return bench.row(ParkedDocument, SHOP, "refund", refund_id)


def withdrawn(refund_id="r1"):
    return RequestRefund(order_id=order_id("1"), refund_id=refund_id, amount=0, withdrawn=True)


def test_a_refund_that_ended_the_order_and_is_withdrawn_is_shown_once(bench):
    hear(bench, 0, "1", said("1"))
    hear(bench, 1, "r1", refund_of("1"), about="refund")
    assert notice(bench) is None
    assert hear(bench, 2, "r1", withdrawn(), about="refund") == []
    first = notice(bench)
    assert first.field == "refund withdrawn"
    assert "ship it by hand or have it placed anew" in first.reason
    assert len(first.reason) < 300
    assert bench.row(Subject, SHOP, "refund", "r1").parked
    hear(bench, 3, "r1", withdrawn(), about="refund")
    assert notice(bench) == first, "read again it says nothing new"
    (call,) = sends(bench.handle(RetryParked(shop_id=SHOP, about="refund", subject_id="r1"), at(4)))
    assert notice(bench) is None, "who asks again has seen it"
    number = call.body["fetch_no"]
    bench.handle(take("r1", number, withdrawn(), about="refund", read_at=at(5)), at(5))
    bench.handle(delivered(call), at(5))
    hear(bench, 6, "r1", withdrawn(), about="refund")
    assert notice(bench) is None
    assert not bench.row(Subject, SHOP, "refund", "r1").parked


def test_a_notice_goes_when_the_refund_is_wanted_again_and_comes_back_with_its_end(bench):
    hear(bench, 0, "1", said("1"))
    hear(bench, 1, "r1", refund_of("1"), about="refund")
    hear(bench, 2, "r1", withdrawn(), about="refund")
    assert hear(bench, 3, "r1", refund_of("1"), about="refund") == []
    assert notice(bench) is None
    hear(bench, 4, "r1", withdrawn(), about="refund")
    assert notice(bench) is not None


def test_a_notice_outlives_a_reading_that_could_not_be_taken(bench):
    hear(bench, 0, "1", said("1"))
    hear(bench, 1, "r1", refund_of("1"), about="refund")
    hear(bench, 2, "r1", withdrawn(), about="refund")
    number = bench.row(Subject, SHOP, "refund", "r1").fetch_no
    bench.handle(take("r1", number, about="refund", read_at=at(3), refused_reason="is odd"), at(3))
    assert notice(bench).reason == "is odd"
    hear(bench, 4, "r1", withdrawn(), about="refund")
    assert notice(bench).field == "refund withdrawn"


def test_of_lines_that_together_were_the_order_any_one_that_is_withdrawn_is_shown(bench):
    hear(bench, 0, "1", said("1", **lines("a", "b")))
    hear(bench, 1, "r1", part("r1", "a"), about="refund")
    hear(bench, 2, "r2", part("r2", "b"), about="refund")
    hear(bench, 3, "1", asked_back("a", "b"))
    hear(bench, 4, "r1", withdrawn(), about="refund")
    assert notice(bench) is not None
    assert notice(bench, "r2") is None


def test_a_withdrawal_that_is_all_that_was_ever_read_of_a_refund_is_shown_where_the_order_ended(bench):
    hear(bench, 0, "1", said("1", **lines("a", "b")))
    hear(bench, 1, "r1", part("r1", "a"), about="refund")
    hear(bench, 2, "1", asked_back("a", "b"))
    assert hear(bench, 3, "r2", withdrawn("r2"), about="refund") == []
    assert notice(bench, "r2").field == "refund withdrawn"
    # Wanted again it is said for the first time.
    assert [each.request_id for each in hear(bench, 4, "r2", part("r2", "b"), about="refund")] == ["r2"]
    assert notice(bench, "r2") is None


def test_a_refund_of_an_order_that_is_known_by_its_cancellation_alone_waits_for_nothing(bench):
    hear(bench, 0, "1", CancelOrder(order_id=order_id("1"), request_id="c", requested_at=at(0), raw_sealed=""))
    assert hear(bench, 1, "r1", refund_of("1"), about="refund") == []
    assert not bench.row(Subject, SHOP, "refund", "r1").waits
    assert notice(bench) is None


def shipped(bench, *line_ids):
    goods = [StockLine(line_id=each, sku="A-1", quantity=1) for each in line_ids]
    bench.handle(
        ParcelShipped(
            order_id=order_id("1"),
            task_id=f"{order_id('1')}/1",
            warehouse="CD",
            carrier="SF",
            waybill="SF1",
            lines=goods,
        ),
        NOW,
    )


@pytest.mark.parametrize(("gone", "is_shown"), [([], True), (["a"], True), (["a", "b"], False)])
def test_a_refund_that_came_too_late_is_closed_without_a_word(bench, gone, is_shown):
    hear(bench, 0, "1", said("1", **lines("a", "b")))
    hear(bench, 1, "r1", refund_of("1"), about="refund")
    if gone:
        shipped(bench, *gone)
    hear(bench, 2, "r1", withdrawn(), about="refund")
    assert (notice(bench) is not None) is is_shown


@pytest.mark.parametrize(
    "asked",
    [None, part("r1", "a"), part("r1", after_shipping=True)],
    ids=["unheard of", "of one line", "after shipping"],
)
def test_a_withdrawal_that_ended_no_order_is_no_news(bench, asked):
    assert hear(bench, 0, "r1", withdrawn(), about="refund") == []
    assert not bench.row(Subject, SHOP, "refund", "r1").waits, "nothing is waited for"
    hear(bench, 1, "1", said("1", **lines("a", "b")))
    if asked is not None:
        hear(bench, 2, "r1", asked, about="refund")
    hear(bench, 3, "r1", withdrawn(), about="refund")
    assert notice(bench) is None
    # Withdrawn long before the order ended, it has nothing to do with that.
    hear(bench, 4, "r2", RequestRefund(order_id=order_id("1"), refund_id="r2", amount=5), about="refund")
    hear(bench, 5, "r1", withdrawn(), about="refund")
    assert notice(bench) is None


def test_a_withdrawal_after_the_platform_closed_the_order_is_no_news(bench):
    hear(bench, 0, "1", said("1"))
    hear(bench, 1, "r1", refund_of("1"), about="refund")
    hear(bench, 2, "1", said("1"), closed("1"))
    hear(bench, 3, "r1", withdrawn(), about="refund")
    assert notice(bench) is None
