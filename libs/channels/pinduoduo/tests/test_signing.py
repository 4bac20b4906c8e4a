"""Pinduoduo's signatures against the official example and a public client's own test."""

import json
from pathlib import Path

import pytest

from libs.channels.pinduoduo.signing import message_path, parameters, sign_call

VECTORS = {each["id"]: each for each in json.loads(Path(__file__).with_name("vectors.json").read_text())}


def test_the_official_example():
    vector = VECTORS["pdd-md5-official"]
    assert sign_call(vector["secret"], vector["params"]) == vector["expected"]
    assert sign_call(vector["secret"], {**vector["params"], "sign": "x"}) == vector["expected"]


def test_the_message_path():
    vector = VECTORS["pdd-pmc-path"]
    p = vector["params"]
    assert message_path(p["client_id"], vector["secret"], int(p["ts_ms"])) == vector["expected"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (0, "0"), ("中", "中"), ([1, {"a": "中"}], '[1,{"a":"中"}]'), ({}, "{}")],
)
def test_values_are_sent_as_text(value, text):
    assert parameters({"a": value}) == {"a": text}


def test_nothing_empty_is_sent():
    assert parameters({"a": None, "b": "", "c": 1}) == {"c": "1"}
