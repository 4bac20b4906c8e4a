"""The log on a real Kafka, through aiokafka used plainly: assigned partitions, batches both ways, no group."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, OffsetOutOfRangeError

from libs.stream.log import FetchFailed, Outgoing, Place, PositionLost, PublishFailed, Record

FETCH_MAX_BYTES = 8 * 1024 * 1024
PARTITION_FETCH_MAX_BYTES = 1024 * 1024
BATCH_MAX_BYTES = 1024 * 1024
# A record ends the wait at once; each reader that waited in vain asks again, which is most of what an idle stack does.
FETCH_WAIT_MS = 1_000
REQUEST_TIMEOUT_MS = 10_000
METADATA_AGE_MS = 300_000
CALL_TIMEOUT_S = 15.0
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 1.0


@contextmanager
def _no_strays(failure: type[Exception]) -> Iterator[None]:
    """Turn a cancellation that nobody asked for into a failure.

    aiokafka awaits tasks that it has cancelled itself, and lets that out. A worker that took it for its own would end
    without a word, and a task group would take that for good.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise failure("cancelled from inside the client") from error


async def _end(stopping: Coroutine[Any, Any, None], limit_s: float) -> None:
    """Stop a client that is thrown away, in a task of its own: how that ends is nobody's business any more."""
    task = asyncio.create_task(stopping)
    await asyncio.wait({task}, timeout=limit_s)
    if not task.done():
        task.cancel()
    elif not task.cancelled():
        task.exception()


async def _cut(producer: Any) -> None:
    """Stop a producer without sending what it holds.

    Its own `stop` waits until all of that is acknowledged. Cancelled while it waits, it leaves a task and a connection
    that go on trying, for ever.
    """
    producer._closed = True
    sender = producer._sender.sender_task if producer._sender is not None else None
    if sender is not None:
        sender.cancel()
    await producer.client.close()
    if sender is not None:
        await asyncio.wait({sender})


