"""Signs a JOS call by the legacy rule, the only one with a vector that reproduces; pure."""

import hashlib
from collections.abc import Mapping

UNSIGNED = frozenset({"sign", "format", "sign_method"})


def canonical(parameters: Mapping[str, str]) -> bytes:
    """Return the text that is signed: names and values in byte order of the names, without what is not signed."""
    kept = {name.encode(): value.encode() for name, value in parameters.items() if name not in UNSIGNED}
    return b"".join(name + kept[name] for name in sorted(kept))


def sign(parameters: Mapping[str, str], secret: str) -> str:
    """Return the signature, upper case hex."""
    key = secret.encode()
    return hashlib.md5(key + canonical(parameters) + key).hexdigest().upper()
