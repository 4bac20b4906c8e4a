"""The manners of every edge: whatever is sent, the answer is a problem that names the field and repeats nothing."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from asyncpg.exceptions import CharacterNotInRepertoireError
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from libs.decide import Reply, problem
from libs.runtime.http import (
    BODY_LIMIT_BYTES,
    NAME_LIMIT_CHARACTERS,
    UPLOAD_LIMIT_BYTES,
    BodyLimit,
    IdempotencyKey,
    Problem,
    Text,
    install_problem_handlers,
    refuse_unknown_parameters,
    respond,
)
from libs.stream.desk import NotServing, Overloaded
from libs.vault import Forgotten, VaultAway

SECRET = "13800000000"


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    sku: Text(1, 20)  # type: ignore[valid-type]
    quantity: int = Field(ge=1, le=1000)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    lines: list[Line] = Field(min_length=1, max_length=3)


def fails_with(error: Exception) -> FastAPI:
    app = FastAPI()
    install_problem_handlers(app)

    @app.get("/")
    async def read() -> None:
        raise error

    return app


def edge() -> FastAPI:
    app = FastAPI()
    install_problem_handlers(app)
    app.add_middleware(BodyLimit, uploads=("/upload",))

    @app.post("/orders")
    async def order(body: Order, idempotency_key: IdempotencyKey) -> dict[str, Any]:
        return {"lines": len(body.lines), "key": idempotency_key}

    @app.get("/orders/{number}")
    async def one(number: int, limit: int = 10) -> dict[str, int]:
        return {"number": number, "limit": limit}

    @app.post("/raw")
    @app.post("/upload")
    async def raw(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with calling(edge()) as found:
        yield found


def calling(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def said(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Check that the answer is an RFC 9457 problem of this status, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["title"]
    assert SECRET not in answer.text
    return body


KEY = {"Idempotency-Key": "k-1"}
GOOD = {"lines": [{"sku": "A", "quantity": 1}]}


async def test_a_valid_request_passes(client: httpx.AsyncClient) -> None:
    answer = await client.post("/orders", json=GOOD, headers=KEY)
    assert (answer.status_code, answer.json()) == (200, {"lines": 1, "key": "k-1"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "lines"),
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "A", "quantity": 1}] * 4}, "lines"),
        ({"lines": [{"sku": "A"}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 0}]}, "lines.1.quantity"),
        ({"lines": [{"sku": "A", "quantity": "1"}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "A", "quantity": 1.5}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "A", "quantity": True}]}, "lines.0.quantity"),
        ({"lines": [{"sku": "A", "quantity": 10**400}]}, "lines.0.quantity"),
        ({"lines": [{"sku": None, "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"sku": "A" * 21, "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"sku": "A\x00B", "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"sku": SECRET + "\n", "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"sku": "\ud800", "quantity": 1}]}, "lines.0.sku"),
        ({"lines": [{"sku": "A", "quantity": 1, "phone": SECRET}]}, "lines.0.phone"),
        ({**GOOD, "name": SECRET}, "name"),
        ([], "body"),
        (SECRET, "body"),
        (None, "body"),
    ],
)
async def test_an_invalid_body_is_answered_with_the_field_and_without_its_content(
    client: httpx.AsyncClient, body: Any, field: str
) -> None:
    content = json.dumps(body).encode()
    answer = await client.post("/orders", content=content, headers={**KEY, "Content-Type": "application/json"})
    found = said(answer, 422)
    assert found["field"] == field
    assert f"body.{field}" in found["fields"] or field == "body"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"lines": [}', b"NaN", b'"\\ud800"'])
async def test_what_is_no_json_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/orders", content=content, headers={**KEY, "Content-Type": "application/json"})
    assert said(answer, answer.status_code)["status"] in (400, 422)


@pytest.mark.parametrize(("path", "field"), [("/orders/x", "number"), ("/orders/1?limit=x", "limit")])
async def test_an_invalid_address_is_answered_with_the_field(client: httpx.AsyncClient, path: str, field: str) -> None:
    assert said(await client.get(path), 422)["field"] == field


async def test_a_missing_idempotency_key_is_named(client: httpx.AsyncClient) -> None:
    found = said(await client.post("/orders", json=GOOD), 400)
    assert found["field"].lower() == "idempotency-key"


@pytest.mark.parametrize("key", [b"", b" ", b"a b", b"x" * 201, b"\x7f", "中".encode(), b"\xff"])
async def test_an_idempotency_key_is_printable_ascii(client: httpx.AsyncClient, key: bytes) -> None:
    found = said(await client.post("/orders", json=GOOD, headers={b"Idempotency-Key": key}), 422)
    assert found["field"].lower() == "idempotency-key"


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(client: httpx.AsyncClient) -> None:
    said(await client.get("/nowhere"), 404)
    said(await client.delete("/orders"), 405)


def lists() -> FastAPI:
    def shop(shop: str = "") -> str:
        return shop

    router = APIRouter(dependencies=[Depends(shop)])

    @router.get("/items")
    async def items(stage: Annotated[str, Query(alias="state")] = "") -> str:
        return stage

    @router.post("/items")
    async def item() -> None: ...

    @router.get("/callback")
    async def callback(request: Request) -> list[str]:
        return sorted(request.query_params)

    app = FastAPI()
    install_problem_handlers(app)
    refuse_unknown_parameters([router])
    app.include_router(router)
    return app


async def test_a_list_refuses_a_parameter_it_does_not_know_by_its_name() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(lists()), base_url="http://test") as client:
        assert (await client.get("/items?state=held&shop=a")).json() == "held"
        found = said(await client.get("/items?state=held&stage=held"), 422)
        assert (found["field"], found["detail"]) == ("stage", "known here: shop, state")
        assert len(said(await client.get(f"/items?{'x' * 500}%00=1"), 422)["field"]) == NAME_LIMIT_CHARACTERS
        assert (await client.post("/items?stage=held")).status_code == 200, "only what is asked for can be too much"
        assert (await client.get("/callback?code=1&anything=2")).json() == ["anything", "code"]


def test_a_router_inside_a_router_is_not_passed_over() -> None:
    outer, inner = APIRouter(), APIRouter()
    inner.get("/items")(lambda: None)
    outer.include_router(inner)
    with pytest.raises(TypeError, match="name its routes"):
        refuse_unknown_parameters([outer])


# -- sizes -----------------------------------------------------------------------------------------------------------


async def chunks(total: int, sent: list[int]) -> AsyncIterator[bytes]:
    """Send `total` bytes without saying so beforehand."""
    for _ in range(0, total, 64 * 1024):
        sent.append(64 * 1024)
        yield b"x" * 64 * 1024


async def test_a_declared_body_over_the_limit_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    assert (await client.post("/raw", content=b"x" * BODY_LIMIT_BYTES)).json() == {"bytes": BODY_LIMIT_BYTES}
    said(await client.post("/raw", content=b"x" * (BODY_LIMIT_BYTES + 1)), 413)
    sent: list[int] = []
    lie = {"Content-Length": str(10**12)}
    said(await client.post("/raw", content=chunks(10**6, sent), headers=lie), 413)
    assert sum(sent) <= 64 * 1024


async def test_a_body_that_grows_over_the_limit_is_refused_while_it_arrives(client: httpx.AsyncClient) -> None:
    sent: list[int] = []
    said(await client.post("/raw", content=chunks(BODY_LIMIT_BYTES * 20, sent)), 413)
    assert sum(sent) <= BODY_LIMIT_BYTES + 64 * 1024, "the rest is not read"
    lie = {"Content-Length": "10"}
    said(await client.post("/raw", content=chunks(BODY_LIMIT_BYTES * 2, sent), headers=lie), 413)
    answer = await client.post("/raw", content=chunks(BODY_LIMIT_BYTES, sent))
    assert answer.json() == {"bytes": BODY_LIMIT_BYTES}


async def test_an_upload_may_be_larger_and_has_a_limit_as_well(client: httpx.AsyncClient) -> None:
    assert (await client.post("/upload", content=b"x" * (BODY_LIMIT_BYTES + 1))).status_code == 200
    said(await client.post("/upload", content=b"", headers={"Content-Length": str(UPLOAD_LIMIT_BYTES + 1)}), 413)


# -- what happened inside, said outside ------------------------------------------------------------------------------


def database_error(cause: Exception) -> DBAPIError:
    return DBAPIError(f"SELECT {SECRET}", {}, cause)


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Problem(404, "no such order", "it was never placed", field="order_id"), 404, None),
        (Overloaded(), 429, "1"),
        (NotServing("standing by"), 503, "1"),
        (VaultAway("TimeoutError"), 503, "1"),
        (Forgotten("destroyed"), 410, None),
        (OSError(SECRET), 503, "1"),
        (ConnectionRefusedError(SECRET), 503, "1"),
        (SQLAlchemyError(SECRET), 503, "1"),
        (OperationalError(f"SELECT {SECRET}", {}, OSError(SECRET)), 503, "1"),
        (database_error(CharacterNotInRepertoireError(SECRET)), 422, None),
        (ValueError(SECRET), 500, None),
        (KeyError(SECRET), 500, None),
        (RuntimeError(SECRET), 500, None),
    ],
)
async def test_every_failure_has_its_answer_and_none_tells_what_it_saw(
    error: Exception, status: int, retry: str | None
) -> None:
    async with calling(fails_with(error)) as client:
        answer = await client.get("/")
    said(answer, status)
    assert answer.headers.get("retry-after") == retry


async def test_a_problem_carries_what_was_expected() -> None:
    async with calling(fails_with(Problem(409, "too late", "it left", field="state", expected="assigned"))) as client:
        found = said(await client.get("/"), 409)
    assert (found["detail"], found["field"], found["expected"]) == ("it left", "state", "assigned")


def test_a_reply_is_answered_by_its_status() -> None:
    good, bad = respond(Reply(status=201, body={"a": "中"})), respond(problem(409, "no", "late", field="x"))
    assert (good.status_code, good.media_type, json.loads(good.body)) == (201, "application/json", {"a": "中"})
    assert (bad.status_code, bad.media_type) == (409, "application/problem+json")
    assert json.loads(bad.body)["field"] == "x"


# -- texts -----------------------------------------------------------------------------------------------------------

TEXT: TypeAdapter[str] = TypeAdapter(Text(1, 5))


@pytest.mark.parametrize("text", ["a", "驿站", "a b", "🚚🚚🚚🚚🚚", "\u00a0", "~", " "])
def test_text_takes_what_people_write(text: str) -> None:
    assert TEXT.validate_python(text) == text


@pytest.mark.parametrize(
    "text", ["", "123456", "\x00", "a\tb", "a\nb", "\r", "\x1b", "\x7f", "\ud800", "a\udfff", 5, None, b"a"]
)
def test_text_refuses_control_characters_lone_surrogates_and_other_lengths(text: Any) -> None:
    with pytest.raises(ValidationError):
        TEXT.validate_python(text, strict=True)
