"""Signs a TOP call: md5 with the secret around the text, or HMAC with the secret as key; pure."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

SignMethod = Literal["md5", "hmac", "hmac-sha256"]


def canonical(parameters: Mapping[str, str]) -> bytes:
    """Return the text that is signed: names and values in byte order of the names, without `sign` and empty values."""
    kept = {name.encode(): value.encode() for name, value in parameters.items() if name != "sign" and value}
    return b"".join(name + kept[name] for name in sorted(kept))


def sign(parameters: Mapping[str, str], secret: str, method: SignMethod) -> str:
    """Return the signature, upper case hex."""
    text, key = canonical(parameters), secret.encode()
    if method == "md5":
        return hashlib.md5(key + text + key).hexdigest().upper()
    return hmac.digest(key, text, hashlib.md5 if method == "hmac" else hashlib.sha256).hex().upper()
