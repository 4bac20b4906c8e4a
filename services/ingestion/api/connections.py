"""Operators connect shops to platforms: sign in by redirect and callback, and see what was parked and try it again."""

import hashlib
import secrets
from datetime import datetime
from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from libs.channels.channel import PlatformRefused
from libs.channels.outward.lines import plain
from libs.runtime.http import IdempotencyKey, Problem, Text, respond
from libs.runtime.service import Parts
from services.ingestion import store
from services.ingestion.api.line_book import LineBook, TokenRefused
from services.ingestion.domain import BeginSignIn, RetryParked, UseSignIn

ShopId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", examples=["taobao-1"])]
SubjectId = Annotated[str, Path(pattern=r"^[!-~]{1,128}$", examples=["4081234567890123456"])]


class SignInBegun(BaseModel):
    """Where to sign in; the page sends the browser back to this service."""

    shop_id: str
    url: str = Field(examples=["https://oauth.taobao.com/authorize?…"])
    redirect_uri: str
    expires_at: datetime


class SignedIn(BaseModel):
    """A shop that is signed in now."""

    shop_id: str
    channel: str
    scopes: list[str]
    token_expires_at: datetime | None


class ParkedShown(BaseModel):
    """A document that could not be taken."""

    shop_id: str
    channel: str
    about: str = Field(examples=["order"])
    subject_id: str
    field: str = Field(description="what is at fault", examples=["lines[0].unit_price"])
    reason: str = Field(examples=["is not an amount in yuan with at most two decimals"])
    attempts: int
    parked_at: datetime


class ParkedPage(BaseModel):
    """A page of parked documents."""

    items: list[ParkedShown]
    next_cursor: str | None = None


class SignIns:
    """The way of a sign-in: a state that is good once, a redirect, a callback, a token."""

    def __init__(self, parts: Parts, lines: LineBook, public_url: str) -> None:
        self._parts = parts
        self._lines = lines
        self._public_url = public_url.rstrip("/")

    async def begin(self, shop_id: str, request: Request) -> SignInBegun:
        """Make a state and say where to go with it."""
        line = await self._lines.find(shop_id)
        if line is None:
            raise Problem(404, "no such shop on a platform", field="shop_id")
        redirect_uri = self._redirect_uri(line.name, request)
        sign_in_state = secrets.token_urlsafe(32)
        url = line.client.authorize_url(redirect_uri, sign_in_state)
        if url is None:
            raise Problem(409, "this platform has no page to sign in: its shops need only their key and secret")
        hashed = hash_of(sign_in_state)
        reply = await self._parts.submit(BeginSignIn(shop_id=shop_id, state_hash=hashed), f"sign-in:{hashed}")
        if reply.status >= 400:
            raise Problem(reply.status, reply.body["title"])
        return SignInBegun(shop_id=shop_id, url=url, redirect_uri=redirect_uri, expires_at=reply.body["expires_at"])

    async def finish(self, channel: str, code: str, sign_in_state: str, request: Request) -> SignedIn:
        """Use the state up, then trade the code for a token."""
        # Each use has a key of its own: a repeat must be refused, not answered like the first.
        used = UseSignIn(channel=channel, state_hash=hash_of(sign_in_state))
        reply = await self._parts.submit(used, f"signed-in:{secrets.token_hex(12)}")
        if reply.status >= 400:
            raise Problem(reply.status, reply.body["title"], field=reply.body["field"])
        self._lines.forget(reply.body["shop_id"])
        line = await self._lines.find(reply.body["shop_id"])
        if line is None:
            raise Problem(404, "no such shop on a platform")
        try:
            token = await line.client.exchange(code, self._redirect_uri(channel, request))
            await self._lines.keep_token(line, token, None)
        except PlatformRefused as refused:
            raise Problem(502, "the platform gave no token: begin again", detail=plain(str(refused))) from None
        except httpx.HTTPError as error:
            raise Problem(502, "the platform does not answer: begin again", detail=type(error).__name__) from None
        except TokenRefused as refused:
            raise Problem(refused.reply.status, refused.reply.body["title"]) from None
        return SignedIn(
            shop_id=line.shop_id, channel=channel, scopes=list(token.scopes), token_expires_at=token.expires_at
        )

    def _redirect_uri(self, channel: str, request: Request) -> str:
        return f"{self._public_url or str(request.base_url).rstrip('/')}/oauth/{channel}/callback"


def router(parts: Parts, lines: LineBook, public_url: str) -> APIRouter:
    """Return the routes for signing in and for parked documents."""
    routes = APIRouter(tags=["shops"])
    operator = [Depends(parts.auth.require("operator"))]
    sign_ins = SignIns(parts, lines, public_url)

    @routes.get(
        "/shops/{shop_id}/authorize",
        operation_id="authorize_shop",
        summary="Where to sign a shop in; good once, for a quarter of an hour",
        dependencies=operator,
        response_model=SignInBegun,
    )
    async def authorize_shop(shop_id: ShopId, request: Request) -> SignInBegun:
        return await sign_ins.begin(shop_id, request)

    @routes.get(
        "/oauth/{channel}/callback",
        operation_id="oauth_callback",
        summary="A platform sends the operator's browser back here; the state proves who began it",
        response_model=SignedIn,
    )
    async def oauth_callback(
        channel: Annotated[str, Path(pattern=r"^[a-z]{1,32}$")],
        code: Annotated[Text(1, 500), Query()],  # type: ignore[valid-type]
        state: Annotated[Text(1, 200), Query()],  # type: ignore[valid-type]
        request: Request,
    ) -> SignedIn:
        return await sign_ins.finish(channel, code, state, request)

    @routes.get(
        "/documents/parked",
        operation_id="list_parked_documents",
        summary="Documents of platforms that could not be taken, and why; refunds withdrawn after they ended an order",
        dependencies=operator,
        response_model=ParkedPage,
    )
    async def list_parked_documents(
        shop_id: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")] = None,
        limit: Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ROWS)] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> ParkedPage:
        try:
            async with parts.reads() as reads:
                page, next_cursor = await store.parked_documents(reads, shop_id, limit, cursor)
        except store.BadCursor as error:
            raise Problem(422, str(error), field="cursor") from None
        return ParkedPage(items=[ParkedShown(**each) for each in page], next_cursor=next_cursor)

    @routes.post(
        "/documents/parked/{shop_id}/{about}/{subject_id}/retry",
        operation_id="retry_parked_document",
        summary="Ask the platform for a parked document once more",
        dependencies=operator,
        status_code=202,
    )
    async def retry_parked_document(
        shop_id: ShopId, about: Literal["order", "refund"], subject_id: SubjectId, idempotency_key: IdempotencyKey
    ) -> Response:
        command = RetryParked(shop_id=shop_id, about=about, subject_id=subject_id)
        return respond(await parts.submit(command, f"retry:{shop_id}:{about}:{subject_id}:{idempotency_key}"))

    return routes


def hash_of(sign_in_state: str) -> str:
    """Return what is kept of a state."""
    return hashlib.sha256(sign_in_state.encode()).hexdigest()
