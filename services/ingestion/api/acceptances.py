"""Which orders were accepted on platforms that want it, until when they had to be, and the platform's own words."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from libs.channels.leaving import leave
from libs.runtime.http import Problem
from libs.runtime.service import Parts
from services.ingestion import store
from services.ingestion.domain.acceptance import ACCEPT, ACCEPTING, Acceptance
from services.ingestion.store import outward


class AcceptanceShown(BaseModel):
    """One order. `cancelled`: the platform would not take it, and the order had been cancelled."""

    order_id: str = Field(examples=["meituan.shop1.2700100000000000001"])
    channel: str
    shop_id: str
    platform_order_id: str
    state: Literal["accepting", "accepted", "cancelled", "refused"]
    accept_by: datetime = Field(description="the platform cancels what is not accepted until then")
    attempts: int = 0
    next_try_at: datetime | None = None
    platform_words: str = ""
    changed_at: datetime


class AcceptancePage(BaseModel):
    """A page of orders, by their ids."""

    items: list[AcceptanceShown]
    next_cursor: str | None = None


def router(parts: Parts) -> APIRouter:
    """Return the route for acceptances."""
    routes = APIRouter(tags=["back to platforms"], dependencies=[Depends(parts.auth.require("operator"))])

    @routes.get(
        "/acceptances",
        operation_id="list_acceptances",
        summary="Orders that a platform wants accepted",
        response_model=AcceptancePage,
    )
    async def list_acceptances(
        state: Annotated[Literal["accepting", "accepted", "cancelled", "refused"] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ROWS)] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> AcceptancePage:
        try:
            async with parts.reads() as connection:
                page, next_cursor = await outward.acceptances(connection, state, limit, cursor)
                waiting = [(ACCEPT + row.channel, row.order_id) for row in page if row.state == ACCEPTING]
                calls = await outward.calls(connection, waiting)
        except store.BadCursor as error:
            raise Problem(422, str(error), field="cursor") from None
        return AcceptancePage(items=[_shown(row, calls.get(row.order_id, {})) for row in page], next_cursor=next_cursor)

    return routes


def _shown(row: Acceptance, call: dict[str, Any]) -> AcceptanceShown:
    outcome = call.get("outcome", "")
    fields = {
        "order_id": row.order_id,
        "channel": row.channel,
        "shop_id": row.shop_id,
        "platform_order_id": row.platform_order_id,
        "state": row.state,
        "accept_by": row.accept_by,
        "attempts": call.get("attempts", 0),
        "next_try_at": call.get("next_try_at"),
        "platform_words": row.word or ("" if outcome == "waiting" else outcome),
        "changed_at": row.changed_at,
    }
    return AcceptanceShown(**leave(row.channel, "api", fields))
