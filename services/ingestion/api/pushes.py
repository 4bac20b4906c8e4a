"""Pushes of platforms: proven over the raw bytes, kept with their hints, then answered in the platform's words."""

import secrets

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.channels import registry
from libs.channels.channel import PushRefused, PushRequest
from libs.channels.outward.lines import Line
from libs.channels.refusals import OrderRefused
from libs.runtime.http import Problem, problem_response, respond
from libs.runtime.plain import PlainRoute
from libs.runtime.service import Parts
from services.ingestion.api.documents_heard import all_heard, check_ids, hints_heard
from services.ingestion.api.edge import Edge
from services.ingestion.api.line_book import LineBook
from services.ingestion.api.webhooks import PAUSED_RETRY_SECONDS, SHOP_ID, read_body, refusal
from services.ingestion.domain import TakeHints

BODY_LIMIT_BYTES = 1024 * 1024
HINTS_LIMIT = 1_000
_PARAMETERS = [
    {"in": "path", "name": name, "required": True, "description": words, "schema": {"type": "string"}}
    for name, words in (("channel", "the platform"), ("shop_id", "the shop on it"))
]
_DOCUMENTED = {
    "parameters": _PARAMETERS,
    "responses": {
        "200": {"description": "kept; the answer is in the platform's own words"},
        "401": {"description": "not proven to come from the platform"},
        "404": {"description": "no such shop on this channel"},
        "413": {"description": "the body is too large"},
        "422": {"description": "genuine, but not what the platform documents"},
    },
}


class Pushes:
    """The endpoint, as a plain function of a request."""

    def __init__(self, parts: Parts, lines: LineBook, edge: Edge, public_url: str) -> None:
        self._parts = parts
        self._lines = lines
        self._edge = edge
        self._public_url = public_url.rstrip("/")

    async def receive(self, request: Request) -> Response:
        """Take one push."""
        channel, shop_id = request.path_params["channel"], request.path_params["shop_id"]
        line = await self._lines.find(shop_id) if SHOP_ID.fullmatch(shop_id) else None
        if line is None or line.name != channel or line.channel.receive is None:
            raise Problem(404, "no such shop")
        body = await read_body(request, BODY_LIMIT_BYTES)
        pushed = PushRequest(
            method=request.method,
            url=line.push_url or f"{self._public_url or str(request.base_url).rstrip('/')}{request.url.path}",
            query=request.scope["query_string"],
            headers=tuple(request.headers.raw),
            body=body,
        )
        return await self._take(line, pushed)

    async def _take(self, line: Line, request: PushRequest) -> Response:
        assert line.channel.receive is not None
        now = self._parts.now()
        try:
            pushed = line.channel.receive(request, line.access, now)
            if len(pushed.hints) + len(pushed.documents) > HINTS_LIMIT:
                raise OrderRefused("", f"holds more than {HINTS_LIMIT} messages")
            check_ids([each.subject_id for each in pushed.hints] + [each.subject_id for each in pushed.documents])
        except PushRefused as refused:
            raise Problem(401, "the push is not accepted", detail=str(refused)) from None
        except OrderRefused as refused:
            raise refusal(refused) from None
        if pushed.hints or pushed.documents:
            if line.paused:
                return problem_response(503, "the shop is paused", retry_after_s=PAUSED_RETRY_SECONDS)
            push_id = secrets.token_hex(12)
            command = TakeHints(
                push_id=push_id,
                shop_id=line.shop_id,
                channel=line.name,
                source="push",
                raw_sealed=await self._edge.seal(line.shop_id, request.body),
                hints=hints_heard(pushed.hints),
                documents=await all_heard(self._edge, line, pushed.documents, now),
                read_at=now,
            )
            reply = await self._parts.submit(command, f"push:{push_id}")
            if reply.status >= 400:
                return respond(reply)
        return Response(pushed.answer.body, pushed.answer.status, media_type=pushed.answer.content_type)


def router(parts: Parts, lines: LineBook, edge: Edge, public_url: str) -> APIRouter:
    """Return the push routes; a platform proves its address by GET, and tells by POST."""
    pushes = Pushes(parts, lines, edge, public_url)
    routes = APIRouter(route_class=PlainRoute, tags=["orders in"])
    for method in ("POST", "GET"):
        routes.add_api_route(
            "/push/{channel}/{shop_id}",
            pushes.receive,
            methods=[method],
            operation_id=f"{'receive' if method == 'POST' else 'prove'}_push",
            summary="A push of a platform" if method == "POST" else "A platform's question whether this is the address",
            response_class=Response,
            openapi_extra={**_DOCUMENTED, "description": f"Channels: {', '.join(registry.PLATFORMS)}."},
        )
    return routes
