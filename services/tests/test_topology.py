"""Who hears whom: handlers, topics, built services and migrated tables agree with what contracts declare."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, MetaData, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.envelope import Event
from contracts.topics import CATALOG, EVENT_TYPES, PARKED, SERVICES, TOPIC_OF, topics_read_by
from libs.decide import Entry, Row
from libs.runtime.migrate import migrate
from libs.runtime.service import Service
from libs.runtime.settings import sqlalchemy_url
from libs.stream.tables import STREAM

ROOT = Path(__file__).resolve().parents[2]
READ_WITHOUT_A_HANDLER = {
    ("tower", CATALOG.name): "it counts orders, and a catalogue entry concerns none; its position moves along",
}


@pytest.fixture(scope="module")
def built() -> dict[str, Service]:
    """Every service as its app builds it, towards servers that nobody asks."""
    return {name: build(name) for name in SERVICES}


def build(name: str) -> Service:
    settings = importlib.import_module(f"services.{name}.settings").Settings(
        kafka="nowhere:1",
        postgres="postgresql://nobody@nowhere:1/none",
        master_key="A" * 43 + "=",
        buyer_key_secret="sixteen characters",
    )
    return importlib.import_module(f"services.{name}.app").build(settings)


def heard(service: Service) -> set[type[Event]]:
    return {message for message in service.handlers.on if issubclass(message, Event)}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_built_with_a_table_for_every_row(built: dict[str, Service], name: str) -> None:
    service = built[name]
    assert service.name == service.handlers.service == name
    kept: set[type[Row] | type[Entry]] = {*service.handlers.rows, *service.handlers.entries}
    assert set(service.tables.by_type) == kept
    for row in service.handlers.rows:
        table = service.tables.by_type[row]
        assert row.row_key == tuple(column.name for column in table.primary_key), f"{row.__name__} is found by its key"
    assert {table.name for table in service.tables.by_type.values()}.isdisjoint(STREAM.tables)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_handles_is_on_a_topic_it_reads(built: dict[str, Service], name: str) -> None:
    readable = {event for topic in topics_read_by(name) for event in topic.events}
    assert {event.__name__ for event in heard(built[name]) - readable} == set()


def test_no_topic_is_read_for_nothing(built: dict[str, Service]) -> None:
    idle = {
        (name, topic.name)
        for name in SERVICES
        for topic in topics_read_by(name)
        if not set(topic.events) & heard(built[name])
    }
    assert idle == set(READ_WITHOUT_A_HANDLER)


def test_the_tower_hears_every_event_of_every_other_topic(built: dict[str, Service]) -> None:
    excused = {topic for name, topic in READ_WITHOUT_A_HANDLER if name == "tower"}
    wanted = {e for topic in topics_read_by("tower") if topic.name not in excused for e in topic.events}
    assert {event.__name__ for event in wanted - heard(built["tower"])} == set()


def test_every_event_has_a_listener_or_is_only_for_the_record(built: dict[str, Service]) -> None:
    listened = {event for service in built.values() for event in heard(service)}
    silent = {name for name, event in EVENT_TYPES.items() if event not in listened}
    assert silent == {"WarehouseDefined", "InboundExpected"}


def sources(name: str) -> Iterator[tuple[Path, ast.Module]]:
    """The modules of a service, without its tests and migrations."""
    for path in sorted((ROOT / "services" / name).rglob("*.py")):
        if not {"tests", "migrations"} & set(path.parts):
            yield path, ast.parse(path.read_text("utf-8"))


def called(tree: ast.AST) -> set[str]:
    """The event types that functions construct by name: `OrderHeld(...)` or `risk.OrderHeld(...)`."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    calls = [node.func for function in functions for node in ast.walk(function) if isinstance(node, ast.Call)]
    names = {func.id for func in calls if isinstance(func, ast.Name)}
    return (names | {func.attr for func in calls if isinstance(func, ast.Attribute)}) & set(EVENT_TYPES)


def mentioned(tree: ast.AST) -> set[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return (names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}) & set(EVENT_TYPES)


def writable(name: str) -> set[str]:
    return {event.__name__ for event, topic in TOPIC_OF.items() if topic.writer == name}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_constructs_only_events_it_writes(name: str) -> None:
    for path, tree in sources(name):
        assert called(tree) <= writable(name), path.relative_to(ROOT)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_mentions_only_events_it_writes_or_reads(name: str) -> None:
    readable = {event.__name__ for topic in topics_read_by(name) for event in topic.events}
    for path, tree in sources(name):
        assert mentioned(tree) <= writable(name) | readable, path.relative_to(ROOT)


def test_every_declared_event_is_made_by_its_writer() -> None:
    made = {name: set().union(*[mentioned(tree) for _, tree in sources(name)]) for name in SERVICES}
    unsaid = {event.__name__ for event, topic in TOPIC_OF.items() if event.__name__ not in made[topic.writer]}
    assert unsaid == set()
    assert set(PARKED) == set(SERVICES)


def schema_differences(connection: Connection, declared: MetaData) -> list[object]:
    """What alembic would still have to do, and the check constraints, which it does not compare."""
    found: list[object] = list(compare_metadata(MigrationContext.configure(connection), declared))
    seen = inspect(connection)
    for table in declared.sorted_tables:
        checks = {c.name for c in table.constraints if isinstance(c, CheckConstraint)}
        stored = {c["name"] for c in seen.get_check_constraints(table.name)}
        found += [(table.name, name) for name in checks ^ stored]
    return found


@pytest.mark.postgres
@pytest.mark.filterwarnings("ignore:Expression .* operator clause")  # its name and table are compared all the same
@pytest.mark.parametrize("name", SERVICES)
async def test_up_down_and_up_again_leaves_the_declared_tables(
    built: dict[str, Service], name: str, database: str
) -> None:
    declared = MetaData()
    for metadata in (STREAM, built[name].tables.metadata):
        for table in metadata.sorted_tables:
            table.to_metadata(declared)
    connect_args = {"server_settings": {"search_path": name}}
    engine = create_async_engine(sqlalchemy_url(database), connect_args=connect_args)
    try:
        await migrate(database, name)
        async with engine.connect() as connection:
            assert await connection.run_sync(schema_differences, declared) == []
        await migrate(database, name, revision="base")
        async with engine.connect() as connection:
            assert await connection.run_sync(lambda c: inspect(c).get_table_names()) == ["alembic_version"]
            types = text("SELECT count(*) FROM pg_class WHERE relnamespace = CAST(:name AS regnamespace)")
            left = (await connection.execute(types, {"name": name})).scalar_one()
            assert left == 2, "the version table and its index stay, and nothing else"
        await migrate(database, name)
        async with engine.connect() as connection:
            assert await connection.run_sync(schema_differences, declared) == []
    finally:
        await engine.dispose()
