"""Outbound webhooks: signed by the Standard Webhooks spec, with one id for all attempts, so receivers can dedupe."""

import hashlib
import time
from collections.abc import Callable

import httpx
import msgspec

from libs.channels.own.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, key_of_secret, sign
from libs.decide import Send
from libs.stream.egress import Refused, Retry

# Statuses of the 4xx range that pass by themselves: time-out, conflict with another delivery, too early, too many.
PASSING = frozenset({408, 409, 425, 429})
RETRY_AFTER_LIMIT_S = 3600.0
# Statuses that say nothing against the message: somebody has to set a secret, a right, an address or a proxy right.
# 400 is among them, because many receivers answer it to a signature that they do not accept.
CURABLE = frozenset({400, 401, 402, 403, 404, 405, 407})
CURE_AFTER_S = 600.0


def message_id(send_id: str) -> str:
    """Return the id that receivers see: always the same for a send, and free of the dots the signature separates by."""
    return "msg_" + hashlib.sha256(send_id.encode()).hexdigest()[:32]


class StandardWebhookSender:
    """Posts a send's body as JSON to one receiver. 2xx is a success; a final refusal is a 4xx about the message itself.

    What an operator can cure is tried again every ten minutes, for days.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        client: httpx.AsyncClient,
        *,
        timeout_seconds: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = httpx.URL(url)
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ValueError("a webhook's address is http:// or https:// and a host")
        self._key = key_of_secret(secret)
        self._client = client
        self._timeout = httpx.Timeout(timeout_seconds)
        self._clock = clock

    async def send(self, request: Send, attempt: int) -> str:
        """Make one attempt; the time in the signature is this attempt's, the id is the send's."""
        body = msgspec.json.encode(request.body)
        sent_as, timestamp = message_id(request.send_id), int(self._clock())
        headers = {
            "content-type": "application/json",
            ID_HEADER: sent_as,
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign(self._key, sent_as, timestamp, body),
        }
        # Streamed, because what the receiver writes back is of no interest and may be of any length.
        async with self._client.stream(
            "POST", self._url, content=body, headers=headers, timeout=self._timeout, follow_redirects=False
        ) as response:
            return _judge(response)


def _judge(response: httpx.Response) -> str:
    status = response.status_code
    if 200 <= status < 300:
        return f"HTTP {status}"
    reason = f"the receiver answered HTTP {status}"
    if status in CURABLE:
        raise Retry(reason, after_seconds=max(CURE_AFTER_S, _retry_after_s(response)))
    if 400 <= status < 500 and status not in PASSING:
        raise Refused(reason)
    raise Retry(reason, after_seconds=_retry_after_s(response))


def _retry_after_s(response: httpx.Response) -> float:
    """Return how long the receiver wants to be left alone; a date or nonsense leaves it to our own back-off."""
    text = response.headers.get("retry-after", "")
    return min(float(text), RETRY_AFTER_LIMIT_S) if text.isascii() and text.isdigit() else 0.0
