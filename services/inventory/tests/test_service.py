"""The whole service on a real Postgres: over HTTP and topics, twice, refused, its constraints put to the test."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.topics import CATALOG, STOCK, STOCK_LEVELS
from libs.runtime.migrate import migrate
from libs.runtime.settings import sqlalchemy_url
from libs.stream.memory import MemoryCluster
from services.inventory import store
from services.inventory.tests.stack import BOSS, ORDER, PICKER, REVIEWER, A, B, Stack, check_ledger, running
from services.inventory.tests.stock import (
    amended,
    blocked,
    fulfillment_cancelled,
    lines,
    placed,
    planned,
    shipped,
)

pytestmark = pytest.mark.postgres


@pytest.fixture
async def stack(database: str) -> AsyncIterator[Stack]:
    await migrate(database, "inventory")
    async with running(database, MemoryCluster()) as made:
        yield made


async def test_an_order_goes_its_whole_way(stack: Stack):
    await stack.define(CD=3, GZ=9)
    stack.say("ingestion", placed(A=4))
    [reserved] = await stack.until(STOCK, "StockReserved", 1)
    assert [place.warehouse for place in reserved.shippable] == ["CD", "GZ"]
    stack.say("routing", blocked(quantity=1, source="GZ"))
    move = {"from_warehouse": "GZ", "to_warehouse": "CD", "items": [{"sku": A, "quantity": 2}], "transfer_id": "T-1"}
    assert (await stack.ask("POST", "/transfers", move)).json()["state"] == "in_transit"
    atp = await stack.get(f"/atp/{A}")
    assert (atp["on_hand"], atp["inbound"], atp["atp"]) == (10, 2, 8)
    assert [(term["kind"], term["id"], term["quantity"]) for term in atp["inbound_shipments"]] == [
        ("transfer", "T-1", 2)
    ]
    arrived = await stack.ask("POST", "/transfers/T-1/receive", {})
    assert arrived.json() == {"transfer_id": "T-1", "state": "received", "lost": []}
    assert (await stack.until(STOCK, "ShippableChanged", 1))[0].cause in ("transfer", "meanwhile")
    stack.say("routing", planned(plan=2, CD=lines(A=4)))
    [assigned] = await stack.until(STOCK, "StockAssigned", 1)
    parcel = assigned.parcels[0]
    row = await stack.get(f"/reservations/{ORDER}")
    assert (row["state"], row["parcels"][0]["state"], row["wait"]) == ("assigned", "open", None)
    stack.say("fulfillment", shipped(parcel.parcel_id, "CD", parcel.lines))
    await stack.until(STOCK, "StockShipped", 1)
    assert (await stack.get(f"/reservations/{ORDER}"))["state"] == "closed"
    assert (await stack.get("/transfers/T-1"))["received"] == [{"sku": A, "quantity": 2}]
    await check_ledger(stack)


@pytest.mark.parametrize("run", range(3))
async def test_400_buyers_of_100_units(stack: Stack, run: int):
    await stack.define(CD=60, GZ=40)
    stack.say("ingestion", *[placed(f"own.demo.{n}", A=1) for n in range(400)])
    await stack.until(STOCK, "StockShort", 300)
    assert len(stack.heard(STOCK, "StockReserved")) == 100
    assert (
        len({event.order_id for kind in ("StockReserved", "StockShort") for event in stack.heard(STOCK, kind)}) == 400
    )
    assert await stack.rows(f"SELECT reserved, on_hand FROM pool WHERE sku = '{A}'") == [(100, 100)]
    await stack.receive("CD", A, 250)
    await stack.until(STOCK, "StockReserved", 350)
    assert (await stack.get(f"/atp/{A}"))["waiting_orders"] == {"pool": 50}
    assert await stack.rows("SELECT count(*) FROM waiting") == [(50,)]
    await check_ledger(stack)


async def test_what_is_durable_is_enough_to_go_on(database: str):
    await migrate(database, "inventory")
    cluster = MemoryCluster()
    async with running(database, cluster) as first:
        await first.define(CD=5)
        first.say("ingestion", placed(A=3))
        await first.until(STOCK, "StockReserved", 1)
        first.say("ingestion", placed("own.demo.2", A=3))
        await first.until(STOCK, "StockShort", 1)
        heads, keys = first.heads, first.keys
    async with running(database, cluster) as second:
        second.heads, second.keys = heads, keys
        second.say("ingestion", amended(A=2))
        told = await second.until(STOCK, "StockReserved", 3)
        assert sorted((event.order_id, event.version) for event in told) == [
            (ORDER, 1),
            (ORDER, 2),
            ("own.demo.2", 1),
        ]
        second.say("routing", planned(version=2, CD=lines(A=2)))
        await second.until(STOCK, "StockAssigned", 1)
        second.say("fulfillment", fulfillment_cancelled(ORDER, f"{ORDER}/1.1"))
        await second.until(STOCK, "StockReleased", 2)
        await check_ledger(second)


async def test_a_repeated_request_changes_nothing(stack: Stack):
    await stack.define()
    body = {"warehouse": "CD", "items": [{"sku": A, "quantity": 5}]}
    first = await stack.ask("POST", "/stock/receipts", body, key="r-1")
    again = await stack.ask("POST", "/stock/receipts", body, key="r-1")
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert (await stack.get(f"/atp/{A}"))["on_hand"] == 5
    other = {**body, "items": [{"sku": A, "quantity": 6}]}
    refused = await stack.ask("POST", "/stock/receipts", other, key="r-1")
    assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")
    await stack.until(STOCK_LEVELS, "StockLevelChanged", 2)  # once defined, and a little later with the goods
    assert [event.reserved for event in stack.heard(STOCK_LEVELS, "StockLevelChanged") if event.on_hand == 5] == [0]


async def test_every_term_of_atp_is_shown(stack: Stack):
    await stack.define(CD=100)
    stack.say("ingestion", placed(A=30))
    await stack.until(STOCK, "StockReserved", 1)
    announced = await stack.ask(
        "POST",
        "/inbound",
        {
            "sku": A,
            "warehouse": "CD",
            "quantity": 20,
            "yield_percent": 80,
            "eta": "2026-11-14T10:00:00+08:00",
            "inbound_id": "PO-7-1",
        },
    )
    assert announced.json() == {"inbound_id": "PO-7-1", "sku": A, "atp": 86}
    atp = await stack.get(f"/atp/{A}")
    assert (atp["on_hand"], atp["reserved"], atp["inbound"], atp["inbound_effective"]) == (100, 30, 20, 16)
    assert (atp["atp"], atp["sellable"]) == (86, 70)
    assert atp["warehouses"] == [{"warehouse": "CD", "on_hand": 100, "assigned": 0, "shippable": 100, "deficit": 0}]
    assert atp["inbound_shipments"] == [
        {
            "kind": "purchase",
            "id": "PO-7-1",
            "warehouse": "CD",
            "quantity": 20,
            "yield_percent": 80,
            "effective_units": 16.0,
            "eta": "2026-11-14T02:00:00Z",
        }
    ]
    body = {"warehouse": "CD", "items": [{"sku": A, "quantity": 15}], "inbound_id": "PO-7-1"}
    assert (await stack.ask("POST", "/stock/receipts", body)).status_code == 201
    assert (await stack.get("/inbound/PO-7-1"))["state"] == "closed"
    counted = await stack.ask("POST", "/stock/counts", {"warehouse": "CD", "sku": A, "counted": 20})
    assert counted.json()["warning"] == "0 units owed to parcels here and 10 promised to orders are not there"
    await check_ledger(stack)


async def test_a_shipment_that_will_not_come_is_ended_by_a_receipt_of_nothing(stack: Stack):
    await stack.define(CD=1)
    wrong = {"sku": A, "warehouse": "CD", "quantity": 10_000, "eta": "2026-11-14T02:00:00Z", "inbound_id": "PO-7-1"}
    await stack.ask("POST", "/inbound", wrong)
    body = {"warehouse": "CD", "inbound_id": "PO-7-1", "items": [{"sku": A, "quantity": 0}]}
    assert (await stack.ask("POST", "/stock/receipts", body)).status_code == 201
    assert (await stack.get("/inbound/PO-7-1"))["state"] == "closed"
    await stack.ask("POST", "/inbound", {**wrong, "quantity": 100, "inbound_id": "PO-7-2"})
    atp = await stack.get(f"/atp/{A}")
    assert (atp["on_hand"], atp["inbound"], atp["atp"]) == (1, 100, 101)
    await check_ledger(stack)


async def test_lists_are_paged_to_their_end(stack: Stack):
    await stack.define(CD=1)
    for n in range(5):
        await stack.ask("PUT", f"/skus/X/{n}#", {"title": f"a/slash {n}"})
    seen, cursor = [], None
    for _ in range(10):
        page = await stack.get("/skus?limit=3" + (f"&cursor={cursor}" if cursor else ""))
        seen += [item["sku"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted([A, B, *[f"X/{n}" for n in range(5)]])
    assert [w["warehouse"] for w in (await stack.get("/warehouses"))["items"]] == ["CD", "GZ"]
    bad = await stack.client.get("/skus?cursor=%21%21", headers=BOSS)
    assert (bad.status_code, bad.json()["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/stock/receipts", {"warehouse": "XX", "items": [{"sku": A, "quantity": 1}]}, 404, "warehouse"),
        ("POST", "/stock/receipts", {"warehouse": "CD", "items": [{"sku": "?", "quantity": 1}]}, 404, "sku"),
        ("POST", "/stock/receipts", {"warehouse": "CD", "items": []}, 422, "items"),
        (
            "POST",
            "/stock/receipts",
            {"warehouse": "CD", "items": [{"sku": A, "quantity": 0}]},
            422,
            "items",
        ),
        (
            "POST",
            "/stock/receipts",
            {"warehouse": "CD", "items": [{"sku": A, "quantity": 0}], "inbound_id": "PO", "closes_inbound": False},
            422,
            "items",
        ),
        (
            "POST",
            "/stock/receipts",
            {"warehouse": "CD", "items": [{"sku": A, "quantity": 10_000_001}]},
            422,
            "items.0.quantity",
        ),
        (
            "POST",
            "/stock/receipts",
            {"warehouse": "CD", "items": [{"sku": A, "quantity": "1"}]},
            422,
            "items.0.quantity",
        ),
        ("POST", "/stock/receipts", {"warehouse": "CD", "items": [{"sku": A, "quantity": 1}], "x": 1}, 422, "x"),
        ("POST", "/stock/counts", {"warehouse": "CD", "sku": A, "counted": -1}, 422, "counted"),
        ("POST", "/stock/counts", {"warehouse": "CD", "sku": "a\x00b", "counted": 1}, 422, "sku"),
        (
            "POST",
            "/inbound",
            {"sku": A, "warehouse": "CD", "quantity": 1, "eta": "2026-11-14T10:00:00"},
            422,
            "eta",
        ),
        ("POST", "/transfers/nothing/receive", {}, 404, "transfer_id"),
        ("PUT", "/warehouses/a*b", {}, 422, "code"),
        ("PUT", f"/skus/{A}", {"cost": -1}, 422, "cost"),
        ("PUT", f"/skus/{A}", {"sellable_inbound_percent": 101}, 422, "sellable_inbound_percent"),
    ],
)
async def test_refusals_name_the_field(stack: Stack, method, path, body, status, field):
    await stack.define()
    refused = await stack.ask(method, path, body)
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.status_code, refused.json()["field"]) == (status, field)
    assert await stack.rows("SELECT count(*) FROM ledger") == [(0,)]


async def test_only_operators_change_and_pickers_do_not_even_read(stack: Stack):
    for who, status in ((REVIEWER, 403), (PICKER, 403), ({}, 401)):
        assert (await stack.ask("PUT", f"/skus/{A}", {}, who=who)).status_code == status
    assert (await stack.client.get("/skus", headers=PICKER)).status_code == 403
    for path in ("/atp/none", "/reservations/none", "/transfers/none", "/inbound/none"):
        assert (await stack.client.get(path, headers=REVIEWER)).status_code == 404
    missing = await stack.client.put(f"/skus/{A}", json={}, headers=BOSS)
    assert (missing.status_code, missing.json()["field"]) == (400, "Idempotency-Key")


async def test_facts_are_published_to_the_catalogue(stack: Stack):
    await stack.define()
    await stack.ask("PUT", f"/skus/{A}", {"title": "烛台", "cost": 1630, "allowance": 3})
    await stack.ask("PUT", f"/skus/{B}", {"title": "灯", "barcode": "69", "weight_grams": 420})
    told = await stack.until(CATALOG, "SkuDefined", 3)
    assert len(told) == 3
    assert {event.barcode for event in told if event.sku == B} == {"", "69"}
    assert (await stack.get(f"/atp/{A}"))["sellable"] == 3


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("reserved = 6", "pool_not_oversold"),
        ("reserved = -1", "pool_not_negative"),
        ("in_transit = -1", "pool_not_negative"),
        (
            """warehouses = '{"CD": {"on_hand": 5, "assigned": 6, "deficit": 0}}'""",
            "pool_warehouses_not_overassigned",
        ),
        (
            """warehouses = '{"CD": {"on_hand": 5, "assigned": 1, "deficit": 0}, "GZ": {"on_hand": -1}}'""",
            "pool_warehouses_not_overassigned",
        ),
    ],
)
async def test_a_constraint_stands_behind_the_code(stack: Stack, change: str, constraint: str):
    await stack.define(CD=5)
    async with stack.engine.connect() as connection:
        with pytest.raises(IntegrityError, match=constraint):
            await connection.execute(text(f"UPDATE pool SET {change} WHERE sku = '{A}'"))


async def test_the_schema_goes_up_down_and_up_and_is_what_the_code_declares(database: str):
    engine = create_async_engine(sqlalchemy_url(database))

    async def columns() -> dict[str, dict[str, tuple[str, bool]]]:
        async with engine.connect() as connection:
            return await connection.run_sync(
                lambda c: {
                    name: {
                        column["name"]: (str(column["type"]), column["nullable"])
                        for column in inspect(c).get_columns(name, schema="inventory")
                    }
                    for name in inspect(c).get_table_names(schema="inventory")
                }
            )

    await migrate(database, "inventory")
    up = await columns()
    for table in store.METADATA.sorted_tables:
        assert set(up[table.name]) == set(table.columns.keys())
        for column in table.columns:
            assert up[table.name][column.name][1] == column.nullable, f"{table.name}.{column.name}"
    await migrate(database, "inventory", revision="base")
    assert set(await columns()) == {"alembic_version"}
    await migrate(database, "inventory")
    assert await columns() == up
    await engine.dispose()
