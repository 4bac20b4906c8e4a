"""HTTP in: operators see blocked orders and why, decide for one of them, and read, try and replace the rules."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from libs.rules import RuleFailed, RuleRefused
from libs.rules.defaults import read
from libs.rules.trial import tried
from libs.runtime.auth import Caller
from libs.runtime.http import IdempotencyKey, Problem, Text, respond
from libs.runtime.service import Parts
from services.routing import domain, store
from services.routing.domain import OrderRoute, OverrideRoute, ReplaceRules
from services.routing.settings import Settings

READERS = ("operator", "reviewer", "sre")
CONTENT_LIMIT_BYTES = 512 * 1024

OrderId = Annotated[
    str, Path(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["own.demo.536365"])
]
Cursor = Annotated[str | None, Query(max_length=800, description="`next_cursor` of the page before")]
PageSize = Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ITEMS)]


def _storable(content: dict[str, Any]) -> dict[str, Any]:
    # What the screen may refuse must still be kept with its answer: plain JSON, no NUL, and not endless.
    try:
        raw = msgspec.json.encode(content)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ValueError("not plain JSON") from error
    if b"\\u0000" in raw:
        raise ValueError("a text holds the character NUL")
    if len(raw) > CONTENT_LIMIT_BYTES:
        raise ValueError(f"{len(raw)} bytes, the limit is {CONTENT_LIMIT_BYTES}")
    plain: dict[str, Any] = msgspec.json.decode(raw)
    return plain


Content = Annotated[dict[str, Any], AfterValidator(_storable)]


class Override(BaseModel):
    """Exactly one of the two: ship everything from this warehouse, or in as few parcels as possible."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"warehouse": "CD"}, {"split": True}]}
    )

    warehouse: Text(1, 64) | None = None  # type: ignore[valid-type]
    split: bool = False

    @model_validator(mode="after")
    def one_of_two(self) -> "Override":
        """Refuse both and neither."""
        if (self.warehouse is None) == (not self.split):
            raise ValueError('give either {"warehouse": code} or {"split": true}')
        return self


class NewRules(BaseModel):
    """A graph with its parameters and examples, made from version `base_version`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    content: Content
    base_version: int = Field(ge=1, le=2**53, examples=[1])
    why: Text(0, 500) = ""  # type: ignore[valid-type]


class Trial(BaseModel):
    """Facts to try; what is left out comes from an unremarkable order. Without `content` the rules in force answer."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"facts": {"order": {"region": "西南"}}}]}
    )

    facts: Content = {}
    content: Content | None = None


def routers(parts: Parts) -> list[APIRouter]:
    """Return routing's routes."""
    settings = parts.settings
    assert isinstance(settings, Settings), "routing is built with its own settings"
    return [_orders(parts, settings.decisions_shown_limit), _rules(parts), _rule_changes(parts)]


