"""However plans, cancellations, amendments, timers and hands interleave, every parcel ends once."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.shipments import (
    AmendTooLate,
    CancelTooLate,
    FulfillmentCancelled,
    ParcelShipped,
    PickTaskClaimed,
    PickTaskCreated,
    PickTaskUnclaimed,
)
from libs.decide import Reply
from services.fulfillment import domain
from services.fulfillment.tests.steps import (
    LIMIT,
    NOW,
    ONE,
    ORDER,
    TWO,
    amended,
    assigned,
    bench,
    cancelling,
    claim,
    content,
    pack,
    released,
    scan,
    ship,
    weigh,
)

WAREHOUSE = {ONE: "CD", TWO: "GZ"}
PICKERS = st.sampled_from(["pda-1", "pda-2"])
PLACES = st.integers(0, 9)


class Warehouse(RuleBasedStateMachine):
    """One order in one or two parcels, and everything that can happen to it."""

    @initialize(parcels=st.integers(1, 2), at_once=st.sampled_from([True, True, True, False]))
    def begin(self, parcels: int, at_once: bool) -> None:
        self.bench = bench(tell_wms=True)
        self.parcels = parcels
        self.now = NOW
        self.said: list[object] = []
        self.version = 1
        self.requests: list[str] = []
        self.waybills = 0
        # Most runs begin with a plan, so that there is something to race for.
        if at_once:
            self.placed()
            self.planned()

    def do(self, message) -> list[object]:
        outputs = self.bench.handle(message, self.now)
        self.said.extend(outputs)
        return outputs

    def count(self, kind: type) -> list:
        return [event for event in self.said if isinstance(event, kind)]

    def task_at(self, place: int) -> str:
        """Return a task that is still to be worked on, or (now and then, or if there is none) any."""
        working = [t.task_id for t in self.bench.all_rows(domain.PickTask) if t.state not in ("shipped", "cancelled")]
        return working[place % len(working)] if working and place else (ONE, TWO)[place % self.parcels]

    @rule()
    def placed(self) -> None:
        self.do(content())

    @rule()
    def planned(self) -> None:
        self.do(assigned(parcels=self.parcels))

    @precondition(lambda self: not self.count(PickTaskCreated))
    @rule()
    def closed_by_inventory(self) -> None:
        self.do(released())

    @precondition(lambda self: len(self.said) > 12 or not self.count(PickTaskCreated))
    @rule(again=st.booleans())
    def cancelled(self, again: bool) -> None:
        if not (again and self.requests):
            self.requests.append(f"c{len(self.requests)}")
        outputs = self.do(cancelling(self.requests[-1]))
        assert len([o for o in outputs if isinstance(o, FulfillmentCancelled | CancelTooLate)]) <= 1

    @rule(changed=st.lists(st.sampled_from(["lines", "sealed", "destination", "total"]), max_size=3, unique=True))
    def amended(self, changed: list[str]) -> None:
        self.version += 1
        outputs = self.do(amended(self.version, *changed, cups=self.version))
        for late in outputs:
            assert isinstance(late, AmendTooLate)
            assert set(late.changed) <= set(changed)

    @rule(place=PLACES, by=PICKERS)
    def claimed(self, place: int, by: str) -> None:
        task_id = self.task_at(place)
        self.do(claim(task_id, by, WAREHOUSE[task_id]))

    @rule(place=PLACES, by=PICKERS, barcode=st.sampled_from(["6901", "6902", "CUP", "9"]), units=st.integers(1, 3))
    def scanned(self, place: int, by: str, barcode: str, units: int) -> None:
        task_id = self.task_at(place)
        before = self.bench.row(domain.PickTask, task_id)
        outputs = self.do(scan(barcode, units, task_id, by, WAREHOUSE[task_id]))
        if outputs[-1].status != 200:
            assert self.bench.row(domain.PickTask, task_id) == before

    @rule(place=PLACES, by=PICKERS, far=st.sampled_from([1, 1, 1, 2, 3, 4]))
    def worked_on(self, place: int, by: str, far: int) -> None:
        task_id = self.task_at(place)
        where = WAREHOUSE[task_id]
        self.do(claim(task_id, by, where))
        task = self.bench.row(domain.PickTask, task_id)
        if task is None:
            return
        for line in task.lines[: None if far > 1 else 1]:
            if line.scanned < line.quantity:
                self.do(scan(line.sku, line.quantity - line.scanned, task_id, by, where))
        if far > 1:
            self.do(pack(*[(line.sku, line.quantity) for line in task.lines], task_id=task_id, warehouse=where))
        if far > 2:
            self.do(weigh(task.expected_weight_grams, warehouse=where, task_id=task_id))
        if far > 3:
            self.shipped(place, False)

    @rule(place=PLACES, grams=st.sampled_from([9, 600, 1000, 1600]), recheck=st.booleans())
    def weighed(self, place: int, grams: int, recheck: bool) -> None:
        task_id = self.task_at(place)
        self.do(weigh(grams, recheck=recheck, warehouse=WAREHOUSE[task_id], task_id=task_id))

    @rule(place=PLACES, same=st.booleans())
    def shipped(self, place: int, same: bool) -> None:
        task_id = self.task_at(place)
        self.waybills += 0 if same else 1
        self.do(ship(f"SF{self.waybills}", task_id=task_id, warehouse=WAREHOUSE[task_id]))

    @rule(place=PLACES, by=PICKERS)
    def handed_back(self, place: int, by: str) -> None:
        task_id = self.task_at(place)
        self.do(domain.HandBack(task_id=task_id, by=by, warehouse=WAREHOUSE[task_id]))

    @rule(seconds=st.sampled_from([1, LIMIT // 2, LIMIT, 2 * LIMIT]), ticks=st.booleans())
    def time_passes(self, seconds: int, ticks: bool) -> None:
        self.now += timedelta(seconds=seconds)
        if ticks:
            self.said.extend(self.bench.tick(self.now))

    @invariant()
    def no_parcel_ends_twice(self) -> None:
        shipped = [event.task_id for event in self.count(ParcelShipped)]
        cancelled = [parcel for event in self.count(FulfillmentCancelled) for parcel in event.cancelled_parcels]
        assert len(shipped) == len(set(shipped))
        assert not set(shipped) & set(cancelled)
        assert len(self.count(FulfillmentCancelled)) <= 1

    @invariant()
    def one_outcome_for_each_cancellation(self) -> None:
        late = [event.request_id for event in self.count(CancelTooLate)]
        assert len(late) == len(set(late))
        assert not (late and self.count(FulfillmentCancelled))
        file = self.bench.row(domain.OrderFile, ORDER)
        if self.requests and file is not None and file.state not in ("closed", "waiting"):
            assert late or self.count(FulfillmentCancelled)
        for event in self.count(FulfillmentCancelled):
            parts = {*event.cancelled_parcels, *event.shipped_parcels}
            assert parts == {ONE, TWO} if self.parcels == 2 else parts == {ONE}

    @invariant()
    def tasks_are_made_once_and_never_over_counted(self) -> None:
        created = [event.task_id for event in self.count(PickTaskCreated)]
        assert len(created) == len(set(created))
        for task in self.bench.all_rows(domain.PickTask):
            assert all(0 <= line.scanned <= line.quantity for line in task.lines)
            assert task.state != "open" or not any(line.scanned for line in task.lines)
            assert (task.state == "claimed") == (task.claim_until is not None)
            assert (task.state == "shipped") == (task.waybill is not None)
            assert (("claim", task.task_id) in self.bench.timers) == (task.state == "claimed")

    @invariant()
    def a_claim_ends_before_the_next_begins(self) -> None:
        holder: dict[str, str] = {}
        for event in self.said:
            if isinstance(event, PickTaskClaimed):
                assert event.task_id not in holder
                holder[event.task_id] = event.picker
            elif isinstance(event, PickTaskUnclaimed):
                assert holder.pop(event.task_id) == event.picker

    @invariant()
    def the_order_s_file_agrees_with_its_tasks(self) -> None:
        file = self.bench.row(domain.OrderFile, ORDER)
        for ref in file.tasks if file else []:
            task = self.bench.row(domain.PickTask, ref.task_id)
            ended = task is None or task.state in ("shipped", "cancelled")
            assert ref.state == ((task.state if task else "cancelled") if ended else "open")
        for event in self.count(ParcelShipped)[-1:]:
            assert event.last == all(ref.state != "open" for ref in file.tasks) or file.state == "cancelled"

    @invariant()
    def every_command_was_answered(self) -> None:
        assert all(answer.status in (200, 403, 404, 409) for answer in self.count(Reply))


Warehouse.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestWarehouse = Warehouse.TestCase
