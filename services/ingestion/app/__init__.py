"""Wires ingestion: the only place where its pieces are put together."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter

from libs.runtime.service import Parts, Service
from libs.stream.companions import Companion
from libs.stream.egress import Sender
from services.ingestion import api, handlers, store
from services.ingestion.api import LineBook
from services.ingestion.app import incoming, outward
from services.ingestion.settings import Settings


class Wiring:
    """Builds a service's pieces on its parts; all of them speak to platforms on the same lines, at one pace."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines: tuple[Parts, LineBook] | None = None

    def senders(self, parts: Parts) -> Mapping[str, Sender]:
        """Return who makes outward calls, by destination."""
        lines = self._on(parts)
        return {**incoming.senders(parts, lines), **outward.senders(parts, lines)}

    def companions(self, parts: Parts) -> Sequence[Companion]:
        """Return what runs beside the worker."""
        return incoming.companions(self._settings, parts, self._on(parts))

    def routers(self, parts: Parts) -> list[APIRouter]:
        """Return the routes."""
        return api.routers(self._settings, self._on(parts), parts)

    def _on(self, parts: Parts) -> LineBook:
        if self._lines is None or self._lines[0] is not parts:
            self._lines = (parts, LineBook(parts))
        return self._lines[1]


def build(settings: Settings) -> Service:
    """Return the service for these settings."""
    wiring = Wiring(settings)
    return Service(
        name="ingestion",
        title="Ordo ingestion 接单",
        settings=settings,
        handlers=handlers.handlers(),
        tables=store.TABLES,
        routers=wiring.routers,
        senders=wiring.senders,
        companions=wiring.companions,
        vault=True,
        uploads=("/imports", "/orders/batch"),
    )
