"""Every limit of the own-channel message, the sum identity, and that no input at all makes the reader fall over."""

import contextlib
import copy
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.channels.own.inbound import Cancellation, Order, parse
from libs.channels.refusals import OrderRefused

ORDER = {
    "platform_order_id": "536365",
    "placed_at": "2026-11-11T00:00:03Z",
    "paid_at": "2026-11-11T00:00:09Z",
    "currency": "CNY",
    "buyer": {"id": "17850", "vip": False, "identity": "token"},
    "recipient": {
        "name": "张三",
        "phone": "13800138000",
        "province": "湖北省",
        "city": "武汉市",
        "district": "洪山区",
        "address": "珞喻路1号",
        "postcode": "430070",
    },
    "lines": [
        {
            "line_id": "1",
            "sku": "85123A",
            "quantity": 6,
            "unit_price": 2550,
            "discounts": [{"funder": "platform", "amount": 200}],
        }
    ],
    "shipping_fee": 0,
    "total": 15100,
    "kind": "normal",
    "promise": {"ship_by": "2026-11-13T00:00:00Z"},
    "note": "",
}
GONE = object()


def changed(path, value):
    order = copy.deepcopy(ORDER)
    at = order
    *way, last = path
    for step in way:
        at = at[step]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return json.dumps(order, ensure_ascii=False).encode()


def refusal(body):
    with pytest.raises(OrderRefused) as refused:
        parse(body)
    return refused.value


def test_the_documented_order_is_taken():
    order = parse(json.dumps(ORDER).encode())
    assert isinstance(order, Order)
    assert order.lines[0].quantity == 6
    assert order.recipient.name == "张三"


@pytest.mark.parametrize("path", [("buyer",), ("paid_at",), ("promise",), ("note",), ("kind",), ("shipping_fee",)])
def test_what_may_be_left_out(path):
    parse(changed(path, GONE))


def test_a_note_may_hold_line_breaks_and_emoji():
    order = parse(changed(("note",), "请送到\n前台 😀"))
    assert order.note == "请送到\n前台 😀"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("platform_order_id",), GONE, "platform_order_id"),
        (("platform_order_id",), "", "platform_order_id"),
        (("platform_order_id",), "a/b", "platform_order_id"),
        (("platform_order_id",), "x" * 65, "platform_order_id"),
        (("platform_order_id",), "1\n", "platform_order_id"),
        (("platform_order_id",), 536365, "platform_order_id"),
        (("placed_at",), "2026-11-11 00:00", "placed_at"),
        (("placed_at",), "2026-11-11T00:00:03", "placed_at"),
        (("placed_at",), "2026-02-30T00:00:03Z", "placed_at"),
        (("placed_at",), "0001-01-01T00:00:00+14:00", "placed_at"),
        (("paid_at",), "9999-12-31T23:59:59-14:00", "paid_at"),
        (("placed_at",), 1794355203, "placed_at"),
        (("promise", "ship_by"), "9999-01-01T00:00:00Z", "promise.ship_by"),
        (("promise", "when"), "soon", "promise.when"),
        (("currency",), "cny", "currency"),
        (("currency",), "CNYX", "currency"),
        (("currency",), "CNY\n", "currency"),
        (("currency",), GONE, "currency"),
        (("buyer", "id"), 17850, "buyer.id"),
        (("buyer", "age"), 3, "buyer.age"),
        (("left",), "whole", "left"),
        (("buyer", "identity"), "t" * 257, "buyer.identity"),
        (("recipient",), GONE, "recipient"),
        (("recipient", "name"), "", "recipient.name"),
        (("recipient", "name"), "三" * 101, "recipient.name"),
        (("recipient", "name"), "a\x00b", "recipient.name"),
        (("recipient", "address"), "x\x7f", "recipient.address"),
        (("recipient", "address"), "x\u0085y", "recipient.address"),
        (("recipient", "address"), "line\nbreak", "recipient.address"),
        (("recipient", "phone"), "1" * 33, "recipient.phone"),
        (("recipient", "id_card"), "4201", "recipient.id_card"),
        (("lines",), [], "lines"),
        (("lines",), {}, "lines"),
        (("lines",), GONE, "lines"),
        (("lines", 0, "quantity"), 0, "lines[0].quantity"),
        (("lines", 0, "quantity"), -1, "lines[0].quantity"),
        (("lines", 0, "quantity"), 10**6 + 1, "lines[0].quantity"),
        (("lines", 0, "quantity"), 1.5, "lines[0].quantity"),
        (("lines", 0, "quantity"), "6", "lines[0].quantity"),
        (("lines", 0, "quantity"), True, "lines[0].quantity"),
        (("lines", 0, "quantity"), None, "lines[0].quantity"),
        (("lines", 0, "unit_price"), -1, "lines[0].unit_price"),
        (("lines", 0, "unit_price"), 10**11 + 1, "lines[0].unit_price"),
        (("lines", 0, "unit_price"), 10**30, "lines[0].unit_price"),
        (("lines", 0, "sku"), "", "lines[0].sku"),
        (("lines", 0, "sku"), " 85123A", "lines[0].sku"),
        (("lines", 0, "sku"), "8" * 65, "lines[0].sku"),
        (("lines", 0, "line_id"), GONE, "lines[0].line_id"),
        (("lines", 0, "colour"), "red", "lines[0].colour"),
        (("lines", 0, "discounts", 0, "funder"), "government", "lines[0].discounts[0].funder"),
        (("lines", 0, "discounts", 0, "amount"), -5, "lines[0].discounts[0].amount"),
        (("total",), 15101, "total"),
        (("total",), -1, "total"),
        (("total",), 2**53 + 1, "total"),
        (("shipping_fee",), -1, "shipping_fee"),
        (("kind",), "gift", "kind"),
        (("kind",), "presale", "available_from"),
        (("available_from",), "2026-12-01T00:00:00Z", "available_from"),
        (("note",), "x" * 2001, "note"),
        (("note",), "bell\x07", "note"),
        (("type",), "order.eaten", "type"),
        (("type",), 5, "type"),
        (("coupon",), "x", "coupon"),
    ],
)
def test_every_refusal_names_the_field(path, value, field):
    assert refusal(changed(path, value)).field == field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'"x"',
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"{} x",
        b'{"a":' + b"[" * 200_000,
        b"[" * 200_000,
        b'{"note":"\\ud800"}',
        b'{"note":"\\udc00x"}',
        b'{"note":"\xed\xa0\x80"}',
        b"\x00",
        b'{"total":NaN}',
    ],
)
def test_what_is_no_order_at_all_is_refused(body):
    refusal(body)


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud800x", "\\udc00\\ud800"])
def test_half_a_character_is_refused(half):
    refusal(changed(("note",), "HALF").replace(b"HALF", half.encode()))


