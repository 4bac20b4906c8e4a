"""A played warehouse: hears orders on the log, and says of each that is not cancelled that its parcel left."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from contracts import envelope
from contracts.orders import OrderCancelRequested, OrderPlaced, RefundRequested
from contracts.shipments import FulfillmentCancelled, ParcelShipped
from contracts.stock import StockLine
from contracts.topics import topic_of
from libs.stream.batch import Writer
from libs.stream.journal import Head
from libs.stream.kafka import KafkaLog
from libs.stream.log import FetchFailed, Outgoing, Place, PublishFailed, Record
from loadtests.lossy.truth import Truth

FETCH_RECORDS, FETCH_TIMEOUT_MS = 2_000, 200
SHIP_AFTER_LEAST_S, SHIP_AFTER_MOST_S = 1.0, 12.0
PUBLISH_LIMIT_RECORDS = 500
RETRY_S = 0.5
ORDERS = topic_of(OrderPlaced, "ingestion").name
DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in (OrderPlaced, OrderCancelRequested, RefundRequested)
}


@dataclass
class Warehouse:
    """Reads everything that ingestion says, and writes as fulfillment does: one gapless sequence a partition."""

    bootstrap: str
    truth: Truth
    now: Callable[[], datetime]
    dice: random.Random
    _due: deque[tuple[float, OrderPlaced]] = field(default_factory=deque)
    _ended: dict[str, str] = field(default_factory=dict)
    _heads: dict[Place, Head] = field(default_factory=dict)
    _numbers: set[tuple[int, str, bytes]] = field(default_factory=set)
    _outbox: list[Outgoing] = field(default_factory=list)
    _writer: Writer | None = None

    @property
    def waiting(self) -> int:
        """How many parcels are still to leave."""
        return len(self._due) + len(self._outbox)

    async def run(self) -> None:
        """Hear and ship until cancelled."""
        reading, writing = KafkaLog(self.bootstrap, "lossy-reader"), KafkaLog(self.bootstrap, "lossy-warehouse")
        try:
            partitions = await reading.partitions(ORDERS)
            self._writer = Writer("fulfillment", 0, 1, partitions, {})
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hear(reading, partitions))
                group.create_task(self._ship(writing))
        finally:
            await reading.close()
            await writing.close()

    async def _hear(self, log: KafkaLog, partitions: int) -> None:
        positions = {(ORDERS, number): 0 for number in range(partitions)}
        fresh = True
        while True:
            try:
                if fresh:
                    await log.read_from(positions)
                    fresh = False
                records = await log.fetch(FETCH_RECORDS, FETCH_TIMEOUT_MS)
            except FetchFailed:
                fresh = True
                await asyncio.sleep(RETRY_S)
                continue
            for record in records:
                positions[(record.topic, record.partition)] = record.offset + 1
                self._take(record)

    def _take(self, record: Record) -> None:
        headers = dict(record.headers)
        number = (record.partition, headers[envelope.HEADER_SOURCE].decode(), headers[envelope.HEADER_ID])
        decoder = DECODERS.get(headers[envelope.HEADER_TYPE].decode())
        # What a writer that died published a second time has the same number, and is passed over as every reader does.
        if decoder is None or number in self._numbers:
            return
        self._numbers.add(number)
        event = decoder.decode(record.value or b"")
        if isinstance(event, OrderPlaced):
            self.truth.hear(event.order_id, self.now())
            after_s = self.dice.uniform(SHIP_AFTER_LEAST_S, SHIP_AFTER_MOST_S)
            self._due.append((asyncio.get_running_loop().time() + after_s, event))
        elif isinstance(event, OrderCancelRequested):
            self.truth.cancelled.add(event.order_id)
            self._ended.setdefault(event.order_id, event.request_id)
        elif not event.after_shipping:
            self._ended.setdefault(event.order_id, event.request_id)

    async def _ship(self, log: KafkaLog) -> None:
        while True:
            await asyncio.sleep(FETCH_TIMEOUT_MS / 1000)
            self._pack()
            if not self._outbox:
                continue
            try:
                await log.publish(self._outbox)
                self._outbox.clear()
            except PublishFailed:
                # The same records with the same numbers: readers pass over what had arrived.
                await log.reset_publishing()
                await asyncio.sleep(RETRY_S)

    def _pack(self) -> None:
        """Turn what is due into records; an order that was cancelled meanwhile stays here."""
        now_s = asyncio.get_running_loop().time()
        later: deque[tuple[float, OrderPlaced]] = deque()
        while self._due and len(self._outbox) < PUBLISH_LIMIT_RECORDS:
            due_s, order = self._due.popleft()
            if due_s > now_s:
                later.append((due_s, order))
                continue
            self._write(self._parcel(order))
        self._due.extendleft(reversed(later))

    def _parcel(self, order: OrderPlaced) -> ParcelShipped | FulfillmentCancelled:
        task_id = f"{order.order_id}/1"
        request_id = self._ended.get(order.order_id)
        if request_id is not None:
            return FulfillmentCancelled(order_id=order.order_id, request_id=request_id, cancelled_parcels=[task_id])
        self.truth.shipped_at[order.order_id] = self.now()
        lines = [StockLine(line_id=line.line_id, sku=line.sku, quantity=line.quantity) for line in order.lines]
        waybill = f"SF{len(self.truth.shipped_at):012d}"
        return ParcelShipped(
            order_id=order.order_id, task_id=task_id, warehouse="CD", lines=lines, carrier="SF", waybill=waybill
        )

    def _write(self, event: ParcelShipped | FulfillmentCancelled) -> None:
        assert self._writer is not None
        outgoing, _, _ = self._writer.event(event, "lossy", int(self.now().timestamp() * 1000), self._heads)
        self._outbox.append(outgoing)
