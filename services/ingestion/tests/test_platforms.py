"""Shops on a platform, whole: pushes, pulls, tokens and parked documents, on Postgres against a platform's double."""

import json
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from libs.channels import registry
from libs.channels.channel import Cure, PlatformRefused
from libs.channels.outward import pulling
from libs.runtime.clock import utc_now
from libs.testkit.waiting import until
from services.ingestion.domain import CloseDays
from services.ingestion.tests.fake_platform import FakePlatform
from services.ingestion.tests.samples import PERSONAL, body
from services.ingestion.tests.stack import postgres_stack
from services.ingestion.tests.test_store import rows

pytestmark = pytest.mark.postgres

SECRET = "the app's own secret"
ACCESS = {
    "app_key": "12345678",
    "app_secret": SECRET,
    "access_token": "token-1",
    "refresh_token": "refresh",
    "seller_id": "9",
    "secrets": {"extra": "another secret"},
}
LIMIT_S = 20
POLL_S = 0.05


@pytest.fixture
def platform(monkeypatch):
    found = FakePlatform()
    monkeypatch.setitem(registry.CHANNELS, "taobao", found.channel())
    monkeypatch.setattr(pulling, "SKEW_S", 0)
    return found


@pytest.fixture
async def stack(platform, database):
    async with postgres_stack(database, outside=True, pull_interval_s=0.2) as found:
        yield found


numbers = iter(range(1, 10**6))


async def put(stack, shop_id="t1", **wanted):
    headers = stack.operator | {"Idempotency-Key": f"k{next(numbers)}"}
    return await stack.client.put(f"/shops/{shop_id}", json={"channel": "taobao"} | wanted, headers=headers)


async def shop(stack, shop_id="t1"):
    page = (await stack.client.get("/shops", headers=stack.operator)).json()
    return next(each for each in page["items"] if each["shop_id"] == shop_id)


async def push(stack, *hints, path="/push/taobao/t1", sign=SECRET):
    return await stack.client.post(path, content=json.dumps(list(hints)), headers={"x-sign": sign})


def kinds(stack, kind=None):
    return [each for each, _ in stack.published() if kind is None or each == kind]


def published(stack, count):
    return until(lambda: len(stack.published()) >= count, LIMIT_S)


async def test_pushes_become_orders_once_and_lose_no_person(stack, platform, database):
    answer = await put(stack, access=ACCESS)
    assert answer.status_code == 201, answer.text
    assert SECRET not in answer.text
    platform.change("1", order={"note": "请放门口"})
    first = await push(stack, {"id": "1", "message": "m1"})
    assert (first.status_code, first.text) == (200, '{"code":0}')
    await published(stack, 1)
    assert (await push(stack, {"id": "1", "message": "m1"})).text == '{"code":0}'
    platform.change("1", closed=True)
    await push(stack, {"id": "1", "message": "m2"})
    await published(stack, 2)
    platform.ask_refund("r1", "1", 100)
    platform.change("2")
    platform.ask_refund("r2", "2", 100)
    await push(stack, {"id": "r1", "about": "refund"}, {"id": "2"}, {"id": "r2", "about": "refund"})
    await published(stack, 4)
    assert kinds(stack) == ["OrderPlaced", "OrderCancelRequested", "OrderPlaced", "RefundRequested"]
    assert kinds(stack, "OrderPlaced")
    tables = (
        "command_log",
        "outbox",
        "platform_order",
        "intake",
        "subject",
        "push",
        "connection",
        "egress",
        "batch_log",
    )
    text = "".join([repr(await rows(database, f"SELECT * FROM {table}")) for table in tables])
    for secret in (*PERSONAL, SECRET, "another secret", "token-1"):
        assert secret not in text
        assert repr(secret.encode())[2:-1] not in text
    kept = await rows(database, "SELECT raw_sealed FROM push ORDER BY received_at")
    assert json.loads(await stack.parts.vault.open(kept[0]["raw_sealed"])) == [{"id": "1", "message": "m1"}]


