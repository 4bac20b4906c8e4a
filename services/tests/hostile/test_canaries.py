"""Personal data go in by every way there is, and are found nowhere but on the parcel's label."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest

from contracts.topics import SERVICES, TOPICS
from libs.stream.kafka import KafkaLog
from libs.testkit.canaries import Canaries, Sighting
from libs.testkit.client import Merchant, order_body
from libs.testkit.waiting import until
from services.ingestion.tests.test_api import HEADING

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
WAIT_LIMIT_S = 60.0
POLL_S = 0.1
FETCH_LIMIT_RECORDS = 1_000
SKU = "CANARY"
WEBHOOK = {
    "name": "欧阳金丝雀",
    "phone": "19973014821",
    "address": "金丝雀巷７７号樱桃园九栋",
    "buyer": "canary-buyer-4Kq81",
    "identity": "canary-token-9Zw30-of-the-platform",
    "note": "请放在蓝色金丝雀笼旁边",
}
AMENDED = {"name": "司徒黄鹂鸟", "phone": "19955512098", "address": "黄鹂路五百号玫瑰苑"}
FILE = {
    "name": "夏侯夜莺鸟",
    "phone": "19966620417",
    "address": "夜莺街三百三十号",
    "buyer": "nightingale-buyer-77Qx",
    "note": "夜莺备注请勿按门铃",
}
REFUSED = {
    "name": "慕容鹦鹉君",
    "phone": "19944498203",
    "address": "鹦鹉大道九百号",
    "buyer": "parrot-buyer-55Tg",
    "note": "鹦鹉学舌备注内容",
    "forged": "parrot-of-a-forged-message-31Vb",
}
CANCELLED = {"phone": "19922238475", "dotted": "199.2229.8476", "mail": "canary.mail.6612@example.com"}
WAYS = {"webhook": WEBHOOK, "amended": AMENDED, "file": FILE, "refused": REFUSED, "cancelled": CANCELLED}
CANARIES = {f"{way} {name}": value for way, found in WAYS.items() for name, value in found.items()}


def personal(order_id: str, who: Mapping[str, str]) -> dict[str, Any]:
    """Return an order of this person."""
    body = order_body(order_id, {SKU: 1}, note=who.get("note", ""))
    body["recipient"] |= {name: who[name] for name in ("name", "phone", "address")}
    body["buyer"] = {"id": who.get("buyer"), "identity": who.get("identity")}
    return body


def row(who: Mapping[str, str], quantity: str = "1") -> str:
    # The columns of HEADING, and the note.
    place = f"湖北省,武汉市,洪山区,{who['address']}"
    number = f"file-{who['phone'][-4:]}"
    start = f"{number},2026-11-11 08:00:03,{who['buyer']},{who['name']},{who['phone']},{place}"
    return f"{start},{SKU},{quantity},20.00,{who['note']}"


async def heard(merchant: Merchant, order_id: str, *types: str) -> None:
    """Wait until the tower has heard these events of an order."""
    lacking = set(types)
    path = merchant.url("tower", f"/orders/own.demo.{order_id}")

    async def all_heard() -> bool:
        page = await merchant.http.get(path, headers=merchant.bearer("operator"))
        if page.status_code == 200:
            lacking.difference_update(entry["type"] for entry in page.json().get("timeline", []))
        return not lacking

    await until(all_heard, WAIT_LIMIT_S, POLL_S, missing=lambda: f"{order_id} lacks {lacking}")


async def by_webhook(merchant: Merchant) -> None:
    """Orders, an amendment and a cancellation that are taken."""
    for number in ("canary-1", "canary-2", "canary-3"):
        answer = await merchant.webhook(f"msg_{number}", personal(number, WEBHOOK))
        assert answer.status_code == 202, answer.text
    answer = await merchant.webhook("msg_amended", personal("canary-2", WEBHOOK | AMENDED))
    assert (answer.status_code, answer.json()["status"]) == (202, "amended"), answer.text
    reason = f"打我电话 {CANCELLED['phone']} 或 {CANCELLED['dotted']} 或 {CANCELLED['mail']}"
    cancel = {"type": "order.cancelled", "platform_order_id": "canary-3", "reason": reason}
    assert (await merchant.webhook("msg_cancelled", cancel)).status_code == 202


async def refused_ones(merchant: Merchant) -> list[httpx.Response]:
    """Messages that are refused, each for another reason, with somebody's data in them."""
    good = personal("canary-9", REFUSED)
    wrong = [
        {**good, "total": 1},
        {**good, "colour": REFUSED["note"]},
        {**good, "total": REFUSED["phone"]},
        {**good, "kind": REFUSED["name"]},
        {**good, "lines": [{**good["lines"][0], "quantity": REFUSED["note"]}]},
        {**good, "placed_at": REFUSED["address"]},
        {**good, "recipient": {**good["recipient"], "phone": REFUSED["phone"] + "\x00"}},
        {**good, "recipient": REFUSED["name"]},
        {**good, "note": REFUSED["note"] * 1000},
        {**good, "platform_order_id": REFUSED["buyer"] + " " + REFUSED["phone"]},
    ]
    answers = [await merchant.webhook(f"msg_refused_{n}", body) for n, body in enumerate(wrong)]
    assert {answer.status_code for answer in answers} == {422}
    url = merchant.url("ingestion", "/webhooks/own/demo")
    answers.append(await merchant.http.post(url, content=REFUSED["forged"]))
    answers.append(await merchant.http.post(url, content=REFUSED["forged"], headers={"webhook-id": REFUSED["forged"]}))
    return answers


