"""Douyin's signatures as its gateway computes them, over the text that was received."""

import hashlib
import hmac
import json
from typing import Any

HMAC_SHA256 = "hmac-sha256"


def call_signature(
    secret: str, app_key: str, method: str, param_json: str, timestamp: str, version: str, by: str
) -> str:
    """Sign one openapi call; the access token takes no part in it."""
    signed = {"app_key": app_key, "method": method, "param_json": param_json, "timestamp": timestamp, "v": version}
    wrapped = secret + "".join(name + signed[name] for name in sorted(signed)) + secret
    if by == HMAC_SHA256:
        return hmac.digest(secret.encode(), wrapped.encode(), "sha256").hex()
    return hashlib.md5(wrapped.encode()).hexdigest()


def event_signature(app_key: str, body: bytes, secret: str) -> str:
    """Sign the raw body of a push, for its header `event-sign`."""
    digest = hashlib.md5(app_key.encode())
    digest.update(body)
    digest.update(secret.encode())
    return digest.hexdigest()


def is_canonical(param_json: str) -> bool:
    """Tell whether the text is compact and its keys are sorted at every level, as the documents ask."""
    try:
        value: Any = json.loads(param_json)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and written(value) == param_json


def written(value: Any) -> str:
    """Write parameters the canonical way: sorted, compact, without escapes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
