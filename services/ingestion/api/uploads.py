"""What platforms were told of shipped parcels, with their own words, and a way to have them told again."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from libs.channels.leaving import leave
from libs.channels.registry import channel
from libs.runtime.http import IdempotencyKey, Problem, respond
from libs.runtime.service import Parts
from services.ingestion import store
from services.ingestion.domain.uploads import (
    SENDING,
    UPLOAD,
    Report,
    RetryUpload,
    ShipBack,
    UploadRules,
    reships_left,
    send_id_of,
)
from services.ingestion.store import outward

ParcelId = Annotated[
    str,
    Path(max_length=200, pattern=r"^[A-Za-z0-9._:~/-]+$", examples=["douyin.shop1.6917000000000000001/1"]),
]


class LineShown(BaseModel):
    """Goods of a parcel."""

    line_id: str
    sku: str
    quantity: int


class UploadShown(BaseModel):
    """One parcel on its way to the platform's knowledge. `platform_words` is what the platform, or the line, said."""

    order_id: str = Field(examples=["douyin.shop1.6917000000000000001"])
    parcel_id: str
    channel: str
    shop_id: str
    carrier: str
    waybill: str
    lines: list[LineShown]
    state: Literal["sending", "sent", "covered", "held", "failed"]
    round: int = Field(description="how many calls were begun for this parcel")
    reships_left: int | None = Field(description="waybills of the order that may still be corrected; null: no limit")
    attempts: int = 0
    next_try_at: datetime | None = None
    platform_words: str = ""
    shipped_at: datetime
    changed_at: datetime


class UploadPage(BaseModel):
    """A page of uploads; it ends with a whole order."""

    items: list[UploadShown]
    next_cursor: str | None = None


class RetryWanted(BaseModel):
    """`spend_reship` agrees to use up one of the corrections that a platform allows an order."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"spend_reship": False}]})
    spend_reship: bool = False


def router(parts: Parts) -> APIRouter:
    """Return the routes for uploads."""
    routes = APIRouter(tags=["back to platforms"], dependencies=[Depends(parts.auth.require("operator"))])

    @routes.get(
        "/uploads",
        operation_id="list_uploads",
        summary="What platforms were told of parcels",
        response_model=UploadPage,
    )
    async def list_uploads(
        state: Annotated[Literal["sending", "sent", "covered", "held", "failed"] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ROWS, description="orders, not parcels")] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> UploadPage:
        try:
            async with parts.reads() as connection:
                page, next_cursor = await outward.ship_backs(connection, state, limit, cursor)
                found = [(row, each) for row in page for each in row.reports if state in (None, each.state)]
                sending = [(UPLOAD + row.channel, send_id_of(each)) for row, each in found if each.state == SENDING]
                calls = await outward.calls(connection, sending)
        except store.BadCursor as error:
            raise Problem(422, str(error), field="cursor") from None
        items = [_shown(row, each, calls.get(send_id_of(each), {})) for row, each in found]
        return UploadPage(items=items, next_cursor=next_cursor)

    @routes.post(
        "/uploads/{parcel_id:path}/retry",
        operation_id="retry_upload",
        summary="Tell the platform again, or agree to spend a re-ship",
        status_code=202,
        responses={
            404: {"description": "no such upload"},
            409: {"description": "nothing to retry, or no re-ship left"},
        },
    )
    async def retry_upload(parcel_id: ParcelId, wanted: RetryWanted, idempotency_key: IdempotencyKey) -> Response:
        command = RetryUpload(parcel_id=parcel_id, spend_reship=wanted.spend_reship)
        return respond(await parts.submit(command, f"upload:{parcel_id}:{idempotency_key}"))

    return routes


def _shown(row: ShipBack, each: Report, call: dict[str, Any]) -> UploadShown:
    capabilities = channel(row.channel).capabilities
    left = reships_left(row, UploadRules(reships_limit=capabilities.reships_limit))
    fields = {
        "order_id": row.order_id,
        "parcel_id": each.parcel_id,
        "channel": row.channel,
        "shop_id": row.shop_id,
        "carrier": each.carrier,
        "waybill": each.waybill,
        "lines": [{"line_id": line_id, "sku": sku, "quantity": quantity} for line_id, sku, quantity in each.lines],
        "state": each.state,
        "round": each.round,
        "reships_left": left,
        "attempts": call.get("attempts", 0),
        "next_try_at": call.get("next_try_at"),
        "platform_words": each.word or _unless_waiting(call.get("outcome", "")),
        "shipped_at": row.shipped_at,
        "changed_at": row.changed_at,
    }
    return UploadShown(**leave(row.channel, "api", fields))


def _unless_waiting(outcome: str) -> str:
    return "" if outcome == "waiting" else outcome