async def by_file(merchant: Merchant) -> httpx.Response:
    """An order file with one good row and some that are refused."""
    unfit = (row(REFUSED, quantity=REFUSED["note"]), row(REFUSED) + "," + REFUSED["name"], f'"{REFUSED["phone"]}"x,')
    content = "\n".join([HEADING + ",note", row(FILE), *unfit]).encode()
    return await merchant.http.post(
        merchant.url("ingestion", "/imports"),
        files={"file": (f"{FILE['name']}.csv", content, "text/csv")},
        data={"shop_id": "demo"},
        headers=merchant.bearer("operator"),
    )


async def open_task(merchant: Merchant, number: str, version: int) -> str:
    """Return the order's one open task, once this version of it was assigned."""
    path = merchant.url("fulfillment", f"/orders/own.demo.{number}")

    async def open_ones() -> list[str]:
        page = await merchant.http.get(path, headers=merchant.bearer("operator"))
        if page.status_code != 200 or page.json()["assigned_version"] < version:
            return []
        return [task["task_id"] for task in page.json()["tasks"] if task["state"] == "open"]

    found: list[str] = await until(open_ones, WAIT_LIMIT_S, POLL_S)
    return found[0]


async def labels(merchant: Merchant) -> list[httpx.Response]:
    """Ship two orders with their labels read, and return the labels."""
    found = []
    for number, version in (("canary-1", 1), ("canary-2", 2)):
        task_id = await open_task(merchant, number, version)
        await merchant.fulfil("pda-1", "CD", task_id, f"SF-{number}")
        path = merchant.url("fulfillment", f"/tasks/{quote(task_id, safe='')}/label")
        found.append(await merchant.http.get(path, headers=merchant.bearer("picker", "CD", "pda-1")))
        assert found[-1].status_code == 200, found[-1].text
        await heard(merchant, number, "ParcelShipped", "NoticeSent")
    return found


# -- where they must not be ------------------------------------------------------------------------------------------


async def records(merchant: Merchant) -> AsyncIterator[tuple[str, bytes]]:
    """Yield every byte of every record of every topic."""
    log = KafkaLog(merchant.env["ORDO_KAFKA"], "canary-search")
    try:
        places = [(topic.name, part) for topic in TOPICS for part in range(await log.partitions(topic.name))]
        left = sum((await log.ends(places)).values()) - sum((await log.beginnings(places)).values())
        await log.read_from(await log.beginnings(places))
        async with asyncio.timeout(WAIT_LIMIT_S):
            while left > 0:
                for record in await log.fetch(FETCH_LIMIT_RECORDS, 500):
                    left -= 1
                    headers = b" ".join(name.encode() + b"=" + (value or b"") for name, value in record.headers)
                    content = b"\n".join([record.key or b"", record.value or b"", headers])
                    yield f"{record.topic}/{record.partition}/{record.offset}", content
    finally:
        await log.close()


