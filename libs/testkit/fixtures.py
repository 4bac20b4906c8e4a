"""The servers that tests run against: started once a session, given fresh databases and topics, stopped at the end."""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contracts.topics import TOPICS
from libs.stream.kafka_admin import create_topics, delete_topics
from libs.testkit.embedded.kafka import running_kafka
from libs.testkit.embedded.postgres import PostgresServer, running_postgres

PARTITIONS = 4


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real Postgres for the length of the test session; it need not survive the machine, so it does not sync."""
    with running_postgres(settings={"fsync": "off", "full_page_writes": "off"}) as server:
        yield server


@pytest.fixture(scope="session")
def new_database(postgres_server: PostgresServer) -> Callable[[], str]:
    """Makes an empty database and returns its DSN."""
    numbers = itertools.count(1)
    return lambda: postgres_server.create_database(f"t{os.getpid()}_{next(numbers)}")


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The DSN of an empty database of this test's own."""
    return new_database()


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """A real Kafka for the length of the test session."""
    with running_kafka() as server:
        yield server.bootstrap


@pytest.fixture(scope="session")
def mock_bootstrap() -> Iterator[str]:
    """librdkafka's in-process mock broker: real sockets, no JVM, nothing durable."""
    from confluent_kafka import Producer

    keeper: Any = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored"})
    brokers = keeper.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del keeper


@pytest.fixture
async def fresh_topics(kafka_bootstrap: str) -> str:
    """The product's topics, empty, on the real broker."""
    await delete_topics(kafka_bootstrap, "ordo.")
    await create_topics(kafka_bootstrap, TOPICS, PARTITIONS, 1)
    return kafka_bootstrap
