"""Back to platforms on a real Postgres: from an event to the platform and to what operators see and do."""

import contextlib
from types import SimpleNamespace

import asyncpg
import httpx
import pytest

from contracts.shipments import ParcelShipped
from contracts.stock import StockLine
from contracts.stock_levels import StockLevelChanged
from libs.channels.channel import Cure, PlatformRefused
from libs.channels.outward.accepter import Accepter
from libs.channels.outward.stock_pusher import StockPusher
from libs.channels.outward.uploader import Uploader
from libs.decide import Send
from libs.runtime.clock import utc_now
from libs.stream.batch import Writer
from libs.stream.egress import Refused
from libs.testkit.waiting import until
from services.ingestion.app.outward import FiguresReader, senders
from services.ingestion.domain.connections import PutConnection
from services.ingestion.tests.outward_samples import order_of
from services.ingestion.tests.stack import postgres_stack

pytestmark = pytest.mark.postgres
WAIT_LIMIT_S = 30
SKUS = "/exposure/A"


class Platform:
    """Stands in for every shop's line: refuses as told, then takes all; keeps what it was told."""

    def __init__(self):
        self.parcels, self.told, self.offers, self.refusals, self.away = [], [], 3, [], False
        self.accepted = []
        self.client = SimpleNamespace(
            accept=self.accept, upload=self.upload, push_stock=self.push_stock, read_stock=self.read_stock
        )
        self.shop_id, self.paused, self.carriers = "s1", False, {}

    async def find(self, shop_id):
        return self

    async def accept(self, platform_order_id):
        self.accepted.append(platform_order_id)
        if self.refusals:
            raise self.refusals.pop()
        return "ok"

    async def upload(self, parcel):
        if self.away:
            raise httpx.ConnectError("away")
        if self.refusals:
            raise self.refusals.pop()
        self.parcels.append(parcel)
        return "ok"

    async def push_stock(self, orders):
        self.told += orders
        for order in orders:
            self.offers = self.offers + order.quantity if order.delta else order.quantity
        return "ok"

    async def read_stock(self, listing_id, listing_sku):
        return self.offers


@contextlib.asynccontextmanager
async def serving(database):
    async with postgres_stack(database) as stack:
        platform = Platform()
        found = senders(stack.parts, platform)
        assert isinstance(found["upload:wechat"], Uploader)
        assert isinstance(found["stock:jd"], StockPusher)
        stack.parts.worker._egress.senders = found
        for shop_id, channel in (("s1", "douyin"), ("s2", "wechat")):
            connection = PutConnection(
                shop_id=shop_id, channel=channel, paused=False, access_digest="d", access_wrapped="w", evidence=["pull"]
            )
            assert (await stack.parts.submit(connection, f"c:{shop_id}")).status == 201
        stack.heads = {}
        yield stack, platform


def publish(stack, service, *events):
    writer = Writer(service, 0, 1, stack.cluster.partitions, {})
    for event in events:
        outgoing, _, _ = writer.event(event, "test", int(utc_now().timestamp() * 1000), stack.heads)
        stack.cluster.append(outgoing)


def shipped(number, channel="douyin", shop_id="s1", **more):
    order_id = f"{channel}.{shop_id}.{number}"
    lines = [StockLine(line_id="1", sku="A", quantity=2)]
    fields = {"task_id": f"{order_id}/1", "carrier": "SF", "waybill": f"SF{number}"} | more
    return ParcelShipped(order_id=order_id, warehouse="W", lines=lines, **fields)


async def eventually(ask, wanted):
    async def answer():
        found = await ask()
        return found if wanted(found) else None

    return await until(answer, WAIT_LIMIT_S, 0.05)