def test_two_thousand_lines_and_no_more():
    lines = [{"line_id": str(n), "sku": "A", "quantity": 1, "unit_price": 1} for n in range(2000)]
    order = {**ORDER, "lines": lines, "total": 2000}
    parse(json.dumps(order).encode())
    lines.append({"line_id": "x", "sku": "A", "quantity": 1, "unit_price": 1})
    assert refusal(json.dumps({**order, "total": 2001}).encode()).field == "lines"


def test_a_doubled_line_id_is_refused():
    line = {"line_id": "1", "sku": "A", "quantity": 1, "unit_price": 1}
    assert refusal(changed(("lines",), [line, line])).field == "lines[1].line_id"


def test_a_presale_with_its_date_is_taken():
    body = json.dumps({**ORDER, "kind": "presale", "available_from": "2026-12-01T00:00:00+08:00"}).encode()
    assert parse(body).kind == "presale"


def test_a_wrong_total_names_the_difference():
    refused = refusal(changed(("total",), 15000))
    assert refused.more == {"expected": 15100, "difference": -100}
    assert "-100" in refused.reason


def test_an_unknown_field_is_named_but_cut_and_made_printable():
    refused = refusal(changed(("bad\nname" + "x" * 200,), 1))
    assert refused.field.startswith("bad?namexxx")
    assert len(refused.field) == 64


def test_no_refusal_repeats_what_was_sent():
    for path, value in [
        (("recipient", "phone"), "13800138000" * 5),
        (("kind",), "13800138000"),
        (("placed_at",), "13800138000"),
        (("recipient", "name"), "13800138000\x00"),
        (("currency",), "13800138000"),
        (("platform_order_id",), "13800138000/"),
        (("type",), "13800138000"),
    ]:
        refused = refusal(changed(path, value))
        assert "13800138000" not in f"{refused} {refused.more}"


def test_a_cancellation():
    body = {
        "type": "order.cancelled",
        "platform_order_id": "536365",
        "reason": "不想要了",
        "cancelled_at": "2026-11-11T01:00:00Z",
    }
    found = parse(json.dumps(body).encode())
    assert isinstance(found, Cancellation)
    assert found.reason == "不想要了"
    assert refusal(json.dumps({**body, "lines": []}).encode()).field == "lines"
    assert refusal(json.dumps({**body, "reason": "x" * 201}).encode()).field == "reason"
    assert refusal(json.dumps({**body, "reason": "a\x00"}).encode()).field == "reason"
    assert refusal(json.dumps({**body, "cancelled_at": "1999-01-01T00:00:00Z"}).encode()).field == "cancelled_at"
    assert refusal(b'{"type":"order.cancelled"}').field == "platform_order_id"


amounts = st.integers(0, 10**6)
line = st.builds(
    lambda quantity, price, discounts: {
        "sku": "A",
        "quantity": quantity,
        "unit_price": price,
        "discounts": [{"funder": "merchant", "amount": each} for each in discounts],
    },
    st.integers(1, 1000),
    st.integers(1000, 10**6),
    st.lists(st.integers(0, 100), max_size=3),
)


@given(lines=st.lists(line, min_size=1, max_size=5), shipping=amounts, error=st.integers(-5, 5))
def test_the_total_must_be_lines_less_discounts_plus_shipping(lines, shipping, error):
    lines = [{**each, "line_id": str(place)} for place, each in enumerate(lines)]
    net = shipping + sum(
        each["quantity"] * each["unit_price"] - sum(d["amount"] for d in each["discounts"]) for each in lines
    )
    body = json.dumps({**ORDER, "lines": lines, "shipping_fee": shipping, "total": net + error}).encode()
    if error:
        assert refusal(body).more["difference"] == error
    else:
        assert parse(body).total == net


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
ANY_FIELD = [*ORDER, "type", "available_from"]


@given(field=st.sampled_from(ANY_FIELD), value=json_values)
def test_any_value_in_any_field_is_taken_or_refused(field, value):
    body = json.dumps({**ORDER, field: value}).encode()
    with contextlib.suppress(OrderRefused):
        msgspec.json.encode(parse(body))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_calmly(body):
    refusal(body)


@given(st.data())
def test_a_body_cut_or_damaged_anywhere_is_taken_or_refused(data):
    body = bytearray(json.dumps(ORDER, ensure_ascii=data.draw(st.booleans())).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(OrderRefused):
        msgspec.json.encode(parse(bytes(body)))
