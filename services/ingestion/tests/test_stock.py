"""Stock told to platforms, decided by the real handlers: listings, sales, figures, answers and watermarks."""

import itertools
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from contracts.orders import OrderLine
from libs.decide import Reply, Send
from services.ingestion.domain import exposure
from services.ingestion.domain.connections import Connection
from services.ingestion.domain.ledger import Exposure, SoldOrder
from services.ingestion.domain.listings import FIGURES, EndListing, PutBudget, PutListing, StartPush
from services.ingestion.domain.orders import CancelOrder, PlaceOrder, TakeBatch
from services.ingestion.domain.refunds import RequestRefund
from services.ingestion.domain.watermark import Progress
from services.ingestion.tests.outward_samples import (
    bench_of,
    connect,
    ended,
    known,
    later,
    level,
    listing,
    order_of,
    sends,
)
from services.ingestion.tests.samples import NOW, place


@pytest.fixture
def bench(monkeypatch):
    return bench_of(monkeypatch)


def test_a_listing_is_read_told_and_read_back(bench):
    (push,) = known(bench, units=4)
    assert (push.destination, push.send_id, push.key) == ("stock:douyin", "s1/A/2", "A")
    assert push.body == {
        "shop_id": "s1",
        "sku": "A",
        "listing_id": "Ls1",
        "listing_sku": "S",
        "change_id": "s1/A/2",
        "kind": "delta",
        "value": 6,
    }
    (read,) = sends(bench.handle(ended(push), later(11)))
    assert read.body["kind"] == "read"
    assert bench.handle(ended(push), later(12)) == []
    bench.handle(ended(read, detail="read 10"), later(12))
    assert sends(bench.tick(later(30))) == []
    row = bench.row(Exposure, "A").listings[0]
    assert (row.offered, row.told, row.acknowledged, row.drifts) == (10, 10, 10, 0)


def test_a_sale_lowers_what_its_shop_offers_and_is_not_counted_twice(bench):
    known(bench, units=10)
    bench.handle(order_of(quantity=3), later(20))
    row = bench.row(Exposure, "A").listings[0]
    assert (row.offered, row.unshown, row.sold) == (7, 3, 3)
    bench.handle(order_of(quantity=3), later(21))
    assert bench.row(Exposure, "A").listings[0].sold == 3, "the same order again"
    batch = TakeBatch(batch_id="b", items=[order_of(number="89", quantity=1), order_of(number="90", sku="B")])
    bench.handle(batch, later(22))
    assert bench.row(Exposure, "A").listings[0].sold == 4
    assert bench.row(Exposure, "B") is None
    assert sends(bench.handle(level(6), later(23))) == []
    assert bench.row(Exposure, "A").listings[0].recent == [(row.unshown_ms + 2_000, 4)]
    bench.tick(later(60))
    assert bench.row(Exposure, "A").listings[0].recent == []


@pytest.mark.parametrize("ends", ["cancelled", "refunded"])
def test_what_is_cancelled_may_be_offered_again_once(bench, ends):
    known(bench, units=10)
    bench.handle(order_of(quantity=3), later(20))
    bench.handle(level(7), later(21))
    bench.tick(later(60))
    order_id = "douyin.s1.88"
    if ends == "cancelled":
        gone = CancelOrder(order_id=order_id, request_id="c", raw_sealed="raw")
    else:
        gone = RequestRefund(order_id=order_id, refund_id="f", amount=1)
    for _ in range(2):
        bench.handle(gone, later(61))
    listing = bench.row(Exposure, "A").listings[0]
    assert (listing.offered, listing.restored) == (7, 3)
    assert sends(bench.handle(level(10), later(62))) == [], "the units are spoken for until somebody looks"
    (read,) = sends(bench.tick(later(80)))
    assert (read.body["kind"], bench.row(Exposure, "A").listings[0].offered) == ("read", 10)
    bench.handle(ended(read, detail="read 7"), later(81))
    (push,) = sends(bench.tick(later(100)))
    assert (push.body["kind"], push.body["value"]) == ("delta", 3), "this platform did not offer them again"
    assert bench.all_rows(SoldOrder) == []


