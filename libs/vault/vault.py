"""AES-256-GCM under one data key per shop and month; destroying a data key erases that month for good."""

import base64
import os
import time
import zlib
from typing import Any

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.stream.postgres import AWAY

NONCE_BYTES = 12
KEY_BYTES = 32
KEYS_LIMIT = 5_000
KEY_AGE_LIMIT_S = 300.0
CALL_TIMEOUT_S = 5.0
DEFLATE_FROM_BYTES = 512
# What is long is deflated before it is sealed: nothing shrinks afterwards, and it is stored more than once.
_AS_IT_IS, _DEFLATED = "v1", "v2"
# Quickest, with a window of 8 KiB: as small for what a message holds, and a new one need not clear 256 KiB first.
_DEFLATE_LEVEL, _DEFLATE_WINDOW_BITS, _DEFLATE_MEMORY_LEVEL = 1, 13, 6

SCHEMA = """
SELECT pg_advisory_xact_lock(hashtext('ordo vault'));
CREATE SCHEMA IF NOT EXISTS vault;
CREATE TABLE IF NOT EXISTS vault.data_key (
    key_id text PRIMARY KEY,
    wrapped bytea,
    made_at timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz
);
"""


class Forgotten(Exception):
    """The data key was destroyed or never existed here: the text cannot be opened any more."""


class VaultAway(Exception):
    """The key table did not answer, or not to us: try again, or see to what is named."""


def _bound_to(mark: str, key_id: str) -> bytes:
    """Return what a sealed text is bound to: its key, and how it is to be read where that is not as it is."""
    return (key_id if mark == _AS_IT_IS else f"{mark}.{key_id}").encode()


def _deflated(plaintext: bytes) -> bytes:
    deflate = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, _DEFLATE_WINDOW_BITS, _DEFLATE_MEMORY_LEVEL)
    return deflate.compress(plaintext) + deflate.flush()


class Vault:
    """Seals and opens texts. Keys are fetched once and kept; after that both are CPU only (a few µs)."""

    def __init__(self, dsn: str, master_key: str) -> None:
        """Take the Postgres DSN of the key table and the master key (32 bytes, base64)."""
        raw = base64.b64decode(master_key)
        if len(raw) != KEY_BYTES:
            raise ValueError("ORDO_MASTER_KEY must be 32 bytes in base64")
        self._dsn = dsn
        self._master = AESGCM(raw)
        self._keys: dict[str, tuple[AESGCM, float]] = {}
        self._pool: Any = None

    def wrap(self, secret: bytes) -> str:
        """Seal a shop's or provider's secret under the master key itself."""
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + self._master.encrypt(nonce, secret, b"secret")).decode()

    def unwrap(self, wrapped: str) -> bytes:
        """Open what `wrap` sealed; raises Forgotten if the master key is another one."""
        raw = base64.b64decode(wrapped)
        try:
            return self._master.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], b"secret")
        except InvalidTag as error:
            raise Forgotten("sealed under another master key") from error

    async def seal(self, shop_id: str, month: str, plaintext: bytes) -> str:
        """Seal `plaintext` under the data key of `shop_id` and `month` (YYYY-MM), made at its first use."""
        key_id = base64.urlsafe_b64encode(f"{shop_id}/{month}".encode()).decode().rstrip("=")
        key = self._fresh(key_id) or await self._key(key_id, make=True)
        mark = _AS_IT_IS if len(plaintext) < DEFLATE_FROM_BYTES else _DEFLATED
        if mark == _DEFLATED:
            plaintext = _deflated(plaintext)
        nonce = os.urandom(NONCE_BYTES)
        sealed = key.encrypt(nonce, plaintext, _bound_to(mark, key_id))
        return f"{mark}.{key_id}.{base64.b64encode(nonce + sealed).decode()}"

    async def open(self, sealed: str) -> bytes:
        """Open what `seal` returned; raises Forgotten when its data key is gone or the text was changed."""
        mark, _, rest = sealed.partition(".")
        key_id, _, body = rest.partition(".")
        if mark not in (_AS_IT_IS, _DEFLATED) or not body:
            raise Forgotten("not a sealed text")
        try:
            raw = base64.b64decode(body, validate=True)
            base64.urlsafe_b64decode(key_id + "=" * (-len(key_id) % 4)).decode()
        except ValueError as error:
            raise Forgotten("not a sealed text") from error
        key = self._fresh(key_id) or await self._key(key_id, make=False)
        try:
            opened = key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound_to(mark, key_id))
        except InvalidTag as error:
            raise Forgotten("the sealed text was changed, or its key was") from error
        return zlib.decompress(opened) if mark == _DEFLATED else opened

    async def destroy(self, shop_id: str, month: str) -> bool:
        """Destroy a data key: everything sealed under it is unreadable from now on, wherever it lies."""
        key_id = base64.urlsafe_b64encode(f"{shop_id}/{month}".encode()).decode().rstrip("=")
        self._keys.pop(key_id, None)
        done = await self._run(
            "UPDATE vault.data_key SET wrapped = NULL, destroyed_at = now() WHERE key_id = $1 AND wrapped IS NOT NULL "
            "RETURNING key_id",
            key_id,
        )
        return done is not None

    def _fresh(self, key_id: str) -> AESGCM | None:
        """Return a key fetched not long ago: one destroyed elsewhere must not live on here."""
        found = self._keys.get(key_id)
        return found[0] if found and time.monotonic() - found[1] < KEY_AGE_LIMIT_S else None

    async def _key(self, key_id: str, *, make: bool) -> AESGCM:
        if make:
            fresh = os.urandom(NONCE_BYTES)
            wrapped = fresh + self._master.encrypt(fresh, os.urandom(KEY_BYTES), key_id.encode())
            await self._run(
                "INSERT INTO vault.data_key (key_id, wrapped) VALUES ($1, $2) ON CONFLICT (key_id) DO NOTHING",
                key_id,
                wrapped,
            )
        stored = await self._run("SELECT wrapped FROM vault.data_key WHERE key_id = $1", key_id)
        if stored is None:
            raise Forgotten("the data key of this shop and month was destroyed")
        try:
            key = AESGCM(self._master.decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], key_id.encode()))
        except InvalidTag as error:
            raise Forgotten("the data key is wrapped under another master key") from error
        if len(self._keys) >= KEYS_LIMIT:
            self._keys.clear()
        self._keys[key_id] = (key, time.monotonic())
        return key

    async def _run(self, sql: str, *arguments: Any) -> Any:
        try:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn, min_size=0, max_size=1, timeout=CALL_TIMEOUT_S, command_timeout=CALL_TIMEOUT_S
                )
            return await self._pool.fetchval(sql, *arguments)
        except (asyncpg.PostgresError, *AWAY) as error:  # a wrong password or a missing table as well
            raise VaultAway(type(error).__name__) from error

    async def close(self) -> None:
        """Leave the key table."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None


async def create_vault(dsn: str) -> None:
    """Create the key table, if it is missing."""
    connection = await asyncpg.connect(dsn, timeout=CALL_TIMEOUT_S)
    try:
        async with connection.transaction():
            await connection.execute(SCHEMA)
    finally:
        await connection.close()
