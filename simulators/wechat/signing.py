"""WeChat's push security: the sorted sha1 over the token, and the AES envelope of the secure mode."""

import base64
import hashlib
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PADDING_BLOCK_BYTES = 32
RANDOM_BYTES = 16
AES_KEY_CHARACTERS = 43


def signature(*parts: str) -> str:
    """Return the sha1 over the sorted parts: token, timestamp, nonce, and in secure mode the envelope."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def sealed(encoding_aes_key: str, random: bytes, message: bytes, app_id: str) -> str:
    """Wrap a message for its receiver: 16 random bytes, length, message, AppID, padded to blocks of 32."""
    if len(random) != RANDOM_BYTES:
        raise ValueError("the envelope starts with 16 random bytes")
    plain = random + struct.pack(">I", len(message)) + message + app_id.encode()
    padding = PADDING_BLOCK_BYTES - len(plain) % PADDING_BLOCK_BYTES
    encryptor = _cipher(encoding_aes_key).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()).decode()


def opened(encoding_aes_key: str, envelope: str) -> tuple[bytes, str]:
    """Return message and AppID of an envelope; raises ValueError for anything else."""
    decryptor = _cipher(encoding_aes_key).decryptor()
    try:
        plain = decryptor.update(base64.b64decode(envelope, validate=True)) + decryptor.finalize()
    except ValueError:
        raise ValueError("the envelope is not made of whole blocks") from None
    if not plain or not 1 <= plain[-1] <= PADDING_BLOCK_BYTES or plain[-1] > len(plain):
        raise ValueError("the envelope's padding is wrong")
    plain = plain[: -plain[-1]]
    if len(plain) < RANDOM_BYTES + 4:
        raise ValueError("the envelope is too short")
    (length,) = struct.unpack(">I", plain[RANDOM_BYTES : RANDOM_BYTES + 4])
    begin = RANDOM_BYTES + 4
    if begin + length > len(plain):
        raise ValueError("the envelope names more bytes than it holds")
    return plain[begin : begin + length], plain[begin + length :].decode()


def _cipher(encoding_aes_key: str) -> Cipher[modes.CBC]:
    if len(encoding_aes_key) != AES_KEY_CHARACTERS:
        raise ValueError("an EncodingAESKey has 43 characters")
    key = base64.b64decode(encoding_aes_key + "=")
    return Cipher(algorithms.AES(key), modes.CBC(key[:16]))
