"""The message socket's frames: what each hints at, how it is acknowledged, and what hostile ones do: nothing."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.channels.channel import About
from libs.channels.pinduoduo.inbound import acknowledgement, heartbeat, parts_of_refund, read_frame

SN = "210822-123456789012345"
NOW = datetime(2021, 8, 22, 4, 24, 33, tzinfo=UTC)


def frame(kind="pdd_trade_TradeConfirmed", content=None, **changed):
    content = {"mall_id": 1, "tid": SN} if content is None else content
    message = {"type": kind, "mallID": 1, "content": json.dumps(content)}
    whole = {"id": 123, "commandType": "Common", "time": 1629615872811, "sendTime": 1629615872900, "message": message}
    return json.dumps(whole | changed).encode()


def test_an_orders_message():
    message = read_frame(frame(), "1")
    (hint,) = message.hints
    assert (hint.about, hint.subject_id, hint.message_id) == (About.ORDER, SN, "123")
    assert hint.occurred_at == datetime.fromtimestamp(1629615872.811, UTC)


@pytest.mark.parametrize(
    ("kind", "abouts"),
    [
        ("pdd_trade_TradeRiskChanged", [About.ORDER]),
        ("pdd_trade_TradeLogisticsAddressChanged", [About.ORDER]),
        ("pdd_refund_RefundCreated", [About.REFUND, About.ORDER]),
        ("pdd_refund_RefundClosed", [About.REFUND, About.ORDER]),
        ("pdd_refund_RefundBuyerReturnGoods", [About.REFUND]),
        ("pdd_goods_GoodsChanged", []),
    ],
)
def test_what_each_type_hints_at(kind, abouts):
    content = {"tid": SN, "refund_id": 9007199254740993, "refund_fee": 100, "modified": 1629615872000}
    message = read_frame(frame(kind, content), "")
    assert [hint.about for hint in message.hints] == abouts
    for hint in message.hints:
        assert hint.subject_id == (SN if hint.about is About.ORDER else f"{SN}:9007199254740993")


def test_a_refunds_name_can_be_taken_apart():
    assert parts_of_refund(f"{SN}:7") == (SN, "7")
    assert parts_of_refund("7") is None


def test_the_acknowledgement_repeats_the_message():
    receipt = read_frame(frame(), "1").receipt
    assert json.loads(acknowledgement(receipt, NOW)) == {
        "id": 123,
        "commandType": "Ack",
        "time": 1629615872811,
        "sendTime": int(NOW.timestamp() * 1000),
        "type": "pdd_trade_TradeConfirmed",
        "mallID": 1,
    }


def test_a_heartbeat():
    assert json.loads(heartbeat(4, NOW)) == {"id": 4, "commandType": "HeartBeat", "time": int(NOW.timestamp() * 1000)}


def test_heartbeats_and_other_shops_messages_are_not_ours():
    assert read_frame(b'{"id":1,"commandType":"HeartBeat","time":1629615873000}', "1") is None
    assert read_frame(frame(), "2") is None


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff", b"[1]", b"{", b"[" * 100_000, frame(content=[]), frame(content={}),
        frame(content={"tid": "../x"}), frame(content={"tid": True}), frame(message=None), frame(message=[]),
        frame(message={"type": 1, "content": 5}),
        frame(content={"tid": {"a": 1}}), b'{"commandType":"Common","id":1e999999999999999999999}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_hints_at_nothing(raw):
    message = read_frame(raw, "")
    assert message.hints == ()
    assert message.raw == raw


def test_a_message_that_says_nothing_is_still_confirmed():
    assert json.loads(read_frame(frame(content={}), "1").receipt)["id"] == 123
    assert read_frame(frame(id={"a": 1}), "1").receipt == ""
    assert read_frame(frame(id="9" * 1000), "1").receipt == ""


@given(st.binary(max_size=200))
def test_random_bytes_crash_nothing(raw):
    message = read_frame(raw, "1")
    assert message is None or message.hints == ()
