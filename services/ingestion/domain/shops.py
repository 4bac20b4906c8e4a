"""Decides what becomes of a shop of the own channel: created, paused, given another secret."""

from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from libs.decide import Command, Output, Reply, Row, State, problem


class Shop(Row, kw_only=True):
    """A shop on a channel. Secrets are wrapped; the previous one stays good until `previous_until`."""

    row_key: ClassVar[tuple[str, ...]] = ("shop_id",)
    shop_id: str
    channel: str
    paused: bool = False
    secret_id: str
    secret_wrapped: str
    previous_wrapped: str | None = None
    previous_until: datetime | None = None
    changed_at: datetime


class ShopCommand(Command, frozen=True, kw_only=True):
    """A command about one shop: all of them are decided in their order."""

    shop_id: str

    @property
    def key(self) -> str:
        """The shop."""
        return f"shop:{self.shop_id}"


class PutShop(ShopCommand, frozen=True, kw_only=True):
    """Create a shop, pause it, or give it a new secret. The secret arrives wrapped and is never part of an answer."""

    channel: str
    paused: bool
    rotate: bool
    secret_id: str
    secret_wrapped: str
    previous_valid_hours: int

    @property
    def sameness(self) -> bytes:
        """Each attempt brings another secret; a repeat is told by what is asked for."""
        return msgspec.json.encode([self.shop_id, self.channel, self.paused, self.rotate, self.previous_valid_hours])


def put_shop(command: PutShop, state: State, now: datetime) -> list[Output]:
    """Create or change a shop; the answer's `secret_id` tells which secret is in force."""
    shop = state.get(Shop, command.shop_id)
    created = shop is None
    if shop is None:
        shop = Shop(
            shop_id=command.shop_id,
            channel=command.channel,
            secret_id=command.secret_id,
            secret_wrapped=command.secret_wrapped,
            changed_at=now,
        )
    elif shop.channel != command.channel:
        return [problem(409, "a shop keeps its channel", field="channel", channel=shop.channel)]
    elif command.rotate:
        shop.previous_wrapped = shop.secret_wrapped
        shop.previous_until = now + timedelta(hours=command.previous_valid_hours)
        shop.secret_wrapped = command.secret_wrapped
        shop.secret_id = command.secret_id
    shop.paused = command.paused
    shop.changed_at = now
    state.put(shop)
    body = {"shop_id": shop.shop_id, "channel": shop.channel, "paused": shop.paused, "secret_id": shop.secret_id}
    return [Reply(status=201 if created else 200, body=body)]
