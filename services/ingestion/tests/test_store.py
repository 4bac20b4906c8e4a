"""The same service on a real Postgres: its tables, its constraints, its pages and its memory of what was answered."""

import json

import asyncpg
import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CheckConstraint

from libs.runtime.migrate import migrate
from libs.runtime.settings import sqlalchemy_url
from services.ingestion import store
from services.ingestion.tests.samples import PERSONAL, body
from services.ingestion.tests.stack import postgres_stack

pytestmark = pytest.mark.postgres


async def rows(dsn, sql, *arguments):
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "ingestion"})
    try:
        return [dict(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


async def test_orders_in_and_what_is_kept_of_them(database):
    async with postgres_stack(database) as stack:
        assert (await stack.send(body(note="请放门口"), webhook_id="first")).json()["status"] == "accepted"
        assert (await stack.send(body(), webhook_id="second")).json()["status"] == "amended"
        assert (await stack.send(body())).json()["status"] == "unchanged"
        gone = json.dumps({"type": "order.cancelled", "platform_order_id": "536365"}).encode()
        early = json.dumps({"type": "order.cancelled", "platform_order_id": "9"}).encode()
        assert (await stack.send(gone)).status_code == 202
        assert (await stack.send(early)).status_code == 202
        assert (await stack.send(body(platform_order_id="9"))).json()["status"] == "accepted"
        kinds = [kind for kind, _ in stack.published()]
        assert kinds.count("OrderCancelRequested") == kinds.count("OrderPlaced") == 2
        first = await rows(database, "SELECT * FROM intake ORDER BY received_at, version")
        assert await stack.parts.vault.open(first[0]["raw_sealed"]) == body(note="请放门口")
        assert [(row["order_id"], row["version"], row["change"]) for row in first] == [
            ("own.demo.536365", 1, "placed"),
            ("own.demo.536365", 2, "amended"),
            ("own.demo.536365", 2, "cancelled"),
            ("own.demo.9", 0, "cancelled"),
            ("own.demo.9", 1, "placed"),
        ]
    # A new process over the same database remembers what it answered.
    async with postgres_stack(database, master_key=stack.parts.settings.master_key) as stack:
        assert (await stack.send(body(note="请放门口"), webhook_id="first")).json()["status"] == "accepted"
    orders = await rows(database, "SELECT order_id, state, version FROM platform_order ORDER BY order_id")
    assert [tuple(row.values()) for row in orders] == [
        ("own.demo.536365", "cancelled", 2),
        ("own.demo.9", "cancelled", 1),
    ]
    tables = ("command_log", "outbox", "platform_order", "intake", "shop", "batch_log")
    text = "".join([repr(await rows(database, f"SELECT * FROM {table}")) for table in tables])
    for secret in PERSONAL:
        assert secret not in text
        assert repr(secret.encode())[2:-1] not in text


async def test_shops_are_kept_and_listed_page_by_page(database):
    async with postgres_stack(database) as stack:
        for number in range(5):
            answer = await stack.client.put(
                f"/shops/s{number}", json={}, headers=stack.operator | {"Idempotency-Key": f"k{number}"}
            )
            assert answer.status_code == 201
        secret = answer.json()["secret"]
        assert (await stack.send(body(), path="/webhooks/own/s4", secret=secret)).status_code == 202
        seen, cursor = [], ""
        for _ in range(10):
            page = (await stack.client.get(f"/shops?limit=2{cursor}", headers=stack.operator)).json()
            seen += [each["shop_id"] for each in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == ["demo", "s0", "s1", "s2", "s3", "s4"]
        wrong = await stack.client.get("/shops?cursor=*", headers=stack.operator)
        assert (wrong.status_code, wrong.json()["field"]) == (422, "cursor")
        assert (await stack.client.get("/shops?cursor=AA==", headers=stack.operator)).status_code == 422
    assert secret not in repr(await rows(database, "SELECT * FROM shop"))
    assert secret not in repr(await rows(database, "SELECT convert_from(reply, 'UTF8') FROM command_log"))


@pytest.mark.parametrize(
    "columns",
    [
        "('x', 'eaten', 1, '{}', NULL, '[]', false)",
        "('x', 'awaited', 1, '{}', 'r', '[]', false)",
        "('x', 'placed', 0, '{}', NULL, '[]', false)",
        "('x', 'placed', 1, '{}', 'r', '[]', false)",
        "('x', 'cancelled', 1, '{}', NULL, '[]', false)",
        "('x', 'left', 1, '{}', NULL, '[]', false)",
    ],
)
async def test_states_that_cannot_be_are_refused_by_the_database_too(database, columns):
    await migrate(database, "ingestion")
    with pytest.raises(asyncpg.CheckViolationError):
        await rows(
            database,
            "INSERT INTO platform_order (order_id, state, version, fingerprints, cancel_request_id, line_ids, refunded)"
            " VALUES " + columns,
        )


async def test_migrations_make_what_the_tables_declare_and_can_be_taken_back(database):
    await migrate(database, "ingestion")
    engine = create_async_engine(sqlalchemy_url(database))

    def found(connection):
        seen = inspect(connection)
        return {
            name: (
                [
                    (column["name"], str(column["type"]), column["nullable"])
                    for column in seen.get_columns(name, "ingestion")
                ],
                seen.get_pk_constraint(name, "ingestion")["constrained_columns"],
                sorted(check["name"] for check in seen.get_check_constraints(name, "ingestion")),
            )
            for name in seen.get_table_names("ingestion")
        }

    async with engine.connect() as connection:
        made = await connection.run_sync(found)
    for table in store.METADATA.sorted_tables:
        columns, keys, checks = made[table.name]
        dialect = engine.dialect
        assert columns == [(c.name, str(c.type.compile(dialect)).split(" WITH")[0], c.nullable) for c in table.columns]
        assert keys == [column.name for column in table.primary_key]
        assert checks == sorted(c.name for c in table.constraints if isinstance(c, CheckConstraint))
    await migrate(database, "ingestion", revision="base")
    async with engine.connect() as connection:
        assert set(await connection.run_sync(found)) <= {"alembic_version"}
    await engine.dispose()