def test_own_orders_load_and_change_nothing_more_than_before(bench):
    on = bench.handlers.on[PlaceOrder]
    assert Exposure not in on.needs(place())
    assert list(on.needs(order_of()).get(Exposure, [])) == [("A",)]


def test_many_changes_of_a_batch_make_one_push(bench):
    known(bench, units=10)
    outputs = bench.batch([level(20), level(30), level(12)], later(30))
    assert [(each.body["kind"], each.body["value"]) for each in sends(outputs)] == [("delta", 2)]


def test_a_lowering_waits_for_the_watermark_before_anybody_is_raised(bench):
    assert known(bench, units=10) == []
    connect(bench, "s2", "wechat", complete=later(10**6))
    lowered, read = sends(bench.handle(listing("s2", "fixed", 8, priority=1), later(20)))[::-1]
    assert (read.destination, read.body["kind"]) == ("stock:wechat", "read")
    assert (lowered.destination, lowered.body["value"]) == ("stock:douyin", -8)
    bench.put(
        Progress(shop_id="s1", channel="douyin", evidence=["pull"], since=NOW, covered_until=NOW, complete_until=NOW)
    )
    bench.handle(ended(read, detail="read 0"), later(21))
    assert sends(bench.handle(ended(lowered), later(41))) == []
    for second in range(50, 100, 10):
        assert sends(bench.tick(later(second))) == [], "sales before the answer may be unheard"
    connect(bench, "s1", "douyin", complete=later(60))
    told = sends(bench.tick(later(110)))
    assert ("stock:wechat", "delta", 8) in [(each.destination, each.body["kind"], each.body["value"]) for each in told]


def test_a_shop_without_a_watermark_is_believed_after_a_while(bench):
    bench.put(Connection(shop_id="s1", channel="meituan", access_digest="", access_wrapped="", changed_at=NOW))
    bench.handle(listing(), NOW)
    (zero,) = sends(bench.handle(level(10), NOW))
    assert (zero.body["kind"], zero.body["value"]) == ("set", 0)
    bench.handle(ended(zero), NOW)
    assert list(itertools.chain(*[sends(bench.tick(later(at))) for at in range(0, 600, 10)])) == []
    (push,) = sends(bench.tick(later(620)))
    assert (push.body["kind"], push.body["value"]) == ("set", 10)


@pytest.mark.parametrize(
    ("detail", "offered"),
    [("not done: 10020112: 频率超限", 4), ("unknown: ReadTimeout", 10), ("ConnectError", 10)],
)
def test_refused_is_not_done_and_anything_else_may_have_been(bench, detail, offered):
    (push,) = known(bench, units=4)
    bench.handle(ended(push, ok=False, detail=detail), later(11))
    row = bench.row(Exposure, "A").listings[0]
    assert (row.offered, row.word, row.failures) == (offered, detail, 1)
    (retried,) = sends(bench.tick(later(20)))
    assert retried.body["kind"] == ("delta" if offered == 4 else "read")


def test_an_attempt_is_made_once(bench):
    (push,) = known(bench, units=4)
    start = StartPush(sku="A", change_id=push.send_id, attempt=1)
    assert [bench.handle(start, NOW)[0].body["go"] for _ in range(2)] == [True, False]
    second = StartPush(sku="A", change_id=push.send_id, attempt=2)
    assert bench.handle(second, NOW)[0].body["go"]
    assert not bench.handle(StartPush(sku="Z", change_id="x", attempt=1), NOW)[0].body["go"]


