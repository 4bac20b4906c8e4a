"""HTTP in: operators and the ERP define, count and move stock, and see every term of every number."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from contracts.stock import SkuQuantity
from libs.runtime.auth import Caller
from libs.runtime.http import IdempotencyKey, Problem, Text, respond
from libs.runtime.service import Parts
from services.inventory import domain, store

READERS = ("operator", "reviewer", "sre")
UNITS_LIMIT = 10_000_000
ITEMS_LIMIT = 500
AMOUNT_LIMIT = 10**12
YEAR_FIRST, YEAR_LAST = 2000, 2100


def _plausible(moment: datetime) -> datetime:
    if not YEAR_FIRST <= moment.year <= YEAR_LAST:
        raise ValueError(f"must lie between the years {YEAR_FIRST} and {YEAR_LAST}")
    return moment


SkuCode = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["85123A"])]
WarehouseCode = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,32}$", examples=["CD"])]
DocumentName = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
OrderId = Annotated[str, Path(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]
Cursor = Annotated[str | None, Query(max_length=800, description="`next_cursor` of the page before")]
PageSize = Annotated[int, Query(ge=1, le=store.PAGE_LIMIT_ITEMS)]
Units = Annotated[int, Field(ge=1, le=UNITS_LIMIT)]
Percent = Annotated[int, Field(ge=0, le=100)]
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
DocumentId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
# JSON has no time of its own, so a strict model must be told that a text may be one.
Moment = Annotated[AwareDatetime, Field(strict=False), AfterValidator(_plausible)]
NO_SUCH: dict[int | str, dict[str, Any]] = {404: {"description": "no such SKU, warehouse or document"}}
DEFINED: dict[int | str, dict[str, Any]] = {201: {"description": "new; 200 when it was known"}}
REFUSED: dict[int | str, dict[str, Any]] = {**NO_SUCH, 409: {"description": "the stock or document does not allow it"}}


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [fields]})


class SkuFacts(BaseModel):
    """A SKU as it is now. Policy fields left out stay as they were."""

    model_config = _example(
        title="白色心形烛台", barcode="6901234567892", cost=1630, weight_grams=420, sellable_inbound_percent=0
    )

    title: Text(0, 200) = ""  # type: ignore[valid-type]
    barcode: Text(0, 64) = ""  # type: ignore[valid-type]
    cost: int | None = Field(default=None, ge=0, le=AMOUNT_LIMIT, description="minor units of one unit's cost")
    weight_grams: int | None = Field(default=None, ge=0, le=UNITS_LIMIT)
    sellable_inbound_percent: Percent | None = Field(
        default=None, description="part of inbound x yield that may be sold before it arrives; 0 at first"
    )
    allowance: int | None = Field(
        default=None, ge=0, le=UNITS_LIMIT, description="units that may be promised beyond what is there; 0 at first"
    )
    safety_percent: int | None = Field(
        default=None, ge=0, le=10_000, description="safety line in percent of average daily sales; else the service's"
    )


class WarehouseFacts(BaseModel):
    """A warehouse as it is now."""

    model_config = _example(name="成都仓", region="西南", province_code="51")

    name: Text(0, 200) = ""  # type: ignore[valid-type]
    region: Text(0, 20) = ""  # type: ignore[valid-type]
    province_code: Text(0, 12) = ""  # type: ignore[valid-type]


class Item(BaseModel):
    """So many units of a SKU."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sku: Text(1, 64)  # type: ignore[valid-type]
    quantity: Units


