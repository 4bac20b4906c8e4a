"""DingTalk's group robot: one signed webhook call a message, never faster than the robot may speak."""

import base64
import hashlib
import hmac
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msgspec

from libs.decide import Send
from libs.stream.egress import Refused, Retry

MINUTE_S = 60.0
# DingTalk refuses a robot that spoke more than 20 times within a minute, and keeps it mute for ten minutes.
MUTED_S = 600.0
TOO_FAST = 130101
# When to ask again after a code that says nothing against the message. 310000 is said of a signature, a clock, a
# keyword or an address that the robot's settings do not admit; 300001 and 4001xx of a robot that is gone or off.
CURE_AFTER_S = 600.0
RETRY_AFTER_S: Mapping[int, float] = {
    -1: MINUTE_S,
    410100: MUTED_S,
    **dict.fromkeys((300001, 310000, 400101, 400102, 400106), CURE_AFTER_S),
}
REASON_LIMIT_CHARACTERS = 200


class _Answer(msgspec.Struct):
    errcode: int
    errmsg: str = ""


def signature(timestamp_ms: int, secret: str) -> str:
    """Return base64(HMAC-SHA256(secret, "{timestamp}\\n{secret}")), as the robot's settings page prescribes."""
    message = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


class DingTalkSender:
    """Sends `{"title", "text"}` bodies as markdown. Keeps itself under `messages_per_minute_limit`."""

    def __init__(
        self,
        url: str,
        secret: str,
        client: httpx.AsyncClient,
        *,
        messages_per_minute_limit: int = 18,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # The webhook's address holds its access token, and httpx logs the address of every request it makes.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self._url = httpx.URL(url)
        self._secret = secret
        self._client = client
        self._clock = clock
        self._limit = messages_per_minute_limit
        self._spoken: deque[float] = deque(maxlen=messages_per_minute_limit)
        self._muted_until = 0.0

    async def send(self, request: Send, attempt: int) -> str:
        """Post one message; what a robot's settings refuse is tried until somebody mends them, its words are final."""
        now = self._clock()
        self._be_slow_enough(now)
        params = {} if not self._secret else self._signed(now)
        response = await self._client.post(self._url.copy_merge_params(params), json=_message(request.body))
        if response.status_code >= 500 or response.status_code == 429:
            raise Retry(after_seconds=MINUTE_S, reason=f"dingtalk answered HTTP {response.status_code}")
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except msgspec.DecodeError:
            reason = f"dingtalk answered HTTP {response.status_code} without an errcode"
            raise Retry(after_seconds=CURE_AFTER_S, reason=reason) from None
        return self._judge(answer, now)

    def _judge(self, answer: _Answer, now: float) -> str:
        if answer.errcode == 0:
            return "ok"
        reason = f"dingtalk errcode {answer.errcode}: {answer.errmsg}"[:REASON_LIMIT_CHARACTERS]
        if answer.errcode == TOO_FAST:
            self._muted_until = now + MUTED_S
            raise Retry(after_seconds=MUTED_S, reason=reason)
        if answer.errcode in RETRY_AFTER_S:
            raise Retry(after_seconds=RETRY_AFTER_S[answer.errcode], reason=reason)
        raise Refused(reason)

    def _signed(self, now: float) -> dict[str, str]:
        timestamp_ms = int(now * 1000)
        return {"timestamp": str(timestamp_ms), "sign": signature(timestamp_ms, self._secret)}

    def _be_slow_enough(self, now: float) -> None:
        """Refuse to speak while muted, or when the oldest of the last messages is not a minute old."""
        if now < self._muted_until:
            raise Retry(after_seconds=self._muted_until - now, reason="the robot is muted")
        if len(self._spoken) == self._limit and now - self._spoken[0] < MINUTE_S:
            wait_s = MINUTE_S - (now - self._spoken[0])
            raise Retry(after_seconds=wait_s, reason="our own limit of messages a minute")
        self._spoken.append(now)


def _message(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "msgtype": "markdown",
        "markdown": {"title": str(body["title"]), "text": str(body["text"])},
        "at": {"isAtAll": False},
    }
