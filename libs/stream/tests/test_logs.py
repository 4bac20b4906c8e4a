"""One suite for every log: the memory double, librdkafka's mock broker and a real Kafka keep the same promises."""

import itertools
from collections.abc import AsyncIterator

import pytest

from libs.stream.kafka import KafkaLog
from libs.stream.kafka_admin import create_plain_topics
from libs.stream.log import Log, Outgoing, PositionLost, Record
from libs.stream.memory import MemoryCluster, MemoryLog

HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"1"))
NUMBERS = itertools.count(1)


@pytest.fixture(
    params=[
        "memory",
        pytest.param("mock", marks=pytest.mark.kafka),
        pytest.param("real", marks=pytest.mark.kafka),
    ]
)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Log, Log, str]]:
    """A writer, a reader, and a topic of two partitions that nobody used before."""
    topic = f"suite-{next(NUMBERS)}"
    if request.param == "memory":
        cluster = MemoryCluster(partitions=2)
        yield MemoryLog(cluster), MemoryLog(cluster), topic
        return
    bootstrap = request.getfixturevalue(f"{'mock' if request.param == 'mock' else 'kafka'}_bootstrap")
    if request.param == "real":  # the mock broker makes a topic of four partitions when it is first asked for
        await create_plain_topics(bootstrap, {topic: {}}, 2)
    writer, reader = KafkaLog(bootstrap, "writer"), KafkaLog(bootstrap, "reader")
    yield writer, reader, topic
    await writer.close()
    await reader.close()


def out(topic: str, partition: int, seq: int, size: int = 20) -> Outgoing:
    return Outgoing(topic, partition, seq, 1_700_000_000_000 + seq, f"k{seq}".encode(), b"v" * size, HEADERS)


async def read(reader: Log, count: int, limit: int = 100) -> list[Record]:
    found: list[Record] = []
    for _ in range(200):
        found += await reader.fetch(limit, 100)
        if len(found) >= count:
            break
    return found


async def test_records_come_back_whole_and_in_order(pair: tuple[Log, Log, str]) -> None:
    writer, reader, topic = pair
    places = [(topic, 0), (topic, 1)]
    assert await writer.partitions(topic) >= 2
    await reader.read_from(dict.fromkeys(places, 0))
    await writer.publish([out(topic, i % 2, i) for i in range(40)])
    await writer.publish([out(topic, 0, i) for i in range(40, 45)])
    found = await read(reader, 45)
    assert [r.key for r in found if r.partition == 0] == [f"k{i}".encode() for i in [*range(0, 40, 2), *range(40, 45)]]
    first = next(r for r in found if r.partition == 1)
    assert (first.offset, first.timestamp_ms, first.value) == (0, 1_700_000_000_001, b"v" * 20)
    assert tuple((name, bytes(value)) for name, value in first.headers) == HEADERS
    assert await reader.ends(places) == {(topic, 0): 25, (topic, 1): 20}
    assert await reader.beginnings(places) == {(topic, 0): 0, (topic, 1): 0}


async def test_reading_again_from_an_older_offset(pair: tuple[Log, Log, str]) -> None:
    writer, reader, topic = pair
    await writer.publish([out(topic, 0, i) for i in range(10)])
    await reader.read_from({(topic, 0): 0})
    assert len(await read(reader, 10)) == 10
    await reader.read_from({(topic, 0): 6})
    assert [r.offset for r in await read(reader, 4)] == [6, 7, 8, 9]


async def test_a_position_beyond_the_end_is_said_loudly(pair: tuple[Log, Log, str]) -> None:
    writer, reader, topic = pair
    await writer.publish([out(topic, 0, 0)])
    with pytest.raises(PositionLost):
        await reader.read_from({(topic, 0): 5})


async def test_publishing_goes_on_after_a_reset(pair: tuple[Log, Log, str]) -> None:
    writer, reader, topic = pair
    await writer.publish([out(topic, 0, 1)])
    await writer.reset_publishing()
    await writer.publish([out(topic, 0, 2)])
    await reader.read_from({(topic, 0): 0})
    assert [r.key for r in await read(reader, 2)] == [b"k1", b"k2"]


async def test_more_bytes_than_a_batch_holds(pair: tuple[Log, Log, str]) -> None:
    writer, reader, topic = pair
    await writer.publish([out(topic, 1, i, size=300_000) for i in range(8)])
    await reader.read_from({(topic, 1): 0})
    assert [r.offset for r in await read(reader, 8, limit=3)] == list(range(8))
