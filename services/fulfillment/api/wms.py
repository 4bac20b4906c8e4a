"""What operators do when the WMS refused something for good: have it told again, once its reason is mended."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from libs.runtime.auth import Caller
from libs.runtime.http import IdempotencyKey, respond
from libs.runtime.service import Parts
from services.fulfillment import domain
from services.fulfillment.api.access import OPERATOR
from services.fulfillment.api.models import WMS_REFUSAL_EXAMPLE, TaskId, answers


def router(parts: Parts) -> APIRouter:
    """Return the route by which the WMS is told again."""
    made = APIRouter(prefix="/tasks", tags=["wms"])
    operator = parts.auth.require(OPERATOR)

    @made.post(
        "/{task_id:path}/tell-wms",
        summary="Tell the WMS again what it refused of a task",
        operation_id="tell_wms",
        status_code=202,
        responses=answers({**WMS_REFUSAL_EXAMPLE, "rounds": 2, "telling": True}, 202),
    )
    async def tell_wms(task_id: TaskId, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]) -> Response:
        command = domain.TellWms(task_id=task_id)
        return respond(await parts.submit(command, f"wms:{caller.subject}:{task_id}:{key}"))

    return made
