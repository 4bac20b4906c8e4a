"""What a stack consists of, as plain data: which programs, with what, in which order up and in which order down."""

import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from deploy.local.layout import HOST, ROOT, SERVICES, Layout, Ports

SERVICE_GRACE_S, KAFKA_GRACE_S, POSTGRES_GRACE_S = 15.0, 25.0, 30.0
STOP_SERVICES, STOP_KAFKA, STOP_POSTGRES = 0, 1, 2
# First who answers a platform within its limit, then on whom an order waits (its way to the next of them before all),
# then who only reads along.
NICENESS = {"kafka": 4, "inventory": 6, "routing": 6, "risk": 6, "fulfillment": 6, "notification": 12, "tower": 12}


@dataclass(frozen=True)
class Child:
    """One program of the stack.

    `probe` is asked by the supervisor before it starts what comes `after` this child; `health` names the services that
    the program serves and where each answers /readyz. One that `forks` runs a module of ours, which a fork of the
    supervisor can run as well.
    """

    name: str
    argv: tuple[str, ...]
    forks: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["server", "task"] = "server"
    after: tuple[str, ...] = ()
    probe: Literal["none", "kafka", "postgres"] = "none"
    port: int = 0
    health: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = int(signal.SIGTERM)
    stop_stage: int = STOP_SERVICES
    stop_grace_s: float = SERVICE_GRACE_S
    niceness: int = 0

    @property
    def module(self) -> tuple[str, tuple[str, ...]]:
        """The module that `argv` runs, and its arguments."""
        _, _, name, *arguments = self.argv
        return name, tuple(arguments)


@dataclass(frozen=True)
class Plan:
    """All programs of a stack, and the folder they run in."""

    children: tuple[Child, ...]
    folder: str = str(ROOT)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @property
    def ports(self) -> dict[str, int]:
        return {child.name: child.port for child in self.children if child.port}


def plan_from_json(text: str) -> Plan:
    """Reads what `Plan.to_json` wrote."""
    raw: dict[str, Any] = json.loads(text)
    children = tuple(
        Child(**{**child, "argv": tuple(child["argv"]), "after": tuple(child["after"])}) for child in raw["children"]
    )
    return Plan(children, raw["folder"])


@dataclass(frozen=True)
class Servers:
    """Where Kafka and Postgres are, and whether we run them ourselves."""

    kafka: str
    postgres: str
    own_kafka: bool
    own_postgres: bool


def choose_servers(environ: Mapping[str, str], ports: Ports, own_postgres_url: str) -> Servers:
    """Those the user has set beforehand, else our own; our own addresses, set again by local.env, stay our own."""
    own_kafka_address = f"{HOST}:{ports.kafka}"
    kafka = environ.get("ORDO_KAFKA") or own_kafka_address
    postgres = environ.get("ORDO_POSTGRES") or own_postgres_url
    own_postgres = postgres == own_postgres_url or f"@{HOST}:{ports.postgres}/" in postgres
    return Servers(
        kafka=kafka,
        postgres=own_postgres_url if own_postgres else postgres,
        own_kafka=kafka == own_kafka_address,
        own_postgres=own_postgres,
    )


def stack_environment(
    environ: Mapping[str, str], ports: Ports, servers: Servers, secrets: Mapping[str, str]
) -> dict[str, str]:
    """What every program of the stack is given on top of the user's own environment."""
    urls = {f"ORDO_URL_{service.upper()}": ports.url_of(service) for service in SERVICES}
    own_ports = {f"ORDO_PORT_{service.upper()}": str(ports.of_service(service)) for service in SERVICES}
    return {
        **environ,
        "PYTHONUNBUFFERED": "1",
        "ORDO_PORT_BASE": str(ports.base),
        "ORDO_KAFKA": servers.kafka,
        "ORDO_POSTGRES": servers.postgres,
        **urls,
        **own_ports,
        **secrets,
    }


def env_file_text(environment: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """What `.ordo/local.env` says: how to reach the stack, and the secrets its tools need."""
    names = ["ORDO_KAFKA", "ORDO_POSTGRES", *(f"ORDO_URL_{service.upper()}" for service in SERVICES), *secrets]
    return "".join(f"{name}={environment[name]}\n" for name in names)


def stack_plan(layout: Layout, ports: Ports, servers: Servers, service_mode: str = "") -> Plan:
    """The real stack: our own servers side by side, then the migration, then the services."""
    children: list[Child] = []
    if servers.own_postgres:
        children.append(_postgres(layout, ports))
    if servers.own_kafka:
        children.append(_kafka(layout, ports))
    # It waits for Kafka itself, after it has done what needs Postgres alone: the two take as long as each other.
    schemas_need = ("postgres",) if servers.own_postgres else ()
    children.append(Child("migrate", _services("migrate"), forks=True, kind="task", after=schemas_need))
    if service_mode == "all":
        health = {service: ports.url_of(service) for service in SERVICES}
        children.append(Child("services", _services("all"), forks=True, after=("migrate",), health=health))
    else:
        children.extend(_service(service, ports) for service in SERVICES)
    return Plan(tuple(children))


def ports_in_use(plan: Plan, ports: Ports) -> dict[str, int]:
    """Every port the stack will listen on, by who listens; also when one program serves all services."""
    in_use = {**plan.ports, **{service: ports.of_service(service) for service in SERVICES}}
    return {**in_use, "the Kafka controller": ports.kafka_controller} if "kafka" in in_use else in_use


def _service(service: str, ports: Ports) -> Child:
    return Child(
        service,
        (sys.executable, "-m", f"services.{service}"),
        forks=True,
        env={"ORDO_PORT": str(ports.of_service(service))},
        after=("migrate",),
        port=ports.of_service(service),
        health={service: ports.url_of(service)},
        niceness=NICENESS.get(service, 0),
    )


def _services(action: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "services", action)


def _embedded(name: str, data: Path, port: int, *more: str) -> tuple[str, ...]:
    arguments = ("--data-dir", str(data), "--port", str(port), *more)
    return (sys.executable, "-m", "libs.testkit.embedded", name, *arguments)


def _postgres(layout: Layout, ports: Ports) -> Child:
    return Child(
        "postgres",
        _embedded("postgres", layout.postgres_data, ports.postgres),
        probe="postgres",
        port=ports.postgres,
        # Postgres' fast shutdown: ends sessions, writes a checkpoint, loses nothing.
        stop_signal=int(signal.SIGINT),
        stop_stage=STOP_POSTGRES,
        stop_grace_s=POSTGRES_GRACE_S,
    )


def _kafka(layout: Layout, ports: Ports) -> Child:
    controller = ("--controller-port", str(ports.kafka_controller))
    return Child(
        "kafka",
        _embedded("kafka", layout.kafka_data, ports.kafka, *controller),
        probe="kafka",
        port=ports.kafka,
        stop_stage=STOP_KAFKA,
        stop_grace_s=KAFKA_GRACE_S,
        niceness=NICENESS["kafka"],
    )
