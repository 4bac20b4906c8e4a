"""The signature against JD's published vector, and what takes no part in it."""

import json
from pathlib import Path

from libs.channels.jd.signing import canonical, sign

(VECTOR,) = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
PARAMETERS = {
    "method": "jingdong.pop.order.search",
    "app_key": "yourappkey",
    "access_token": "yourtoken",
    "timestamp": "2021-05-07 09:20:39.683+0800",
    "v": "2.0",
    "format": "json",
    "sign_method": "md5",
    "360buy_param_json": (
        '{"end_date":null,"optional_fields":null,"order_state":"WAIT_SELLER_STOCK_OUT","page":"1",'
        '"page_size":"200","start_date":null}'
    ),
}


def test_the_published_vector():
    assert canonical(PARAMETERS).decode() == VECTOR["input"]
    assert sign(PARAMETERS, VECTOR["secret"]) == VECTOR["expected"]


def test_text_beyond_latin_is_signed_as_utf8():
    assert canonical({"b": "汉", "a": "1", "sign": "x"}) == "a1b汉".encode()


def test_another_secret_or_value_signs_differently():
    assert len({sign({"a": "1"}, "s"), sign({"a": "1"}, "t"), sign({"a": "2"}, "s")}) == 3
