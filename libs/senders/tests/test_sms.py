"""Aliyun SMS: the published signature, one message a notice even after a lost answer, and no number in any error."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from libs.decide import Send
from libs.senders.sms import AliyunSmsSender, authorization, canonical_query, mainland_number, out_id_of
from libs.stream.egress import Refused, Retry

NOW = datetime(2026, 11, 11, 17, 0, tzinfo=UTC)
PHONE = "13800138000"


def message(**more: Any) -> Send:
    body = {"sealed": "k1:x", "provider_code": "SMS_1", "variables": {"waybill": "SF1"}, **more}
    return Send(destination="sms", send_id="shipped:own.demo.1/1", key="own.demo.1", body=body)


def sender(answer: Callable[[httpx.Request], httpx.Response], phone: str = PHONE) -> AliyunSmsSender:
    async def opened(sealed: str) -> Mapping[str, Any]:
        assert sealed == "k1:x"
        return {"name": "张三", "phone": phone}

    return AliyunSmsSender(
        access_key_id="id",
        access_key_secret="secret",
        sign_name="中枢",
        client=httpx.AsyncClient(transport=httpx.MockTransport(answer)),
        open_recipient=opened,
        clock=lambda: NOW,
    )


def test_the_published_vector_reproduces() -> None:
    """Alibaba Cloud's documentation of signature version 3 works through this very request."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    found = authorization(
        access_key_id="YourAccessKeyId",
        access_key_secret="YourAccessKeySecret",
        query={"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"},
        headers={
            "x-acs-version": "2014-05-26",
            "host": "ecs.cn-shanghai.aliyuncs.com",
            "x-acs-action": "RunInstances",
            "x-acs-content-sha256": empty,
            "x-acs-date": "2023-10-26T10:22:32Z",
            "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        },
    )
    assert found == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_the_query_is_encoded_by_rfc_3986() -> None:
    assert canonical_query({"b": "a b*~/+", "a": "中"}) == "a=%E4%B8%AD&b=a%20b%2A~%2F%2B"


async def test_what_is_sent_is_what_was_signed() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"Code": "OK", "Message": "OK", "BizId": "9006^0", "RequestId": "r"})

    assert await sender(answer).send(message(), 1) == "9006^0"
    [request] = seen
    query = dict(request.url.params)
    assert json.loads(query.pop("TemplateParam")) == {"waybill": "SF1"}
    assert query == {
        "PhoneNumbers": PHONE,
        "SignName": "中枢",
        "TemplateCode": "SMS_1",
        "OutId": "shipped:own.demo.1/1",
    }
    assert request.url.query.decode() == canonical_query(dict(request.url.params))
    names = ("host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version")
    signed = authorization(
        access_key_id="id",
        access_key_secret="secret",
        query=dict(request.url.params),
        headers={name: request.headers[name] for name in names},
    )
    assert request.headers["authorization"] == signed
    assert (request.method, request.url.path, request.headers["host"]) == ("POST", "/", "dysmsapi.aliyuncs.com")
    assert request.headers["x-acs-date"] == "2026-11-11T17:00:00Z"


@pytest.mark.parametrize(
    ("status", "listed_as", "expected"),
    [
        (1, "shipped:own.demo.1/1", ["QuerySendDetails"]),
        (3, "shipped:own.demo.1/1", ["QuerySendDetails"]),
        (2, "shipped:own.demo.1/1", ["QuerySendDetails", "QuerySendDetails", "SendSms"]),
        (3, "shipped:own.demo.1/2", ["QuerySendDetails", "QuerySendDetails", "SendSms"]),
    ],
)
async def test_a_second_attempt_first_asks_whether_the_first_arrived(
    status: int, listed_as: str, expected: list[str]
) -> None:
    actions: list[str] = []
    days: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        action = request.headers["x-acs-action"]
        actions.append(action)
        if action == "SendSms":
            return httpx.Response(200, json={"Code": "OK", "BizId": "b"})
        days.append(request.url.params["SendDate"])
        details = {"SmsSendDetailDTO": [{"OutId": listed_as, "SendStatus": status, "PhoneNum": PHONE}]}
        return httpx.Response(200, json={"Code": "OK", "TotalCount": "1", "SmsSendDetailDTOs": details})

    await sender(answer).send(message(), 2)
    assert actions == expected
    # 17:00 UTC is the next day in Shanghai, where the provider keeps its calendar.
    assert days == ["20261112", "20261111"][: len(days)]


