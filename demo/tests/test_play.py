"""The players: signing and repeating, reviewing, curing, and the figures they end with; no stack needed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from standardwebhooks import Webhook

from demo import figures, orders, stock
from demo.api import Api, Unexpected, must
from demo.desk import AMEND, LEAVE, REJECT, RELEASE, cures, verdict
from demo.pickers import contents, shipment, weight_of
from demo.player import Outcome, Pace, parcels_shipped, stages_of
from demo.stack import demo_layout, free_port_base, read_env_file, stack_environment
from demo.watch import at_rest, verdict_known
from demo.wire import Connections, WireBroken

SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
HANG_UP = b"x-hang-up: 1"
Answering = Callable[[dict[str, str], bytes], bytes]


def answer(status: int, body: Any, *fields: str) -> bytes:
    encoded = json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", f"content-length: {len(encoded)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + encoded


@asynccontextmanager
async def server(answering: Answering) -> AsyncIterator[str]:
    """A server that answers each request by a function; an empty answer, or HANG_UP in it, ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = dict(line.split(": ", 1) for line in lines)
                sent = answering(headers, await reader.readexactly(int(headers.get("content-length", "0"))))
                if not sent:
                    break
                writer.write(sent)
                if HANG_UP in sent:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    finally:
        running.close()


def api_at(url: str) -> Api:
    return Api(urls={"ingestion": url}, jwt_secret="s" * 32, webhook_secret=SECRET)


async def test_a_webhook_is_repeated_under_its_id_until_it_is_taken() -> None:
    seen: list[tuple[str, bytes]] = []
    replies = iter([b"", answer(503, {}), answer(429, {}), answer(202, {"status": "accepted"})])

    def answering(headers: dict[str, str], body: bytes) -> bytes:
        assert Webhook(SECRET).verify(body, headers) == {"total": 1, "note": "好"}
        seen.append((headers["webhook-id"], body))
        return next(replies)

    async with server(answering) as url:
        api = api_at(url)
        taken = await api.webhook("demo", "m-1", {"total": 1, "note": "好"})
        await api.close()
    assert (taken.status, taken.body) == (202, {"status": "accepted"})
    assert seen == [("m-1", seen[0][1])] * 4
    assert (api.traffic.requests, api.traffic.repeats) == (4, 3)


async def test_a_refusal_is_final_and_says_why() -> None:
    async with server(lambda headers, body: answer(422, {"title": "no", "field": "total"})) as url:
        api = api_at(url)
        refused = await api.webhook("demo", "m-1", {})
        await api.close()
    assert api.traffic.repeats == 0
    with pytest.raises(Unexpected, match=r"order 1: HTTP 422 .*total"):
        must(refused, "order 1")


async def test_a_command_carries_its_key_and_who_asks() -> None:
    heard: list[dict[str, str]] = []

    def answering(headers: dict[str, str], body: bytes) -> bytes:
        heard.append(headers)
        return answer(200, json.loads(body) if body else None)

    async with server(answering) as url:
        api = api_at(url)
        by = api.bearer("demo-desk", "operator")
        told = await api.tell("ingestion", "POST", "/x", {"a": 1}, key="k-1", by=by)
        await api.tell("ingestion", "POST", "/x", None, key="k-2", by=by)
        await api.close()
    assert told.body == {"a": 1}
    assert [headers["Idempotency-Key"] for headers in heard] == ["k-1", "k-2"]
    assert heard[0]["Authorization"].startswith("Bearer ey")
    assert heard[1]["content-length"] == "0"


async def test_pages_are_followed_to_the_end() -> None:
    pages = iter([{"items": [{"n": 1}], "next_cursor": "c"}, {"items": [{"n": 2}], "next_cursor": None}])
    async with server(lambda headers, body: answer(200, next(pages))) as url:
        api = api_at(url)
        found = [row["n"] async for page in api.pages("ingestion", "/x", by={}) for row in page]
        await api.close()
    assert found == [1, 2]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n" + HANG_UP,
        b"HTTP/1.1 200 OK\r\n" + HANG_UP + b"\r\ncontent-length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_an_error_not_a_short_answer(broken: bytes) -> None:
    async with server(lambda headers, body: broken) as url:
        connections = Connections(url)
        with pytest.raises(WireBroken):
            await connections.request("GET", "/x", {}, b"", {})
        await connections.close()


