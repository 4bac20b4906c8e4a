"""Nothing leaves that is not declared: personal data, secrets and what a platform forbids stay where they are."""

import json

import pytest

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.leaving import CONTAINERS, DENIED, DESTINATIONS, RULES, cut, how, leave
from libs.channels.registry import PLATFORMS
from libs.testkit.canaries import Canaries

CANARIES = Canaries(
    {
        "name": "欧阳测试甲乙",
        "phone": "13987650123",
        "address": "珞喻路一千零三十七号九栋",
        "buyer_identity": "oaid-canary-5d41402a",
        "access_token": "token-canary-7d793037",
        "note": "请放门口的纸箱里",
    }
)
ORDER = {
    "order_id": "taobao.s1.77",
    "sku": "A",
    "recipient": dict(CANARIES.values),
    "lines": [{"sku": "A", "quantity": 2, "note": CANARIES.values["note"], "recipient": dict(CANARIES.values)}],
    "raw": json.dumps(CANARIES.values),
    "sealed": "sealed",
    "items": [CANARIES.values["phone"], [CANARIES.values["name"]]],
    **CANARIES.values,
}


def seen(content):
    return list(CANARIES.search("here", json.dumps(content, ensure_ascii=False, default=str)))


@pytest.mark.parametrize("channel", [*PLATFORMS, "own", "csv", "a channel of tomorrow"])
@pytest.mark.parametrize("destination", DESTINATIONS)
def test_no_canary_leaves(channel, destination):
    left = leave(channel, destination, ORDER)
    assert seen(left) == []
    assert left["sku"] == "A" if how(channel, "sku", destination) else "sku" not in left


def test_the_canaries_are_found_when_one_does():
    assert {each.name for each in seen(ORDER)} == set(CANARIES.values)


def test_a_platforms_words_are_cut():
    words = f"收件人 {CANARIES.values['phone']} a.b@example.com 不存在 (code 4001)"
    left = leave("taobao", "api", {"platform_words": words})
    assert left == {"platform_words": "收件人 … … 不存在 (code 4001)"}
    # Whatever is logged, stored or shown of a refusal is made of this; its code is the platform's and stays whole.
    refused = PlatformRefused(Cure.ASK, "10060001", words)
    assert str(refused) == "10060001: 收件人 … … 不存在 (code 4001)"
    assert (refused.code, refused.text) == ("10060001", words)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("139-8765-0123", "…"),
        ("+86 139 8765 0123 x", "… x"),
        ("10020112 busy", "… busy"),
        ("code 48001", "code 48001"),
        ("", ""),
    ],
)
def test_what_may_be_a_number_or_an_address_is_cut(words, left):
    assert cut(words) == left


def test_pinduoduos_amounts_and_judgements_stay():
    fields = {"order_id": "x", "total": 1, "province": "湖北省", "risk_status": 1}
    assert leave("pinduoduo", "api", fields) == {"order_id": "x"}
    assert leave("taobao", "api", fields) == fields


def test_unknown_fields_destinations_and_kinds_are_denied():
    assert leave("taobao", "api", {"anything": 1, "order_id": {"a": 1}, "sku": ["A"], "lines": "text"}) == {}
    for nowhere in ("export", "log", "webhook", "message"):
        assert leave("taobao", nowhere, {"order_id": "x", "platform_words": "busy"}) == {}


def test_the_declaration_names_no_personal_field():
    named = {field for _, _, fields, _ in RULES for field in fields} | set(CONTAINERS)
    personal = {"name", "phone", "address", "recipient", "buyer_key", "buyer_identity", "note", "raw", "sealed"}
    secret = {"access_token", "refresh_token", "app_secret", "secrets"}
    assert not named & (personal | secret)
    assert set(DENIED) <= set(PLATFORMS)
    assert {to for _, to, _, _ in RULES} == set(DESTINATIONS)
