"""Aliyun SMS: one signed HTTP call a message; the phone number is opened at the last moment and never kept."""

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from libs.decide import Send
from libs.stream.egress import Refused, Retry

ALGORITHM = "ACS3-HMAC-SHA256"
API_VERSION = "2017-05-25"
OUT_ID_LIMIT_BYTES = 256
DETAILS_PAGE_SIZE = 50
SEND_STATUS_FAILED = 2
SHANGHAI = timezone(timedelta(hours=8))
_PHONE = re.compile(r"(?:\+?86|0086)?(1[0-9]{10})")
# Codes that say nothing against the message: somebody has to top up the balance, set a key, a clock, a right, or have a
# signature or template approved.
CURABLE = (
    "isv.OUT_OF_SERVICE",
    "isv.AMOUNT_NOT_ENOUGH",
    "isv.ACCOUNT_NOT_EXISTS",
    "isv.ACCOUNT_ABNORMAL",
    "isv.PRODUCT_UN_SUBSCRIPT",
    "isv.PRODUCT_UNSUBSCRIBE",
    "isv.DENY_IP_RANGE",
    "isv.SMS_SIGNATURE_ILLEGAL",
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL",
    "isv.SMS_SIGN_ILLEGAL",
    "isv.SIGN_STATE_ILLEGAL",
    "isv.SMS_TEMPLATE_ILLEGAL",
    "isp.RAM_PERMISSION_DENY",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "NoPermission",
)
# What stands before the dot of such codes: `InvalidAccessKeyId.NotFound`, `InvalidTimeStamp.Expired`, `Forbidden.RAM`.
CURABLE_FAMILIES = ("InvalidAccessKeyId", "InvalidTimeStamp", "InvalidSecurityToken", "Forbidden")
CURE_AFTER_S = 600.0
# When to ask again after a code that passes by itself, or once an operator acts.
RETRY_AFTER_S: Mapping[str, float] = {
    **dict.fromkeys(CURABLE, CURE_AFTER_S),
    "isv.BUSINESS_LIMIT_CONTROL": 300.0,
    "isv.DAY_LIMIT_CONTROL": 3600.0,
    "isv.MONTH_LIMIT_CONTROL": 3600.0,
    "isp.SYSTEM_ERROR": 5.0,
    "isp.GATEWAY_ERROR": 5.0,
    "SignatureNonceUsed": 1.0,
    "ServiceUnavailable": 5.0,
    "InternalError": 5.0,
}
OpenRecipient = Callable[[str], Awaitable[Mapping[str, Any]]]
"""Opens a sealed recipient and gives its fields (`phone` among them)."""


class _Detail(msgspec.Struct, rename="pascal"):
    out_id: str = ""
    send_status: int = 0


class _Details(msgspec.Struct):
    items: list[_Detail] = msgspec.field(default_factory=list, name="SmsSendDetailDTO")


class _Answer(msgspec.Struct, rename="pascal"):
    code: str = ""
    biz_id: str = ""
    details: _Details | None = msgspec.field(default=None, name="SmsSendDetailDTOs")


