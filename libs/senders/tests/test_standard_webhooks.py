"""An outbound webhook is signed so that the spec's own client accepts it, and each answer has one meaning."""

import base64
import json
import time

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from libs.decide import Send
from libs.senders.standard_webhooks import StandardWebhookSender, message_id
from libs.stream.egress import Refused, Retry

SECRET = "whsec_" + base64.b64encode(b"a key for this test only").decode()
SEND = Send(
    destination="wms",
    send_id="task.created:own.demo.53/1",
    key="own.demo.53",
    body={"type": "task.created", "timestamp": "2026-01-01T00:00:00+00:00", "data": {"note": "成都"}},
)


def sender(answer, **more) -> StandardWebhookSender:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return StandardWebhookSender("https://wms.example/hooks", SECRET, client, **more)


async def test_the_spec_s_own_client_accepts_the_signature():
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    out = sender(answer)
    assert await out.send(SEND, 1) == "HTTP 204"
    assert await out.send(SEND, 2) == "HTTP 204"
    for request in seen:
        Webhook(SECRET).verify(request.content, dict(request.headers))
        assert json.loads(request.content) == SEND.body
    assert {request.headers["webhook-id"] for request in seen} == {message_id(SEND.send_id)}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(seen[0].content + b" ", dict(seen[0].headers))


async def test_each_attempt_is_signed_with_its_own_time():
    moments = iter([time.time(), time.time() + 60])
    stamps: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        stamps.append(request.headers["webhook-timestamp"])
        return httpx.Response(200)

    out = sender(answer, clock=lambda: next(moments))
    await out.send(SEND, 1)
    await out.send(SEND, 2)
    assert int(stamps[1]) - int(stamps[0]) in (59, 60, 61)


@pytest.mark.parametrize("status", [406, 410, 413, 415, 422])
async def test_a_refusal_is_final(status):
    with pytest.raises(Refused, match=str(status)):
        await sender(lambda request: httpx.Response(status)).send(SEND, 1)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 407])
@pytest.mark.parametrize(("header", "seconds"), [("7", 600), ("3000", 3000)])
async def test_what_an_operator_can_cure_is_tried_for_long(status, header, seconds):
    with pytest.raises(Retry, match=str(status)) as asked:
        await sender(lambda request: httpx.Response(status, headers={"retry-after": header})).send(SEND, 1)
    assert asked.value.after_seconds == seconds


@pytest.mark.parametrize("status", [302, 408, 409, 425, 429, 500, 502, 503])
async def test_what_may_pass_is_tried_again(status):
    with pytest.raises(Retry) as asked:
        await sender(lambda request: httpx.Response(status, headers={"location": "https://other.example"})).send(
            SEND, 1
        )
    assert asked.value.after_seconds == 0


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("99999999", 3600), ("soon", 0), ("²", 0)])
async def test_the_receiver_may_ask_for_time(header, seconds):
    headers = [(b"retry-after", header.encode())]
    with pytest.raises(Retry) as asked:
        await sender(lambda request: httpx.Response(429, headers=headers)).send(SEND, 1)
    assert asked.value.after_seconds == seconds


async def test_a_receiver_out_of_reach_is_left_to_the_retries():
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("nobody there")

    with pytest.raises(httpx.ConnectTimeout):
        await sender(answer).send(SEND, 1)


def test_the_id_has_no_dot_and_differs_by_send():
    assert "." not in message_id(SEND.send_id)
    assert message_id("task.created:a/1") != message_id("task.created:a/2")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_***", "whsec_YQ=="])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret):
    with pytest.raises(ValueError) as refused:
        StandardWebhookSender("https://wms.example", secret, httpx.AsyncClient())
    assert secret in ("", "whsec_") or secret not in str(refused.value)


@pytest.mark.parametrize("url", ["ftp://wms.example/", "wms.example", "https://"])
def test_an_address_that_cannot_be_called_is_refused(url):
    with pytest.raises(ValueError, match="address"):
        StandardWebhookSender(url, SECRET, httpx.AsyncClient())
