"""Order files: each order is decided by itself, refused rows are listed, and importing a file again changes nothing."""

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Annotated

from fastapi import APIRouter, Depends, File, Form, Header, UploadFile
from pydantic import BaseModel, Field

from libs.channels.csv.exports import BY_PLATFORM
from libs.channels.csv.inbound import LeftOut, ReadOrder, RowRefused, read_orders
from libs.channels.refusals import OrderRefused
from libs.decide import Reply
from libs.runtime.http import Problem, Text
from libs.runtime.service import Parts
from libs.stream.desk import NotServing, Overloaded
from services.ingestion.api.edge import Edge
from services.ingestion.api.shop_book import ShopBook
from services.ingestion.domain import ACCEPTED, AMENDED, REFUSED, UNCHANGED, PlaceOrder, TakeBatch

CHUNK_ORDERS = 200
LISTED_ROWS_LIMIT = 1_000
SUBMIT_TRIES_LIMIT = 60


class RefusedRow(BaseModel):
    """A row that kept its order out."""

    line: int = Field(description="line of the file, the heading is line 1", examples=[17])
    field: str = Field(examples=["quantity"])
    reason: str = Field(examples=["must be a whole number"])
    platform_order_id: str = Field(examples=["536365"])


class ImportReport(BaseModel):
    """What became of the orders of a file."""

    import_id: str
    shop_id: str
    accepted: int = Field(examples=[98])
    amended: int = Field(examples=[0])
    unchanged: int = Field(examples=[1])
    refused: int = Field(description="orders kept out, and rows that belong to no order", examples=[1])
    refused_rows: list[RefusedRow]
    refused_rows_not_listed: int = 0
    left_out_rows: int = Field(
        default=0, description="rows of a platform's export that are unpaid, closed or refunded before shipping"
    )


@dataclass
class _Tally:
    """Counts as the file goes by."""

    counts: Counter[str] = field(default_factory=Counter)
    rows: list[RefusedRow] = field(default_factory=list)
    not_listed: int = 0
    refused_orders: set[str] = field(default_factory=set)

    def refuse(self, line: int, name: str, reason: str, number: str) -> None:
        if not number or number not in self.refused_orders:
            self.counts[REFUSED] += 1
        if number:
            self.refused_orders.add(number)
        if len(self.rows) < LISTED_ROWS_LIMIT:
            self.rows.append(RefusedRow(line=line, field=name, reason=reason, platform_order_id=number))
        else:
            self.not_listed += 1


class Imports:
    """Takes a file in bounded chunks, each one transaction."""

    def __init__(self, parts: Parts, edge: Edge) -> None:
        self._parts = parts
        self._edge = edge

    async def run(self, shop_id: str, file: IO[bytes], import_id: str, platform: str = "") -> ImportReport:
        """Read and decide the whole file; raises Problem 422 when it cannot be read at all."""
        tally, left_out = _Tally(), LeftOut()
        reading = read_orders(file, platform, left_out)
        number = 0
        try:
            while chunk := await asyncio.to_thread(_next_chunk, reading):
                await self._take(shop_id, import_id, number, chunk, tally)
                number += 1
        except OrderRefused as refused:
            raise Problem(422, "the file cannot be read", detail=refused.reason, field=refused.field) from None
        return ImportReport(
            import_id=import_id,
            shop_id=shop_id,
            accepted=tally.counts[ACCEPTED],
            amended=tally.counts[AMENDED],
            unchanged=tally.counts[UNCHANGED],
            refused=tally.counts[REFUSED],
            refused_rows=tally.rows,
            refused_rows_not_listed=tally.not_listed,
            left_out_rows=left_out.rows,
        )

    async def _take(
        self, shop_id: str, import_id: str, number: int, chunk: list[ReadOrder | RowRefused], tally: _Tally
    ) -> None:
        orders: list[ReadOrder] = []
        commands: list[PlaceOrder] = []
        for each in chunk:
            if isinstance(each, RowRefused):
                tally.refuse(each.line, each.field, each.reason, each.platform_order_id)
            else:
                orders.append(each)
                request_id = f"{import_id}/{each.lines[0]}"
                commands.append(await self._edge.command_of_file_order(shop_id, each.order, request_id))
        if not commands:
            return
        batch = TakeBatch(batch_id=f"{import_id}/{number}", items=[*commands])
        digest = hashlib.sha256(batch.sameness).hexdigest()[:16]
        reply = await self._submit(batch, f"import:{shop_id}:{import_id}:{number}:{digest}")
        if reply.status >= 400:
            raise Problem(reply.status, reply.body["title"], detail=reply.body.get("detail", ""))
        for order, verdict in zip(orders, reply.body["items"], strict=True):
            if verdict["status"] == REFUSED:
                title = verdict["problem"]["title"]
                tally.refuse(order.lines[0], "platform_order_id", title, order.order.platform_order_id)
            else:
                tally.counts[verdict["status"]] += 1

    async def _submit(self, batch: TakeBatch, idempotency_key: str) -> Reply:
        """A file is patient: where a webhook is told to come back, it waits in line, but not for ever."""
        for _ in range(SUBMIT_TRIES_LIMIT):
            try:
                return await self._parts.submit(batch, idempotency_key)
            except (Overloaded, NotServing) as busy:
                await asyncio.sleep(busy.retry_after_s)
        return await self._parts.submit(batch, idempotency_key)


def router(parts: Parts, book: ShopBook, edge: Edge) -> APIRouter:
    """Return the route for order files."""
    routes = APIRouter(tags=["orders in"], dependencies=[Depends(parts.auth.require("operator"))])
    imports = Imports(parts, edge)

    @routes.post(
        "/imports",
        operation_id="import_orders",
        summary="An order file (CSV, UTF-8 or GB18030, at most 32 MiB)",
        description="One row an order line; amounts in yuan; times without an offset are China's. The columns are in "
        "the service's README. A platform's own export is recognised by its headings, or read as `platform`'s; rows "
        "that are unpaid, closed or shipped are counted and left out. Importing a file again changes nothing.",
        response_model=ImportReport,
        responses={422: {"description": "no such column, or not a file that can be read"}},
    )
    async def import_orders(
        file: Annotated[UploadFile, File(description="the CSV file")],
        shop_id: Annotated[Text(1, 32), Form(examples=["demo"])],  # type: ignore[valid-type]
        platform: Annotated[
            Text(0, 32),  # type: ignore[valid-type]
            Form(description="whose export the file is, when its headings do not tell", examples=[*BY_PLATFORM]),
        ] = "",
        idempotency_key: Annotated[
            str | None,
            Header(
                alias="Idempotency-Key",
                min_length=1,
                max_length=100,
                pattern=r"^[\x21-\x7e]+$",
                description="Optional: an import repeated under its key gets the first verdicts again.",
            ),
        ] = None,
    ) -> ImportReport:
        shop = await book.find(shop_id)
        if shop is None:
            raise Problem(404, "no such shop", field="shop_id")
        if shop.paused:
            raise Problem(409, "the shop is paused", field="shop_id")
        return await imports.run(shop_id, file.file, idempotency_key or secrets.token_hex(12), platform)

    return routes


def _next_chunk(reading: Iterator[ReadOrder | RowRefused]) -> list[ReadOrder | RowRefused]:
    return list(islice(reading, CHUNK_ORDERS))
