"""The vectors of the shared collection, computed by the double's own code."""

import json
from pathlib import Path

import pytest

from simulators.wechat.signing import opened, sealed, signature

VECTORS = {each["id"]: each for each in json.loads((Path(__file__).parent / "vectors.json").read_text())}


@pytest.mark.parametrize(
    "name", ["wechat-url-verify", "wechat-plain-post", "wechat-secure-msg-signature", "wechat-secure-reply-signature"]
)
def test_signatures_reproduce(name):
    vector = VECTORS[name]
    assert signature(vector["secret"], *vector["input"].values()) == vector["expected"]


def test_the_published_envelope_opens():
    vector = VECTORS["wechat-secure-decrypt"]
    message, app_id = opened(vector["secret"], vector["input"])
    assert (message.decode(), app_id) == (vector["expected"]["msg"], vector["expected"]["appid"])


def test_the_published_reply_is_sealed_byte_by_byte():
    vector = VECTORS["wechat-secure-encrypt-reply"]
    given = vector["input"]
    envelope = sealed(vector["secret"], given["random"].encode(), given["msg"].encode(), given["appid"])
    assert envelope == vector["expected"]


@pytest.mark.parametrize("broken", ["", "AAAA", "not base64!", "A" * 44])
def test_what_is_no_envelope_is_refused(broken):
    with pytest.raises(ValueError):
        opened("A" * 43, broken)


def test_every_length_survives_the_envelope():
    for length in range(70):
        assert opened("A" * 43, sealed("A" * 43, b"r" * 16, b"m" * length, "wx1")) == (b"m" * length, "wx1")
