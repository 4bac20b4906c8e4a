"""What a delivery changes, whatever came before it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.orders import OrderAmended, OrderCancelRequested, OrderPlaced
from libs.decide import Reply
from libs.testkit.bench import Bench
from services.ingestion.domain import Intake, PlatformOrder, PutShop, Shop, TakeBatch, changed_fields
from services.ingestion.handlers import handlers
from services.ingestion.tests.samples import NOW, cancel, place

ORDER_ID = "own.demo.536365"


@pytest.fixture
def bench():
    return Bench(handlers())


def events(outputs):
    return [each for each in outputs if not isinstance(each, Reply)]


def reply(outputs):
    (found,) = [each for each in outputs if isinstance(each, Reply)]
    return found


def status(outputs):
    return reply(outputs).body["status"]


def test_a_new_order_is_placed(bench):
    outputs = bench.handle(place(), NOW)
    (placed,) = events(outputs)
    assert isinstance(placed, OrderPlaced)
    assert placed.version == 1
    assert reply(outputs) == Reply(status=202, body={"order_id": ORDER_ID, "status": "accepted"})
    assert bench.row(PlatformOrder, ORDER_ID).version == 1
    assert [(entry.change, entry.version, entry.raw_sealed) for entry in bench.entries] == [("placed", 1, "raw")]


def test_the_same_content_again_changes_nothing(bench):
    bench.handle(place(), NOW)
    outputs = bench.handle(place("msg_2"), NOW)
    assert events(outputs) == []
    assert status(outputs) == "unchanged"
    assert len(bench.entries) == 1


def test_another_content_is_an_amendment_that_names_what_changed(bench):
    bench.handle(place(), NOW)
    outputs = bench.handle(place("msg_2", shipping_fee=500, total=15600, note="x"), NOW)
    (amended,) = events(outputs)
    assert isinstance(amended, OrderAmended)
    assert (amended.version, amended.changed) == (2, ["note", "shipping_fee", "total"])
    assert amended.total == 15600
    assert status(outputs) == "amended"
    outputs = bench.handle(place("msg_3"), NOW)
    assert events(outputs)[0].version == 3
    assert bench.row(PlatformOrder, ORDER_ID).version == 3


def test_a_cancellation_is_published_once(bench):
    bench.handle(place(), NOW)
    outputs = bench.handle(cancel(reason="不想要了"), NOW)
    assert events(outputs) == [
        OrderCancelRequested(order_id=ORDER_ID, request_id="msg_c", requested_at=NOW, reason="不想要了")
    ]
    assert status(outputs) == "accepted"
    outputs = bench.handle(cancel("msg_d"), NOW)
    assert events(outputs) == []
    assert status(outputs) == "unchanged"


def test_a_cancellation_before_its_order_waits_for_it(bench):
    asked_at = NOW - timedelta(minutes=1)
    outputs = bench.handle(cancel(requested_at=asked_at, reason="twice"), NOW)
    assert events(outputs) == []
    assert status(outputs) == "accepted"
    assert status(bench.handle(cancel("msg_d"), NOW)) == "unchanged"
    placed, cancelled = events(bench.handle(place(), NOW))
    assert isinstance(placed, OrderPlaced)
    assert cancelled == OrderCancelRequested(
        order_id=ORDER_ID, request_id="msg_c", requested_at=asked_at, reason="twice"
    )
    assert bench.row(PlatformOrder, ORDER_ID).state == "cancelled"
    assert status(bench.handle(place("msg_5"), NOW)) == "unchanged"


def test_a_cancelled_order_takes_no_changes(bench):
    bench.handle(place(), NOW)
    bench.handle(cancel(), NOW)
    assert status(bench.handle(place("msg_2"), NOW)) == "unchanged"
    outputs = bench.handle(place("msg_3", note="x"), NOW)
    assert events(outputs) == []
    assert reply(outputs).status == 409
    assert reply(outputs).body["changed"] == ["note"]


def test_a_batch_decides_each_item_and_holds_up_none(bench):
    bench.handle(place(), NOW)
    bench.handle(cancel(), NOW)
    items = [
        place("b/0", note="x"),
        place("b/1", platform_order_id="2"),
        place("b/2", platform_order_id="2"),
        place("b/3", platform_order_id="2", note="y"),
        cancel("b/4", "2"),
        cancel("b/5", "3"),
        place("b/6", platform_order_id="3"),
    ]
    outputs = bench.handle(TakeBatch(batch_id="b", items=items), NOW)
    assert [type(each).__name__ for each in events(outputs)] == [
        "OrderPlaced",
        "OrderAmended",
        "OrderCancelRequested",
        "OrderPlaced",
        "OrderCancelRequested",
    ]
    verdicts = reply(outputs).body["items"]
    assert [each["status"] for each in verdicts] == [
        "refused", "accepted", "unchanged", "amended", "accepted", "accepted", "accepted",
    ]  # fmt: skip
    assert verdicts[0]["problem"]["status"] == 409


def test_a_default_that_goes_or_comes_is_a_change():
    assert changed_fields({"a": "1", "b": "2"}, {"a": "1"}) == ["b"]
    assert changed_fields({"a": "1"}, {"a": "2", "c": "3"}) == ["a", "c"]


deliveries = st.lists(
    st.one_of(st.builds(lambda note: ("place", note), st.sampled_from(["", "x", "y"])), st.just(("cancel", ""))),
    max_size=12,
)


@given(deliveries)
def test_any_order_of_deliveries_tells_one_story(given_deliveries):
    bench = Bench(handlers())
    told = []
    for number, (what, note) in enumerate(given_deliveries):
        command = place(f"m{number}", note=note) if what == "place" else cancel(f"m{number}")
        told += events(bench.handle(command, NOW))
    kinds = [type(each).__name__ for each in told]
    versions = [each.version for each in told if not isinstance(each, OrderCancelRequested)]
    assert versions == list(range(1, len(versions) + 1))
    assert kinds.count("OrderCancelRequested") <= 1
    assert kinds[:1] in ([], ["OrderPlaced"])
    if "OrderCancelRequested" in kinds:
        assert kinds[-1] == "OrderCancelRequested"
    has_order = any(what == "place" for what, _ in given_deliveries)
    has_cancel = any(what == "cancel" for what, _ in given_deliveries)
    assert ("OrderPlaced" in kinds) == has_order
    assert ("OrderCancelRequested" in kinds) == (has_order and has_cancel)
    keys = [(entry.order_id, entry.version, entry.change) for entry in bench.entries if isinstance(entry, Intake)]
    assert len(keys) == len(set(keys))


def put(**more):
    given_ = {
        "shop_id": "new",
        "channel": "own",
        "paused": False,
        "rotate": False,
        "secret_id": "s1",
        "secret_wrapped": "w1",
        "previous_valid_hours": 24,
    }
    return PutShop(**given_ | more)


def test_a_shop_is_created_rotated_and_paused(bench):
    assert reply(bench.handle(put(), NOW)) == Reply(
        status=201, body={"shop_id": "new", "channel": "own", "paused": False, "secret_id": "s1"}
    )
    paused = reply(bench.handle(put(paused=True, secret_id="s2", secret_wrapped="w2"), NOW))
    assert (paused.status, paused.body["paused"], paused.body["secret_id"]) == (200, True, "s1")
    rotated = reply(bench.handle(put(rotate=True, secret_id="s3", secret_wrapped="w3"), NOW))
    assert rotated.body["secret_id"] == "s3"
    shop = bench.row(Shop, "new")
    assert (shop.secret_wrapped, shop.previous_wrapped) == ("w3", "w1")
    assert shop.previous_until == NOW + timedelta(hours=24)
    assert reply(bench.handle(put(channel="csv"), NOW)).status == 409