async def test_a_push_that_is_not_the_platforms_is_refused(stack, platform):
    await put(stack, access=ACCESS)
    wrong = await push(stack, {"id": "1"}, sign="guessed")
    assert (wrong.status_code, wrong.headers["content-type"]) == (401, "application/problem+json")
    assert SECRET not in wrong.text
    for path in ("/push/taobao/nobody", "/push/jd/t1", "/push/none/t1", "/push/taobao/%00"):
        assert (await push(stack, {"id": "1"}, path=path)).status_code == 404
    signed = {"x-sign": SECRET}
    assert (await stack.client.post("/push/taobao/t1", content=b"{", headers=signed)).status_code == 422
    assert (await push(stack, {"id": "a\x00b"})).status_code == 422
    assert (await stack.client.post("/push/taobao/t1", content=b" " * 1_100_000, headers=signed)).status_code == 413
    proof = await stack.client.get("/push/taobao/t1?echostr=42", headers=signed)
    assert (proof.status_code, proof.text) == (200, "echostr=42")
    assert (await stack.send(body(), path="/webhooks/own/t1")).status_code == 404
    assert platform.fetched == []


async def test_a_shops_own_codes_of_carriers_are_kept_and_shown(stack, platform):
    assert (await put(stack, access=ACCESS, carriers={"jd": "JDKD", "JT_2": "CN7"})).status_code == 201
    assert (await shop(stack))["carriers"] == {"JD": "JDKD", "JT_2": "CN7"}
    assert (await put(stack)).status_code == 200
    assert (await shop(stack))["carriers"] == {"JD": "JDKD", "JT_2": "CN7"}
    for wrong in ({"": "x"}, {"J D": "x"}, {"JD": ""}, {"JD": "x" * 65}, {f"C{n}": "x" for n in range(65)}):
        assert (await put(stack, carriers=wrong)).status_code == 422
    assert (await put(stack, "mine", channel="own", carriers={"JD": "JDKD"})).status_code == 422
    assert (await put(stack, carriers={})).status_code == 200
    assert (await shop(stack))["carriers"] == {}


async def test_what_no_push_told_is_pulled_and_the_watermark_follows(stack, platform):
    since = utc_now() - timedelta(minutes=5)
    await put(stack, access=ACCESS, orders_since=since.isoformat())
    platform.change("1")
    platform.change("2", poison=True)
    await published(stack, 1)
    paid = utc_now()

    async def complete():
        found = (await shop(stack))["completeness"]
        return found["complete_until"] and datetime.fromisoformat(found["complete_until"]) > paid and found

    found = await until(complete, LIMIT_S, POLL_S)
    assert (found["parked_documents"], found["open_documents"], found["late_orders"]) == (1, 0, 0)
    assert (await shop(stack))["reasons"] == ["complete but for 1 parked documents"]
    # A row that the platform counts but does not list is no evidence, whatever the queues say.
    platform.hides = {"3"}
    platform.change("3")

    async def troubled():
        return (await shop(stack))["completeness"]["trouble"]

    assert "counts 1 more" in await until(troubled, LIMIT_S, POLL_S)
    platform.hides = set()
    await published(stack, 2)


async def test_an_order_that_left_before_the_shop_was_connected_is_here_and_is_never_placed(stack, platform, database):
    await put(stack, access=ACCESS)
    platform.change("1", left="whole")
    platform.change("2", left="part")
    platform.change("3")
    await push(stack, {"id": "1"}, {"id": "2"}, {"id": "3"})
    await published(stack, 1)

    async def settled():
        found = await rows(database, "SELECT order_id, state, version FROM platform_order ORDER BY order_id")
        parked = await rows(database, "SELECT subject_id, field FROM parked_document")
        return len(found) == 2 and parked and ([tuple(each.values()) for each in (*found, *parked)])

    assert await until(settled, LIMIT_S, POLL_S) == [
        ("taobao.t1.1", "left", 0),
        ("taobao.t1.3", "placed", 1),
        ("2", "lines"),
    ]
    # What we ship ourselves leaves as well: that changes nothing of an order that was placed.
    platform.change("3", left="whole", order={"note": "x"})
    platform.change("1", order={"note": "x"})
    await push(stack, {"id": "1"}, {"id": "3"})
    await published(stack, 2)
    assert kinds(stack) == ["OrderPlaced", "OrderAmended"]


