"""JD's legacy signature, written from the text of the official document; format and sign_method are not signed."""

import hashlib
from collections.abc import Mapping

UNSIGNED = ("sign", "format", "sign_method")


def expected(params: Mapping[str, str], secret: str) -> str:
    """Return the signature that these parameters must carry."""
    parts = [secret]
    parts += [name + params[name] for name in sorted(params) if name not in UNSIGNED and params[name]]
    return hashlib.md5("".join([*parts, secret]).encode()).hexdigest().upper()
