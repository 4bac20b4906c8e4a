"""The vectors of the shared collection, computed by the double's own code."""

import json
from pathlib import Path

from simulators.douyin.signing import HMAC_SHA256, call_signature, event_signature, is_canonical

VECTORS = {each["id"]: each for each in json.loads((Path(__file__).parent / "vectors.json").read_text())}


def test_a_call_signs_as_two_public_clients_do():
    vector = VECTORS["douyin-v2-hmac-sha256"]
    params = vector["params"]
    signed = call_signature(
        vector["secret"],
        params["app_key"],
        params["method"],
        params["param_json"],
        params["timestamp"],
        params["v"],
        HMAC_SHA256,
    )
    assert signed == vector["expected"]


def test_without_a_method_the_gateway_assumes_md5():
    assert len(call_signature("s", "1", "m", "{}", "1", "2", "")) == 32


def test_a_push_signs_its_raw_body():
    vector = VECTORS["douyin-push-event-sign"]
    params = vector["params"]
    assert event_signature(params["app_key"], params["raw_body"].encode(), vector["secret"]) == vector["expected"]


def test_parameters_are_canonical_only_when_sorted_at_every_level_and_compact():
    assert is_canonical('{"a":1,"b":{"c":[{"d":1,"e":2}]}}')
    for other in ('{"b":1,"a":2}', '{"a": 1}', '{"a":{"c":1,"b":2}}', '{"a":"\\u4e2d"}', "[]", "{", ""):
        assert not is_canonical(other), other
