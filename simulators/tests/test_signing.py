"""The doubles' own signatures against the published vectors."""

import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from simulators.jd import signing as jd
from simulators.pinduoduo import signing as pinduoduo
from simulators.taobao import signing as taobao

VECTORS = {v["id"]: v for v in json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))}


@pytest.mark.parametrize("name", ["taobao-md5-101617", "taobao-hmac-sha256-derived"])
def test_taobao(name: str) -> None:
    vector = VECTORS[name]
    assert taobao.expected(vector["params"], vector["secret"]) == vector["expected"]


def test_taobao_hmac_of_the_published_string() -> None:
    vector: dict[str, Any] = VECTORS["taobao-hmac-md5"]
    # The published string still says sign_method=md5, so it is the rule that is compared, not the whole call.
    signed = taobao.expected({"sign_method": "hmac"}, vector["secret"])
    text = "sign_methodhmac"
    assert signed == hmac.new(vector["secret"].encode(), text.encode(), "md5").hexdigest().upper()
    published = hmac.new(vector["secret"].encode(), vector["input"].encode(), "md5").hexdigest().upper()
    assert published == vector["expected"]
    assert taobao.expected({"sign_method": "rsa"}, "s") is None


def test_pinduoduo() -> None:
    vector = VECTORS["pdd-md5-official"]
    assert pinduoduo.expected(vector["params"], vector["secret"]) == vector["expected"]
    assert pinduoduo.expected({**vector["params"], "empty": "", "sign": "x"}, vector["secret"]) == vector["expected"]


def test_pinduoduo_socket() -> None:
    vector = VECTORS["pdd-pmc-path"]
    client_id, ts_ms = vector["params"]["client_id"], vector["params"]["ts_ms"]
    digest = pinduoduo.socket_digest(client_id, ts_ms, vector["secret"])
    assert f"/message/{client_id}/{ts_ms}/{quote(digest, safe='')}" == vector["expected"]


def test_jd() -> None:
    vector = VECTORS["jd-md5-official"]
    text = vector["input"]
    business = text[text.index("{") : text.index("}") + 1]
    params = {
        "360buy_param_json": business,
        "access_token": "yourtoken",
        "app_key": "yourappkey",
        "method": "jingdong.pop.order.search",
        "timestamp": "2021-05-07 09:20:39.683+0800",
        "v": "2.0",
        "format": "json",
        "sign_method": "md5",
    }
    assert jd.expected(params, vector["secret"]) == vector["expected"]
