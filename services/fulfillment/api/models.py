"""What fulfillment accepts over HTTP, bounded field by field, with examples for the API page."""

from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
_VISIBLE_ASCII = r"^[\x21-\x7e]+$"
UNITS_LIMIT = 1_000_000
ITEMS_LIMIT = 4_000
WEIGHT_LIMIT_GRAMS = 2_000_000
SERVICES_LIMIT = 20

Code = Annotated[str, Field(min_length=1, max_length=64, pattern=_PRINTABLE)]
Units = Annotated[int, Field(ge=1, le=UNITS_LIMIT)]
TaskId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=300,
        pattern=_PRINTABLE,
        description="`{order_id}/{n}`; the slash may come as it is or as %2F",
        examples=["own.demo.536365/1"],
    ),
]
OrderId = Annotated[
    str, Path(min_length=1, max_length=300, pattern=_PRINTABLE, examples=["own.demo.536365"], description="order id")
]
DeviceId = Annotated[str, Path(min_length=1, max_length=200, pattern=_PRINTABLE, examples=["pda-cd-07"])]

TASK_EXAMPLE: dict[str, Any] = {
    "task_id": "own.demo.536365/1",
    "order_id": "own.demo.536365",
    "warehouse": "CD",
    "state": "claimed",
    "next": "scan",
    "lines": [{"line_id": "1", "sku": "85123A", "quantity": 6, "scanned": 2, "barcode": "6901234567892"}],
    "requirements": ["signature_on_delivery"],
    "claim_until": "2026-11-11T00:20:00+00:00",
    "expected_weight_grams": 1800,
    "weight_grams": None,
    "carrier": None,
    "waybill": None,
    "services": [],
}
WMS_REFUSAL_EXAMPLE: dict[str, Any] = {
    "call": "task.created",
    "word": "the receiver answered HTTP 422",
    "rounds": 1,
    "telling": False,
    "refused_at": "2026-11-11T00:05:00+00:00",
}
_REFUSAL_EXAMPLE: dict[str, Any] = {
    "type": "about:blank",
    "title": "wrong barcode",
    "status": 409,
    "field": "barcode",
    "state": "claimed",
    "next": "scan",
    "expected": [{"sku": "85123A", "barcode": "6901234567892", "remaining": 4}],
    "detail": "nothing in this task carries it",
}


def answers(example: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the documented answers of a route."""
    return {
        status: {"description": "done", "content": {"application/json": {"example": example}}},
        403: {"description": "another warehouse's task, or a device that was revoked"},
        404: {"description": "nobody knows it"},
        409: {
            "description": "refused, with the task's state, the next step and what was expected; nothing changed",
            "content": {"application/problem+json": {"example": _REFUSAL_EXAMPLE}},
        },
    }


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Scan(_Body):
    """Some units of one barcode. `scan_id` names this scan: sent again, it changes nothing."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"scan_id": "s-4f1c", "barcode": "6901234567892", "quantity": 2}]}
    )
    scan_id: Annotated[str, Field(min_length=1, max_length=100, pattern=_VISIBLE_ASCII)]
    barcode: Code
    quantity: Units = 1


class Packed(_Body):
    """Some units of one barcode that lie in the parcel."""

    barcode: Code
    quantity: Units


class Pack(_Body):
    """Everything that lies in the parcel."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"barcode": "6901234567892", "quantity": 6}]}]}
    )
    items: Annotated[list[Packed], Field(min_length=1, max_length=ITEMS_LIMIT)]


class Weigh(_Body):
    """The scale's reading. `recheck` stands by a reading outside the tolerance, after looking into the parcel again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"weight_grams": 1815}]})
    weight_grams: Annotated[int, Field(ge=1, le=WEIGHT_LIMIT_GRAMS)]
    recheck: bool = False


class Ship(_Body):
    """Who carries the parcel, under which waybill and with which services."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"carrier": "SF", "waybill": "SF1234567890", "services": ["signature_on_delivery"]}]
        }
    )
    carrier: Code
    waybill: Code
    services: Annotated[list[Code], Field(max_length=SERVICES_LIMIT)] = []


class NewDevice(_Body):
    """A PDA, its warehouse, and what is written on its back."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"device_id": "pda-cd-07", "warehouse": "CD", "label": "blue, aisle 3"}]}
    )
    device_id: Annotated[str, Field(min_length=1, max_length=200, pattern=_PRINTABLE)]
    warehouse: Code
    label: Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