def test_listings_that_cannot_be_are_refused(bench):
    connect(bench, "s1", "douyin")
    connect(bench, "s2", "wechat")
    bench.put(Connection(shop_id="s3", channel="own", access_digest="", access_wrapped="", changed_at=NOW))

    def reply(command):
        return next(each for each in bench.handle(command, NOW) if isinstance(each, Reply))

    assert reply(listing("nowhere")).status == 404
    assert reply(listing("s3")).body["field"] == "shop"
    assert reply(listing("s1", "share", 60)).status == 200
    over = reply(listing("s2", "share", 50))
    assert (over.status, over.body["field"]) == (422, "amount")
    assert "110 percent, 10 too many" in over.body["detail"]
    moved = PutListing(shop_id="s1", sku="A", listing_id="other", listing_sku="S", mode="rest")
    assert reply(moved).status == 409
    assert reply(EndListing(shop_id="s2", sku="A")).status == 404
    assert reply(EndListing(shop_id="s1", sku="A")).body["listings"][0]["active"] is False
    assert reply(PutBudget(sku="A", budget=7)).body["budget"] == 7


def test_a_sku_that_is_listed_nowhere_leaves_no_row(bench):
    assert bench.handle(level(10), NOW) == []
    bench.handle(order_of(), NOW)
    assert bench.all_rows(Exposure) == []


def test_a_platform_that_forgot_is_found_out_though_nothing_happens(bench):
    assert known(bench, units=10) == []
    hours = [sends(bench.tick(later(3_600 * hour))) for hour in range(1, 8)]
    (read,) = itertools.chain(*hours)
    assert read.body["kind"] == "read"
    bench.handle(ended(read, detail="read 0"), later(8 * 3_600))
    (push,) = sends(bench.tick(later(8 * 3_600 + 10)))
    assert (push.body["kind"], push.body["value"]) == ("delta", 10)
    assert bench.row(Exposure, "A").listings[0].drifts == 1


def test_figures_of_goods_that_lie_still_are_asked_for_once(bench):
    connect(bench, "s1", "douyin")
    asked = [each for each in bench.handle(listing(), NOW) if isinstance(each, Send)]
    assert [(each.destination, each.send_id, each.body) for each in asked] == [(FIGURES, "A/s1", {"sku": "A"})]
    first = bench.handle(ended(asked[0], ok=False, detail="inventory knows no such SKU"), NOW)
    assert (first, bench.row(Exposure, "A").atp) == ([], None)
    (read,) = sends(bench.handle(ended(asked[0], detail="12 9"), NOW))
    assert (read.body["kind"], bench.row(Exposure, "A").atp, bench.row(Exposure, "A").sellable) == ("read", 12, 9)
    bench.handle(level(7), NOW)
    bench.handle(ended(asked[0], detail="12 9"), NOW)
    assert bench.row(Exposure, "A").atp == 7, "figures that were heard are newer"


def test_times_are_whole_milliseconds():
    from services.ingestion.domain.listings import ms

    assert ms(datetime(1970, 1, 1, 0, 0, 1, 500, tzinfo=UTC)) == 1_000


@pytest.mark.parametrize("ends", ["cancelled", "the other line as well", "the whole"])
def test_what_is_left_after_a_refund_of_a_line_may_be_offered_again_too(bench, ends):
    known(bench, units=10)
    order = order_of(quantity=3)
    lines = [*order.order.lines, OrderLine(line_id="2", sku="B", quantity=1, unit_price=1)]
    bench.handle(replace(order, order=replace(order.order, lines=lines)), later(20))
    bench.handle(level(7), later(21))
    bench.tick(later(60))
    order_id = "douyin.s1.88"
    bench.handle(RequestRefund(order_id=order_id, refund_id="f", amount=1, line_ids=["2"]), later(61))
    for second in range(62, 140, 6):
        for read in sends(bench.tick(later(second))):
            bench.handle(ended(read, detail="read 7" if read.body["kind"] == "read" else ""), later(second))
    assert bench.row(Exposure, "A").listings[0].restored == 0, "it was looked at, and is not offered again"
    if ends == "cancelled":
        gone = CancelOrder(order_id=order_id, request_id="c", raw_sealed="raw")
    else:
        parts = ["1"] if ends == "the other line as well" else []
        gone = RequestRefund(order_id=order_id, refund_id="g", amount=1, line_ids=parts)
    bench.handle(gone, later(150))
    row = bench.row(Exposure, "A")
    assert row.listings[0].restored == 3
    assert exposure.most(row.listings[0]) >= 10, "the platform offers three more by itself"