def authorization(
    *, access_key_id: str, access_key_secret: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    """Return the Authorization header of a POST to `/` by Alibaba Cloud's signature version 3.

    `headers` are all that is signed: host, x-acs-content-sha256 and the other x-acs ones, with lower-case names.
    """
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [
            "POST",
            "/",
            canonical_query(query),
            *[f"{name}:{headers[name].strip()}" for name in sorted(headers)],
            "",
            names,
            headers["x-acs-content-sha256"],
        ]
    )
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    digest = hmac.new(access_key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={access_key_id},SignedHeaders={names},Signature={digest}"


def canonical_query(query: Mapping[str, str]) -> str:
    """Return the query sorted by name and percent-encoded by RFC 3986: the very text that is signed and sent."""
    return "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))


def mainland_number(phone: str) -> str | None:
    """Return the eleven digits of a mainland mobile number, None for anything else (extensions, landlines)."""
    found = _PHONE.fullmatch(re.sub(r"[\s-]", "", phone))
    return found.group(1) if found else None


def out_id_of(send_id: str) -> str:
    """Return the id under which the provider lists the message: ours, or its digest where ours is too long."""
    return send_id if len(send_id.encode()) <= OUT_ID_LIMIT_BYTES else hashlib.sha256(send_id.encode()).hexdigest()


class AliyunSmsSender:
    """Sends `{"sealed", "provider_code", "variables"}` bodies with `SendSms`.

    `SendSms` is not idempotent, so every attempt after the first asks `QuerySendDetails` whether an earlier one
    arrived after all.
    """

    def __init__(
        self,
        *,
        access_key_id: str,
        access_key_secret: str,
        sign_name: str,
        client: httpx.AsyncClient,
        open_recipient: OpenRecipient,
        clock: Callable[[], datetime],
        endpoint: str = "https://dysmsapi.aliyuncs.com",
    ) -> None:
        # The query holds the phone number, and httpx logs the address of every request it makes.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self._id = access_key_id
        self._secret = access_key_secret
        self._sign_name = sign_name
        self._client = client
        self._open = open_recipient
        self._clock = clock
        self._endpoint = httpx.URL(endpoint)

    async def send(self, request: Send, attempt: int) -> str:
        """Send one message and return the provider's receipt id."""
        code = str(request.body.get("provider_code", ""))
        if not code:
            raise Refused("the template has no code at the SMS provider")
        recipient = await self._open(str(request.body["sealed"]))
        phone = mainland_number(str(recipient.get("phone", "")))
        if phone is None:
            raise Refused("the recipient has no mainland mobile number")
        out_id = out_id_of(request.send_id)
        if attempt > 1 and await self._arrived(phone, out_id):
            return "an earlier attempt had arrived"
        answer = await self._call(
            "SendSms",
            {
                "PhoneNumbers": phone,
                "SignName": self._sign_name,
                "TemplateCode": code,
                "TemplateParam": msgspec.json.encode(request.body.get("variables", {})).decode(),
                "OutId": out_id,
            },
        )
        return answer.biz_id or "OK"

    async def _arrived(self, phone: str, out_id: str) -> bool:
        """Tell whether the provider lists this message for today or yesterday, unless it lists it as failed."""
        today = self._clock().astimezone(SHANGHAI)
        for day in (today, today - timedelta(days=1)):
            answer = await self._call(
                "QuerySendDetails",
                {
                    "PhoneNumber": phone,
                    "SendDate": day.strftime("%Y%m%d"),
                    "PageSize": str(DETAILS_PAGE_SIZE),
                    "CurrentPage": "1",
                },
            )
            items = answer.details.items if answer.details else []
            if any(item.out_id == out_id and item.send_status != SEND_STATUS_FAILED for item in items):
                return True
        return False

    async def _call(self, action: str, query: Mapping[str, str]) -> _Answer:
        headers = {
            "host": self._endpoint.netloc.decode("ascii"),
            "x-acs-action": action,
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            "x-acs-date": self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-version": API_VERSION,
        }
        signed = authorization(access_key_id=self._id, access_key_secret=self._secret, query=query, headers=headers)
        url = self._endpoint.copy_with(path="/", query=canonical_query(query).encode("ascii"))
        response = await self._client.post(
            url, headers={**headers, "authorization": signed, "accept": "application/json"}
        )
        return _judge(response)


def _judge(response: httpx.Response) -> _Answer:
    """Return the answer of a call that went well; the provider's sentence is dropped, it may repeat the number."""
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Retry(after_seconds=5.0, reason=f"the SMS provider answered HTTP {response.status_code}") from None
    if answer.code == "OK":
        return answer
    reason = f"the SMS provider answered {answer.code[:80] or response.status_code}"
    wait_s = RETRY_AFTER_S.get(answer.code)
    if wait_s is None and answer.code.partition(".")[0] in CURABLE_FAMILIES:
        wait_s = CURE_AFTER_S
    if wait_s is None and (response.status_code >= 500 or answer.code.startswith("Throttling")):
        wait_s = 5.0
    if wait_s is not None:
        raise Retry(after_seconds=wait_s, reason=reason)
    raise Refused(reason)
