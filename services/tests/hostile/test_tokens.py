"""Who may do what: every route against no token, forged tokens and every role; every task against other pickers."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from contracts.topics import SERVICES
from libs.runtime.clock import utc_now
from libs.testkit.client import Merchant, order_body
from libs.testkit.waiting import until
from services.tests.hostile.town import JWT_SECRET, Town

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]
WAIT_LIMIT_S = 20.0
HOUR = timedelta(hours=1)

OPEN = "no token"
SIGNED = "a signature"
OP, RE, PI, SR = "operator", "reviewer", "picker", "sre"
READERS = {OP, RE, SR}
STEPS = ("claim", "release", "scan", "pack", "weigh", "ship")
OPERATIONS: dict[str, Any] = {
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": OPEN,
    "GET /parked": {OP, SR},
    "POST /parked/{key}/redrive": {OP, SR},
}
RULES: dict[str, Any] = {
    "GET /rules": READERS,
    "GET /rules/graph": READERS,
    "GET /rules/versions": READERS,
    "GET /rules/facts": READERS,
    "POST /rules/try": READERS,
    "PUT /rules": {OP},
}
# Whoever adds a route says here who may call it.
MATRIX: dict[str, dict[str, Any]] = {
    "ingestion": {
        "POST /webhooks/own/{shop_id}": SIGNED,
        "POST /orders/batch": SIGNED,
        "POST /imports": {OP},
        "PUT /shops/{shop_id}": {OP},
        "GET /shops": {OP},
        "GET /channels": {OP},
        # A platform proves itself by its signature, an operator's browser by the state it was sent away with.
        "GET /push/{channel}/{shop_id}": SIGNED,
        "POST /push/{channel}/{shop_id}": SIGNED,
        "GET /oauth/{channel}/callback": SIGNED,
        "POST /shops/{shop_id}/gaps/waive": {OP},
        "GET /shops/{shop_id}/authorize": {OP},
        "GET /documents/parked": {OP},
        "POST /documents/parked/{shop_id}/{about}/{subject_id}/retry": {OP},
        "GET /acceptances": {OP},
        "GET /uploads": {OP},
        "POST /uploads/{parcel_id}/retry": {OP},
        "PUT /shops/{shop_id}/listings/{sku}": {OP},
        "DELETE /shops/{shop_id}/listings/{sku}": {OP},
        "GET /exposure/{sku}": {OP},
        "PUT /exposure/{sku}/budget": {OP},
    },
    "inventory": {
        "PUT /skus/{sku}": {OP},
        "PUT /warehouses/{code}": {OP},
        "POST /stock/receipts": {OP},
        "POST /stock/counts": {OP},
        "POST /inbound": {OP},
        "POST /transfers": {OP},
        "POST /transfers/{transfer_id}/receive": {OP},
        "GET /transfers/{transfer_id}": READERS,
        "GET /atp/{sku}": READERS,
        "GET /skus": READERS,
        "GET /warehouses": READERS,
        "GET /reservations/{order_id}": READERS,
        "GET /inbound/{inbound_id}": READERS,
    },
    "routing": {
        **RULES,
        "GET /orders/{order_id}": READERS,
        "GET /blocked": READERS,
        "POST /orders/{order_id}/override": {OP},
    },
    "risk": {
        **RULES,
        "GET /holds": READERS,
        "GET /holds/{order_id}": READERS,
        "POST /holds/{order_id}/release": {RE},
        "POST /holds/{order_id}/reject": {RE},
        "GET /buyers/allowed": READERS,
        "PUT /buyers/{buyer_key}/allowed": {OP, RE},
        "DELETE /buyers/{buyer_key}/allowed": {OP, RE},
    },
    "fulfillment": {
        "GET /tasks": {OP, PI},
        "GET /tasks/{task_id}/label": {OP, PI},
        "GET /tasks/{task_id}": {OP, PI},
        "GET /orders/{order_id}": {OP},
        **{f"POST /tasks/{{task_id}}/{step}": {OP, PI} for step in STEPS},
        "POST /tasks/{task_id}/tell-wms": {OP},
        "POST /devices": {OP},
        "POST /devices/{device_id}/revoke": {OP},
        "GET /devices": {OP},
    },
    "notification": {
        "GET /notices": {OP, SR},
        "GET /templates": {OP},
        "GET /templates/{name}": {OP},
        "PUT /templates/{name}": {OP},
        "PUT /buyers/{buyer_key}/opt-out": {OP},
        "DELETE /buyers/{buyer_key}/opt-out": {OP},
    },
    "tower": {
        "GET /orders": {OP, SR},
        "GET /orders/{order_id}": {OP, SR},
        "GET /stages": {OP, SR},
        "GET /latency": {OP, SR},
    },
}


def claims(**more: Any) -> dict[str, Any]:
    now = utc_now()
    found = {"iss": "ordo", "aud": "ordo", "sub": "mallory", "roles": [OP], "iat": now, "exp": now + HOUR}
    return {name: value for name, value in {**found, **more}.items() if value is not None}


def signed(secret: str = JWT_SECRET, **more: Any) -> str:
    return jwt.encode(claims(**more), secret, algorithm="HS256")


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed(roles=[role], warehouse='CD')}"}


def part(value: Mapping[str, Any]) -> str:
    plain = {name: int(each.timestamp()) if isinstance(each, datetime) else each for name, each in value.items()}
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def forged() -> Iterator[tuple[str, str]]:
    """Yield tokens that prove nothing, by name."""
    yield "expired", signed(exp=utc_now() - HOUR)
    yield "not yet valid", signed(nbf=utc_now() + HOUR)
    yield "without an end", signed(exp=None)
    yield "another key", signed("another secret, as long as the right one")
    yield "another issuer", signed(iss="elsewhere")
    yield "another audience", signed(aud="elsewhere")
    for algorithm in ("none", "None", "NONE", ""):
        yield f"algorithm {algorithm}", f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims())}."
    head, body, signature = signed().split(".")
    yield "without a signature", f"{head}.{body}."
    yield "a truncated signature", f"{head}.{body}.{signature[:-4]}"
    yield "another role put in", f"{head}.{part(claims(roles=[OP, RE, PI, SR]))}.{signature}"
    yield "algorithm RS256", f"{part({'alg': 'RS256'})}.{body}.{signature}"
    yield "a key of its own", f"{part({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': 'AAAA'}})}.{body}.{signature}"
    yield "a path for a key", f"{part({'alg': 'HS256', 'kid': '../../../../dev/null'})}.{body}.{signature}"
    yield "a subject with NUL", signed(sub="a\x00b")
    yield "a subject of half characters", f"{jwt.encode(claims(sub=chr(0xD800)), JWT_SECRET)}"
    yield "a warehouse with a line break", signed(roles=[PI], warehouse="CD\nX")
    yield "no token at all", "x"
    yield "a long one", "x" * 20_000


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client() as found:
        yield found


def routes(client: httpx.Client, town: Town, service: str) -> list[tuple[str, str]]:
    """Return (method, path) of every route a service documents."""
    paths = client.get(town.url(service, "/openapi.json")).json()["paths"]
    return [(method.upper(), path) for path, found in paths.items() for method in found]


def call(
    client: httpx.Client, town: Town, service: str, route: tuple[str, str], headers: Mapping[str, str]
) -> httpx.Response:
    """Send a request without a valid body: who may not call is told so before the body is looked at."""
    method, path = route
    filled = path.replace("{", "").replace("}", "")
    return client.request(method, town.url(service, filled), headers={"Idempotency-Key": "k", **headers})


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_admits_exactly_its_roles(client: httpx.Client, town: Town, service: str) -> None:
    expected = OPERATIONS | MATRIX[service]
    found = routes(client, town, service)
    assert sorted(f"{method} {path}" for method, path in found) == sorted(expected)
    for route in found:
        who = expected[" ".join(route)]
        nobody = call(client, town, service, route, {})
        if who == OPEN:
            assert nobody.status_code == 200, route
            continue
        # A shop's name is looked for before its signature.
        assert nobody.status_code in ((401, 404, 422) if who == SIGNED else (401,)), (route, nobody.text)
        for role in (OP, RE, PI, SR):
            answer = call(client, town, service, route, bearer(role))
            refused = answer.status_code in (401, 404, 422) if who == SIGNED else answer.status_code == 403
            assert refused == (role not in who), (route, role, answer.status_code, answer.text)
            assert answer.status_code < 500, (route, role, answer.text)


@pytest.mark.parametrize("service", SERVICES)
def test_a_forged_token_opens_no_route(client: httpx.Client, town: Town, service: str) -> None:
    guarded = [
        route for route in routes(client, town, service) if (OPERATIONS | MATRIX[service])[" ".join(route)] != OPEN
    ]
    tokens = list(forged())
    for place, route in enumerate(guarded):
        # Every token on the first route, and some of them on each other one: the check is the same code.
        for name, token in tokens if place == 0 else tokens[place % 5 :: 5]:
            answer = call(client, town, service, route, {"Authorization": f"Bearer {token}"})
            assert answer.status_code in (401, 404, 422), (route, name, answer.status_code, answer.text)
            assert answer.status_code == 401 or MATRIX[service].get(" ".join(route)) == SIGNED, (route, name)
            assert token not in answer.text
    assert town.alive


@pytest.mark.parametrize("scheme", ["Basic", "bearer", "Token", "HS256"])
def test_another_scheme_is_no_token(client: httpx.Client, town: Town, scheme: str) -> None:
    answer = client.get(town.url("tower", "/stages"), headers={"Authorization": f"{scheme} {signed('wrong' * 9)}"})
    assert answer.status_code == 401


async def test_a_picker_touches_only_his_own_warehouse(visitor: Merchant) -> None:
    await visitor.define_stock("TOKEN-1", {"CD": 5}, weight_grams=100)
    assert (await visitor.webhook("msg_token_1", order_body("token-1", {"TOKEN-1": 1}))).status_code == 202
    task_id = "own.demo.token-1/1"

    async def listed_there() -> bool:
        page = await visitor.read("fulfillment", "/tasks", limit=200)
        return any(task["task_id"] == task_id for task in page["items"])

    await until(listed_there, WAIT_LIMIT_S, 0.05)
    stranger = visitor.bearer("picker", "GZ", "pda-gz")
    bodies = {
        "claim": None,
        "release": None,
        "scan": {"scan_id": "s1", "barcode": "TOKEN-1"},
        "pack": {"items": [{"barcode": "TOKEN-1", "quantity": 1}]},
        "weigh": {"weight_grams": 100},
        "ship": {"carrier": "SF", "waybill": "SF1"},
    }
    for step, body in bodies.items():
        answer = await visitor.pick("pda-gz", "GZ", task_id, step, body)
        assert answer.status_code == 403, (step, answer.text)
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/label", "/tasks?warehouse=CD"):
        answer = await visitor.http.get(visitor.url("fulfillment", path), headers=stranger)
        assert answer.status_code == 403, (path, answer.text)
    listed = await visitor.http.get(visitor.url("fulfillment", "/tasks"), headers=stranger)
    assert listed.json()["items"] == []
    homeless = {"Authorization": f"Bearer {signed(roles=[PI], warehouse=None)}"}
    assert (await visitor.http.get(visitor.url("fulfillment", "/tasks"), headers=homeless)).status_code == 403
    assert (await visitor.pick("pda-cd", "CD", task_id, "claim")).status_code == 200