async def rows(dsn: str) -> AsyncIterator[tuple[str, bytes]]:
    """Yield every table's rows as text, and every binary value as it is."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'"
        )
        assert {name for name, _ in tables} >= set(SERVICES)
        for schema, table in tables:
            name = f"{schema}.{table}"
            for found in await connection.fetch(f'SELECT t.*, t::text AS "whole row" FROM "{schema}"."{table}" t'):
                binary = [value for value in found.values() if isinstance(value, bytes)]
                yield name, b"\n".join([found["whole row"].encode(), *binary])
    finally:
        await connection.close()


async def answers(merchant: Merchant) -> AsyncIterator[tuple[str, str]]:
    """Yield what every role is answered by every reading route of every service, but for the label's own readers."""
    known = {
        "order_id": [f"own.demo.canary-{n}" for n in (1, 2, 3)],
        "task_id": [f"own.demo.canary-{n}/{m}" for n in (1, 2) for m in (1, 2)],
        "sku": [SKU],
        "name": ["parcel_shipped"],
        "transfer_id": ["none"],
        "inbound_id": ["none"],
        "shop_id": ["demo"],
        "channel": ["own", "taobao"],
    }
    callers = {role: merchant.bearer(role) for role in ("operator", "reviewer", "sre")}
    callers |= {
        "picker of GZ": merchant.bearer("picker", "GZ"),
        "picker": merchant.bearer("picker", "CD"),
        "nobody": {},
    }
    for service in SERVICES:
        document = (await merchant.http.get(merchant.url(service, "/openapi.json"))).json()
        for path, methods in document["paths"].items():
            if "get" not in methods:
                continue
            for filled in fill(path, known):
                for who, headers in callers.items():
                    if path.endswith("/label") and who in ("operator", "picker"):
                        continue
                    found = await merchant.http.get(merchant.url(service, filled), headers=headers)
                    assert found.status_code < 500, (service, filled, found.text)
                    yield f"{service} {filled} for {who}: {found.status_code}", found.text + str(found.headers)


def fill(path: str, known: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield the path with each value its parameter may have."""
    before, brace, rest = path.partition("{")
    if not brace:
        yield path
        return
    name, _, after = rest.partition("}")
    for value in known[name]:
        yield f"{before}{quote(value, safe='')}{after}"


async def test_canaries_are_found_nowhere_but_on_the_label(survivor: Merchant, ruin: Path) -> None:
    await survivor.define_stock(SKU, {"CD": 50}, weight_grams=100)
    await by_webhook(survivor)
    told = await refused_ones(survivor)
    report = await by_file(survivor)
    assert (report.json()["accepted"], report.json()["refused"] >= 2) == (1, True), report.text
    shown = await labels(survivor)
    await heard(survivor, "canary-3", "OrderCancelRequested", "StockReleased")
    await heard(survivor, "file-0417", "PickTaskCreated")

    canaries = Canaries(CANARIES)
    # The search can find: it does on the labels, where everything that a parcel needs stands in clear.
    seen = {sighting.name for label in shown for sighting in canaries.search("label", label.content)}
    assert seen == {f"webhook {n}" for n in ("name", "phone", "address", "note")} | {f"amended {n}" for n in AMENDED}

    found: list[Sighting] = []
    looked = dict.fromkeys(("answers", "records", "rows", "logs", "metrics"), 0)
    for answer in (*told, report):
        found += canaries.search("an answer to the sender", answer.content)
    async for where, content in answers(survivor):
        looked["answers"] += 1
        found += canaries.search(where, content)
    async for where, raw in records(survivor):
        looked["records"] += 1
        found += canaries.search(where, raw)
    async for where, raw in rows(survivor.env["ORDO_POSTGRES"]):
        looked["rows"] += 1
        found += canaries.search(where, raw)
    for path in sorted((ruin / "logs").rglob("*")):
        looked["logs"] += 1
        found += canaries.search_file(path)
    for service in SERVICES:
        looked["metrics"] += 1
        found += canaries.search(
            f"{service} /metrics", (await survivor.http.get(survivor.url(service, "/metrics"))).text
        )
    assert min(looked.values()) >= 7, looked
    assert not found, "\n".join(str(sighting) for sighting in found[:50])
    # Write-ahead logs, indexes, temporary files and Kafka's segments keep what tables no longer show.
    plain = Canaries(CANARIES, only=("text",))
    files = [path for folder in ("postgres", "kafka", "logs") for path in (ruin / folder).rglob("*") if path.is_file()]
    assert len(files) > 100
    on_disk = [sighting for path in files for sighting in plain.search_file(path)]
    assert not on_disk, "\n".join(str(sighting) for sighting in on_disk[:50])
