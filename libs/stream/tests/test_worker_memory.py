"""The worker on the memory double: sequences, duplicates, commands, timers, poison, take-over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from contracts.catalog import SkuDefined
from contracts.topics import ORDERS, PARKED, RISK
from libs.stream.batch import Writer
from libs.stream.desk import NotServing
from libs.stream.journal import Head
from libs.stream.memory import MemoryCluster, MemoryJournal, MemoryLog, Stored
from libs.stream.worker import Worker
from libs.testkit.tally import HANDLERS, LIMITS, START, Add, Out, Tally, cancels
from libs.testkit.waiting import until


def clock() -> datetime:
    return datetime.now(UTC)


def feed(cluster: MemoryCluster, *orders: tuple[str, str]) -> None:
    """Append cancel requests as their writer would, sequences counted per partition."""
    heads = {place: Head(len(some) + 1, 0) for place, some in cluster.records.items() if place[0] == ORDERS.name}
    for record in cancels(heads, cluster.partitions, *orders):
        cluster.append(record)


@asynccontextmanager
async def running(stored: Stored, cluster: MemoryCluster, owner: str = "a") -> AsyncIterator[Worker]:
    worker = Worker(
        HANDLERS,
        MemoryJournal(stored, clock),
        MemoryLog(cluster),
        owner=owner,
        clock=clock,
        senders={"out": Out()},
        limits=LIMITS,
    )
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 5)


def events(cluster: MemoryCluster, topic: str) -> list[dict]:
    found = [r for place, records in cluster.records.items() if place[0] == topic for r in records]
    return [msgspec.json.decode(r.value) for r in found]


async def test_every_message_is_decided_and_published_once() -> None:
    stored, cluster = Stored(), MemoryCluster()
    feed(cluster, *[(f"o{i % 50}", "") for i in range(300)])
    async with running(stored, cluster):
        await until(lambda: len(events(cluster, RISK.name)) == 300)
        await until(lambda: all(t.woken for t in stored.all_rows(Tally)) and not stored.timers)
        await until(lambda: all(t.told == "ok" for t in stored.all_rows(Tally)))
    assert [t.count for t in stored.all_rows(Tally)] == [6] * 50
    assert all(head.cursor == head.next_seq - 1 for head in stored.heads.values())
    assert stored.expires_at <= clock(), "the lease is given back"


async def test_duplicates_in_the_log_are_dropped_and_a_gap_waits_for_the_resend() -> None:
    stored, cluster = Stored(), MemoryCluster(partitions=1)
    feed(cluster, ("a", ""), ("b", ""), ("c", ""), ("d", ""))
    place = (ORDERS.name, 0)
    first, second, third, fourth = cluster.records.pop(place)
    for at, record in enumerate((first, first, second, fourth, second, third, fourth, third)):
        cluster.at(place).append(replace(record, offset=at))
    async with running(stored, cluster):
        await until(lambda: stored.offsets.get(place) == 8)
    assert [t.count for t in stored.all_rows(Tally)] == [1, 1, 1, 1]


async def test_a_command_is_decided_once_per_key_and_refused_with_another_body() -> None:
    stored, cluster = Stored(), MemoryCluster()
    async with running(stored, cluster) as worker:
        await until(lambda: stored.owner == "a" and worker._serving)
        answers = await asyncio.gather(*[worker.submit(Add(order_id="x", amount=1), "k") for _ in range(5)])
        assert {answer.body["count"] for answer in answers} == {1}
        assert (await worker.submit(Add(order_id="x", amount=2), "k")).status == 422
        assert (await worker.submit(Add(order_id="x", amount=-1), "bad")).status == 500
        assert (await worker.submit(Add(order_id="x", amount=5), "k2")).body == {"count": 6}
    async with running(stored, cluster, "b") as worker:
        await until(lambda: worker._serving)
        assert (await worker.submit(Add(order_id="x", amount=1), "k")).body == {"count": 1}
    with pytest.raises(NotServing):
        await worker.submit(Add(order_id="x", amount=1), "late")


async def test_poison_is_parked_with_those_behind_it_and_redriven_in_order(monkeypatch) -> None:
    stored, cluster = Stored(), MemoryCluster()
    feed(cluster, ("p", ""), ("p", "poison"), ("p", ""), ("q", ""))
    async with running(stored, cluster) as worker:
        await until(lambda: len(stored.parked) == 2)
        assert [(m.key, m.behind) for m in stored.parked] == [("p", False), ("p", True)]
        feed(cluster, ("p", ""))
        await until(lambda: len(stored.parked) == 3)
        assert stored.row(Tally, "p").count == 1
        assert stored.row(Tally, "q").count == 1
        assert (await worker.submit(Add(order_id="p", amount=1), "k")).status == 423
        refused = await worker.redrive("p")
        assert refused.status == 409
        assert "cannot stomach" in refused.body["detail"]
        assert len(stored.parked) == 3
        stored.parked[0] = stored.parked[0].__class__(
            **{**stored.parked[0].__dict__, "value": stored.parked[0].value.replace(b"poison", b"mended")}
        )
        assert (await worker.redrive("p")).body["redriven"] == 3
        assert stored.row(Tally, "p").count == 4
        assert (await worker.redrive("p")).status == 404
        await until(lambda: len(events(cluster, PARKED["risk"].name)) == 3)


async def test_bad_bytes_and_strangers_records_are_parked_and_block_nothing() -> None:
    stored, cluster = Stored(), MemoryCluster(partitions=1)
    feed(cluster, ("a", ""), ("b", ""))
    place = (ORDERS.name, 0)
    good, after = cluster.records.pop(place)
    stranger = replace(good, offset=1, headers=(("ce_type", b"OrderCancelRequested"),))
    broken = replace(after, offset=2, value=b"{not json")
    following = replace(good, offset=3, headers=tuple((k, b"3" if k == "ce_id" else v) for k, v in good.headers))
    cluster.records[place] = [good, stranger, broken, following]
    async with running(stored, cluster):
        await until(lambda: stored.offsets.get(place) == 4)
    assert stored.row(Tally, "a").count == 2
    assert sorted(m.key for m in stored.parked) == ["?ordo.orders.v1/0/1", "b"]


async def test_what_the_database_refuses_is_found_by_halving_and_parked() -> None:
    stored, cluster = Stored(), MemoryCluster()
    stored.check = lambda row: "check constraint" if row.order_id == "o7" else None
    feed(cluster, *[(f"o{i}", "") for i in range(20)])
    async with running(stored, cluster):
        await until(lambda: sum(stored.offsets.values()) == 20)
    assert [m.key for m in stored.parked] == ["o7"]
    assert len(stored.all_rows(Tally)) == 19


async def test_a_second_worker_stands_by_and_a_zombie_is_fenced() -> None:
    stored, cluster = Stored(), MemoryCluster()
    async with running(stored, cluster, "a") as first, running(stored, cluster, "b") as second:
        await until(lambda: first._serving or second._serving)
        assert first._serving != second._serving
        zombie, heir = (first, second) if first._serving else (second, first)
        stored.expires_at = START  # the holder slept past its lease
        await until(lambda: heir._serving)
        feed(cluster, ("a", ""), ("b", ""))
        await until(lambda: len(events(cluster, RISK.name)) >= 2)
        await until(lambda: not zombie._serving)
    assert [t.count for t in stored.all_rows(Tally)] == [1, 1]


async def test_committed_but_unpublished_events_are_resent_by_the_next_worker() -> None:
    stored, cluster = Stored(), MemoryCluster()
    feed(cluster, ("a", ""), ("b", ""))
    async with running(stored, cluster):
        await until(lambda: len(events(cluster, RISK.name)) == 2)
    lost = MemoryCluster()
    lost.records = {place: records for place, records in cluster.records.items() if place[0] == ORDERS.name}
    for head in stored.heads.values():
        head.cursor = 0
    async with running(stored, lost):
        await until(lambda: len(events(lost, RISK.name)) == 2)


def test_only_the_topics_own_writer_may_publish_there() -> None:
    with pytest.raises(KeyError):
        Writer("risk", 0, 1, 4, {}).event(SkuDefined(sku="a"), "c", 0, {})


async def test_what_follows_a_refused_message_waits_behind_it_although_the_batch_was_halved() -> None:
    stored, cluster = Stored(), MemoryCluster(partitions=1)
    stored.check = lambda row: "check constraint" if row.order_id == "o1" and row.count > 1 else None
    feed(cluster, *[(f"o{i % 4}", "") for i in range(32)])
    async with running(stored, cluster):
        await until(lambda: sum(stored.offsets.values()) == 32)
    assert stored.row(Tally, "o1").count == 1
    assert [m.behind for m in stored.parked] == [False, *[True] * 6]
    assert [m.offset for m in stored.parked] == [5, 9, 13, 17, 21, 25, 29], "in their order, none decided"
    assert [stored.row(Tally, key).count for key in ("o0", "o2", "o3")] == [8, 8, 8]


async def test_a_flood_of_poison_is_parked_and_the_rest_is_decided() -> None:
    stored, cluster = Stored(), MemoryCluster()
    feed(cluster, *[(f"o{i}", "poison" if i % 3 else "") for i in range(1_500)])
    async with running(stored, cluster):
        await until(lambda: sum(stored.offsets.values()) == 1_500)
    assert (len(stored.parked), len(stored.all_rows(Tally))) == (1_000, 500)
    assert not any(m.behind for m in stored.parked)


async def test_who_makes_outward_calls_may_be_told_after_the_worker_was_made() -> None:
    stored, cluster, senders = Stored(), MemoryCluster(partitions=1), {}
    journal, log = MemoryJournal(stored, clock), MemoryLog(cluster)
    worker = Worker(HANDLERS, journal, log, owner="a", clock=clock, senders=senders, limits=LIMITS)
    senders["out"] = Out()
    task = asyncio.create_task(worker.run())
    feed(cluster, ("o1", ""))
    await until(lambda: (tally := stored.row(Tally, "o1")) is not None and tally.told == "ok", 5)
    worker.stop()
    await asyncio.wait_for(task, 5)
