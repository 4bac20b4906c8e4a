"""One call to WeChat's API, and what helps against each of its error codes."""

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from libs.channels.channel import Access, Cure, PlatformRefused
from libs.channels.wire import call, shown

GATEWAY = "https://api.weixin.qq.com"
UNCHANGED_CODE = "10060023"

CURES: Mapping[str, tuple[Cure, float]] = {
    "-1": (Cure.RETRY, 1.0),
    "40001": (Cure.REFRESH, 0.0),
    "40014": (Cure.REFRESH, 0.0),
    "41001": (Cure.REFRESH, 0.0),
    "42001": (Cure.REFRESH, 0.0),
    "40013": (Cure.ASK, 0.0),
    "40125": (Cure.ASK, 0.0),
    "40164": (Cure.ASK, 0.0),
    "48001": (Cure.ASK, 0.0),
    "61004": (Cure.ASK, 0.0),
    "44990": (Cure.RETRY, 10.0),
    "45009": (Cure.RETRY, 60.0),
    "45011": (Cure.RETRY, 60.0),
    "100003": (Cure.RETRY, 1.0),
    "10020054": (Cure.RETRY, 5.0),
    "10020112": (Cure.RETRY, 10.0),
    "10020217": (Cure.ASK, 0.0),
    "10021044": (Cure.RETRY, 5.0),
    "10060001": (Cure.RETRY, 60.0),  # the payment is not indexed yet: that takes up to a minute
    "10060003": (Cure.ASK, 0.0),  # the one re-ship is spent
    "10060012": (Cure.RETRY, 5.0),
    "10060019": (Cure.RETRY, 5.0),
    "606034": (Cure.ASK, 0.0),
    "606041": (Cure.ASK, 0.0),  # the shop's corrections are spent
}
"""What helps against an error code, and after how many seconds; a code that is not here helps nobody."""


async def ask(
    http: httpx.AsyncClient, access: Access, path: str, body: Mapping[str, Any], *, signed_in: bool = True
) -> tuple[dict[str, Any], bytes]:
    """Post a JSON body and return the answer with its bytes; PlatformRefused when WeChat says no."""
    answer, raw = await call(
        http,
        "POST",
        (access.gateway or GATEWAY).rstrip("/") + path,
        params={"access_token": access.access_token} if signed_in else None,
        content=msgspec.json.encode(body),
        headers={"content-type": "application/json"},
    )
    if not isinstance(answer, dict):
        raise PlatformRefused(Cure.RETRY, "answer", "is not an object")
    code = str(answer.get("errcode") or 0)
    if code != "0":
        cure, after_s = CURES.get(code, (Cure.GIVE_UP, 0.0))
        raise PlatformRefused(cure, code, shown(str(answer.get("errmsg", ""))), after_s)
    return answer, raw
