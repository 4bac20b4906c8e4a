"""The edge as a shop and an operator see it, on the real worker over memory."""

import asyncio
import json
import time

import msgspec
import pytest

from contracts.orders import OrderPlaced
from libs.stream.desk import Overloaded
from services.ingestion.api.webhooks import BATCH_LIMIT_MESSAGES, split
from services.ingestion.tests.samples import PERSONAL, body, message
from services.ingestion.tests.stack import SECRET, memory_stack

OTHER_SECRET = "whsec_bm90LXRoZS1zZWNyZXQtb2YtdGhpcy1zaG9w"
HEADING = "platform_order_id,placed_at,buyer_id,name,phone,province,city,district,address,sku,quantity,unit_price"
ROW = "1001,2026-11-11 08:00:03,buyer-17850,张三丰,13987654321,湖北省,武汉市,洪山区,珞喻路1037号,85123A,6,25.50"


@pytest.fixture
async def stack(monkeypatch):
    async with memory_stack(monkeypatch) as found:
        yield found


def cancellation(number="536365", **more):
    return json.dumps({"type": "order.cancelled", "platform_order_id": number, **more}).encode()


async def test_an_order_a_repeat_a_change_and_a_cancellation(stack):
    first = await stack.send(body(), webhook_id="msg_a")
    assert (first.status_code, first.json()) == (202, {"order_id": "own.demo.536365", "status": "accepted"})
    again = await stack.send(body(), webhook_id="msg_a")
    assert (again.status_code, again.json()) == (202, first.json())
    same = await stack.send(body(), webhook_id="msg_b")
    assert (same.status_code, same.json()["status"]) == (202, "unchanged")
    other = await stack.send(body(note="请放门口"))
    assert (other.status_code, other.json()["status"]) == (202, "amended")
    cancelled = await stack.send(cancellation(reason="不想要了"))
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "accepted")
    late = await stack.send(body(note="late"))
    assert late.status_code == 409
    assert [kind for kind, _ in stack.published()] == ["OrderPlaced", "OrderAmended", "OrderCancelRequested"]


async def test_a_webhook_id_used_for_another_content_is_refused(stack):
    await stack.send(body(), webhook_id="msg_a")
    answer = await stack.send(body(note="x"), webhook_id="msg_a")
    assert (answer.status_code, answer.json()["field"]) == (422, "webhook-id")
    assert len(stack.published()) == 1


async def test_the_published_order_says_where_and_hides_who(stack):
    await stack.send(body(note="请放门口"))
    ((_, value),) = stack.published()
    placed = msgspec.json.decode(value, type=OrderPlaced)
    assert placed.destination.resolved
    assert placed.destination.province_code.startswith("42")
    assert placed.destination.region == "华中"
    assert not placed.destination.is_pickup_point
    assert placed.has_note
    assert len(placed.buyer_key) == 32
    opened = json.loads(await stack.parts.vault.open(placed.sealed))
    assert opened["recipient"] == message()["recipient"]
    assert opened["note"] == "请放门口"


async def test_an_address_nobody_knows_is_marked_and_a_pickup_point_seen(stack):
    recipient = message()["recipient"] | {"province": "", "city": "", "district": "", "address": "somewhere 丰巢柜"}
    await stack.send(body(recipient=recipient))
    ((_, value),) = stack.published()
    destination = msgspec.json.decode(value, type=OrderPlaced).destination
    assert not destination.resolved
    assert destination.why_unresolved
    assert destination.is_pickup_point


async def test_nothing_personal_is_stored_or_published_in_clear(stack):
    await stack.send(body(note="请放门口"))
    await stack.send(body(note="请放门口 two"))
    await stack.send(cancellation(reason="call 13987654321"))
    await stack.upload(f"{HEADING}\n{ROW}".encode())
    stored = repr(stack.stored.__dict__) + "".join(
        answered.body.decode() for answered in stack.stored.commands.values()
    )
    text = stored + repr([value.decode() for _, value in stack.published()])
    for secret in (*PERSONAL, "13987654321"):
        assert secret not in text
        assert repr(secret.encode())[2:-1] not in text
    raws = [entry.raw_sealed for entries in stack.stored.entries.values() for entry in entries]
    assert await stack.parts.vault.open(raws[0]) == body(note="请放门口")


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"secret": OTHER_SECRET}, 401),
        ({"away_s": -400}, 401),
        ({"away_s": 400}, 401),
        ({"headers": {}}, 401),
        ({"path": "/webhooks/own/nobody"}, 404),
        ({"path": "/webhooks/own/a.b"}, 404),
        ({"path": "/webhooks/own/%00"}, 404),
    ],
)
async def test_who_is_not_the_shop_is_refused(stack, how, status):
    if "away_s" in how:
        how = {"at": int(time.time()) + how["away_s"]}
    answer = await stack.send(body(), **how)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text
    assert stack.published() == []


async def test_doubled_headers_are_refused(stack):
    answer = await stack.send(body(), headers=[("webhook-id", "a"), ("webhook-id", "b")])
    assert answer.status_code == 401
    assert "twice" in answer.json()["detail"]


