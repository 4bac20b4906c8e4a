"""Notification on a real Postgres: topics in, messages out through the sink, requests, refusals and the schema."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy import func, inspect, select
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.envelope import Event
from contracts.orders import Destination, OrderLine, OrderPlaced
from contracts.risk import HoldReason, OrderHeld
from contracts.shipments import ParcelShipped
from contracts.stock import StockLine
from contracts.topics import TOPIC_OF
from libs.runtime.auth import Auth, make_token
from libs.runtime.http import install_problem_handlers
from libs.runtime.migrate import migrate
from libs.runtime.service import Parts
from libs.runtime.settings import sqlalchemy_url
from libs.senders.dingtalk import DingTalkSender
from libs.senders.sms import AliyunSmsSender
from libs.stream.batch import Writer
from libs.stream.memory import MemoryCluster, MemoryLog
from libs.stream.postgres import PostgresJournal
from libs.stream.tables import STREAM
from libs.stream.worker import Worker
from libs.testkit.waiting import until, until_ready
from libs.vault import Vault, create_vault
from services.notification import api, app, store
from services.notification.settings import Settings

pytestmark = pytest.mark.postgres

SECRET = "a secret for this test only, 32 bytes or more"
PERSON = {"recipient": {"name": "王小明", "phone": "13800000000", "address": "珞喻路 1 号"}, "note": "放门口"}
ORDER = "own.demo.536365"
WAIT_LIMIT_S = 10.0
POLL_S = 0.05


def now() -> datetime:
    return datetime.now(UTC)


def token(role: str) -> dict[str, str]:
    made = make_token(SECRET, subject="li", roles=[role], warehouse=None, now=now(), lifetime=timedelta(hours=1))
    return {"Authorization": f"Bearer {made}"}


class Stack:
    """A running service, a client to it, and the topics it reads."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.cluster = MemoryCluster()
        self.sink = folder / "sink.jsonl"
        self.settings = Settings(
            kafka="none",
            postgres=dsn,
            jwt_secret=SECRET,
            master_key=base64.b64encode(os.urandom(32)).decode(),
            buyer_key_secret="for this test only",
            sink_path=self.sink,
        )
        service = app.build(self.settings)
        self.engine = create_async_engine(
            sqlalchemy_url(dsn),
            isolation_level="AUTOCOMMIT",
            connect_args={"server_settings": {"search_path": "notification"}},
        )
        self.vault = Vault(dsn, self.settings.master_key)
        self.journal = PostgresJournal(dsn, "notification", store.TABLES)
        self.worker = Worker(
            service.handlers,
            self.journal,
            MemoryLog(self.cluster),
            owner="test",
            clock=now,
            senders=app.senders(self.settings, self.vault),
        )
        web = FastAPI()
        install_problem_handlers(web)
        for router in api.routers(Parts(self.settings, Auth(self.settings), self.worker, self.engine, self.vault)):
            web.include_router(router)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(web), base_url="http://test", headers=token("operator")
        )
        self._heads: dict[str, Any] = {}
        self._keys = 0

    def say(self, *events: Event) -> None:
        for event in events:
            by = TOPIC_OF[type(event)].writer
            made = Writer(by, 0, 1, self.cluster.partitions, {})
            heads = self._heads.setdefault(by, {})
            self.cluster.append(made.event(event, "test", int(now().timestamp() * 1000), heads)[0])

    def said(self) -> list[dict[str, Any]]:
        return [
            json.loads(record.value or b"")
            for (topic, _), records in self.cluster.records.items()
            for record in records
            if topic == "ordo.notices.v1"
        ]

    async def waiting_parcels(self) -> int:
        async with self.engine.connect() as connection:
            query = select(func.sum(func.jsonb_array_length(store.recipient.c.waiting)))
            return (await connection.execute(query)).scalar() or 0

    async def command(self, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        self._keys += 1
        headers = {"Idempotency-Key": key or f"k{self._keys}"}
        return await self.client.request(method, path, json=body, headers=headers)

    async def notices(self, order_id: str, ready: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        async def page() -> list[dict[str, Any]] | None:
            answer = await self.client.get("/notices", params={"order_id": order_id})
            items: list[dict[str, Any]] = answer.json()["items"]
            return items if ready(items) else None

        return await until(page, WAIT_LIMIT_S, POLL_S)

    async def placed(self, order_id: str = ORDER, *, buyer_key: str | None = "b1") -> OrderPlaced:
        sealed = await self.vault.seal("demo", "2026-11", json.dumps(PERSON).encode())
        return OrderPlaced(
            order_id=order_id,
            version=1,
            channel="own",
            shop_id="demo",
            platform_order_id=order_id.split(".", 2)[2],
            placed_at=now(),
            currency="CNY",
            buyer_key=buyer_key,
            destination=Destination(resolved=True),
            lines=[OrderLine(line_id="1", sku="A", quantity=1, unit_price=100)],
            total=100,
            sealed=sealed,
        )


def shipped(order_id: str = ORDER, n: int = 1) -> ParcelShipped:
    return ParcelShipped(
        order_id=order_id,
        task_id=f"{order_id}/{n}",
        warehouse="CD",
        lines=[StockLine(line_id="1", sku="A", quantity=1)],
        carrier="SF",
        waybill=f"SF{n}",
    )


def all_settled(count: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda items: len(items) == count and all(item["state"] != "sending" for item in items)


@pytest.fixture
async def stack(database: str, tmp_path: Path) -> AsyncIterator[Stack]:
    await create_vault(database)
    await migrate(database, "notification")
    made = Stack(database, tmp_path)
    task = asyncio.create_task(made.worker.run())
    try:
        await until_ready(made.worker, WAIT_LIMIT_S)
        yield made
    finally:
        made.worker.stop()
        await asyncio.wait_for(task, 10)
        await made.journal.close()
        await made.client.aclose()
        await made.vault.close()
        await made.engine.dispose()


async def test_a_shipped_parcel_is_told_through_the_sink_without_personal_data(stack: Stack) -> None:
    stack.say(await stack.placed(), shipped(), shipped(n=2))
    items = await stack.notices(ORDER, all_settled(2))
    assert [(item["notice_id"], item["state"], item["attempts"]) for item in items] == [
        (f"shipped:{ORDER}/1", "sent", 1),
        (f"shipped:{ORDER}/2", "sent", 1),
    ]
    lines = [json.loads(line) for line in stack.sink.read_text().splitlines()]
    assert sorted(line["body"]["variables"]["waybill"] for line in lines) == ["SF1", "SF2"]
    assert len({line["body"]["phone_hash"] for line in lines}) == 1
    kept = stack.sink.read_text() + json.dumps(items) + json.dumps(stack.said())
    for secret in ("13800000000", "王小明", "珞喻路"):
        assert secret not in kept
    await until(lambda: len(stack.said()) >= 2, WAIT_LIMIT_S)
    assert {(event["order_id"], event["medium"]) for event in stack.said()} == {(ORDER, "sms")}


async def test_a_parcel_before_its_order_is_told_when_it_comes(stack: Stack) -> None:
    stack.say(shipped())
    await until(stack.waiting_parcels, WAIT_LIMIT_S, POLL_S)
    stack.say(await stack.placed())
    [item] = await stack.notices(ORDER, all_settled(1))
    assert item["state"] == "sent"


async def test_an_erased_recipient_is_refused_by_name(stack: Stack) -> None:
    order = await stack.placed()
    await stack.vault.destroy("demo", "2026-11")
    stack.say(order, shipped())
    [item] = await stack.notices(ORDER, all_settled(1))
    assert item["state"] == "failed"
    assert item["detail"].startswith("the recipient was erased")


async def test_holds_reach_operations_as_digests(stack: Stack) -> None:
    reasons = [HoldReason(rule="below_cost", rule_version=1, message_zh="实收低于成本")]
    stack.say(*[OrderHeld(order_id=f"own.demo.{n}", version=1, reasons=reasons) for n in range(40)])
    items = await stack.notices("operations", all_settled(1))
    assert items[0]["notice_id"] == "digest:dingtalk:1"
    [line] = [json.loads(line) for line in stack.sink.read_text().splitlines()]
    assert line["body"]["text"].startswith("#### 低于成本价，已挂起：")


async def test_opting_out_silences_and_opting_in_speaks_again(stack: Stack) -> None:
    answer = await stack.command("PUT", "/buyers/b1/opt-out")
    assert (answer.status_code, answer.json()) == (200, {"buyer_key": "b1", "opted_out": True})
    stack.say(await stack.placed(), shipped())
    [item] = await stack.notices(ORDER, all_settled(1))
    assert item["state"] == "opted_out"
    answer = await stack.command("DELETE", "/buyers/b1/opt-out")
    assert answer.json() == {"buyer_key": "b1", "opted_out": False}
    stack.say(shipped(n=2))
    items = await stack.notices(ORDER, all_settled(2))
    assert [item["state"] for item in items] == ["opted_out", "sent"]


async def test_a_wording_is_changed_once_and_used_next(stack: Stack) -> None:
    before = (await stack.client.get("/templates/parcel_shipped")).json()
    assert (before["version"], before["variables"]) == (0, ["carrier", "order_no", "waybill"])
    body = {"text": "单号${waybill}", "provider_code": "SMS_1"}
    first = await stack.command("PUT", "/templates/parcel_shipped", body, key="same")
    again = await stack.command("PUT", "/templates/parcel_shipped", body, key="same")
    assert first.json() == again.json() == {"name": "parcel_shipped", "version": 1, **body}
    other = await stack.command("PUT", "/templates/parcel_shipped", {"text": "别的"}, key="same")
    assert other.status_code in (409, 422)
    listed = (await stack.client.get("/templates")).json()["items"]
    assert {item["name"]: item["version"] for item in listed} == {
        "amend_too_late": 0,
        "cancel_too_late": 0,
        "order_held": 0,
        "parcel_shipped": 1,
        "route_blocked": 0,
        "safety_line": 0,
    }
    stack.say(await stack.placed(), shipped())
    await stack.notices(ORDER, all_settled(1))
    line = json.loads(stack.sink.read_text())
    assert (line["body"]["provider_code"], line["body"]["variables"]) == ("SMS_1", {"waybill": "SF1"})


async def test_what_is_wrong_is_refused_by_name(stack: Stack) -> None:
    async def refusal(answer: httpx.Response) -> tuple[int, Any]:
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json().get("field")

    good = {"text": "单号${waybill}"}
    put = "/templates/parcel_shipped"
    assert await refusal(await stack.command("PUT", put, {"text": "${phone}"})) == (422, "text")
    assert await refusal(await stack.command("PUT", put, {"text": "a\x00b"})) == (422, "text")
    assert await refusal(await stack.command("PUT", put, {"text": ""})) == (422, "text")
    assert await refusal(await stack.command("PUT", put, {**good, "more": 1})) == (422, "more")
    assert await refusal(await stack.command("PUT", "/templates/nobody", good)) == (404, None)
    assert await refusal(await stack.client.get("/templates/nobody")) == (404, None)
    assert (await refusal(await stack.client.put(put, json=good)))[0] == 400
    assert await refusal(await stack.client.get("/notices", params={"limit": 0})) == (422, "limit")
    assert await refusal(await stack.client.get("/notices", params={"cursor": "x"})) == (422, "cursor")
    assert await refusal(await stack.command("PUT", "/buyers/a%01b/opt-out")) == (422, "buyer_key")
    assert await refusal(await stack.client.get("/notices", headers=token("reviewer"))) == (403, None)
    assert await refusal(await stack.client.get("/notices", headers={"Authorization": ""})) == (401, None)


async def test_pages_hold_every_notice_once(stack: Stack) -> None:
    for n in range(7):
        stack.say(await stack.placed(f"own.demo.{n}", buyer_key=None), shipped(f"own.demo.{n}"))
    for n in range(7):
        await stack.notices(f"own.demo.{n}", all_settled(1))
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 3}
    for _ in range(3):
        page = (await stack.client.get("/notices", params=params)).json()
        seen.extend(item["order_id"] for item in page["items"])
        params = {"limit": 3, "cursor": page["next_cursor"]}
    assert page["next_cursor"] is None
    assert seen == [f"own.demo.{n}" for n in range(7)]


async def test_providers_are_used_once_configured(stack: Stack) -> None:
    with pytest.raises(ValidationError, match="aliyun_access_key_id"):
        Settings(kafka="none", postgres="none", sms_provider="aliyun")
    settings = Settings(
        kafka="none",
        postgres="none",
        sms_provider="aliyun",
        sms_sign_name="中枢",
        aliyun_access_key_id="id",
        aliyun_access_key_secret="secret",
        dingtalk_url="https://oapi.dingtalk.test/robot/send?access_token=T",
    )
    found = app.senders(settings, stack.vault)
    assert isinstance(found["sms"], AliyunSmsSender)
    assert isinstance(found["dingtalk"], DingTalkSender)


async def test_the_migration_makes_the_declared_tables_and_takes_them_away(database: str) -> None:
    await migrate(database, "notification")
    engine = create_async_engine(sqlalchemy_url(database))

    def shape(connection: Any) -> dict[str, dict[str, tuple[str, bool]]]:
        found = inspect(connection)
        return {
            table: {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(table, "notification")}
            for table in found.get_table_names("notification")
        }

    async with engine.connect() as connection:
        made = await connection.run_sync(shape)
    for table in [*store.METADATA.sorted_tables, *STREAM.sorted_tables]:
        declared = {c.name: (str(c.type.compile(engine.dialect)), c.nullable) for c in table.columns}
        found = made.pop(table.name)
        assert set(found) == set(declared)
        for name, (kind, nullable) in declared.items():
            assert found[name][1] == nullable, f"{table.name}.{name}"
            assert found[name][0].split("(")[0].split(" ")[0] == kind.split("(")[0].split(" ")[0]
    assert set(made) == {"alembic_version"}
    await migrate(database, "notification", revision="base")
    async with engine.connect() as connection:
        assert set(await connection.run_sync(shape)) <= {"alembic_version"}
    await engine.dispose()
