"""Douyin's signatures against values that others computed, and the canonical JSON they are taken over."""

import json
from pathlib import Path

import pytest

from libs.channels.douyin.signing import (
    HMAC_SHA256,
    canonical,
    canonical_for_markup,
    method_of,
    sign_call,
    sign_push,
    sign_spi,
)

VECTORS = {each["id"]: each for each in json.loads(Path(__file__).with_name("vectors.json").read_text())}


def test_a_call_is_signed_like_other_clients_sign_it():
    vector = VECTORS["douyin-v2-hmac-sha256"]
    p = vector["params"]
    assert sign_call(vector["secret"], p["app_key"], p["method"], p["param_json"], p["timestamp"]) == vector["expected"]


def test_the_parameters_of_the_vector_come_out_of_the_canonical_writing():
    written = VECTORS["douyin-v2-hmac-sha256"]["params"]["param_json"]
    backwards = dict(reversed(list(json.loads(written).items())))
    assert canonical(backwards) == written


def test_a_push_is_signed_over_its_raw_body():
    vector = VECTORS["douyin-push-event-sign"]
    p = vector["params"]
    assert sign_push(p["app_key"], p["raw_body"].encode(), vector["secret"]) == vector["expected"]


def test_an_spi_call_is_signed_by_the_stated_rule():
    vector = VECTORS["douyin-spi-md5"]
    signed = sign_spi(
        vector["secret"],
        "6800000000000000001",
        '{"order_id":"4781320682406083640"}',
        "2023-11-15 06:13:20",
        "",
    )
    assert signed == vector["expected"]


def test_an_spi_call_may_name_hmac():
    one = sign_spi("s", "k", "{}", "1700000000", HMAC_SHA256)
    assert len(one) == 64
    assert one != sign_spi("s", "k", "{}", "1700000000", "md5")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": {"d": [3, {"z": 1, "y": 2}], "c": "中"}}, '{"a":{"c":"中","d":[3,{"y":2,"z":1}]},"b":1}'),
        ({"n": 1.0, "m": 1.5, "big": 4781320682406083640}, '{"big":4781320682406083640,"m":1.5,"n":1}'),
        ({"h": "<a&b>"}, '{"h":"<a&b>"}'),
        ({"s": "\u2028"}, '{"s":"\\u2028"}'),
        ({}, "{}"),
    ],
)
def test_canonical_json(value, text):
    assert canonical(value) == text


def test_markup_is_escaped_only_for_the_older_writer():
    assert canonical_for_markup({"h": "<&>"}) == '{"h":"\\u003c\\u0026\\u003e"}'


def test_a_method_is_its_path_with_points():
    assert method_of("/order/searchList") == "order.searchList"