async def test_connections_are_reused_and_closed_ones_replaced() -> None:
    count = 0

    def answering(headers: dict[str, str], body: bytes) -> bytes:
        nonlocal count
        count += 1
        return answer(200, count, "connection: close") if count == 2 else answer(200, count)

    async with server(answering) as url:
        connections = Connections(url)
        found = [await connections.request("GET", "/x", {}, b"", {"n": [1, 2]}) for _ in range(3)]
        await connections.close()
    assert found == [(200, 1), (200, 2), (200, 3)]


async def test_nobody_waits_longer_than_the_pace_wants() -> None:
    pace = Pace(1_000.0)
    async with asyncio.timeout(5):
        for _ in range(20):
            await pace.wait()


def test_people_decide_by_the_data_alone_and_alike_for_one_brushing_day() -> None:
    data = orders.load()
    brushing: dict[tuple[str, str], set[str]] = {}
    for order in data.orders:
        if order.brushing_day:
            day = (order.buyer, str(order.placed_at.date()))
            brushing.setdefault(day, set()).add(verdict(order, ["suspected_brushing"]))
    assert all(len(verdicts) == 1 for verdicts in brushing.values())
    assert set.union(*brushing.values()) >= {RELEASE, REJECT}
    plain = [order for order in data.orders if not order.brushing_day]
    assert {verdict(order, ["pickup_high_value"]) for order in plain} == {RELEASE, REJECT, LEAVE}
    assert {verdict(order, ["unresolved_address"]) for order in plain} == {AMEND, LEAVE}
    assert {verdict(order, ["presale", "unresolved_address"]) for order in plain} == {LEAVE}
    assert {verdict(order, ["presale", "below_cost"]) for order in plain} == {LEAVE}
    assert {verdict(order, ["rule_error"]) for order in plain} == {LEAVE}


def blocked(order: orders.Order, *advice: tuple[str, str, str, int]) -> dict[str, Any]:
    names = ("sku", "from_warehouse", "to_warehouse", "quantity")
    return {"order_id": order.order_id, "transfers": [dict(zip(names, each, strict=True)) for each in advice]}


def test_blocked_orders_are_cured_by_advice_shipped_from_elsewhere_or_split() -> None:
    catalogue = stock.plan()
    cured = next(sku for sku, each in catalogue.items() if each.only_in == stock.CD and each.cured)
    never = next(sku for sku, each in catalogue.items() if each.only_in == stock.CD and not each.cured)
    other = next(sku for sku, each in catalogue.items() if each.only_in == stock.GZ and not each.cured)

    def order(number: str, *skus: str) -> orders.Order:
        lines = tuple(orders.OrderLine(str(n), sku, 2, 100) for n, sku in enumerate(skus, 1))
        return orders.Order(number, orders.load().orders[0].placed_at, "1", "x", lines)

    both = [order("a", cured), order("b", cured)]
    split = order("c", never, other)
    rest = [order(f"r{n}", never) for n in range(40)]
    half = order("d", cured, never)
    rows = [
        *(blocked(each, (cured, "CD", "GZ", 2)) for each in both),
        blocked(split, (never, "CD", "GZ", 2)),
        *(blocked(each, (never, "CD", "GZ", 2)) for each in rest),
        blocked(half, (cured, "CD", "GZ", 2), (never, "CD", "GZ", 2)),
    ]
    known = {each.order_id: each for each in (*both, split, *rest, half)}
    overrides, moves, freed = cures(rows, known, catalogue)
    assert moves == {("CD", "GZ"): [{"sku": cured, "quantity": 6}]}
    assert freed == {each.order_id for each in both}
    assert overrides.pop(split.order_id) == ""
    assert set(overrides.values()) == {"CD"}
    assert overrides.keys() < {each.order_id for each in rest}


def row(**fields: Any) -> dict[str, Any]:
    times = {"accepted_at": "2026-11-11T00:00:00Z", "pick_task_at": "2026-11-11T00:00:01.5Z"}
    return {"risk": "cleared", "stock": "assigned", "route": "planned", "parcels": [], **times, **fields}


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"risk": ""}, False),
        ({"risk": "held", "stock": ""}, False),
        ({"risk": "held", "stock": "reserved", "route": ""}, True),
        ({"stock": "reserved"}, False),
        ({"stock": "reserved", "route": "blocked"}, True),
        ({"stock": "short"}, True),
        ({"stock": "refused"}, False),
        ({}, True),
    ],
)
def test_a_verdict_is_known_when_all_who_must_speak_have_spoken(fields: dict[str, str], known: bool) -> None:
    assert verdict_known(row(**fields)) is known
    assert at_rest(row(stage="picking", **fields)) is False
    assert at_rest(row(stage="shipped", **fields)) is known


