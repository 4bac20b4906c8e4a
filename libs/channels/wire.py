"""One signed call to a platform: limits, the answer as JSON with its integers intact, failures that say whose."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx
import msgspec

from libs.channels.channel import Cure, PlatformRefused

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 8.0
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
TEXT_LIMIT_CHARACTERS = 300
TIMEOUT = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)


async def call(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[Any, bytes]:
    """Return the answer's JSON and its bytes; 429 and 5xx are to be repeated, other statuses from 400 are final.

    Integers beyond 2**53 stay whole; numbers with a point come as Decimal would print them, so no amount is rounded.
    """
    response = await http.request(
        method, url, params=params, data=form, content=content, headers=headers, timeout=TIMEOUT
    )
    if len(response.content) > ANSWER_LIMIT_BYTES:
        raise PlatformRefused(Cure.GIVE_UP, "answer", f"is larger than {ANSWER_LIMIT_BYTES} bytes")
    if response.status_code == 429 or response.status_code >= 500:
        after = response.headers.get("retry-after", "")
        wait_s = float(after) if after.isdigit() else 1.0
        raise PlatformRefused(Cure.RETRY, f"HTTP {response.status_code}", shown(response.text), wait_s)
    if response.status_code >= 400:
        raise PlatformRefused(Cure.GIVE_UP, f"HTTP {response.status_code}", shown(response.text))
    try:
        return decode(response.content), response.content
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # A gateway's error page comes with status 200 more often than one would like: it passes.
        raise PlatformRefused(Cure.RETRY, "answer", f"is not JSON: {shown(response.text)}") from None


def decode(raw: bytes) -> Any:
    """Return JSON with integers of any size as int, and numbers with a point as decimal.Decimal."""
    return _decoder.decode(raw)


def shown(text: str) -> str:
    """Return a platform's words, short enough to be kept and shown."""
    return text[:TEXT_LIMIT_CHARACTERS]


_decoder = msgspec.json.Decoder(float_hook=Decimal)
