"""The local sink: takes what a provider would be sent and writes it down without anybody's name or number in it."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from libs.decide import Send

OpenRecipient = Callable[[str], Awaitable[Mapping[str, Any]]]
"""Opens a sealed recipient and gives its fields (`phone` among them)."""


class SinkSender:
    """Appends one JSON line a message to `path`; without a path it accepts messages and keeps none of them.

    Personal data stay out: of a recipient only a keyed hash of the phone number is written. The file is turned over
    once it passes `file_limit_bytes`, and one predecessor is kept.
    """

    def __init__(
        self,
        *,
        path: Path | None = None,
        hash_key: bytes = b"",
        open_recipient: OpenRecipient | None = None,
        file_limit_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._path = path
        self._key = hash_key
        self._open = open_recipient
        self._limit = file_limit_bytes
        self._turn = asyncio.Lock()

    async def send(self, request: Send, attempt: int) -> str:
        """Write the message down; accepting it never fails but for the disk."""
        body = dict(request.body)
        sealed = body.pop("sealed", None)
        if sealed and self._open is not None:
            phone = str((await self._open(str(sealed))).get("phone", ""))
            body["phone_hash"] = phone_hash(phone, self._key)
        if self._path is not None:
            line = msgspec.json.encode({"destination": request.destination, "send_id": request.send_id, "body": body})
            async with self._turn:
                await asyncio.to_thread(_append, self._path, line + b"\n", self._limit)
        return "written to the sink"


def phone_hash(phone: str, key: bytes) -> str:
    """Return a keyed hash that tells equal numbers apart from others; without the key no number can be tried out."""
    return hmac.new(key, phone.encode(), hashlib.sha256).hexdigest()[:16]


def _append(path: Path, line: bytes, limit_bytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size + len(line) > limit_bytes:
        path.replace(path.with_name(path.name + ".1"))
    with path.open("ab") as file:
        file.write(line)
