"""HTTP out: where every order stands, what led there, and where orders pile up."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query

from libs.runtime.http import Problem
from libs.runtime.service import Parts
from services.tower import domain, store
from services.tower.settings import Settings

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
READERS = ("operator", "sre")
OrderId = Annotated[str, Path(min_length=1, max_length=300, pattern=PRINTABLE, examples=["own.demo.536365"])]
Stage = Literal[
    "received", "held", "short", "blocked", "assigned", "picking", "packed", "shipped", "cancelled", "rejected"
]
Warehouse = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=64,
        pattern=PRINTABLE,
        examples=["CD"],
        description=f"only together with a `state` that waits: {', '.join(domain.WAITING_STAGES)}",
    ),
]
Cursor = Annotated[str | None, Query(max_length=2_400, description="`next_cursor` of the page before")]
PageSize = Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ROWS)]


def routers(parts: Parts) -> list[APIRouter]:
    """Return the tower's routes."""
    return [_orders(parts), _backlog(parts)]


def _orders(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["orders"], dependencies=[Depends(parts.auth.require(*READERS))])

    @router.get("/orders", operation_id="orders", summary="Orders by stage and warehouse")
    async def orders(
        state: Annotated[Stage | None, Query(description="one stage: the longest waiting come first")] = None,
        warehouse: Warehouse = None,
        limit: PageSize = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        if warehouse is not None and state not in domain.WAITING_STAGES:
            named = ", ".join(domain.WAITING_STAGES)
            raise Problem(422, "warehouse narrows one stage that waits", detail=f"state: one of {named}", field="state")
        async with parts.reads() as connection:
            try:
                items, following = await store.orders(
                    connection, stage=state, warehouse=warehouse, limit=limit, cursor=cursor
                )
            except store.BadCursor as error:
                raise Problem(422, "unknown cursor", detail=str(error), field="cursor") from error
        return {"items": [shown(item) for item in items], "next_cursor": following}

    @router.get(
        "/orders/{order_id:path}",
        operation_id="order",
        summary="One order: its stage, and its whole timeline with each decision's reason and the event behind it",
        responses={404: {"description": "no event of this order was ever seen"}},
    )
    async def order(
        order_id: OrderId,
        limit: Annotated[int, Query(ge=1, le=store.TIMELINE_LIMIT_ENTRIES)] = store.TIMELINE_LIMIT_ENTRIES,
        after: Annotated[str | None, Query(max_length=2_400, description="`next_after` of the page before")] = None,
    ) -> dict[str, Any]:
        async with parts.reads() as connection:
            view = await store.order(connection, order_id)
            parked = await store.parked_of(connection, order_id)
            try:
                entries, following = await store.timeline(connection, order_id, limit=limit, after=after)
            except store.BadCursor as error:
                raise Problem(422, "unknown cursor", detail=str(error), field="after") from error
        if view is None and not entries and not parked:
            raise Problem(404, "no such order", detail=f"the tower has seen no event of {order_id}")
        told = {"timeline": entries, "next_after": following}
        return {"order": None if view is None else shown(view), "parked": parked, **told}

    return router


def _backlog(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["backlog"], dependencies=[Depends(parts.auth.require(*READERS))])
    settings = parts.settings
    assert isinstance(settings, Settings), "the tower is built with its own settings"
    window_orders = settings.latency_window_orders

    @router.get(
        "/stages", operation_id="stages", summary="How many orders stand in each stage, and how long the oldest has"
    )
    async def stages() -> dict[str, Any]:
        async with parts.reads() as connection:
            found = await store.stages(connection)
            parked = await store.parked(connection)
        now = parts.now()
        return {
            "stages": [_stage(name, found.get(name), now) for name in domain.STAGES],
            "orders": sum(row["orders"] for row in found.values()),
            "parked": {"messages": sum(row["messages"] for row in parked), "by_topic": parked},
        }

    @router.get(
        "/latency",
        operation_id="latency",
        summary="From an order's arrival to its pick task: median and 99th percentile",
    )
    async def latency(
        orders: Annotated[int | None, Query(ge=1, le=100_000, description="over the newest so many orders")] = None,
    ) -> dict[str, Any]:
        async with parts.reads() as connection:
            return await store.latency(connection, orders or window_orders)

    return router


def _stage(name: str, row: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    since = row["oldest_since"] if row else None
    return {
        "stage": name,
        "waiting": name in domain.WAITING_STAGES,
        "orders": row["orders"] if row else 0,
        "oldest_since": since,
        "oldest_age_s": None if since is None else max(0, round((now - since).total_seconds())),
    }


def shown(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order's row as an answer: parcels in one list, whoever named them first."""
    assigned, tasks = view["assigned"], view["tasks"]
    parcels = [
        {
            "parcel_id": parcel,
            "stage": tasks[parcel][0] if parcel in tasks else "assigned",
            "warehouse": (tasks[parcel][1] if parcel in tasks else "") or assigned.get(parcel, ""),
        }
        for parcel in sorted({*assigned, *tasks})
    ]
    hidden = ("assigned", "tasks")
    return {**{name: value for name, value in view.items() if name not in hidden}, "parcels": parcels}