class KafkaLog:
    """One client of a cluster: a consumer that reads, one that only asks how far the log goes, an idempotent producer.

    The broker answers a connection's requests one after the other: a question would wait until the fetch before it
    brings something. The producer is thrown away after any failed send (aiokafka issue 1017: it can fail for good
    afterwards), a consumer after any failure. None of it loses anything: positions and unsent records are durable
    elsewhere.
    """

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._reader: Any = None
        self._asker: Any = None
        self._asker_lock = asyncio.Lock()
        self._producer: Any = None

    async def _new_consumer(self) -> Any:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_min_bytes=1,
            fetch_max_bytes=FETCH_MAX_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_MAX_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
            check_crcs=True,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await consumer.start()
        except BaseException as error:
            await _end(consumer.stop(), STOP_TIMEOUT_S)
            if isinstance(error, KafkaError | OSError | TimeoutError):
                raise FetchFailed(repr(error)) from error
            raise
        return consumer

    async def _asking(self) -> Any:
        async with self._asker_lock:
            if self._asker is None:
                self._asker = await self._new_consumer()
            return self._asker

    async def _drop(self, consumer: Any) -> None:
        """Throw a consumer away, once; whoever made a new one in the meantime keeps it."""
        if consumer is None:
            return
        if consumer is self._reader:
            self._reader = None
        elif consumer is self._asker:
            self._asker = None
        else:
            return
        await _end(consumer.stop(), STOP_TIMEOUT_S)

    async def _asked(self, method: str, *arguments: Any) -> Any:
        asker = None
        try:
            with _no_strays(FetchFailed):
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    asker = await self._asking()
                    return await getattr(asker, method)(*arguments)
        except (KafkaError, ConsumerStoppedError, OSError, TimeoutError) as error:
            await self._drop(asker)
            raise FetchFailed(f"{method}: {error!r}") from error

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; raises FetchFailed while it does not exist."""
        asker = await self._asking()
        try:
            with _no_strays(FetchFailed):
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await asker._client._wait_on_metadata(topic)  # aiokafka has no public call that asks for one topic
        except (KafkaError, OSError, TimeoutError) as error:
            await self._drop(asker)
            raise FetchFailed(f"no topic {topic}: {error!r}") from error
        found = asker.partitions_for_topic(topic)
        if not found:
            raise FetchFailed(f"no topic {topic}")
        return len(found)

    async def beginnings(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return the first offset still held of each place."""
        found = await self._asked("beginning_offsets", [TopicPartition(*place) for place in places])
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return the offset after the last record of each place."""
        if not places:
            return {}
        found = await self._asked("end_offsets", [TopicPartition(*place) for place in places])
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def read_from(self, positions: Mapping[Place, int]) -> None:
        """Read these places from these offsets on; raises PositionLost if the log ends before one of them."""
        ends = await self.ends(list(positions))
        starts = await self.beginnings(list(positions)) if positions else {}
        for place, offset in positions.items():
            if not starts[place] <= offset <= ends[place]:
                raise PositionLost(
                    f"{place[0]}/{place[1]} holds {starts[place]} to {ends[place]}, but {offset} is next"
                )
        reader = self._reader or await self._new_consumer()
        reader.assign([TopicPartition(*place) for place in positions])
        for place, offset in positions.items():
            reader.seek(TopicPartition(*place), offset)
        self._reader = reader

    async def fetch(self, max_records: int, timeout_ms: int) -> list[Record]:
        """Return up to `max_records` new records; a broker that is away looks like an empty log until it is back.

        Between two calls nothing is asked for. Else the client would ask again at once, and be told of each single
        record that is published while its reader works or rests.
        """
        reader = self._reader
        if reader is None:
            raise FetchFailed("nobody reads the log here any more: begin again")
        if reader._fetcher.error_future.done():  # the task that fetches in the background: nobody else asks after it
            await self._drop(reader)
            raise FetchFailed("the consumer stopped fetching")
        assigned = reader.assignment()
        if not assigned:
            await asyncio.sleep(timeout_ms / 1000)
            return []
        try:
            with _no_strays(FetchFailed):
                reader.resume(*reader.paused())
                found = await reader.getmany(timeout_ms=timeout_ms, max_records=max_records)
                if found:
                    reader.pause(*assigned)
        except OffsetOutOfRangeError as error:
            await self._drop(reader)
            raise PositionLost(repr(error)) from error
        except (KafkaError, ConsumerStoppedError, OSError) as error:
            await self._drop(reader)
            raise FetchFailed(repr(error)) from error
        return [
            Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
            for records in found.values()
            for r in records
        ]

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append `records` as batches, one partition after the other in flight, and wait for every acknowledgement."""
        by_place: dict[Place, list[Outgoing]] = {}
        for record in records:
            by_place.setdefault((record.topic, record.partition), []).append(record)
        try:
            with _no_strays(PublishFailed):
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    producer = await self._writer()
                    await asyncio.gather(*[self._publish_to(producer, place, some) for place, some in by_place.items()])
        except (KafkaError, OSError, TimeoutError) as error:
            raise PublishFailed(repr(error)) from error

    async def _writer(self) -> Any:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                compression_type="zstd",
                max_batch_size=BATCH_MAX_BYTES,
                max_request_size=BATCH_MAX_BYTES * 4,
                linger_ms=0,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                metadata_max_age_ms=METADATA_AGE_MS,
            )
            try:
                await producer.start()
            except BaseException:
                await _end(_cut(producer), STOP_TIMEOUT_S)
                raise
            self._producer = producer
        return self._producer

    async def _publish_to(self, producer: Any, place: Place, records: Sequence[Outgoing]) -> None:
        sent = []
        batch = producer.create_batch()
        for record in records:
            for _ in range(2):
                metadata = batch.append(
                    key=record.key, value=record.value, timestamp=record.timestamp_ms, headers=list(record.headers)
                )
                if metadata is not None:
                    break
                sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
                batch = producer.create_batch()
            else:
                raise PublishFailed(f"a record of {len(record.value)} bytes does not fit a batch of {BATCH_MAX_BYTES}")
        if batch.record_count():
            sent.append(await producer.send_batch(batch, place[0], partition=place[1]))
        await asyncio.gather(*sent)

    async def reset_publishing(self) -> None:
        """Throw the producer away; the next publish makes a new one with a new id."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _end(_cut(producer), STOP_TIMEOUT_S)

    async def close(self) -> None:
        """Leave the cluster."""
        await self._drop(self._reader)
        await self._drop(self._asker)
        await self.reset_publishing()
