"""One signed call to a platform: limits, the answer as JSON with its integers intact, failures that say whose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import msgspec

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.pacing import PacedClient

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 8.0
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
TEXT_LIMIT_CHARACTERS = 300
TIMEOUT = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Carried:
    """What a call carries: query, form or body, headers."""

    params: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None


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
    """Return the answer to a call that no clock is part of; see `signed_call`."""
    return await signed_call(http, method, url, lambda: Carried(params, form, content, headers))


async def signed_call(
    http: httpx.AsyncClient, method: str, url: str, signed: Callable[[], Carried]
) -> tuple[Any, bytes]:
    """Return the answer's JSON and its bytes; 429 and 5xx are to be repeated, other statuses from 400 are final.

    What is sent is made, and signed, when its turn has come: a platform refuses a timestamp that waited too long.
    Integers beyond 2**53 stay whole; numbers with a point come as Decimal would print them, so no amount is rounded.
    """
    extensions = await http.turn() if isinstance(http, PacedClient) else None
    carried = signed()
    response = await http.request(
        method,
        url,
        params=carried.params,
        data=carried.form,
        content=carried.content,
        headers=carried.headers,
        timeout=TIMEOUT,
        extensions=extensions,
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
