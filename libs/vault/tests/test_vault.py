"""What is sealed opens only under its own key, unchanged, and never again once that key is destroyed."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from unittest.mock import AsyncMock

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.vault import Forgotten, Vault, VaultAway, create_vault

CLEAR = "张三 13800000000 珞喻路1号".encode()


def a_master_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


class DictVault(Vault):
    """The real vault over a dict in the place of its table."""

    def __init__(self, table: dict[str, bytes | None], master_key: str) -> None:
        super().__init__("postgresql://nobody@nowhere:1/none", master_key)
        self.table = table

    async def _run(self, sql: str, *arguments: Any) -> Any:
        key_id = arguments[0]
        if sql.startswith("INSERT"):
            return self.table.setdefault(key_id, arguments[1]) and None
        if sql.startswith("UPDATE"):
            done = key_id if self.table.get(key_id) else None
            self.table[key_id] = None
            return done
        return self.table.get(key_id)


@pytest.fixture
def vault() -> DictVault:
    return DictVault({}, a_master_key())


@given(secret=st.binary(max_size=300))
def test_a_wrapped_secret_comes_back_and_is_never_shown(secret: bytes) -> None:
    vault = Vault("postgresql://nobody@nowhere:1/none", a_master_key())
    wrapped = vault.wrap(secret)
    assert vault.unwrap(wrapped) == secret
    assert vault.wrap(secret) != wrapped, "a fresh nonce each time"
    with pytest.raises(Forgotten):
        Vault("postgresql://nobody@nowhere:1/none", a_master_key()).unwrap(wrapped)


@pytest.mark.parametrize("key", ["", "c2hvcnQ=", base64.b64encode(bytes(31)).decode()])
def test_a_master_key_of_another_size_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(ValueError, match="ORDO_MASTER_KEY"):
        Vault("postgresql://nobody@nowhere:1/none", key)


@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
async def test_sealed_text_opens_again(vault: DictVault, size: int) -> None:
    plain = os.urandom(size)
    sealed = await vault.seal("demo", "2026-11", plain)
    assert await vault.open(sealed) == plain
    assert sealed.isascii()
    assert await vault.seal("demo", "2026-11", plain) != sealed, "a fresh nonce each time"


async def test_a_long_text_shrinks_before_it_is_sealed(vault: DictVault) -> None:
    plain = ("一件衣服，" * 500).encode()
    sealed = await vault.seal("demo", "2026-11", plain)
    assert len(sealed) < len(plain) / 10
    assert await vault.open(sealed) == plain


@pytest.mark.parametrize("plain", [b"short", b"long " * 500])
async def test_how_a_text_is_to_be_read_cannot_be_changed(vault: DictVault, plain: bytes) -> None:
    mark, _, rest = (await vault.seal("demo", "2026-11", plain)).partition(".")
    with pytest.raises(Forgotten, match="was changed"):
        await vault.open(f"{'v1' if mark == 'v2' else 'v2'}.{rest}")


async def test_one_data_key_per_shop_and_month(vault: DictVault) -> None:
    for shop, month in (("demo", "2026-11"), ("demo", "2026-12"), ("other", "2026-11"), ("demo", "2026-11")):
        await vault.seal(shop, month, CLEAR)
    assert len(vault.table) == 3


async def test_another_master_key_opens_nothing(vault: DictVault) -> None:
    sealed = await vault.seal("demo", "2026-11", CLEAR)
    thief = DictVault(dict(vault.table), a_master_key())
    with pytest.raises(Forgotten, match="another master key"):
        await thief.open(sealed)
    with pytest.raises(Forgotten):
        await thief.seal("demo", "2026-11", CLEAR)


async def test_a_data_key_moved_to_another_months_place_opens_nothing(vault: DictVault) -> None:
    first = await vault.seal("demo", "2026-11", CLEAR)
    second = await vault.seal("demo", "2026-12", CLEAR)
    ids = [text.split(".")[1] for text in (first, second)]
    vault.table[ids[0]], vault.table[ids[1]] = vault.table[ids[1]], vault.table[ids[0]]
    vault._keys.clear()
    for text in (first, second):
        with pytest.raises(Forgotten):
            await vault.open(text)


async def test_text_changed_in_any_place_does_not_open(vault: DictVault) -> None:
    sealed = await vault.seal("demo", "2026-11", CLEAR)
    mark, key_id, body = sealed.split(".")
    raw = bytearray(base64.b64decode(body))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(Forgotten):
            await vault.open(f"{mark}.{key_id}.{base64.b64encode(bytes(changed)).decode()}")
    other = await vault.seal("demo", "2026-12", CLEAR)
    with pytest.raises(Forgotten):
        await vault.open(f"{mark}.{other.split('.')[1]}.{body}")


@pytest.mark.parametrize("text", ["", "v1", "v1.", "v1.a", "v1.a.", "v0.a.b", "plain text", "v1.bm9uZQ.AAAA"])
async def test_what_was_never_sealed_is_refused(vault: DictVault, text: str) -> None:
    with pytest.raises(Forgotten):
        await vault.open(text)


async def test_a_destroyed_month_is_gone_for_good_and_the_others_stay(vault: DictVault) -> None:
    gone = await vault.seal("demo", "2026-11", CLEAR)
    kept = await vault.seal("demo", "2026-12", CLEAR)
    assert await vault.destroy("demo", "2026-11")
    assert not await vault.destroy("demo", "2026-11"), "it was destroyed before"
    with pytest.raises(Forgotten):
        await vault.open(gone)
    assert await vault.open(kept) == CLEAR


async def test_kept_keys_are_bounded(vault: DictVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.vault.vault.KEYS_LIMIT", 3)
    sealed = [await vault.seal("demo", f"2026-{month:02}", CLEAR) for month in range(1, 13)]
    assert len(vault._keys) <= 3
    assert [await vault.open(text) for text in sealed] == [CLEAR] * 12


async def test_a_key_table_that_does_not_answer_is_another_matter() -> None:
    away = Vault("postgresql://nobody@127.0.0.1:1/none", a_master_key())
    with pytest.raises(VaultAway):
        await away.seal("demo", "2026-11", CLEAR)
    await away.close()


@pytest.mark.parametrize(
    "passing",
    [
        asyncpg.AdminShutdownError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,
        asyncpg.ConnectionDoesNotExistError,
    ],
)
async def test_a_postgres_that_restarts_or_is_full_is_away_and_no_fault_of_the_request(
    passing: type[asyncpg.PostgresError],
) -> None:
    away = Vault("postgresql://nobody@nowhere:1/none", a_master_key())
    away._pool = AsyncMock()
    away._pool.fetchval.side_effect = passing("the server says no for now")
    with pytest.raises(VaultAway, match=passing.__name__):
        await away.seal("demo", "2026-11", CLEAR)


# -- on a real Postgres ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def vaults(dsn: str, *master_keys: str) -> AsyncIterator[list[Vault]]:
    await create_vault(dsn)
    made = [Vault(dsn, key) for key in master_keys]
    try:
        yield made
    finally:
        for vault in made:
            await vault.close()


async def rows(dsn: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch("SELECT key_id, wrapped, destroyed_at FROM vault.data_key"))
    finally:
        await connection.close()


@pytest.mark.postgres
async def test_two_vaults_that_make_a_key_at_once_use_the_same_one(database: str) -> None:
    async with vaults(database, *[a_master_key()] * 4) as found:
        texts = await asyncio.gather(*[vault.seal("demo", "2026-11", CLEAR) for vault in found])
        for vault in found:
            assert [await vault.open(text) for text in texts] == [CLEAR] * 4
    ((_, wrapped, _),) = await rows(database)
    assert CLEAR not in wrapped


@pytest.mark.postgres
async def test_a_destroyed_key_is_gone_for_a_vault_that_starts_anew(database: str) -> None:
    key = a_master_key()
    async with vaults(database, key, key) as (first, second):
        sealed = await first.seal("demo", "2026-11", CLEAR)
        assert await first.destroy("demo", "2026-11")
        for vault in (first, second):
            with pytest.raises(Forgotten):
                await vault.open(sealed)
        with pytest.raises(Forgotten):
            await first.seal("demo", "2026-11", CLEAR)
    ((_, wrapped, destroyed_at),) = await rows(database)
    assert wrapped is None
    assert destroyed_at is not None


@pytest.mark.postgres
async def test_a_connection_that_the_server_ends_is_away_once_and_then_made_anew(database: str) -> None:
    async with vaults(database, a_master_key()) as (vault,):
        sealed = await vault.seal("demo", "2026-11", CLEAR)
        vault._keys.clear()
        other = await asyncpg.connect(database)
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await other.close()
        with suppress(VaultAway):
            await vault.open(sealed)
        assert await vault.open(sealed) == CLEAR


@pytest.mark.postgres
async def test_creating_the_key_table_again_changes_nothing(database: str) -> None:
    await create_vault(database)
    async with vaults(database, a_master_key()) as (vault,):
        sealed = await vault.seal("demo", "2026-11", CLEAR)
        await create_vault(database)
        assert await vault.open(sealed) == CLEAR
