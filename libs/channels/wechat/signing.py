"""WeChat's push security: sha1 over the sorted parts, and the AES envelope of the secure mode. Calls are not signed."""

import base64
import binascii
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK_BYTES = 32  # PKCS#7 over 32 bytes, though AES has blocks of 16
RANDOM_BYTES = 16
LENGTH_BYTES = 4
KEY_BYTES = 32


class EnvelopeRefused(ValueError):
    """The envelope cannot be opened; the text holds nothing of it."""


def sign(*parts: str) -> str:
    """Return the signature over token, timestamp and nonce, and over the envelope too in secure mode."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def fits(offered: str, *parts: str) -> bool:
    """Tell whether the signature belongs to the parts."""
    return hmac.compare_digest(sign(*parts).encode(), offered.encode())


def seal(aes_key: str, message: bytes, app_id: str, random: bytes) -> str:
    """Return the envelope of a message; `random` is 16 bytes that nobody can foresee."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"an envelope begins with {RANDOM_BYTES} random bytes")
    plain = random + len(message).to_bytes(LENGTH_BYTES, "big") + message + app_id.encode()
    pad = BLOCK_BYTES - len(plain) % BLOCK_BYTES
    encryptor = _cipher(aes_key).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()).decode("ascii")


def unseal(aes_key: str, envelope: str, app_id: str) -> bytes:
    """Return the message of an envelope that was made for this AppID; EnvelopeRefused otherwise."""
    try:
        sealed = base64.b64decode(envelope, validate=True)
    except (binascii.Error, ValueError):
        raise EnvelopeRefused("the envelope is not base64") from None
    if not sealed or len(sealed) % 16:
        raise EnvelopeRefused("the envelope is not made of whole blocks")
    decryptor = _cipher(aes_key).decryptor()
    plain = decryptor.update(sealed) + decryptor.finalize()
    pad = plain[-1]
    start = RANDOM_BYTES + LENGTH_BYTES
    if not 1 <= pad <= BLOCK_BYTES or plain[-pad:] != bytes([pad]) * pad or len(plain) - pad < start:
        raise EnvelopeRefused("the envelope's padding is wrong")
    plain = plain[:-pad]
    length = int.from_bytes(plain[RANDOM_BYTES:start], "big")
    if length > len(plain) - start:
        raise EnvelopeRefused("the envelope is shorter than it says")
    if not hmac.compare_digest(plain[start + length :], app_id.encode()):
        raise EnvelopeRefused("the envelope is for another AppID")
    return plain[start : start + length]


def _cipher(aes_key: str) -> Cipher[modes.CBC]:
    try:
        key = base64.b64decode(aes_key + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise EnvelopeRefused("an EncodingAESKey has 43 characters of base64")
    return Cipher(algorithms.AES(key), modes.CBC(key[:16]))
