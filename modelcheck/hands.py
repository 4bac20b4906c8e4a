"""Hands: what a picker may do next with each task, what he must not be able to do, and whose claim may end."""

from datetime import datetime, timedelta
from typing import Any

from libs.decide import Command, Due
from modelcheck.orders import GRAMS
from services.fulfillment.domain import (
    CLAIM_TIMER,
    ClaimTask,
    HandBack,
    PackedItem,
    PackParcel,
    PickTask,
    ScanItem,
    ShipParcel,
    WeighParcel,
)

FIRST, SECOND = "pda-1", "pda-2"
CARRIER = "SF"
OFF_BY_GRAMS = 500


def next_steps(task: PickTask, *, weighs_wrong: bool) -> list[Command]:
    """Return what whoever holds the task does next: units are scanned one by one."""
    at: dict[str, Any] = {"task_id": task.task_id, "warehouse": task.warehouse}
    holder = task.picker or FIRST
    if task.state == "open":
        return [ClaimTask(by=FIRST, **at)]
    if task.state == "claimed":
        sku = next(line.sku for line in task.lines if line.scanned < line.quantity)
        return [ScanItem(by=holder, barcode=sku, **at)]
    if task.state == "picked":
        return [PackParcel(by=holder, items=_content(task), **at)]
    if task.state == "packed":
        grams = expected_grams(task)
        readings = [grams, grams + OFF_BY_GRAMS] if weighs_wrong else [grams]
        return [WeighParcel(by=holder, weight_grams=reading, **at) for reading in readings]
    if task.state == "recheck":
        return [WeighParcel(by=holder, weight_grams=expected_grams(task) + OFF_BY_GRAMS, recheck=True, **at)]
    if task.state == "weighed":
        return [_ship(task, holder)]
    return []


def endings(task: PickTask) -> list[tuple[Command | Due, datetime]]:
    """Return the ways in which a claim may end: it expires, it is given back, or somebody asks a moment after."""
    if task.state != "claimed" or task.claim_until is None or task.picker != FIRST:
        return []
    at: dict[str, Any] = {"task_id": task.task_id, "warehouse": task.warehouse}
    over = task.claim_until
    due = Due(kind=CLAIM_TIMER, key=task.task_id, at=over)
    return [
        (due, over),
        (HandBack(by=FIRST, **at), over - timedelta(seconds=1)),
        (ClaimTask(by=SECOND, **at), over),
    ]


def out_of_turn(task: PickTask) -> list[Command]:
    """Return steps that this task must refuse, or take without any effect, as it stands."""
    at: dict[str, Any] = {"task_id": task.task_id, "warehouse": task.warehouse}
    holder = task.picker or FIRST
    goods = [ScanItem(by=holder, barcode=line.sku, **at) for line in task.lines[:1]]
    steps: dict[str, list[Command]] = {
        "open": [ClaimTask(by=FIRST, **at)],
        "claimed": [*goods],
        "picked": [PackParcel(by=holder, items=_content(task), **at)],
        "packed": [WeighParcel(by=holder, weight_grams=expected_grams(task), **at)],
        "recheck": [WeighParcel(by=holder, weight_grams=expected_grams(task), **at)],
        "weighed": [_ship(task, holder)],
    }
    wrong: list[Command] = [
        ScanItem(by="pda-9", barcode=task.lines[0].sku, **at),
        ScanItem(by=holder, barcode="no such barcode", **at),
        PackParcel(by=holder, items=[], **at),
        ClaimTask(by="pda-9", warehouse="elsewhere", task_id=task.task_id),
    ]
    if task.state == "claimed":
        wrong += [ClaimTask(by="pda-9", **at), ClaimTask(by=holder, **at)]
    weighing = ("packed", "recheck")
    return wrong + [
        step
        for state, found in steps.items()
        for step in found
        if state != task.state and not (state in weighing and task.state in weighing)
    ]


def expected_grams(task: PickTask) -> int:
    """Return what the scale shows for the right goods."""
    return sum(GRAMS[line.sku] * line.quantity for line in task.lines)


def _content(task: PickTask) -> list[PackedItem]:
    return [PackedItem(barcode=line.sku, quantity=line.quantity) for line in task.lines]


def _ship(task: PickTask, holder: str) -> ShipParcel:
    return ShipParcel(
        by=holder,
        task_id=task.task_id,
        warehouse=task.warehouse,
        carrier=CARRIER,
        waybill=f"SF-{task.task_id}",
        services=list(task.requirements),
    )
