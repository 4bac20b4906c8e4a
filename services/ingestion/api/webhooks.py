"""Signed deliveries: one message a request, or a batch of them; verified over the raw bytes before anything is read."""

import re
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from libs.channels.own.inbound import BODY_LIMIT_BYTES, parse
from libs.channels.own.signing import SignatureRefused, read_headers, verify
from libs.channels.refusals import OrderRefused
from libs.decide import Reply
from libs.runtime.http import Problem, problem_response, respond
from libs.runtime.plain import PlainRoute
from libs.runtime.service import Parts
from services.ingestion.api import documents
from services.ingestion.api.edge import CHANNEL, Edge
from services.ingestion.api.shop_book import KnownShop, ShopBook
from services.ingestion.domain import REFUSED, CancelOrder, PlaceOrder, TakeBatch

BATCH_LIMIT_BYTES = 16 * 1024 * 1024
BATCH_LIMIT_MESSAGES = 500
PAUSED_RETRY_SECONDS = 300
WHOLE_BODY = "body"
SHOP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")

_messages = msgspec.json.Decoder(list[msgspec.Raw])


class Webhooks:
    """The endpoints, as plain functions of a request: this is the hot path."""

    def __init__(self, parts: Parts, book: ShopBook, edge: Edge) -> None:
        self._parts = parts
        self._book = book
        self._edge = edge

    async def receive(self, request: Request) -> Response:
        """Take one signed order or cancellation."""
        shop_id = request.path_params["shop_id"]
        shop, body, webhook_id = await self._genuine(request, shop_id, BODY_LIMIT_BYTES)
        if shop.paused:
            return _paused()
        try:
            message = parse(body)
        except OrderRefused as refused:
            raise refusal(refused) from None
        command = await self._edge.command(shop_id, message, body, webhook_id)
        reply = await self._parts.submit(command, f"own:{shop_id}:{webhook_id}")
        return respond(_named(reply))

    async def receive_batch(self, request: Request) -> Response:
        """Take up to 500 messages of one shop under one signature, each with its own verdict, in one transaction."""
        shop_id = request.query_params.get("shop_id", "")
        if not shop_id:
            raise Problem(422, "which shop?", detail="the query parameter shop_id is missing", field="shop_id")
        shop, body, webhook_id = await self._genuine(request, shop_id, BATCH_LIMIT_BYTES)
        if shop.paused:
            return _paused()
        messages = split(body)
        verdicts: list[dict[str, Any]] = []
        commands: list[PlaceOrder | CancelOrder] = []
        for place, raw in enumerate(messages):
            try:
                if len(raw) > BODY_LIMIT_BYTES:
                    raise OrderRefused("", f"is larger than {BODY_LIMIT_BYTES} bytes")
                message = parse(raw)
            except OrderRefused as refused:
                verdicts.append({"index": place, "status": REFUSED, "problem": body_of(refused)})
                continue
            commands.append(await self._edge.command(shop_id, message, raw, f"{webhook_id}/{place}"))
            verdicts.append({"index": place})
        if commands:
            batch = TakeBatch(batch_id=f"{shop_id}/{webhook_id}", items=commands)
            reply = await self._parts.submit(batch, f"own-batch:{shop_id}:{webhook_id}")
            if reply.status >= 400:
                return respond(_named(reply))
            answers = iter(reply.body["items"])
            verdicts = [each if "status" in each else each | next(answers) for each in verdicts]
        return JSONResponse({"items": verdicts})

    async def _genuine(self, request: Request, shop_id: str, limit_bytes: int) -> tuple[KnownShop, bytes, str]:
        """Return the shop, the body and the webhook's id, once it is known that the shop sent exactly this."""
        shop = await self._book.find(shop_id) if SHOP_ID.fullmatch(shop_id) else None
        if shop is None or shop.channel != CHANNEL:
            raise Problem(404, "no such shop")
        body = await read_body(request, limit_bytes)
        try:
            headers = read_headers(request.headers.raw)
            now_seconds = self._parts.now().timestamp()
            try:
                verify(shop.keys, headers, body, now_seconds)
            except SignatureRefused:
                again = await self._book.look_again(shop_id)
                if again is None or again.keys == shop.keys:
                    raise
                shop = again
                verify(shop.keys, headers, body, now_seconds)
        except SignatureRefused as refused:
            raise Problem(401, "the webhook is not accepted", detail=str(refused)) from None
        return shop, body, headers.webhook_id


def router(parts: Parts, book: ShopBook, edge: Edge) -> APIRouter:
    """Return the webhook routes: called without FastAPI's machinery, documented like any other."""
    webhooks = Webhooks(parts, book, edge)
    routes = APIRouter(route_class=PlainRoute, tags=["orders in"])
    routes.add_api_route(
        "/webhooks/own/{shop_id}",
        webhooks.receive,
        methods=["POST"],
        operation_id="receive_own_webhook",
        summary="A signed order or cancellation of the own channel",
        status_code=202,
        response_class=JSONResponse,
        openapi_extra=documents.webhook(),
    )
    routes.add_api_route(
        "/orders/batch",
        webhooks.receive_batch,
        methods=["POST"],
        operation_id="receive_own_batch",
        summary="Up to 500 orders and cancellations of one shop under one signature",
        response_class=JSONResponse,
        openapi_extra=documents.batch(BATCH_LIMIT_MESSAGES),
    )
    return routes


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the whole body, but never hold more than the limit in memory."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def split(body: bytes) -> list[bytes]:
    """Return the messages of a batch: the elements of a JSON list, or the lines of NDJSON."""
    start = body.lstrip()
    if start.startswith(b"["):
        try:
            found = [bytes(each) for each in _messages.decode(start)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise refusal(OrderRefused("", "the body is not a JSON list of messages")) from None
    else:
        found = [line for line in body.split(b"\n") if line.strip()]
    if not found:
        raise refusal(OrderRefused("", "the batch is empty"))
    if len(found) > BATCH_LIMIT_MESSAGES:
        raise Problem(413, "too many messages", detail=f"a batch holds at most {BATCH_LIMIT_MESSAGES}")
    return found


def body_of(refused: OrderRefused) -> dict[str, Any]:
    """Return a refusal as the fields of a problem."""
    return {
        "title": "the order is not valid",
        "field": refused.field or WHOLE_BODY,
        "detail": refused.reason,
        **refused.more,
    }


def refusal(refused: OrderRefused) -> Problem:
    """Return a refusal as an HTTP problem."""
    return Problem(
        422, "the order is not valid", detail=str(refused), field=refused.field or WHOLE_BODY, **refused.more
    )


def _paused() -> Response:
    return problem_response(503, "the shop is paused", retry_after_s=PAUSED_RETRY_SECONDS)


def _named(reply: Reply) -> Reply:
    """An idempotency key is called webhook-id here."""
    if reply.status == 422 and reply.body.get("field") == "Idempotency-Key":
        title = "this webhook-id was used with another content"
        return Reply(status=422, body={**reply.body, "title": title, "field": "webhook-id"})
    return reply


def _too_large(limit_bytes: int) -> Problem:
    return Problem(413, "the body is too large", detail=f"at most {limit_bytes} bytes")
