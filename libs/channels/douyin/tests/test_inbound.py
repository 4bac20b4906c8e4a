"""Pushes and SPI calls: what is genuine is heard, whatever else is refused, and nothing crashes."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.channels.channel import About, Access, PushRefused, PushRequest
from libs.channels.douyin.inbound import receive
from libs.channels.douyin.signing import sign_spi

NOW = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
ACCESS = Access("s1", app_key="6800000000000000001", app_secret="0a1b2c3d-secret", seller_id="4463798")


def event_sign(body, secret=ACCESS.app_secret):
    return hashlib.md5(ACCESS.app_key.encode() + body + secret.encode()).hexdigest().encode()


def push(body, sign=None, more=(), query=b""):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    headers = ((b"Event-Sign", event_sign(body) if sign is None else sign), (b"app-id", ACCESS.app_key.encode()), *more)
    return receive(PushRequest("POST", "https://hub/push/douyin/s1", query, headers, body), ACCESS, NOW)


def message(tag, **data):
    data = {"p_id": 4781320682406083640, "shop_id": 4463798, **data}
    return {"tag": tag, "msg_id": f"{tag}#1", "data": json.dumps(data)}


def test_an_array_gives_a_hint_for_each_message():
    pushed = push([message("101", pay_time=1700000000), message("106", p_id=5)])
    assert [(hint.about, hint.subject_id) for hint in pushed.hints] == [
        (About.ORDER, "4781320682406083640"),
        (About.ORDER, "5"),
    ]
    assert pushed.hints[0].message_id == "101#1"
    assert pushed.hints[0].occurred_at == datetime.fromtimestamp(1700000000, UTC)
    assert json.loads(pushed.answer.body) == {"code": 0, "msg": "success"}


def test_a_single_object_is_taken_too():
    assert [hint.subject_id for hint in push(message("101")).hints] == ["4781320682406083640"]


def test_data_may_be_an_object_and_a_tag_a_number():
    pushed = push([{"tag": 101, "msg_id": "1", "data": {"p_id": "77A", "shop_id": "4463798"}}])
    assert [hint.subject_id for hint in pushed.hints] == ["77A"]


@pytest.mark.parametrize("body", [{"tag": "0", "msg_id": "0", "data": "hello"}, [{"tag": "0"}]])
def test_a_probe_is_answered_with_success(body):
    pushed = push(body)
    assert pushed.hints == ()
    assert json.loads(pushed.answer.body)["code"] == 0


@pytest.mark.parametrize("tag", [str(tag) for tag in range(101, 111)])
def test_every_order_tag_hints_at_its_order(tag):
    assert [hint.about for hint in push([message(tag)]).hints] == [About.ORDER]


@pytest.mark.parametrize("tag", [str(tag) for tag in range(200, 209)])
def test_every_refund_tag_hints_at_its_refund(tag):
    hints = push([message(tag, aftersale_id=7061)]).hints
    assert (hints[0].about, hints[0].subject_id) == (About.REFUND, "7061")
    assert [hint.about for hint in hints[1:]] == ([About.ORDER] if tag == "206" else [])


def test_an_unpaid_order_is_not_asked_for():
    assert push([message("100", order_status=1)]).hints == ()
    assert len(push([message("100", order_status=2)]).hints) == 1


def test_an_unknown_tag_and_another_shop_are_answered_and_left():
    assert push([message("417"), message("101", shop_id=1)]).hints == ()


def test_one_unreadable_message_does_not_hold_back_the_others():
    broken = {"tag": "101", "msg_id": "x", "data": "{"}
    assert len(push([broken, message("101")]).hints) == 1
    with pytest.raises(PushRefused):
        push([broken])


@pytest.mark.parametrize(
    "sign", [b"", b"0" * 32, event_sign(b"other"), b"\xff" * 32, event_sign(b"[]", secret="wrong")]
)
def test_a_wrong_signature_is_refused(sign):
    with pytest.raises(PushRefused):
        push(b"[]", sign=sign)


def test_a_body_that_was_written_anew_is_refused():
    body = json.dumps([message("101")]).encode()
    with pytest.raises(PushRefused):
        push(body.replace(b'"tag": ', b'"tag":'), sign=event_sign(body))


def test_headers_must_be_there_once_and_name_this_app():
    with pytest.raises(PushRefused):
        receive(PushRequest("POST", "", b"", (), b"[]"), ACCESS, NOW)
    with pytest.raises(PushRefused):
        push(b"[]", more=((b"event-sign", event_sign(b"[]")),))
    headers = ((b"event-sign", event_sign(b"[]")), (b"app-id", b"1"))
    with pytest.raises(PushRefused):
        receive(PushRequest("POST", "", b"", headers, b"[]"), ACCESS, NOW)


def test_a_shop_without_a_secret_accepts_nothing():
    body = b"[]"
    sign = hashlib.md5(body).hexdigest().encode()
    with pytest.raises(PushRefused):
        receive(PushRequest("POST", "", b"", ((b"event-sign", sign),), body), Access("s1"), NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"null",
        b"[1]",
        b'[{"tag":null}]',
        b'[{"tag":"101"}]',
        b'[{"tag":"101","data":"[]"}]',
        b'[{"tag":"101","data":"{}"}]',
        b'[{"tag":"101","data":{"p_id":true}}]',
        b'[{"tag":"101","data":{"p_id":"../../x"}}]',
        b'[{"tag":"101","data":{"p_id":1e999999999999999999999}}]',
        b'[{"tag":"101","data":{"p_id":' + b"9" * 5000 + b"}}]",
        b'[{"tag":"200","data":{"p_id":1}}]',
        b"[" * 100_000,
        b"[" + b'{"tag":"0"},' * 1_001 + b'{"tag":"0"}]',
        b" " * (1024 * 1024 + 1),
    ],
)
def test_signed_nonsense_is_refused_and_nothing_crashes(body):
    with pytest.raises(PushRefused):
        push(body)


@given(body=st.binary(max_size=300), query=st.binary(max_size=100), sign=st.binary(max_size=40))
def test_random_bytes_are_refused(body, query, sign):
    with pytest.raises(PushRefused):
        push(body, sign=sign, query=query)


def spi(params, access=ACCESS, method="GET", body=b"", **changed):
    param_json = params if isinstance(params, str) else json.dumps(params)
    fields = {"app_key": access.app_key, "timestamp": "2023-11-15 06:13:20", "param_json": param_json, **changed}
    if "sign" not in fields:
        fields["sign"] = sign_spi(
            access.app_secret, access.app_key, param_json, fields["timestamp"], fields.get("sign_method", "")
        )
    query = urlencode({name: value for name, value in fields.items() if value is not None}).encode()
    return receive(PushRequest(method, "https://hub/push/douyin/s1", query, (), body), ACCESS, NOW)


def test_an_spi_call_is_answered_in_its_own_words_and_hints_at_the_order():
    pushed = spi({"order_id": "4781320682406083640"})
    assert [(hint.about, hint.subject_id) for hint in pushed.hints] == [(About.ORDER, "4781320682406083640")]
    assert json.loads(pushed.answer.body) == {"code": 0, "message": "success", "data": {}}


def test_spi_by_hmac_in_sign_v2_with_seconds_in_the_body():
    param_json, timestamp = '{"order_id":"5"}', str(int(NOW.timestamp()))
    sign = sign_spi(ACCESS.app_secret, ACCESS.app_key, param_json, timestamp, "hmac-sha256")
    pushed = spi(
        param_json,
        method="POST",
        body=param_json.encode(),
        param_json=None,
        timestamp=timestamp,
        sign="x",
        sign_v2=sign,
        sign_method="hmac-sha256",
    )
    assert pushed.hints[0].subject_id == "5"


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ('{"z": 1, "order_id": "5"}', '{"order_id":"5","z":1}'),
        ('{"order_id":"5","text":"<b>"}', '{"order_id":"5","text":"\\u003cb\\u003e"}'),
    ],
)
def test_spi_signed_over_the_platforms_own_writing(sent, signed):
    sign = sign_spi(ACCESS.app_secret, ACCESS.app_key, signed, "2023-11-15 06:13:20", "")
    assert spi(sent, sign=sign).hints[0].subject_id == "5"


@pytest.mark.parametrize(
    "changed",
    [
        {"sign": "0" * 32},
        {"sign": ""},
        {"sign": "ä"},
        {"app_key": "1"},
        {"timestamp": "2023-11-15 06:03:19"},
        {"timestamp": "2023-13-15 06:13:20"},
        {"timestamp": "soon"},
        {"timestamp": str(int((NOW + timedelta(seconds=601)).timestamp()))},
        {"timestamp": None, "sign": "0" * 32},
        {"param_json": "[" * 50_000, "sign": "0" * 32},
        {"param_json": '{"order_id":"6"}', "sign": "0" * 32},
    ],
)
def test_a_hostile_spi_call_is_refused(changed):
    with pytest.raises(PushRefused):
        spi({"order_id": "5"}, **changed)


@pytest.mark.parametrize("params", ["[]", "1", '{"order_id":{"a":1}}', '{"order_id":"../"}'])
def test_signed_spi_nonsense_is_refused(params):
    with pytest.raises(PushRefused):
        spi(params)


def test_a_query_field_named_twice_is_refused():
    with pytest.raises(PushRefused):
        receive(PushRequest("GET", "", b"sign=a&sign=b", (), b""), ACCESS, NOW)
