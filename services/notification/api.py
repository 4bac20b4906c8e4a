"""HTTP in: operators see what was told to whom, change the wording, and respect a buyer's wish for silence."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from libs.runtime.auth import Caller
from libs.runtime.http import IdempotencyKey, Problem, Text, respond
from libs.runtime.service import Parts
from services.notification import domain, store

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
OrderId = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=300,
        pattern=PRINTABLE,
        description="an order's id, or `operations` for the digests",
        examples=["own.demo.536365"],
    ),
]
Name = Annotated[str, Path(min_length=1, max_length=60, pattern=PRINTABLE, examples=[domain.PARCEL_SHIPPED])]
BuyerKey = Annotated[str, Path(min_length=1, max_length=200, pattern=PRINTABLE, examples=["b_5f2c9d"])]
Cursor = Annotated[str | None, Query(max_length=1_200, description="`next_cursor` of the page before")]
PageSize = Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ROWS)]


class Wording(BaseModel):
    """A notice's text; `${…}` names what is filled in. SMS goes out under the text approved as `provider_code`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"text": "您的订单${order_no}已由${carrier}发出，运单号${waybill}。", "provider_code": "SMS_154950909"}
            ]
        },
    )

    text: Text(1, 500)  # type: ignore[valid-type]
    provider_code: Text(0, 60) = ""  # type: ignore[valid-type]


def routers(parts: Parts) -> list[APIRouter]:
    """Return notification's routes."""
    return [_notices(parts), _templates(parts), _buyers(parts)]


def _notices(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["notices"])

    @router.get(
        "/notices",
        operation_id="notices",
        summary="Who was told what, and whether it arrived",
        dependencies=[Depends(parts.auth.require("operator", "sre"))],
    )
    async def notices(order_id: OrderId = None, limit: PageSize = 50, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            try:
                items, following = await store.notices(connection, order_id=order_id, limit=limit, cursor=cursor)
            except store.BadCursor as error:
                raise Problem(422, "unknown cursor", detail=str(error), field="cursor") from error
        return {"items": items, "next_cursor": following}

    return router


def _templates(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["templates"])
    operator = parts.auth.require("operator")

    @router.get(
        "/templates", operation_id="templates", summary="Every wording in force", dependencies=[Depends(operator)]
    )
    async def templates() -> dict[str, Any]:
        changed = await _changed(parts)
        return {"items": [_shown(name, changed) for name in sorted(domain.DEFAULTS)], "next_cursor": None}

    @router.get(
        "/templates/{name}",
        operation_id="template",
        summary="One wording in force, and what it may name",
        dependencies=[Depends(operator)],
        responses={404: {"description": "no such template"}},
    )
    async def template(name: Name) -> dict[str, Any]:
        if name not in domain.DEFAULTS:
            raise Problem(404, "no such template", detail=f"templates are: {', '.join(sorted(domain.DEFAULTS))}")
        return _shown(name, await _changed(parts))

    @router.put(
        "/templates/{name}",
        operation_id="set_template",
        summary="Put a wording in force; every version is kept",
        responses={404: {"description": "no such template"}, 422: {"description": "it names something unknown"}},
    )
    async def set_template(
        name: Name, body: Wording, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        command = domain.SetTemplate(name=name, text=body.text, provider_code=body.provider_code, by=caller.subject)
        return respond(await parts.submit(command, key))

    return router


async def _changed(parts: Parts) -> Mapping[str, Mapping[str, Any]]:
    async with parts.reads() as connection:
        return await store.templates(connection)


def _shown(name: str, changed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    template = changed.get(name) or domain.template_body(domain.DEFAULTS[name])
    return {**template, "variables": sorted(domain.VARIABLES[name])}


def _buyers(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["buyers"])
    operator = parts.auth.require("operator")

    @router.put(
        "/buyers/{buyer_key}/opt-out", operation_id="opt_out", summary="This buyer wants no messages from now on"
    )
    async def opt_out(
        buyer_key: BuyerKey, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        return respond(await parts.submit(domain.OptOutBuyer(buyer_key=buyer_key, by=caller.subject), key))

    @router.delete("/buyers/{buyer_key}/opt-out", operation_id="opt_in", summary="This buyer wants messages again")
    async def opt_in(
        buyer_key: BuyerKey, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        return respond(await parts.submit(domain.OptInBuyer(buyer_key=buyer_key, by=caller.subject), key))

    return router
