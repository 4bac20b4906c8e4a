"""Meituan's signature: full address, sorted parameters as clear text, the application's secret, md5."""

import hashlib
from collections.abc import Mapping


def signature(url: str, params: Mapping[str, str], secret: str) -> str:
    """Sign a call to the platform or a push to a callback; `sig` itself is left out."""
    pairs = sorted((name, value) for name, value in params.items() if name != "sig")
    text = url + "?" + "&".join(f"{name}={value}" for name, value in pairs) + secret
    return hashlib.md5(text.encode()).hexdigest()
