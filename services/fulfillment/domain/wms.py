"""What a warehouse management system is told of tasks and shipments: goods and numbers, never a person."""

from datetime import datetime
from typing import Any

import msgspec

from libs.decide import Send
from services.fulfillment.domain.content import stock_lines
from services.fulfillment.domain.rows import PickTask

WMS = "wms"
TASK_CREATED = "task.created"
TASK_CANCELLED = "task.cancelled"
PARCEL_SHIPPED = "parcel.shipped"


def _send(kind: str, task: PickTask, now: datetime, **data: Any) -> Send:
    identity = {"task_id": task.task_id, "order_id": task.order_id, "warehouse": task.warehouse}
    body = {"type": kind, "timestamp": now.isoformat(), "data": {**identity, **data}}
    return Send(destination=WMS, send_id=f"{kind}:{task.task_id}", key=task.order_id, body=body)


def _lines(task: PickTask) -> Any:
    return msgspec.to_builtins(stock_lines(task.lines))


def task_created(task: PickTask, now: datetime) -> Send:
    """Tell the WMS that there is a parcel to pick."""
    return _send(
        TASK_CREATED,
        task,
        now,
        lines=_lines(task),
        requirements=task.requirements,
        expected_weight_grams=task.expected_weight_grams,
    )


def task_cancelled(task: PickTask, now: datetime) -> Send:
    """Tell the WMS that the goods of a task go back to the shelf."""
    return _send(TASK_CANCELLED, task, now, lines=_lines(task))


def parcel_shipped(task: PickTask, now: datetime, *, last: bool) -> Send:
    """Tell the WMS that a parcel left."""
    return _send(
        PARCEL_SHIPPED,
        task,
        now,
        lines=_lines(task),
        carrier=task.carrier,
        waybill=task.waybill,
        services=task.services,
        last=last,
    )