async def test_the_size_is_limited_before_anything_is_read(stack):
    assert (await stack.send(b" " * (1024 * 1024 + 1))).status_code == 413

    async def endless():
        for _ in range(20):
            yield b" " * 100_000

    answer = await stack.client.post("/webhooks/own/demo", content=endless())
    assert answer.status_code == 413
    exact = body() + b" " * (1024 * 1024 - len(body()))
    assert (await stack.send(exact)).status_code == 202


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"not json", "body"),
        (b"", "body"),
        (body(total=1), "total"),
        (body(colour="red"), "colour"),
        (body(lines=[]), "lines"),
        (body(kind="presale"), "available_from"),
    ],
)
async def test_an_invalid_order_names_the_field(stack, content, field):
    answer = await stack.send(content)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wrong_total_says_by_how_much(stack):
    answer = (await stack.send(body(total=15000))).json()
    assert (answer["difference"], answer["expected"]) == (-100, 15100)


async def test_a_full_queue_answers_429(stack, monkeypatch):
    async def full(command, key):
        raise Overloaded

    monkeypatch.setattr(stack.parts.worker, "submit", full)
    answer = await stack.send(body())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


async def test_requests_that_arrive_together_share_transactions(stack):
    answers = await asyncio.gather(*(stack.send(body(platform_order_id=str(n))) for n in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(stack.published()) == 100
    assert len(stack.stored.batches) < 50


async def test_the_same_order_sent_many_times_at_once_is_one_order(stack):
    answers = await asyncio.gather(*(stack.send(body()) for _ in range(30)))
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted", *["unchanged"] * 29]
    assert len(stack.published()) == 1


@pytest.mark.parametrize("form", ["list", "ndjson"])
async def test_a_batch_gives_each_message_its_verdict(stack, form):
    messages = [
        body(platform_order_id="1"),
        body(platform_order_id="2", total=3),
        cancellation("1"),
        body(platform_order_id="1"),
        b"{}",
    ]
    content = b"[" + b",".join(messages) + b"]" if form == "list" else b"\n".join(messages)
    answer = await stack.send(content, path="/orders/batch?shop_id=demo", webhook_id="msg_b")
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [each["status"] for each in items] == ["accepted", "refused", "accepted", "unchanged", "refused"]
    assert [each["index"] for each in items] == [0, 1, 2, 3, 4]
    assert items[1]["problem"]["field"] == "total"
    assert len(stack.stored.batches) == 1
    repeat = await stack.send(content, path="/orders/batch?shop_id=demo", webhook_id="msg_b")
    assert repeat.json() == answer.json()
    assert len(stack.published()) == 2


async def test_a_batch_is_refused_as_a_whole_only_for_what_concerns_it_as_a_whole(stack):
    async def status(content, query="?shop_id=demo", **how):
        return (await stack.send(content, path=f"/orders/batch{query}", **how)).status_code

    assert await status(b"[]") == 422
    assert await status(b"[1") == 422
    assert await status(b"") == 422
    assert await status(b"[{}]", "") == 422
    assert await status(b"[{}]", "?shop_id=nobody") == 404
    assert await status(b"[{}]", secret=OTHER_SECRET) == 401
    assert await status(b"{}\n" * (BATCH_LIMIT_MESSAGES + 1)) == 413
    assert await status(b"{}") == 200


def test_a_batch_is_split_exactly():
    assert split(b' [ {"a":1} , {"b":[2,3]} ] ') == [b'{"a":1}', b'{"b":[2,3]}']
    assert split(b'{"a":1}\r\n\n{"b":2}\n') == [b'{"a":1}\r', b'{"b":2}']


async def test_a_file_is_imported_and_a_second_time_changes_nothing(stack):
    rows = [ROW, ROW.replace("1001", "1002").replace(",6,", ",x,"), ROW.replace("1001", "1003")]
    first = await stack.upload("\n".join([HEADING, *rows]).encode("gb18030"))
    assert first.status_code == 200, first.text
    report = first.json()
    assert (report["accepted"], report["refused"]) == (2, 1)
    assert [(row["line"], row["field"], row["platform_order_id"]) for row in report["refused_rows"]] == [
        (3, "quantity", "1002")
    ]
    second = (await stack.upload("\n".join([HEADING, *rows]).encode())).json()
    assert (second["accepted"], second["unchanged"], second["amended"], second["refused"]) == (0, 2, 0, 1)
    changed = (await stack.upload(f"{HEADING}\n{ROW.replace(',6,', ',7,')}".encode())).json()
    assert changed["amended"] == 1
    back = (await stack.upload(f"{HEADING}\n{ROW}".encode())).json()
    assert back["amended"] == 1
    assert [kind for kind, _ in stack.published()].count("OrderAmended") == 2


async def test_a_file_and_a_webhook_speak_of_the_same_order(stack):
    await stack.upload(f"{HEADING}\n{ROW}".encode())
    order = message(
        platform_order_id="1001",
        placed_at="2026-11-11T00:00:03Z",
        paid_at=None,
        lines=[{"line_id": "1", "sku": "85123A", "quantity": 6, "unit_price": 2550}],
        total=15300,
        promise=None,
    )
    del order["recipient"]["postcode"]
    answer = await stack.send(json.dumps(order, ensure_ascii=False).encode())
    assert answer.json()["status"] == "unchanged"


async def test_a_cancelled_order_in_a_file_is_a_refused_row(stack):
    await stack.upload(f"{HEADING}\n{ROW}".encode())
    await stack.send(cancellation("1001"))
    report = (await stack.upload(f"{HEADING}\n{ROW.replace(',6,', ',7,')}".encode())).json()
    assert report["refused"] == 1
    assert report["refused_rows"][0]["line"] == 2


async def test_a_large_file_goes_through_in_chunks(stack):
    rows = [ROW.replace("1001", str(n)) for n in range(450)]
    report = (await stack.upload("\n".join([HEADING, *rows]).encode())).json()
    assert report["accepted"] == 450
    assert len(stack.stored.batches) == 3


async def test_a_file_waits_in_line_where_a_webhook_is_sent_away(stack, monkeypatch):
    submit, calls = stack.parts.worker.submit, []

    async def busy_once(command, key):
        calls.append(key)
        if len(calls) == 1:
            raise Overloaded
        return await submit(command, key)

    monkeypatch.setattr(stack.parts.worker, "submit", busy_once)
    monkeypatch.setattr(Overloaded, "retry_after_s", 0)
    assert (await stack.upload(f"{HEADING}\n{ROW}".encode())).json()["accepted"] == 1
    assert calls[0] == calls[1]


@pytest.mark.parametrize(
    ("data", "shop", "status", "field"),
    [
        (b"a,b\n1,2\n", "demo", 422, "a"),
        (HEADING.replace(",sku", "").encode(), "demo", 422, "sku"),
        (b"", "demo", 422, "file"),
        (HEADING.encode(), "nobody", 404, "shop_id"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused(stack, data, shop, status, field):
    answer = await stack.upload(data, shop)
    assert (answer.status_code, answer.json().get("field")) == (status, field)


async def test_operators_only(stack):
    for method, path in [("POST", "/imports"), ("GET", "/shops"), ("PUT", "/shops/x"), ("GET", "/channels")]:
        assert (await stack.client.request(method, path)).status_code == 401


async def test_a_shop_gets_its_secret_once_and_can_send(stack):
    async def put(key, **wanted):
        return await stack.client.put("/shops/new-1", json=wanted, headers=stack.operator | {"Idempotency-Key": key})

    assert (await stack.send(body(), path="/webhooks/own/new-1")).status_code == 404
    created = await put("k1")
    assert created.status_code == 201
    secret = created.json()["secret"]
    assert (await put("k1")).json() == {name: each for name, each in created.json().items() if name != "secret"}
    assert secret not in repr(stack.stored.__dict__)
    sent = await stack.send(body(), path="/webhooks/own/new-1", secret=secret)
    assert (sent.status_code, sent.json()["order_id"]) == (202, "own.new-1.536365")
    rotated = (await put("k2", rotate_secret=True)).json()["secret"]
    assert rotated != secret
    for good in (secret, rotated):
        assert (await stack.send(body(), path="/webhooks/own/new-1", secret=good)).status_code == 202
    last = (await put("k3", rotate_secret=True, previous_secret_valid_hours=0)).json()["secret"]
    assert (await stack.send(body(), path="/webhooks/own/new-1", secret=last)).status_code == 202
    assert (await stack.send(body(), path="/webhooks/own/new-1", secret=rotated)).status_code == 401
    assert (await put("k4", paused=True)).json()["paused"]
    paused = await stack.send(body(), path="/webhooks/own/new-1", secret=last)
    assert (paused.status_code, paused.headers["retry-after"]) == (503, "300")


async def test_the_shop_of_the_environment_cannot_be_changed_here(stack):
    answer = await stack.client.put("/shops/demo", json={}, headers=stack.operator | {"Idempotency-Key": "k"})
    assert answer.status_code == 409


async def test_without_the_setting_there_is_no_demo_shop(monkeypatch):
    async with memory_stack(monkeypatch, own_demo_secret=None) as stack:
        assert (await stack.send(body())).status_code == 404


async def test_the_documentation_shows_the_message_and_its_headers(stack):
    spec = (await stack.client.get("/openapi.json")).json()
    route = spec["paths"]["/webhooks/own/{shop_id}"]["post"]
    assert {each["name"] for each in route["parameters"]} == {
        "shop_id",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    content = route["requestBody"]["content"]["application/json"]
    assert content["examples"]["placed"]["value"]["total"] == 15100
    assert "$ref" not in json.dumps(content)
    assert set(route["responses"]) == {"202", "401", "404", "409", "413", "422", "429", "503", "4XX"}
    assert "/orders/batch" in spec["paths"]
