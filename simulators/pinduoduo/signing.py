"""Pinduoduo's signatures, written from the text of its documents: the gateway's, and the message socket's address."""

import base64
import hashlib
from collections.abc import Mapping


def expected(params: Mapping[str, str], secret: str) -> str:
    """Return the signature that these parameters must carry."""
    text = secret
    for name in sorted(params):
        if name != "sign" and params[name] != "":
            text += name + params[name]
    return hashlib.md5((text + secret).encode()).hexdigest().upper()


def socket_digest(client_id: str, ts_ms: str, secret: str) -> str:
    """Return the last part of the socket's path, before it is escaped: base64 over the text of the hex digest."""
    text = hashlib.md5(f"{client_id}{ts_ms}{secret}".encode()).hexdigest()
    return base64.b64encode(text.encode()).decode()
