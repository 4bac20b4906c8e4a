"""Douyin's three signatures, pure: calls (v2), pushes over the raw body, and SPI calls."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

HMAC_SHA256 = "hmac-sha256"
VERSION = "2"

# The platform's own writer escapes these two even where it escapes nothing else.
_LINE_SEPARATORS = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029"})
_MARKUP = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def canonical(params: Any) -> str:
    """Return JSON with keys sorted at every level, compact, nothing escaped needlessly, and 1.0 written as 1."""
    text = json.dumps(
        _whole_numbers(params), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.translate(_LINE_SEPARATORS)


def canonical_for_markup(params: Any) -> str:
    """Return the canonical JSON with markup characters escaped, as an older writer of the platform does."""
    return canonical(params).translate(_MARKUP)


def method_of(path: str) -> str:
    """Return the method's name for its path: /order/searchList is order.searchList."""
    return path.strip("/").replace("/", ".")


def sign_call(secret: str, app_key: str, method: str, param_json: str, timestamp: str) -> str:
    """Return the v2 signature of a call (hmac-sha256). The access token takes no part in it."""
    fields = {"app_key": app_key, "method": method, "param_json": param_json, "timestamp": timestamp, "v": VERSION}
    return _hmac(secret, _wrapped(secret, fields))


def sign_push(app_key: str, body: bytes, secret: str) -> str:
    """Return a push's `event-sign`, over its raw body."""
    return hashlib.md5(app_key.encode() + body + secret.encode()).hexdigest()


def sign_spi(secret: str, app_key: str, param_json: str, timestamp: str, sign_method: str) -> str:
    """Return the signature of a call that the platform makes to us; md5 unless it names hmac-sha256."""
    text = _wrapped(secret, {"app_key": app_key, "param_json": param_json, "timestamp": timestamp})
    return _hmac(secret, text) if sign_method == HMAC_SHA256 else hashlib.md5(text.encode()).hexdigest()


def _wrapped(secret: str, fields: Mapping[str, str]) -> str:
    return secret + "".join(name + fields[name] for name in sorted(fields)) + secret


def _hmac(secret: str, text: str) -> str:
    return hmac.digest(secret.encode(), text.encode(), hashlib.sha256).hex()


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _whole_numbers(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(each) for each in value]
    return value
