"""Readiness checks over a plain socket, for Kafka and for Postgres: real answers, and no client library loaded."""

import contextlib
import socket
import struct

METADATA_API_KEY, METADATA_VERSION = 3, 4
POSTGRES_PROTOCOL, AUTHENTICATION_REQUEST = 3 << 16, b"R"
CLIENT_ID = b"ordo-probe"
ANSWER_LIMIT_BYTES = 1024 * 1024


def broker_is_ready(host: str, port: int, answer_limit_s: float = 1.0) -> bool:
    """True when the broker answers, knows a controller and lists at least one live broker."""
    with contextlib.suppress(OSError, struct.error):
        brokers, controller_id = _metadata(host, port, answer_limit_s)
        return brokers > 0 and controller_id >= 0
    return False


def postgres_accepts(host: str, port: int, user: str, database: str, answer_limit_s: float = 1.0) -> bool:
    """True when Postgres lets clients in (it asks who we are); false while it starts, recovers or stops."""
    pairs = b"".join(text.encode() + b"\0" for text in ("user", user, "database", database)) + b"\0"
    with contextlib.suppress(OSError), socket.create_connection((host, port), answer_limit_s) as connection:
        connection.settimeout(answer_limit_s)
        connection.sendall(struct.pack(">ii", 8 + len(pairs), POSTGRES_PROTOCOL) + pairs)
        return _read(connection, 1) == AUTHENTICATION_REQUEST
    return False


def _metadata(host: str, port: int, answer_limit_s: float) -> tuple[int, int]:
    # An empty topic list asks for no topic at all, so the answer stays small however many there are.
    header = struct.pack(">hhih", METADATA_API_KEY, METADATA_VERSION, 1, len(CLIENT_ID)) + CLIENT_ID
    body = struct.pack(">i?", 0, False)
    with socket.create_connection((host, port), answer_limit_s) as connection:
        connection.settimeout(answer_limit_s)
        connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        (length,) = struct.unpack(">i", _read(connection, 4))
        if not 0 < length <= ANSWER_LIMIT_BYTES:
            raise struct.error(f"an answer of {length} bytes is not Kafka's")
        return _parse(_read(connection, length))


def _read(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionResetError("the broker closed the connection")
        data += part
    return data


def _parse(answer: bytes) -> tuple[int, int]:
    """Metadata response, version 4: correlation, throttle, brokers, cluster id, controller id, topics."""
    brokers = struct.unpack_from(">i", answer, 8)[0]
    at = 12
    for _ in range(brokers):
        at = _after_text(answer, at + 4) + 4
        at = _after_text(answer, at)
    at = _after_text(answer, at)
    return brokers, struct.unpack_from(">i", answer, at)[0]


def _after_text(answer: bytes, at: int) -> int:
    (length,) = struct.unpack_from(">h", answer, at)
    return int(at + 2 + max(0, length))
