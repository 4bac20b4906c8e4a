"""The vectors of the shared collection, computed by the double's own code."""

import json
from pathlib import Path

from simulators.meituan.signing import signature

VECTORS = {each["id"]: each for each in json.loads((Path(__file__).parent / "vectors.json").read_text())}


def test_the_published_vector_reproduces():
    vector = VECTORS["meituan-waimai-md5"]
    url, query = vector["input"].split("?")
    params = dict(pair.split("=") for pair in query.split("&"))
    assert signature(url, {**params, "sig": "left out"}, vector["secret"]) == vector["expected"]


def test_order_of_parameters_does_not_matter_and_values_do():
    assert signature("u", {"b": "2", "a": "1"}, "s") == signature("u", {"a": "1", "b": "2"}, "s")
    assert signature("u", {"a": "中"}, "s") != signature("u", {"a": "%E4%B8%AD"}, "s")
