"""Who may send: shops by id, kept in memory for a short while so that a webhook costs no read."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from libs.channels.own.mapping import CHANNEL
from libs.runtime.service import Parts
from services.ingestion import store

FRESH_SECONDS = 30.0
REFRESH_AT_MOST_EVERY_SECONDS = 1.0
REMEMBERED_SHOPS_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class KnownShop:
    """A shop with its keys opened. `from_settings`: it belongs to the environment and nobody can change it here."""

    shop_id: str
    channel: str
    paused: bool
    keys: tuple[bytes, ...]
    from_settings: bool = False


class ShopBook:
    """Finds shops; those of the settings come first. What is remembered, known or not, is bounded in number and age."""

    def __init__(self, parts: Parts, own_keys: Mapping[str, bytes]) -> None:
        self._parts = parts
        self._remembered: dict[str, tuple[float, KnownShop | None]] = {}
        self._reading = asyncio.Lock()
        self._fixed = {
            shop_id: KnownShop(shop_id, CHANNEL, paused=False, keys=(key,), from_settings=True)
            for shop_id, key in own_keys.items()
        }

    @property
    def fixed(self) -> list[KnownShop]:
        """The shops that come from the settings."""
        return list(self._fixed.values())

    async def find(self, shop_id: str) -> KnownShop | None:
        """Return the shop as it was within the last seconds."""
        return self._fixed.get(shop_id) or await self._recall(shop_id, FRESH_SECONDS)

    async def look_again(self, shop_id: str) -> KnownShop | None:
        """Return the shop as it is: a signature failed, and its secret may have been changed a moment ago."""
        return self._fixed.get(shop_id) or await self._recall(shop_id, REFRESH_AT_MOST_EVERY_SECONDS)

    def forget(self, shop_id: str) -> None:
        """Read the shop anew when it is asked for next."""
        self._remembered.pop(shop_id, None)

    async def _recall(self, shop_id: str, at_most_seconds: float) -> KnownShop | None:
        found = self._fresh(shop_id, at_most_seconds)
        if found is not None:
            return found[1]
        async with self._reading:
            found = self._fresh(shop_id, at_most_seconds)
            if found is not None:
                return found[1]
            shop = await self._read(shop_id)
            if len(self._remembered) >= REMEMBERED_SHOPS_LIMIT:
                self._remembered.clear()
            self._remembered[shop_id] = (self._parts.now().timestamp(), shop)
            return shop

    def _fresh(self, shop_id: str, at_most_seconds: float) -> tuple[float, KnownShop | None] | None:
        found = self._remembered.get(shop_id)
        if found is None:
            return None
        limit = at_most_seconds if found[1] is not None else REFRESH_AT_MOST_EVERY_SECONDS
        return found if abs(self._parts.now().timestamp() - found[0]) < limit else None

    async def _read(self, shop_id: str) -> KnownShop | None:
        async with self._parts.reads() as connection:
            record = await store.shop_by_id(connection, shop_id)
        if record is None:
            return None
        vault = self._parts.require_vault()
        keys = [vault.unwrap(record.secret_wrapped)]
        if record.previous_wrapped and record.previous_until and record.previous_until > self._parts.now():
            keys.append(vault.unwrap(record.previous_wrapped))
        return KnownShop(record.shop_id, record.channel, record.paused, tuple(keys))
