"""What TMC's messages hint at, genuine, unknown and malformed ones."""

import json

import pytest

from libs.channels.channel import About, Hint
from libs.channels.taobao.inbound import message_of
from libs.channels.values import moment_or_none

PUBLISHED = "2026-01-05 10:00:00"


def row(topic, said, **changes):
    text = said if isinstance(said, str) else json.dumps(said)
    return {"id": 4160600490938325004, "topic": topic, "content": text, "pub_time": PUBLISHED} | changes


@pytest.mark.parametrize(
    ("topic", "content", "about", "subject"),
    [
        (
            "taobao_trade_TradeBuyerPay",
            {"tid": 2231958349, "status": "WAIT_SELLER_SEND_GOODS"},
            About.ORDER,
            "2231958349",
        ),
        ("taobao_trade_TradeBuyerPay", {"tid": 4159283746501827364}, About.ORDER, "4159283746501827364"),
        ("taobao_trade_TradeClose", {"tid": "415"}, About.ORDER, "415"),
        ("taobao_trade_TradeLogisticsAddressChanged", {"tid": 415}, About.ORDER, "415"),
        ("taobao_trade_TradeSomethingNew", {"tid": 415}, About.ORDER, "415"),
        ("taobao_refund_RefundCreated", {"tid": 415, "refund_id": 17}, About.REFUND, "17"),
        ("taobao_refund_RefundCreated", {"tid": 415}, About.ORDER, "415"),
    ],
)
def test_hints(topic, content, about, subject):
    message = message_of(row(topic, content))
    assert message.receipt == "4160600490938325004"
    assert message.hints == (Hint(about, subject, "4160600490938325004", moment_or_none(PUBLISHED)),)
    assert json.loads(message.raw)["topic"] == topic


@pytest.mark.parametrize(
    "broken",
    [
        row("taobao_trade_TradeBuyerPay", "not json"),
        row("taobao_trade_TradeBuyerPay", "[1]"),
        row("taobao_trade_TradeBuyerPay", "<xml/>"),
        row("taobao_trade_TradeBuyerPay", "[" * 60_000),
        row("taobao_trade_TradeBuyerPay", '{"tid":415,"x":"' + "a" * 70_000 + '"}'),
        row("taobao_trade_TradeBuyerPay", {"tid": "415; drop"}),
        row("taobao_trade_TradeBuyerPay", {"tid": -415}),
        row("taobao_trade_TradeBuyerPay", {"tid": True}),
        row("taobao_trade_TradeBuyerPay", {"tid": 415.5}),
        row("taobao_trade_TradeBuyerPay", {"tid": "４１５"}),
        row("taobao_trade_TradeBuyerPay", {"tid": "1" * 65}),
        row("taobao_item_ItemUpdate", {"tid": 415}),
        row(None, {"tid": 415}),
        row("taobao_refund_RefundCreated", {"refund_id": []}),
        row("taobao_trade_TradeBuyerPay", {"tid": 415}, content=None),
        row("taobao_trade_TradeBuyerPay", {"tid": 415}, content=5),
    ],
)
def test_what_says_nothing_is_still_confirmed(broken):
    message = message_of(broken)
    assert message.receipt == "4160600490938325004"
    assert message.hints == ()


@pytest.mark.parametrize("receipt", [None, "", "x", 1.5, [], True])
def test_a_message_without_an_id_is_none(receipt):
    assert message_of(row("taobao_trade_TradeBuyerPay", {"tid": 415}, id=receipt)) is None


def test_a_time_that_is_none_does_no_harm():
    (hint,) = message_of(row("taobao_trade_TradeBuyerPay", {"tid": 415}, pub_time="yesterday")).hints
    assert hint.occurred_at is None
