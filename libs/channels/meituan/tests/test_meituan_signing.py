"""The published vector of the waimai document, and what must not change a signature."""

import json
from pathlib import Path

import pytest

from libs.channels.meituan.signing import fits, sign

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=[each["id"] for each in VECTORS])
def test_vector(vector):
    assert sign(vector["url"], vector["params"], vector["secret"]) == vector["expected"]


def test_order_of_parameters_and_the_signature_itself_do_not_count():
    params = {"b": "2", "a": "配送", "sig": "x"}
    assert sign("http://u", params, "s") == sign("http://u", {"a": "配送", "b": "2"}, "s")


def test_another_url_value_or_secret_does_not_fit():
    params = {"a": "1"}
    params["sig"] = sign("http://u", params, "s")
    assert fits("http://u", params, "s")
    assert not fits("http://v", params, "s")
    assert not fits("http://u", params, "t")
    assert not fits("http://u", {**params, "a": "2"}, "s")
    assert not fits("http://u", {"a": "1"}, "s")
