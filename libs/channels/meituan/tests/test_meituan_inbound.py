"""Form pushes of Meituan: genuine, twice encoded, probes, other shops', stale, and hostile."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import pytest

from libs.channels.channel import About, Access, PushRefused, PushRequest
from libs.channels.meituan.inbound import event_of, receive
from libs.channels.meituan.signing import sign

URL = "https://hub.example.com/push/meituan/mt-1"
ACCESS = Access("mt-1", app_key="77", app_secret="secret", seller_id="poi-1")
NOW = datetime(2026, 11, 11, tzinfo=UTC)
PAID = {
    "app_id": "77",
    "timestamp": str(int(NOW.timestamp())),
    "app_poi_code": "poi-1",
    "order_id": "2700130123456789012",
    "status": "2",
    "recipient_name": "张(先生)",
    "detail": '[{"sku_id":"A1-1","quantity":2,"price":17.5}]',
    "ctime": "1794326400",
}


def push(fields, *, twice=True, signed_over="clear", secret="secret", method="POST", url=URL):
    sent = {name: quote(value) if twice else value for name, value in fields.items()}
    sent["sig"] = sign(url, fields if signed_over == "clear" else sent, secret)
    raw = urlencode(sent).encode()
    return PushRequest(method, url, raw if method == "GET" else b"", (), b"" if method == "GET" else raw)


def hints(request, now=NOW):
    pushed = receive(request, ACCESS, now)
    assert pushed.answer.body == b'{"data":"ok"}'
    return [(each.about, each.subject_id) for each in pushed.hints]


@pytest.mark.parametrize("twice", [True, False])
@pytest.mark.parametrize("signed_over", ["clear", "sent"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_paid_order(twice, signed_over, method):
    found = hints(push(PAID, twice=twice, signed_over=signed_over, method=method))
    assert found == [(About.ORDER, "2700130123456789012")]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"reason_code": "1102", "reason": "不要了"}, [(About.ORDER, "27")]),
        ({"notify_type": "apply", "refund_id": "9"}, [(About.REFUND, "27:9")]),
        ({"notify_type": "apply"}, [(About.REFUND, "27:")]),
        ({"notify_type": "agree", "refund_id": "9"}, [(About.REFUND, "27:9"), (About.ORDER, "27")]),
        ({"refund_id": "9", "status": "1", "service_type": "2"}, [(About.REFUND, "27:9")]),
        ({"refund_id": "9", "refund_status": "3"}, [(About.REFUND, "27:9"), (About.ORDER, "27")]),
        ({"refund_id": "9", "refund_status": "4"}, [(About.REFUND, "27:9")]),
        ({"logistics_status": "0", "detail": "[]", "reason_code": ""}, [(About.ORDER, "27")]),
        ({"status": "4"}, [(About.ORDER, "27")]),
        ({"logistics_status": "20", "dispatcher_name": "x"}, []),
    ],
)
def test_one_address_tells_events_by_their_fields(more, expected):
    common = {name: PAID[name] for name in ("app_id", "timestamp")}
    assert hints(push({**common, "order_id": "27", **more})) == expected


def test_events_are_told_apart_in_one_place():
    assert event_of({"order_id": "1"}) == "order"
    assert event_of({}) == ""


@pytest.mark.parametrize("body", [b"", b"a=1", b"timestamp=1"])
def test_a_probe_without_an_order_is_answered(body):
    assert hints(PushRequest("POST", URL, b"", (), body)) == []


def test_a_signed_probe_is_answered():
    assert hints(push({"app_id": "77", "timestamp": PAID["timestamp"]})) == []


@pytest.mark.parametrize(
    "request_",
    [
        PushRequest("POST", URL, b"", (), b"order_id=1"),
        push(PAID, secret="other"),
        push(PAID, url="https://hub.example.com/push/meituan/mt-2").__class__(
            "POST", URL, b"", (), push(PAID, url="https://hub.example.com/push/meituan/mt-2").body
        ),
        push({**PAID, "app_id": "78"}),
        push({**PAID, "app_poi_code": "poi-2"}),
        push({**PAID, "timestamp": "soon"}),
        push({**PAID, "order_id": "27 or 1=1"}),
        push({**PAID, "order_id": ""}),
        push({**PAID, "order_id": "9" * 33}),
        push({"timestamp": PAID["timestamp"], "order_id": "27", "notify_type": "apply", "refund_id": "../x"}),
        PushRequest("POST", URL, b"", (), push(PAID).body + b"&order_id=1"),
        PushRequest("POST", URL, b"", (), b"\xff\xfe" * 50),
        PushRequest("POST", URL, b"", (), b"a=%ff&order_id=1"),
        PushRequest("POST", URL, b"", (), b"&".join(b"a%d=1" % n for n in range(300))),
        PushRequest("POST", URL, b"", (), b"a" * (1024 * 1024 + 1)),
    ],
)
def test_hostile_pushes_are_refused(request_):
    with pytest.raises(PushRefused) as caught:
        receive(request_, ACCESS, NOW)
    assert "secret" not in str(caught.value)
    assert "张" not in str(caught.value)


@pytest.mark.parametrize("away", [timedelta(hours=25), timedelta(minutes=-11)])
def test_a_stale_or_future_push_is_refused(away):
    with pytest.raises(PushRefused, match="too far"):
        hints(push(PAID), NOW + away)


def test_every_changed_byte_of_a_genuine_push_is_refused_or_harmless():
    genuine = push(PAID, twice=False)
    for place in range(len(genuine.body)):
        changed = bytearray(genuine.body)
        changed[place] ^= 1
        request = PushRequest("POST", URL, b"", (), bytes(changed))
        try:
            found = receive(request, ACCESS, NOW).hints
        except PushRefused:
            continue
        assert [each.subject_id for each in found] in ([], ["2700130123456789012"])
