"""What is asked without changing anything: tasks, an order's parcels, and the label, which alone names a recipient."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.runtime.auth import Caller
from libs.runtime.http import Problem
from libs.runtime.service import Parts
from libs.vault import Forgotten
from services.fulfillment import domain, store
from services.fulfillment.api.access import OPERATOR, PICKER, admitted, visible_task
from services.fulfillment.api.models import TASK_EXAMPLE, WMS_REFUSAL_EXAMPLE, Code, OrderId, TaskId, answers
from services.fulfillment.domain import LABEL_STATES, TASK_STATES, PickTask

Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")]
Limit = Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ROWS)]
_SEEN = {**TASK_EXAMPLE, "claimed_by_me": True}
_SHOWN_TO_OPERATORS = {**_SEEN, "picker": "pda-1", "wms_refusal": WMS_REFUSAL_EXAMPLE}
_LABEL_EXAMPLE = {
    "task_id": "own.demo.536365/1",
    "order_id": "own.demo.536365",
    "requirements": ["signature_on_delivery"],
    "recipient": {"name": "…", "phone": "…", "province": "湖北省", "city": "武汉市", "address": "…"},
    "note": "",
}


def router(parts: Parts) -> APIRouter:
    """Return the routes that read."""
    made = APIRouter(tags=["tasks"])
    pda = parts.auth.require(PICKER, OPERATOR)

    @made.get("/tasks", summary="Tasks, oldest first", operation_id="list_tasks", responses=answers({"items": [_SEEN]}))
    async def list_tasks(
        caller: Annotated[Caller, Depends(pda)],
        warehouse: Annotated[Code | None, Query(description="a picker sees only his own")] = None,
        state: Annotated[list[str] | None, Query(max_length=len(TASK_STATES), description="may be repeated")] = None,
        wms_refused: Annotated[bool, Query(description="only those of which the WMS refused something")] = False,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        _refuse_unknown_states(state or [])
        async with parts.reads() as connection:
            own = await admitted(connection, caller)
            if own is not None and warehouse not in (None, own):
                raise Problem(403, "these tasks belong to another warehouse", field="warehouse")
            try:
                found, following = await store.tasks(
                    connection,
                    warehouse=own or warehouse,
                    states=state or [],
                    wms_refused=wms_refused,
                    limit=limit,
                    cursor=cursor,
                )
            except store.BadCursor:
                raise Problem(422, "the cursor was not made here", field="cursor") from None
            items = await _seen(connection, found, caller)
        return {"items": items, "next_cursor": following}

    @made.get(
        "/tasks/{task_id:path}/label",
        summary="Who the parcel goes to, for its label",
        operation_id="task_label",
        responses={**answers(_LABEL_EXAMPLE), 410: {"description": "the recipient's data were erased"}},
    )
    async def label(task_id: TaskId, caller: Annotated[Caller, Depends(pda)]) -> Response:
        async with parts.reads() as connection:
            task = await visible_task(connection, caller, task_id)
            file = await store.order(connection, task.order_id)
        if task.state not in LABEL_STATES:
            detail = "the label is printed once the parcel was on the scale, and not after a cancellation"
            raise Problem(409, f"the task is {task.state}", detail, state=task.state)
        if file is None or not file.sealed:
            raise Problem(409, "the recipient is not known yet", "ask again in a moment", state=task.state)
        body = {"task_id": task.task_id, "order_id": task.order_id, "requirements": task.requirements}
        return JSONResponse({**body, **await _opened(parts, file.sealed)}, headers={"Cache-Control": "no-store"})

    @made.get("/tasks/{task_id:path}", summary="One task", operation_id="get_task", responses=answers(_SEEN))
    async def get_task(task_id: TaskId, caller: Annotated[Caller, Depends(pda)]) -> dict[str, Any]:
        async with parts.reads() as connection:
            task = await visible_task(connection, caller, task_id)
            [shown] = await _seen(connection, [task], caller)
        return shown

    return made


def orders(parts: Parts) -> APIRouter:
    """Return the route that shows an order."""
    made = APIRouter(tags=["orders"])

    @made.get(
        "/orders/{order_id:path}",
        summary="An order's parcels",
        operation_id="get_order",
        responses=answers(
            {"order_id": "own.demo.536365", "state": "assigned", "version": 1, "tasks": [_SHOWN_TO_OPERATORS]}
        ),
    )
    async def get_order(
        order_id: OrderId, caller: Annotated[Caller, Depends(parts.auth.require(OPERATOR))]
    ) -> dict[str, Any]:
        async with parts.reads() as connection:
            file = await store.order(connection, order_id)
            if file is None:
                raise Problem(404, "no such order")
            seen = await _seen(connection, await store.tasks_of_order(connection, order_id), caller)
        # A parcel that was cancelled before its task was made has a name and a state, and nothing else.
        shown = {task["task_id"]: task for task in seen}
        return {
            "order_id": file.order_id,
            "state": file.state,
            "version": file.version,
            "assigned_version": file.assigned_version,
            "cancellation": file.request_id,
            "tasks": [shown.get(ref.task_id, {"task_id": ref.task_id, "state": ref.state}) for ref in file.tasks],
        }

    return made


def _refuse_unknown_states(states: list[str]) -> None:
    unknown = [state for state in states if state not in TASK_STATES]
    if unknown:
        raise Problem(422, "no task is ever in this state", field="state", known=list(TASK_STATES))


async def _seen(connection: AsyncConnection, tasks: list[PickTask], caller: Caller) -> list[dict[str, Any]]:
    """Return tasks as this caller sees them: only an operator learns who holds one, and what the WMS refused of it."""
    operator = OPERATOR in caller.roles
    barcodes = await store.barcodes(connection, tasks)
    refusals = await store.wms_refusals(connection, tasks) if operator else {}
    shown = []
    for task in tasks:
        view = domain.task_view(task, lambda sku: barcodes.get(sku, ""))
        view["claimed_by_me"] = task.picker == caller.subject
        if operator:
            view["picker"] = task.picker
            refusal = refusals.get(task.task_id)
            view["wms_refusal"] = None if refusal is None else domain.refusal_view(refusal)
        shown.append(view)
    return shown


async def _opened(parts: Parts, sealed: str) -> dict[str, Any]:
    """Return the recipient and the buyer's note; both leave the service here and nowhere else."""
    try:
        opened = msgspec.json.decode(await parts.require_vault().open(sealed), type=dict[str, Any])
    except Forgotten:
        raise Problem(410, "the recipient's data were erased") from None
    return {"recipient": opened.get("recipient"), "note": opened.get("note", "")}
