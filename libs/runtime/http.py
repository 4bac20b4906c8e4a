"""The manners of every HTTP edge: problem+json for refusals, one header for idempotency, texts without traps."""

from typing import Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, Field
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.decide import Reply
from libs.stream.desk import NotServing, Overloaded
from libs.vault import Forgotten, VaultAway

BODY_LIMIT_BYTES = 1024 * 1024
UPLOAD_LIMIT_BYTES = 32 * 1024 * 1024
PROBLEM = "application/problem+json"
FIRST_PRINTABLE = 0x20
DELETE = 0x7F


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
        return JSONResponse(error.body, status_code=error.status, media_type=PROBLEM)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part not in ("body", "header", "query", "path")]
        field = ".".join(place) or str(first["loc"][0])
        missing_header = first["loc"][0] == "header" and first["type"] == "missing"
        fields = [".".join(str(part) for part in e["loc"]) for e in error.errors()[:20]]
        status = 400 if missing_header else 422
        return problem_response(status, "the request is not valid", first["msg"], field=field, fields=fields)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(error.status_code, str(error.detail))

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
    app.add_exception_handler(Overloaded, on_overload)
    app.add_exception_handler(NotServing, on_not_serving)
    app.add_exception_handler(VaultAway, on_not_serving)
    app.add_exception_handler(Forgotten, on_forgotten)
    app.add_exception_handler(SQLAlchemyError, on_database)
    app.add_exception_handler(OSError, on_database)
    app.add_exception_handler(Exception, on_anything)


def _sql_class(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")[:2]


class BodyLimit:
    """Refuses bodies over the limit while they arrive, so that nobody can fill the memory."""

    def __init__(self, app: ASGIApp, uploads: tuple[str, ...] = ()) -> None:
        self._app = app
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its bytes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = UPLOAD_LIMIT_BYTES if scope["path"] in self._uploads else BODY_LIMIT_BYTES
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > limit:
            response = problem_response(413, "the body is too large", f"at most {limit} bytes")
            await response(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise Problem(413, "the body is too large", f"at most {limit} bytes")
            return message

        await self._app(scope, counted, send)
