"""The merchant signs, authenticates and works as the real ones do; what is refused is not overlooked."""

import base64
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from standardwebhooks import Webhook

from libs.testkit.client import Merchant, order_body, read_env

SECRET = "whsec_" + base64.b64encode(b"demo-secret-of-24-bytes!").decode()
ENV = {
    "ORDO_JWT_SECRET": "a secret for tests only, long enough",
    "ORDO_OWN_DEMO_SECRET": SECRET,
    **{f"ORDO_URL_{name}": f"http://{name.lower()}.test" for name in ("INGESTION", "INVENTORY", "FULFILLMENT", "RISK")},
}
TASK: dict[str, Any] = {
    "lines": [
        {"sku": "A", "quantity": 2, "barcode": "690"},
        {"sku": "A", "quantity": 1, "barcode": "690"},
        {"sku": "B", "quantity": 1, "barcode": None},
    ],
    "expected_weight_grams": 700,
    "requirements": ["signature_on_delivery"],
}


class Far:
    """The services' side: keeps what came, answers 200 unless told otherwise."""

    def __init__(self) -> None:
        self.seen: list[httpx.Request] = []
        self.refuse = ""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if self.refuse and self.refuse in request.url.path:
            return httpx.Response(409, json={"title": "no"})
        return httpx.Response(200, json=TASK if request.method == "GET" else {"state": "shipped"})

    def said(self, ending: str) -> Any:
        """The body of the one request whose path ends so."""
        (found,) = [request for request in self.seen if request.url.path.endswith(ending)]
        return json.loads(found.content)


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
async def merchant(far: Far) -> AsyncIterator[Merchant]:
    someone = Merchant(ENV)
    await someone.http.aclose()
    someone.http = httpx.AsyncClient(transport=httpx.MockTransport(far))
    yield someone
    await someone.close()


def test_the_stacks_environment_is_read_whatever_its_values_hold(tmp_path: Path) -> None:
    path = tmp_path / "local.env"
    path.write_text("# the local stack\nORDO_KAFKA=127.0.0.1:9092\n\nORDO_JWT_SECRET=a=b==\nORDO_X=\n", "utf-8")
    os.chmod(path, stat.S_IRUSR)
    assert read_env(path) == {"ORDO_KAFKA": "127.0.0.1:9092", "ORDO_JWT_SECRET": "a=b==", "ORDO_X": ""}


async def test_a_webhook_is_signed_so_that_any_library_accepts_it(merchant: Merchant, far: Far) -> None:
    body = order_body("7", {"A": 2}, note="请放门口")
    await merchant.webhook("msg_1", body)
    (request,) = far.seen
    assert str(request.url) == "http://ingestion.test/webhooks/own/demo"
    headers = {name: request.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    assert Webhook(SECRET).verify(request.content.decode(), headers) == body
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(request.content.decode() + " ", headers)


async def test_a_token_speaks_for_one_role_and_is_made_once(merchant: Merchant) -> None:
    picker = merchant.bearer("picker", "CD", "pda-1")
    claims = jwt.decode(
        picker["Authorization"].removeprefix("Bearer "), ENV["ORDO_JWT_SECRET"], ["HS256"], audience="ordo"
    )  # fmt: skip
    assert (claims["roles"], claims["warehouse"], claims["sub"]) == (["picker"], "CD", "pda-1")
    assert merchant.bearer("picker", "CD", "pda-1") == picker
    assert merchant.bearer("picker", "GZ", "pda-1") != picker
    assert merchant.bearer("operator") != picker


async def test_commands_carry_their_key_and_the_role_they_need(merchant: Merchant, far: Far) -> None:
    await merchant.operate("POST", "risk", "/holds/x/release", "k1", {})
    await merchant.operate("PUT", "risk", "/rules", "k2", {})
    roles = []
    for request in far.seen:
        token = request.headers["authorization"].removeprefix("Bearer ")
        roles += jwt.decode(token, options={"verify_signature": False})["roles"]
    assert roles == ["reviewer", "operator"]
    assert [request.headers["idempotency-key"] for request in far.seen] == ["k1", "k2"]


async def test_stock_is_defined_once_for_each_warehouse(merchant: Merchant, far: Far) -> None:
    await merchant.define_stock("A/1 b?", {"CD": 3, "GZ": 4}, weight_grams=5)
    paths = [request.url.raw_path.decode() for request in far.seen]
    assert paths == ["/skus/A/1%20b%3F", "/stock/receipts", "/stock/receipts"]
    keys = [request.headers["idempotency-key"].encode() for request in far.seen]
    assert len(set(keys)) == 3


async def test_a_task_is_fulfilled_step_by_step_with_what_it_lists(merchant: Merchant, far: Far) -> None:
    done = await merchant.fulfil("pda-1", "CD", "own.demo.7/1", "SF-1")
    assert done == {"state": "shipped"}
    steps = [request.url.raw_path.decode().removeprefix("/tasks/own.demo.7%2F1") for request in far.seen]
    assert steps == ["/claim", "", "/scan", "/scan", "/pack", "/weigh", "/ship"]
    scans = [json.loads(request.content) for request in far.seen if request.url.path.endswith("/scan")]
    assert [(scan["barcode"], scan["quantity"]) for scan in scans] == [("690", 3), ("B", 1)]
    assert len({scan["scan_id"] for scan in scans}) == 2
    assert far.said("/pack") == {"items": [{"barcode": "690", "quantity": 3}, {"barcode": "B", "quantity": 1}]}
    assert far.said("/weigh") == {"weight_grams": 700}
    assert far.said("/ship") == {"carrier": "SF", "waybill": "SF-1", "services": ["signature_on_delivery"]}


@pytest.mark.parametrize("step", ["claim", "scan", "pack", "weigh", "ship"])
async def test_a_refused_step_ends_the_work_loudly(merchant: Merchant, far: Far, step: str) -> None:
    far.refuse = f"/{step}"
    with pytest.raises(httpx.HTTPStatusError):
        await merchant.fulfil("pda-1", "CD", "own.demo.7/1", "SF-1")
    assert far.seen[-1].url.path.endswith(f"/{step}")


async def test_refused_definitions_and_reads_are_not_overlooked(merchant: Merchant, far: Far) -> None:
    far.refuse = "/"
    for work in (
        merchant.define_stock("A", {"CD": 1}),
        merchant.define_warehouses(),
        merchant.read("inventory", "/atp/A"),
    ):
        with pytest.raises(httpx.HTTPStatusError):
            await work


def test_an_order_adds_up() -> None:
    body = order_body("7", {"A": 2, "B": 3})
    assert body["total"] == sum(line["quantity"] * line["unit_price"] for line in body["lines"]) + body["shipping_fee"]
    assert [line["line_id"] for line in body["lines"]] == ["1", "2"]
    assert order_body("7", {"A": 1}, total=5, kind="presale")["total"] == 5
