"""Orders that had left before they were heard of: known from then on, and never placed, amended or cancelled."""

import msgspec
import pytest

from contracts.orders import OrderAmended
from services.ingestion.domain import (
    Intake,
    ParkedDocument,
    PlaceOrder,
    PlatformOrder,
    Progress,
    RequestRefund,
    Subject,
)
from services.ingestion.domain.ledger import SoldOrder
from services.ingestion.tests.platform_samples import (
    SHOP,
    at,
    close,
    closed,
    connected,
    delivered,
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


def gone(number, left="whole", **more):
    """An order as a document says it when goods of it have left."""
    return msgspec.structs.replace(said(number, **more), left=left)


def listed(bench, number):
    """Let a pull name the order, and return the call for its document."""
    (call,) = sends(bench.handle(page(1, (number, at(-20))), NOW))
    bench.handle(close(1, at(-300), at(-10), listed=1), NOW)
    return call


def test_an_order_that_has_left_is_here_and_nobody_is_told(bench):
    call = listed(bench, "1")
    outputs = bench.handle(take("1", 1, gone("1"), read_at=at(1), modified_at=at(-20)), at(1))
    assert events(outputs) == sends(outputs) == []
    bench.handle(delivered(call), at(1))
    row = bench.row(PlatformOrder, order_id("1"))
    assert (row.state, row.version) == ("left", 0)
    assert [(each.change, each.version) for each in bench.entries if isinstance(each, Intake)] == [("left", 0)]
    assert bench.all_rows(SoldOrder) == []
    progress = bench.row(Progress, SHOP)
    assert (progress.open, progress.late_orders) == ({}, 0)
    assert bench.row(ParkedDocument, SHOP, "order", "1") is None


def test_whatever_is_said_of_it_later_is_no_news(bench):
    bench.handle(gone("1"), NOW)
    for later in (gone("1"), gone("1", note="x"), said("1"), closed("1"), gone("1", left="part")):
        outputs = bench.handle(later, at(1))
        assert events(outputs) == []
        assert outputs[-1].body["status"] == "unchanged"
    refund = RequestRefund(order_id=order_id("1"), refund_id="r1", amount=100, after_shipping=True)
    outputs = bench.handle(refund, at(2))
    assert events(outputs) == []
    assert outputs[-1].body["status"] == "unchanged", "it waits for no order"
    assert bench.row(PlatformOrder, order_id("1")).state == "left"


def test_one_whose_cancellation_was_known_first_has_left_all_the_same(bench):
    bench.handle(closed("1"), NOW)
    assert events(bench.handle(gone("1"), at(1))) == []
    assert bench.row(PlatformOrder, order_id("1")).state == "left"
    assert len([each for each in bench.entries if isinstance(each, Intake)]) == 2


@pytest.mark.parametrize("left", ["part", "whole"])
def test_what_we_placed_and_shipped_goes_on_as_before(bench, left):
    bench.handle(said("1"), NOW)
    assert events(bench.handle(gone("1", left), at(1))) == []
    (amended, _) = bench.handle(gone("1", left, note="x"), at(2))
    assert isinstance(amended, OrderAmended)
    assert events(bench.handle(closed("1"), at(3))) == ["OrderCancelRequested"]


def test_one_that_has_left_in_part_is_parked_until_the_rest_has_left_too(bench):
    call = listed(bench, "1")
    outputs = bench.handle(take("1", 1, gone("1", "part"), read_at=at(1), raw_sealed="x"), at(1))
    assert events(outputs) == []
    bench.handle(delivered(call), at(1))
    assert bench.row(PlatformOrder, order_id("1")) is None
    parked = bench.row(ParkedDocument, SHOP, "order", "1")
    assert (parked.field, parked.raw_sealed) == ("lines", "x")
    assert parked.reason.startswith("a part of it left before")
    assert bench.row(Progress, SHOP).open == {}
    (again,) = sends(bench.handle(page(2, ("1", at(5))), at(6)))
    assert events(bench.handle(take("1", 2, gone("1"), read_at=at(7), modified_at=at(5)), at(7))) == []
    bench.handle(delivered(again), at(7))
    assert bench.row(ParkedDocument, SHOP, "order", "1") is None
    assert not bench.row(Subject, SHOP, "order", "1").parked
    assert bench.row(PlatformOrder, order_id("1")).state == "left"


def test_commands_recorded_before_read_as_orders_that_have_not_left():
    recorded = msgspec.to_builtins(said("1"))
    recorded.pop("left", None)
    assert msgspec.convert(recorded, PlaceOrder).left == ""
