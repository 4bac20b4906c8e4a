"""The manners of every HTTP edge: problem+json for refusals, one header for idempotency, texts without traps."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import AfterValidator, Field
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.decide import Reply
from libs.stream.desk import NotServing, Overloaded
from libs.vault import Forgotten, VaultAway

BODY_LIMIT_BYTES = 1024 * 1024
UPLOAD_LIMIT_BYTES = 32 * 1024 * 1024
LARGE_FROM_BYTES = 64 * 1024
LARGE_BODIES_LIMIT_BYTES = 256 * 1024 * 1024
NAME_LIMIT_CHARACTERS = 64
PROBLEM = "application/problem+json"
FIRST_PRINTABLE = 0x20
DELETE = 0x7F


_SHOWN_PROBLEM = {
    PROBLEM: {
        "schema": {
            "type": "object",
            "required": ["type", "title", "status"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "field": {"type": "string", "description": "what is at fault"},
            },
        }
    }
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "refused: an RFC 9457 problem says why", "content": _SHOWN_PROBLEM},
    "503": {"description": "not serving now: come back after `Retry-After` seconds", "content": _SHOWN_PROBLEM},
}
"""What every route may answer beside its own answers, for OpenAPI."""


class Problem(Exception):
    """A refusal, answered as RFC 9457 problem+json; `more` may hold the `field` at fault or what was expected."""

    def __init__(self, status: int, title: str, detail: str = "", **more: Any) -> None:
        super().__init__(title)
        self.status = status
        self.body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, **more}
        if detail:
            self.body["detail"] = detail


def _printable(text: str) -> str:
    for letter in text:
        point = ord(letter)
        if point < FIRST_PRINTABLE or point == DELETE or 0xD800 <= point <= 0xDFFF:
            raise ValueError("control characters and lone surrogates are not text")
    return text


def Text(least: int = 1, most: int = 200) -> Any:  # noqa: N802 - used as a type
    """Return a string type of `least` to `most` characters without control characters or lone surrogates."""
    return Annotated[str, Field(min_length=least, max_length=most), AfterValidator(_printable)]


IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request gets the first answer again and changes nothing.",
    ),
]


def respond(reply: Reply) -> Response:
    """Return the HTTP answer of a command's reply."""
    kind = PROBLEM if reply.status >= 400 else "application/json"
    return JSONResponse(reply.body, status_code=reply.status, media_type=kind)


def problem_response(status: int, title: str, detail: str = "", **more: Any) -> Response:
    """Return a problem as a response."""
    headers = {"Retry-After": str(more.pop("retry_after_s"))} if "retry_after_s" in more else None
    return JSONResponse(Problem(status, title, detail, **more).body, status, headers=headers, media_type=PROBLEM)


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every refusal of the application as problem+json; no answer repeats what was sent."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return JSONResponse(error.body, status_code=error.status, headers=headers, media_type=PROBLEM)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = [part for part in first["loc"] if part not in ("body", "header", "query", "path")]
        field = _shown(place) or str(first["loc"][0])
        missing_header = first["loc"][0] == "header" and first["type"] == "missing"
        fields = [_shown(each["loc"]) for each in error.errors()[:20]]
        status = 400 if missing_header else 422
        return problem_response(status, "the request is not valid", first["msg"], field=field, fields=fields)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = problem_response(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    async def on_gone(request: Request, error: Exception) -> Response:
        return problem_response(400, "the client left before its request was complete")

    async def on_overload(request: Request, error: Exception) -> Response:
        return problem_response(429, "too many requests wait already", retry_after_s=Overloaded.retry_after_s)

    async def on_not_serving(request: Request, error: Exception) -> Response:
        return problem_response(503, "not serving now", str(error), retry_after_s=NotServing.retry_after_s)

    async def on_forgotten(request: Request, error: Exception) -> Response:
        return problem_response(410, "the data key of this shop and month was destroyed", str(error))

    async def on_database(request: Request, error: Exception) -> Response:
        if isinstance(error, DBAPIError) and not error.connection_invalidated and _sql_class(error) == "22":
            return problem_response(422, "the request holds a value the database cannot compare")
        return problem_response(503, "the database does not answer", retry_after_s=NotServing.retry_after_s)

    async def on_anything(request: Request, error: Exception) -> Response:
        return problem_response(500, "this request could not be handled")

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(Overloaded, on_overload)
    app.add_exception_handler(NotServing, on_not_serving)
    app.add_exception_handler(VaultAway, on_not_serving)
    app.add_exception_handler(Forgotten, on_forgotten)
    app.add_exception_handler(SQLAlchemyError, on_database)
    app.add_exception_handler(OSError, on_database)
    app.add_exception_handler(Exception, on_anything)


def refuse_unknown_parameters(routers: Sequence[APIRouter]) -> None:
    """Let the GET routes of `routers` refuse, by its name, a query parameter that they do not take.

    A list whose filter is misspelt would answer with everything. A route that reads the request itself knows best.
    Raises TypeError for routers inside routers: what they hold would be passed over.
    """
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute):
                raise TypeError(f"{route} is no route: name its routes in the list of routers")
            if route.methods == {"GET"} and not route.dependant.request_param_name:
                route.dependencies.append(Depends(_taking(_query_names(route.dependant))))


