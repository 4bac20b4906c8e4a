"""A key lives in the partition that Kafka's own clients would choose, today and in ten years."""

from collections import Counter

import pytest
from aiokafka.partitioner import murmur2 as independent
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from libs.stream.partition import murmur2, partition_of

# The vectors of Kafka's own unit test (org.apache.kafka.common.utils.UtilsTest), which are signed there.
PUBLISHED = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", PUBLISHED)
def test_the_vectors_kafka_publishes(key: bytes) -> None:
    assert murmur2(key) == PUBLISHED[key] & 0xFFFFFFFF


@given(key=st.binary(max_size=200))
def test_an_independent_implementation_agrees(key: bytes) -> None:
    assert murmur2(key) == independent(key) & 0xFFFFFFFF


@given(key=st.text(max_size=60), partitions=st.integers(min_value=1, max_value=512))
def test_a_partition_is_one_of_those_there_are(key: str, partitions: int) -> None:
    place = partition_of(key.encode(), partitions)
    assert 0 <= place < partitions
    assert place == (independent(key.encode()) & 0x7FFFFFFF) % partitions


def test_places_never_move() -> None:
    known = {"own.demo.536365": 3, "85123A": 0, "CD": 3, "订单": 2, "": 1}
    assert {key: partition_of(key.encode(), 4) for key in known} == known


def test_orders_spread_evenly() -> None:
    counts = Counter(partition_of(f"own.demo.{number}".encode(), 64) for number in range(64_000))
    assert len(counts) == 64
    assert max(counts.values()) < 1_200 > min(counts.values()) > 800


@pytest.mark.kafka
def test_librdkafka_puts_keyed_records_into_the_same_partition(mock_bootstrap: str) -> None:
    placed: dict[bytes, int] = {}
    producer = Producer({"bootstrap.servers": mock_bootstrap, "partitioner": "murmur2_random"})

    def delivered(error: object, message: object) -> None:
        assert error is None, error
        placed[message.key()] = message.partition()  # type: ignore[attr-defined]

    keys = [f"own.demo.{number}".encode() for number in range(100)]
    for key in keys:
        producer.produce("partition-check", key=key, value=b"v", on_delivery=delivered)
    assert producer.flush(30) == 0
    assert placed == {key: partition_of(key, 4) for key in keys}, "the mock broker makes four partitions"