class ReceivedItem(BaseModel):
    """What arrived of a SKU; nothing may have."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sku: Text(1, 64)  # type: ignore[valid-type]
    quantity: int = Field(ge=0, le=UNITS_LIMIT)


class Receipt(BaseModel):
    """Goods that came in. With `inbound_id` they are that shipment, and (unless `closes_inbound` is false) its end.

    A quantity of 0 ends a shipment of which nothing (more) comes.
    """

    model_config = _example(warehouse="CD", items=[{"sku": "85123A", "quantity": 120}])

    warehouse: Code
    inbound_id: DocumentId | None = None
    closes_inbound: bool = True
    items: Annotated[list[ReceivedItem], Field(min_length=1, max_length=ITEMS_LIMIT)]

    @field_validator("items")
    @classmethod
    def nothing_only_ends(cls, items: list[ReceivedItem], found: ValidationInfo) -> list[ReceivedItem]:
        """Refuse a receipt of nothing that ends no shipment either; the fields above are checked by now."""
        ends = found.data.get("inbound_id") is not None and found.data.get("closes_inbound")
        if not ends and any(item.quantity == 0 for item in items):
            raise ValueError("a quantity of 0 needs the inbound_id of a shipment that it closes")
        return items


class Count(BaseModel):
    """What was counted of a SKU in a warehouse."""

    model_config = _example(warehouse="CD", sku="85123A", counted=97)

    warehouse: Code
    sku: Text(1, 64)  # type: ignore[valid-type]
    counted: int = Field(ge=0, le=UNITS_LIMIT)


class InboundShipment(BaseModel):
    """A shipment on its way; `yield_percent` of it is counted into ATP."""

    model_config = _example(
        sku="85123A", warehouse="CD", quantity=20, yield_percent=80, eta="2026-11-14T02:00:00Z", inbound_id="PO-7-1"
    )

    sku: Text(1, 64)  # type: ignore[valid-type]
    warehouse: Code
    quantity: Units
    yield_percent: Percent = 100
    eta: Moment
    inbound_id: DocumentId | None = None


class NewTransfer(BaseModel):
    """Goods to leave one warehouse for another."""

    model_config = _example(from_warehouse="GZ", to_warehouse="CD", items=[{"sku": "85123A", "quantity": 12}])

    from_warehouse: Code
    to_warehouse: Code
    items: Annotated[list[Item], Field(min_length=1, max_length=ITEMS_LIMIT)]
    eta: Moment | None = None
    transfer_id: DocumentId | None = None


class Arrival(BaseModel):
    """What arrived of a transfer: everything if `items` is left out; a SKU left out of `items` did not arrive."""

    model_config = _example(items=[{"sku": "85123A", "quantity": 11}])

    items: Annotated[list[ReceivedItem], Field(max_length=ITEMS_LIMIT)] | None = None


def derived_id(idempotency_key: str) -> str:
    """Return a short id that a repeat of the same request has too."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()[:20]


def routers(parts: Parts) -> list[APIRouter]:
    """Return inventory's routes."""
    return [_catalogue(parts), _moves(parts), _transfers(parts), _reads(parts)]


def _items(items: list[Item] | list[ReceivedItem]) -> list[SkuQuantity]:
    return [SkuQuantity(sku=item.sku, quantity=item.quantity) for item in items]


def _catalogue(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["catalogue"], dependencies=[Depends(parts.auth.require("operator"))])

    @router.put(
        "/skus/{sku:path}",
        operation_id="define_sku",
        summary="Define a SKU, or change its facts and policy",
        responses=DEFINED,
    )
    async def define_sku(sku: SkuCode, body: SkuFacts, key: IdempotencyKey) -> Response:
        return respond(await parts.submit(domain.DefineSku(sku=sku, **body.model_dump()), key))

    @router.put(
        "/warehouses/{code}",
        operation_id="define_warehouse",
        summary="Define a warehouse, or change it",
        responses=DEFINED,
    )
    async def define_warehouse(code: WarehouseCode, body: WarehouseFacts, key: IdempotencyKey) -> Response:
        return respond(await parts.submit(domain.DefineWarehouse(warehouse=code, **body.model_dump()), key))

    return router


