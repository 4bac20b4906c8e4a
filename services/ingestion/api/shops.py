"""Operators' page of shops: create one, pause it, give it a new secret that is shown exactly once."""

import hashlib
import secrets
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from libs.channels.csv.capabilities import CAPABILITIES as CSV
from libs.channels.own.capabilities import CAPABILITIES as OWN
from libs.channels.own.signing import secret_of_key
from libs.runtime.http import IdempotencyKey, Problem, respond
from libs.runtime.service import Parts
from services.ingestion import store
from services.ingestion.api.shop_book import ShopBook
from services.ingestion.domain import PutShop

KEY_BYTES = 32
ShopId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", examples=["demo"])]


class ShopWanted(BaseModel):
    """What a shop should be. A new shop always gets a secret; an existing one only with `rotate_secret`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"channel": "own", "paused": False, "rotate_secret": True}]},
    )
    channel: Literal["own"] = "own"
    paused: bool = False
    rotate_secret: bool = False
    previous_secret_valid_hours: int = Field(default=24, ge=0, le=168, description="how long the old secret stays good")


class ShopShown(BaseModel):
    """A shop as operators see it; `secret_id` tells secrets apart without showing them."""

    shop_id: str = Field(examples=["demo"])
    channel: str = Field(examples=["own"])
    paused: bool
    secret_id: str | None = Field(examples=["9f86d081"])
    previous_secret_until: datetime | None = None
    from_settings: bool = False


class ShopSaved(BaseModel):
    """The answer to a change: `secret` is there once, when this very request created it."""

    shop_id: str
    channel: str
    paused: bool
    secret_id: str
    secret: str | None = Field(default=None, examples=["whsec_…"])


class ShopPage(BaseModel):
    """A page of shops."""

    items: list[ShopShown]
    next_cursor: str | None = None


class ChannelShown(BaseModel):
    """What a channel can do."""

    channel: str
    pushes_orders: bool
    pushes_cancellations: bool
    supplies_buyer_token: bool
    pulls_orders: bool
    takes_shipment_upload: bool
    takes_stock_push: bool


def router(parts: Parts, book: ShopBook) -> APIRouter:
    """Return the routes for shops and channels."""
    routes = APIRouter(tags=["shops"], dependencies=[Depends(parts.auth.require("operator"))])

    @routes.put(
        "/shops/{shop_id}",
        operation_id="put_shop",
        summary="Create or change a shop; a new secret is returned once",
        response_model=ShopSaved,
        responses={201: {"model": ShopSaved}, 409: {"description": "the shop's secret comes from the environment"}},
    )
    async def put_shop(shop_id: ShopId, wanted: ShopWanted, idempotency_key: IdempotencyKey) -> Response:
        if any(shop.shop_id == shop_id for shop in book.fixed):
            raise Problem(409, "this shop comes from the environment", detail="change ORDO_OWN_DEMO_SECRET instead")
        key = secrets.token_bytes(KEY_BYTES)
        command = PutShop(
            shop_id=shop_id,
            channel=wanted.channel,
            paused=wanted.paused,
            rotate=wanted.rotate_secret,
            secret_id=secret_id_of(key),
            secret_wrapped=parts.require_vault().wrap(key),
            previous_valid_hours=wanted.previous_secret_valid_hours,
        )
        reply = await parts.submit(command, f"shop:{shop_id}:{idempotency_key}")
        book.forget(shop_id)
        if reply.status >= 400 or reply.body["secret_id"] != command.secret_id:
            return respond(reply)
        return JSONResponse({**reply.body, "secret": secret_of_key(key)}, status_code=reply.status)

    @routes.get("/shops", operation_id="list_shops", summary="All shops", response_model=ShopPage)
    async def list_shops(
        limit: Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ROWS)] = 100,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> ShopPage:
        try:
            async with parts.reads() as connection:
                page, next_cursor = await store.shops(connection, limit, cursor)
        except store.BadCursor as error:
            raise Problem(422, str(error), field="cursor") from None
        fixed = [] if cursor else book.fixed
        shown = [
            ShopShown(
                shop_id=shop.shop_id,
                channel=shop.channel,
                paused=shop.paused,
                secret_id=secret_id_of(shop.keys[0]),
                from_settings=True,
            )
            for shop in fixed
        ]
        names = {shop.shop_id for shop in book.fixed}
        shown += [
            ShopShown(
                shop_id=record.shop_id,
                channel=record.channel,
                paused=record.paused,
                secret_id=record.secret_id,
                previous_secret_until=record.previous_until,
            )
            for record in page
            if record.shop_id not in names
        ]
        return ShopPage(items=shown, next_cursor=next_cursor)

    @routes.get(
        "/channels", operation_id="list_channels", summary="What each channel can do", response_model=list[ChannelShown]
    )
    async def list_channels() -> list[ChannelShown]:
        return [ChannelShown(**vars(capabilities)) for capabilities in (OWN, CSV)]

    return routes


def secret_id_of(key: bytes) -> str:
    """Return a short name for a secret that tells nothing about it."""
    return hashlib.sha256(b"ordo secret id" + key).hexdigest()[:8]
