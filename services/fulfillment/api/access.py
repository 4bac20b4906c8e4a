"""Who may see and touch what: a picker his own warehouse's tasks, an operator all of them."""

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.runtime.auth import Caller
from libs.runtime.http import Problem
from services.fulfillment import store
from services.fulfillment.domain import PickTask

PICKER = "picker"
OPERATOR = "operator"


def bound_to(caller: Caller) -> str | None:
    """Return the one warehouse the caller is bound to; None for an operator."""
    if OPERATOR in caller.roles:
        return None
    if not caller.warehouse:
        raise Problem(403, "this token is bound to no warehouse")
    return caller.warehouse


async def admitted(connection: AsyncConnection, caller: Caller) -> str | None:
    """Return the warehouse the caller is bound to; refuse a device that was revoked or moved."""
    warehouse = bound_to(caller)
    if warehouse is not None:
        device = await store.known_device(connection, caller.subject)
        if device is not None and device.revoked:
            raise Problem(403, "this device was revoked")
        if device is not None and device.warehouse != warehouse:
            raise Problem(403, "this device is registered for another warehouse")
    return warehouse


async def visible_task(connection: AsyncConnection, caller: Caller, task_id: str) -> PickTask:
    """Return a task the caller may see."""
    warehouse = await admitted(connection, caller)
    task = await store.task(connection, task_id)
    if task is None:
        raise Problem(404, "no such task")
    if warehouse is not None and task.warehouse != warehouse:
        raise Problem(403, "the task belongs to another warehouse")
    return task
