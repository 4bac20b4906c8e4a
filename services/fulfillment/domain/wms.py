"""What a warehouse management system is told of tasks and shipments: goods and numbers, never a person."""

from datetime import datetime
from typing import Any, ClassVar

import msgspec

from libs.decide import Command, Delivered, Output, Reply, Row, Send, State, problem
from services.fulfillment.domain.commands import order_of
from services.fulfillment.domain.content import stock_lines
from services.fulfillment.domain.rows import CANCELLED, SHIPPED, PickTask

WMS = "wms"
TASK_CREATED = "task.created"
TASK_CANCELLED = "task.cancelled"
PARCEL_SHIPPED = "parcel.shipped"


class WmsRefusal(Row, kw_only=True):
    """What the WMS refused last of a task, for good, and has not been made good since: an operator has to look.

    `rounds` counts how often it was called with that; `telling` while it is being told again.
    """

    row_key: ClassVar[tuple[str, ...]] = ("task_id",)
    task_id: str
    call: str
    word: str
    body: dict[str, Any]
    rounds: int = 1
    telling: bool = False
    refused_at: datetime


class TellWms(Command, frozen=True, kw_only=True):
    """An operator has the WMS told again what it refused."""

    task_id: str

    @property
    def key(self) -> str:
        """The order, as for every step of its tasks."""
        return order_of(self.task_id)


def task_told_of(send_id: str) -> str:
    """Return the task that a call is about; its id is `{call}:{task_id}`, from the second round on `{call}~{n}:…`."""
    return send_id.partition(":")[2]


def wms_told(message: Delivered, state: State, now: datetime) -> list[Output]:
    """Keep what the WMS refused; whatever it accepts later of the same task makes that good."""
    task_id = task_told_of(message.send_id)
    row = state.get(WmsRefusal, task_id)
    if not message.ok:
        call = message.send_id.partition(":")[0].partition("~")[0]
        rounds = row.rounds if row is not None else 1
        state.put(
            WmsRefusal(
                task_id=task_id, call=call, word=message.detail, body=message.body, rounds=rounds, refused_at=now
            )
        )
    elif row is not None:
        state.delete(row)
    return []


def tell_wms_again(command: TellWms, state: State, now: datetime) -> list[Output]:
    """Repeat what was refused, under an id that the WMS has not seen; never what the task has left behind."""
    row, task = state.get(WmsRefusal, command.task_id), state.get(PickTask, command.task_id)
    if row is None or task is None:
        return [problem(404, "the WMS refused nothing of this task")]
    if row.telling:
        return [problem(409, "the WMS is being told", call=row.call)]
    if row.call != _call_of(task):
        return [problem(409, f"the task is {task.state}", "the WMS is told of that by itself", call=row.call)]
    row.rounds += 1
    row.telling = True
    state.put(row)
    send_id = f"{row.call}~{row.rounds}:{row.task_id}"
    again = Send(destination=WMS, send_id=send_id, key=task.order_id, body=row.body)
    return [again, Reply(status=202, body=refusal_view(row))]


def refusal_view(row: WmsRefusal) -> dict[str, Any]:
    """Return a refusal as an operator sees it."""
    return {
        "call": row.call,
        "word": row.word,
        "rounds": row.rounds,
        "telling": row.telling,
        "refused_at": row.refused_at.isoformat(),
    }


def _call_of(task: PickTask) -> str:
    """Return the call that says how a task stands now."""
    return {CANCELLED: TASK_CANCELLED, SHIPPED: PARCEL_SHIPPED}.get(task.state, TASK_CREATED)


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
