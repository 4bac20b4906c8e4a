"""Taobao's signature, written from the text of the official document: pairs in byte order, three methods."""

import hashlib
import hmac
from collections.abc import Mapping


def expected(params: Mapping[str, str], secret: str) -> str | None:
    """Return the signature that these parameters must carry; None: their sign_method is unknown."""
    pairs = sorted((name.encode(), value.encode()) for name, value in params.items() if name != "sign" and value)
    text = b"".join(name + value for name, value in pairs)
    key = secret.encode()
    method = params.get("sign_method")
    if method == "md5":
        return hashlib.md5(key + text + key).hexdigest().upper()
    if method == "hmac":
        return hmac.new(key, text, hashlib.md5).hexdigest().upper()
    if method == "hmac-sha256":
        return hmac.new(key, text, hashlib.sha256).hexdigest().upper()
    return None
