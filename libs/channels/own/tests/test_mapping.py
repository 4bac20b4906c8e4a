"""What travels in clear and what does not, and that equal content has equal fingerprints."""

import copy
import json
from datetime import UTC, datetime

import msgspec
import pytest

from contracts.orders import Destination
from libs.channels.own import mapping
from libs.channels.own.inbound import parse
from libs.channels.own.tests.test_inbound import ORDER

KEYS = mapping.derive_keys(b"secret of this test")
HERE = Destination(resolved=True, province_code="420000", region="华中")


def read(**more):
    return parse(json.dumps({**copy.deepcopy(ORDER), **more}).encode())


def prints(**more):
    return mapping.fingerprints(KEYS, read(**more))


def differing(one, other):
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def test_the_fact_holds_what_decisions_need_and_nobodys_name():
    order = read()
    fact = mapping.placed("own", "demo", order, mapping.buyer_key(KEYS, "own", order.buyer), HERE, "sealed")
    assert fact.order_id == "own.demo.536365"
    assert fact.placed_at == datetime(2026, 11, 11, 0, 0, 3, tzinfo=UTC)
    assert fact.ship_by == datetime(2026, 11, 13, tzinfo=UTC)
    assert fact.lines[0].discounts[0].amount == 200
    text = msgspec.json.encode(fact).decode()
    for secret in ("张三", "13800138000", "珞喻路", "430070", "17850", "token"):
        assert secret not in text


def test_what_is_sealed_can_be_read_again():
    sealed = json.loads(mapping.personal(read(note="放门口")))
    assert sealed["recipient"] == ORDER["recipient"]
    assert sealed["note"] == "放门口"


def test_the_buyer_key_is_keyed_and_prefers_the_platforms_token():
    order = read()
    key = mapping.buyer_key(KEYS, "own", order.buyer)
    assert len(key) == 32
    assert key != mapping.buyer_key(mapping.derive_keys(b"other"), "own", order.buyer)
    assert key != mapping.buyer_key(KEYS, "csv", order.buyer)
    assert key == mapping.buyer_key(KEYS, "own", read(buyer={"id": "another", "identity": "token"}).buyer)
    assert key != mapping.buyer_key(KEYS, "own", read(buyer={"id": "17850"}).buyer)
    for nobody in ({}, {"id": None}, {"id": ""}):
        assert mapping.buyer_key(KEYS, "own", read(buyer=nobody).buyer) is None


def test_the_same_content_written_otherwise_has_the_same_fingerprints():
    first = {"line_id": "1", "sku": "A", "quantity": 1, "unit_price": 100}
    second = {"line_id": "2", "sku": "B", "quantity": 1, "unit_price": 100}
    one = prints(lines=[first, second], total=200, placed_at="2026-11-11T00:00:03Z")
    other = prints(lines=[second, first], total=200, placed_at="2026-11-11T08:00:03+08:00", kind="normal", note="")
    assert one == other


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"note": "x"}, ["note"]),
        ({"shipping_fee": 100, "total": 15200}, ["shipping_fee", "total"]),
        ({"recipient": {**ORDER["recipient"], "phone": "1"}}, ["recipient"]),
        ({"buyer": {"id": "1"}}, ["buyer"]),
        ({"promise": None}, ["promise"]),
        ({"paid_at": None}, ["paid_at"]),
        ({"kind": "presale", "available_from": "2026-12-01T00:00:00Z"}, ["available_from", "kind"]),
        ({"currency": "USD"}, ["currency"]),
        ({"placed_at": "2026-11-11T00:00:04Z"}, ["placed_at"]),
        ({"lines": [{"line_id": "1", "sku": "B", "quantity": 1, "unit_price": 15100}]}, ["lines"]),
    ],
)
def test_a_difference_is_named(more, names):
    assert differing(prints(), prints(**more)) == names


def test_fingerprints_depend_on_the_key_and_show_no_content():
    assert differing(mapping.fingerprints(mapping.derive_keys(b"other"), read()), prints()) == sorted(prints())
    assert "张三" not in json.dumps(prints(), ensure_ascii=False)


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("不想要了", "不想要了"),
        ("changed my mind", "changed my mind"),
        ("call 13800138000", "call …"),
        ("call 138 0013-8000 now", "call … now"),
        ("mail a.b@example.com", "mail …"),
        ("bought 2 by mistake", "bought 2 by mistake"),
        ("199.2229.8476", "…"),
        ("(199) 2229/8476 please", "(… please"),
        ("１９９—２２２９—８４７６", "…"),
        ("一三九 八八八八 六六六六", "…"),
        ("买了2件，第3天还没到", "买了2件，第3天还没到"),
    ],
)
def test_a_cancellations_reason_travels_without_numbers_and_addresses(reason, shown):
    assert mapping.public_reason(reason) == shown
