"""Wires what comes in from platforms: fetches, pulls, queues, refreshed tokens, and the gauges of completeness."""

import asyncio
import itertools
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from functools import partial

from prometheus_client import Gauge

from libs.channels.capabilities import Capabilities
from libs.channels.channel import About, Document, Message, Page, Window
from libs.channels.outward.fetching import Fetcher
from libs.channels.outward.lines import Line
from libs.channels.outward.listening import listen
from libs.channels.outward.pulling import Puller, Reached
from libs.channels.outward.refreshing import Refresher
from libs.channels.outward.tending import tend
from libs.channels.registry import PLATFORMS
from libs.decide import Command, Reply
from libs.runtime.service import Parts
from libs.stream.companions import Companion
from libs.stream.egress import Retry, Sender
from services.ingestion import store
from services.ingestion.api import Edge, LineBook
from services.ingestion.api.documents_heard import all_heard, check_ids, heard, hints_heard
from services.ingestion.api.shop_health import judged
from services.ingestion.domain import (
    FETCH,
    ORDER,
    CloseDays,
    ClosePull,
    HearPage,
    Listed,
    NoteTrouble,
    TakeDocument,
    TakeHints,
    days_with_gaps,
)
from services.ingestion.settings import Settings

GAUGE_EVERY_S = 10.0
SHOPS_LIMIT = 2_000
SERVICE = "ingestion"
LAG = Gauge("ordo_shop_lag_seconds", "How far behind now a shop's orders are complete", ["channel", "shop_id"])
RED = Gauge("ordo_shop_red", "1 when a shop needs evidence or a person", ["channel", "shop_id"])
LATE = Gauge("ordo_shop_late_orders", "Orders that came after their time was complete", ["channel", "shop_id"])
PARKED = Gauge("ordo_shop_parked_documents", "Documents that could not be taken", ["channel", "shop_id"])


class NotTaken(Exception):
    """A command of this process's own was refused: what it was about is done again."""


class Incoming:
    """Keeps what platforms tell: each call returns once it is committed."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._edge = Edge(parts)
        self._asked = itertools.count(1)

    async def document(self, line: Line, fetch_no: int, document: Document, asked_at: datetime) -> str:
        """Keep what a fetch brought; the same answer to the same call is decided once."""
        place = f"{line.shop_id}:{document.about.value}:{document.subject_id}:{fetch_no}"
        found = await heard(self._edge, line, document, f"{line.name}:{place}")
        command = TakeDocument(
            shop_id=line.shop_id, channel=line.name, fetch_no=fetch_no, document=found, read_at=asked_at
        )
        await self._submit(command, f"document:{place}:{asked_at.isoformat()}")
        return f"parked: {found.refused_field}: {found.refused_reason}" if found.refused_reason else "taken"

    async def messages(self, line: Line, messages: Sequence[Message]) -> None:
        """Keep messages of a queue or socket; those that wait together share a transaction."""
        await asyncio.gather(*(self._message(line, message) for message in messages))

    async def reached(self, line: Line) -> Reached:
        """Return how far the shop was pulled."""
        async with self._parts.reads() as reads:
            progress = await store.progress_of(reads, line.shop_id)
        if progress is None:
            raise NotTaken("the shop has no watermark")
        since = progress.complete_until or progress.since
        holed = days_with_gaps(progress.gaps)
        waived = frozenset(each.gap for each in progress.waived)
        return Reached(progress.covered_until, progress.step_number, progress.days, since, holed, waived)

    async def page(self, line: Line, about: About, step: int | None, page: Page, asked_at: datetime) -> None:
        """Take in a page of a pull; what is known already, as windows overlap, is not read and sealed again."""
        check_ids([subject_id for subject_id, _ in page.subjects])
        fresh = await self._unknown(line, about, page) if page.documents else []
        command = HearPage(
            shop_id=line.shop_id,
            channel=line.name,
            about=about.value,
            step=step,
            listed=[
                Listed(subject_id=subject_id, modified_at=changed, bound=page.bounds)
                for subject_id, changed in page.subjects
            ],
            documents=await all_heard(self._edge, line, fresh, asked_at),
            read_at=asked_at,
        )
        await self._submit(command, self._once(line, "page"))

    async def _unknown(self, line: Line, about: About, page: Page) -> list[Document]:
        changes = dict(page.subjects)
        async with self._parts.reads() as reads:
            known = await store.known_subjects(reads, line.shop_id, about.value, changes, bounds=page.bounds)
        return [document for document in page.documents if document.subject_id not in known]

    async def numbers(self, line: Line, step: int, ids: Sequence[str], asked_at: datetime) -> None:
        """Take in orders that a day's list names."""
        check_ids(ids)
        listed = [Listed(subject_id=subject_id) for subject_id in ids]
        command = HearPage(
            shop_id=line.shop_id, channel=line.name, about=ORDER, step=step, listed=listed, read_at=asked_at
        )
        await self._submit(command, self._once(line, "numbers"))

    async def close_pull(
        self, line: Line, step: int, window: Window, ended: datetime, listed: int, counted: int | None
    ) -> bool:
        """Close a window."""
        command = ClosePull(
            shop_id=line.shop_id,
            number=step,
            since=window.since,
            until=window.until,
            ended=ended,
            listed=listed,
            counted=counted,
        )
        reply = await self._submit(command, self._once(line, "pull"))
        return bool(reply.body["closed"])

    async def close_days(
        self, line: Line, step: int, until: datetime, ended: datetime, counted: Mapping[str, int], gaps: Sequence[str]
    ) -> bool:
        """Close a reading of day numbers."""
        command = CloseDays(
            shop_id=line.shop_id, number=step, until=until, ended=ended, counted=dict(counted), gaps=list(gaps)
        )
        reply = await self._submit(command, self._once(line, "days"))
        return bool(reply.body["closed"])

    async def trouble(self, line: Line, why: str) -> None:
        """Say why there is no evidence now."""
        await self._submit(NoteTrouble(shop_id=line.shop_id, why=why), self._once(line, "trouble"))

    async def _message(self, line: Line, message: Message) -> None:
        check_ids([hint.subject_id for hint in message.hints])
        now = self._parts.now()
        push_id = self._once(line, "queue")
        command = TakeHints(
            push_id=push_id,
            shop_id=line.shop_id,
            channel=line.name,
            source="queue",
            raw_sealed=await self._edge.seal(line.shop_id, message.raw),
            hints=hints_heard(message.hints),
            read_at=now,
        )
        await self._submit(command, push_id)

    def _once(self, line: Line, what: str) -> str:
        """Return a key of its own for something that this process alone asks, and asks anew after a failure."""
        return f"{what}:{line.shop_id}:{self._parts.now().timestamp():.6f}:{next(self._asked)}"

    async def _submit(self, command: Command, idempotency_key: str) -> Reply:
        reply = await self._parts.submit(command, idempotency_key)
        if reply.status == 423:
            raise Retry("an earlier message of this key waits for an operator", 60.0)
        if reply.status >= 400:
            raise NotTaken(str(reply.body.get("title")))
        return reply


