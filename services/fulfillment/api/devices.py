"""The PDAs that are known by name: operators register, list and revoke them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from libs.runtime.auth import Caller
from libs.runtime.http import IdempotencyKey, Problem, respond
from libs.runtime.service import Parts
from services.fulfillment import domain, store
from services.fulfillment.api.access import OPERATOR
from services.fulfillment.api.models import DeviceId, NewDevice, answers
from services.fulfillment.api.views import Cursor, Limit

_EXAMPLE = {"device_id": "pda-cd-07", "warehouse": "CD", "label": "blue, aisle 3", "revoked": False}


def router(parts: Parts) -> APIRouter:
    """Return the routes that manage devices."""
    made = APIRouter(prefix="/devices", tags=["devices"])
    operator = parts.auth.require(OPERATOR)

    @made.post(
        "", summary="Register or move a device", operation_id="register_device", responses=answers(_EXAMPLE, 201)
    )
    async def register(body: NewDevice, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]) -> Response:
        command = domain.RegisterDevice(device_id=body.device_id, warehouse=body.warehouse, label=body.label)
        return respond(await parts.submit(command, f"register:{caller.subject}:{key}"))

    @made.post(
        "/{device_id:path}/revoke",
        summary="Refuse a device from now on",
        operation_id="revoke_device",
        responses=answers({**_EXAMPLE, "revoked": True}),
    )
    async def revoke(
        device_id: DeviceId, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        command = domain.RevokeDevice(device_id=device_id)
        return respond(await parts.submit(command, f"revoke:{caller.subject}:{device_id}:{key}"))

    @made.get(
        "",
        summary="Devices known by name",
        operation_id="list_devices",
        dependencies=[Depends(operator)],
        responses=answers({"items": [_EXAMPLE], "next_cursor": None}),
    )
    async def list_devices(limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            try:
                found, following = await store.devices(connection, limit=limit, cursor=cursor)
            except store.BadCursor:
                raise Problem(422, "the cursor was not made here", field="cursor") from None
        items = [{name: getattr(device, name) for name in _EXAMPLE} for device in found]
        return {"items": items, "next_cursor": following}

    return made
