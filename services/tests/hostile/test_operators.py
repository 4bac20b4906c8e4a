"""What authenticated callers can do wrong on purpose: rules, files, keys and names that attack from within."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.topics import SERVICES
from services.ingestion.tests.test_api import HEADING, ROW
from services.tests.hostile.test_webhooks import VALUES, places, put
from services.tests.hostile.town import Town, everybody

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]
MARK = "kanarienvogel"
EXAMPLES = 40
TRY_LIMIT_S = 5.0


@pytest.fixture
def client(town: Town) -> Iterator[httpx.Client]:
    """A caller with every role; after the test every service still serves, and no log repeats what was sent."""
    with httpx.Client(headers={"Authorization": everybody()}, timeout=20) as found:
        yield found
        assert town.alive, town.logs()[-4000:]
        for service in SERVICES:
            assert found.get(town.url(service, "/readyz")).status_code == 200
    assert MARK not in town.logs()


@pytest.mark.parametrize("service", SERVICES)
def test_keys_that_no_table_can_hold(client: httpx.Client, town: Town, service: str) -> None:
    for key, statuses in (("%00", {422}), ("a%00b", {422}), ("%ff%fe", {404}), ("x" * 5000, {404}), ("..%2f..", {404})):
        answer = client.post(town.url(service, f"/parked/{key}/redrive"))
        assert answer.status_code in statuses, answer.text
    for query in (
        "after=%00",
        "after=1:%00",
        "after=%C2%B2:x",
        "after=-1:x",
        "after=%ff%fe",
        "limit=0",
        "limit=201",
        "limit=9e9",
        "after=a&limit=x",
    ):
        assert client.get(town.url(service, f"/parked?{query}")).status_code == 422
    assert client.get(town.url(service, "/parked?after=1:%ff%fe%f0")).status_code == 200


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("ingestion", "PUT", "/shops/hostile"),
        ("inventory", "PUT", "/skus/HOSTILE"),
        ("inventory", "POST", "/stock/receipts"),
        ("routing", "POST", "/rules/try"),
        ("risk", "POST", "/rules/try"),
        ("fulfillment", "POST", "/devices"),
        ("notification", "PUT", "/templates/parcel_shipped"),
    ],
)
def test_bodies_that_are_none(client: httpx.Client, town: Town, service: str, method: str, path: str) -> None:
    bodies = (
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"\\ud800": 1}',
        b'{"\\ud800": {"\\udfff": "' + MARK.encode() + b'"}}',
        b'{"' + b"x" * 100_000 + b'": 1}',
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"a": 1e999999}',
        b'{"a": NaN}',
        json.dumps({MARK[:4] + str(n): MARK for n in range(5_000)}).encode(),
    )
    for body in bodies:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        answer = client.request(method, town.url(service, path), content=body, headers=headers)
        assert answer.status_code in (400, 422), (body[:40], answer.text[:300])
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 8_000
        assert MARK not in answer.text


@pytest.mark.parametrize("service", ["risk", "routing"])
def test_rules_with_anything_in_them_answer_or_are_refused(client: httpx.Client, town: Town, service: str) -> None:
    content: dict[str, Any] = client.get(town.url(service, "/rules")).json()["content"]
    everywhere = list(places(content))
    expressions = st.sampled_from(
        [
            "rand()",
            "d()",
            "1/0",
            "[1..99999999]",
            "a" * 5_000,
            "(" * 3_000,
            "[" * 40_000 + "]" * 40_000,
            "'" * 99,
            "sum(map([1..9999], #))",
            "#",
            "}",
        ]
    )

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(where=st.sampled_from(everywhere), value=VALUES | expressions)
    def run(where: tuple[Any, ...], value: Any) -> None:
        changed = put(content, where, value)
        body = json.dumps({"content": changed, "facts": {}}).encode()
        headers = {"Content-Type": "application/json"}
        answer = client.post(town.url(service, "/rules/try"), content=body, headers=headers)
        assert answer.status_code in (200, 400, 422), answer.text[:500]
        assert answer.elapsed.total_seconds() < TRY_LIMIT_S

    run()


def test_rules_that_are_refused_are_put_in_force_by_nobody(client: httpx.Client, town: Town) -> None:
    for service in ("risk", "routing"):
        version = client.get(town.url(service, "/rules")).json()["version"]
        content = client.get(town.url(service, "/rules")).json()["content"]
        wrong: list[Any] = [
            {},
            {"jdm": {}},
            {"jdm": {"nodes": [], "edges": []}},
            {**content, "jdm": {"nodes": [1], "edges": [1]}},
        ]
        for n, each in enumerate(wrong):
            body = {"content": each, "base_version": version, "why": "hostile"}
            headers = {"Idempotency-Key": f"hostile-{n}"}
            answer = client.put(town.url(service, "/rules"), json=body, headers=headers)
            assert answer.status_code == 422, answer.text[:300]
        assert client.get(town.url(service, "/rules")).json()["version"] == version


@pytest.mark.parametrize("service", ["risk", "routing"])
def test_rules_that_never_end_hold_nobody_up(client: httpx.Client, town: Town, service: str) -> None:
    found = client.get(town.url(service, "/rules")).json()
    work = {"id": "w", "key": "w", "value": "len(filter(parameters.many, some($root.parameters.many, # == -1)))"}
    nodes = found["content"]["jdm"]["nodes"]
    hang = {
        **found["content"],
        "jdm": {
            "nodes": [*nodes, {"id": "hang", "name": "hang", "type": "expressionNode", "content": {}}],
            "edges": [],
        },
        "parameters": {**found["content"]["parameters"], "many": list(range(30_000))},
    }
    start, end = (next(node["id"] for node in nodes if node["type"] == kind) for kind in ("inputNode", "outputNode"))
    hang["jdm"]["nodes"][-1]["content"] = {"expressions": [work], "passThrough": True}
    ways = [(start, "hang"), ("hang", end)]
    hang["jdm"]["edges"] = [{"id": f"h{n}", "sourceId": a, "targetId": b} for n, (a, b) in enumerate(ways)]
    body = {"content": hang, "base_version": found["version"], "why": "hostile"}
    headers = {"Idempotency-Key": "hostile-endless"}
    for asked in (
        lambda: client.post(town.url(service, "/rules/try"), json={"content": hang, "facts": {}}),
        lambda: client.put(town.url(service, "/rules"), json=body, headers=headers),
    ):
        answer = asked()
        assert (answer.status_code, "more than" in answer.json()["reasons"][0]) == (422, True), answer.text[:500]
        assert answer.elapsed.total_seconds() < TRY_LIMIT_S
    assert client.get(town.url(service, "/rules")).json()["version"] == found["version"]


def upload(
    client: httpx.Client, town: Town, data: bytes, name: str = "orders.csv", shop: str = "demo"
) -> httpx.Response:
    files = {"file": (name, data, "text/csv")}
    return client.post(town.url("ingestion", "/imports"), files=files, data={"shop_id": shop})


FILES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "no CSV": lambda: b"\x00\x01\x02" * 1000,
    "a picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100,
    "UTF-16": lambda: f"{HEADING}\n{ROW}".encode("utf-16"),
    "only quotes": lambda: b'"' * 100_001,
    "one endless cell": lambda: f"{HEADING}\n".encode() + b'"' + b"x" * 1_000_000,
    "one endless line": lambda: b"a," * 500_000,
    "a heading of 100,000 columns": lambda: ",".join(f"c{n}" for n in range(100_000)).encode(),
    "an unknown column": f"{HEADING},colour\n{ROW},red".encode,
    "a doubled column": f"{HEADING},sku\n{ROW},x".encode,
    "invalid UTF-8": lambda: f"{HEADING}\n".encode() + b"\xff\xff\xff,,,,",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_order_file_is_refused(client: httpx.Client, town: Town, name: str) -> None:
    answer = upload(client, town, FILES[name]())
    assert answer.status_code in (200, 422), answer.text[:300]
    if answer.status_code == 200:
        assert answer.json()["accepted"] == 0, answer.text[:300]
        assert answer.json()["refused"] > 0
    assert len(answer.content) < 500_000


def test_rows_that_attack_are_refused_by_column_and_repeat_nothing(client: httpx.Client, town: Town) -> None:
    rows = {
        "quantity": ROW.replace(",6,", f",{MARK},").replace("1001", "h1"),
        "unit_price": ROW.replace("25.50", f"=1+{MARK}").replace("1001", "h2"),
        "placed_at": ROW.replace("2026-11-11 08:00:03", MARK).replace("1001", "h3"),
        "phone": ROW.replace("13987654321", MARK * 10).replace("1001", "h4"),
        "name": ROW.replace("张三丰", "a\x00b").replace("1001", "h5"),
    }
    answer = upload(client, town, "\n".join([HEADING, *rows.values()]).encode())
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 0
    assert MARK not in answer.text
    assert [row["field"] for row in answer.json()["refused_rows"]] == list(rows)


def test_forms_that_attack_are_refused(client: httpx.Client, town: Town) -> None:
    url = town.url("ingestion", "/imports")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    parts = (
        b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nv\r\n' % n for n in range(5_000)) + b"--x--"
    )
    bodies = (
        b"",
        b"--x",
        b"--x--",
        b"--x\r\n\r\n--x--",
        parts,
        b"--x\r\nA: " + b"x" * 100_000,
        b"\r\n--x\r\n" * 10_000,
    )
    for body in bodies:
        assert client.post(url, content=body, headers=kind).status_code in (400, 422), body[:40]
    assert client.post(url, content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code in (400, 422)
    assert upload(client, town, b"x", shop="../../etc").status_code in (404, 422)
    assert upload(client, town, b"x", shop="a\x00b").status_code == 422
    assert upload(client, town, b"", name="../../../../tmp/x\x00.csv").status_code == 422
