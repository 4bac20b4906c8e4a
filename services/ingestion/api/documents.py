"""What the plain routes say about themselves in OpenAPI: headers, message schemas and examples."""

from typing import Any

import msgspec

from libs.channels.own.inbound import Cancellation, Order

ORDER_EXAMPLE: dict[str, Any] = {
    "platform_order_id": "536365",
    "placed_at": "2026-11-11T00:00:03Z",
    "paid_at": "2026-11-11T00:00:09Z",
    "currency": "CNY",
    "buyer": {"id": "17850", "vip": False},
    "recipient": {
        "name": "收货人",
        "phone": "00000000000",
        "province": "湖北省",
        "city": "武汉市",
        "district": "洪山区",
        "address": "珞喻路1号",
        "postcode": "430070",
    },
    "lines": [
        {
            "line_id": "1",
            "sku": "85123A",
            "quantity": 6,
            "unit_price": 2550,
            "discounts": [{"funder": "platform", "amount": 200}],
        }
    ],
    "shipping_fee": 0,
    "total": 15100,
    "kind": "normal",
    "promise": {"ship_by": "2026-11-13T00:00:00Z"},
    "note": "",
}
CANCELLATION_EXAMPLE: dict[str, Any] = {
    "type": "order.cancelled",
    "platform_order_id": "536365",
    "reason": "不想要了",
    "cancelled_at": "2026-11-11T00:20:00Z",
}
ANSWER_EXAMPLE = {"order_id": "own.demo.536365", "status": "accepted"}
_HEADERS = (
    ("webhook-id", "the message's own id; a repeat of it changes nothing"),
    ("webhook-timestamp", "seconds since 1970, at most five minutes away from now"),
    ("webhook-signature", "`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`; several, separated by blanks"),
)
_REFUSALS = {
    "401": "the signature does not fit or the timestamp is stale",
    "404": "no such shop",
    "413": "the body is too large",
    "422": "the order is not valid; `field` names what is wrong",
    "429": "too many requests wait already: come back after `Retry-After` seconds",
    "503": "not serving now, or the shop is paused: come back after `Retry-After` seconds",
}


def webhook() -> dict[str, Any]:
    """Return the documentation of the single-message webhook."""
    return {
        "parameters": [_parameter("path", "shop_id", "the shop that signs", "demo"), *_headers()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [_schema(Order), _schema(Cancellation)]},
                    "examples": {
                        "placed": {"summary": "an order", "value": ORDER_EXAMPLE},
                        "cancelled": {"summary": "a cancellation", "value": CANCELLATION_EXAMPLE},
                    },
                }
            },
        },
        "responses": {
            "202": _answer("committed: accepted, amended, or unchanged for a repeat", ANSWER_EXAMPLE),
            "409": _refused("the order is cancelled and takes no changes"),
            **{status: _refused(words) for status, words in _REFUSALS.items()},
        },
    }


def batch(limit_messages: int) -> dict[str, Any]:
    """Return the documentation of the batch."""
    message = {"oneOf": [_schema(Order), _schema(Cancellation)]}
    refused = {"index": 1, "status": "refused", "problem": {"title": "the order is not valid", "field": "total"}}
    return {
        "parameters": [_parameter("query", "shop_id", "the shop that signs", "demo"), *_headers()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "array", "minItems": 1, "maxItems": limit_messages, "items": message},
                    "example": [ORDER_EXAMPLE, CANCELLATION_EXAMPLE],
                },
                "application/x-ndjson": {"schema": {"type": "string", "description": "one message a line"}},
            },
        },
        "responses": {
            "200": _answer("each message's verdict", {"items": [{"index": 0, **ANSWER_EXAMPLE}, refused]}),
            **{status: _refused(words) for status, words in _REFUSALS.items()},
        },
    }


def _headers() -> list[dict[str, Any]]:
    return [_parameter("header", name, words) for name, words in _HEADERS]


def _parameter(place: str, name: str, words: str, example: str | None = None) -> dict[str, Any]:
    found = {"in": place, "name": name, "required": True, "description": words, "schema": {"type": "string"}}
    return found if example is None else found | {"example": example}


def _answer(words: str, example: dict[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": {"type": "object"}, "example": example}}}


def _refused(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/problem+json": {"schema": {"type": "object"}}}}


def _schema(message: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a message's JSON Schema with its parts written out in place: OpenAPI keeps its own list of names."""
    (root,), parts = msgspec.json.schema_components([message], ref_template="{name}")
    found: dict[str, Any] = _in_place(root, parts)
    return found


def _in_place(node: Any, parts: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return _in_place(parts[node["$ref"]], parts)
        return {name: _in_place(each, parts) for name, each in node.items()}
    if isinstance(node, list):
        return [_in_place(each, parts) for each in node]
    return node
