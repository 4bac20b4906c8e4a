"""What each message needs, and how a repeat is told from a new request."""

import pytest

from contracts.orders import OrderPlaced
from contracts.stock_levels import StockLevelChanged
from libs.testkit.bench import Bench
from services.ingestion.domain import PlatformOrder, TakeBatch
from services.ingestion.handlers import handlers
from services.ingestion.tests.samples import NOW, cancel, place


def test_sealing_anew_is_the_same_request_and_other_content_is_not():
    one = place()
    resealed = type(one)(order=one.order, fingerprints=one.fingerprints, request_id="msg_1", raw_sealed="other nonce")
    assert one.sameness == resealed.sameness
    assert one.sameness != place(note="x").sameness
    assert one.sameness != place(platform_order_id="2").sameness
    assert cancel().sameness == cancel().sameness != cancel(reason="x").sameness
    assert TakeBatch(batch_id="b", items=[one]).sameness == TakeBatch(batch_id="b", items=[resealed]).sameness


def test_a_command_survives_the_wire():
    bench = Bench(handlers())
    outputs = bench.handle(TakeBatch(batch_id="b", items=[place(), cancel(number="9")]), NOW)
    assert isinstance(outputs[0], OrderPlaced)
    assert [row.order_id for row in bench.all_rows(PlatformOrder)] == ["own.demo.536365", "own.demo.9"]


@pytest.mark.parametrize("message", [place(), cancel(), TakeBatch(batch_id="b", items=[place(), cancel()])])
def test_needs_name_every_order_of_the_message(message):
    on = handlers().find(message)
    assert {key for keys in on.needs(message).values() for key in keys} == {("own.demo.536365",)}


def test_what_it_does_not_care_about_is_ignored():
    level = StockLevelChanged(sku="A", on_hand=1, reserved=0, inbound=0, atp=1, sellable=1)
    assert Bench(handlers()).handle(level, NOW) == []
