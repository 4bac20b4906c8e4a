"""The supervisor with the real Kafka and the real Postgres: both come back after kill -9, with their data."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local.layout import Ports
from deploy.local.plan import Servers, stack_plan
from libs.testkit.embedded.kafka import prepare_kafka
from libs.testkit.embedded.postgres import PostgresServer, prepare_postgres, remove_postgres_data
from libs.testkit.embedded.probes import broker_is_ready, postgres_accepts
from libs.testkit.embedded.server import free_ports
from libs.testkit.waiting import until_now

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
WAIT_LIMIT_S = 15.0


@pytest.fixture
def servers(toys: Any) -> Iterator[Any]:
    yield toys
    toys.down()
    remove_postgres_data(toys.layout.postgres_data)


def test_both_servers_come_back_with_their_data(servers: Any) -> None:
    ports = Ports(free_ports(1)[0])
    prepare_kafka()
    prepared = prepare_postgres(servers.layout.postgres_data)
    plan = stack_plan(servers.layout, ports, Servers("", "", True, True))
    children = [child for child in plan.children if child.probe != "none"]
    assert [child.name for child in children] == ["postgres", "kafka"]
    servers.up(*children, ready_limit_s=60.0)
    postgres = PostgresServer(
        "Postgres", None, ports.postgres, servers.layout.log_of("postgres"),  # type: ignore[arg-type]
        password=prepared.password, programs=prepared.programs,
    )  # fmt: skip
    postgres.query("CREATE TABLE kept AS SELECT 1 AS n")
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{ports.kafka}", "log_level": 0})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(10.0)
    for name in ("postgres", "kafka"):
        before = servers.record(name).pid
        os.kill(before, signal.SIGKILL)
        until_now(lambda: servers.record(name).pid != before, WAIT_LIMIT_S)
    until_now(lambda: postgres_accepts("127.0.0.1", ports.postgres, "ordo", "ordo"), WAIT_LIMIT_S)
    until_now(lambda: broker_is_ready("127.0.0.1", ports.kafka), WAIT_LIMIT_S)
    assert postgres.query("SELECT n FROM kept") == "1"
    until_now(lambda: "kept" in admin.list_topics(timeout=5.0).topics, WAIT_LIMIT_S)
    servers.down()
    assert servers.living() == []
