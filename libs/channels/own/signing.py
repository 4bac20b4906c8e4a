"""Proves that a webhook comes from a shop: the Standard Webhooks signature over id, timestamp and raw body."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins is no secret
VERSION_PREFIX = "v1,"
TOLERANCE_SECONDS = 300
SIGNATURES_LIMIT = 16
ID_LIMIT_CHARACTERS = 128
KEY_LEAST_BYTES = 16
KEY_LIMIT_BYTES = 256

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_WEBHOOK_ID = re.compile(r"[!-~]{1,128}")


class SignatureRefused(ValueError):
    """The message is not proven to come from the shop; the text says what is wrong and holds no secret."""


@dataclass(frozen=True, slots=True)
class SignatureHeaders:
    """The three headers of a signed webhook, each present exactly once."""

    webhook_id: str
    timestamp: str
    signatures: str


def key_of_secret(secret: str) -> bytes:
    """Return the key inside a `whsec_` + base64 secret; ValueError (without the secret) when it is not one."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook secret is whsec_ followed by base64") from None
    if not KEY_LEAST_BYTES <= len(key) <= KEY_LIMIT_BYTES:
        raise ValueError(f"a webhook secret holds {KEY_LEAST_BYTES} to {KEY_LIMIT_BYTES} bytes")
    return key


def secret_of_key(key: bytes) -> str:
    """Return the text form of a key, as the shop's webhook client wants it."""
    return SECRET_PREFIX + base64.b64encode(key).decode("ascii")


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> SignatureHeaders:
    """Find the signature's headers; one that is missing, doubled or not plain ASCII is refused."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1").lower()
        if name not in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER):
            continue
        if name in found:
            raise SignatureRefused(f"the header {name} is there twice")
        if not raw_value.isascii():
            raise SignatureRefused(f"the header {name} is not plain ASCII")
        found[name] = raw_value.decode("ascii")
    for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER):
        if not found.get(name):
            raise SignatureRefused(f"the header {name} is missing")
    if not _WEBHOOK_ID.fullmatch(found[ID_HEADER]):
        raise SignatureRefused(f"{ID_HEADER} must be 1 to {ID_LIMIT_CHARACTERS} visible ASCII characters")
    return SignatureHeaders(found[ID_HEADER], found[TIMESTAMP_HEADER], found[SIGNATURE_HEADER])


def sign(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the `v1,…` signature of a message."""
    return VERSION_PREFIX + base64.b64encode(_digest(key, webhook_id, str(timestamp), body)).decode("ascii")


def verify(keys: Sequence[bytes], headers: SignatureHeaders, body: bytes, now_seconds: float) -> None:
    """Accept the message or raise SignatureRefused. More than one key is tried, so that a secret can be rotated."""
    if not _TIMESTAMP.fullmatch(headers.timestamp):
        raise SignatureRefused(f"{TIMESTAMP_HEADER} must be whole seconds since 1970")
    if abs(now_seconds - int(headers.timestamp)) > TOLERANCE_SECONDS:
        raise SignatureRefused(f"{TIMESTAMP_HEADER} is more than {TOLERANCE_SECONDS} seconds away from now")
    offered = headers.signatures.split(" ")
    if len(offered) > SIGNATURES_LIMIT:
        raise SignatureRefused(f"{SIGNATURE_HEADER} holds more than {SIGNATURES_LIMIT} signatures")
    candidates = [each[len(VERSION_PREFIX) :].encode("ascii") for each in offered if each.startswith(VERSION_PREFIX)]
    genuine = False
    for key in keys:
        expected = base64.b64encode(_digest(key, headers.webhook_id, headers.timestamp, body))
        for candidate in candidates:
            genuine |= hmac.compare_digest(expected, candidate)
    if not genuine:
        raise SignatureRefused(f"no signature in {SIGNATURE_HEADER} fits the message")


def _digest(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(key, b"%b.%b.%b" % (webhook_id.encode("ascii"), timestamp.encode("ascii"), body), hashlib.sha256)