def _orders(parts: Parts, decisions_limit: int) -> APIRouter:
    router = APIRouter(tags=["orders"])
    reader = Depends(parts.auth.require(*READERS))
    operator = parts.auth.require("operator")

    @router.get(
        "/orders/{order_id}", operation_id="order", summary="What routing knows of an order", dependencies=[reader]
    )
    async def order(order_id: OrderId) -> dict[str, Any]:
        async with parts.reads() as connection:
            found = await store.order(connection, order_id, decisions_limit)
        if found is None:
            raise Problem(404, "no such order", detail=f"routing has not heard of {order_id}")
        return view(found)

    @router.get(
        "/blocked",
        operation_id="blocked",
        summary="Blocked orders, the longest blocked first, with what is missing and what would cure it",
        dependencies=[reader],
    )
    async def blocked(limit: PageSize = 50, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            try:
                return await store.blocked(connection, limit, cursor)
            except store.BadCursor as error:
                raise Problem(422, "unknown cursor", detail=str(error), field="cursor") from error

    @router.post(
        "/orders/{order_id}/override",
        operation_id="override",
        summary="Ship a blocked order from another warehouse, or split it",
        responses={
            202: {"description": "goods are missing: it waits for them"},
            404: {"description": "no such order"},
            409: {"description": "not blocked"},
        },
    )
    async def override(
        order_id: OrderId, body: Override, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        command = OverrideRoute(order_id=order_id, warehouse=body.warehouse, split=body.split, by=caller.subject)
        return respond(await parts.submit(command, key))

    return router


def _rules(parts: Parts) -> APIRouter:
    reader = Depends(parts.auth.require(*READERS))
    router = APIRouter(tags=["rules"], dependencies=[reader])

    @router.get("/rules", operation_id="rules", summary="The rules in force, with parameters and examples")
    async def rules() -> dict[str, Any]:
        return await in_force(parts)

    @router.get(
        "/rules/graph", operation_id="rule_graph", summary="The bare JDM file, as the graphical editor opens it"
    )
    async def rule_graph() -> dict[str, Any]:
        graph: dict[str, Any] = (await in_force(parts))["content"]["jdm"]
        return graph

    @router.get("/rules/versions", operation_id="rule_versions", summary="Every version, newest first")
    async def rule_versions(limit: Annotated[int, Query(ge=1, le=50)] = 10, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            try:
                page = await store.rule_versions(connection, limit, cursor)
            except store.BadCursor as error:
                raise Problem(422, "unknown cursor", detail=str(error), field="cursor") from error
        return page if page["items"] or cursor else {"items": [shipped(parts)], "next_cursor": None}

    @router.get("/rules/facts", operation_id="rule_facts", summary="What the rules may know, and what they must answer")
    async def rule_facts() -> dict[str, Any]:
        return {
            "facts": [fact._asdict() for fact in domain.FACTS],
            "answer": [answer._asdict() for answer in domain.ANSWER],
            "unremarkable": domain.VOCABULARY.neutral,
        }

    @router.post("/rules/try", operation_id="try_rules", summary="Let rules answer facts, without any effect")
    async def try_rules(body: Trial) -> dict[str, Any]:
        content = (await in_force(parts))["content"] if body.content is None else body.content
        try:
            answer = await tried(domain.__name__, content, body.facts)
        except RuleRefused as refusal:
            raise refused(refusal) from refusal
        except RuleFailed as failure:
            raise Problem(422, "the rules fail on these facts", detail=str(failure), field="facts") from failure
        return {"facts": domain.VOCABULARY.complete(body.facts), "answer": answer, "wrong": domain.check_answer(answer)}

    return router


def _rule_changes(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["rules"])
    operator = parts.auth.require("operator")

    @router.put(
        "/rules",
        operation_id="replace_rules",
        summary="Put rules in force that compile and satisfy their own examples",
        responses={409: {"description": "made to an older version"}, 422: {"description": "refused, with reasons"}},
    )
    async def replace_rules(
        body: NewRules, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        try:
            await tried(domain.__name__, body.content)
        except RuleRefused as refusal:
            raise refused(refusal) from refusal
        command = ReplaceRules(content=body.content, base_version=body.base_version, by=caller.subject, why=body.why)
        return respond(await parts.submit(command, key))

    return router


def refused(refusal: RuleRefused) -> Problem:
    """Return the answer to rules that are not taken, with every reason."""
    return Problem(422, "the rules are refused", detail="; ".join(refusal.reasons), reasons=refusal.reasons)


async def in_force(parts: Parts) -> dict[str, Any]:
    """Return the rules in force: the shipped ones until they are first used or replaced."""
    async with parts.reads() as connection:
        return await store.rules(connection) or shipped(parts)


def shipped(parts: Parts) -> dict[str, Any]:
    """Return the rules of a fresh installation, as version 1."""
    content = read("routing")
    rules = domain.shipped_rules(content, parts.now())
    found: dict[str, Any] = msgspec.to_builtins(rules)
    return found


def view(found: dict[str, Any]) -> dict[str, Any]:
    """Return an order's row and decisions as an operator reads them."""
    row = msgspec.convert(found, OrderRoute)
    decisions = found["decisions"]
    override = {"warehouse": row.override_warehouse, "split": row.override_split, "by": row.override_by}
    return {
        "order_id": row.order_id,
        "state": row.state,
        "version": row.version,
        "waits_for": domain.waits_for(row) if row.state == "waiting" else None,
        "destination": {name: found[name] for name in ("region", "province_code", "city_code", "district_code")},
        "cleared": {"version": row.cleared_version, "requirements": row.requirements},
        "reserved": {
            "version": row.reserved_version,
            "held": row.reserved,
            "lines": found["lines"],
            "shippable": row.shippable,
        },
        "plan": row.plan,
        "refusals_in_a_row": row.replans,
        "override": override if row.override_by else None,
        "blocked_at": found["blocked_at"],
        "blocked_by": row.blocked_by,
        "ended": row.ended or None,
        "decision": decisions[0] if decisions else None,
        "decisions": decisions,
    }