def _moves(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["stock"])
    operator = parts.auth.require("operator")

    @router.post(
        "/stock/receipts", status_code=201, operation_id="receive_stock", summary="Goods came in", responses=REFUSED
    )
    async def receive_stock(
        body: Receipt, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        command = domain.ReceiveStock(
            command_id=derived_id(key),
            warehouse=body.warehouse,
            items=_items(body.items),
            inbound_id=body.inbound_id,
            closes_inbound=body.closes_inbound,
            by=caller.subject,
        )
        return respond(await parts.submit(command, key))

    @router.post(
        "/stock/counts",
        status_code=201,
        operation_id="count_stock",
        summary="Believe a count; the answer says what is owed but absent",
        responses=NO_SUCH,
    )
    async def count_stock(body: Count, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]) -> Response:
        command = domain.CountStock(
            command_id=derived_id(key),
            warehouse=body.warehouse,
            sku=body.sku,
            counted=body.counted,
            by=caller.subject,
        )
        return respond(await parts.submit(command, key))

    @router.post(
        "/inbound", status_code=201, operation_id="announce_inbound", summary="Expect a shipment", responses=REFUSED
    )
    async def announce_inbound(
        body: InboundShipment, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        command = domain.AnnounceInbound(
            inbound_id=body.inbound_id or f"in-{derived_id(key)}",
            sku=body.sku,
            warehouse=body.warehouse,
            quantity=body.quantity,
            yield_percent=body.yield_percent,
            eta=_utc(body.eta),
            by=caller.subject,
        )
        return respond(await parts.submit(command, key))

    return router


def _transfers(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["transfers"])
    operator = parts.auth.require("operator")

    @router.post(
        "/transfers",
        status_code=201,
        operation_id="send_transfer",
        summary="Let free units leave for another warehouse",
        responses=REFUSED,
    )
    async def send_transfer(
        body: NewTransfer, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        command = domain.SendTransfer(
            transfer_id=body.transfer_id or f"tr-{derived_id(key)}",
            from_warehouse=body.from_warehouse,
            to_warehouse=body.to_warehouse,
            items=_items(body.items),
            eta=None if body.eta is None else _utc(body.eta),
            by=caller.subject,
        )
        return respond(await parts.submit(command, key))

    @router.post(
        "/transfers/{transfer_id}/receive",
        operation_id="receive_transfer",
        summary="A transfer arrived, whole or short",
        responses=REFUSED,
    )
    async def receive_transfer(
        transfer_id: DocumentName, body: Arrival, key: IdempotencyKey, caller: Annotated[Caller, Depends(operator)]
    ) -> Response:
        items = None if body.items is None else _items(body.items)
        command = domain.ReceiveTransfer(transfer_id=transfer_id, items=items, by=caller.subject)
        return respond(await parts.submit(command, key))

    @router.get(
        "/transfers/{transfer_id}",
        operation_id="transfer",
        summary="A transfer",
        responses=NO_SUCH,
        dependencies=[Depends(parts.auth.require(*READERS))],
    )
    async def transfer(transfer_id: DocumentName) -> dict[str, Any]:
        async with parts.reads() as connection:
            found = await store.transfer_of(connection, transfer_id)
        return _known(found, "no such transfer", "transfer_id")

    return router


def _reads(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["figures"], dependencies=[Depends(parts.auth.require(*READERS))])

    @router.get(
        "/atp/{sku:path}", operation_id="atp", summary="Available to promise, with every term of it", responses=NO_SUCH
    )
    async def atp(sku: SkuCode) -> dict[str, Any]:
        async with parts.reads() as connection:
            pool = await store.pool_of(connection, sku)
            inbound = [] if pool is None else await store.incoming(connection, sku)
        if pool is None:
            raise Problem(404, "no such SKU", field="sku")
        return {**domain.explain(pool), "inbound_shipments": inbound}

    @router.get("/skus", operation_id="skus", summary="The catalogue with figures, by SKU")
    async def skus(limit: PageSize = 50, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            try:
                return await store.skus(connection, limit, cursor)
            except store.BadCursor as error:
                raise Problem(422, "unknown cursor", detail=str(error), field="cursor") from error

    @router.get("/warehouses", operation_id="warehouses", summary="Warehouses, by code")
    async def warehouses(limit: PageSize = 50, cursor: Cursor = None) -> dict[str, Any]:
        async with parts.reads() as connection:
            try:
                return await store.warehouses(connection, limit, cursor)
            except store.BadCursor as error:
                raise Problem(422, "unknown cursor", detail=str(error), field="cursor") from error

    @router.get(
        "/reservations/{order_id:path}",
        operation_id="reservation",
        summary="What an order was promised, from where, and what became of it",
        responses=NO_SUCH,
    )
    async def reservation(order_id: OrderId) -> dict[str, Any]:
        async with parts.reads() as connection:
            found = await store.reservation_of(connection, order_id)
        return _known(found, "no such order", "order_id")

    @router.get("/inbound/{inbound_id}", operation_id="inbound", summary="An announced shipment", responses=NO_SUCH)
    async def inbound_shipment(inbound_id: DocumentName) -> dict[str, Any]:
        async with parts.reads() as connection:
            found = await store.inbound_of(connection, inbound_id)
        return _known(found, "no such inbound shipment", "inbound_id")

    return router


def _known(found: dict[str, Any] | None, title: str, field: str) -> dict[str, Any]:
    if found is None:
        raise Problem(404, title, field=field)
    return found


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
