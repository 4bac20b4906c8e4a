"""What a PDA is told: the task as it stands, what is expected next, and why a step was refused."""

from collections.abc import Callable
from typing import Any

from libs.decide import Reply, State, problem
from services.fulfillment.domain.commands import TaskCommand
from services.fulfillment.domain.rows import (
    CANCELLED,
    CLAIMED,
    OPEN,
    PACKED,
    PICKED,
    RECHECK,
    WEIGHED,
    Device,
    Item,
    PickTask,
)

# The step each state waits for; the others wait for none.
NEXT: dict[str, str] = {
    OPEN: "claim",
    CLAIMED: "scan",
    PICKED: "pack",
    PACKED: "weigh",
    RECHECK: "weigh",
    WEIGHED: "ship",
}


def barcode_of(state: State) -> Callable[[str], str]:
    """Return how to find a SKU's barcode among the loaded items; empty where the catalogue has none."""

    def find(sku: str) -> str:
        item = state.get(Item, sku)
        return item.barcode if item else ""

    return find


def task_view(task: PickTask, barcode: Callable[[str], str] | None = None) -> dict[str, Any]:
    """Return a task as an answer shows it; who holds it stays out, the caller knows whether it is himself."""
    lines: list[dict[str, Any]] = []
    for line in task.lines:
        shown = {"line_id": line.line_id, "sku": line.sku, "quantity": line.quantity, "scanned": line.scanned}
        lines.append(shown if barcode is None else {**shown, "barcode": barcode(line.sku)})
    return {
        "task_id": task.task_id,
        "order_id": task.order_id,
        "warehouse": task.warehouse,
        "state": task.state,
        "next": NEXT.get(task.state),
        "lines": lines,
        "requirements": task.requirements,
        "claim_until": task.claim_until.isoformat() if task.claim_until else None,
        "expected_weight_grams": task.expected_weight_grams,
        "weight_grams": task.weight_grams,
        "carrier": task.carrier,
        "waybill": task.waybill,
        "services": task.services,
    }


def admit(command: TaskCommand, state: State) -> PickTask | Reply:
    """Return the task a caller may work on, or why he may not."""
    task = state.get(PickTask, command.task_id)
    if command.warehouse is not None:
        device = state.get(Device, command.by)
        if device is not None and device.revoked:
            return problem(403, "this device was revoked")
        if device is not None and device.warehouse != command.warehouse:
            return problem(403, "this device is registered for another warehouse")
    if task is None:
        return problem(404, "no such task")
    if command.warehouse is not None and command.warehouse != task.warehouse:
        return problem(403, "the task belongs to another warehouse")
    if task.state == CANCELLED:
        return problem(409, "the task is cancelled", "cancelled, put the goods back", state=CANCELLED, next=None)
    return task


def out_of_turn(task: PickTask) -> Reply:
    """Return the refusal of a step that this state does not wait for."""
    awaited = NEXT.get(task.state)
    detail = f"the next step is: {awaited}" if awaited else "no step is left"
    return problem(409, f"the task is {task.state}", detail, state=task.state, next=awaited)


def held_by_another(task: PickTask) -> Reply:
    """Return the refusal of a step on somebody else's claim, without saying whose."""
    return problem(409, "claimed by another picker", state=task.state, next=None)
