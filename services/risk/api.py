"""HTTP in: reviewers work the queue of held orders, operators read, try and replace the rules and the allow list."""

from collections.abc import Awaitable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from libs.rules import RuleFailed, RuleRefused
from libs.rules.trial import tried
from libs.runtime.auth import Caller
from libs.runtime.http import IdempotencyKey, Problem, Text, respond
from libs.runtime.service import Parts
from services.risk import domain, store

READERS = ("operator", "reviewer", "sre")
CONTENT_LIMIT_BYTES = 512 * 1024

OrderId = Annotated[
    str, Path(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["own.demo.536365"])
]
BuyerKey = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", examples=["5f1c09…"])]
Rule = Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_]{0,59}$", examples=["presale"])]
Seen = Annotated[int, Field(ge=1, le=2**53, description="the version looked at: of another one it is a 409")]
Cursor = Annotated[str | None, Query(max_length=800, description="`next_cursor` of the page before")]
PageSize = Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ITEMS)]


def _storable(content: dict[str, Any]) -> dict[str, Any]:
    # A refused graph is kept with its refusal too: it must be plain JSON, without NUL, and not endless.
    try:
        raw = msgspec.json.encode(content)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ValueError("not plain JSON") from error
    if b"\\u0000" in raw:
        raise ValueError("a text holds the character NUL")
    if len(raw) > CONTENT_LIMIT_BYTES:
        raise ValueError(f"{len(raw)} bytes, the limit is {CONTENT_LIMIT_BYTES}")
    return content


Content = Annotated[dict[str, Any], AfterValidator(_storable)]


class Release(BaseModel):
    """Which hold of which version is lifted (all of them, in any version, when they are not named), and why."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"rule": "pickup_high_value", "version": 1, "why": "buyer confirmed by phone"}]
        },
    )

    rule: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")] | None = None
    version: Seen | None = None
    why: Text(1, 500)  # type: ignore[valid-type]


class Rejection(BaseModel):
    """Why the order is refused for good, and in which version."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"version": 1, "why": "six accounts, one phone"}]}
    )

    version: Seen | None = None
    why: Text(1, 500)  # type: ignore[valid-type]


class NewRules(BaseModel):
    """A graph with its parameters and examples, made from version `base_version`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "content": {"jdm": {"nodes": [], "edges": []}, "parameters": {}, "examples": []},
                    "base_version": 1,
                    "why": "stricter for the sale",
                }
            ]
        },
    )

    content: Content
    base_version: int = Field(ge=1, le=2**53)
    why: Text(0, 500) = ""  # type: ignore[valid-type]


class Trial(BaseModel):
    """Facts to try; those left out are an unremarkable order's. Without `content` the rules in force answer."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"facts": {"order": {"is_pickup_point": True, "total": 50001}}}]},
    )

    facts: Content = {}
    content: Content | None = None


class Allowance(BaseModel):
    """Why this buyer may order as often as they like."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"why": "wholesale"}]})

    why: Text(0, 500) = ""  # type: ignore[valid-type]


def routers(parts: Parts, shipped: Mapping[str, Any]) -> list[APIRouter]:
    """Return risk's routes; `shipped` are the rules of a fresh installation."""
    return [_queue(parts), _verdicts(parts), _rules(parts, shipped), _changes(parts), _buyers(parts)]


