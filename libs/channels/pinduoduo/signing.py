"""Pinduoduo's call signature and the path that opens its message socket, pure."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


def parameters(params: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as they are sent: nested values as JSON, truth as true and false, nothing empty."""
    return {name: text for name, value in params.items() if value is not None and (text := _text(value)) != ""}


def sign_call(secret: str, params: Mapping[str, str]) -> str:
    """Return the signature of a call's parameters: upper-case md5 over the sorted names and values."""
    text = secret + "".join(name + params[name] for name in sorted(params) if name != "sign") + secret
    return hashlib.md5(text.encode()).hexdigest().upper()


def message_path(client_id: str, secret: str, timestamp_ms: int) -> str:
    """Return the path of the message socket. The digest is base64 over the 32 hex digits, not over the bytes."""
    digest = hashlib.md5(f"{client_id}{timestamp_ms}{secret}".encode()).hexdigest()
    return f"/message/{client_id}/{timestamp_ms}/{quote(base64.b64encode(digest.encode()).decode(), safe='')}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)