async def uploads(stack, query=""):
    answer = await stack.client.get(f"/uploads{query}", headers=stack.operator)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_parcels_reach_the_platform_and_refusals_an_operator(database):
    async with serving(database) as (stack, platform):
        platform.refusals = [PlatformRefused(Cure.GIVE_UP, "2011", "订单 13912345678 已退款")]
        publish(stack, "fulfillment", shipped(1))
        failed = await eventually(lambda: uploads(stack, "?state=failed"), lambda page: page["items"])
        (item,) = failed["items"]
        assert item["platform_words"] == "2011: 订单 … 已退款"
        assert (item["order_id"], item["waybill"], item["lines"]) == (
            "douyin.s1.1",
            "SF1",
            [{"line_id": "1", "sku": "A", "quantity": 2}],
        )
        path = f"/uploads/{item['parcel_id']}/retry"
        keyed = stack.operator | {"Idempotency-Key": "k1"}
        for _ in range(2):
            assert (await stack.client.post(path, json={}, headers=keyed)).status_code == 202
        sent = await eventually(lambda: uploads(stack, "?state=sent"), lambda page: page["items"])
        assert [each["round"] for each in sent["items"]] == [2]
        assert len(platform.parcels) == 1
        publish(stack, "fulfillment", *[shipped(number) for number in range(2, 7)])
        await eventually(lambda: uploads(stack, "?state=sent"), lambda page: len(page["items"]) == 6)
        assert (await uploads(stack, "?state=failed"))["items"] == []
        seen, cursor = [], ""
        for _ in range(10):
            page = await uploads(stack, f"?limit=2{cursor}")
            seen += [each["order_id"] for each in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [f"douyin.s1.{number}" for number in range(1, 7)]
        for bad in ("?state=lost", "?cursor=*", "?limit=0"):
            assert (await stack.client.get(f"/uploads{bad}", headers=stack.operator)).status_code == 422
        assert (await stack.client.get("/uploads")).status_code == 401
        gone = await stack.client.post(
            "/uploads/douyin.s1.99/1/retry", json={}, headers=stack.operator | {"Idempotency-Key": "k"}
        )
        assert gone.status_code == 404


async def acceptances(stack, query=""):
    answer = await stack.client.get(f"/acceptances{query}", headers=stack.operator)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_order_is_accepted_once_it_is_here_and_a_refusal_reaches_an_operator(database):
    async with serving(database) as (stack, platform):
        platform.refusals = [PlatformRefused(Cure.GIVE_UP, "808", "订单 13912345678 状态已变更")]
        assert isinstance(stack.parts.worker._egress.senders["accept:meituan"], Accepter)
        for number in ("1", "2", "1"):
            order = order_of("meituan", "s3", number=number)
            assert (await stack.parts.submit(order, f"o:{number}:{len(platform.accepted)}")).status == 202
            await eventually(lambda: acceptances(stack, "?state=accepting"), lambda page: not page["items"])
        assert platform.accepted == ["1", "2"]
        (refused,) = (await acceptances(stack, "?state=refused"))["items"]
        assert (refused["order_id"], refused["platform_order_id"]) == ("meituan.s3.1", "1")
        assert refused["platform_words"] == "808: 订单 … 状态已变更"
        assert refused["accept_by"]
        first = await acceptances(stack, "?limit=1")
        rest = await acceptances(stack, f"?limit=1&cursor={first['next_cursor']}")
        assert [(each["order_id"], each["state"]) for each in rest["items"]] == [("meituan.s3.2", "accepted")]
        assert rest["next_cursor"] is None
        for bad in ("?state=lost", "?cursor=*", "?limit=0"):
            assert (await stack.client.get(f"/acceptances{bad}", headers=stack.operator)).status_code == 422
        assert (await stack.client.get("/acceptances")).status_code == 401


async def test_while_the_platform_is_away_nothing_is_lost_and_it_is_shown(database):
    async with serving(database) as (stack, platform):
        platform.away = True
        publish(stack, "fulfillment", *[shipped(number) for number in range(1, 4)])
        waiting = await eventually(
            lambda: uploads(stack, "?state=sending"), lambda page: sum(e["attempts"] for e in page["items"]) >= 3
        )
        assert "ConnectError" in {each["platform_words"] for each in waiting["items"]}
        assert all(each["next_try_at"] for each in waiting["items"])
        platform.away = False
        await eventually(lambda: uploads(stack, "?state=sent"), lambda page: len(page["items"]) == 3)
        assert sorted(parcel.waybill for parcel in platform.parcels) == ["SF1", "SF2", "SF3"]


async def test_a_reship_is_spent_only_when_an_operator_agrees(database):
    async with serving(database) as (stack, platform):
        publish(stack, "fulfillment", shipped(1, "wechat", "s2"))
        await eventually(lambda: uploads(stack, "?state=sent"), lambda page: page["items"])
        publish(stack, "fulfillment", shipped(1, "wechat", "s2", waybill="SF1b"))
        held = await eventually(lambda: uploads(stack, "?state=held"), lambda page: page["items"])
        assert held["items"][0]["reships_left"] == 1
        path = f"/uploads/{held['items'][0]['parcel_id']}/retry"
        refused = await stack.client.post(path, json={}, headers=stack.operator | {"Idempotency-Key": "k1"})
        assert (refused.status_code, refused.json()["field"]) == (409, "spend_reship")
        agreed = {"spend_reship": True}
        answer = await stack.client.post(path, json=agreed, headers=stack.operator | {"Idempotency-Key": "k2"})
        assert answer.status_code == 202
        sent = await eventually(lambda: uploads(stack, "?state=sent"), lambda page: page["items"])
        assert (sent["items"][0]["waybill"], sent["items"][0]["reships_left"]) == ("SF1b", 0)
        assert [(parcel.waybill, parcel.again) for parcel in platform.parcels] == [("SF1", False), ("SF1b", True)]


async def exposure(stack, sku="A"):
    answer = await stack.client.get(f"/exposure/{sku}", headers=stack.operator)
    return answer.json() | {"status_code": answer.status_code}


async def test_a_listing_is_read_told_and_every_term_is_shown(database):
    async with serving(database) as (stack, platform):
        await execute(database, "UPDATE progress SET complete_until = now() + interval '1 hour'")
        assert (await exposure(stack))["status_code"] == 404
        wanted = {"listing_id": "L1", "listing_sku": "S1", "mode": "share", "amount": 50}
        keyed = stack.operator | {"Idempotency-Key": "k1"}
        put = await stack.client.put("/shops/s1/listings/A", json=wanted, headers=keyed)
        assert (put.status_code, put.json()["bound"]) == (200, None)
        publish(stack, "inventory", StockLevelChanged(sku="A", on_hand=20, reserved=0, inbound=0, atp=20, sellable=20))
        found = await eventually(lambda: exposure(stack), lambda each: each.get("bound") == 0 and platform.offers == 10)
        assert [(order.quantity, order.delta, order.change_id) for order in platform.told] == [(7, True, "s1/A/2")]
        found = await eventually(lambda: exposure(stack), lambda each: each["listings"][0]["last_acknowledged"] == 10)
        term = found["listings"][0]
        assert (term["target"], term["offered"], term["may_be_sold"], term["drifts"]) == (10, 10, 10, 0)
        assert (found["atp"], found["may_be_sold"], found["bound"], found["budget"]) == (20, 10, 0, 0)
        started = await execute(database, "SELECT count(*) FROM command_log WHERE kind = 'StartPush'")
        assert started == 1
        over = {"listing_id": "L2", "mode": "share", "amount": 51}
        refused = await stack.client.put(
            "/shops/s2/listings/A", json=over, headers=stack.operator | {"Idempotency-Key": "k2"}
        )
        assert (refused.status_code, refused.json()["field"]) == (422, "amount")
        budget = await stack.client.put(
            "/exposure/A/budget", json={"budget": 4}, headers=stack.operator | {"Idempotency-Key": "k3"}
        )
        assert budget.json()["budget"] == 4
        ended = await stack.client.delete("/shops/s1/listings/A", headers=stack.operator | {"Idempotency-Key": "k4"})
        assert ended.status_code == 202


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/shops/s1/listings/A", {"listing_id": "L", "mode": "share", "amount": 101}),
        ("/shops/s1/listings/A", {"listing_id": "L", "mode": "all"}),
        ("/shops/s1/listings/A", {"listing_id": "L\x00", "mode": "rest"}),
        ("/shops/s1/listings/A", {"mode": "rest"}),
        ("/shops/s1/listings/A", {"listing_id": "L", "mode": "fixed", "amount": -1}),
        ("/shops/s 1/listings/A", {"listing_id": "L", "mode": "rest"}),
        ("/exposure/A/budget", {"budget": -1}),
        ("/exposure/A/budget", {"budget": "1"}),
        ("/exposure/A/budget", {"budget": 2**63}),
    ],
)
async def test_what_cannot_be_is_refused_by_field(database, path, body):
    async with serving(database) as (stack, _):
        answer = await stack.client.put(path, json=body, headers=stack.operator | {"Idempotency-Key": "k"})
        assert answer.status_code == 422
        assert answer.json()["field"]


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, {"atp": 12, "sellable": 9}, "12 9"),
        (404, {"title": "no such SKU"}, "knows no such SKU"),
        (503, {}, "503"),
    ],
)
async def test_figures_are_asked_for_where_they_are_kept(database, status, body, found):
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(status, json=body)

    async with postgres_stack(database) as stack:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        reader = FiguresReader(stack.parts, "http://inventory", client)
        asked = Send(destination="figures:inventory", send_id="A/s1", key="A/B", body={"sku": "A/B"})
        if status == 200:
            assert await reader.send(asked, 1) == found
        else:
            with pytest.raises((Refused, httpx.HTTPStatusError), match=found):
                await reader.send(asked, 1)
        assert seen[0].url.raw_path == b"/atp/A%2FB"
        assert seen[0].headers["authorization"].startswith("Bearer ")
        with pytest.raises(Refused, match="cannot be asked"):
            await FiguresReader(stack.parts, "").send(asked, 1)


async def execute(database, sql):
    connection = await asyncpg.connect(database, server_settings={"search_path": "ingestion"})
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
