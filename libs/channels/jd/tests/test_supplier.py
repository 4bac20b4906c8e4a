"""Supplier orders: read from what JD writes, acknowledged line by line, never taken for consumers' orders."""

import copy
from datetime import UTC, datetime

import pytest

from libs.channels.jd.mapping import heard
from libs.channels.jd.supplier import Acknowledgement, Promised, acknowledgement_parameters, supplier_order
from libs.channels.refusals import OrderRefused

HEAD = {
    "order_id": 1776972492,
    "order_type": 1,
    "provider_code": "qmjj",
    "state": 1,
    "state_name": "未完成",
    "confirm_state": 0,
    "is_can_confirm": True,
    "total_price": "1998.0000",
    "created_date": 1716884499000,
    "update_date": 1716884499000,
    "custom_order_id": 293431954129,
    "receiver_name": "某某",
}
LINES = [
    {
        "ware_id": 100059710381,
        "deliver_center_id": 6,
        "original_num": 5,
        "confirm_num": 0,
        "actual_num": 0,
        "purchase_price": "333.0000",
    },
    {"ware_id": 100059710381, "deliver_center_id": 10, "original_num": 1, "purchase_price": "333.00"},
]


def read(head=(), line=()):
    lines = copy.deepcopy(LINES)
    lines[0] |= dict(line)
    return supplier_order(HEAD | dict(head), lines)


def test_a_purchase_order():
    order = read()
    assert (order.order_id, order.total, order.supplier_code) == ("1776972492", 199800, "qmjj")
    assert order.acknowledgement is Acknowledgement.NONE
    assert order.awaits_acknowledgement
    assert order.placed_at == datetime(2024, 5, 28, 8, 21, 39, tzinfo=UTC)
    assert order.consumer_order_id == "293431954129"
    assert [(x.ware_id, x.center_id, x.ordered, x.unit_price) for x in order.lines] == [
        ("100059710381", "6", 5, 33300),
        ("100059710381", "10", 1, 33300),
    ]
    assert "某某" not in repr(order)


@pytest.mark.parametrize(
    ("head", "line", "field"),
    [
        ({"order_id": None}, {}, "order_id"),
        ({"created_date": None}, {}, "created_date"),
        ({"confirm_state": 9}, {}, "confirm_state"),
        ({"confirm_state": None}, {}, "confirm_state"),
        ({"total_price": "x"}, {}, "total_price"),
        ({}, {"ware_id": "x"}, "purchase_allocation_detail_list[0].ware_id"),
        ({}, {"original_num": -1}, "purchase_allocation_detail_list[0]"),
        ({}, {"purchase_price": "0.0001"}, "purchase_allocation_detail_list[0].purchase_price"),
    ],
)
def test_what_cannot_be_taken_names_its_field(head, line, field):
    with pytest.raises(OrderRefused) as refused:
        read(head, line)
    assert refused.value.field == field


def test_no_lines_are_refused():
    with pytest.raises(OrderRefused):
        supplier_order(HEAD, [])


def test_an_acknowledgement_pairs_its_lists_by_place():
    promised = [Promised("100059710381", "10", 1), Promised("100059710381", "6", 3, "缺货, 下周到")]
    asked = acknowledgement_parameters(read(), promised, datetime(2026, 11, 12, tzinfo=UTC))
    assert asked == {
        "order_id": 1776972492,
        "ware_id": "100059710381,100059710381",
        "deliver_center_id": "6,10",
        "confirm_num": "3,1",
        "back_explanation": "缺货， 下周到,",
        "delivery_time": "2026-11-12 08:00:00",
    }


@pytest.mark.parametrize(
    ("promised", "words"),
    [
        ([], "every line"),
        ([("6", 5), ("6", 5)], "every line"),
        ([("6", 5), ("7", 1)], "every line"),
        ([("6", 5), ("10", 1), ("7", 0)], "every line"),
        ([("6", 6), ("10", 1)], "more than ordered"),
        ([("6", -1), ("10", 1)], "less than nothing"),
        ([("6", 4), ("10", 1)], "reason"),
    ],
)
def test_a_wrong_promise_is_the_callers_mistake(promised, words):
    with pytest.raises(ValueError, match=words):
        acknowledgement_parameters(read(), [Promised("100059710381", *each) for each in promised])


def test_what_awaits_no_acknowledgement_gets_none():
    with pytest.raises(ValueError, match="no acknowledgement"):
        acknowledgement_parameters(read({"is_can_confirm": False}), [])


def test_a_purchase_order_is_no_consumers_order():
    import msgspec

    from libs.channels.channel import About, Document

    with pytest.raises(OrderRefused):
        heard(Document(About.ORDER, "1776972492", msgspec.json.encode(HEAD)))