def _query_names(dependant: Dependant) -> frozenset[str]:
    """Return the query parameters of a route and of what it depends on."""
    return frozenset(each.alias for each in dependant.query_params).union(*map(_query_names, dependant.dependencies))


def _taking(names: frozenset[str]) -> Callable[[Request], Coroutine[Any, Any, None]]:
    async def refuse_others(request: Request) -> None:
        unknown = next((name for name in request.query_params if name not in names), None)
        if unknown is not None:
            known = ", ".join(sorted(names)) or "none"
            raise Problem(422, "unknown query parameter", detail=f"known here: {known}", field=_shown([unknown]))

    return refuse_others


def _sql_class(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")[:2]


def _shown(place: Sequence[object]) -> str:
    """Return a path as text; a name in it may be the sender's own, of any length and of any characters."""
    names = [str(part)[:NAME_LIMIT_CHARACTERS] for part in place]
    return ".".join("".join(letter if letter.isprintable() else "?" for letter in name) for name in names)


class BodyLimit:
    """Refuses bodies over the limit while they arrive, and large ones when many are held: memory stays bounded.

    What a body holds beyond its first 64 KiB counts towards the large bodies; nearly every order is smaller, and so
    is taken however many large ones are under way.
    """

    def __init__(self, app: ASGIApp, uploads: tuple[str, ...] = ()) -> None:
        self._app = app
        self._uploads = uploads
        self._large_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its bytes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = UPLOAD_LIMIT_BYTES if scope["path"] in self._uploads else BODY_LIMIT_BYTES
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > limit:
            await _too_large(limit)(scope, receive, send)
            return
        seen = large = 0
        refusal: Response | None = None

        async def counted() -> Message:
            nonlocal seen, large, refusal
            message = await receive()
            seen += len(message.get("body", b""))
            grown = max(0, seen - LARGE_FROM_BYTES) - large
            if seen > limit:
                refusal = _too_large(limit)
            elif grown and self._large_bytes + grown > LARGE_BODIES_LIMIT_BYTES:
                refusal = problem_response(503, "too many large bodies are under way", retry_after_s=5)
            if refusal is not None:
                raise Problem(413, "the body is not read any further")
            self._large_bytes += grown
            large += grown
            return message

        async def answered(message: Message) -> None:
            # Whatever the application makes of a body that stopped, the sender is told the reason.
            if refusal is None:
                await send(message)
            elif message["type"] == "http.response.start":
                await refusal(scope, receive, send)

        try:
            await self._app(scope, counted, answered)
        finally:
            self._large_bytes -= large


def _too_large(limit: int) -> Response:
    return problem_response(413, "the body is too large", f"at most {limit} bytes")
