"""From the shelf to the basket: one picker claims a task, scans its goods, or loses the claim."""

from datetime import datetime, timedelta
from typing import Any

from contracts.shipments import ItemsPicked, PickTaskClaimed, PickTaskUnclaimed
from libs.decide import Due, Output, Reply, State, Unwake, Wake, problem
from services.fulfillment.domain.answers import admit, barcode_of, held_by_another, out_of_turn, task_view
from services.fulfillment.domain.commands import ClaimTask, HandBack, ScanItem
from services.fulfillment.domain.content import expected, meant_by, take, unscanned
from services.fulfillment.domain.rows import CLAIMED, OPEN, PICKED, PickTask

CLAIM_TIMER = "claim"
EXPIRED = "expired"
HANDED_BACK = "handed_back"


def claim(command: ClaimTask, state: State, now: datetime, *, claim_limit_seconds: int) -> list[Output]:
    """Give the task to the first who asks. Until his claim ends he is shown it again, and others are refused.

    Afterwards whoever asks begins anew, he as well as any other.
    """
    task = admit(command, state)
    if isinstance(task, Reply):
        return [task]
    outputs: list[Output] = []
    if task.state == CLAIMED:
        if task.claim_until is None or now < task.claim_until:
            return [_shown(task, state) if task.picker == command.by else held_by_another(task)]
        # The timer is a moment late: whoever asks after the claim's end need not wait for it.
        outputs.append(_unclaim(task, EXPIRED))
    if task.state != OPEN:
        return [out_of_turn(task)]
    task.state, task.picker = CLAIMED, command.by
    outputs.append(
        PickTaskClaimed(order_id=task.order_id, task_id=task.task_id, warehouse=task.warehouse, picker=command.by)
    )
    outputs.append(_extend(task, now, claim_limit_seconds))
    state.put(task)
    return [*outputs, _shown(task, state)]


def hand_back(command: HandBack, state: State, now: datetime) -> list[Output]:
    """End a claim before its time; an operator may end anybody's."""
    task = admit(command, state)
    if isinstance(task, Reply):
        return [task]
    if task.state != CLAIMED:
        return [out_of_turn(task)]
    if command.warehouse is not None and task.picker != command.by:
        return [held_by_another(task)]
    unclaimed = _unclaim(task, HANDED_BACK)
    state.put(task)
    return [unclaimed, Unwake(kind=CLAIM_TIMER, key=task.task_id), _shown(task, state)]


def expire(due: Due, state: State, now: datetime) -> list[Output]:
    """Free a task whose picker was not heard of for the length of a claim."""
    task = state.get(PickTask, due.key)
    if task is None or task.state != CLAIMED or task.claim_until is None or task.claim_until > max(now, due.at):
        return []
    unclaimed = _unclaim(task, EXPIRED)
    state.put(task)
    return [unclaimed]


def scan(command: ScanItem, state: State, now: datetime, *, claim_limit_seconds: int) -> list[Output]:
    """Count units into the basket; a wrong barcode or too many units change nothing and say what was expected."""
    task = admit(command, state)
    if isinstance(task, Reply):
        return [task]
    if task.state != CLAIMED:
        return [out_of_turn(task)]
    if task.picker != command.by:
        return [held_by_another(task)]
    barcode = barcode_of(state)
    skus = meant_by(command.barcode, (line.sku for line in task.lines), barcode)
    if not skus:
        return [_refused("wrong barcode", "nothing in this task carries it", task, state)]
    lines = take(task.lines, skus, command.quantity)
    if lines is None:
        return [_refused("too many units", "fewer of these are still to be picked", task, state)]
    task.lines = lines
    if any(line.scanned < line.quantity for line in lines):
        outputs: list[Output] = [_extend(task, now, claim_limit_seconds)]
    else:
        task.state, task.claim_until = PICKED, None
        outputs = [
            ItemsPicked(order_id=task.order_id, task_id=task.task_id, warehouse=task.warehouse, picker=command.by),
            Unwake(kind=CLAIM_TIMER, key=task.task_id),
        ]
    state.put(task)
    return [*outputs, _shown(task, state, expected=expected(lines, barcode))]


def _extend(task: PickTask, now: datetime, claim_limit_seconds: int) -> Wake:
    task.claim_until = now + timedelta(seconds=claim_limit_seconds)
    return Wake(kind=CLAIM_TIMER, key=task.task_id, at=task.claim_until)


def _unclaim(task: PickTask, reason: str) -> PickTaskUnclaimed:
    """Open the task again. Where its goods lie now nobody knows, so counting starts anew."""
    picker = task.picker or ""
    task.state, task.picker, task.claim_until = OPEN, None, None
    task.lines = unscanned(task.lines)
    return PickTaskUnclaimed(
        order_id=task.order_id, task_id=task.task_id, warehouse=task.warehouse, picker=picker, reason=reason
    )


def _shown(task: PickTask, state: State, **more: Any) -> Reply:
    return Reply(body={**task_view(task, barcode_of(state)), **more})


def _refused(title: str, detail: str, task: PickTask, state: State) -> Reply:
    left = expected(task.lines, barcode_of(state))
    return problem(409, title, detail, field="barcode", state=task.state, next="scan", expected=left)
