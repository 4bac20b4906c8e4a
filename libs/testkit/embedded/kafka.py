"""A real Apache Kafka node (KRaft, one broker) on loopback ports, small, and with its data kept across kill -9."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from libs.testkit.embedded.kafka_install import KafkaInstall, ensure_kafka, jvm_environment, place_formatted
from libs.testkit.embedded.probes import broker_is_ready
from libs.testkit.embedded.server import (
    LOOPBACK,
    Command,
    Progress,
    RunningServer,
    ServerDidNotStart,
    data_folder,
    free_ports,
    silent,
    wait_until_ready,
)

START_LIMIT_S = 90.0
TRAINING_LIMIT_S = 120.0
TRAINING_RECORDS = 2000
# Enough for every index that a start after a crash writes anew; those files are sparse until then.
FREE_AT_START_MIB = 256

PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # The default of 128 MiB would be half of the heap.
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.cleaner.threads": "1",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    # Short sessions: with the defaults a restarted node waits 13 to 16 s to be believed alive again.
    "controlled.shutdown.enable": "true",
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "500",
    "metadata.max.idle.interval.ms": "5000",
    # Segments are preallocated index files; small ones keep dozens of partitions cheap.
    "log.index.size.max.bytes": "1048576",
}


@dataclass
class KafkaServer(RunningServer):
    """A running node; `bootstrap` is what clients connect to."""

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"


def prepare_kafka(progress: Progress = silent) -> KafkaInstall:
    """Fills the cache (jars, template, start-up cache) as far as needed; quick when it is full."""
    return ensure_kafka(progress, _train)


def kafka_command(
    data_dir: Path,
    port: int,
    controller_port: int,
    properties: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Command:
    """Prepares the node's folder and says how to run it; refuses while its disk is full."""
    _check_free_space(data_dir)
    install = prepare_kafka(progress)
    return Command(install.argv(_place_node(install, data_dir, port, controller_port, properties)), jvm_environment())


def start_kafka(
    data_dir: Path,
    port: int,
    controller_port: int,
    *,
    properties: Mapping[str, str] | None = None,
    progress: Progress = silent,
    start_limit_s: float = START_LIMIT_S,
) -> KafkaServer:
    """Starts a node on its data folder, new or used, and returns when it answers a metadata request."""
    command = kafka_command(data_dir, port, controller_port, properties, progress)
    return _launch(command, data_dir / "kafka.log", port, start_limit_s)


@contextlib.contextmanager
def running_kafka(
    data_dir: Path | None = None,
    properties: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Iterator[KafkaServer]:
    """A node on free ports for the length of a `with`; without a folder its data goes with it."""
    port, controller_port = free_ports(2)
    with data_folder(data_dir, "ordo-kafka-", remove=lambda _folder: None) as folder:
        server = start_kafka(folder, port, controller_port, properties=properties, progress=progress)
        try:
            yield server
        finally:
            server.stop()


def _check_free_space(data_dir: Path) -> None:
    """Kafka that starts on a full disk destroys itself: so it is not started before there is room.

    After a crash it writes its indexes anew, through memory. Where the disk has no room those writes fail unnoticed, an
    index contradicts its log, and Kafka believes the index: it empties the log. If that is the log of the cluster's
    metadata, every topic is gone (4.4, each time it was tried).
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    free_mib = shutil.disk_usage(data_dir).free // (1024 * 1024)
    if free_mib < FREE_AT_START_MIB:
        raise ServerDidNotStart(
            f"the disk under {data_dir} has {free_mib} MiB free. Kafka loses its topics when it is started on a full "
            f"disk: make room for {FREE_AT_START_MIB} MiB first"
        )


def _place_node(
    install: KafkaInstall, data_dir: Path, port: int, controller_port: int, properties: Mapping[str, str] | None
) -> Path:
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    place_formatted(install, data_dir / "log")
    settings = {
        **PROPERTIES,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "log.dirs": str(data_dir / "log"),
        **(properties or {}),
    }
    path = data_dir / "server.properties"
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), "utf-8")
    return path


def _launch(command: Command, log_path: Path, port: int, start_limit_s: float) -> KafkaServer:
    server = KafkaServer("Kafka", command.spawn(log_path), port, log_path)
    try:
        wait_until_ready(server, lambda: broker_is_ready(LOOPBACK, port), start_limit_s)
    except BaseException:
        server.kill()
        raise
    return server


def _train(install: KafkaInstall, output: Path) -> None:
    """One start, some traffic and one gentle stop, while the JVM notes what it loaded."""
    port, controller_port = free_ports(2)
    scratch = Path(tempfile.mkdtemp(prefix="ordo-kafka-training-"))
    try:
        properties = _place_node(install, scratch, port, controller_port, None)
        argv = install.argv_with(("-Xlog:aot*=off", f"-XX:AOTCacheOutput={output}"), "kafka.Kafka", str(properties))
        server = _launch(Command(argv, jvm_environment()), scratch / "kafka.log", port, START_LIMIT_S)
        try:
            _exercise(server.bootstrap)
        finally:
            server.stop(TRAINING_LIMIT_S)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _exercise(bootstrap: str) -> None:
    # A start without traffic trains most of what matters, so neither a missing nor a failing client spoils it.
    try:
        from confluent_kafka import KafkaException
    except ImportError:
        return
    with contextlib.suppress(KafkaException):
        _produce_and_consume(bootstrap)


def _produce_and_consume(bootstrap: str) -> None:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    client: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 0}
    admin = AdminClient(client)
    for created in admin.create_topics([NewTopic("training", 4, 1)]).values():
        created.result(10.0)
    producer = Producer({**client, "enable.idempotence": True, "compression.type": "zstd"})
    for number in range(TRAINING_RECORDS):
        producer.produce("training", key=str(number).encode(), value=b"x" * 300, headers={"n": str(number).encode()})
    producer.flush(20.0)
    consumer = Consumer({**client, "group.id": "training", "auto.offset.reset": "earliest"})
    consumer.subscribe(["training"])
    seen = 0
    for _ in range(20):
        seen += len(consumer.consume(TRAINING_RECORDS, 0.5))
        if seen >= TRAINING_RECORDS:
            break
    consumer.close()