async def test_a_refund_withdrawn_after_it_ended_the_order_is_shown_until_an_operator_has_seen_it(
    stack, platform, database
):
    await put(stack, access=ACCESS, orders_since=(utc_now() - timedelta(minutes=5)).isoformat())
    platform.change("1")
    platform.ask_refund("r1", "1", 100)
    await push(stack, {"id": "1"}, {"id": "r1", "about": "refund"})
    await published(stack, 2)
    platform.withdraw("r1")
    await push(stack, {"id": "r1", "about": "refund"})

    async def shown():
        return (await stack.client.get("/documents/parked?shop_id=t1", headers=stack.operator)).json()["items"]

    (notice,) = await until(shown, LIMIT_S, POLL_S)
    assert (notice["subject_id"], notice["field"]) == ("r1", "refund withdrawn")
    assert "ship it by hand or have it placed anew" in notice["reason"]
    found = await shop(stack)
    assert (found["colour"], found["reasons"]) == ("yellow", ["complete but for 1 parked documents"])
    headers = stack.operator | {"Idempotency-Key": "seen"}
    answer = await stack.client.post("/documents/parked/t1/refund/r1/retry", headers=headers)
    assert answer.status_code == 202, answer.text
    read = platform.fetched.count("r1")
    await until(lambda: platform.fetched.count("r1") > read, LIMIT_S, POLL_S)
    assert await shown() == []
    orders = await rows(database, "SELECT line_ids, refunded FROM platform_order")
    assert [tuple(each.values()) for each in orders] == [('["1"]', True)]
    assert await rows(database, "SELECT withdrawn FROM platform_refund") == [{"withdrawn": True}]


async def test_documents_that_come_in_pages_are_kept_once_however_often_they_are_listed(stack, platform, database):
    platform.lists_documents = True
    await put(stack, access=ACCESS, orders_since=(utc_now() - timedelta(minutes=5)).isoformat())
    platform.change("1", order={"note": "请放门口"})
    await published(stack, 1)

    async def listed():
        told = await rows(database, "SELECT body FROM command_log WHERE kind = 'HearPage'")
        pages = [page for page in (json.loads(each["body"]) for each in told) if page.get("listed")]
        return pages if len(pages) > 3 else None

    pages = await until(listed, LIMIT_S, POLL_S)
    kept = [document for page in pages for document in page.get("documents", [])]
    said = [each for document in kept for each in document["said"]]
    assert platform.fetched == []
    assert 1 <= len(kept) < len(pages), "it is known as soon as the second of its change is over"
    assert [each["raw_sealed"] for each in said] == [""] * len(said), "the document is there once, not in what it says"
    [intake] = await rows(database, "SELECT raw_sealed FROM intake")
    assert json.loads(await stack.parts.vault.open(intake["raw_sealed"]))["order"]["note"] == "请放门口"


async def test_a_poison_document_waits_for_an_operator_alone(stack, platform):
    await put(stack, access=ACCESS)
    platform.change("1", poison=True)
    platform.change("2", crash=True)
    platform.change("3")
    await push(stack, {"id": "1"}, {"id": "2"}, {"id": "3"}, {"id": "4"})
    await published(stack, 1)

    async def parked():
        answer = await stack.client.get("/documents/parked?shop_id=t1", headers=stack.operator)
        return len(answer.json()["items"]) == 3 and answer.json()["items"]

    first, second, third = await until(parked, LIMIT_S, POLL_S)
    assert (first["field"], first["reason"]) == ("lines[0].num", "is not a number")
    assert second["reason"] == "could not be read: KeyError"
    assert third["reason"] == "trade-not-exist: no such trade"
    page = (await stack.client.get("/documents/parked?limit=2", headers=stack.operator)).json()
    rest = await stack.client.get(f"/documents/parked?limit=2&cursor={page['next_cursor']}", headers=stack.operator)
    assert [each["subject_id"] for each in rest.json()["items"]] == ["4"]
    platform.change("1", poison=False)
    headers = stack.operator | {"Idempotency-Key": "again"}
    retry = await stack.client.post("/documents/parked/t1/order/1/retry", headers=headers)
    assert retry.status_code == 202
    await published(stack, 2)
    none = await stack.client.post("/documents/parked/t1/order/3/retry", headers=headers)
    assert none.status_code == 404


