"""What the WMS is told: in order, again when it was refused, and never what the task has left behind."""

import asyncio

import pytest

from libs.decide import Delivered, Send
from libs.stream.egress import Egress, Refused, Retry
from libs.stream.memory import MemoryJournal, Stored
from libs.testkit.waiting import until
from services.fulfillment import domain
from services.fulfillment.tests.steps import (
    NOW,
    ONE,
    ORDER,
    SHIP,
    TWO,
    assigned,
    bench,
    cancelling,
    content,
    events,
    reply,
    run,
)

AGAIN = domain.TellWms(task_id=ONE)


def ended(send: Send, *, ok: bool, word: str = "HTTP 200") -> Delivered:
    return Delivered(
        destination=send.destination, send_id=send.send_id, key=send.key, ok=ok, detail=word, body=send.body
    )


def refused(send: Send, word: str = "the receiver answered HTTP 422") -> Delivered:
    return ended(send, ok=False, word=word)


def told(outputs) -> Send:
    (send,) = events(outputs, Send)
    return send


def test_what_was_refused_is_kept_and_told_again_under_another_id():
    made = bench(tell_wms=True)
    created = told(run(made, content(), assigned()))
    assert run(made, refused(created)) == []
    kept = made.row(domain.WmsRefusal, ONE)
    assert kept is not None
    assert (kept.call, kept.word, kept.rounds) == ("task.created", "the receiver answered HTTP 422", 1)
    outputs = run(made, AGAIN)
    again = told(outputs)
    assert (reply(outputs).status, reply(outputs).body["telling"]) == (202, True)
    assert (again.send_id, again.key, again.body) == (f"task.created~2:{ONE}", ORDER, created.body)
    assert reply(run(made, AGAIN)).status == 409, "it is on its way"
    run(made, refused(again, "HTTP 413"))
    third = told(run(made, AGAIN))
    assert third.send_id == f"task.created~3:{ONE}"
    assert run(made, ended(third, ok=True), ended(third, ok=True)) == []
    assert made.row(domain.WmsRefusal, ONE) is None
    assert reply(run(made, AGAIN)).status == 404


def test_what_was_accepted_leaves_nothing_behind():
    made = bench(tell_wms=True)
    run(made, ended(told(run(made, content(), assigned())), ok=True))
    assert made.all_rows(domain.WmsRefusal) == []


def test_the_parcels_of_an_order_are_refused_each_by_itself():
    made = bench(tell_wms=True)
    first, second = events(run(made, content(), assigned(parcels=2)), Send)
    run(made, refused(first), refused(second, "HTTP 413"), ended(first, ok=True))
    [kept] = made.all_rows(domain.WmsRefusal)
    assert (kept.task_id, kept.word) == (TWO, "HTTP 413")


def test_what_a_task_has_left_behind_is_not_told_again():
    made = bench(tell_wms=True)
    run(made, refused(told(run(made, content(), assigned()))))
    cancelled = told(run(made, cancelling()))
    late = reply(run(made, AGAIN))
    assert (late.status, late.body["title"]) == (409, "the task is cancelled")
    run(made, refused(cancelled))
    assert told(run(made, AGAIN)).send_id == f"task.cancelled~2:{ONE}"


def test_a_later_word_that_was_accepted_makes_a_refusal_good():
    made = bench(tell_wms=True)
    run(made, refused(told(run(made, content(), assigned()))))
    run(made, ended(told(run(made, *SHIP)), ok=True))
    assert made.all_rows(domain.WmsRefusal) == []


@pytest.mark.parametrize("task_id", [ONE, "own.demo.none/1"])
def test_where_nothing_was_refused_nothing_is_told(task_id):
    made = bench(tell_wms=True)
    run(made, content(), assigned())
    assert reply(run(made, domain.TellWms(task_id=task_id))).status == 404


class Wms:
    """Down at first; knows only tasks that it was told of."""

    def __init__(self) -> None:
        self.tasks: dict[str, str] = {}
        self.calls = 0

    async def send(self, request: Send, attempt: int) -> str:
        self.calls += 1
        kind, _, task_id = request.send_id.partition(":")
        if self.calls == 1:
            raise Retry("HTTP 503")
        if kind == "task.cancelled" and task_id not in self.tasks:
            raise Refused("HTTP 410")
        self.tasks[task_id] = kind
        return "HTTP 200"


async def test_a_cancellation_does_not_overtake_the_task_that_it_ends():
    made = bench(tell_wms=True)
    sends = events([*run(made, content(), assigned()), *run(made, cancelling())], Send)
    stored, loop = Stored(), asyncio.get_running_loop()

    def now():
        return NOW.fromtimestamp(NOW.timestamp() + loop.time() - begun_s, NOW.tzinfo)

    async def deliver(message: Delivered) -> None:
        stored.egress[message.destination, message.send_id].update(next_try_at=None)
        results.append((message.send_id, message.ok))

    begun_s = loop.time()
    for send in sends:
        row = {"send": send, "attempts": 0, "next_try_at": NOW, "outcome": "waiting"}
        stored.egress[send.destination, send.send_id] = row
    wms, results = Wms(), []
    egress = Egress(
        "fulfillment", MemoryJournal(stored, now), {domain.WMS: wms}, deliver, now, 8, made.handlers.in_order
    )
    task = asyncio.create_task(egress.run())
    try:
        await until(lambda: len(results) == 2)
    finally:
        task.cancel()
    assert results == [(f"task.created:{ONE}", True), (f"task.cancelled:{ONE}", True)]
    assert wms.tasks == {ONE: "task.cancelled"}