def _queue(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["holds"], dependencies=[Depends(parts.auth.require(*READERS))])

    @router.get("/holds", operation_id="holds", summary="Held orders with their reasons, the longest held first")
    async def holds(rule: Rule = None, limit: PageSize = 50, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            return await _page(store.holds(connection, rule, limit, cursor))

    @router.get(
        "/holds/{order_id}",
        operation_id="hold",
        summary="What risk knows of an order, held or not",
        responses={404: {"description": "no such order"}},
    )
    async def hold(order_id: OrderId) -> dict[str, Any]:
        async with parts.reads() as connection:
            found = await store.order(connection, order_id)
        if found is None:
            raise Problem(404, "no such order", f"risk has not seen order {order_id}")
        return found

    return router


def _verdicts(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["holds"])
    reviewer = parts.auth.require("reviewer")
    refusals: dict[int | str, dict[str, Any]] = {
        404: {"description": "no such order"},
        409: {"description": "not held, or not by this rule, or in another version, or the rules still fail"},
    }

    @router.post(
        "/holds/{order_id}/release",
        operation_id="release_hold",
        summary="Lift one hold or all; the last one clears the order, one that the rules failed on is judged again",
        responses=refusals,
    )
    async def release(
        order_id: OrderId, body: Release, key: IdempotencyKey, caller: Annotated[Caller, Depends(reviewer)]
    ) -> Response:
        command = domain.ReleaseHold(
            order_id=order_id, by=caller.subject, why=body.why, rule=body.rule, version=body.version
        )
        return respond(await parts.submit(command, key))

    @router.post(
        "/holds/{order_id}/reject",
        operation_id="reject_order",
        summary="Refuse a held order for good",
        responses=refusals,
    )
    async def reject(
        order_id: OrderId, body: Rejection, key: IdempotencyKey, caller: Annotated[Caller, Depends(reviewer)]
    ) -> Response:
        command = domain.RejectOrder(order_id=order_id, by=caller.subject, why=body.why, version=body.version)
        return respond(await parts.submit(command, key))

    return router


def _rules(parts: Parts, shipped: Mapping[str, Any]) -> APIRouter:
    router = APIRouter(tags=["rules"], dependencies=[Depends(parts.auth.require(*READERS))])
    first = domain.Rulebook(shipped).first

    async def in_force() -> dict[str, Any]:
        async with parts.reads() as connection:
            found = await store.rules(connection)
        fresh: dict[str, Any] = msgspec.to_builtins(first(parts.now())) if found is None else found
        return fresh

    @router.get("/rules", operation_id="rules", summary="The rules in force, with parameters and examples")
    async def rules() -> dict[str, Any]:
        return await in_force()

    @router.get(
        "/rules/graph", operation_id="rule_graph", summary="The bare JDM file, as the graphical editor opens it"
    )
    async def rule_graph() -> dict[str, Any]:
        graph: dict[str, Any] = (await in_force())["content"]["jdm"]
        return graph

    @router.get("/rules/versions", operation_id="rule_versions", summary="Every version, newest first")
    async def rule_versions(limit: Annotated[int, Query(ge=1, le=50)] = 10, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            page = await _page(store.rule_versions(connection, limit, cursor))
        if page["items"] or cursor:
            return page
        return {"items": [{**msgspec.to_builtins(first(parts.now())), "why": "shipped"}], "next_cursor": None}

    @router.get("/rules/facts", operation_id="rule_facts", summary="What the rules may know, and what they must answer")
    async def rule_facts() -> dict[str, Any]:
        return {
            "facts": msgspec.to_builtins(domain.FACTS),
            "answer": msgspec.json.schema(domain.Answer),
            "unremarkable": domain.VOCABULARY.neutral,
        }

    @router.post(
        "/rules/try",
        operation_id="try_rules",
        summary="Let rules answer facts, without any effect",
        responses={422: {"description": "refused, or failed on these facts"}},
    )
    async def try_rules(body: Trial) -> dict[str, Any]:
        content = (await in_force())["content"] if body.content is None else body.content
        try:
            answer = await tried(domain.__name__, content, body.facts)
            domain.findings_of(answer)
        except RuleRefused as refused:
            raise Problem(422, "the rules are refused", refused.reasons[0], reasons=refused.reasons) from refused
        except RuleFailed as failure:
            raise Problem(422, "the rules fail on these facts", str(failure), field="facts") from failure
        return {"facts": domain.VOCABULARY.complete(body.facts), "answer": answer}

    return router


def _changes(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["rules"])
    operator = parts.auth.require("operator")

    @router.put(
        "/rules",
        operation_id="replace_rules",
        summary="Put rules in force that compile and keep their own examples",
        responses={409: {"description": "made from an older version"}, 422: {"description": "refused, with reasons"}},
    )
    async def replace_rules(
        body: NewRules, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        try:
            await tried(domain.__name__, body.content)
        except RuleRefused as refused:
            raise Problem(422, "the rules are refused", refused.reasons[0], reasons=refused.reasons) from refused
        command = domain.ReplaceRules(
            content=body.content, base_version=body.base_version, by=caller.subject, why=body.why
        )
        return respond(await parts.submit(command, key))

    return router


def _buyers(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["buyers"])
    trusted = parts.auth.require("operator", "reviewer")

    @router.get(
        "/buyers/allowed",
        operation_id="allowed_buyers",
        summary="The allow list",
        dependencies=[Depends(parts.auth.require(*READERS))],
    )
    async def allowed_buyers(limit: PageSize = 50, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            return await _page(store.allowed_buyers(connection, limit, cursor))

    @router.put("/buyers/{buyer_key}/allowed", operation_id="allow_buyer", summary="Put a buyer on the allow list")
    async def allow(
        buyer_key: BuyerKey, body: Allowance, key: IdempotencyKey, caller: Annotated[Caller, Depends(trusted)]
    ) -> Response:
        command = domain.AllowBuyer(buyer_key=buyer_key, by=caller.subject, why=body.why)
        return respond(await parts.submit(command, key))

    @router.delete(
        "/buyers/{buyer_key}/allowed",
        operation_id="disallow_buyer",
        summary="Take a buyer off the allow list",
        responses={404: {"description": "not on the list"}},
    )
    async def disallow(
        buyer_key: BuyerKey, key: IdempotencyKey, caller: Annotated[Caller, Depends(trusted)]
    ) -> Response:
        return respond(await parts.submit(domain.DisallowBuyer(buyer_key=buyer_key, by=caller.subject), key))

    return router


async def _page(items: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    try:
        return await items
    except store.BadCursor as error:
        raise Problem(422, "unknown cursor", str(error), field="cursor") from error