async def test_an_operator_vouches_for_a_day_number_that_was_never_given_out(stack, platform):
    assert (await put(stack, access=ACCESS, paused=True)).status_code == 201
    gaps = ["2026-11-11 #3", "2026-11-11 #5"]
    now = utc_now()
    read = CloseDays(shop_id="t1", number=1, until=now, ended=now, counted={"2026-11-11": 2}, gaps=gaps)
    assert (await stack.parts.submit(read, "read")).status == 200
    assert (await shop(stack))["completeness"]["gaps"] == gaps

    async def waive(wanted, headers=stack.operator):
        named = headers | {"Idempotency-Key": f"k{next(numbers)}"}
        return await stack.client.post("/shops/t1/gaps/waive", json=wanted, headers=named)

    why = "their support: never given out"
    assert (await waive({"gaps": gaps[:1], "why": why}, {})).status_code == 401
    for wanted, field in (({"gaps": ["#3"], "why": why}, "gaps.0"), ({"gaps": gaps, "why": ""}, "why"), ({}, "gaps")):
        refused = await waive(wanted)
        assert refused.status_code == 422
        assert field in refused.json()["field"]
    assert (await waive({"gaps": ["2026-11-11 #4"], "why": why})).json()["unknown"] == ["2026-11-11 #4"]
    assert (await waive({"gaps": gaps[:1], "why": why})).json()["gaps"] == gaps[1:]
    found = (await shop(stack))["completeness"]
    assert found["gaps"] == gaps[1:]
    [waived] = found["waived"]
    assert (waived["gap"], waived["why"], bool(waived["by"])) == (gaps[0], why, True)


async def test_signing_in_by_redirect_and_callback(stack, platform):
    await put(stack, access={"app_key": "1", "app_secret": SECRET})

    async def asks():
        return (await shop(stack))["colour"] == "red"

    await until(asks, LIMIT_S, POLL_S)
    assert "nobody has signed this shop in" in " ".join((await shop(stack))["reasons"])
    begun = (await stack.client.get("/shops/t1/authorize", headers=stack.operator)).json()
    state = parse_qs(urlsplit(begun["url"]).query)["state"][0]
    assert begun["redirect_uri"] == "http://test/oauth/taobao/callback"
    forged = await stack.client.get("/oauth/taobao/callback?code=good&state=forged")
    assert (forged.status_code, forged.json()["field"]) == (400, "state")
    callback = await stack.client.get(f"/oauth/taobao/callback?code=good&state={state}")
    assert (callback.status_code, callback.json()["scopes"]) == (200, ["trade", "item"])
    assert "token-2" not in callback.text
    assert (await stack.client.get(f"/oauth/taobao/callback?code=good&state={state}")).status_code == 400
    found = await shop(stack)
    assert (found["seller_id"], found["token"]["scopes"], found["colour"]) == ("9", ["trade", "item"], "green")
    assert "completeness stands still" in " ".join(found["token"]["breaks_when_expired"])
    assert (await stack.client.get("/shops/t1/authorize")).status_code == 401
    assert (await stack.client.get("/shops/demo/authorize", headers=stack.operator)).status_code == 404


async def test_a_token_is_refreshed_ahead_of_its_end_and_when_it_is_refused(stack, platform):
    soon = (utc_now() + timedelta(minutes=5)).isoformat()
    await put(stack, access=ACCESS | {"token_expires_at": soon})

    async def refreshed():
        return platform.refreshes == 1 and (await shop(stack))["token"]["version"] == 2

    await until(refreshed, LIMIT_S, POLL_S)
    platform.tokens = {"another"}
    platform.change("1")
    await push(stack, {"id": "1"})
    await published(stack, 1)
    assert platform.refreshes == 2


async def test_a_shop_that_needs_a_person_turns_red_and_says_why(stack, platform):
    await put(stack, access=ACCESS | {"refresh_token": "revoked"})
    platform.tokens = set()

    async def red():
        found = await shop(stack)
        return found["colour"] == "red" and found["reasons"][0]

    assert "the refresh token was revoked" in await until(red, LIMIT_S, POLL_S)


async def test_a_paused_shop_takes_nothing_and_catches_up(stack, platform):
    await put(stack, access=ACCESS)
    assert (await put(stack, paused=True)).json()["paused"]
    platform.change("1")
    answer = await push(stack, {"id": "1"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "300")
    assert "paused by an operator" in (await shop(stack))["reasons"]
    platform.refuses = [PlatformRefused(Cure.RETRY, "HTTP 503", "away")]
    await put(stack, paused=False)
    await published(stack, 1)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"channel": "own", "access": ACCESS}, "access"),
        ({"channel": "taobao"}, "access"),
        ({"channel": "taobao", "rotate_secret": True}, "rotate_secret"),
        ({"channel": "ebay"}, "channel"),
        ({"access": ACCESS | {"gateway": "file:///etc/passwd"}}, "access.gateway"),
        ({"access": ACCESS | {"app_secret": "a\x00"}}, "access.app_secret"),
        ({"access": {"app_key": "1"}}, "access.app_secret"),
    ],
)
async def test_what_a_shop_cannot_be(stack, wanted, field):
    answer = await put(stack, **wanted)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert SECRET not in answer.text
