"""Meituan's signature: md5 over the full address, the sorted parameters in clear, and the application's secret."""

import hashlib
import hmac
from collections.abc import Mapping

SIGNATURE_FIELD = "sig"


def text_to_sign(url: str, params: Mapping[str, str]) -> str:
    """Return what is signed, without the secret; the signature itself is left out."""
    pairs = sorted((name, value) for name, value in params.items() if name != SIGNATURE_FIELD)
    return url + "?" + "&".join(f"{name}={value}" for name, value in pairs)


def sign(url: str, params: Mapping[str, str], secret: str) -> str:
    """Return the lower-case signature of a call, or of a push to our own address."""
    return hashlib.md5((text_to_sign(url, params) + secret).encode()).hexdigest()


def fits(url: str, params: Mapping[str, str], secret: str) -> bool:
    """Tell whether the parameters carry the signature that belongs to them."""
    offered = params.get(SIGNATURE_FIELD, "")
    return hmac.compare_digest(sign(url, params, secret).encode(), offered.encode())
