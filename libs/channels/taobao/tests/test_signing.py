"""The signatures against published vectors, and what takes no part in them."""

import json
from pathlib import Path

import pytest

from libs.channels.taobao.signing import canonical, sign

VECTORS = {each["id"]: each for each in json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))}
METHODS = {
    "taobao-md5-101617": "md5",
    "taobao-hmac-sha256-derived": "hmac-sha256",
    "taobao-tmc-handshake": "md5",
}


@pytest.mark.parametrize("name", METHODS)
def test_vectors_from_parameters(name):
    vector = VECTORS[name]
    assert canonical(vector["params"]).decode() == vector["input"]
    assert sign(vector["params"], vector["secret"], METHODS[name]) == vector["expected"]


def test_the_published_hmac_vector():
    # Its text still says sign_method=md5: the vector is of the text as printed.
    vector, params = VECTORS["taobao-hmac-md5"], VECTORS["taobao-md5-101617"]["params"]
    assert canonical(params).decode() == vector["input"]
    assert sign(params, vector["secret"], "hmac") == vector["expected"]


def test_every_vector_of_the_platform_is_tried():
    assert set(VECTORS) == {*METHODS, "taobao-hmac-md5"}


def test_sign_and_empty_values_take_no_part_and_bytes_decide_the_order():
    assert canonical({"b": "2", "sign": "X", "a": "", "B": "1", "中": "文"}).decode() == "B1b2中文"


@pytest.mark.parametrize("method", ["md5", "hmac", "hmac-sha256"])
def test_another_secret_or_value_signs_differently(method):
    base = sign({"a": "1"}, "s", method)
    assert base != sign({"a": "1"}, "t", method)
    assert base != sign({"a": "2"}, "s", method)
    assert base == base.upper()
