"""A consumer that was lost is never mistaken for a quiet log: the reader is told to begin again."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.producer.sender import SendProduceReqHandler
from msgspec.structs import replace

from contracts.topics import RISK
from libs.stream import kafka
from libs.stream.kafka import FETCH_WAIT_MS, KafkaLog
from libs.stream.log import FetchFailed, Outgoing, PublishFailed

pytestmark = pytest.mark.kafka
NUMBERS = itertools.count(1)


@pytest.fixture
async def log(mock_bootstrap: str) -> AsyncIterator[tuple[KafkaLog, str]]:
    """A log that reads a topic of its own from the beginning; one record is there."""
    topic = f"lost-{next(NUMBERS)}"
    found = KafkaLog(mock_bootstrap, "reader")
    await found.partitions(topic)
    await found.publish([out(topic, 1)])
    await found.read_from({(topic, 0): 0})
    assert await read(found) == [b"1"]
    yield found, topic
    await found.close()


def out(topic: str, seq: int) -> Outgoing:
    return Outgoing(topic, 0, seq, 1_700_000_000_000, b"k", str(seq).encode(), ())


async def read(log: KafkaLog) -> list[bytes | None]:
    async with asyncio.timeout(10):
        while True:
            found = await log.fetch(10, 100)
            if found:
                return [record.value for record in found]


async def failing(*_: Any, **__: Any) -> Any:
    raise KafkaConnectionError("the broker is away")


async def test_a_question_that_failed_leaves_the_reader_alone(log: tuple[KafkaLog, str]) -> None:
    found, topic = log
    found._asker.end_offsets = failing
    with pytest.raises(FetchFailed):
        await found.ends([(topic, 0)])
    assert await found.ends([(topic, 0)]) == {(topic, 0): 1}, "a health check asks again, and gets a new consumer"
    await found.publish([out(topic, 2)])
    assert await read(found) == [b"2"]


async def test_a_question_does_not_wait_for_the_fetch_that_is_under_way(log: tuple[KafkaLog, str]) -> None:
    found, topic = log
    fetching = asyncio.create_task(found.fetch(10, 60_000))
    assert await found.ends([(topic, 0)]) == {(topic, 0): 1}
    began = time.monotonic()
    for _ in range(5):
        await found.ends([(topic, 0)])
    assert time.monotonic() - began < FETCH_WAIT_MS / 1000
    assert not fetching.done()
    fetching.cancel()


async def test_a_reader_that_was_lost_reads_nothing_until_it_is_told_where(log: tuple[KafkaLog, str]) -> None:
    found, topic = log
    found._reader.getmany = failing
    for _ in range(3):
        with pytest.raises(FetchFailed):
            await found.fetch(10, 100)
    await found.publish([out(topic, 2)])
    await found.read_from({(topic, 0): 1})
    assert await read(found) == [b"2"]


async def test_a_fetcher_that_died_in_the_background_is_noticed(log: tuple[KafkaLog, str]) -> None:
    found, topic = log
    found._reader._fetcher.error_future.cancel()
    await asyncio.wait([found._reader._fetcher.error_future], timeout=5)
    with pytest.raises(FetchFailed):
        await found.fetch(10, 100)
    await found.publish([out(topic, 2)])
    await found.read_from({(topic, 0): 1})
    assert await read(found) == [b"2"]


async def test_two_who_ask_at_once_share_one_consumer(mock_bootstrap: str) -> None:
    found = KafkaLog(mock_bootstrap, "reader")
    topic = f"lost-{next(NUMBERS)}"
    try:
        await asyncio.gather(found.partitions(topic), found.partitions(topic))
        first = found._asker
        await found.read_from({(topic, 0): 0})
        assert found._asker is first
    finally:
        await found.close()


async def cancelled(*_: Any, **__: Any) -> Any:
    raise asyncio.CancelledError


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(log: tuple[KafkaLog, str]) -> None:
    found, topic = log
    found._producer.send_batch = cancelled
    with pytest.raises(PublishFailed):
        await found.publish([out(topic, 2)])
    found._reader.getmany = cancelled
    with pytest.raises(FetchFailed):
        await found.fetch(10, 100)
    found._asker.end_offsets = cancelled
    with pytest.raises(FetchFailed):
        await found.ends([(topic, 0)])


async def test_a_client_that_cannot_even_stop_does_no_harm(log: tuple[KafkaLog, str]) -> None:
    found, topic = log
    consumer, producer = found._asker, found._producer
    stops = [consumer.stop, producer.stop]
    consumer.stop = producer.stop = cancelled
    consumer.end_offsets = failing
    with pytest.raises(FetchFailed):
        await found.ends([(topic, 0)])
    await found.reset_publishing()
    assert await found.ends([(topic, 0)]) == {(topic, 0): 1}
    await found.publish([out(topic, 2)])
    for stop in stops:
        await stop()


async def test_whoever_is_really_cancelled_stays_so(log: tuple[KafkaLog, str]) -> None:
    found, _ = log
    getmany, waits = found._reader.getmany, asyncio.Event()

    async def noted(*words: Any, **more: Any) -> Any:
        waits.set()
        return await getmany(*words, **more)

    found._reader.getmany = noted
    task = asyncio.create_task(found.fetch(10, 60_000))
    async with asyncio.timeout(10):
        await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_a_wrong_clock_dated_is_published_all_the_same(fresh_topics: str) -> None:
    found = KafkaLog(fresh_topics, "writer")
    in_a_day_ms = int(time.time() * 1000) + 24 * 3600 * 1000
    try:
        await found.publish([replace(out(RISK.name, 1), timestamp_ms=in_a_day_ms)])
        assert (await found.ends([(RISK.name, 0)])) == {(RISK.name, 0): 1}
    finally:
        await found.close()


async def test_nothing_is_asked_between_two_calls(log: tuple[KafkaLog, str]) -> None:
    found, topic = log
    sent = found._reader._client.send
    asked: list[str] = []

    async def counted(node: Any, request: Any, **more: Any) -> Any:
        asked.append(type(request).__name__)
        return await sent(node, request, **more)

    found._reader._client.send = counted
    for seq in (2, 3):
        await found.publish([out(topic, seq)])
    assert asked == [], "the reader works or rests"
    for number, seq in enumerate((2, 3), 1):  # the mock broker gives one batch an answer
        assert await read(found) == [b"%d" % seq]
        await found.publish([out(topic, seq + 2)])
        assert asked == ["FetchRequest"] * number, "one look, one question, whatever is published meanwhile"


async def test_a_producer_that_is_thrown_away_leaves_nothing_that_goes_on_trying(
    log: tuple[KafkaLog, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, topic = log

    def senders() -> int:
        return sum("_sender_routine" in repr(task) for task in asyncio.all_tasks())

    assert senders() == 1
    monkeypatch.setattr(kafka, "CALL_TIMEOUT_S", 0.3)

    def unheard(self: Any, response: Any) -> None:
        self._to_reenqueue.extend(self._batches.values())

    with monkeypatch.context() as sick:  # what not enough replicas looks like: the client asks again, without end
        sick.setattr(SendProduceReqHandler, "handle_response", unheard)
        for _ in range(3):
            with pytest.raises(PublishFailed):
                await found.publish([out(topic, 2)])
            await found.reset_publishing()
            assert senders() == 0
    await found.publish([out(topic, 2)])
    assert senders() == 1