def senders(parts: Parts, lines: LineBook) -> Mapping[str, Sender]:
    """Return who fetches documents, by destination."""
    incoming = Incoming(parts)
    return {FETCH + name: Fetcher(lines, incoming.document, parts.now) for name in PLATFORMS}


def companions(settings: Settings, parts: Parts, lines: LineBook) -> Sequence[Companion]:
    """Return what runs beside the worker; of several shards only the first does, so that each shop has one of each."""
    if settings.shard != 0:
        return ()
    incoming = Incoming(parts)
    puller = Puller(lines, incoming, parts.now, settings.pull_interval_s)
    refresher = Refresher(lines, lines.refreshed, parts.now)
    listening = partial(listen, lines, incoming.messages)
    return (
        Companion("token refresher", refresher.run),
        Companion("pullers", partial(tend, SERVICE, "puller", partial(_pulled, lines), puller.run)),
        Companion("listeners", partial(tend, SERVICE, "listener", partial(_listened_to, lines), listening)),
        Companion("shop gauges", partial(_gauge, settings, parts)),
    )


async def _pulled(lines: LineBook) -> Mapping[str, Hashable]:
    """Return the shops to pull; each round finds their tokens anew."""
    able = [line for line in await lines.all() if not line.paused]
    return {line.shop_id: line.name for line in able if _is_pulled(line.channel.capabilities)}


def _is_pulled(able: Capabilities) -> bool:
    return able.pulls_orders or able.numbers_days


async def _listened_to(lines: LineBook) -> Mapping[str, Hashable]:
    """Return the shops to listen to; a socket is opened afresh for another token."""
    found = [line for line in await lines.all() if not line.paused and line.channel.capabilities.has_queue]
    return {line.shop_id: line.version for line in found}


async def _gauge(settings: Settings, parts: Parts) -> None:
    """Show every shop's watermark to Prometheus."""
    while True:
        async with parts.reads() as reads:
            found = await store.watched(reads, SHOPS_LIMIT)
        for each in found:
            record = each.shop
            health = judged(each, settings, parts.now())
            place = (record.channel, record.shop_id)
            if health.lag_s is not None:
                LAG.labels(*place).set(health.lag_s)
            RED.labels(*place).set(health.colour == "red")
            LATE.labels(*place).set(each.progress.late_orders)
            PARKED.labels(*place).set(each.parked)
        await asyncio.sleep(GAUGE_EVERY_S)
