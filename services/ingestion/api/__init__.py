"""HTTP in: webhooks by signature, pushes of platforms, order files and shops; answers are given after the commit."""

from fastapi import APIRouter

from libs.runtime.service import Parts
from services.ingestion.api import acceptances, connections, exposure, imports, pushes, shops, uploads, webhooks
from services.ingestion.api.edge import Edge
from services.ingestion.api.line_book import LineBook
from services.ingestion.api.shop_book import ShopBook
from services.ingestion.settings import Settings

__all__ = ["Edge", "LineBook", "routers"]


def routers(settings: Settings, lines: LineBook, parts: Parts) -> list[APIRouter]:
    """Build the routes on the service's parts and on the lines to platforms."""
    book = ShopBook(parts, settings.own_keys)
    edge = Edge(parts)
    public_url = settings.public_url
    return [
        webhooks.router(parts, book, edge),
        pushes.router(parts, lines, edge, public_url),
        imports.router(parts, book, edge),
        shops.router(parts, settings, book, lines, edge),
        connections.router(parts, lines, public_url),
        acceptances.router(parts),
        uploads.router(parts),
        exposure.router(parts),
    ]
