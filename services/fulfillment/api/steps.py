"""The steps of a task over HTTP: each one is a command, decided once for its key and answered after the commit."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from libs.runtime.auth import Caller
from libs.runtime.http import IdempotencyKey, respond
from libs.runtime.service import Parts
from services.fulfillment import domain
from services.fulfillment.api.access import OPERATOR, PICKER, bound_to
from services.fulfillment.api.models import TASK_EXAMPLE, Pack, Scan, Ship, TaskId, Weigh, answers

_SCANNED = {**TASK_EXAMPLE, "expected": [{"sku": "85123A", "barcode": "6901234567892", "remaining": 4}]}
_WEIGHED = {**TASK_EXAMPLE, "state": "weighed", "next": "ship", "accepted": True, "tolerance_grams": 90}
_SHIPPED = {**TASK_EXAMPLE, "state": "shipped", "next": None, "carrier": "SF", "waybill": "SF1234567890", "last": True}


def router(parts: Parts) -> APIRouter:
    """Return the routes a PDA works with, step by step."""
    made = APIRouter(prefix="/tasks", tags=["steps"])
    _add_picking(made, parts)
    _add_parcel(made, parts)
    return made


def _add_picking(made: APIRouter, parts: Parts) -> None:
    pda = parts.auth.require(PICKER, OPERATOR)

    @made.post(
        "/{task_id:path}/claim", summary="Take a task", operation_id="claim_task", responses=answers(TASK_EXAMPLE)
    )
    async def claim(task_id: TaskId, key: IdempotencyKey, caller: Annotated[Caller, Depends(pda)]) -> Response:
        command = domain.ClaimTask(task_id=task_id, by=caller.subject, warehouse=bound_to(caller))
        return respond(await parts.submit(command, _scoped("claim", command, key)))

    @made.post(
        "/{task_id:path}/release",
        summary="Give a claimed task back",
        operation_id="release_task",
        responses=answers(TASK_EXAMPLE),
    )
    async def release(task_id: TaskId, key: IdempotencyKey, caller: Annotated[Caller, Depends(pda)]) -> Response:
        command = domain.HandBack(task_id=task_id, by=caller.subject, warehouse=bound_to(caller))
        return respond(await parts.submit(command, _scoped("release", command, key)))

    @made.post(
        "/{task_id:path}/scan",
        summary="Scan units into the basket; scan_id is the idempotency key",
        operation_id="scan_item",
        responses=answers(_SCANNED),
    )
    async def scan(task_id: TaskId, body: Scan, caller: Annotated[Caller, Depends(pda)]) -> Response:
        command = domain.ScanItem(
            task_id=task_id,
            by=caller.subject,
            warehouse=bound_to(caller),
            barcode=body.barcode,
            quantity=body.quantity,
        )
        return respond(await parts.submit(command, _scoped("scan", command, body.scan_id)))


def _add_parcel(made: APIRouter, parts: Parts) -> None:
    pda = parts.auth.require(PICKER, OPERATOR)

    @made.post(
        "/{task_id:path}/pack",
        summary="Check the parcel's content",
        operation_id="pack_parcel",
        responses=answers(TASK_EXAMPLE),
    )
    async def pack(
        task_id: TaskId, body: Pack, key: IdempotencyKey, caller: Annotated[Caller, Depends(pda)]
    ) -> Response:
        items = [domain.PackedItem(barcode=item.barcode, quantity=item.quantity) for item in body.items]
        command = domain.PackParcel(task_id=task_id, by=caller.subject, warehouse=bound_to(caller), items=items)
        return respond(await parts.submit(command, _scoped("pack", command, key)))

    @made.post(
        "/{task_id:path}/weigh", summary="Weigh the parcel", operation_id="weigh_parcel", responses=answers(_WEIGHED)
    )
    async def weigh(
        task_id: TaskId, body: Weigh, key: IdempotencyKey, caller: Annotated[Caller, Depends(pda)]
    ) -> Response:
        command = domain.WeighParcel(
            task_id=task_id,
            by=caller.subject,
            warehouse=bound_to(caller),
            weight_grams=body.weight_grams,
            recheck=body.recheck,
        )
        return respond(await parts.submit(command, _scoped("weigh", command, key)))

    @made.post(
        "/{task_id:path}/ship",
        summary="Hand the parcel to the carrier",
        operation_id="ship_parcel",
        responses=answers(_SHIPPED),
    )
    async def ship(
        task_id: TaskId, body: Ship, key: IdempotencyKey, caller: Annotated[Caller, Depends(pda)]
    ) -> Response:
        command = domain.ShipParcel(
            task_id=task_id,
            by=caller.subject,
            warehouse=bound_to(caller),
            carrier=body.carrier,
            waybill=body.waybill,
            services=body.services,
        )
        return respond(await parts.submit(command, _scoped("ship", command, key)))


def _scoped(step: str, command: domain.TaskCommand, key: str) -> str:
    """Return the key within its task, step and device: two PDAs that count their scans from 1 must not meet."""
    return f"{step}:{command.by}:{command.task_id}:{key}"
