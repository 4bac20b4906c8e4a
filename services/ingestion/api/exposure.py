"""Where a SKU is sold, how much each shop may offer, and every term of how much may be oversold at worst."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from libs.channels.leaving import leave
from libs.runtime.http import IdempotencyKey, Problem, Text, respond
from libs.runtime.service import Parts
from services.ingestion.domain.listings import EndListing, PutBudget, PutListing, shown
from services.ingestion.store import outward

UNITS_LIMIT = 10**9
PERCENT = 100
ShopId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", examples=["douyin1"])]
Sku = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["85123A"])]


class ListingWanted(BaseModel):
    """A SKU as a platform knows it, and what it gets: `fixed` units, a `share` in percent, or the `rest` but some."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"listing_id": "3600000001", "listing_sku": "1700001", "mode": "share", "amount": 40}]
        },
    )
    listing_id: Text(1, 64) = Field(description="item or SPU on the platform")  # type: ignore[valid-type]
    listing_sku: Text(0, 64) = Field(default="", description="SKU on the platform")  # type: ignore[valid-type]
    mode: Literal["fixed", "share", "rest"]
    amount: int = Field(
        default=0, ge=0, le=UNITS_LIMIT, description="units; percent for a share; units kept back (buffer) for rest"
    )
    priority: int = Field(default=100, ge=0, le=1_000, description="a lower number is served first")

    @model_validator(mode="after")
    def _share_is_percent(self) -> "ListingWanted":
        if self.mode == "share" and self.amount > PERCENT:
            raise ValueError("a share is at most 100 percent")
        return self


class BudgetWanted(BaseModel):
    """How many units may be oversold at worst."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"budget": 0}]})
    budget: int = Field(ge=0, le=UNITS_LIMIT)


class UnderWay(BaseModel):
    """The one call that a listing waits for."""

    change_id: str
    kind: Literal["set", "delta", "read"]
    value: int
    state: str


class ListingShown(BaseModel):
    """A listing with every term of what it may still sell."""

    shop_id: str
    channel: str
    listing_id: str
    listing_sku: str
    mode: Literal["fixed", "share", "rest"]
    amount: int
    priority: int
    active: bool
    known: bool = Field(description="whether the platform's number was ever read or set")
    target: int = Field(description="what the policy gives it now")
    last_told: int | None
    last_acknowledged: int | None
    offered: int = Field(description="at most what the platform offers, less sales heard since")
    raise_not_settled: int = Field(description="what the call under way may add")
    sold_not_in_atp: int = Field(description="units sold that the ATP may not show yet")
    cancelled_not_settled: int = Field(description="units of cancelled orders that the platform may offer again")
    may_be_sold: int = Field(description="offered + raise_not_settled + sold_not_in_atp + cancelled_not_settled")
    sold: int
    under_way: UnderWay | None
    drift: int
    drifts: int
    failures: int
    platform_words: str


class ExposureShown(BaseModel):
    """`bound` = max(0, may_be_sold - atp); null while the ATP or a platform's own number is not known."""

    sku: str
    atp: int | None
    sellable: int
    budget: int
    bound: int | None
    may_be_sold: int
    listings: list[ListingShown]


def router(parts: Parts) -> APIRouter:
    """Return the routes for listings, budgets and the exposure ledger."""
    routes = APIRouter(tags=["back to platforms"], dependencies=[Depends(parts.auth.require("operator"))])

    @routes.get(
        "/exposure/{sku}", operation_id="get_exposure", summary="The bound and its terms", response_model=ExposureShown
    )
    async def get_exposure(sku: Sku) -> ExposureShown:
        async with parts.reads() as connection:
            row = await outward.exposure_of(connection, sku)
        if row is None:
            raise Problem(404, "this SKU is listed nowhere")
        found = ExposureShown.model_validate(shown(row))
        for listing in found.listings:
            words = {"platform_words": listing.platform_words}
            listing.platform_words = leave(listing.channel, "api", words).get("platform_words", "")
        return found

    @routes.put(
        "/exposure/{sku}/budget",
        operation_id="put_budget",
        summary="How many units may be oversold at worst; 0 for scarce goods",
        response_model=ExposureShown,
    )
    async def put_budget(sku: Sku, wanted: BudgetWanted, idempotency_key: IdempotencyKey) -> Response:
        return respond(await parts.submit(PutBudget(sku=sku, budget=wanted.budget), f"budget:{sku}:{idempotency_key}"))

    @routes.put(
        "/shops/{shop_id}/listings/{sku}",
        operation_id="put_listing",
        summary="Sell a SKU in a shop, or change what it gets there",
        response_model=ExposureShown,
        responses={404: {"description": "no such shop"}, 422: {"description": "the policies do not fit together"}},
    )
    async def put_listing(
        shop_id: ShopId, sku: Sku, wanted: ListingWanted, idempotency_key: IdempotencyKey
    ) -> Response:
        command = PutListing(shop_id=shop_id, sku=sku, **wanted.model_dump())
        return respond(await parts.submit(command, f"listing:{shop_id}:{sku}:{idempotency_key}"))

    @routes.delete(
        "/shops/{shop_id}/listings/{sku}",
        operation_id="end_listing",
        summary="Take back what a shop offers of a SKU",
        status_code=202,
        response_model=ExposureShown,
    )
    async def end_listing(shop_id: ShopId, sku: Sku, idempotency_key: IdempotencyKey) -> Response:
        return respond(
            await parts.submit(EndListing(shop_id=shop_id, sku=sku), f"unlist:{shop_id}:{sku}:{idempotency_key}")
        )

    return routes
