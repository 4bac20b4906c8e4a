"""The published vectors of WeChat's message push, and envelopes that must not open."""

import base64
import json
from pathlib import Path

import pytest

from libs.channels.wechat.signing import EnvelopeRefused, fits, seal, sign, unseal

VECTORS = {each["id"]: each for each in json.loads((Path(__file__).parent / "vectors.json").read_text())}
SIGNATURES = [each for each in VECTORS if "signature" in each or "verify" in each or "plain" in each]
KEY = "A" * 43


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_vectors(name):
    vector = VECTORS[name]
    assert sign(vector["secret"], *vector["input"].values()) == vector["expected"]


def test_there_are_four_signature_vectors():
    assert len(SIGNATURES) == 4


def test_decrypt_vector():
    vector = VECTORS["wechat-secure-decrypt"]
    expected = vector["expected"]
    assert unseal(vector["secret"], vector["input"], expected["appid"]).decode() == expected["msg"]


def test_encrypt_vector():
    vector = VECTORS["wechat-secure-encrypt-reply"]
    fields = vector["input"]
    found = seal(vector["secret"], fields["msg"].encode(), fields["appid"], fields["random"].encode())
    assert found == vector["expected"]


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 31, 32, 1000])
def test_there_and_back(length):
    message = b"x" * length
    assert unseal(KEY, seal(KEY, message, "wx1", b"r" * 16), "wx1") == message


@pytest.mark.parametrize(
    "envelope",
    [
        "",
        "!",
        "AAAA",
        base64.b64encode(b"\0" * 16).decode(),
        base64.b64encode(b"\xff" * 64).decode(),
        seal(KEY, b"{}", "wx2", b"r" * 16),
        seal("B" * 42 + "A", b"{}", "wx1", b"r" * 16),
        seal(KEY, b"{}", "wx1", b"r" * 16)[:-4],
        "信封",
    ],
)
def test_hostile_envelopes_do_not_open(envelope):
    with pytest.raises(EnvelopeRefused):
        unseal(KEY, envelope, "wx1")


def test_a_length_beyond_the_end_is_refused():
    plain = bytearray(base64.b64decode(seal(KEY, b"{}", "wx1", b"r" * 16)))
    for place in range(len(plain)):
        changed = bytearray(plain)
        changed[place] ^= 0x80
        try:
            unseal(KEY, base64.b64encode(bytes(changed)).decode(), "wx1")
        except EnvelopeRefused:
            continue


@pytest.mark.parametrize("key", ["", "A" * 42, "A" * 44, "*" * 43])
def test_a_wrong_key_is_said(key):
    with pytest.raises(EnvelopeRefused):
        unseal(key, seal(KEY, b"{}", "wx1", b"r" * 16), "wx1")


def test_random_and_comparison():
    with pytest.raises(ValueError, match="16"):
        seal(KEY, b"", "wx1", b"short")
    assert fits(sign("a", "b"), "b", "a")
    assert not fits("", "a")
    assert not fits("é", "a")
