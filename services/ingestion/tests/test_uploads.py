"""Parcels that left, decided by the real handlers: told once, in any order, within what the platform allows."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.shipments import FulfillmentCancelled, ParcelShipped
from libs.testkit.bench import Bench
from services.ingestion.domain.uploads import RetryUpload, ShipBack
from services.ingestion.tests.outward_samples import bench_of, ended, reports, sends, shipped
from services.ingestion.tests.samples import NOW


@pytest.fixture
def bench(monkeypatch):
    return bench_of(monkeypatch)


def test_a_parcel_is_told_once_with_the_channels_own_names(bench):
    (send,) = sends(bench.handle(shipped(), NOW))
    assert (send.destination, send.send_id, send.key) == ("upload:douyin", "douyin.s1.77/1", "douyin.s1.77")
    assert send.body == {
        "shop_id": "s1",
        "platform_order_id": "77",
        "parcel_id": "douyin.s1.77/1",
        "carrier": "SF",
        "waybill": "SF1",
        "lines": [("1", "A", 2)],
        "split": False,
        "again": False,
        "remaining": 0,
        "round": 1,
    }
    assert bench.handle(shipped(), NOW) == []
    bench.handle(ended(send), NOW)
    assert reports(bench) == [("1", "sent")]
    assert bench.handle(ended(send, ok=False), NOW) == [], "a doubled answer changes nothing"
    assert reports(bench) == [("1", "sent")]


@pytest.mark.parametrize("channel", ["own", "csv", "nobody"])
def test_channels_that_take_no_shipments_cost_nothing(bench, channel):
    on = bench.handlers.on[ParcelShipped]
    assert not any(on.needs(shipped(channel)).values())
    assert bench.handle(shipped(channel), NOW) == []
    gone = FulfillmentCancelled(order_id=f"{channel}.s1.77", request_id="r", cancelled_parcels=[])
    assert bench.handle(gone, NOW) == []
    assert bench.all_rows(ShipBack) == []


def test_parcels_are_told_one_by_one_where_the_channel_splits(bench):
    (first,) = sends(bench.handle(shipped(number=1, last=False), NOW))
    (second,) = sends(bench.handle(shipped(number=2, waybill="SF2"), NOW))
    assert (first.body["split"], second.body["split"]) == (True, True)
    assert second.body["lines"] == [("2", "A", 2)]


def test_the_order_is_all_delivered_with_its_last_parcel_and_not_before(bench):
    (first,) = sends(bench.handle(shipped("wechat", number=1, last=False), NOW))
    (last,) = sends(bench.handle(shipped("wechat", number=2, waybill="SF2"), NOW))
    assert (first.body["remaining"], last.body["remaining"]) == (1, 0)


def test_a_parcel_that_was_given_up_keeps_its_order_open_until_it_is_told_again(bench):
    """Otherwise the platform would take the parcel told late for a correction, and spend a re-ship on it."""
    (first,) = sends(bench.handle(shipped("wechat", number=1, last=False), NOW))
    bench.handle(ended(first, ok=False), NOW)
    (last,) = sends(bench.handle(shipped("wechat", number=2, waybill="SF2"), NOW))
    assert last.body["remaining"] == 1
    bench.handle(ended(last), NOW)
    again, _ = bench.handle(RetryUpload(parcel_id=first.body["parcel_id"]), NOW)
    assert again.body["remaining"] == 0


def test_the_last_parcels_waybill_stands_for_all_where_it_does_not(bench):
    assert sends(bench.handle(shipped("pinduoduo", number=1, last=False), NOW)) == []
    assert reports(bench, "pinduoduo") == [("1", "covered")]
    (send,) = sends(bench.handle(shipped("pinduoduo", number=2, waybill="SF2"), NOW))
    assert (send.body["waybill"], send.body["split"]) == ("SF2", False)
    assert send.body["lines"] == [("2", "A", 2), ("1", "A", 2)]


def test_what_waited_for_the_last_parcel_is_told_when_the_rest_is_cancelled(bench):
    bench.handle(shipped("pinduoduo", number=1, last=False), NOW)
    gone = FulfillmentCancelled(order_id="pinduoduo.s1.77", request_id="r", cancelled_parcels=["pinduoduo.s1.77/2"])
    (send,) = sends(bench.handle(gone, NOW))
    assert send.body["waybill"] == "SF1"
    assert bench.handle(gone, NOW) == []


def test_a_place_is_kept_for_the_last_parcel(bench):
    """WeChat takes fifteen parcels an order."""
    told = [sends(bench.handle(shipped("wechat", number=n, last=False, waybill=f"W{n}"), NOW)) for n in range(1, 18)]
    assert [len(each) for each in told] == [1] * 14 + [0] * 3
    (last,) = sends(bench.handle(shipped("wechat", number=18, waybill="W18"), NOW))
    assert [line for line, _, _ in last.body["lines"]] == ["18", "15", "16", "17"]


def test_what_was_given_up_is_shown_and_told_again_by_an_operator(bench):
    (send,) = sends(bench.handle(shipped(), NOW))
    parcel = send.body["parcel_id"]
    (early,) = bench.handle(RetryUpload(parcel_id=parcel), NOW)
    assert early.status == 409
    bench.handle(ended(send, ok=False, detail="isv.order-closed: 订单已关闭"), NOW)
    row = bench.row(ShipBack, "douyin.s1.77")
    assert (row.worst_state, row.reports[0].word) == ("failed", "isv.order-closed: 订单已关闭")
    again, reply = bench.handle(RetryUpload(parcel_id=parcel), NOW)
    assert (again.send_id, again.body["again"], reply.status) == (f"{parcel}~2", False, 202)
    assert bench.handle(ended(send), NOW) == [], "the answer to the first call is out of date"
    bench.handle(ended(again), NOW)
    assert reports(bench) == [("1", "sent")]
    assert bench.handle(RetryUpload(parcel_id="douyin.s1.1/1"), NOW)[0].status == 404


def test_the_one_reship_is_never_spent_silently(bench):
    (send,) = sends(bench.handle(shipped("wechat"), NOW))
    bench.handle(ended(send), NOW)
    assert sends(bench.handle(shipped("wechat", waybill="SF2"), NOW)) == []
    row = bench.row(ShipBack, "wechat.s1.77")
    assert (row.worst_state, row.reports[0].word) == ("held", "the platform has waybill SF1; re-ships left: 1")
    parcel = send.body["parcel_id"]
    (refused,) = bench.handle(RetryUpload(parcel_id=parcel), NOW)
    assert (refused.status, refused.body["field"], refused.body["reships_left"]) == (409, "spend_reship", 1)
    again, reply = bench.handle(RetryUpload(parcel_id=parcel, spend_reship=True), NOW)
    assert (again.body["again"], again.body["waybill"], reply.body["reships_left"]) == (True, "SF2", 0)
    bench.handle(ended(again, ok=False, detail="48001: busy"), NOW)
    once_more, _ = bench.handle(RetryUpload(parcel_id=parcel), NOW)
    assert once_more.body["again"], "the same correction is paid for already"
    bench.handle(ended(once_more), NOW)
    assert sends(bench.handle(shipped("wechat", waybill="SF3"), NOW)) == []
    assert reports(bench, "wechat") == [("1", "failed")]
    (none_left,) = bench.handle(RetryUpload(parcel_id=parcel, spend_reship=True), NOW)
    assert none_left.status == 409


def test_a_waybill_that_changes_while_the_call_is_under_way_waits_for_its_end(bench):
    (send,) = sends(bench.handle(shipped(), NOW))
    assert sends(bench.handle(shipped(waybill="SF2"), NOW)) == []
    (again,) = sends(bench.handle(ended(send), NOW))
    assert (again.body["waybill"], again.body["again"]) == ("SF2", True)
    other = Bench(bench.handlers)
    (send,) = sends(other.handle(shipped("wechat"), NOW))
    other.handle(shipped("wechat", waybill="SF2"), NOW)
    (fresh,) = sends(other.handle(ended(send, ok=False), NOW))
    assert (fresh.body["waybill"], fresh.body["again"]) == ("SF2", False), "the platform has none: nothing is spent"


PARCELS = st.lists(
    st.tuples(
        st.sampled_from(["ship", "answer", "refuse", "retry", "spend"]),
        st.integers(1, 4),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(["douyin", "wechat", "pinduoduo"]), PARCELS)
def test_whatever_happens_a_parcel_has_one_call_and_no_reship_is_spent_unasked(bench, name, steps):
    here = Bench(bench.handlers)
    waiting, agreed, again = {}, 0, set()
    for step, number, waybill, last in steps:
        parcel = f"{name}.s1.77/{number}"
        row = here.row(ShipBack, f"{name}.s1.77")
        if step == "ship":
            outputs = here.handle(shipped(name, number, last=last, waybill=f"{number}W{waybill}"), NOW)
        elif step in ("answer", "refuse"):
            if parcel not in waiting:
                continue
            outputs = here.handle(ended(waiting.pop(parcel), ok=step == "answer"), NOW)
        else:
            held = row is not None and any(e.parcel_id == parcel and e.state in ("held", "failed") for e in row.reports)
            agreed += held and step == "spend"
            outputs = here.handle(RetryUpload(parcel_id=parcel, spend_reship=step == "spend"), NOW)
        for send in sends(outputs):
            told = send.body["parcel_id"]
            assert told not in waiting, "two calls for one parcel"
            waiting[told] = send
            if send.body["again"]:
                again.add(send.body["waybill"])
        if name == "wechat":
            assert len(again) <= min(1, agreed)
        row = here.row(ShipBack, f"{name}.s1.77")
        if row is not None:
            assert {e.parcel_id for e in row.reports if e.state == "sending"} == set(waiting)
