"""Small things that gateways share: the parameters of a call, pages, yuan."""

import json
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

BODY_LIMIT_BYTES = 4 * 1024 * 1024
Row = TypeVar("Row")


def yuan(fen: int) -> str:
    """Write an amount in yuan, with two places."""
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{fen // 100}.{fen % 100:02d}"


def text_of(value: object) -> str:
    """Return a JSON value as it takes part in a signature: strings as they are, others as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def params_of(request: Request) -> dict[str, str]:
    """Return query and body (form, or a JSON object) as one set of strings; raises ValueError."""
    found = dict(parse_qsl(request.url.query, keep_blank_values=True))
    body = await request.body()
    if len(body) > BODY_LIMIT_BYTES:
        raise ValueError("the body is too large")
    if not body:
        return found
    if "json" in request.headers.get("content-type", ""):
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError("the body is not a JSON object")
        return {**found, **{key: text_of(value) for key, value in document.items() if value is not None}}
    return {**found, **dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True))}


def page_of(rows: Sequence[Row], page: int, size: int) -> Sequence[Row]:
    """Return a page, counted from 1."""
    return rows[(page - 1) * size : page * size]


def as_json(document: object, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(msgspec.json.encode(document), status, media_type="application/json")
