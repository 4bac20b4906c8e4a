"""WeChat's pushes: the check by GET, plain, AES, no downgrade, and hostile bodies."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from libs.channels.channel import About, Access, PushRefused, PushRequest
from libs.channels.wechat.inbound import EVENTS, receive
from libs.channels.wechat.signing import seal, sign

KEY = "A" * 43
NOW = datetime(2026, 11, 11, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
PLAIN = Access("wx-1", app_key="wx1", secrets={"token": "TOKEN"})
SECURE = Access("wx-1", app_key="wx1", secrets={"token": "TOKEN", "aes_key": KEY})
PAY = {
    "ToUserName": "gh_x",
    "FromUserName": "OPENID",
    "CreateTime": 1794326400,
    "MsgType": "event",
    "Event": "channels_ec_order_pay",
    "order_info": {"order_id": 3705115058471208928, "pay_time": 1794326400},
}
AFTERSALE = {
    "Event": "channels_ec_aftersale_update",
    "CreateTime": 1794326400,
    "finder_shop_aftersale_status_update": {"status": "USER_WAIT_RETURN", "after_sale_order_id": "1234"},
}


def plain(body, *, stamp=STAMP, token="TOKEN", method="POST", **more):
    query = {"signature": sign(token, stamp, "nonce"), "timestamp": stamp, "nonce": "nonce", **more}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PushRequest(method, "", urlencode(query).encode(), (), raw)


def secure(body, *, key=KEY, app_id="wx1", token="TOKEN", envelope=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    envelope = seal(key, raw, app_id, b"r" * 16) if envelope is None else envelope
    query = {
        "signature": sign(token, STAMP, "n"),
        "timestamp": STAMP,
        "nonce": "n",
        "encrypt_type": "aes",
        "msg_signature": sign(token, STAMP, "n", envelope),
    }
    whole = json.dumps({"ToUserName": "gh_x", "Encrypt": envelope}).encode()
    return PushRequest("POST", "", urlencode(query).encode(), (), whole)


def test_the_check_of_the_address_gets_its_echo():
    pushed = receive(plain(b"", method="GET", echostr="4375120948345356249"), SECURE, NOW)
    assert pushed.answer.body == b"4375120948345356249"
    assert pushed.answer.content_type == "text/plain"
    assert pushed.hints == ()


@pytest.mark.parametrize(
    "request_",
    [
        plain(b"", method="GET"),
        plain(b"", method="GET", echostr="x" * 513),
        plain(b"", method="GET", echostr="1", token="other"),
        plain(b"", method="GET", echostr="1", stamp="soon"),
    ],
)
def test_a_false_check_is_refused(request_):
    with pytest.raises(PushRefused):
        receive(request_, PLAIN, NOW)


@pytest.mark.parametrize(("access", "push"), [(PLAIN, plain), (SECURE, secure)])
@pytest.mark.parametrize(
    ("body", "expected"), [(PAY, (About.ORDER, "3705115058471208928")), (AFTERSALE, (About.REFUND, "1234"))]
)
def test_events(access, push, body, expected):
    pushed = receive(push(body), access, NOW)
    assert pushed.answer.body == b"success"
    assert [(each.about, each.subject_id) for each in pushed.hints] == [expected]
    assert pushed.hints[0].occurred_at == datetime.fromtimestamp(1794326400, UTC)


@pytest.mark.parametrize("event", [each for each, (about, _) in EVENTS.items() if about is About.ORDER])
def test_every_order_event_hints_at_its_order(event):
    body = {**PAY, "Event": event, "order_info": {"order_id": "3705"}}
    assert [each.subject_id for each in receive(plain(body), PLAIN, NOW).hints] == ["3705"]


@pytest.mark.parametrize("event", ["trade_manage_remind_shipping", "debug_demo", "", None, 7])
def test_other_events_are_answered_and_say_nothing(event):
    assert receive(plain({"Event": event}), PLAIN, NOW).hints == ()


def test_a_plain_push_to_a_shop_with_a_key_is_a_downgrade():
    with pytest.raises(PushRefused, match="not encrypted"):
        receive(plain(PAY), SECURE, NOW)


def test_an_encrypted_push_to_a_shop_without_key():
    with pytest.raises(PushRefused, match="no aes_key"):
        receive(secure(PAY), PLAIN, NOW)


@pytest.mark.parametrize(
    "request_",
    [
        secure(PAY, token="other"),
        secure(PAY, app_id="wx2"),
        secure(PAY, key="B" * 42 + "A"),
        secure(PAY, envelope="AAAA"),
        secure(PAY, envelope=""),
        secure(b"\xff\xfe"),
        secure(b"[1]"),
        PushRequest("POST", "", secure(PAY).query, (), b'{"Encrypt": 7}'),
        PushRequest("POST", "", secure(PAY).query, (), secure(AFTERSALE).body),
        PushRequest("POST", "", b"", (), secure(PAY).body),
    ],
)
def test_hostile_envelopes(request_):
    with pytest.raises(PushRefused) as caught:
        receive(request_, SECURE, NOW)
    assert "TOKEN" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<xml/>",
        b"[]",
        b"\xff",
        b"{" * 100_000,
        b'{"a":' * 50_000,
        {**PAY, "order_info": None},
        {**PAY, "order_info": {"order_id": True}},
        {**PAY, "order_info": {"order_id": "../1"}},
        {**PAY, "order_info": {"order_id": "١٢"}},
        {**PAY, "order_info": {"order_id": 1.5}},
        {**PAY, "order_info": {"order_id": -5}},
        {**PAY, "order_info": {"order_id": "9" * 33}},
        b"x" * (1024 * 1024 + 1),
    ],
)
def test_hostile_bodies(body):
    with pytest.raises(PushRefused):
        receive(plain(body), PLAIN, NOW)


@pytest.mark.parametrize("away", [timedelta(hours=7), timedelta(minutes=-11)])
def test_a_stale_or_future_push(away):
    with pytest.raises(PushRefused, match="too far"):
        receive(plain(PAY), PLAIN, NOW + away)


@pytest.mark.parametrize("query", [b"a=1&a=2", b"\xff", b"&".join(b"a%d=1" % n for n in range(30)), b"signature=%ff"])
def test_hostile_queries(query):
    with pytest.raises(PushRefused):
        receive(PushRequest("POST", "", query, (), b"{}"), PLAIN, NOW)


def test_a_shop_without_token_takes_nothing():
    with pytest.raises(PushRefused, match="no token"):
        receive(plain(PAY, token=""), Access("wx-1"), NOW)


def test_strange_creation_times_do_not_matter():
    for strange in (None, "x", -1, 10**12, 1.5):
        assert receive(plain({**PAY, "CreateTime": strange}), PLAIN, NOW).hints[0].occurred_at is None