@pytest.mark.parametrize(
    ("status", "body", "wait_s"),
    [
        (200, {"Code": "isv.BUSINESS_LIMIT_CONTROL"}, 300.0),
        (200, {"Code": "isv.MONTH_LIMIT_CONTROL"}, 3600.0),
        (400, {"Code": "Throttling.User"}, 5.0),
        (503, {"Code": "ServiceUnavailable"}, 5.0),
        (502, {"Code": "Unheard"}, 5.0),
    ],
)
async def test_what_passes_is_tried_again(status: int, body: dict[str, str], wait_s: float) -> None:
    with pytest.raises(Retry) as asked:
        await sender(lambda request: httpx.Response(status, json=body)).send(message(), 1)
    assert asked.value.after_seconds == wait_s


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "InvalidAccessKeyId.NotFound"),
        (400, "InvalidAccessKeyId.Inactive"),
        (400, "SignatureDoesNotMatch"),
        (400, "InvalidTimeStamp.Expired"),
        (403, "Forbidden.RAM"),
        (403, "NoPermission"),
        (200, "isp.RAM_PERMISSION_DENY"),
        (200, "isv.ACCOUNT_ABNORMAL"),
        (200, "isv.AMOUNT_NOT_ENOUGH"),
        (200, "isv.OUT_OF_SERVICE"),
        (200, "isv.PRODUCT_UN_SUBSCRIPT"),
        (200, "isv.SMS_SIGNATURE_ILLEGAL"),
        (200, "isv.SMS_TEMPLATE_ILLEGAL"),
    ],
)
@pytest.mark.parametrize("attempt", [1, 2])
async def test_what_an_operator_can_cure_is_tried_every_ten_minutes(status: int, code: str, attempt: int) -> None:
    with pytest.raises(Retry, match=code) as asked:
        await sender(lambda request: httpx.Response(status, json={"Code": code})).send(message(), attempt)
    assert asked.value.after_seconds == 600.0


async def test_a_page_instead_of_an_answer_is_tried_again() -> None:
    with pytest.raises(Retry):
        await sender(lambda request: httpx.Response(502, text="<html>")).send(message(), 1)


@pytest.mark.parametrize(
    "code", ["isv.MOBILE_NUMBER_ILLEGAL", "isv.BLACK_KEY_CONTROL_LIMIT", "isv.TEMPLATE_MISSING_PARAMETERS"]
)
async def test_what_will_not_pass_is_refused_without_the_number(code: str) -> None:
    body = {"Code": code, "Message": f"{PHONE} is not a number"}
    with pytest.raises(Refused) as refused:
        await sender(lambda request: httpx.Response(400, json=body)).send(message(), 1)
    assert code in str(refused.value)
    assert PHONE not in str(refused.value)


async def test_nothing_is_called_without_a_code_or_a_number() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("no call was expected")

    with pytest.raises(Refused, match="no code"):
        await sender(answer).send(message(provider_code=""), 1)
    with pytest.raises(Refused, match="no mainland mobile number"):
        await sender(answer, phone="027-12345678").send(message(), 1)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("13800138000", PHONE),
        ("+86 138-0013-8000", PHONE),
        ("008613800138000", PHONE),
        ("13800138000-1234", None),
        ("2380013800", None),
        ("", None),
    ],
)
def test_numbers_come_in_many_clothes(written: str, number: str | None) -> None:
    assert mainland_number(written) == number


def test_a_long_id_is_listed_by_its_digest() -> None:
    assert out_id_of("a" * 256) == "a" * 256
    assert len(out_id_of("a" * 257)) == 64
    assert out_id_of("a" * 257) != out_id_of("a" * 258)