def test_figures_count_each_order_once_and_leave_out_who_had_to_wait() -> None:
    parcel = {"stage": "shipped"}
    rows = {
        "a": row(stage="shipped", parcels=[parcel, parcel]),
        "b": row(stage="shipped", parcels=[parcel], pick_task_at="2026-11-11T00:10:00Z"),
        "c": row(stage="short", stock="short", pick_task_at=None),
        "d": row(stage="cancelled", stock="cancelled", pick_task_at=None),
    }
    done = Outcome(accepted=set(rows), held={"b": ["below_cost", "presale"]}, short={"c", "d"}, rows=rows)
    done.notices.update({"buyer/sent": 3, "operations/sent": 2})
    play: Any = SimpleNamespace(
        outcome=done,
        channels=SimpleNamespace(lags_s={"jd": 12.4, "wechat": None}, stock_told=3),
        watch=SimpleNamespace(parked=0),
        bench=SimpleNamespace(
            counts={"picked": 3, "wrong scans": 0, "weighed wrongly": 1}, lost=[], first_shipped_s=7.0
        ),
    )
    found = figures.figures_of(play)
    assert (found["orders in"], found["orders shipped"], found["parcels shipped"]) == (4, 2, 3)
    assert found["held by reason"] == {"below_cost": 1, "presale": 1}
    assert (found["refused for stock"], found["refused for stock, goods came since"]) == (2, 0)
    assert parcels_shipped(rows) == 3
    assert stages_of(rows)["blocked"] == 0
    assert figures.straight_through_ms(done) == [1500.0]
    timings = figures.measured(play, {"p50_ms": 1, "p99_ms": 2}, started_s=2.0, now_s=12.0)
    assert timings["accepted to pick task, median ms"] == 1500
    assert timings["seconds from the start to the first parcel shipped"] == 5.0
    assert timings["watermark lag, s"] == {"jd": 12, "wechat": None}
    assert figures.complete(found, 4) == []
    assert figures.complete(found) == ["only 4 orders were accepted"]
    assert (
        len(figures.complete({**found, "messages parked": 1, "tasks lost by pickers": 2, "parcels picked": 2}, 4)) == 3
    )


@pytest.mark.parametrize(("percent", "found"), [(50, 5.0), (99, 10.0), (100, 10.0), (1, 1.0)])
def test_percentiles_are_values_that_were_measured(percent: int, found: float) -> None:
    assert figures.percentile([float(n) for n in range(1, 11)], percent) == found
    assert figures.percentile([], percent) == 0.0


def test_a_parcel_is_packed_weighed_and_shipped_as_its_task_says() -> None:
    lines = [{"barcode": "x", "quantity": 2}, {"barcode": "y", "quantity": 1}, {"barcode": "x", "quantity": 3}]
    task = {"task_id": "o/1", "order_id": "o", "lines": lines, "expected_weight_grams": 10_000, "requirements": []}
    assert contents(task) == {"x": 5, "y": 1}
    assert abs(weight_of(task) - 10_000) <= 200
    assert weight_of(task | {"expected_weight_grams": None}) == 1
    assert shipment(task)["services"] == []
    assert shipment(task | {"requirements": ["signature_on_delivery"]})["services"] == ["signature_on_delivery"]
    assert shipment(task)["waybill"] != shipment(task | {"task_id": "o/2"})["waybill"]


def test_the_demo_has_a_state_of_its_own(tmp_path: Any) -> None:
    environ = {"ORDO_STATE": str(tmp_path), "ORDO_PORT_BASE": "7999"}
    assert demo_layout(environ).state == tmp_path / "demo"
    assert stack_environment(environ)["ORDO_STATE"] == str(tmp_path / "demo")
    assert free_port_base(environ) == "7999"
    assert int(free_port_base({})) >= 7400
    (tmp_path / "local.env").write_text("ORDO_KAFKA=h:1\nORDO_X=a=b\n", "utf-8")
    assert read_env_file(tmp_path / "local.env") == {"ORDO_KAFKA": "h:1", "ORDO_X": "a=b"}
