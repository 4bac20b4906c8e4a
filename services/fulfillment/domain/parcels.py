"""From the basket to the carrier: the parcel is checked, weighed and shipped, each step once and in turn."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from contracts.envelope import Part
from contracts.shipments import ParcelPacked, ParcelShipped, ParcelWeighed
from libs.decide import Output, Reply, State, problem
from services.fulfillment.domain.answers import admit, barcode_of, out_of_turn, task_view
from services.fulfillment.domain.commands import PackedItem, PackParcel, ShipParcel, WeighParcel
from services.fulfillment.domain.content import Barcode, expected, meant_by, stock_lines, take, unscanned
from services.fulfillment.domain.rows import (
    OPEN,
    PACKED,
    PICKED,
    RECHECK,
    SHIPPED,
    WEIGHED,
    OrderFile,
    PickLine,
    PickTask,
    Waybill,
)
from services.fulfillment.domain.wms import parcel_shipped

SIGNATURE = "signature_on_delivery"


class Tolerance(Part, frozen=True, kw_only=True):
    """How far a reading may be from the catalogue's weight: `percent` of it, but never less than `floor_grams`."""

    percent: int
    floor_grams: int

    def grams(self, expected_grams: int) -> int:
        """Return the allowed difference."""
        return max(self.floor_grams, expected_grams * self.percent // 100)


def pack(command: PackParcel, state: State, now: datetime) -> list[Output]:
    """Pass the parcel if it holds exactly the task's goods, else say what belongs in it."""
    task = admit(command, state)
    if isinstance(task, Reply):
        return [task]
    if task.state != PICKED:
        return [out_of_turn(task)]
    barcode = barcode_of(state)
    if not _exact(command.items, task.lines, barcode):
        content = expected(unscanned(task.lines), barcode)
        detail = "the parcel must hold exactly what is expected"
        return [problem(409, "wrong content", detail, state=task.state, next="pack", expected=content)]
    task.state = PACKED
    state.put(task)
    packed = ParcelPacked(order_id=task.order_id, task_id=task.task_id, warehouse=task.warehouse, picker=command.by)
    return [packed, Reply(body=task_view(task))]


def _exact(items: Sequence[PackedItem], lines: Sequence[PickLine], barcode: Barcode) -> bool:
    """Tell whether the items fill the lines, no unit more and none less."""
    skus = [line.sku for line in lines]
    # Names first: a SKU that is called by its name leaves fewer units to those that share its barcode.
    named = sorted(items, key=lambda item: item.barcode not in skus)
    filled = unscanned(lines)
    for item in named:
        more = take(filled, meant_by(item.barcode, skus, barcode), item.quantity)
        if more is None:
            return False
        filled = more
    return all(line.scanned == line.quantity for line in filled)


def weigh(command: WeighParcel, state: State, now: datetime, *, tolerance: Tolerance) -> list[Output]:
    """Accept a plausible weight; one outside the tolerance waits until somebody looked again and stands by it."""
    task = admit(command, state)
    if isinstance(task, Reply):
        return [task]
    if task.state not in (PACKED, RECHECK):
        return [out_of_turn(task)]
    wanted = task.expected_weight_grams
    plausible = wanted is None or abs(command.weight_grams - wanted) <= tolerance.grams(wanted)
    again = task.state == RECHECK
    accepted = plausible or (again and (command.recheck or command.warehouse is None))
    task.state = WEIGHED if accepted else RECHECK
    task.weight_grams = command.weight_grams
    state.put(task)
    weighed = ParcelWeighed(
        order_id=task.order_id,
        task_id=task.task_id,
        warehouse=task.warehouse,
        weight_grams=command.weight_grams,
        expected_weight_grams=wanted,
        accepted=accepted,
        rechecked_by=command.by if again and accepted else None,
    )
    judged = {
        "accepted": accepted,
        "tolerance_grams": None if wanted is None else tolerance.grams(wanted),
        "detail": _why(wanted, plausible=plausible, accepted=accepted),
    }
    return [weighed, Reply(body={**task_view(task), **judged})]


def _why(wanted: int | None, *, plausible: bool, accepted: bool) -> str:
    if wanted is None:
        return "accepted: the catalogue does not know the weight of every SKU in this parcel"
    if plausible:
        return "accepted: within the tolerance"
    if accepted:
        return "accepted: outside the tolerance, confirmed on the recheck"
    return "outside the tolerance: check the content, then weigh again with recheck set, or call an operator"


def ship(command: ShipParcel, state: State, now: datetime, *, tell_wms: bool = False) -> list[Output]:
    """Let the parcel go once its weight is accepted, under a waybill of its own that has the required services."""
    task = admit(command, state)
    if isinstance(task, Reply):
        return [task]
    if task.state == SHIPPED and (task.carrier, task.waybill) == (command.carrier, command.waybill):
        return [Reply(body=task_view(task))]
    if task.state != WEIGHED:
        return [out_of_turn(task)]
    file = state.get(OrderFile, task.order_id)
    assert file is not None, "a task has an order"
    if file.version > max(file.assigned_version, file.cleared_version):
        detail = "the order was changed, and the change is not cleared yet; put the parcel aside"
        return [problem(409, "the order waits for review", detail, state=task.state, next="ship")]
    if SIGNATURE in task.requirements and SIGNATURE not in command.services:
        detail = f"the order requires {SIGNATURE}; get a waybill with this service"
        return [problem(409, "the waybill lacks a service", detail, field="services", missing_services=[SIGNATURE])]
    if state.get(Waybill, command.carrier, command.waybill) is not None:
        detail = "a waybill number is good for one parcel"
        return [problem(409, "the waybill is taken", detail, field="waybill", state=task.state, next="ship")]
    state.put(Waybill(carrier=command.carrier, waybill=command.waybill, task_id=task.task_id))
    task.state, task.carrier, task.waybill = SHIPPED, command.carrier, command.waybill
    task.services = list(command.services)
    state.put(task)
    last = _close(task, file, state)
    shipped = ParcelShipped(
        order_id=task.order_id,
        task_id=task.task_id,
        warehouse=task.warehouse,
        lines=stock_lines(task.lines),
        carrier=command.carrier,
        waybill=command.waybill,
        services=task.services,
        last=last,
        sealed=file.sealed,
    )
    outputs: list[Output] = [shipped]
    if tell_wms:
        outputs.append(parcel_shipped(task, now, last=last))
    return [*outputs, Reply(body={**task_view(task), "last": last})]


def _close(task: PickTask, file: OrderFile, state: State) -> bool:
    """Note in the order's file that this parcel is gone; tell whether it was the last open one."""
    file.tasks = [
        msgspec.structs.replace(ref, state=SHIPPED) if ref.task_id == task.task_id else ref for ref in file.tasks
    ]
    state.put(file)
    return all(ref.state != OPEN for ref in file.tasks)
